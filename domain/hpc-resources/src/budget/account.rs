//! What the ledger keeps of a payer: limits, and what was spent.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::budget::month::Month;
use crate::budget::payer::Payer;
use crate::money::{Currency, Money, MoneyError};

/// Most months that an account remembers one by one; older ones live on in its total.
pub const ACCOUNT_MONTHS_MAX: usize = 36;

/// What a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetWindow {
    /// All that is ever spent or held.
    Total,
    /// What everything that runs or is being tried costs per hour, at any moment.
    Hourly,
    /// What is spent or held in one calendar month, UTC, half open.
    Monthly,
}

impl BudgetWindow {
    /// All windows, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Total, Self::Hourly, Self::Monthly];

    /// The name used in documents and options.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Hourly => "hourly",
            Self::Monthly => "monthly",
        }
    }
}

/// The limits of one payer; `None` is no limit. All that are there hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most that may be spent and held in all.
    pub total: Option<Money>,
    /// The most that everything together may cost per hour.
    pub hourly: Option<Money>,
    /// The most that may be spent and held in one calendar month.
    pub monthly: Option<Money>,
}

/// Why limits were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// A limit below zero.
    #[error("a limit of {0} is below zero")]
    Negative(Money),
    /// Limits in two currencies.
    #[error("limits of one payer are in one currency, these are in {0} and {1}")]
    Mixed(Currency, Currency),
}

impl Limits {
    /// The limit of a window.
    #[must_use]
    pub const fn of(&self, window: BudgetWindow) -> Option<Money> {
        match window {
            BudgetWindow::Total => self.total,
            BudgetWindow::Hourly => self.hourly,
            BudgetWindow::Monthly => self.monthly,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total.is_none() && self.hourly.is_none() && self.monthly.is_none()
    }

    /// Their currency; `None` without a limit.
    #[must_use]
    pub fn currency(&self) -> Option<Currency> {
        BudgetWindow::ALL.into_iter().find_map(|window| self.of(window)).map(Money::currency)
    }

    /// Checks that none is below zero and all are in one currency.
    ///
    /// # Errors
    /// [`LimitsError`].
    pub fn check(&self) -> Result<(), LimitsError> {
        let limits = BudgetWindow::ALL.into_iter().filter_map(|window| self.of(window));
        for limit in limits {
            if limit.is_negative() {
                return Err(LimitsError::Negative(limit));
            }
            match self.currency() {
                Some(first) if first != limit.currency() => {
                    return Err(LimitsError::Mixed(first, limit.currency()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a payer has spent in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// In all.
    pub total: Money,
    /// By month; the newest [`ACCOUNT_MONTHS_MAX`].
    pub months: BTreeMap<Month, Money>,
}

/// A payer's limits and what was spent by leases that ended.
///
/// What is spent is kept for everybody who spends, limits or not: a limit that comes later counts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Who.
    pub payer: Payer,
    /// The limits.
    #[serde(default)]
    pub limits: Limits,
    /// What was spent, one entry for each currency.
    #[serde(default)]
    pub spent: Vec<Spent>,
}

impl Account {
    /// An account without limits that has spent nothing.
    #[must_use]
    pub const fn new(payer: Payer) -> Self {
        Self { payer, limits: Limits { total: None, hourly: None, monthly: None }, spent: Vec::new() }
    }

    /// Adds a cost in its months. The zero parts of a cost make a currency known, and change nothing else.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`]; the account stays as it was.
    pub fn spend(&mut self, parts: &[(Month, Money)]) -> Result<(), MoneyError> {
        let mut after = self.clone();
        for (month, cost) in parts {
            let zero = Money::from_nanos(0, cost.currency());
            let place = match after.spent.iter().position(|spent| spent.total.currency() == cost.currency()) {
                Some(place) => place,
                None => {
                    after.spent.push(Spent { total: zero, months: BTreeMap::new() });
                    after.spent.len() - 1
                }
            };
            let Some(spent) = after.spent.get_mut(place) else { continue };
            spent.total = spent.total.checked_add(*cost)?;
            let so_far = spent.months.entry(*month).or_insert(zero);
            *so_far = so_far.checked_add(*cost)?;
            while spent.months.len() > ACCOUNT_MONTHS_MAX {
                spent.months.pop_first();
            }
        }
        *self = after;
        Ok(())
    }

    /// What was spent in all, in a currency.
    #[must_use]
    pub fn total(&self, currency: Currency) -> Money {
        let of = |spent: &&Spent| spent.total.currency() == currency;
        self.spent.iter().find(of).map_or(Money::from_nanos(0, currency), |spent| spent.total)
    }

    /// What was spent in a month, in a currency.
    #[must_use]
    pub fn in_month(&self, month: Month, currency: Currency) -> Money {
        let of = |spent: &&Spent| spent.total.currency() == currency;
        let spent = self.spent.iter().find(of).and_then(|spent| spent.months.get(&month));
        spent.copied().unwrap_or(Money::from_nanos(0, currency))
    }
}

/// One limit, and where the payer stands under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetStanding {
    /// Who.
    pub payer: Payer,
    /// Which limit.
    pub window: BudgetWindow,
    /// The month, of a monthly limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
    /// The limit.
    pub limit: Money,
    /// What leases that ended have cost; always zero of an hourly limit.
    pub spent: Money,
    /// What open leases hold, or may cost per hour.
    pub held: Money,
    /// What is left; below zero when the limit was lowered under what is spent and held.
    pub left: Money,
    /// When the count begins anew; `None` if it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
}

impl BudgetStanding {
    /// Used share of the limit in hundredths of a percent, rounded down; a used limit of zero counts as used up.
    #[must_use]
    pub fn used_bp(&self) -> u64 {
        let used = i128::from(self.spent.nanos()) + i128::from(self.held.nanos());
        let bp = match i128::from(self.limit.nanos()) {
            0 => i128::from(used > 0) * 10_000,
            limit => used.saturating_mul(10_000).checked_div(limit).unwrap_or(0),
        };
        u64::try_from(bp.max(0)).unwrap_or(u64::MAX)
    }
}

/// A limit that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// The limit.
    #[serde(flatten)]
    pub budget: BudgetStanding,
    /// What would have to fit into what is left.
    pub need: Money,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { budget, need } = self;
        let per = if budget.window == BudgetWindow::Hourly { "/h" } else { "" };
        write!(f, "{} has {}{per} of {}{per} left", budget.payer, budget.left, budget.limit)?;
        if let Some(month) = budget.month {
            write!(f, " for {month}")?;
        }
        write!(f, ", {need}{per} would be needed")?;
        match (budget.window, budget.resets_at) {
            (_, Some(at)) => write!(f, "; it resets at {at}"),
            (BudgetWindow::Hourly, None) => f.write_str("; it is freed as leases end"),
            (_, None) => f.write_str("; it never resets"),
        }
    }
}
