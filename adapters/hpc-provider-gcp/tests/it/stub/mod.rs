//! A server that speaks the Compute API's JSON on loopback, with a clock of its own.
//!
//! It does what no public emulator does: it honours request ids, refuses names that are taken, runs out of stock, takes back
//! the part of a create that fails, counts quotas, shows new instances late, and loses answers before and after the commit.

pub mod cloud;
mod reply;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub use cloud::{Call, Cloud, Fault};

/// Largest request that is read.
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// The server; it ends with the runtime it was started in.
#[derive(Clone)]
pub struct Stub {
    pub url: String,
    cloud: Arc<Mutex<Cloud>>,
}

impl Stub {
    pub async fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stub = Self { url, cloud: Arc::new(Mutex::new(Cloud::new())) };
        let serving = stub.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        stub
    }

    pub fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap()
    }

    pub fn pass(&self, by: Duration) {
        let mut cloud = self.cloud();
        cloud.now = cloud.now.checked_add(by).unwrap();
    }

    async fn serve(self, mut stream: TcpStream) {
        let Some((head, body)) = read(&mut stream).await else { return };
        let Some(call) = Call::parse(&head, &body) else { return };
        let (answer, fault) = {
            let mut cloud = self.cloud();
            let fault = cloud.fault(&call.action);
            cloud.calls.push(call.clone());
            let answer = match &fault {
                Some(Fault::DropBefore | Fault::Hang | Fault::Answer(..)) => None,
                _ => {
                    let answer = cloud.answer(&call);
                    cloud.answers.push((call.action.clone(), answer.clone()));
                    Some(answer)
                }
            };
            (answer, fault)
        };
        let json = "application/json; charset=UTF-8";
        let (status, kind, text) = match (fault, answer) {
            (Some(Fault::Answer(status, kind, text)), _) => (status, kind, text),
            (Some(Fault::Hang), _) => return std::future::pending().await,
            (Some(Fault::DropAfter | Fault::DropBefore), _) | (_, None) => return,
            (fault, Some((status, value))) => {
                let text = value.to_string();
                match fault {
                    // As many bytes as were announced, and then none of the rest: a proxy that repairs the length.
                    Some(Fault::CutTo(bytes)) => {
                        (status, json, text[..text.floor_char_boundary(bytes.min(text.len()))].to_owned())
                    }
                    // Fewer bytes than were announced.
                    Some(Fault::BreakAt(bytes)) => {
                        let whole = http(status, json, &text);
                        let end = (whole.len() - text.len() + bytes).min(whole.len());
                        drop(stream.write_all(&whole.as_bytes()[..end]).await);
                        return;
                    }
                    _ => (status, json, text),
                }
            }
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
