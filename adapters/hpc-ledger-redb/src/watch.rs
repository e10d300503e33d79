//! Watches: changes are read from the file, so a slow reader costs no memory.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use hpc_ledger::{Change, LedgerError, Revision, Watch};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::read::{Changes, changes};
use crate::store::Store;

pub(crate) struct RedbWatch {
    /// Weak, so that a forgotten watch does not keep the file locked.
    store: Weak<Store>,
    revision: watch::Receiver<Revision>,
    prefix: Arc<str>,
    read_up_to: Revision,
    fetched: VecDeque<Change>,
    ended: Option<LedgerError>,
    _permit: OwnedSemaphorePermit,
}

impl RedbWatch {
    pub(crate) fn new(
        store: &Arc<Store>,
        prefix: &str,
        after: Revision,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            store: Arc::downgrade(store),
            revision: store.revision.subscribe(),
            prefix: prefix.into(),
            read_up_to: after,
            fetched: VecDeque::new(),
            ended: None,
            _permit: permit,
        }
    }
}

#[async_trait]
impl Watch for RedbWatch {
    async fn next(&mut self) -> Result<Change, LedgerError> {
        loop {
            if let Some(change) = self.fetched.pop_front() {
                return Ok(change);
            }
            if let Some(error) = &self.ended {
                return Err(error.clone());
            }
            // Marked before reading: a commit during the read wakes the next wait.
            let newest = *self.revision.borrow_and_update();
            if newest <= self.read_up_to {
                self.revision.changed().await.map_err(|_| closed())?;
                continue;
            }
            let store = self.store.upgrade().ok_or_else(closed)?;
            let (prefix, after) = (Arc::clone(&self.prefix), self.read_up_to);
            let read = store.read(move |database| changes(database, &prefix, after)).await;
            drop(store);
            match read {
                Ok(Changes::Upto(revision, found)) => {
                    self.read_up_to = revision;
                    self.fetched = found;
                }
                Ok(Changes::Compacted(oldest)) => self.ended = Some(LedgerError::Compacted { oldest }),
                Err(error @ LedgerError::Corrupt { .. }) => self.ended = Some(error),
                Err(error) => return Err(error),
            }
        }
    }
}

fn closed() -> LedgerError {
    LedgerError::Unavailable { reason: "the ledger was closed".into() }
}
