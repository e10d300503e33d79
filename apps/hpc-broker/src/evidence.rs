//! What the audit log keeps of a policy decision: enough to ask the same question of other policies.

use std::collections::BTreeMap;

use hpc_audit::{ENTRY_BYTES_MAX, Entry, Outcome};
use hpc_error::HpcError;
use hpc_policy::{Decision, EvaluationContext, RecordedDecision};
use hpc_resources::DecisionId;
use serde_json::Value;

use crate::broker::Broker;
use crate::entry::{say, say_number};
use crate::environment::Caller;
use crate::store::Change;

/// The field of an audit entry that holds a decision; a second one of the same entry has a word after a dot.
const FIELD: &str = "policy_decision";
/// The field that says why there is none.
const FIELD_OMITTED: &str = "policy_decision_omitted";
/// Most bytes of a decision as JSON; a longer one is left out of the entry, which says so.
pub const DECISION_BYTES_MAX: usize = 16 * 1024;

/// One decision: what was asked and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) context: EvaluationContext,
    pub(crate) decision: Decision,
    /// The obligations that were carried out there.
    pub(crate) understood: &'static [&'static str],
}

/// A decision in the form in which audit entries carry it, without the values of secret attributes.
#[derive(Clone, Debug)]
pub struct Evidence {
    digest: String,
    /// The decision as JSON, or why there is none.
    text: Result<String, String>,
}

impl Judged {
    pub(crate) fn evidence(&self) -> Evidence {
        let recorded = RecordedDecision::of(&self.context, &self.decision, self.understood);
        let text = recorded.map_err(|error| error.to_string()).and_then(|recorded| {
            let text = serde_json::to_string(&recorded).map_err(|error| error.to_string())?;
            let bytes = text.len();
            if bytes > DECISION_BYTES_MAX {
                return Err(format!("it has {bytes} bytes, at most {DECISION_BYTES_MAX} are kept"));
            }
            Ok(text)
        });
        Evidence { digest: self.decision.digest.to_string(), text }
    }
}

impl Evidence {
    /// Puts the decision into an entry. What does not fit is left out, and the entry says so.
    pub fn put(&self, entry: &mut Entry) {
        say(entry, "policy_digest", &self.digest);
        self.put_as(entry, FIELD);
    }

    /// Puts a second decision beside the first, under another name.
    pub(crate) fn put_beside(&self, entry: &mut Entry, word: &str) {
        self.put_as(entry, &format!("{FIELD}.{word}"));
    }

    fn put_as(&self, entry: &mut Entry, field: &str) {
        let why = match &self.text {
            Ok(text) => {
                say(entry, field, text);
                match entry.encode() {
                    Ok(_) => return,
                    Err(_) => {
                        entry.data.remove(field);
                        format!("the entry would have more than {ENTRY_BYTES_MAX} bytes")
                    }
                }
            }
            Err(why) => why.clone(),
        };
        say(entry, FIELD_OMITTED, &why.chars().filter(|c| !c.is_control()).take(256).collect::<String>());
    }
}

/// The decisions in the data of an audit entry, in the order of their fields: read, or why they cannot be.
///
/// No field, no decision: entries of what asks no policy have none.
#[must_use]
pub fn decisions_in(data: &BTreeMap<String, Value>) -> Vec<Result<RecordedDecision, String>> {
    let mut found = Vec::new();
    for (field, value) in data {
        if field == FIELD_OMITTED {
            let why = value.as_str().unwrap_or("it was left out");
            found.push(Err(format!("left out when it was recorded: {why}")));
        } else if field == FIELD || field.strip_prefix(FIELD).is_some_and(|rest| rest.starts_with('.')) {
            found.push(match value.as_str() {
                Some(text) if text.len() > DECISION_BYTES_MAX => {
                    Err(format!("it has {} bytes, at most {DECISION_BYTES_MAX} are read", text.len()))
                }
                Some(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
                None => Err("it is not text".to_owned()),
            });
        }
    }
    found
}

/// A refusal on its way into the audit log.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: HpcError,
    /// What was asked for, such as `lease.release`.
    pub(crate) action: &'static str,
    /// Type and id of the thing, such as `lease` and `lse_x`.
    pub(crate) subject: (String, String),
    /// The decision; `None` where no policy had to be asked to refuse.
    pub(crate) judged: Option<Box<Judged>>,
}

impl Broker {
    /// Records a refusal and gives back the error to answer with. Each attempt has its own entry, under an id drawn for
    /// it, so that what a crash leaves in the outbox is appended once.
    ///
    /// A refusal stands, whether or not it can be recorded; where it cannot, the error says so. So does one of a caller
    /// who was refused too often to record each: the next entry of theirs has the number of those.
    pub(crate) async fn refused(&self, caller: &Caller, refusal: Refusal) -> HpcError {
        let Refusal { error, action, subject: (kind, id), judged } = refusal;
        let attempt = DecisionId::from_bits(self.fresh_bits());
        let now = self.environment.now();
        let Some(suppressed) = self.refusals.admit(&caller.name, now) else {
            return error.with("unrecorded", "too many refusals of this caller; they are counted");
        };
        let mut entry = self.scribe.entry(
            format!("{attempt}.denied"),
            now,
            &caller.name,
            "policy.denied",
            Outcome::Denied,
        );
        entry.subjects.insert("decision".to_owned(), attempt.to_string());
        entry.subjects.insert(kind, id);
        say(&mut entry, "action", action);
        if suppressed > 0 {
            say_number(&mut entry, "unrecorded_before", suppressed);
        }
        if let Some(code) = error.code_text() {
            say(&mut entry, "code", code);
        }
        match &judged {
            Some(judged) => judged.evidence().put(&mut entry),
            None => say(&mut entry, "reason", &error.message().chars().take(512).collect::<String>()),
        }
        match self.store.commit_even_unaudited(Change::new().say(entry)).await {
            // An error has no room for a proof: it names the entry, and the log proves it to whoever may read it.
            Ok(committed) => match committed.receipts.first() {
                Some(receipt) => error
                    .with("audit_index", receipt.index)
                    .with("audit_leaf_hash", receipt.leaf_hash.to_base64()),
                None => error,
            },
            Err(failure) => {
                let failure = HpcError::from(failure);
                error.with("unrecorded", failure.message())
            }
        }
    }
}
