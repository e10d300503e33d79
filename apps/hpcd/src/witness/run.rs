//! A witness as a process: options in, a server running, counts for `/metrics`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hpc_crypto::note::VerifierKey;
use hpc_crypto::witness::Strength;
use hpc_error::{HpcError, codes};
use hpc_rpc::grpc::GrpcServerBuilder;
use hpc_tracing::metrics::{Counter, registry};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::http::Door;
use super::store::Evidence;
use super::{Answer, Witness, keys};

/// How a witness is run.
#[derive(Clone, Debug)]
pub struct WitnessOptions {
    /// The logs it watches.
    pub logs: Vec<VerifierKey>,
    /// File of its private key.
    pub key: PathBuf,
    /// Where it keeps its state.
    pub data: PathBuf,
    /// Where it listens, over plain HTTP.
    pub listen: SocketAddr,
    /// Whether a proxy that speaks TLS stands before an address that is not loopback.
    pub behind_proxy: bool,
}

/// What has come of requests so far.
pub(super) struct Counts {
    cosigned: Counter,
    refused: Counter,
    contradictions: Counter,
    unstored: Counter,
}

impl Counts {
    fn registered() -> Result<Self, HpcError> {
        let counter = |name, help| {
            registry()
                .counter(name, help)
                .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))
        };
        Ok(Self {
            cosigned: counter("hpc_witness_cosigned", "Checkpoints that were cosigned")?,
            refused: counter("hpc_witness_refused", "Requests that were refused")?,
            contradictions: counter(
                "hpc_witness_contradictions",
                "Requests that show, or seem to show, that a log signed two histories",
            )?,
            unstored: counter(
                "hpc_witness_unstored",
                "Requests that failed because the state could not be stored",
            )?,
        })
    }

    pub(super) fn count(&self, answer: &Answer) {
        match answer {
            Answer::Cosigned(_) => self.cosigned.inc(),
            Answer::Refused(refusal) => {
                self.refused.inc();
                if refusal.split().is_some() {
                    self.contradictions.inc();
                }
            }
            Answer::TooOften => self.refused.inc(),
            Answer::Unstored => self.unstored.inc(),
        }
    }
}

/// A witness that serves.
pub struct RunningWitness {
    /// Its state.
    pub witness: Arc<Witness>,
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl RunningWitness {
    /// Opens the state, binds and serves.
    ///
    /// # Errors
    /// What [`Witness::open`] and [`keys::read_private`] give; `HPC-USG-0012` for an address that is not loopback without
    /// a proxy before it; `HPC-NET-0002` for a port in use, `-0007` for an address that cannot be used.
    pub async fn start(options: WitnessOptions) -> Result<Self, HpcError> {
        if !options.listen.ip().is_loopback() && !options.behind_proxy {
            let message = format!(
                "refused to serve plain HTTP on {}; listen on loopback, or say `--behind-proxy` when a proxy with TLS is \
                 in front",
                options.listen
            );
            return Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message));
        }
        let witness =
            Arc::new(Witness::open(&options.data, keys::read_private(&options.key)?, options.logs)?);
        let door = Door::new(Arc::clone(&witness), Arc::new(Counts::registered()?));
        let server = door
            .serve_on(GrpcServerBuilder::plain_http(options.listen))
            .build()
            .map_err(|error| crate::daemon::grpc(options.listen, error))?;
        let address = server.local_addr();
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let signal = async move { drop(stopped.wait_for(|stop| *stop).await) };
            if let Err(error) = server.serve_with_shutdown(signal).await {
                tracing::error!(%error, "the witness stopped");
            }
        });
        Ok(Self { witness, address, stop, task })
    }

    /// Stops accepting and lets requests in flight end.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        drop(self.task.await);
    }
}

/// What `hpcd witness evidence` prints: every contradiction that is kept, for people or as JSON.
#[must_use]
pub fn evidence_text(found: &[Evidence], as_json: bool) -> String {
    let word = |strength| match strength {
        Strength::Conclusive => "conclusive",
        Strength::Suspected => "suspected",
    };
    if as_json {
        let list: Vec<_> = found
            .iter()
            .map(|evidence| {
                let (first, second) = (evidence.split.first(), evidence.split.second());
                json!({
                    "file": evidence.path.display().to_string(), "strength": word(evidence.split.strength()),
                    "log": first.origin, "sizes": [first.size, second.size],
                    "roots": [first.root.to_base64(), second.root.to_base64()],
                })
            })
            .collect();
        return format!("{}\n", json!(list));
    }
    let mut out = String::new();
    for evidence in found {
        let (first, second) = (evidence.split.first(), evidence.split.second());
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:10}  {}  sizes {} and {}  {}",
            word(evidence.split.strength()),
            first.origin,
            first.size,
            second.size,
            evidence.path.display()
        );
    }
    if found.is_empty() {
        out.push_str("no log has contradicted itself here\n");
    }
    out
}
