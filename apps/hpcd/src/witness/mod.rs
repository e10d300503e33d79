//! A witness: cosigns checkpoints of other logs after checking that they only grew. Source: c2sp.org/tlog-witness v1.0.0.
//!
//! The rules are those of `hpc_crypto::witness`. Here is what they leave to the caller: one step of check and store for
//! each log, durable before anything is answered, and evidence that is kept when a log contradicts itself.

pub mod keys;
pub mod limits;
pub mod store;

mod http;
mod run;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use hpc_crypto::cosignature::{Cosigner, CosignerKey};
use hpc_crypto::note::VerifierKey;
use hpc_crypto::witness::{AddCheckpoint, Refusal, Remembered, Strength, decide};
use hpc_error::{HpcError, codes};
use jiff::Timestamp;

pub use self::run::{RunningWitness, WitnessOptions, evidence_text};

use self::limits::{COSIGN_BURST, COSIGN_EVERY, LOGS_MAX};
use self::store::Store;

/// What comes of a request.
#[derive(Debug)]
pub enum Answer {
    /// Stored, and cosigned by this line.
    Cosigned(String),
    /// Not cosigned, for a reason of the protocol.
    Refused(Box<Refusal>),
    /// Not cosigned, because this log was cosigned too often in a short time.
    TooOften,
    /// Not cosigned, because the state could not be stored. Nothing was signed.
    Unstored,
}

/// One log that is witnessed.
struct Witnessed {
    /// The latest checkpoint that was cosigned.
    latest: Option<Remembered>,
    /// When the next cosignature is due if they come evenly.
    next: Option<Instant>,
}

/// The state of a witness.
pub struct Witness {
    cosigner: Cosigner,
    logs: Vec<VerifierKey>,
    /// By origin. Whoever holds the lock of a log checks and stores alone.
    state: BTreeMap<String, Mutex<Witnessed>>,
    store: Store,
}

impl Witness {
    /// Opens the state in `dir`, which is made when it is not there.
    ///
    /// # Errors
    /// `HPC-DAT-*` for state that cannot be read: a witness that forgot would sign a second history.
    /// `HPC-USG-0003` or `-0012` for logs that cannot be witnessed together.
    pub fn open(dir: &Path, cosigner: Cosigner, logs: Vec<VerifierKey>) -> Result<Self, HpcError> {
        if logs.is_empty() || logs.len() > LOGS_MAX {
            let message = format!("a witness takes 1 to {LOGS_MAX} logs, these are {}", logs.len());
            return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
        }
        for (at, log) in logs.iter().enumerate() {
            if log.public_key() == cosigner.key().public_key() {
                let message = format!(
                    "the key of the log `{}` is the witness's own; use one for one purpose",
                    log.name()
                );
                return Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message));
            }
            if logs.iter().skip(at + 1).any(|other| other.public_key() == log.public_key()) {
                let message = format!("the key of the log `{}` is there twice", log.name());
                return Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message));
            }
        }
        let store = Store::open(dir)?;
        let mut state = BTreeMap::new();
        for log in &logs {
            let latest = store.read(log.name())?;
            state.insert(log.name().to_owned(), Mutex::new(Witnessed { latest, next: None }));
        }
        Ok(Self { cosigner, logs, state, store })
    }

    /// The key that others check this witness's lines with.
    #[must_use]
    pub fn key(&self) -> &CosignerKey {
        self.cosigner.key()
    }

    /// The size of the latest checkpoint that was cosigned for a log; 0 for none.
    #[must_use]
    pub fn size_of(&self, origin: &str) -> u64 {
        let state = self.state.get(origin).and_then(|state| state.lock().ok());
        state.and_then(|state| Some(state.latest.as_ref()?.checkpoint().size)).unwrap_or(0)
    }

    /// Answers the body of a request: checks, stores durably, and only then signs. Waits for the disk.
    pub fn answer(&self, body: &[u8], now: Timestamp, instant: Instant) -> Answer {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return refused(Refusal::Malformed(error)),
        };
        let Some(state) = self.state.get(request.origin()) else {
            return refused(Refusal::UnknownLog { origin: request.origin().to_owned() });
        };
        // A lock that somebody panicked with may guard a state that is not the stored one.
        let Ok(mut state) = state.lock() else { return Answer::Unstored };
        let checkpoint = match decide(state.latest.as_ref(), &request, &self.logs) {
            Ok(checkpoint) => checkpoint,
            Err(refusal) => {
                self.report(&refusal);
                return refused(refusal);
            }
        };
        if !state.admit(instant) {
            return Answer::TooOften;
        }
        let latest = Remembered::from(&checkpoint);
        if state.latest.as_ref().is_none_or(|known| known.checkpoint() != latest.checkpoint()) {
            if let Err(error) = self.store.write(request.origin(), &latest) {
                tracing::error!(log = request.origin(), %error, "the witness cannot store its state and signs nothing");
                return Answer::Unstored;
            }
            state.latest = Some(latest);
        }
        let time_s = u64::try_from(now.as_second()).unwrap_or(0);
        match self.cosigner.cosign(&checkpoint, time_s) {
            Ok(line) => Answer::Cosigned(format!("{line}\n")),
            Err(error) => refused(Refusal::Malformed(error)),
        }
    }

    /// A log that contradicts itself is what a witness is for: evidence is kept, and nobody can overlook it.
    fn report(&self, refusal: &Refusal) {
        let Some(split) = refusal.split() else { return };
        let (origin, strength) = (&split.first().origin, split.strength());
        let (first, second) = (split.first().size, split.second().size);
        let kept = match self.store.keep(split) {
            Ok(Some(path)) => path.display().to_string(),
            Ok(None) => "not kept again".to_owned(),
            Err(error) => format!("could not be kept: {error}"),
        };
        match strength {
            Strength::Conclusive => tracing::error!(
                log = %origin, first, second, evidence = %kept,
                "THE LOG SIGNED TWO HISTORIES; keep the evidence and stop trusting its key"
            ),
            Strength::Suspected => tracing::warn!(
                log = %origin, first, second, evidence = %kept,
                "a checkpoint came with a proof that does not hold; if the log cannot show a better one, it signed two histories"
            ),
        }
    }
}

impl Witnessed {
    /// Lets [`COSIGN_BURST`] through at once, and then one every [`COSIGN_EVERY`].
    fn admit(&mut self, now: Instant) -> bool {
        let next = self.next.unwrap_or(now).max(now);
        let ahead = COSIGN_EVERY.saturating_mul(COSIGN_BURST.saturating_sub(1));
        if next.duration_since(now) > ahead {
            return false;
        }
        self.next = next.checked_add(COSIGN_EVERY);
        true
    }
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(Box::new(refusal))
}
