//! User data: what EC2 takes for a first boot, and how an instance finds out which one of its create it is.

use base64::Engine;
use hpc_provider::{Boot, BootError, BootRules};
use zeroize::Zeroizing;

/// Most user data that EC2 takes, in bytes before encoding.
pub const USER_DATA_BYTES_MAX: usize = 16 << 10;

/// Most instances of one create that start an agent: one token each is what fits into [`USER_DATA_BYTES_MAX`].
pub const AGENTS_MAX: usize = 64;

/// The metadata service (IMDSv2) tells the launch index; needs `curl` in the image.
const INDEX: &str = "\
session=$(curl -sSf --retry 5 --retry-connrefused -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
http://169.254.169.254/latest/api/token)
index=$(curl -sSf --retry 5 --retry-connrefused -H \"X-aws-ec2-metadata-token: $session\" \
http://169.254.169.254/latest/meta-data/ami-launch-index)
";

/// What EC2 wants of a script.
pub const RULES: BootRules<'static> =
    BootRules { index: INDEX, bytes_max: USER_DATA_BYTES_MAX, agents_max: AGENTS_MAX };

/// What the first boot runs as EC2 wants it: base 64.
///
/// EC2 shows user data to whoever may read an instance's attributes and to every process on the instance that reaches its
/// metadata service: tokens that are used once and end soon are what belongs there.
///
/// # Errors
/// As [`Boot::script`].
pub fn user_data(boot: Boot) -> Result<Zeroizing<String>, BootError> {
    let script = boot.script(&RULES)?;
    Ok(Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(script.as_str().as_bytes())))
}

#[cfg(test)]
mod tests {
    use hpc_provider::AgentStart;

    use super::*;

    /// The script itself, with a stand-in for the metadata service.
    #[test]
    fn each_instance_asks_for_its_launch_index_and_takes_that_token() {
        // As many and as long as they get.
        let token = |number: usize| Zeroizing::new(format!("{}-{number}", "hpcjoin_".repeat(26)));
        let start = AgentStart {
            daemon: "https://hpcd.internal:7801".to_owned(),
            tokens: (0..AGENTS_MAX).map(token).collect(),
            lease: Some("lse_00000000000000000000000001".to_owned()),
            join_for_s: 1_800,
        };
        let data = user_data(Boot::Agent(start)).unwrap();
        let script = base64::engine::general_purpose::STANDARD.decode(data.as_bytes()).unwrap();
        let script = String::from_utf8(script).unwrap();
        for (index, expected) in [("0", Some(token(0))), ("63", Some(token(63))), ("64", None), ("", None)] {
            let folder = std::env::temp_dir().join(format!("hpc-user-data-{}-{index}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let script = script.replace("/run/hpc-agent", folder.to_str().unwrap()).replace(
                "#!/bin/sh\n",
                "curl() { case \"$*\" in *\"token: session\"*ami-launch-index) printf %s \"$INDEX\" ;; *PUT*) echo session ;; \
                 *) exit 9 ;; esac; }\nhpc-agent() { cat \"$3\"; }\n",
            );
            let ran = std::process::Command::new("bash").arg("-c").arg(script).env("INDEX", index).output();
            let ran = ran.unwrap();
            let said = String::from_utf8(ran.stdout).unwrap();
            let expected = expected.as_ref().map(|token| token.as_str());
            assert_eq!(
                (ran.status.success(), said.trim()),
                (expected.is_some(), expected.unwrap_or_default())
            );
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}
