//! Startup scripts: what Compute Engine takes for a first boot, and how an instance finds out which one of its create it is.

use hpc_provider::{Boot, BootError, BootRules, BootScript};

/// Longest script, in bytes: what one value of an instance's metadata takes.
pub const SCRIPT_BYTES_MAX: usize = 256 << 10;
/// Most instances of one create that start an agent: as many as one create has.
pub const AGENTS_MAX: usize = 1_000;

/// The metadata server tells the instance's name, which ends with its number; needs `curl` in the image.
const INDEX: &str = "\
name=$(curl -sSf --retry 5 --retry-connrefused -H 'Metadata-Flavor: Google' \
http://metadata.google.internal/computeMetadata/v1/instance/name)
index=${name##*-}
";

/// What Compute Engine wants of a script.
pub const RULES: BootRules<'static> =
    BootRules { index: INDEX, bytes_max: SCRIPT_BYTES_MAX, agents_max: AGENTS_MAX };

/// The script of a first boot.
///
/// Compute Engine shows it to whoever may read the instance, and to every process on it: a token that is used once and ends
/// soon is what belongs there.
///
/// # Errors
/// As [`Boot::script`].
pub fn startup_script(boot: Boot) -> Result<BootScript, BootError> {
    boot.script(&RULES)
}

#[cfg(test)]
mod tests {
    use hpc_provider::AgentStart;
    use zeroize::Zeroizing;

    use super::*;

    /// The script itself, with a stand-in for the metadata server: the shell has the last word on what it means.
    #[test]
    fn each_instance_asks_for_its_name_and_takes_the_token_of_its_number() {
        // As many and as long as they get.
        let token = |number: usize| Zeroizing::new(format!("{}-{number}", "hpcjoin_".repeat(26)));
        let start = AgentStart {
            daemon: "https://hpcd.internal:7801".to_owned(),
            tokens: (0..AGENTS_MAX).map(token).collect(),
            lease: Some("lse_00000000000000000000000001".to_owned()),
            join_for_s: 1_800,
        };
        let made = startup_script(Boot::Agent(start)).unwrap();
        let own = ["hpc-0a-0", "hpc-0a-63", "hpc-0a-1000", "hpc-0a-", ""];
        for (name, expected) in own.into_iter().zip([Some(token(0)), Some(token(63)), None, None, None]) {
            let folder = std::env::temp_dir().join(format!("hpc-startup-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let script = made.as_str().replace("/run/hpc-agent", folder.to_str().unwrap()).replace(
                "#!/bin/sh\n",
                "curl() { case \"$*\" in *'Metadata-Flavor: Google'*) printf %s \"$OWN\" ;; *) exit 9 ;; esac; }\n\
                 hpc-agent() { cat \"$3\"; }\n",
            );
            let file = folder.join("script");
            std::fs::write(&file, script).unwrap();
            let ran = std::process::Command::new("bash").arg(&file).env("OWN", name).output().unwrap();
            let said = String::from_utf8(ran.stdout).unwrap();
            let expected = expected.as_ref().map(|token| token.as_str());
            assert_eq!(
                (ran.status.success(), said.trim()),
                (expected.is_some(), expected.unwrap_or_default()),
                "{name}"
            );
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}
