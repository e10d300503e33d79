//! What the first boot runs: the agent, with a token that is used once.

use std::fmt;

use async_trait::async_trait;
use base64::Engine;
use zeroize::Zeroizing;

/// Most user data that EC2 takes, in bytes before encoding.
pub const USER_DATA_BYTES_MAX: usize = 16 << 10;

/// What the first boot runs. It holds a token: it has no readable `Debug`, and is wiped when dropped.
pub struct UserData(Zeroizing<String>);

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserData(..)")
    }
}

/// Why user data was refused. The text never holds any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserDataError {
    /// Longer than [`USER_DATA_BYTES_MAX`].
    #[error("user data has {0} bytes, EC2 takes {USER_DATA_BYTES_MAX}")]
    Long(usize),
    /// A value that cannot stand in the script.
    #[error("the {0} has a character that cannot stand in the first boot's script")]
    Text(&'static str),
    /// The reference leads nowhere.
    #[error("`{0}` names no user data; it may have been used up")]
    Unknown(String),
}

/// Turns a reference in an intent into what it stands for.
///
/// The same reference must give the same data as long as its intent is open: a repeated create with other user data would
/// be refused as a conflict.
#[async_trait]
pub trait UserDataSource: Send + Sync {
    /// What the reference stands for.
    ///
    /// # Errors
    /// [`UserDataError::Unknown`] when it stands for nothing.
    async fn resolve(&self, reference: &str) -> Result<UserData, UserDataError>;

    /// Whether there is anything to resolve: what the provider says of itself as `Supports::user_data`.
    fn is_there(&self) -> bool {
        true
    }
}

/// Knows no reference.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoUserData;

#[async_trait]
impl UserDataSource for NoUserData {
    async fn resolve(&self, reference: &str) -> Result<UserData, UserDataError> {
        Err(UserDataError::Unknown(reference.chars().take(40).collect()))
    }

    fn is_there(&self) -> bool {
        false
    }
}

/// How the agent joins.
pub struct AgentStart<'a> {
    /// The daemon's control API, for example `https://hpcd.internal:7801`.
    pub daemon: &'a str,
    /// The one-time token.
    pub token: &'a str,
    /// The lease the node works for.
    pub lease: Option<&'a str>,
}

impl UserData {
    /// A script of the caller's own.
    ///
    /// # Errors
    /// [`UserDataError::Long`].
    pub fn new(script: String) -> Result<Self, UserDataError> {
        let script = Zeroizing::new(script);
        if script.len() > USER_DATA_BYTES_MAX {
            return Err(UserDataError::Long(script.len()));
        }
        Ok(Self(script))
    }

    /// A script that starts `hpc-agent`, which the image must have in its path.
    ///
    /// The token goes into a file that root alone can read, is given to the agent by its name, and is removed when the
    /// agent has ended. EC2 shows user data to whoever may read the instance's attributes and to every process on the
    /// instance that reaches its metadata service: a token that is used once and ends soon is what belongs there.
    ///
    /// # Errors
    /// [`UserDataError::Text`] for a value with a character outside letters, digits and `-_.:/=+[]`.
    pub fn agent(start: &AgentStart<'_>) -> Result<Self, UserDataError> {
        let plain = |what, text: &str| {
            let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:/=+[]".contains(c);
            if text.is_empty() || !text.chars().all(fine) { Err(UserDataError::Text(what)) } else { Ok(()) }
        };
        plain("daemon's address", start.daemon)?;
        plain("token", start.token)?;
        let lease = match start.lease {
            Some(lease) => {
                plain("lease", lease)?;
                format!(" --lease '{lease}'")
            }
            None => String::new(),
        };
        Self::new(format!(
            "#!/bin/sh\n\
             set -eu\n\
             umask 077\n\
             mkdir -p /run/hpc-agent\n\
             printf '%s\\n' '{}' >/run/hpc-agent/token\n\
             trap 'rm -f /run/hpc-agent/token' EXIT\n\
             hpc-agent run --token-file /run/hpc-agent/token --daemon '{}'{lease}\n",
            start.token, start.daemon
        ))
    }

    /// As EC2 wants it: base 64.
    #[must_use]
    pub fn encoded(&self) -> Zeroizing<String> {
        Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(self.0.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: AgentStart<'_> = AgentStart {
        daemon: "https://hpcd.internal:7801",
        token: "jt1_secret=",
        lease: Some("lse_00000000000000000000000001"),
    };

    #[test]
    fn the_agent_is_started_with_its_token_in_a_file() {
        let data = UserData::agent(&START).unwrap();
        let script = data.0.as_str();
        let start = script.lines().last().unwrap();
        assert_eq!(
            start,
            "hpc-agent run --token-file /run/hpc-agent/token --daemon 'https://hpcd.internal:7801' \
             --lease 'lse_00000000000000000000000001'"
        );
        assert!(!start.contains(START.token), "a token on a command line is seen by everybody");
        let umask = script.find("umask 077").unwrap();
        assert!(umask < script.find(START.token).unwrap(), "before the file is made");
        let decoded = base64::engine::general_purpose::STANDARD.decode(data.encoded().as_bytes()).unwrap();
        assert_eq!(decoded, script.as_bytes());
    }

    #[test]
    fn nothing_breaks_out_of_the_quotes() {
        for evil in ["a'; rm -rf / #", "a\nb", "$(x)", "`x`", "", "a b", "ü"] {
            for start in [
                AgentStart { token: evil, ..START },
                AgentStart { daemon: evil, ..START },
                AgentStart { lease: Some(evil), ..START },
            ] {
                assert!(matches!(UserData::agent(&start), Err(UserDataError::Text(_))), "{evil:?}");
            }
        }
    }

    #[test]
    fn no_error_and_no_debug_text_holds_the_token() {
        let data = UserData::agent(&START).unwrap();
        assert_eq!(format!("{data:?}"), "UserData(..)");
        let error = UserData::agent(&AgentStart { token: "jt1_s'ecret", ..START }).unwrap_err();
        assert!(!error.to_string().contains("ecret"), "{error}");
    }

    #[test]
    fn as_long_as_ec2_takes() {
        assert!(UserData::new("x".repeat(USER_DATA_BYTES_MAX)).is_ok());
        let long = UserData::new("x".repeat(USER_DATA_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(long, UserDataError::Long(USER_DATA_BYTES_MAX + 1));
    }
}
