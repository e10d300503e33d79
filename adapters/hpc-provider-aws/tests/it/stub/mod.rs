//! A server that speaks EC2's query protocol and the JSON of its two neighbours, on loopback, with a clock of its own.
//!
//! It does what no public emulator does: it honours client tokens, runs out of stock, counts quotas, shows new instances
//! late, and loses answers before and after the commit.

pub(crate) mod cloud;
mod query;
mod reply;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) use cloud::{Cloud, Fault};
pub(crate) use query::Query;

/// Largest request that is read.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// The server; it ends with the runtime of its test.
#[derive(Clone)]
pub(crate) struct Stub {
    pub(crate) url: String,
    cloud: Arc<Mutex<Cloud>>,
}

impl Stub {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cloud = Arc::new(Mutex::new(Cloud::new()));
        let stub = Self { url, cloud };
        let serving = stub.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        stub
    }

    pub(crate) fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap()
    }

    pub(crate) fn pass(&self, by: Duration) {
        let mut cloud = self.cloud();
        cloud.now = cloud.now.checked_add(by).unwrap();
    }

    async fn serve(self, mut stream: TcpStream) {
        let Some((head, body)) = read(&mut stream).await else { return };
        let target = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("x-amz-target").then(|| value.trim().to_owned())
        });
        let (action, answer, fault) = {
            let mut cloud = self.cloud();
            let query = Query::parse(&body);
            let action = target.clone().unwrap_or_else(|| query.text("Action").to_owned());
            let fault = cloud.fault(&action);
            cloud.calls.push((action.clone(), query.clone()));
            let answer = match &fault {
                Some(Fault::DropBefore | Fault::Hang | Fault::Answer(..)) => None,
                _ if target.is_some() => Some(cloud.json(&action, &body)),
                _ => Some(cloud.answer(&action, &query)),
            };
            (action, answer, fault)
        };
        let (status, kind, text) = match (fault, answer) {
            (Some(Fault::Answer(status, kind, text)), _) => (status, kind, text),
            (Some(Fault::DropAfter | Fault::DropBefore), _) => return,
            (Some(Fault::Hang), _) => return std::future::pending().await,
            (fault, Some((status, text))) => {
                let kind = if action.contains('.') {
                    "application/x-amz-json-1.1"
                } else {
                    "text/xml;charset=UTF-8"
                };
                match fault {
                    // As many bytes as were announced, and then none of the rest: a proxy that repairs the length.
                    Some(Fault::CutTo(bytes)) => {
                        let end = text.floor_char_boundary(bytes.min(text.len()));
                        (status, kind, text[..end].to_owned())
                    }
                    // Fewer bytes than were announced.
                    Some(Fault::BreakAt(bytes)) => {
                        let whole = http(status, kind, &text);
                        let end = (whole.len() - text.len() + bytes).min(whole.len());
                        drop(stream.write_all(&whole.as_bytes()[..end]).await);
                        return;
                    }
                    _ => (status, kind, text),
                }
            }
            (_, None) => return,
        };
        drop(stream.write_all(http(status, kind, &text).as_bytes()).await);
        drop(stream.shutdown().await);
    }
}

fn http(status: u16, kind: &str, text: &str) -> String {
    format!(
        "HTTP/1.1 {status} Stub\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    )
}

async fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        let mut part = [0; 16_384];
        let count = stream.read(&mut part).await.ok()?;
        if count == 0 || bytes.len() > REQUEST_BYTES_MAX {
            return None;
        }
        bytes.extend_from_slice(&part[..count]);
    }
}
