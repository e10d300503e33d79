//! AuthZEN over HTTPS: a running daemon, spoken to as an enforcement point would.
//!
//! Requests and expected answers of the certification tests are read out of the scenario itself; the names of those
//! tests are its section numbers.

mod attacks;
mod basic;
mod batches;
mod client;
mod discovery;
mod mapping;
mod receipts;
mod scenario;
mod searches;

use std::path::PathBuf;

use hpc_auth::PeerPolicy;
use hpc_auth::client::create_client_config;
use hpc_identity::SpiffeId;
use hpcd::clock::wall_now;
use hpcd::daemon::{Daemon, Listen};
use hpcd::world::World;
use serde_json::Value;
use tempfile::TempDir;

use self::client::{Connection, Reply};
use crate::options;

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";
const SEARCH_SUBJECT: &str = "/access/v1/search/subject";
const SEARCH_RESOURCE: &str = "/access/v1/search/resource";
const SEARCH_ACTION: &str = "/access/v1/search/action";

/// A decision point with the fixture, and the folder its policies lie in.
struct Pdp {
    daemon: Daemon,
    _policies: TempDir,
}

impl Pdp {
    /// With the fixture, `examples/authzen`.
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With the fixture and more documents.
    async fn with(documents: &[(&str, &str)]) -> Self {
        let policies = tempfile::tempdir().unwrap();
        for name in ["records.yaml", "entities.yaml", "access.yaml"] {
            std::fs::copy(root().join("examples/authzen").join(name), policies.path().join(name)).unwrap();
        }
        for (name, text) in documents {
            std::fs::write(policies.path().join(name), text).unwrap();
        }
        let mut options = options(None);
        options.policies = Some(policies.path().to_owned());
        let world = World::open(options).await.unwrap();
        Self { daemon: Daemon::start(world, Listen::free()).await.unwrap(), _policies: policies }
    }

    /// A connection of somebody of the trust domain.
    async fn connect(&self, who: [&str; 2]) -> Connection {
        let identity = &self.daemon.world.identity;
        let id = SpiffeId::new(identity.trust_domain(), who).unwrap();
        let svid = identity.issue(&id, wall_now()).unwrap();
        let server = PeerPolicy::Exact(identity.server_id().clone());
        let config = create_client_config(&svid, &[identity.bundle()], server, &[b"http/1.1"]).unwrap();
        Connection::open(self.daemon.api, config).await
    }

    /// Posts JSON as the operator `you`.
    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.connect(["user", "you"]).await.post(path, body).await
    }

    /// The answer to a request that must get one.
    async fn ask(&self, path: &str, body: &Value) -> Value {
        let reply = self.post(path, body).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{body}");
        let answer = reply.json();
        if path == EVALUATION {
            scenario::conforms("evaluation-response", &answer)
                .unwrap_or_else(|why| panic!("{why}: {answer}"));
        }
        answer
    }

    /// The decision on a single evaluation.
    async fn decision(&self, body: &Value) -> bool {
        scenario::conforms("evaluation-request", body).unwrap_or_else(|why| panic!("{why}: {body}"));
        self.ask(EVALUATION, body).await["decision"].as_bool().unwrap()
    }

    /// The message of a request that must get 400.
    async fn refusal(&self, path: &str, body: &Value) -> String {
        let reply = self.post(path, body).await;
        reply.refused(400)
    }
}

/// An answer without its receipts: every answer has its own, whatever is the same about them.
fn without_receipts(mut answer: Value) -> Value {
    fn strip(value: &mut Value) {
        if let Some(context) = value.get_mut("context").and_then(Value::as_object_mut) {
            context.remove("receipt");
        }
    }
    strip(&mut answer);
    answer.get_mut("evaluations").and_then(Value::as_array_mut).into_iter().flatten().for_each(strip);
    answer
}

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
