//! `POST /add-checkpoint`, and nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hpc_crypto::witness::ADD_CHECKPOINT_BYTES_MAX;
use hpc_rpc::grpc::GrpcServerBuilder;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use tokio::sync::Semaphore;
use tonic::body::Body;

use super::limits::{BODY_TIME_MAX, REQUESTS_MAX};
use super::run::Counts;
use super::{Answer, Witness};
use crate::clock::wall_now;

/// Where requests go.
const PATH: &str = "/add-checkpoint";
const TEXT: &str = "text/plain; charset=utf-8";

/// A witness that is asked over HTTP.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) witness: Arc<Witness>,
    pub(super) counts: Arc<Counts>,
    places: Arc<Semaphore>,
}

struct Reply {
    status: StatusCode,
    kind: &'static str,
    body: String,
    header: Option<(HeaderName, &'static str)>,
}

impl Reply {
    fn new(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, kind: TEXT, body: body.into(), header: None }
    }

    fn later(status: StatusCode, body: &str) -> Self {
        Self { header: Some((RETRY_AFTER, "1")), ..Self::new(status, body) }
    }
}

impl Door {
    pub(super) fn new(witness: Arc<Witness>, counts: Arc<Counts>) -> Self {
        Self { witness, counts, places: Arc::new(Semaphore::new(REQUESTS_MAX)) }
    }

    /// Adds the endpoint to a server.
    pub(super) fn serve_on(self, server: GrpcServerBuilder) -> GrpcServerBuilder {
        server.with_http_fallback(tower::service_fn(move |request: Request<Body>| {
            let this = self.clone();
            async move { Ok::<Response<Body>, Infallible>(written(this.answer(request).await)) }
        }))
    }

    async fn answer(&self, request: Request<Body>) -> Reply {
        if request.uri().path() != PATH {
            return Reply::new(StatusCode::NOT_FOUND, "a witness serves /add-checkpoint and nothing else\n");
        }
        if *request.method() != Method::POST {
            let refused = Reply::new(StatusCode::METHOD_NOT_ALLOWED, "send POST\n");
            return Reply { header: Some((ALLOW, "POST")), ..refused };
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Reply::later(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once; ask again\n");
        };
        let body = Limited::new(request.into_body(), ADD_CHECKPOINT_BYTES_MAX).collect();
        let body = match tokio::time::timeout(BODY_TIME_MAX, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let message = format!("the body has more than {ADD_CHECKPOINT_BYTES_MAX} bytes\n");
                return Reply::new(StatusCode::PAYLOAD_TOO_LARGE, message);
            }
            Ok(Err(_)) => return Reply::new(StatusCode::BAD_REQUEST, "the body did not arrive whole\n"),
            Err(_) => {
                return Reply::new(StatusCode::REQUEST_TIMEOUT, "the body took too long; send it at once\n");
            }
        };
        // A thread of its own: it waits for the disk, and goes on to its end when the caller hangs up. A checkpoint that
        // was checked but not yet stored must not be overtaken by a later one.
        let witness = Arc::clone(&self.witness);
        let work = move || {
            let _place = place;
            witness.answer(&body, wall_now(), Instant::now())
        };
        let answer = tokio::task::spawn_blocking(work).await.unwrap_or(Answer::Unstored);
        self.counts.count(&answer);
        match answer {
            Answer::Cosigned(lines) => Reply::new(StatusCode::OK, lines),
            Answer::Refused(refusal) => Reply {
                kind: refusal.content_type(),
                ..Reply::new(
                    StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                    refusal.body(),
                )
            },
            Answer::TooOften => {
                Reply::later(StatusCode::TOO_MANY_REQUESTS, "this log was cosigned moments ago; ask again\n")
            }
            Answer::Unstored => {
                let message = "the witness cannot store its state, so it signs nothing\n";
                Reply::new(StatusCode::INTERNAL_SERVER_ERROR, message)
            }
        }
    }
}

fn written(reply: Reply) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from(reply.body))));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some((name, value)) = reply.header {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
