//! What this process knows by heart: budgets and their holds, reserved quota, and intents in flight.
//!
//! Everything here is rebuilt from the ledger at start. One process owns the ledger, so a reservation made here before
//! the commit cannot be overtaken; etcd as a shared engine will need these sums in the ledger itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hpc_resources::{
    Account, Accounts, BudgetHold, BudgetStanding, Currency, Headroom, IntentId, LeaseId, Money, Offer,
    Payer, ProviderId, QuotaFamily, Refused, Region, Span, TeamId,
};
use jiff::Timestamp;

use crate::held::HeldAccelerators;

#[derive(Default)]
struct Inner {
    accounts: Accounts,
    /// Of the ledger, when an account was written: an older one never replaces a newer one.
    revisions: BTreeMap<Payer, u64>,
    accelerators: HeldAccelerators,
    quota: HashMap<(ProviderId, Region, QuotaFamily), HashMap<IntentId, u64>>,
    begun: HashSet<String>,
}

#[derive(Default)]
pub(crate) struct Books(Mutex<Inner>);

impl Books {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over an account as the ledger has it at `revision`.
    pub(crate) fn set_account(&self, account: &Account, revision: u64) {
        let mut inner = self.lock();
        let known = inner.revisions.entry(account.payer.clone()).or_insert(0);
        if revision >= *known {
            *known = revision;
            inner.accounts.set(account.clone());
        }
    }

    /// Where a payer stands under each of their limits.
    pub(crate) fn standings(&self, payer: &Payer, now: Timestamp) -> Vec<BudgetStanding> {
        self.lock().accounts.standings(payer, now)
    }

    /// Everybody who has a limit.
    pub(crate) fn limited(&self) -> Vec<Payer> {
        let inner = self.lock();
        let limited = inner.accounts.accounts().filter(|account| !account.limits.is_empty());
        limited.map(|account| account.payer.clone()).collect()
    }

    /// Whether a payer has a limit.
    pub(crate) fn is_limited(&self, payer: &Payer) -> bool {
        self.lock().accounts.account(payer).is_some_and(|account| !account.limits.is_empty())
    }

    /// What payers can still take on.
    pub(crate) fn headroom(&self, payers: &[Payer], span: Span) -> Headroom {
        self.lock().accounts.headroom(payers, span)
    }

    /// Holds money for a lease, or holds something else for it than before, if every limit allows it.
    pub(crate) fn hold(
        &self,
        lease: &LeaseId,
        payers: &[Payer],
        hold: BudgetHold,
        accelerators: (TeamId, u32),
    ) -> Result<(), Refused> {
        let mut inner = self.lock();
        inner.accounts.hold(lease, payers, hold)?;
        inner.accelerators.set(lease, accelerators);
        Ok(())
    }

    /// Takes over a hold that the ledger has, whatever is left.
    pub(crate) fn restore_hold(
        &self,
        lease: &LeaseId,
        payers: &[Payer],
        hold: BudgetHold,
        accelerators: (TeamId, u32),
    ) {
        let mut inner = self.lock();
        inner.accounts.restore(lease, payers, hold);
        inner.accelerators.set(lease, accelerators);
    }

    /// Takes over a hold and tries that were set aside beside it, at once: nobody sees one without the other.
    pub(crate) fn restore_beside(
        &self,
        lease: &LeaseId,
        payers: &[Payer],
        hold: BudgetHold,
        accelerators: (TeamId, u32),
        strays: &[(IntentId, Money)],
    ) {
        let mut inner = self.lock();
        inner.accounts.restore(lease, payers, hold);
        inner.accelerators.set(lease, accelerators);
        for (intent, hourly) in strays {
            inner.accounts.restore_stray(intent, payers, *hourly);
        }
    }

    /// Accelerators that a team's open leases have or wait for.
    pub(crate) fn accelerators_held(&self, team: &TeamId) -> u64 {
        self.lock().accelerators.of(team)
    }

    /// Every lease that something is held for.
    pub(crate) fn held(&self) -> Vec<LeaseId> {
        self.lock().accounts.leases().cloned().collect()
    }

    /// Whether a payer holds money in another currency.
    pub(crate) fn holds_other_than(&self, payer: &Payer, currency: Currency) -> bool {
        self.lock().accounts.holds_other_than(payer, currency)
    }

    /// Who holds something for a lease.
    pub(crate) fn paid_by(&self, lease: &LeaseId) -> Vec<Payer> {
        self.lock().accounts.paid_by(lease).to_vec()
    }

    /// What is held for a lease.
    pub(crate) fn held_for(&self, lease: &LeaseId) -> Option<BudgetHold> {
        self.lock().accounts.held_for(lease)
    }

    /// Ends a hold.
    pub(crate) fn end_hold(&self, lease: &LeaseId) {
        let mut inner = self.lock();
        inner.accelerators.end(lease);
        drop(inner.accounts.end(lease));
    }

    /// Counts a try that was set aside per hour, beside its lease, if both fit under every hourly limit.
    pub(crate) fn set_aside(&self, intent: &IntentId, lease: &LeaseId, hourly: Money) -> Result<(), Refused> {
        self.lock().accounts.set_aside(intent, lease, hourly)
    }

    /// Takes over a try that the ledger has set aside.
    pub(crate) fn restore_stray(&self, intent: &IntentId, payers: &[Payer], hourly: Money) {
        self.lock().accounts.restore_stray(intent, payers, hourly);
    }

    /// Nothing of a try costs money any more, or its lease counts it.
    pub(crate) fn end_stray(&self, intent: &IntentId) {
        self.lock().accounts.end_stray(intent);
    }

    /// Tries that were set aside and are still counted.
    pub(crate) fn strays(&self) -> Vec<IntentId> {
        self.lock().accounts.strays().cloned().collect()
    }

    /// Reserves quota for an intent, so that two plans cannot both take the last units.
    #[must_use = "the reservation ends when this is dropped"]
    pub(crate) fn reserve_quota(&self, intent: &IntentId, offer: &Offer, instances: u32) -> Reserved<'_> {
        if let Some(cost) = &offer.quota {
            let place = (offer.provider.clone(), offer.region.clone(), cost.family.clone());
            let units = cost.units_per_instance.saturating_mul(u64::from(instances));
            self.lock().quota.entry(place).or_default().insert(intent.clone(), units);
        }
        Reserved { books: self, intent: intent.clone() }
    }

    /// Ends the reservation of an intent: the provider's own count has it now, or nothing was created.
    fn end_quota(&self, intent: &IntentId) {
        self.lock().quota.retain(|_, reserved| {
            reserved.remove(intent);
            !reserved.is_empty()
        });
    }

    /// Units reserved and not yet seen by the provider.
    pub(crate) fn reserved_quota(&self, provider: &ProviderId, region: &Region, family: &QuotaFamily) -> u64 {
        let place = (provider.clone(), region.clone(), family.clone());
        self.lock()
            .quota
            .get(&place)
            .map_or(0, |reserved| reserved.values().copied().fold(0, u64::saturating_add))
    }

    /// Whether a name is claimed.
    pub(crate) fn is_begun(&self, name: &str) -> bool {
        self.lock().begun.contains(name)
    }

    /// Claims a name (of a plan, an intent or a lease) for one use case at a time; `None` if it is claimed.
    pub(crate) fn begin(&self, name: &str) -> Option<Begun<'_>> {
        let fresh = self.lock().begun.insert(name.to_owned());
        fresh.then(|| Begun { books: self, name: name.to_owned() })
    }
}

/// The name an intent is claimed under while a call works on it.
pub(crate) fn claim_name(intent: &IntentId) -> String {
    format!("intent/{intent}")
}

/// A reservation of quota; dropping it, also when a call is given up, ends it.
pub(crate) struct Reserved<'a> {
    books: &'a Books,
    intent: IntentId,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.books.end_quota(&self.intent);
    }
}

/// A claimed name; dropping it gives the name back.
pub(crate) struct Begun<'a> {
    books: &'a Books,
    name: String,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.books.lock().begun.remove(&self.name);
    }
}
