use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, watch};

use super::registry::{MetricsRegistry, registry};
use crate::error::TracingError;

/// Most scrapes at one time; further ones wait in the listener's backlog.
pub const CONNECTIONS_MAX: usize = 16;
const HEADER_BYTES_MAX: usize = 16 * 1024;
const HEADER_SECONDS_MAX: u64 = 5;
const CONNECTION_SECONDS_MAX: u64 = 30;
/// Pause after the operating system refused a connection, for want of file descriptors mostly.
const ACCEPT_PAUSE_MS: u64 = 100;
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the metrics of the process at `/metrics` from a thread of its own, until the process ends.
/// Needs no runtime. Port 0 chooses a free port; the address is the answer.
///
/// There is neither authentication nor TLS: give it a loopback address, or one that only the scraper reaches.
///
/// # Errors
/// [`TracingError::AlreadyInitialised`] the second time, [`TracingError::Bind`], [`TracingError::Thread`].
pub fn init_metrics(addr: SocketAddr) -> Result<SocketAddr, TracingError> {
    static SERVER: Mutex<Option<MetricsServer>> = Mutex::new(None);
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if server.is_some() {
        return Err(TracingError::AlreadyInitialised("metrics"));
    }
    let started = serve_metrics(addr, registry())?;
    let addr = started.addr();
    *server = Some(started);
    Ok(addr)
}

/// Serves one registry at `/metrics` until the answer is dropped; see [`init_metrics`].
///
/// # Errors
/// [`TracingError::Bind`], [`TracingError::Thread`].
pub fn serve_metrics(addr: SocketAddr, registry: MetricsRegistry) -> Result<MetricsServer, TracingError> {
    let bind = |source| TracingError::Bind { addr, source };
    let listener = TcpListener::bind(addr).map_err(bind)?;
    listener.set_nonblocking(true).map_err(bind)?;
    let addr = listener.local_addr().map_err(bind)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(TracingError::Thread)?;
    let (stop, stopped) = watch::channel(());
    let thread = std::thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || runtime.block_on(accept(listener, registry, stopped)))
        .map_err(TracingError::Thread)?;
    Ok(MetricsServer { addr, stop: Some(stop), thread: Some(thread) })
}

/// A running endpoint; dropping it ends it.
#[derive(Debug)]
#[must_use = "dropped at once, it serves nothing"]
pub struct MetricsServer {
    addr: SocketAddr,
    stop: Option<watch::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl MetricsServer {
    /// The address it listens on.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // the thread waits for nothing but `stop`
        }
    }
}

async fn accept(listener: TcpListener, registry: MetricsRegistry, mut stopped: watch::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            _ = stopped.changed() => return,
        };
        let Ok(place) = place else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            continue;
        };
        let registry = registry.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let registry = registry.clone();
                async move { Ok::<_, Infallible>(answer(&request, &registry)) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(HEADER_SECONDS_MAX))
                .max_buf_size(HEADER_BYTES_MAX)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // A scraper that breaks off or dawdles is its own affair.
            let _ = tokio::time::timeout(Duration::from_secs(CONNECTION_SECONDS_MAX), connection).await;
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, registry: &MetricsRegistry) -> Response<String> {
    let (status, content_type, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, CONTENT_TYPE, registry.render()),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "use GET\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "text/plain", "see /metrics\n".to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
