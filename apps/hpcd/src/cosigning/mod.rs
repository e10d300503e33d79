//! Asks witnesses to cosign the audit log's checkpoints, and keeps the newest that satisfies the policy's quorum.
//!
//! Apart from everything else: a witness that is silent, slow or wrong keeps nothing waiting. What a witness answers is
//! checked before it is believed. Source: c2sp.org/tlog-witness v1.0.0, c2sp.org/tlog-policy.

pub mod limits;

mod client;
mod kept;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hpc_audit::{AuditLog, SignedCheckpoint, TileSource, VerifierKey};
use hpc_crypto::cosignature::{self, Clock};
use hpc_crypto::tlog_policy::{PolicyWitness, TlogPolicy};
use hpc_crypto::witness::AddCheckpoint;
use hpc_error::{HpcError, codes};
use jiff::Timestamp;
use serde::Serialize;
use tokio::task::JoinSet;

use self::client::{Client, Reply};
use self::limits::{AHEAD_S_MAX, QUORUM_LATE_MAX, TRIES_MAX};

/// What is known of one witness.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WitnessState {
    /// Its name in the policy.
    pub name: String,
    /// Size of the newest checkpoint that it cosigned since the daemon began; 0 for none.
    pub size: u64,
    /// What went wrong the last time that it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How cosigning goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CosignState {
    /// Size of the newest checkpoint with the policy's quorum; 0 for none.
    pub size: u64,
    /// That checkpoint, as a signed note with its cosignatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Since when the newest checkpoint lacks its quorum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_since: Option<Timestamp>,
    /// What the quorum lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// The witnesses, in the order of the policy.
    pub witnesses: Vec<WitnessState>,
    /// Whether the alarm was raised.
    #[serde(skip)]
    alarmed: bool,
}

impl CosignState {
    /// Whether the quorum has been missed for too long.
    #[must_use]
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.behind_since.is_some_and(|since| now.duration_since(since) > QUORUM_LATE_MAX)
    }
}

/// One log whose checkpoints are cosigned.
pub struct Cosigning {
    policy: TlogPolicy,
    client: Client,
    file: PathBuf,
    state: Mutex<CosignState>,
}

impl Cosigning {
    /// Reads the policy and the newest cosigned checkpoint of an earlier run.
    ///
    /// # Errors
    /// `HPC-USG-0005`, `-0006` or `-0001` for a policy that cannot be read, `-0012` for one that is about other logs or
    /// names no witness to ask; `HPC-DAT-0001` for a damaged file of an earlier run.
    pub fn open(policy: &Path, file: PathBuf, log: &VerifierKey) -> Result<Self, HpcError> {
        let policy = kept::read_policy(policy, log)?;
        let client = Client::new()?;
        for witness in policy.witnesses() {
            client::url(witness)?;
        }
        if policy.witnesses().iter().all(|witness| witness.url.is_none()) {
            let message = "the audit policy names no witness with a URL; without one nobody can be asked";
            return Err(HpcError::coded(&codes::USG_MISSING_FIELD, message));
        }
        let witnesses = policy
            .witnesses()
            .iter()
            .map(|witness| WitnessState { name: witness.name.to_string(), ..WitnessState::default() });
        let mut state = CosignState { witnesses: witnesses.collect(), ..CosignState::default() };
        // One that a newer policy is not content with is not shown, and made anew.
        if let Some(signed) = kept::read(&file, log)?
            && policy.evaluate(signed.to_string().as_bytes(), None).is_ok_and(|verdict| verdict.holds())
        {
            state.size = signed.checkpoint().size;
            state.note = Some(signed.to_string());
        }
        Ok(Self { policy, client, file, state: Mutex::new(state) })
    }

    /// How it goes.
    #[must_use]
    pub fn state(&self) -> CosignState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut CosignState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// One round: asks every witness about the newest published checkpoint, unless that has its quorum already.
    pub async fn round<L: AuditLog + TileSource + 'static>(&self, log: &Arc<L>, now: Timestamp) {
        let published = log.published();
        let (size, before) = (published.checkpoint().size, self.state());
        if size < before.size {
            let missing = format!(
                "{} entries are cosigned and the log has {size}: it went back, or was put back",
                before.size
            );
            if before.missing.as_ref() != Some(&missing) {
                tracing::error!(%missing, "THE AUDIT LOG CONTRADICTS WHAT ITS WITNESSES COSIGNED");
            }
            self.change(|state| {
                state.behind_since.get_or_insert(now);
                state.missing = Some(missing);
            });
            return;
        }
        if size == 0 || size == before.size {
            self.change(|state| (state.behind_since, state.missing) = (None, None));
            return;
        }
        let mut asked = JoinSet::new();
        for (at, witness) in self.policy.witnesses().iter().enumerate() {
            let old = before.witnesses.get(at).map_or(0, |state| state.size);
            let (client, witness) = (self.client.clone(), witness.clone());
            let (log, published) = (Arc::clone(log), published.clone());
            asked.spawn(async move { (at, ask(&client, &witness, log.as_ref(), published, old).await) });
        }
        let mut cosigned = published;
        while let Some(answer) = asked.join_next().await {
            let Ok((at, answer)) = answer else { continue };
            let Some(witness) = self.policy.witnesses().get(at) else { continue };
            let outcome = answer.and_then(|lines| {
                let keys = std::slice::from_ref(&witness.key);
                let added = cosignature::add_reply(&mut cosigned, lines.as_bytes(), keys, Some(clock(now)));
                added.map(|_| ()).map_err(|error| format!("its answer does not hold: {error}"))
            });
            self.note(at, size, outcome);
        }
        self.judge(&cosigned, now);
    }

    /// Remembers what came of asking one witness; what changed is in the daemon's log.
    fn note(&self, at: usize, size: u64, outcome: Result<(), String>) {
        self.change(|state| {
            let Some(witness) = state.witnesses.get_mut(at) else { return };
            let problem = match outcome {
                Ok(()) => {
                    witness.size = size;
                    None
                }
                Err(problem) => Some(problem),
            };
            match &problem {
                Some(problem) if witness.problem.as_ref() != Some(problem) => {
                    tracing::warn!(witness = %witness.name, %problem, "a witness did not cosign the audit log");
                }
                None if witness.problem.is_some() => {
                    tracing::info!(witness = %witness.name, "a witness cosigns the audit log again");
                }
                _ => {}
            }
            witness.problem = problem;
        });
    }

    /// Keeps the checkpoint if its quorum holds; says so once when it has been missed for too long.
    fn judge(&self, cosigned: &SignedCheckpoint, now: Timestamp) {
        let note = cosigned.to_string();
        let verdict = self.policy.evaluate(note.as_bytes(), Some(clock(now)));
        let missing = match verdict.map(|verdict| verdict.missing().map(str::to_owned)) {
            Ok(None) => match kept::write(&self.file, &note) {
                Ok(()) => None,
                Err(error) => Some(format!("`{}` cannot be written: {error}", self.file.display())),
            },
            Ok(missing) => missing,
            Err(error) => Some(error.to_string()),
        };
        self.change(|state| {
            match missing {
                None => {
                    if std::mem::take(&mut state.alarmed) {
                        tracing::info!("the audit log's checkpoints have their quorum again");
                    }
                    let size = cosigned.checkpoint().size;
                    (state.size, state.note, state.behind_since, state.missing) = (size, Some(note), None, None);
                }
                Some(missing) => {
                    let since = *state.behind_since.get_or_insert(now);
                    if state.is_late(now) && !std::mem::replace(&mut state.alarmed, true) {
                        tracing::error!(%since, %missing, "THE AUDIT LOG IS NOT WITNESSED: its checkpoints lack their quorum");
                    }
                    state.missing = Some(missing);
                }
            }
        });
    }
}

fn clock(now: Timestamp) -> Clock {
    Clock { now_s: u64::try_from(now.as_second()).unwrap_or(0), ahead_s_max: AHEAD_S_MAX }
}

/// Asks one witness, which may first say where it is. Gives its signature lines, not yet checked.
async fn ask(
    client: &Client,
    witness: &PolicyWitness,
    log: &dyn AuditLog,
    published: SignedCheckpoint,
    mut old: u64,
) -> Result<String, String> {
    let size = published.checkpoint().size;
    let url = client::url(witness).ok().flatten().ok_or("the policy gives no URL for it")?;
    for _ in 0..TRIES_MAX {
        let proof = match old {
            0 => Vec::new(),
            old if old == size => Vec::new(),
            old => log.consistency(old, size).await.map_err(|error| error.to_string())?.hashes,
        };
        let request = AddCheckpoint::new(old, proof, &published).map_err(|error| error.to_string())?;
        match client.add_checkpoint(url.clone(), request.to_string()).await? {
            Reply::Cosigned(lines) => return Ok(lines),
            Reply::Elsewhere(at) if at > size => {
                let problem = format!(
                    "it has cosigned {at} entries of this log, which has {size}: the log went back, or was copied with its key"
                );
                tracing::error!(witness = %witness.name, %problem, "THE AUDIT LOG CONTRADICTS ITS WITNESS");
                return Err(problem);
            }
            Reply::Elsewhere(at) if at == old => {
                let problem =
                    format!("it has cosigned another tree of {at} entries of this log: the log was changed");
                tracing::error!(witness = %witness.name, %problem, "THE AUDIT LOG CONTRADICTS ITS WITNESS");
                return Err(problem);
            }
            Reply::Elsewhere(at) => old = at,
        }
    }
    Err("it names another size each time".to_owned())
}
