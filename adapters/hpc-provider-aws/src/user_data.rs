//! What the first boot runs: the agent, with a token that is used once.

use std::fmt;

use async_trait::async_trait;
use base64::Engine;
use zeroize::Zeroizing;

/// Most user data that EC2 takes, in bytes before encoding.
pub const USER_DATA_BYTES_MAX: usize = 16 << 10;

/// Most instances of one create that start an agent: one token each is what fits into [`USER_DATA_BYTES_MAX`].
pub const AGENTS_MAX: usize = 64;

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
    /// No token, or more than [`AGENTS_MAX`].
    #[error("{0} agents were to be started by one create, 1 to {AGENTS_MAX} can be")]
    Agents(usize),
    /// It cannot be made now.
    #[error("what the first boot runs cannot be made: {0}")]
    Failed(String),
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
    /// A one-time token for each instance of the create, in order of their launch index; 1 to [`AGENTS_MAX`].
    pub tokens: &'a [&'a str],
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
    /// agent has ended. All instances of one create get one script: with several tokens it asks the metadata service which
    /// instance it is on (`ami-launch-index`; needs `curl`), and takes that token. EC2 shows user data to whoever may read
    /// an instance's attributes and to every process on the instance that reaches its metadata service: tokens that are
    /// used once and end soon are what belongs there.
    ///
    /// # Errors
    /// [`UserDataError::Text`] for a value with a character outside letters, digits and `-_.:/=+[]`,
    /// [`UserDataError::Agents`], [`UserDataError::Long`].
    pub fn agent(start: &AgentStart<'_>) -> Result<Self, UserDataError> {
        let plain = |what, text: &str| {
            let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:/=+[]".contains(c);
            if text.is_empty() || !text.chars().all(fine) { Err(UserDataError::Text(what)) } else { Ok(()) }
        };
        plain("daemon's address", start.daemon)?;
        if start.tokens.len() > AGENTS_MAX {
            return Err(UserDataError::Agents(start.tokens.len()));
        }
        for token in start.tokens {
            plain("token", token)?;
        }
        let token = match start.tokens {
            [] => return Err(UserDataError::Agents(0)),
            [token] => Zeroizing::new(format!("token='{token}'\n")),
            several => by_launch_index(several),
        };
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
             {}\
             printf '%s\\n' \"$token\" >/run/hpc-agent/token\n\
             trap 'rm -f /run/hpc-agent/token' EXIT\n\
             hpc-agent run --token-file /run/hpc-agent/token --daemon '{}'{lease}\n",
            token.as_str(),
            start.daemon
        ))
    }

    /// As EC2 wants it: base 64.
    #[must_use]
    pub fn encoded(&self) -> Zeroizing<String> {
        Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(self.0.as_bytes()))
    }
}

/// The lines that choose the token of this instance.
fn by_launch_index(tokens: &[&str]) -> Zeroizing<String> {
    const METADATA: &str = "http://169.254.169.254/latest";
    let mut lines = Zeroizing::new(format!(
        "session=$(curl -sSf --retry 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {METADATA}/api/token)\n\
         index=$(curl -sSf --retry 5 -H \"X-aws-ec2-metadata-token: $session\" {METADATA}/meta-data/ami-launch-index)\n\
         case \"$index\" in\n"
    ));
    for (index, token) in tokens.iter().enumerate() {
        lines.push_str(&format!("{index}) token='{token}' ;;\n"));
    }
    lines.push_str("*) echo \"no token for launch index $index\" >&2; exit 1 ;;\nesac\n");
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: AgentStart<'_> = AgentStart {
        daemon: "https://hpcd.internal:7801",
        tokens: &["jt1_secret="],
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
        assert!(!start.contains("jt1_secret"), "a token on a command line is seen by everybody");
        let umask = script.find("umask 077").unwrap();
        assert!(umask < script.find("jt1_secret=").unwrap(), "before the file is made");
        let decoded = base64::engine::general_purpose::STANDARD.decode(data.encoded().as_bytes()).unwrap();
        assert_eq!(decoded, script.as_bytes());
    }

    /// The script itself, with stand-ins for what it calls: the shell has the last word on what it means.
    #[test]
    fn each_instance_of_a_create_takes_its_own_token_and_a_stranger_none() {
        let tokens: Vec<String> = (0..AGENTS_MAX).map(|n| format!("{}-{n}", "hpcjoin_".repeat(26))).collect();
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let data = UserData::agent(&AgentStart { tokens: &tokens, ..START }).unwrap();
        for (index, expected) in [("0", Some(tokens[0])), ("63", Some(tokens[63])), ("64", None), ("", None)]
        {
            let folder = std::env::temp_dir().join(format!("hpc-user-data-{}-{index}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let token = folder.join("token");
            let script = data.0.replace("/run/hpc-agent", folder.to_str().unwrap()).replace(
                "#!/bin/sh\n",
                "curl() { case \"$*\" in *ami-launch-index) printf %s \"$INDEX\" ;; *) echo session ;; esac; }\n\
                 hpc-agent() { cat \"$3\"; }\n",
            );
            let ran = std::process::Command::new("bash").arg("-c").arg(script).env("INDEX", index).output();
            let ran = ran.unwrap();
            let said = String::from_utf8(ran.stdout).unwrap();
            assert_eq!(
                (ran.status.success(), said.trim()),
                (expected.is_some(), expected.unwrap_or_default())
            );
            assert!(!token.exists(), "it is removed when the agent has ended");
            std::fs::remove_dir_all(folder).unwrap();
        }
        for wrong in [0, AGENTS_MAX + 1] {
            let error = UserData::agent(&AgentStart { tokens: &vec!["t"; wrong], ..START }).unwrap_err();
            assert_eq!(error, UserDataError::Agents(wrong));
        }
    }

    #[test]
    fn nothing_breaks_out_of_the_quotes() {
        for evil in ["a'; rm -rf / #", "a\nb", "$(x)", "`x`", "", "a b", "ü"] {
            for start in [
                AgentStart { tokens: &[evil], ..START },
                AgentStart { tokens: &["fine", evil], ..START },
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
        let error = UserData::agent(&AgentStart { tokens: &["jt1_s'ecret"], ..START }).unwrap_err();
        assert!(!error.to_string().contains("ecret"), "{error}");
    }

    #[test]
    fn as_long_as_ec2_takes() {
        assert!(UserData::new("x".repeat(USER_DATA_BYTES_MAX)).is_ok());
        let long = UserData::new("x".repeat(USER_DATA_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(long, UserDataError::Long(USER_DATA_BYTES_MAX + 1));
    }
}
