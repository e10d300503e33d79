//! Nodes: invitations in the ledger, certificates from the authority.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use hpc_audit::{AuditLog, Entry, Outcome, Receipt};
use hpc_auth::ca::IssuedCertificate;
use hpc_auth::join::{JoinError, JoinRecord, JoinToken, NodeName};
use hpc_broker::{Broker, Evidence, IntentRecord, IntentState, LeaseRecord};
use hpc_error::{HpcError, codes};
use hpc_ledger::{Key, Ledger, LedgerError, Transaction};
use hpc_resources::{IntentId, LeaseId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::{draw_32, wall_now};
use crate::first_boot::BOOT_TOKEN_LIFE;
use crate::identity::HostIdentity;

/// Life of a node's certificate.
pub const NODE_LIFE: Duration = Duration::from_secs(3_600);

/// What is kept of an invitation until it is spent, and after.
#[derive(Serialize, Deserialize)]
struct Invitation {
    record: JoinRecord,
    /// Who invited.
    by: String,
    /// What the token ends with, if it was made for a first boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound: Option<Bound>,
}

/// The capacity that a token was made for: it lets nobody in once that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub(crate) intent: IntentId,
    pub(crate) lease: LeaseId,
}

/// What is kept of a node that has joined.
#[derive(Serialize, Deserialize)]
struct NodeRecord {
    /// Who invited it: it may report for leases of theirs.
    invited_by: String,
}

/// An invitation on its way to a node.
#[derive(Debug)]
pub struct Invited {
    /// What the node shows once.
    pub token: JoinToken,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The entry about it.
    pub receipts: Vec<Receipt>,
}

/// Invites nodes and lets them join, each token once.
pub struct Nodes {
    ledger: Arc<dyn Ledger>,
    audit: Arc<dyn AuditLog>,
    identity: Arc<HostIdentity>,
    /// Knows which intents stand; there as soon as there is one.
    broker: OnceLock<Weak<Broker>>,
}

impl Nodes {
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        audit: Arc<dyn AuditLog>,
        identity: Arc<HostIdentity>,
    ) -> Self {
        Self { ledger, audit, identity, broker: OnceLock::new() }
    }

    /// Says who knows the intents; the first call counts.
    pub(crate) fn ask(&self, broker: &Arc<Broker>) {
        drop(self.broker.set(Arc::downgrade(broker)));
    }

    /// An intent that stands, and its lease: neither set aside nor ended, so that what it creates is wanted.
    pub(crate) async fn standing(
        &self,
        intent: &IntentId,
    ) -> Result<Option<(IntentRecord, LeaseRecord)>, HpcError> {
        let broker = self.broker.get().and_then(Weak::upgrade);
        let broker = broker.ok_or_else(|| HpcError::coded(&codes::INT_BUG, "there is no broker yet"))?;
        let found = broker.intent_by_id(intent).await?.filter(|intent| {
            !intent.set_aside && matches!(intent.state, IntentState::Recorded | IntentState::Acknowledged)
        });
        match found {
            Some(intent) => {
                let lease = broker.lease_by_id(&intent.spec.lease).await?;
                Ok(Some((intent, lease)))
            }
            None => Ok(None),
        }
    }

    /// A token for the first boot of what an intent creates. The same secret gives the same token: its record and its entry
    /// are made once.
    pub(crate) async fn invite_bound(
        &self,
        secret: [u8; 32],
        by: &str,
        node: NodeName,
        bound: Bound,
    ) -> Result<JoinToken, HpcError> {
        let now = wall_now();
        let authority = self.identity.authority_sha256();
        let token = JoinToken::new(secret, node, self.identity.server_id().clone(), authority);
        let key = place(&token)?;
        let record = match self.ledger.get(&key).await.map_err(stored)? {
            Some(known) => read::<Invitation>(&known.value)?.record,
            None => {
                let record = JoinRecord::new(&token, now, BOOT_TOKEN_LIFE)
                    .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?;
                let invitation = Invitation { record, by: by.to_owned(), bound: Some(bound.clone()) };
                let made = Transaction::new().expect_absent(&key).put(&key, write(&invitation)?);
                self.ledger.commit(made).await.map_err(stored)?;
                invitation.record
            }
        };
        self.say(&record, by, "node.invited", now, &About { bound: Some(&bound), permitted: None }).await?;
        Ok(token)
    }

    /// Makes a token for one node; only its hash is kept, and who invited: the node will work for leases of theirs.
    ///
    /// # Errors
    /// `HPC-USG-0011` for a life out of range; ledger and audit failures.
    pub async fn invite(&self, by: &str, node: NodeName, life: Duration) -> Result<Invited, HpcError> {
        self.invite_as(by, node, life, None).await
    }

    /// The same for somebody whom policy was asked about: the decision stands in the entry.
    ///
    /// # Errors
    /// As [`Nodes::invite`].
    pub async fn invite_permitted(
        &self,
        by: &str,
        node: NodeName,
        life: Duration,
        permitted: &Evidence,
    ) -> Result<Invited, HpcError> {
        self.invite_as(by, node, life, Some(permitted)).await
    }

    async fn invite_as(
        &self,
        by: &str,
        node: NodeName,
        life: Duration,
        permitted: Option<&Evidence>,
    ) -> Result<Invited, HpcError> {
        let now = wall_now();
        let authority = self.identity.authority_sha256();
        let token = JoinToken::new(draw_32()?, node, self.identity.server_id().clone(), authority);
        let record = JoinRecord::new(&token, now, life)
            .map_err(|error| HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string()))?;
        let expires_at = record.expires_at();
        let key = place(&token)?;
        let invitation = Invitation { record, by: by.to_owned(), bound: None };
        let bytes = write(&invitation)?;
        self.ledger.commit(Transaction::new().expect_absent(&key).put(&key, bytes)).await.map_err(stored)?;
        let receipts =
            self.say(&invitation.record, by, "node.invited", now, &About { bound: None, permitted }).await?;
        Ok(Invited { token, expires_at, receipts })
    }

    /// Turns a token into a certificate. The token is spent, durably, before the certificate leaves; in the same commit it
    /// is written down who invited the node. A name stays with whoever first invited it. The same signing request again is a
    /// node whose answer was lost, here or on the way: it gets a certificate again, and the entry is made once.
    ///
    /// # Errors
    /// `HPC-AUT-0006` for a token that is unknown, used, expired, for another node, or for capacity that has ended; `-0005` for a name that somebody
    /// else's node has; `-0004` for a bad request; ledger and audit failures.
    pub async fn join(
        &self,
        token: &JoinToken,
        node: &NodeName,
        csr: &[u8],
    ) -> Result<(IssuedCertificate, Vec<Receipt>), HpcError> {
        let now = wall_now();
        let refused = |error: JoinError| HpcError::coded(&codes::AUT_TOKEN_INVALID, error.to_string());
        let key = place(token)?;
        let found =
            self.ledger.get(&key).await.map_err(stored)?.ok_or_else(|| refused(JoinError::Unknown))?;
        let mut invitation: Invitation = read(&found.value)?;
        if invitation.record.node() != node {
            return Err(refused(JoinError::Unknown));
        }
        invitation.record.redeem(token, csr, now).map_err(refused)?;
        if let Some(bound) = &invitation.bound
            && self.standing(&bound.intent).await?.is_none()
        {
            let message = "the capacity that this join token was made for has ended";
            return Err(HpcError::coded(&codes::AUT_TOKEN_INVALID, message));
        }
        let joined = place_of_node(node.as_str())?;
        let spent = Transaction::new().expect_version(&key, found.version);
        let spent = match self.ledger.get(&joined).await.map_err(stored)? {
            None => spent.expect_absent(&joined),
            Some(known) if read::<NodeRecord>(&known.value)?.invited_by == invitation.by => {
                spent.expect_version(&joined, known.version)
            }
            Some(_) => {
                let message = format!(
                    "`{}` is the name of somebody else's node; invite it under another",
                    node.as_str()
                );
                return Err(HpcError::coded(&codes::AUT_NOT_ALLOWED, message));
            }
        };
        let issued = self.identity.issue_node(node, csr, NODE_LIFE, now)?;
        let record = NodeRecord { invited_by: invitation.by.clone() };
        let spent = spent.put(&key, write(&invitation)?).put(&joined, write(&record)?);
        match self.ledger.commit(spent).await {
            Ok(_) => {}
            Err(LedgerError::Conflict { key: lost }) if lost == key => {
                return Err(refused(JoinError::AlreadyUsed));
            }
            Err(error) => return Err(stored(error)),
        }
        let who = format!("node/{}", node.as_str());
        let receipts = self
            .say(
                &invitation.record,
                &who,
                "node.joined",
                now,
                &About { bound: invitation.bound.as_ref(), permitted: None },
            )
            .await?;
        Ok((issued, receipts))
    }

    /// Who invited this node, if it has joined.
    ///
    /// # Errors
    /// Ledger failures; `HPC-DAT-0001` for a record that cannot be read.
    pub async fn inviter(&self, node: &str) -> Result<Option<String>, HpcError> {
        let found = self.ledger.get(&place_of_node(node)?).await.map_err(stored)?;
        found.map(|found| Ok(read::<NodeRecord>(&found.value)?.invited_by)).transpose()
    }

    async fn say(
        &self,
        record: &JoinRecord,
        by: &str,
        action: &str,
        now: Timestamp,
        about: &About<'_>,
    ) -> Result<Vec<Receipt>, HpcError> {
        let id = format!("{action}.{}", record.token_hash().as_str());
        let mut entry =
            Entry::new(id, now, by, action, Outcome::Ok).subject("node", record.node().as_str()).dev(true);
        if let Some(permitted) = about.permitted {
            permitted.put(&mut entry);
        }
        if let Some(bound) = about.bound {
            for (name, id) in [("intent", bound.intent.as_str()), ("lease", bound.lease.as_str())] {
                entry.data.insert(name.to_owned(), id.into());
            }
        }
        self.audit.append(vec![entry]).await.map_err(|error| {
            HpcError::coded(&codes::AUD_NOT_WRITABLE, format!("the audit log cannot be written: {error}"))
        })
    }
}

/// What else an entry about an invitation says.
struct About<'a> {
    bound: Option<&'a Bound>,
    permitted: Option<&'a Evidence>,
}

fn place(token: &JoinToken) -> Result<Key, HpcError> {
    Key::parse(&format!("join/{}", token.hash().as_str()))
        .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))
}

fn place_of_node(node: &str) -> Result<Key, HpcError> {
    Key::parse(&format!("node/{node}")).map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, HpcError> {
    serde_json::from_slice(bytes).map_err(|error| {
        HpcError::coded(&codes::DAT_CORRUPT, format!("a node's record cannot be read: {error}"))
    })
}

fn write<T: Serialize>(record: &T) -> Result<Vec<u8>, HpcError> {
    serde_json::to_vec(record).map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))
}

fn stored(error: LedgerError) -> HpcError {
    HpcError::coded(&codes::INT_STORE, error.to_string()).caused_by(error)
}
