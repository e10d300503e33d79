//! The first boot of an instance: `hpc-agent` with its token.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use hpc_error::{HpcError, codes};
use hpc_provider_gcp::{AgentStart, ScriptError, ScriptSource, StartupScript};

use super::GcpAgent;
use crate::first_boot::FirstBoot;

/// Makes the script of an intent, with fresh tokens in it.
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
    pub(super) fn new(agent: &GcpAgent, first_boot: Arc<FirstBoot>) -> Result<Self, HpcError> {
        let try_it = AgentStart { daemon: &agent.daemon, tokens: &["token"], lease: None };
        if !agent.daemon.starts_with("https://") || StartupScript::agent(&try_it).is_err() {
            let message = "`agent.daemon` is the daemon's control API as instances reach it, `https://...`";
            return Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message));
        }
        Ok(Self { daemon: agent.daemon.clone(), first_boot })
    }
}

#[async_trait]
impl ScriptSource for AgentBoot {
    async fn resolve(&self, reference: &str) -> Result<StartupScript, ScriptError> {
        let boot = self.first_boot.tokens(reference).await.map_err(|error| match error.registered() {
            Some(code) if *code == codes::LSE_NOT_ACTIVE => {
                ScriptError::Unknown(reference.chars().take(40).collect())
            }
            _ => ScriptError::Failed(error.to_string()),
        })?;
        let tokens: Vec<_> = boot.tokens.iter().map(hpc_auth::join::JoinToken::encode).collect();
        let tokens: Vec<&str> = tokens.iter().map(|token| token.as_str()).collect();
        let start = AgentStart { daemon: &self.daemon, tokens: &tokens, lease: Some(boot.lease.as_str()) };
        StartupScript::agent(&start)
    }
}
