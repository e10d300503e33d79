//! What an instance needs at its first boot: a token to join with, bound to the intent that creates it.
//!
//! A token is made when the create call is, and again for a repetition of that call: it comes from a sealed key and the
//! intent, so the same call carries the same token, and the ledger keeps its hash alone. It is good once, for half an hour,
//! and only while its intent stands: what was set aside or released lets nobody in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hpc_auth::join::{JoinToken, NodeName};
use hpc_error::{HpcError, codes};
use hpc_resources::{IntentId, LeaseId};
use zeroize::Zeroizing;

use crate::nodes::{Bound, Nodes};

/// How long a token of a first boot is good: a large machine may take a quarter of an hour to start.
pub const BOOT_TOKEN_LIFE: Duration = Duration::from_secs(30 * 60);

/// What the instances of one create need.
#[derive(Debug)]
pub struct Boot {
    /// The lease they are for.
    pub lease: LeaseId,
    /// A token for each of them.
    pub tokens: Vec<JoinToken>,
}

/// Makes tokens for first boots.
pub struct FirstBoot {
    nodes: Arc<Nodes>,
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for FirstBoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstBoot(..)")
    }
}

impl FirstBoot {
    pub(crate) fn new(nodes: Arc<Nodes>, key: [u8; 32]) -> Self {
        Self { nodes, key: Zeroizing::new(key) }
    }

    /// The tokens of the create that `reference` names: the id of its intent, as `ProvisionSpec::user_data_ref` has it.
    ///
    /// # Errors
    /// `HPC-LSE-0003` when no intent of this id stands; ledger and audit failures.
    pub async fn tokens(&self, reference: &str) -> Result<Boot, HpcError> {
        let none = || {
            let shown: String = reference.chars().filter(|c| !c.is_control()).take(40).collect();
            HpcError::coded(&codes::LSE_NOT_ACTIVE, format!("`{shown}` is no intent that still stands"))
        };
        let intent = IntentId::parse(reference).map_err(|_| none())?;
        let (intent, lease) = self.nodes.standing(&intent).await?.ok_or_else(none)?;
        let spec = &intent.spec;
        let mut tokens = Vec::new();
        for index in 0..spec.instances {
            let node = node_name(&spec.lease, (spec.instances > 1).then_some(index))?;
            let bound = Bound { intent: spec.intent.clone(), lease: spec.lease.clone() };
            let secret = self.secret(&spec.intent, index);
            tokens.push(self.nodes.invite_bound(secret, &lease.principal, node, bound).await?);
        }
        Ok(Boot { lease: spec.lease.clone(), tokens })
    }

    fn secret(&self, intent: &IntentId, index: u32) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(intent.as_str().as_bytes()).update(&index.to_le_bytes());
        *hasher.finalize().as_bytes()
    }
}

/// The name of a node of one lease: `node-<lease>` with `-` for `_`, and its number if there are several.
fn node_name(lease: &LeaseId, index: Option<u32>) -> Result<NodeName, HpcError> {
    let of_lease = lease.as_str().replace('_', "-");
    let name = match index {
        Some(index) => format!("node-{of_lease}-{index}"),
        None => format!("node-{of_lease}"),
    };
    NodeName::parse(&name).map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))
}
