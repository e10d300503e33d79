//! What the first boot runs. It may hold a token that is used once.

use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

/// Longest script, in bytes: what one value of an instance's metadata takes.
pub const SCRIPT_BYTES_MAX: usize = 256 << 10;
/// Most instances of one create that start an agent: as many as one create has.
pub const AGENTS_MAX: usize = 1_000;
/// Where an instance asks for its own name.
const OWN_NAME: &str = "http://metadata.google.internal/computeMetadata/v1/instance/name";

/// A script of the first boot. It has no readable `Debug`, and is wiped when dropped.
///
/// Compute Engine shows it to whoever may read the instance, and to every process on it: a token that is used once and ends
/// soon is what belongs there.
pub struct StartupScript(Zeroizing<String>);

impl fmt::Debug for StartupScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StartupScript(..)")
    }
}

/// Why a script was refused. The text never holds any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// Longer than [`SCRIPT_BYTES_MAX`].
    #[error("the first boot's script has {0} bytes, {SCRIPT_BYTES_MAX} are taken")]
    Long(usize),
    /// The reference leads nowhere.
    #[error("`{0}` names no script of a first boot; it may have been used up")]
    Unknown(String),
    /// A value that cannot stand in the script.
    #[error("the {0} has a character that cannot stand in the first boot's script")]
    Text(&'static str),
    /// No token, or more than [`AGENTS_MAX`].
    #[error("{0} agents were to be started by one create, 1 to {AGENTS_MAX} can be")]
    Agents(usize),
    /// It cannot be made now.
    #[error("the first boot's script cannot be made: {0}")]
    Failed(String),
}

/// How the agent joins.
pub struct AgentStart<'a> {
    /// The daemon's control API, for example `https://hpcd.internal:7801`.
    pub daemon: &'a str,
    /// A one-time token for each instance of the create, in the order of their names; 1 to [`AGENTS_MAX`].
    pub tokens: &'a [&'a str],
    /// The lease the node works for.
    pub lease: Option<&'a str>,
}

impl StartupScript {
    /// A script; its first line names its interpreter.
    ///
    /// # Errors
    /// [`ScriptError::Long`].
    pub fn new(script: String) -> Result<Self, ScriptError> {
        let script = Zeroizing::new(script);
        if script.len() > SCRIPT_BYTES_MAX {
            return Err(ScriptError::Long(script.len()));
        }
        Ok(Self(script))
    }

    /// A script that starts `hpc-agent`, which the image must have in its path.
    ///
    /// The token goes into a file that root alone can read, is given to the agent by its name, and is removed when the
    /// agent has ended. All instances of one create get one script: it asks the metadata server for the instance's name
    /// (needs `curl`), and takes the token of the number at its end.
    ///
    /// # Errors
    /// [`ScriptError::Text`] for a value with a character outside letters, digits and `-_.:/=+[]`,
    /// [`ScriptError::Agents`], [`ScriptError::Long`].
    pub fn agent(start: &AgentStart<'_>) -> Result<Self, ScriptError> {
        let plain = |what, text: &str| {
            let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:/=+[]".contains(c);
            if text.is_empty() || !text.chars().all(fine) { Err(ScriptError::Text(what)) } else { Ok(()) }
        };
        if start.tokens.is_empty() || start.tokens.len() > AGENTS_MAX {
            return Err(ScriptError::Agents(start.tokens.len()));
        }
        plain("daemon's address", start.daemon)?;
        let mut choice = Zeroizing::new(String::new());
        for (index, token) in start.tokens.iter().enumerate() {
            plain("token", token)?;
            choice.push_str(&format!("{index}) token='{token}' ;;\n"));
        }
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
             name=$(curl -sSf --retry 5 -H 'Metadata-Flavor: Google' {OWN_NAME})\n\
             case \"${{name##*-}}\" in\n\
             {}\
             *) echo \"no token for $name\" >&2; exit 1 ;;\n\
             esac\n\
             printf '%s\\n' \"$token\" >/run/hpc-agent/token\n\
             trap 'rm -f /run/hpc-agent/token' EXIT\n\
             hpc-agent run --token-file /run/hpc-agent/token --daemon '{}'{lease}\n",
            choice.as_str(),
            start.daemon
        ))
    }

    /// The script.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Turns a reference in an intent into what it stands for.
///
/// The same reference must give the same script as long as its intent is open.
#[async_trait]
pub trait ScriptSource: Send + Sync {
    /// What the reference stands for.
    ///
    /// # Errors
    /// [`ScriptError::Unknown`] when it stands for nothing.
    async fn resolve(&self, reference: &str) -> Result<StartupScript, ScriptError>;

    /// Whether there is anything to resolve: what the provider says of itself as `Supports::user_data`.
    fn is_there(&self) -> bool {
        true
    }
}

/// Knows no reference.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoScripts;

#[async_trait]
impl ScriptSource for NoScripts {
    async fn resolve(&self, reference: &str) -> Result<StartupScript, ScriptError> {
        Err(ScriptError::Unknown(reference.chars().take(40).collect()))
    }

    fn is_there(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_long_as_metadata_and_no_longer() {
        let script = StartupScript::new("x".repeat(SCRIPT_BYTES_MAX)).unwrap();
        assert_eq!(script.as_str().len(), SCRIPT_BYTES_MAX);
        let long = StartupScript::new("secret".repeat(SCRIPT_BYTES_MAX)).unwrap_err();
        assert_eq!(long, ScriptError::Long(6 * SCRIPT_BYTES_MAX));
        assert!(!format!("{long} {script:?}").contains("xx"));
    }

    const START: AgentStart<'_> = AgentStart {
        daemon: "https://hpcd.internal:7801",
        tokens: &["jt1_secret="],
        lease: Some("lse_00000000000000000000000001"),
    };

    /// The script itself, with stand-ins for what it calls: the shell has the last word on what it means.
    #[test]
    fn each_instance_of_a_create_takes_its_own_token_and_a_stranger_none() {
        let tokens: Vec<String> = (0..AGENTS_MAX).map(|n| format!("{}-{n}", "hpcjoin_".repeat(26))).collect();
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let data = StartupScript::agent(&AgentStart { tokens: &tokens, ..START }).unwrap();
        let own = ["hpc-0a-0", "hpc-0a-63", "hpc-0a-1000", "hpc-0a-", ""];
        for (name, expected) in own.into_iter().zip([Some(tokens[0]), Some(tokens[63]), None, None, None]) {
            let folder = std::env::temp_dir().join(format!("hpc-startup-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let script = data.as_str().replace("/run/hpc-agent", folder.to_str().unwrap()).replace(
                "#!/bin/sh\n",
                "curl() { case \"$*\" in *'Metadata-Flavor: Google'*) printf %s \"$OWN\" ;; *) exit 9 ;; esac; }\n\
                 hpc-agent() { cat \"$3\"; }\n",
            );
            let file = folder.join("script");
            std::fs::write(&file, script).unwrap();
            let ran = std::process::Command::new("bash").arg(&file).env("OWN", name).output().unwrap();
            let said = String::from_utf8(ran.stdout).unwrap();
            assert_eq!(
                (ran.status.success(), said.trim()),
                (expected.is_some(), expected.unwrap_or_default()),
                "{name}"
            );
            assert!(!folder.join("token").exists(), "it is removed when the agent has ended");
            std::fs::remove_dir_all(folder).unwrap();
        }
        for wrong in [0, AGENTS_MAX + 1] {
            let error = StartupScript::agent(&AgentStart { tokens: &vec!["t"; wrong], ..START }).unwrap_err();
            assert_eq!(error, ScriptError::Agents(wrong));
        }
    }

    #[test]
    fn a_token_stands_on_no_command_line_and_in_no_file_of_others() {
        let script = StartupScript::agent(&START).unwrap();
        let (before, start) = script.as_str().trim_end().rsplit_once('\n').unwrap();
        assert_eq!(
            start,
            "hpc-agent run --token-file /run/hpc-agent/token --daemon 'https://hpcd.internal:7801' \
             --lease 'lse_00000000000000000000000001'"
        );
        assert!(before.find("umask 077").unwrap() < before.find("/run/hpc-agent/token").unwrap());
        assert_eq!(format!("{script:?}"), "StartupScript(..)");
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
                let error = StartupScript::agent(&start).unwrap_err();
                assert!(
                    matches!(error, ScriptError::Text(_)) && !error.to_string().contains("rm"),
                    "{evil:?}"
                );
            }
        }
    }
}
