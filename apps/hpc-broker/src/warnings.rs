//! A word before a budget is used up: an audit entry at four fifths, once for each limit and month.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use hpc_audit::Outcome;
use hpc_error::HpcError;
use hpc_resources::{BudgetStanding, Month};

use crate::broker::Broker;
use crate::entry::say;
use crate::store::{Change, CommitError, key};

/// The share of a limit at which its use is told, in hundredths of a percent.
pub const WARNING_BP: u64 = 8_000;

/// Warnings that this process knows to be recorded, by their markers: at most one for each limit and month.
#[derive(Debug, Default)]
pub(crate) struct Warned(Mutex<BTreeSet<String>>, Mutex<Option<Month>>);

/// Most markers dropped with one transaction.
const DROPS_MAX: usize = 256;

impl Broker {
    /// Records a warning for every limit that is used by four fifths, if none was recorded for it before. A limit that is
    /// changed is another one; a monthly limit is another one each month, an hourly one is told of once a month.
    ///
    /// # Errors
    /// A ledger failure.
    pub(crate) async fn warn_of_budgets(&self) -> Result<usize, HpcError> {
        let now = self.environment.now();
        self.forget_warnings(Month::of(now)).await?;
        let mut told = 0;
        let mut current = BTreeSet::new();
        for budget in self.budgets().into_iter().filter(|budget| budget.used_bp() >= WARNING_BP) {
            let marker = marker(&budget, Month::of(now));
            current.insert(marker.clone());
            if self.warned.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&marker) {
                continue;
            }
            let place = key("warned", &marker)?;
            let mut entry = self.scribe.entry(
                format!("{marker}.budget-warning"),
                now,
                "system",
                "budget.warning",
                Outcome::Ok,
            );
            entry.subjects.insert("budget".to_owned(), budget.payer.to_string());
            say(&mut entry, "window", budget.window.as_str());
            say(&mut entry, "limit", &budget.limit.to_string());
            say(&mut entry, "spent", &budget.spent.to_string());
            say(&mut entry, "held", &budget.held.to_string());
            say(&mut entry, "left", &budget.left.to_string());
            if let Some(month) = budget.month {
                say(&mut entry, "month", &month.to_string());
            }
            let change = Change::new().expect_absent(place.clone()).mark(place).say(entry);
            match self.store.commit_even_unaudited(change).await {
                Ok(_) => told += 1,
                // It was recorded before.
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
            self.warned.0.lock().unwrap_or_else(PoisonError::into_inner).insert(marker);
        }
        // What is no longer over its share is looked up again, should it be once more.
        self.warned
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|marker| current.contains(marker));
        Ok(told)
    }
}

impl Broker {
    /// Drops the markers of months that are over, once a month: what they mark cannot come again.
    async fn forget_warnings(&self, now: Month) -> Result<(), HpcError> {
        if *self.warned.1.lock().unwrap_or_else(PoisonError::into_inner) == Some(now) {
            return Ok(());
        }
        let is_over = |key: &hpc_ledger::Key| {
            let month = key.name().rsplit_once('.').and_then(|(_, month)| month.parse::<Month>().ok());
            month.is_some_and(|month| month < now)
        };
        let over: Vec<_> = self.store.keys("warned/").await?.into_iter().filter(is_over).collect();
        for some in over.chunks(DROPS_MAX) {
            let change = some.iter().fold(Change::new(), |change, marker| change.delete(marker.clone()));
            self.store.commit_even_unaudited(change).await?;
        }
        *self.warned.1.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }
}

/// Names a limit in its month: the payer's name may be long, so it is hashed.
fn marker(budget: &BudgetStanding, now: Month) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("hpc-broker 2026-11 budget warning v1");
    hasher.update(budget.payer.to_string().as_bytes());
    hasher.update(&[0]).update(budget.limit.to_string().as_bytes());
    let name = hasher.finalize().to_hex();
    let month = match budget.window {
        hpc_resources::BudgetWindow::Total => "ever".to_owned(),
        hpc_resources::BudgetWindow::Hourly | hpc_resources::BudgetWindow::Monthly => {
            budget.month.unwrap_or(now).to_string()
        }
    };
    format!("{}.{}.{month}", name.as_str().get(..32).unwrap_or_default(), budget.window.as_str())
}
