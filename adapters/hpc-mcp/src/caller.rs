//! Who calls, and what they may.

use std::collections::BTreeSet;

use crate::McpError;

/// Longest name of a principal, in bytes.
pub const PRINCIPAL_BYTES_MAX: usize = 256;

/// Longest name of a capability, in bytes.
pub const CAPABILITY_BYTES_MAX: usize = 64;

/// Most capabilities of one caller.
pub const CAPABILITIES_MAX: usize = 256;

/// The authenticated peer of a connection and its capabilities, as the app decided them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    principal: String,
    capabilities: BTreeSet<String>,
}

impl Caller {
    /// Somebody unknown, who may call only tools that require nothing.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { principal: "anonymous".to_owned(), capabilities: BTreeSet::new() }
    }

    /// `principal` with these capabilities and no others.
    ///
    /// # Errors
    /// [`McpError::InvalidCaller`] if the principal is empty, too long or has control characters, or a capability is
    /// no name.
    pub fn new<C: Into<String>>(
        principal: impl Into<String>,
        capabilities: impl IntoIterator<Item = C>,
    ) -> Result<Self, McpError> {
        let principal = principal.into();
        if principal.is_empty()
            || principal.len() > PRINCIPAL_BYTES_MAX
            || principal.chars().any(char::is_control)
        {
            return Err(McpError::InvalidCaller {
                reason: format!("a principal has 1 to {PRINCIPAL_BYTES_MAX} bytes and no control characters"),
            });
        }
        let mut held = BTreeSet::new();
        for capability in capabilities {
            let capability = capability.into();
            if !is_capability(&capability) {
                return Err(McpError::InvalidCaller {
                    reason: format!(
                        "a capability has 1 to {CAPABILITY_BYTES_MAX} letters, digits, `-`, `_`, `.` and `:`"
                    ),
                });
            }
            held.insert(capability);
            if held.len() > CAPABILITIES_MAX {
                return Err(McpError::InvalidCaller {
                    reason: format!("a caller has at most {CAPABILITIES_MAX} capabilities"),
                });
            }
        }
        Ok(Self { principal, capabilities: held })
    }

    /// The principal's name.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Whether the caller holds `capability`.
    #[must_use]
    pub fn may(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }
}

pub(crate) fn is_capability(name: &str) -> bool {
    (1..=CAPABILITY_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_may_what_it_was_given_and_nothing_else() {
        let caller = Caller::new("agent:train-bot", ["plan", "spend"]).unwrap();
        assert!(caller.may("plan") && caller.may("spend") && !caller.may("admin") && !caller.may(""));
        assert!(!Caller::anonymous().may("plan"));
    }

    #[test]
    fn bad_names_are_refused() {
        let none: [&str; 0] = [];
        for principal in ["", "a\nb", &"p".repeat(PRINCIPAL_BYTES_MAX + 1)] {
            assert!(Caller::new(principal, none).is_err(), "{principal:?}");
        }
        for capability in ["", "a b", "*", "ü", &"c".repeat(CAPABILITY_BYTES_MAX + 1)] {
            assert!(Caller::new("a", [capability]).is_err(), "{capability:?}");
        }
        assert!(Caller::new("a", (0..=CAPABILITIES_MAX).map(|index| format!("c{index}"))).is_err());
    }
}
