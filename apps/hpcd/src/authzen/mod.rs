//! AuthZEN Authorization API 1.0 on the control API's port: decisions for enforcement points elsewhere.
//!
//! Translates and nothing more: JSON becomes a question, the policies in force decide it, the decision becomes JSON.
//! What was decided is in the audit log before it is answered, and the answer carries the receipt.
//! The caller is who its certificate says, and must be allowed `policy.evaluate` on the policy `policy`.

pub mod limits;

mod batch;
mod map;
mod metadata;
mod pace;
mod page;
mod record;
mod search;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hpc_broker::Caller;
use hpc_error::HpcError;
use hpc_identity::PeerIdentity;
use hpc_policy::{PolicySet, Resource};
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::body::Body;

use self::pace::Pace;
use self::record::Decided;
use self::search::{Asked, Target};
use self::wire::Problem;
use crate::clock::draw_32;
use crate::people;
use crate::world::World;

/// The endpoints of one daemon.
#[derive(Clone)]
pub(crate) struct AuthZen {
    inner: Arc<Inner>,
}

struct Inner {
    world: Arc<World>,
    /// Where the daemon listens, once it does.
    address: OnceLock<SocketAddr>,
    /// Binds page tokens to this run of the daemon.
    token_key: [u8; 32],
    threads: Semaphore,
    pace: Pace,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Endpoint {
    Evaluation,
    Evaluations,
    Search(Target),
    Metadata,
}

impl Endpoint {
    fn find(path: &str) -> Option<Self> {
        Some(match path {
            metadata::EVALUATION => Self::Evaluation,
            metadata::EVALUATIONS => Self::Evaluations,
            metadata::SEARCH_SUBJECT => Self::Search(Target::Subject),
            metadata::SEARCH_RESOURCE => Self::Search(Target::Resource),
            metadata::SEARCH_ACTION => Self::Search(Target::Action),
            metadata::METADATA => Self::Metadata,
            _ => return None,
        })
    }

    fn method(self) -> (Method, &'static str) {
        if self == Self::Metadata { (Method::GET, "GET") } else { (Method::POST, "POST") }
    }
}

impl AuthZen {
    /// # Errors
    /// `HPC-INT-0001` when the operating system gives no randomness.
    pub(crate) fn new(world: Arc<World>) -> Result<Self, HpcError> {
        let inner = Inner {
            world,
            address: OnceLock::new(),
            token_key: draw_32()?,
            threads: Semaphore::new(limits::THREADS_MAX),
            pace: Pace::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Says where the server listens; the first word stands.
    pub(crate) fn set_address(&self, address: SocketAddr) {
        let _ = self.inner.address.set(address);
    }

    pub(crate) async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let request_id = wire::request_id(request.headers());
        wire::respond(self.answer(request).await, request_id)
    }

    async fn answer(&self, request: Request<Body>) -> Result<Value, Problem> {
        let path = request.uri().path();
        let Some(endpoint) = Endpoint::find(path) else {
            let tenant = path.strip_prefix(metadata::METADATA).is_some_and(|rest| rest.starts_with('/'));
            let message = if tenant {
                "there are no tenants here; ask for the metadata without one"
            } else {
                "nothing is served at this path; the metadata names the endpoints"
            };
            return Err(Problem::new(StatusCode::NOT_FOUND, message));
        };
        let (method, name) = endpoint.method();
        if *request.method() != method {
            let message = format!("this endpoint takes no other method than {name}; send that");
            return Err(Problem {
                allow: Some(name),
                ..Problem::new(StatusCode::METHOD_NOT_ALLOWED, message)
            });
        }
        if endpoint == Endpoint::Metadata {
            let address = self.inner.address.get().ok_or_else(|| {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is starting; ask again")
            })?;
            return Ok(metadata::document(&metadata::base(*address, request.uri(), request.headers())));
        }
        let now = self.inner.world.now();
        let policies = self.inner.world.broker.policies();
        let caller = caller(request.extensions().get(), &policies, now)?;
        let (body, bytes) = wire::read(request).await?;
        self.inner.pace.admit(&caller.name, Instant::now()).map_err(Problem::too_many)?;
        let decided = Decided {
            action: if matches!(endpoint, Endpoint::Search(_)) {
                "access.searched"
            } else {
                "access.evaluated"
            },
            caller: caller.name.clone(),
            digest: policies.digest().to_owned(),
            at: now,
        };
        let answer = match endpoint {
            Endpoint::Evaluations if batch::count(&body) > limits::INLINE_EVALUATIONS_MAX => {
                self.aside(move |_| batch::many(&body, &policies, now)).await
            }
            Endpoint::Evaluations => batch::many(&body, &policies, now),
            Endpoint::Search(target) => {
                self.aside(move |inner| {
                    let asked =
                        Asked { caller: &caller.name, token_key: &inner.token_key, policies: &policies, now };
                    search::search(target, &body, &asked)
                })
                .await
            }
            _ => batch::one(&body, &policies, now),
        }?;
        let fresh = self.inner.world.fresh_decision();
        let salt = draw_32().map_err(|_| Problem::unrecorded())?;
        // Parsed as JSON, so it is text.
        let text = std::str::from_utf8(&bytes).map_err(|_| Problem::bad("the body is not UTF-8 text"))?;
        // What is left of a full disk is for ending leases.
        self.inner.world.room().map_err(|_| Problem::unrecorded())?;
        record::record(self.inner.world.audit.as_ref(), decided, text, (fresh, salt), answer).await
    }

    /// Runs long work beside the threads that serve connections, a few at a time.
    async fn aside(
        &self,
        work: impl FnOnce(&Inner) -> Result<Value, Problem> + Send + 'static,
    ) -> Result<Value, Problem> {
        let gone =
            || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping; ask again later");
        let _permit = self.inner.threads.acquire().await.map_err(|_| gone())?;
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(|_| gone())?
    }
}

/// Who asks, if they may.
fn caller(peer: Option<&PeerIdentity>, policies: &PolicySet, now: Timestamp) -> Result<Caller, Problem> {
    let peer = peer.ok_or_else(|| {
        Problem::new(StatusCode::UNAUTHORIZED, "this endpoint needs a client certificate; connect with one")
    })?;
    let refused = |error: HpcError| Problem::new(StatusCode::FORBIDDEN, error.to_string());
    let caller = people::caller(peer.id()).map_err(refused)?;
    let resource = Resource::new("policy", "policy");
    hpc_broker::check(policies, &caller, resource, "policy.evaluate", now).map_err(refused)?;
    Ok(caller)
}
