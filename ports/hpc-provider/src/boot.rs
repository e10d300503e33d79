//! The first boot of an instance: what its script is made from. Text alone: who makes tokens and who sends the script is
//! elsewhere.

use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

/// What the first boot runs. It may hold tokens: it has no readable `Debug`, and is wiped when dropped.
pub struct BootScript(Zeroizing<String>);

impl BootScript {
    /// A script; its first line names its interpreter.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The script.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BootScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BootScript(..)")
    }
}

/// How the agents of one create join. Its tokens have no readable `Debug`, and are wiped when dropped.
pub struct AgentStart {
    /// The daemon's control API as instances reach it, for example `https://hpcd.internal:7801`.
    pub daemon: String,
    /// A one-time token for each instance of the create, in the order of their numbers.
    pub tokens: Vec<Zeroizing<String>>,
    /// The lease the nodes work for.
    pub lease: Option<String>,
    /// How long a node that cannot reach the daemon tries, in seconds; 0 for once.
    pub join_for_s: u32,
}

impl fmt::Debug for AgentStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { daemon, tokens, lease, join_for_s } = self;
        f.debug_struct("AgentStart")
            .field("daemon", daemon)
            .field("tokens", &tokens.len())
            .field("lease", lease)
            .field("join_for_s", join_for_s)
            .finish()
    }
}

/// What a reference in an intent stands for.
#[derive(Debug)]
pub enum Boot {
    /// Start `hpc-agent`, which the image must have in its path.
    Agent(AgentStart),
    /// A script of the caller's own.
    Script(BootScript),
}

/// What a cloud says of its scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootRules<'a> {
    /// Lines of a shell that set `$index` to the number of the instance among those of its create, from 0. They run only
    /// where there are several.
    pub index: &'a str,
    /// Longest script, in bytes.
    pub bytes_max: usize,
    /// Most instances of one create that start an agent.
    pub agents_max: usize,
}

/// Why there is no script. The text never holds any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootError {
    /// Longer than the cloud takes.
    #[error("what the first boot runs has {bytes} bytes, {most} are taken")]
    Long {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// A value that cannot stand in the script.
    #[error("the {0} has a character that cannot stand in the first boot's script")]
    Text(&'static str),
    /// No token, or more than the cloud takes.
    #[error("{count} agents were to be started by one create, 1 to {most} can be")]
    Agents {
        /// How many.
        count: usize,
        /// How many can be.
        most: usize,
    },
    /// The reference leads nowhere.
    #[error("`{0}` names nothing that a first boot runs; it may have been used up")]
    Unknown(String),
    /// It cannot be made now.
    #[error("what the first boot runs cannot be made: {0}")]
    Failed(String),
}

/// Turns a reference in an intent ([`crate::ProvisionSpec::user_data_ref`]) into what it stands for.
///
/// The same reference must give the same as long as its intent is open: a repeated create with another script would be
/// refused as a conflict.
#[async_trait]
pub trait BootSource: Send + Sync {
    /// What the reference stands for.
    ///
    /// # Errors
    /// [`BootError::Unknown`] when it stands for nothing, [`BootError::Failed`] when that cannot be told now.
    async fn resolve(&self, reference: &str) -> Result<Boot, BootError>;

    /// Whether there is anything to resolve: what the provider says of itself as [`crate::Supports::user_data`].
    fn is_there(&self) -> bool {
        true
    }
}

/// Knows no reference.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBoot;

#[async_trait]
impl BootSource for NoBoot {
    async fn resolve(&self, reference: &str) -> Result<Boot, BootError> {
        Err(BootError::Unknown(reference.chars().take(40).collect()))
    }

    fn is_there(&self) -> bool {
        false
    }
}

impl Boot {
    /// The script, as the rules of a cloud want it.
    ///
    /// An agent's token goes into a file that root alone can read, is given to the agent by that file's name, and is removed
    /// when the agent has ended. All instances of one create get one script: with several tokens it finds out which instance
    /// it is on, and takes that token. Clouds show a script to whoever may read an instance, and to every process on it: tokens
    /// that are used once and end soon are what belongs there.
    ///
    /// # Errors
    /// [`BootError::Text`] for a value with a character outside letters, digits and `-_.:/=+[]`, [`BootError::Agents`],
    /// [`BootError::Long`].
    pub fn script(self, rules: &BootRules<'_>) -> Result<BootScript, BootError> {
        let script = match self {
            Self::Script(script) => script,
            Self::Agent(start) => start.script(rules)?,
        };
        let bytes = script.as_str().len();
        if bytes > rules.bytes_max {
            return Err(BootError::Long { bytes, most: rules.bytes_max });
        }
        Ok(script)
    }
}

impl AgentStart {
    fn script(&self, rules: &BootRules<'_>) -> Result<BootScript, BootError> {
        let count = self.tokens.len();
        if count == 0 || count > rules.agents_max {
            return Err(BootError::Agents { count, most: rules.agents_max });
        }
        plain("daemon's address", &self.daemon)?;
        for token in &self.tokens {
            plain("token", token)?;
        }
        if let Some(lease) = &self.lease {
            plain("lease", lease)?;
        }
        let mut script =
            Zeroizing::new("#!/bin/sh\nset -eu\numask 077\nmkdir -p /run/hpc-agent\n".to_owned());
        match &self.tokens[..] {
            [token] => script.push_str(&Zeroizing::new(format!("token='{}'\n", token.as_str()))),
            several => {
                script.push_str(rules.index);
                script.push_str("case \"$index\" in\n");
                for (index, token) in several.iter().enumerate() {
                    script.push_str(&Zeroizing::new(format!("{index}) token='{}' ;;\n", token.as_str())));
                }
                script.push_str("*) echo \"no token for instance $index\" >&2; exit 1 ;;\nesac\n");
            }
        }
        let lease = self.lease.as_ref().map_or_else(String::new, |lease| format!(" --lease '{lease}'"));
        let join_for = match self.join_for_s {
            0 => String::new(),
            seconds => format!(" --join-for {seconds}"),
        };
        script.push_str("printf '%s\\n' \"$token\" >/run/hpc-agent/token\n");
        script.push_str("trap 'rm -f /run/hpc-agent/token' EXIT\n");
        script.push_str(&format!(
            "hpc-agent run --token-file /run/hpc-agent/token --daemon '{}'{lease}{join_for}\n",
            self.daemon
        ));
        Ok(BootScript(script))
    }
}

/// Nothing that ends a quote, or means anything to a shell.
fn plain(what: &'static str, text: &str) -> Result<(), BootError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:/=+[]".contains(c);
    if text.is_empty() || !text.chars().all(fine) { Err(BootError::Text(what)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BootRules<'_> = BootRules { index: "index=$OWN\n", bytes_max: 16 << 10, agents_max: 64 };

    fn start(tokens: &[&str]) -> AgentStart {
        AgentStart {
            daemon: "https://hpcd.internal:7801".to_owned(),
            tokens: tokens.iter().map(|token| Zeroizing::new((*token).to_owned())).collect(),
            lease: Some("lse_00000000000000000000000001".to_owned()),
            join_for_s: 1_800,
        }
    }

    fn script(start: AgentStart) -> Result<BootScript, BootError> {
        Boot::Agent(start).script(&RULES)
    }

    #[test]
    fn the_agent_is_started_with_its_token_in_a_file_and_the_patience_of_a_first_boot() {
        let made = script(start(&["jt1_secret="])).unwrap();
        let (before, run) = made.as_str().trim_end().rsplit_once('\n').unwrap();
        assert_eq!(
            run,
            "hpc-agent run --token-file /run/hpc-agent/token --daemon 'https://hpcd.internal:7801' \
             --lease 'lse_00000000000000000000000001' --join-for 1800",
            "a token on a command line is seen by everybody"
        );
        assert!(
            before.find("umask 077").unwrap() < before.find("jt1_secret=").unwrap(),
            "before the file is made"
        );
        assert!(!before.contains("$OWN"), "one instance asks nobody which it is");
        let once = script(AgentStart { join_for_s: 0, lease: None, ..start(&["t"]) }).unwrap();
        assert!(once.as_str().ends_with("--daemon 'https://hpcd.internal:7801'\n"), "{}", once.as_str());
    }

    /// The script itself, with a stand-in for what it calls: the shell has the last word on what it means.
    #[test]
    fn each_instance_of_a_create_takes_its_own_token_and_a_stranger_none() {
        let tokens: Vec<String> = (0..64).map(|n| format!("{}-{n}", "hpcjoin_".repeat(26))).collect();
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let made = script(start(&tokens)).unwrap();
        for (own, expected) in [("0", Some(tokens[0])), ("63", Some(tokens[63])), ("64", None), ("", None)] {
            let folder = std::env::temp_dir().join(format!("hpc-boot-{}-{own}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let text = made.as_str().replace("/run/hpc-agent", folder.to_str().unwrap());
            let text = text.replace("#!/bin/sh\n", "hpc-agent() { cat \"$3\"; }\n");
            let ran =
                std::process::Command::new("bash").arg("-c").arg(text).env("OWN", own).output().unwrap();
            let said = String::from_utf8(ran.stdout).unwrap();
            assert_eq!(
                (ran.status.success(), said.trim()),
                (expected.is_some(), expected.unwrap_or_default())
            );
            assert!(!folder.join("token").exists(), "it is removed when the agent has ended");
            std::fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn limits_hold_at_their_edge() {
        for count in [0, 65] {
            let error = script(start(&vec!["t"; count])).unwrap_err();
            assert_eq!(error, BootError::Agents { count, most: 64 });
        }
        let own = |bytes: usize| Boot::Script(BootScript::new("x".repeat(bytes))).script(&RULES);
        assert!(own(16 << 10).is_ok());
        assert_eq!(
            own((16 << 10) + 1).unwrap_err(),
            BootError::Long { bytes: (16 << 10) + 1, most: 16 << 10 }
        );
    }

    #[test]
    fn nothing_breaks_out_of_the_quotes() {
        for evil in ["a'; rm -rf / #", "a\nb", "$(x)", "`x`", "", "a b", "ü"] {
            for start in [
                start(&[evil]),
                start(&["fine", evil]),
                AgentStart { daemon: evil.to_owned(), ..start(&["fine"]) },
                AgentStart { lease: Some(evil.to_owned()), ..start(&["fine"]) },
            ] {
                let error = script(start).unwrap_err();
                assert!(matches!(error, BootError::Text(_)) && !error.to_string().contains("rm"), "{evil:?}");
            }
        }
    }

    #[test]
    fn no_error_and_no_debug_text_holds_a_token() {
        let boot = Boot::Agent(start(&["jt1_secret"]));
        let script = script(start(&["jt1_secret"])).unwrap();
        assert!(!format!("{boot:?} {script:?}").contains("secret"), "{boot:?} {script:?}");
        let error = self::script(start(&["jt1_s'ecret"])).unwrap_err();
        assert!(!error.to_string().contains("ecret"), "{error}");
    }
}
