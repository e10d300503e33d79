//! Watch: one lease as it changes, from the ledger's own order of commits.

use hpc_error::HpcError;
use hpc_ledger::{LedgerError, Revision, Watch};
use hpc_resources::LeaseId;

use crate::broker::Broker;
use crate::environment::Caller;
use crate::fail;
use crate::records::LeaseRecord;
use crate::store::key;

/// Follows one lease; made by [`Broker::watch_lease`].
pub struct LeaseWatch<'a> {
    broker: &'a Broker,
    id: LeaseId,
    changes: Box<dyn Watch>,
    first: Option<LeaseRecord>,
    ended: bool,
}

impl Broker {
    /// Follows a lease: first as it is now, then after each change, until it has ended.
    ///
    /// # Errors
    /// `HPC-LSE-0001` unknown, `-0005` not yours; `HPC-NET-0006` with too many watches; ledger failures.
    pub async fn watch_lease(&self, caller: &Caller, id: &LeaseId) -> Result<LeaseWatch<'_>, HpcError> {
        let (lease, revision) = self.lease_and_revision(id).await?;
        self.may_read(caller, &lease)?;
        let changes = self.changes_of(id, revision).await?;
        Ok(LeaseWatch { broker: self, id: id.clone(), changes, first: Some(lease), ended: false })
    }

    async fn lease_and_revision(&self, id: &LeaseId) -> Result<(LeaseRecord, Revision), HpcError> {
        match self.store.read::<LeaseRecord>(&key("lease", id.as_str())?).await? {
            Some(found) => Ok(found),
            // The same error as for whoever asks for it.
            None => self.lease_by_id(id).await.map(|lease| (lease, 0)),
        }
    }

    /// Changes of a lease after a revision; if that is too long ago, after the oldest that is kept.
    async fn changes_of(&self, id: &LeaseId, after: Revision) -> Result<Box<dyn Watch>, HpcError> {
        let prefix = format!("lease/{id}");
        match self.store.watch(&prefix, after).await {
            Err(LedgerError::Compacted { oldest }) => self.store.watch(&prefix, oldest).await,
            answer => answer,
        }
        .map_err(fail::ledger)
    }
}

impl LeaseWatch<'_> {
    /// The lease as it is at first, then after each change; `None` once it has ended and was told so.
    ///
    /// A call dropped before it answers loses nothing. A reader that falls behind may miss steps, never the last one.
    ///
    /// # Errors
    /// Ledger failures.
    pub async fn next(&mut self) -> Result<Option<LeaseRecord>, HpcError> {
        if self.ended {
            return Ok(None);
        }
        let lease = match self.first.take() {
            Some(lease) => lease,
            None => self.changed().await?,
        };
        // What replaces it is told as well.
        self.ended = lease.state.is_final()
            && lease.replacement.as_ref().is_none_or(|replacement| replacement.state.is_final());
        Ok(Some(lease))
    }

    async fn changed(&mut self) -> Result<LeaseRecord, HpcError> {
        loop {
            match self.changes.next().await {
                Ok(change) if change.key.name() == self.id.as_str() => {
                    if let Some(bytes) = change.value {
                        return serde_json::from_slice(&bytes)
                            .map_err(|error| fail::corrupt(change.key.as_str(), &error));
                    }
                }
                Ok(_) => {}
                Err(LedgerError::Compacted { .. }) => {
                    let (lease, revision) = self.broker.lease_and_revision(&self.id).await?;
                    self.changes = self.broker.changes_of(&self.id, revision).await?;
                    return Ok(lease);
                }
                Err(error) => return Err(fail::ledger(error)),
            }
        }
    }
}
