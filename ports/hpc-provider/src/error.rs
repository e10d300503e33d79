//! What went wrong at a provider: kind, scope, certainty, and what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest provider code or message kept, in bytes: both are untrusted text.
pub const PROVIDER_TEXT_BYTES_MAX: usize = 256;

/// What kind of failure it is: decides what happens to the offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// No stock. Try the next offer, remember this one.
    Capacity,
    /// A quota would be exceeded. Block the family in the region.
    Quota,
    /// Too many calls. Slow down, same offer.
    Throttled,
    /// The offer cannot be bought like this. Drop it and report.
    Config,
    /// The credential is missing, wrong or expired. Stop using the provider.
    Auth,
    /// The thing is not there, or not yet: after a create it does not prove absence.
    NotFound,
    /// The same token came with other parameters.
    Conflict,
    /// The deadline passed.
    Deadline,
    /// The provider cannot do this at all; its description says so.
    Unsupported,
    /// Anything else, unknown codes included. Block the zone for a while.
    Internal,
}

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// One zone.
    Zone,
    /// One region.
    Region,
    /// The account at this provider.
    Account,
    /// The whole provider.
    Provider,
}

/// Whether the effect happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// Certainly nothing happened.
    NotDone,
    /// It happened, although an error came back.
    Done,
    /// Nobody knows: ask by tag before doing anything else.
    Unknown,
}

/// A failure at a provider.
///
/// The provider's own code and message are kept as data, cut to [`PROVIDER_TEXT_BYTES_MAX`] and stripped of control
/// characters: they are untrusted text, never to be parsed or rendered as markup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// How far it reaches.
    pub scope: Scope,
    /// Whether the effect happened.
    pub certainty: Certainty,
    /// How long to wait before the next try, in milliseconds, when the provider says so.
    pub retry_after_ms: Option<u64>,
    /// The provider's code, for example `InsufficientInstanceCapacity`.
    pub code: String,
    /// The provider's message.
    pub message: String,
}

/// The result of a provider call.
pub type Result<T> = std::result::Result<T, ProviderError>;

impl ProviderError {
    /// A failure; `code` and `message` are cut and cleaned.
    #[must_use]
    pub fn new(kind: ErrorKind, scope: Scope, certainty: Certainty, code: &str, message: &str) -> Self {
        Self { kind, scope, certainty, retry_after_ms: None, code: clean(code), message: clean(message) }
    }

    /// The answer of a method that this provider does not have.
    #[must_use]
    pub fn unsupported(method: &str) -> Self {
        let message = format!("this provider has no `{method}`; its description says so");
        Self::new(ErrorKind::Unsupported, Scope::Provider, Certainty::NotDone, "Unsupported", &message)
    }

    /// Adds how long to wait.
    #[must_use]
    pub fn retry_after_ms(mut self, wait: u64) -> Self {
        self.retry_after_ms = Some(wait);
        self
    }

    /// Whether the same call with the same token may simply be made again.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        matches!(self.kind, ErrorKind::Throttled | ErrorKind::Deadline)
            || self.certainty == Certainty::Unknown
    }
}

fn clean(text: &str) -> String {
    let mut clean = String::new();
    for character in text.chars().filter(|c| !c.is_control()) {
        if clean.len() + character.len_utf8() > PROVIDER_TEXT_BYTES_MAX {
            break;
        }
        clean.push(character);
    }
    clean
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Capacity => "no stock",
            ErrorKind::Quota => "quota exceeded",
            ErrorKind::Throttled => "too many calls",
            ErrorKind::Config => "offer refused",
            ErrorKind::Auth => "credential refused",
            ErrorKind::NotFound => "not found",
            ErrorKind::Conflict => "token reused with other parameters",
            ErrorKind::Deadline => "deadline passed",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Internal => "provider failure",
        };
        let outcome = match self.certainty {
            Certainty::NotDone => "nothing was done",
            Certainty::Done => "it was done all the same",
            Certainty::Unknown => "outcome unknown",
        };
        write!(f, "{what} (`{}`: {}); {outcome}", self.code, self.message)
    }
}

impl std::error::Error for ProviderError {}
