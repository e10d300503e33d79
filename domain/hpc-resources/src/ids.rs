//! Names of things: requests, plans, intents, leases, providers, places.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// Longest identifier accepted, in bytes.
pub const ID_BYTES_MAX: usize = 128;

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Empty, or longer than [`ID_BYTES_MAX`].
    #[error("a {kind} has 1 to {ID_BYTES_MAX} characters, this one has {length}")]
    Length {
        /// What was being named.
        kind: &'static str,
        /// How many bytes were given.
        length: usize,
    },
    /// A character outside the allowed set.
    #[error("`{character}` cannot stand in a {kind}; use letters, digits, `-`, `_` and `.`")]
    Character {
        /// What was being named.
        kind: &'static str,
        /// The first offending character.
        character: char,
    },
    /// The prefix of a generated id is missing.
    #[error("a {kind} starts with `{prefix}`")]
    Prefix {
        /// What was being named.
        kind: &'static str,
        /// The prefix it must have.
        prefix: &'static str,
    },
}

fn check(kind: &'static str, prefix: &'static str, text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > ID_BYTES_MAX {
        return Err(IdError::Length { kind, length: text.len() });
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(character) = text.chars().find(|c| !allowed(c)) {
        return Err(IdError::Character { kind, character });
    }
    if !text.starts_with(prefix) {
        return Err(IdError::Prefix { kind, prefix });
    }
    Ok(())
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $kind:literal, $prefix:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("What every ", $kind, " starts with.")]
            pub const PREFIX: &'static str = $prefix;

            #[doc = concat!("Checks and keeps a ", $kind, ".")]
            ///
            /// # Errors
            /// [`IdError`] when it is empty, too long, has a character outside letters, digits, `-`, `_`, `.`,
            /// or lacks its prefix.
            pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check($kind, $prefix, &text)?;
                Ok(Self(text))
            }

            #[doc = concat!("Makes a ", $kind, " from 128 bits of the caller's chance or derivation.")]
            #[must_use]
            pub fn from_bits(bits: u128) -> Self {
                Self(format!("{}{}", $prefix, crockford(bits)))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    };
}

/// 128 bits as 26 characters of Crockford's base 32 (no i, l, o, u), lower case.
fn crockford(bits: u128) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    (0..26)
        .rev()
        .filter_map(|place| {
            let index = usize::try_from((bits >> (place * 5)) & 31).ok()?;
            ALPHABET.get(index).map(|byte| char::from(*byte))
        })
        .collect()
}

id!(
    /// One request for capacity, as a caller stated it.
    RequestId, "request id", "req_"
);
id!(
    /// One plan made from a request.
    PlanId, "plan id", "pln_"
);
id!(
    /// One journaled attempt to create capacity.
    IntentId, "intent id", "int_"
);
id!(
    /// One lease: capacity held, metered and owned by somebody.
    LeaseId, "lease id", "lse_"
);
id!(
    /// One policy decision that an administrator can look up.
    DecisionId, "decision id", "dec_"
);
id!(
    /// One request for a person's approval.
    ApprovalId, "approval id", "apr_"
);
id!(
    /// A configured provider, for example `sim-aws`.
    ProviderId, "provider id", ""
);
id!(
    /// A region in the provider's own words, for example `us-east-1`.
    Region, "region", ""
);
id!(
    /// A zone by its account-independent id, for example `use1-az1` (never `us-east-1a`, which differs per account).
    ZoneId, "zone id", ""
);
id!(
    /// A machine type in the provider's own words, for example `p5.48xlarge`.
    InstanceType, "instance type", ""
);
id!(
    /// A quota family in the provider's own words, for example `L-7212CCBC` or `NVIDIA_H100_GPUS`.
    QuotaFamily, "quota family", ""
);
id!(
    /// Capacity that was set aside, in the provider's own words, for example `cr-0a1b2c3d` or the name of a reservation.
    ReservationId, "reservation id", ""
);
id!(
    /// A team that owns a budget.
    TeamId, "team", ""
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_parse_and_sort_by_bits() {
        let low = LeaseId::from_bits(1);
        let high = LeaseId::from_bits(u128::MAX);
        assert!(low < high);
        assert_eq!(LeaseId::parse(high.as_str().to_owned()), Ok(high.clone()));
        assert_eq!(high.as_str().len(), 30);
    }

    #[test]
    fn hostile_names_are_refused() {
        assert!(matches!(Region::parse(""), Err(IdError::Length { .. })));
        assert!(matches!(Region::parse("x".repeat(129)), Err(IdError::Length { .. })));
        assert!(Region::parse("x".repeat(128)).is_ok());
        for text in ["a/b", "a b", "a\n", "ü", "a*"] {
            assert!(matches!(Region::parse(text), Err(IdError::Character { .. })), "{text}");
        }
        assert!(matches!(LeaseId::parse("pln_1"), Err(IdError::Prefix { .. })));
    }
}
