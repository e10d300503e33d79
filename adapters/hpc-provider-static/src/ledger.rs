//! Reading and writing the records: the only place that speaks to the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;

use hpc_ledger::{Key, Ledger, LedgerError, Range, Transaction, Versioned};
use hpc_provider::Token;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::record::{Books, Hold, Keys, Reservation};
use crate::refusal;

type Result<T> = std::result::Result<T, LedgerError>;

/// A record and what it was read from.
pub(crate) struct Read<T> {
    pub(crate) value: T,
    pub(crate) versioned: Versioned,
}

/// The records of one provider.
#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) keys: Keys,
}

impl Records {
    async fn read<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<Read<T>>> {
        match self.ledger.get(key).await? {
            None => Ok(None),
            Some(versioned) => Ok(Some(Read { value: parse(key, &versioned.value)?, versioned })),
        }
    }

    pub(crate) async fn books(&self) -> Result<Option<Read<Books>>> {
        self.read(&self.keys.books()?).await
    }

    pub(crate) async fn reservation(&self, number: u64) -> Result<Option<Read<Reservation>>> {
        self.read(&self.keys.reservation(number)?).await
    }

    /// The reservation that a token made.
    pub(crate) async fn by_token(&self, token: &Token) -> Result<Option<Reservation>> {
        let key = self.keys.token(token)?;
        let Some(number) = self.read::<u64>(&key).await? else { return Ok(None) };
        match self.reservation(number.value).await? {
            Some(found) => Ok(Some(found.value)),
            None => Err(refusal::damaged(key.as_str(), "it names a reservation that is not there")),
        }
    }

    /// Which machines are held, and by which reservation.
    pub(crate) async fn held(&self) -> Result<BTreeMap<String, u64>> {
        let mut all = BTreeMap::new();
        let mut next = Some(Range::prefix(self.keys.all_held()));
        while let Some(range) = next {
            let page = self.ledger.range(&range).await?;
            for (key, versioned) in &page.entries {
                let hold: Hold = parse(key, &versioned.value)?;
                all.insert(key.name().to_owned(), hold.number);
            }
            next = page.next(&range);
        }
        Ok(all)
    }

    /// The reservations after `after`, one page; the last number of it when more follow.
    pub(crate) async fn reservations(
        &self,
        after: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<Reservation>, Option<u64>)> {
        let mut range = Range::prefix(self.keys.reservations()).limit(limit);
        if let Some(after) = after {
            range = range.after(self.keys.reservation(after)?);
        }
        let page = self.ledger.range(&range).await?;
        let mut found = Vec::with_capacity(page.entries.len());
        for (key, versioned) in &page.entries {
            found.push(parse::<Reservation>(key, &versioned.value)?);
        }
        let next = found.last().map(|last| last.number).filter(|_| page.more);
        Ok((found, next))
    }

    /// Adds to `transaction` that up to `most` of the oldest ended reservations are forgotten, and says how many.
    pub(crate) async fn forget(
        &self,
        mut transaction: Transaction,
        most: usize,
    ) -> Result<(Transaction, u64)> {
        let page = self.ledger.range(&Range::prefix(self.keys.all_ended()).limit(most)).await?;
        let mut forgotten = 0;
        for (key, _) in &page.entries {
            let number = key.name().parse().map_err(|_| refusal::damaged(key.as_str(), "not a number"))?;
            if let Some(old) = self.reservation(number).await? {
                transaction = transaction.delete(self.keys.token(&old.value.token)?);
            }
            transaction = transaction.delete(key).delete(self.keys.reservation(number)?);
            forgotten += 1;
        }
        Ok((transaction, forgotten))
    }
}

fn parse<T: DeserializeOwned>(key: &Key, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| refusal::damaged(key.as_str(), &error.to_string()))
}

/// A record as bytes.
pub(crate) fn bytes<T: Serialize>(key: &Key, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| refusal::damaged(key.as_str(), &error.to_string()))
}
