//! Who pays: a team, a person, a program, an agent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::{ID_BYTES_MAX, TeamId};

/// What kind of payer a [`Payer`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PayerKind {
    /// A team.
    Team,
    /// A person.
    User,
    /// A program that acts for somebody, such as an AI agent.
    Agent,
    /// A program run by the operator.
    Service,
}

impl PayerKind {
    const ALL: [Self; 4] = [Self::Team, Self::User, Self::Agent, Self::Service];

    /// The word before the colon: `team`, `user`, `agent` or `service`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::User => "user",
            Self::Agent => "agent",
            Self::Service => "service",
        }
    }
}

/// One who can have budgets, written `team:ml`, `user:alice`, `agent:train-bot`.
///
/// # Example
/// ```
/// use hpc_resources::{Payer, PayerKind};
///
/// let bot: Payer = "agent:train-bot".parse()?;
/// assert_eq!((bot.kind(), bot.id()), (PayerKind::Agent, "train-bot"));
/// assert!("robot:x".parse::<Payer>().is_err());
/// # Ok::<(), hpc_resources::PayerError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payer {
    kind: PayerKind,
    id: String,
}

/// Why a text names no payer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayerError {
    /// The word before the colon is missing or unknown.
    #[error("write `team:`, `user:`, `agent:` or `service:` and a name, for example `team:ml`")]
    Kind,
    /// The name is empty, too long, or has another character.
    #[error(
        "a {0} has a name of 1 to {ID_BYTES_MAX} letters, digits, `-`, `_`, `.`, `@`, `+`, and `/` between parts"
    )]
    Name(&'static str),
}

impl Payer {
    /// A payer of a kind.
    ///
    /// # Errors
    /// [`PayerError::Name`] for a name that is none.
    pub fn new(kind: PayerKind, id: impl Into<String>) -> Result<Self, PayerError> {
        let id = id.into();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@+/".contains(&byte);
        let whole = id.len() <= ID_BYTES_MAX
            && id.bytes().all(allowed)
            && id.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if whole { Ok(Self { kind, id }) } else { Err(PayerError::Name(kind.as_str())) }
    }

    /// A team.
    #[must_use]
    pub fn team(team: &TeamId) -> Self {
        Self { kind: PayerKind::Team, id: team.as_str().to_owned() }
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> PayerKind {
        self.kind
    }

    /// The name, unique within its kind.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.id)
    }
}

impl fmt::Debug for Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Payer {
    type Err = PayerError;

    fn from_str(text: &str) -> Result<Self, PayerError> {
        let (word, id) = text.split_once(':').ok_or(PayerError::Kind)?;
        let kind = PayerKind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or(PayerError::Kind)?;
        if kind == PayerKind::Team && TeamId::parse(id).is_err() {
            return Err(PayerError::Name(kind.as_str()));
        }
        Self::new(kind, id)
    }
}

impl Serialize for Payer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Payer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payers_are_written_as_they_are_read() {
        for text in ["team:ml", "user:alice@example.org", "agent:lab/train-bot", "service:node/gpu-1"] {
            assert_eq!(text.parse::<Payer>().unwrap().to_string(), text);
        }
        assert_eq!(Payer::team(&TeamId::parse("ml").unwrap()).to_string(), "team:ml");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "ml", "robot:x", "Team:ml", ":ml"] {
            assert_eq!(text.parse::<Payer>(), Err(PayerError::Kind), "{text}");
        }
        let long = format!("user:{}", "x".repeat(129));
        for text in [
            "user:",
            "user:a b",
            "user:a//b",
            "user:/a",
            "user:../b",
            "team:a/b",
            "user:ü",
            "user:a\n",
            &long,
        ] {
            assert!(matches!(text.parse::<Payer>(), Err(PayerError::Name(_))), "{text}");
        }
    }
}
