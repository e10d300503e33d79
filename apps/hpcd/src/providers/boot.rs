//! The first boot of an instance: `hpc-agent` with its token, on whatever cloud.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use hpc_error::{HpcError, codes};
use hpc_provider::{AgentStart, Boot, BootError, BootRules, BootSource};
use zeroize::Zeroizing;

use crate::first_boot::{BOOT_TOKEN_LIFE, FirstBoot};

/// Tells what an intent's instances start, with fresh tokens in it.
pub(super) struct AgentBoot {
    daemon: String,
    first_boot: Arc<FirstBoot>,
}

impl fmt::Debug for AgentBoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBoot").field("daemon", &self.daemon).finish_non_exhaustive()
    }
}

impl AgentBoot {
    /// # Errors
    /// `HPC-USG-0012` for an address that cannot be meant.
    pub(super) fn new(daemon: &str, first_boot: Arc<FirstBoot>) -> Result<Self, HpcError> {
        let tokens = vec![Zeroizing::new("token".to_owned())];
        let try_it = AgentStart { daemon: daemon.to_owned(), tokens, lease: None, join_for_s: 0 };
        let any = BootRules { index: "", bytes_max: usize::MAX, agents_max: 1 };
        if !daemon.starts_with("https://") || Boot::Agent(try_it).script(&any).is_err() {
            let message = "`agent.daemon` is the daemon's control API as instances reach it, `https://...`";
            return Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message));
        }
        Ok(Self { daemon: daemon.to_owned(), first_boot })
    }
}

#[async_trait]
impl BootSource for AgentBoot {
    async fn resolve(&self, reference: &str) -> Result<Boot, BootError> {
        let boot = self.first_boot.tokens(reference).await.map_err(|error| match error.registered() {
            Some(code) if *code == codes::LSE_NOT_ACTIVE => {
                BootError::Unknown(reference.chars().take(40).collect())
            }
            _ => BootError::Failed(error.to_string()),
        })?;
        Ok(Boot::Agent(AgentStart {
            daemon: self.daemon.clone(),
            tokens: boot.tokens.iter().map(hpc_auth::join::JoinToken::encode).collect(),
            lease: Some(boot.lease.to_string()),
            // As long as the tokens are good: the network of a new instance may come after its agent.
            join_for_s: u32::try_from(BOOT_TOKEN_LIFE.as_secs()).unwrap_or(u32::MAX),
        }))
    }
}
