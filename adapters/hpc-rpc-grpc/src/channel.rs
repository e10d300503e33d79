//! The client's channel: what generated clients call through.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use hpc_error::{HpcError, Retry};
use hpc_transport::PeerIdentity;

use crate::body::{OnFailure, WatchedBody};
use crate::pool::{InFlight, Pool};
use crate::retry::{ATTEMPTS_MAX, Idempotent, RetryBudget, backoff};
use crate::{status, timeout};

/// A pool of connections to one server. Clones share it; give one to each generated client: `NodeServiceClient::new(channel.clone())`.
///
/// Every failure is a [`Status`], so that generated clients pass it on unchanged.
#[derive(Clone)]
pub struct GrpcChannel {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) pool: Pool,
    pub(crate) idempotent: Idempotent,
    pub(crate) budget: RetryBudget,
}

impl GrpcChannel {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// The server as its certificate proved it; `None` on a plaintext channel, or while no connection stands.
    #[must_use]
    pub fn peer(&self) -> Option<PeerIdentity> {
        self.shared.pool.peer()
    }

    /// Connections that stand at this moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.pool.live()
    }
}

impl fmt::Debug for GrpcChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcChannel").field("uri", &self.shared.pool.target().uri()).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for GrpcChannel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // Readiness belongs to a connection, and which one is chosen for each call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.send(request).await })
    }
}

impl Shared {
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, Status> {
        let now = Instant::now();
        let asked = timeout::read(request.headers());
        let by = now + asked.unwrap_or(self.pool.limits().deadline);
        self.pool.target().complete(&mut request);
        *request.version_mut() = Version::HTTP_2;
        if !request.headers().contains_key(USER_AGENT) {
            request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
        }
        let message_bytes_max = self.pool.limits().message_bytes;
        let request = request
            .map(|body| Body::new(WatchedBody::grpc(body, message_bytes_max, None, OnFailure::Error, ())));

        let attempts = async {
            if self.idempotent.contains(request.uri().path()) {
                self.send_repeatedly(request, asked.map(|_| by)).await
            } else {
                self.send_once(request).await
            }
        };
        let (mut response, in_flight) =
            tokio::time::timeout_at(by, attempts).await.map_err(|_| status::deadline_exceeded())??;
        status::remap(response.headers_mut());
        // Only the caller's own deadline bounds the body: a watch without one may last.
        let body_by = asked.map(|_| by);
        Ok(response.map(|body| {
            Body::new(WatchedBody::grpc(body, message_bytes_max, body_by, OnFailure::Error, in_flight))
        }))
    }

    /// One attempt; a request that provably did not leave is sent again on a fresh connection.
    async fn send_once(&self, mut request: Request<Body>) -> Result<(Response<Incoming>, InFlight), Status> {
        for _ in 0..ATTEMPTS_MAX {
            let (mut sender, in_flight) = self.pool.sender().await?;
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, in_flight)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(lost(failed.into_error())),
                },
            }
        }
        Err(HpcError::unavailable("the connection closed before the call could be sent").into())
    }

    /// Several attempts of an idempotent method; its request is kept in memory, within the message limit.
    async fn send_repeatedly(
        &self,
        request: Request<Body>,
        by: Option<Instant>,
    ) -> Result<(Response<Incoming>, InFlight), Status> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, self.pool.limits().message_bytes + 5)
            .collect()
            .await
            .map_err(Status::from_error)?
            .to_bytes();
        let mut attempt = 1;
        loop {
            let mut again = Request::from_parts(parts.clone(), Body::new(Full::<Bytes>::new(body.clone())));
            if let Some(by) = by {
                let left = by.saturating_duration_since(Instant::now());
                again.headers_mut().insert(timeout::GRPC_TIMEOUT, timeout::write(left));
            }
            let outcome = self.send_once(again).await;
            let failure = match &outcome {
                Ok((response, _)) => early_status(response.headers()),
                Err(status) => Some(status.clone()),
            };
            let Some(failure) = failure.filter(|status| status.code() == Code::Unavailable) else {
                self.budget.succeeded();
                return outcome;
            };
            let error: HpcError = failure.into();
            let after = match error.retry() {
                Retry::AfterFix => return outcome, // an identity that was refused is refused again
                Retry::WithBackoff { after } => after,
                _ => None,
            };
            if !self.budget.failed() || attempt == ATTEMPTS_MAX {
                return outcome;
            }
            attempt += 1;
            drop(outcome);
            tokio::time::sleep(backoff(attempt, after)).await;
        }
    }
}

const USER_AGENT_TEXT: &str = concat!("hpc-rpc-grpc/", env!("CARGO_PKG_VERSION"));

/// The status of a response that failed before its first message: it stands in the headers.
fn early_status(headers: &HeaderMap) -> Option<Status> {
    Status::from_header_map(headers)
}

/// The link failed with the request out: UNAVAILABLE, but nobody may take that for "nothing ran".
fn lost(error: hyper::Error) -> Status {
    let not_processed = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_some_and(|error| error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM));
    let retry = if not_processed { Retry::SameRequest } else { Retry::Never };
    HpcError::unavailable(format!("the connection was lost: {error}")).retry_class(retry).into()
}
