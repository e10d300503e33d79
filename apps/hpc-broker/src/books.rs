//! What this process knows by heart: budgets and their holds, reserved quota, and intents in flight.
//!
//! Everything here is rebuilt from the ledger at start. One process owns the ledger, so a reservation made here before
//! the commit cannot be overtaken; etcd as a shared engine will need these sums in the ledger itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hpc_resources::{IntentId, LeaseId, Money, MoneyError, Offer, ProviderId, QuotaFamily, Region, TeamId};

#[derive(Default)]
struct Account {
    limit: Option<Money>,
    spent: Option<Money>,
    /// Of the ledger, when limit and spent were written: an older one never replaces a newer one.
    revision: u64,
    holds: HashMap<LeaseId, (Money, u32)>,
}

#[derive(Default)]
struct Inner {
    accounts: BTreeMap<TeamId, Account>,
    quota: HashMap<(ProviderId, Region, QuotaFamily), HashMap<IntentId, u64>>,
    begun: HashSet<String>,
}

/// Why a hold was refused.
pub(crate) enum HoldError {
    /// More than is left.
    Exceeded { left: Money, limit: Money },
    /// Amounts that cannot be summed.
    Money(MoneyError),
}

#[derive(Default)]
pub(crate) struct Books(Mutex<Inner>);

/// One team's money.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) limit: Money,
    pub(crate) spent: Money,
    pub(crate) held: Money,
    pub(crate) left: Money,
}

impl Books {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a budget as the ledger has it at `revision`.
    pub(crate) fn set_budget(&self, team: &TeamId, limit: Money, spent: Money, revision: u64) {
        let mut inner = self.lock();
        let account = inner.accounts.entry(team.clone()).or_default();
        if account.limit.is_some() && revision < account.revision {
            return;
        }
        account.revision = revision;
        account.limit = Some(limit);
        account.spent = Some(spent);
    }

    /// What a team has; `None` when it has no budget.
    pub(crate) fn standing(&self, team: &TeamId) -> Result<Option<Standing>, MoneyError> {
        let inner = self.lock();
        let Some(account) = inner.accounts.get(team) else { return Ok(None) };
        standing_of(account)
    }

    /// Holds an amount of a team's budget for a lease, in place of what was held for it before. Without a budget, everything
    /// is held and nothing refused.
    pub(crate) fn hold(
        &self,
        team: &TeamId,
        lease: &LeaseId,
        amount: Money,
        gpus: u32,
    ) -> Result<(), HoldError> {
        let mut inner = self.lock();
        let account = inner.accounts.entry(team.clone()).or_default();
        let before = account.holds.remove(lease);
        if let Some(standing) = standing_of(account).map_err(HoldError::Money)?
            && amount.exceeds(standing.left)
        {
            if let Some(before) = before {
                account.holds.insert(lease.clone(), before);
            }
            return Err(HoldError::Exceeded { left: standing.left, limit: standing.limit });
        }
        account.holds.insert(lease.clone(), (amount, gpus));
        Ok(())
    }

    /// Takes over a hold that the ledger has, whatever is left.
    pub(crate) fn restore_hold(&self, team: &TeamId, lease: &LeaseId, amount: Money, gpus: u32) {
        self.lock().accounts.entry(team.clone()).or_default().holds.insert(lease.clone(), (amount, gpus));
    }

    /// Accelerators that a team's open leases have or wait for.
    pub(crate) fn accelerators_held(&self, team: &TeamId) -> u64 {
        self.lock()
            .accounts
            .get(team)
            .map_or(0, |account| account.holds.values().map(|(_, gpus)| u64::from(*gpus)).sum())
    }

    /// Every hold there is.
    pub(crate) fn held(&self) -> Vec<(TeamId, LeaseId)> {
        let inner = self.lock();
        let of = |(team, account): (&TeamId, &Account)| {
            account.holds.keys().map(|lease| (team.clone(), lease.clone())).collect::<Vec<_>>()
        };
        inner.accounts.iter().flat_map(of).collect()
    }

    /// Whether a team holds money in another currency.
    pub(crate) fn holds_other_than(&self, team: &TeamId, currency: hpc_resources::Currency) -> bool {
        let inner = self.lock();
        let Some(account) = inner.accounts.get(team) else { return false };
        account.holds.values().any(|(amount, _)| amount.currency() != currency)
    }

    /// Ends a hold.
    pub(crate) fn end_hold(&self, team: &TeamId, lease: &LeaseId) {
        if let Some(account) = self.lock().accounts.get_mut(team) {
            account.holds.remove(lease);
        }
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

fn standing_of(account: &Account) -> Result<Option<Standing>, MoneyError> {
    let Some(limit) = account.limit else { return Ok(None) };
    let spent = account.spent.unwrap_or(Money::from_nanos(0, limit.currency()));
    let mut held = Money::from_nanos(0, limit.currency());
    for (amount, _) in account.holds.values() {
        held = held.checked_add(*amount)?;
    }
    let left = limit.checked_sub(spent)?.checked_sub(held)?;
    Ok(Some(Standing { limit, spent, held, left }))
}
