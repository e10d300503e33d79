//! All payers at once: what is held for open leases, and whether more fits under every limit.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::budget::account::{Account, BudgetStanding, BudgetWindow, Shortfall};
use crate::budget::month::Month;
use crate::budget::payer::Payer;
use crate::budget::span::Span;
use crate::ids::{IntentId, LeaseId};
use crate::money::{Currency, Money};

/// What is held for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The most it may cost in all.
    pub amount: Money,
    /// The most it may cost per hour; of one currency with the amount.
    pub hourly: Money,
    /// When it runs.
    pub span: Span,
}

/// Why something is not held. Never a matter of one limit only: all that stand in the way are named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More than is left under these limits.
    #[error("{}", list(.0))]
    Exceeded(Vec<Shortfall>),
    /// The payer's limits are in another currency.
    #[error("{payer} has limits in {limits}, this would cost {asked}")]
    Currency {
        /// Who.
        payer: Payer,
        /// The currency of their limits.
        limits: Currency,
        /// The currency of what was asked for.
        asked: Currency,
    },
}

fn list(short: &[Shortfall]) -> String {
    short.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What several payers can still take on, as of one moment: any number of offers is held against it.
#[derive(Clone, Debug, Default)]
pub struct Headroom {
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    standing: BudgetStanding,
    span: Span,
}

impl Headroom {
    /// Whether a cost fits under all limits at once.
    ///
    /// # Errors
    /// [`Refused`], with every limit that stands in the way.
    pub fn check(&self, amount: Money, hourly: Money) -> Result<(), Refused> {
        let mut short = Vec::new();
        for Line { standing, span } in &self.lines {
            let limits = standing.limit.currency();
            if let Some(asked) =
                [amount, hourly].into_iter().map(Money::currency).find(|asked| *asked != limits)
            {
                return Err(Refused::Currency { payer: standing.payer.clone(), limits, asked });
            }
            let need = match (standing.window, standing.month) {
                (BudgetWindow::Hourly, _) => hourly,
                (BudgetWindow::Monthly, Some(month)) => span.part(amount, month),
                (BudgetWindow::Total | BudgetWindow::Monthly, _) => amount,
            };
            if need.nanos() > 0 && need.nanos() > standing.left.nanos() {
                short.push(Shortfall { budget: standing.clone(), need });
            }
        }
        if short.is_empty() { Ok(()) } else { Err(Refused::Exceeded(short)) }
    }

    /// The limits, and where each stands.
    pub fn standings(&self) -> impl Iterator<Item = &BudgetStanding> {
        self.lines.iter().map(|line| &line.standing)
    }
}

#[derive(Clone, Debug)]
struct Held {
    payers: Vec<Payer>,
    hold: Hold,
}

/// A try that was set aside: what it created, if anything, costs money beside its lease.
#[derive(Clone, Debug)]
struct Stray {
    payers: Vec<Payer>,
    hourly: Money,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sums {
    total: i128,
    hourly: i128,
    months: BTreeMap<Month, i128>,
}

/// Accounts, and everything that is held of them.
///
/// The law: no call that takes a hold makes what is spent and held more than a limit, in any window of any payer.
/// Costs that come in, holds that are taken over with [`Accounts::restore`] and limits that are lowered are facts: they are
/// never refused, and while they leave a limit overdrawn nothing more is held under it.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    accounts: BTreeMap<Payer, Account>,
    holds: BTreeMap<LeaseId, Held>,
    strays: BTreeMap<IntentId, Stray>,
    sums: BTreeMap<(Payer, Currency), Sums>,
}

impl Accounts {
    /// Takes over an account as the ledger has it.
    pub fn set(&mut self, account: Account) {
        self.accounts.insert(account.payer.clone(), account);
    }

    /// The account of a payer, if there is one.
    #[must_use]
    pub fn account(&self, payer: &Payer) -> Option<&Account> {
        self.accounts.get(payer)
    }

    /// All accounts, by payer.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// Where a payer stands under each of their limits, as of `now`.
    #[must_use]
    pub fn standings(&self, payer: &Payer, now: Timestamp) -> Vec<BudgetStanding> {
        let Some(account) = self.accounts.get(payer) else { return Vec::new() };
        let of = |window| self.standing(account, window, Month::of(now));
        BudgetWindow::ALL.into_iter().filter_map(of).collect()
    }

    /// What payers can still take on for a run.
    #[must_use]
    pub fn headroom(&self, payers: &[Payer], span: Span) -> Headroom {
        let mut lines = Vec::new();
        for account in payers.iter().collect::<BTreeSet<_>>().into_iter().filter_map(|p| self.accounts.get(p))
        {
            let mut put = |standing: Option<BudgetStanding>| {
                lines.extend(standing.map(|standing| Line { standing, span }));
            };
            let now = Month::of(span.from);
            put(self.standing(account, BudgetWindow::Total, now));
            put(self.standing(account, BudgetWindow::Hourly, now));
            if account.limits.monthly.is_some() {
                for month in span.months() {
                    put(self.standing(account, BudgetWindow::Monthly, month));
                }
            }
        }
        Headroom { lines }
    }

    /// Holds money for a lease, or holds something else for it than before, if every limit of every payer allows it.
    ///
    /// # Errors
    /// [`Refused`]; what was held before stays held.
    pub fn hold(&mut self, lease: &LeaseId, payers: &[Payer], hold: Hold) -> Result<(), Refused> {
        let before = self.end(lease);
        match self.headroom(payers, hold.span).check(hold.amount, hold.hourly) {
            Ok(()) => {
                self.restore(lease, payers, hold);
                Ok(())
            }
            Err(refused) => {
                if let Some((payers, hold)) = before {
                    self.restore(lease, &payers, hold);
                }
                Err(refused)
            }
        }
    }

    /// Takes over what the ledger holds for a lease, whatever is left.
    pub fn restore(&mut self, lease: &LeaseId, payers: &[Payer], hold: Hold) {
        self.end(lease);
        let held = Held { payers: distinct(payers), hold };
        self.count(&held, 1);
        self.holds.insert(lease.clone(), held);
    }

    /// Ends what is held for a lease, and says what it was.
    pub fn end(&mut self, lease: &LeaseId) -> Option<(Vec<Payer>, Hold)> {
        let held = self.holds.remove(lease)?;
        self.count(&held, -1);
        Some((held.payers, held.hold))
    }

    /// The leases that something is held for.
    pub fn leases(&self) -> impl Iterator<Item = &LeaseId> {
        self.holds.keys()
    }

    /// Who holds something for a lease.
    #[must_use]
    pub fn paid_by(&self, lease: &LeaseId) -> &[Payer] {
        self.holds.get(lease).map_or(&[], |held| &held.payers)
    }

    /// What is held for a lease.
    #[must_use]
    pub fn held_for(&self, lease: &LeaseId) -> Option<Hold> {
        self.holds.get(lease).map(|held| held.hold)
    }

    /// Goes on without a try of a lease that may have created something: it counts per hour beside the lease until
    /// [`Accounts::end_stray`].
    ///
    /// # Errors
    /// [`Refused`] when lease and stray together do not fit under every hourly limit: then the lease itself counts
    /// nothing per hour any more, and must not try again.
    pub fn set_aside(&mut self, intent: &IntentId, lease: &LeaseId, hourly: Money) -> Result<(), Refused> {
        let Some((payers, hold)) = self.end(lease) else { return Ok(()) };
        self.restore_stray(intent, &payers, hourly);
        let span = hold.span;
        let fits =
            self.headroom(&payers, span).check(Money::from_nanos(0, hold.hourly.currency()), hold.hourly);
        let nothing = Money::from_nanos(0, hold.hourly.currency());
        let hourly = if fits.is_ok() { hold.hourly } else { nothing };
        self.restore(lease, &payers, Hold { hourly, ..hold });
        fits
    }

    /// Takes over a try that the ledger has set aside.
    pub fn restore_stray(&mut self, intent: &IntentId, payers: &[Payer], hourly: Money) {
        self.end_stray(intent);
        let stray = Stray { payers: distinct(payers), hourly };
        self.count_hourly(&stray, 1);
        self.strays.insert(intent.clone(), stray);
    }

    /// Nothing of the try costs money any more.
    pub fn end_stray(&mut self, intent: &IntentId) {
        if let Some(stray) = self.strays.remove(intent) {
            self.count_hourly(&stray, -1);
        }
    }

    /// The tries that were set aside and are still counted.
    pub fn strays(&self) -> impl Iterator<Item = &IntentId> {
        self.strays.keys()
    }

    /// Whether a payer holds money in another currency.
    #[must_use]
    pub fn holds_other_than(&self, payer: &Payer, currency: Currency) -> bool {
        self.sums.keys().any(|(who, held)| who == payer && *held != currency)
    }

    fn standing(&self, account: &Account, window: BudgetWindow, month: Month) -> Option<BudgetStanding> {
        let limit = account.limits.of(window)?;
        let currency = limit.currency();
        let sums = self.sums.get(&(account.payer.clone(), currency));
        let zero = Money::from_nanos(0, currency);
        let (spent, held, month) = match window {
            BudgetWindow::Total => (account.total(currency), sums.map_or(0, |sums| sums.total), None),
            BudgetWindow::Hourly => (zero, sums.map_or(0, |sums| sums.hourly), None),
            BudgetWindow::Monthly => {
                let held = sums.and_then(|sums| sums.months.get(&month)).copied().unwrap_or(0);
                (account.in_month(month, currency), held, Some(month))
            }
        };
        let left = i128::from(limit.nanos()) - i128::from(spent.nanos()) - held;
        Some(BudgetStanding {
            payer: account.payer.clone(),
            window,
            month,
            limit,
            spent,
            held: clamped(held, currency),
            left: clamped(left, currency),
            resets_at: month.map(Month::end),
        })
    }

    fn count(&mut self, held: &Held, sign: i128) {
        let Hold { amount, hourly, span } = held.hold;
        for payer in &held.payers {
            self.change(payer, amount.currency(), |sums| {
                sums.total += sign * i128::from(amount.nanos());
                for month in span.months() {
                    *sums.months.entry(month).or_default() +=
                        sign * i128::from(span.part(amount, month).nanos());
                }
                sums.months.retain(|_, nanos| *nanos != 0);
            });
            self.change(payer, hourly.currency(), |sums| sums.hourly += sign * i128::from(hourly.nanos()));
        }
    }

    fn count_hourly(&mut self, stray: &Stray, sign: i128) {
        for payer in &stray.payers {
            let nanos = i128::from(stray.hourly.nanos());
            self.change(payer, stray.hourly.currency(), |sums| sums.hourly += sign * nanos);
        }
    }

    fn change(&mut self, payer: &Payer, currency: Currency, change: impl FnOnce(&mut Sums)) {
        let place = (payer.clone(), currency);
        let sums = self.sums.entry(place.clone()).or_default();
        change(sums);
        if *sums == Sums::default() {
            self.sums.remove(&place);
        }
    }
}

fn distinct(payers: &[Payer]) -> Vec<Payer> {
    payers.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

/// Sums may leave the range of money; what is shown of them stays at its end.
fn clamped(nanos: i128, currency: Currency) -> Money {
    let end = if nanos < 0 { i64::MIN } else { i64::MAX };
    Money::from_nanos(i64::try_from(nanos).unwrap_or(end), currency)
}
