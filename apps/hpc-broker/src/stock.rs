//! What is out of stock: one memory for all requests, kept in the ledger so that a restart forgets nothing.
//!
//! What a try learns is written with the record of the try itself, in one transaction: a crash leaves both or neither.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hpc_error::HpcError;
use hpc_ledger::Key;
use hpc_provider::{ErrorKind, ProviderError, Scope};
use hpc_resources::{OfferKey, STOCK_OUTS_MAX, StockMemory, StockOut, StockPlace, StockReason, StockScope};
use jiff::Timestamp;

use crate::broker::Broker;
use crate::store::{Change, key};

/// Most records read at once when the memory is read back.
const PAGE: usize = 256;
/// Most forgotten places dropped with one transaction.
const DROPS_MAX: usize = 256;

/// The memory; what is in it is in the ledger, too, or will be with the transaction at hand.
#[derive(Default)]
pub(crate) struct Stock(Mutex<StockMemory>);

impl Stock {
    fn lock(&self) -> MutexGuard<'_, StockMemory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why an offer is taken to be out of stock.
    pub(crate) fn find(&self, offer: &OfferKey, now: Timestamp) -> Option<StockOut> {
        self.lock().find(offer, now).cloned()
    }

    /// Remembers what a failed try says about stock, if it says anything.
    pub(crate) fn failed(
        &self,
        change: Change,
        error: &ProviderError,
        offer: &OfferKey,
        now: Timestamp,
    ) -> Result<Change, HpcError> {
        // Only the provider's word that it has none reaches further than the place that was tried.
        let (reason, scope) = match (error.kind, error.scope) {
            (ErrorKind::Capacity, Scope::Zone) => (StockReason::NoStock, StockScope::Zone),
            (ErrorKind::Capacity, Scope::Region) => (StockReason::NoStock, StockScope::Region),
            (ErrorKind::Capacity, Scope::Account | Scope::Provider) => {
                (StockReason::NoStock, StockScope::Account)
            }
            (ErrorKind::Internal, _) => (StockReason::Failure, StockScope::Zone),
            (ErrorKind::Deadline, _) => (StockReason::Deadline, StockScope::Zone),
            _ => return Ok(change),
        };
        let learnt = self.lock().out_of_stock(offer, scope, reason, &error.code, now);
        let change = drop_all(change, &learnt.forgotten)?;
        change.put(place_key(&learnt.out.place)?, &learnt.out)
    }

    /// Remembers that a place took back what it had: what took one back may take the next.
    pub(crate) fn reclaimed(
        &self,
        change: Change,
        offer: &OfferKey,
        now: Timestamp,
    ) -> Result<Change, HpcError> {
        let reason = StockReason::Reclaimed;
        let learnt = self.lock().out_of_stock(offer, StockScope::Zone, reason, "", now);
        let change = drop_all(change, &learnt.forgotten)?;
        change.put(place_key(&learnt.out.place)?, &learnt.out)
    }

    /// Forgets what a successful try proves wrong.
    pub(crate) fn sold(&self, change: Change, offer: &OfferKey) -> Result<Change, HpcError> {
        drop_all(change, &self.lock().in_stock(offer))
    }
}

impl Broker {
    /// What is remembered as out of stock now, soonest back first.
    #[must_use]
    pub fn stock_outs(&self) -> Vec<StockOut> {
        self.stock.lock().known(self.environment.now())
    }

    /// Reads the memory back.
    pub(crate) async fn recall_stock(&self) -> Result<(), HpcError> {
        let mut after = None;
        let mut read = 0;
        loop {
            let (records, more) = self.store.page::<StockOut>("stock/", after, PAGE).await?;
            read += records.len();
            after = records.last().map(|(key, _)| key.clone());
            self.stock.lock().restore(records.into_iter().map(|(_, out)| out));
            if !more || read >= STOCK_OUTS_MAX {
                return Ok(());
            }
        }
    }

    /// Drops what has been quiet for so long that a new stock-out would be the first.
    pub(crate) async fn forget_stock(&self) -> Result<(), HpcError> {
        let old = self.stock.lock().forget(self.environment.now());
        for places in old.chunks(DROPS_MAX) {
            self.store.commit_even_unaudited(drop_all(Change::new(), places)?).await?;
        }
        Ok(())
    }
}

fn drop_all(change: Change, places: &[StockPlace]) -> Result<Change, HpcError> {
    places.iter().try_fold(change, |change, place| Ok(change.delete(place_key(place)?)))
}

/// Places have names of providers in them, which may be longer than a key.
fn place_key(place: &StockPlace) -> Result<Key, HpcError> {
    key("stock", blake3::hash(place.to_string().as_bytes()).to_hex().as_str())
}
