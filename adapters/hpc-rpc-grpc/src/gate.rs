//! What every request passes before it reaches a service: identity, load, deadline, size, routing.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use hpc_transport::{Deadline, Handler, PeerIdentity};

use crate::body::{OnFailure, WatchedBody};
use crate::{handler, status, timeout};

/// One service, whatever it is.
pub(crate) type Route = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;
/// What the server writes; the permit counts the call until its last byte.
pub(crate) type ResponseBody = WatchedBody<Body, Option<OwnedSemaphorePermit>>;

/// The rules of one server, shared by all its connections.
pub(crate) struct Gate {
    pub(crate) routes: HashMap<&'static str, Route>,
    pub(crate) handler: Option<Arc<dyn Handler>>,
    pub(crate) fallback: Option<Route>,
    pub(crate) anonymous: HashSet<String>,
    /// Set only by `insecure_plaintext_for_tests` and `plain_http`: there is no identity to ask for.
    pub(crate) plaintext: bool,
    pub(crate) calls: Arc<Semaphore>,
    pub(crate) calls_max: usize,
    pub(crate) message_bytes_max: usize,
    pub(crate) deadline: Duration,
    pub(crate) draining: watch::Receiver<bool>,
}

impl Gate {
    /// Lets a request of `peer` through, or answers it.
    pub(crate) async fn pass(
        self: Arc<Self>,
        peer: Option<PeerIdentity>,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        let is_grpc = request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        let stranger = peer.is_none() && !self.plaintext && !self.anonymous.contains(request.uri().path());
        if !is_grpc {
            return self.pass_http(peer, request, stranger).await;
        }
        if stranger {
            return refuse(&status::no_certificate());
        }
        let Ok(permit) = Arc::clone(&self.calls).try_acquire_owned() else {
            return refuse(&status::overloaded(self.calls_max));
        };
        self.pass_grpc(peer, request, permit).await
    }

    async fn pass_grpc(
        &self,
        peer: Option<PeerIdentity>,
        request: Request<Incoming>,
        permit: OwnedSemaphorePermit,
    ) -> Response<ResponseBody> {
        let now = Instant::now();
        let asked = timeout::read(request.headers());
        let budget = asked.map_or(self.deadline, |asked| asked.min(self.deadline));
        let head_by = now + budget;
        // A response stream ends by the caller's own deadline only; without one it may last.
        let body_by = asked.map(|asked| Deadline::after(now.into_std(), asked).at().into());

        let mut request = request.map(|body| {
            Body::new(WatchedBody::grpc(body, self.message_bytes_max, None, OnFailure::Error, ()))
        });
        request.extensions_mut().insert(Deadline::after(now.into_std(), budget));
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }

        let route = service_of(request.uri().path()).and_then(|name| self.routes.get(name)).cloned();
        let answer = async {
            match (route, &self.handler) {
                (Some(route), _) => {
                    let Ok(response) = route.oneshot(request).await;
                    response
                }
                (None, Some(raw)) => handler::serve(Arc::clone(raw), self.draining.clone(), request).await,
                (None, None) => status::unimplemented(request.uri().path()).into_http(),
            }
        };
        let Ok(mut response) = tokio::time::timeout_at(head_by, answer).await else {
            return refuse(&status::deadline_exceeded());
        };
        status::remap(response.headers_mut());
        response.map(|body| {
            WatchedBody::grpc(body, self.message_bytes_max, body_by, OnFailure::Trailers, Some(permit))
        })
    }

    /// Requests that are no gRPC go to the fallback, if there is one.
    async fn pass_http(
        &self,
        peer: Option<PeerIdentity>,
        request: Request<Incoming>,
        stranger: bool,
    ) -> Response<ResponseBody> {
        let Some(fallback) = self.fallback.clone() else {
            return bare(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        };
        if stranger {
            return bare(StatusCode::UNAUTHORIZED);
        }
        let Ok(permit) = Arc::clone(&self.calls).try_acquire_owned() else {
            return bare(StatusCode::SERVICE_UNAVAILABLE);
        };
        let mut request = request.map(Body::new);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let Ok(response) = fallback.oneshot(request).await;
        response.map(|body| WatchedBody::plain(body, Some(permit)))
    }
}

/// The service in `/package.Service/Method`.
fn service_of(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split_once('/').map(|(service, _)| service)
}

/// Wraps any HTTP service as a route.
pub(crate) fn route<S>(service: S) -> Route
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service)
}

fn refuse(status: &Status) -> Response<ResponseBody> {
    let mut response = Response::new(WatchedBody::plain(Body::empty(), None));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().extend(status::trailers(status));
    response
}

fn bare(code: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(WatchedBody::plain(Body::empty(), None));
    *response.status_mut() = code;
    response
}
