//! Setting budgets: by an administrator, whom policy allows `budget.write`, and by the operator at start.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hpc_audit::{Outcome, Receipt};
use hpc_error::{HpcError, codes};
use hpc_policy::Resource;
use hpc_resources::{
    Account, BudgetStanding, BudgetWindow, DecisionId, Limits, LimitsError, Money, Month, Payer, PayerKind,
    Shortfall, Spent, TeamId,
};
use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::budgets::account_key;
use crate::entry::say;
use crate::environment::Caller;
use crate::evidence::Evidence;
use crate::fail;
use crate::store::{Change, CommitError, key};

/// Most payers with limits.
pub const BUDGETS_MAX: usize = 10_000;

/// A change of one payer's limits: those that are given are set, those that are named are removed, the others stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsEdit {
    /// Limits to set.
    pub set: Limits,
    /// Limits to remove; setting wins.
    pub remove: Vec<BudgetWindow>,
}

/// Limits as they are after a change.
#[derive(Debug)]
pub struct BudgetEdited {
    /// Whose.
    pub payer: Payer,
    /// Where the payer stands under each limit.
    pub budgets: Vec<BudgetStanding>,
    /// Proof in the audit log.
    pub receipts: Vec<Receipt>,
    /// Whether the limits were as asked before: nothing was changed.
    pub repeated: bool,
}

/// Where the entry about the last change of a payer's limits is found again.
#[derive(Serialize, Deserialize)]
struct Said {
    entry: String,
}

/// A team's budget as it was kept before budgets of people and months.
#[derive(Deserialize)]
struct TeamBudgetBefore {
    team: TeamId,
    limit: Money,
    spent: Money,
}

/// How often each kind of limit stood in the way, since the start.
#[derive(Debug, Default)]
pub(crate) struct RefusedBudgets(Mutex<BTreeMap<(PayerKind, BudgetWindow), u64>>);

impl RefusedBudgets {
    pub(crate) fn count(&self, short: &[Shortfall]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for short in short {
            *counts.entry((short.budget.payer.kind(), short.budget.window)).or_default() += 1;
        }
    }
}

/// The resource that policies are asked about: `budget/ml` for a team, `budget/user:alice` for others.
#[must_use]
pub fn budget_resource(payer: &Payer, caller: &Caller) -> Resource {
    let id = match payer.kind() {
        PayerKind::Team => format!("budget/{}", payer.id()),
        _ => format!("budget/{payer}"),
    };
    let own = crate::budgets::payers(caller, &caller.team).contains(payer);
    Resource::new("budget", id).with_attribute("payer", payer.kind().as_str()).with_attribute("own", own)
}

impl Broker {
    /// Changes the limits of a payer. Changing them to what they are succeeds and changes nothing.
    ///
    /// A limit may be lower than what is spent and held: then nothing more is held under it.
    ///
    /// # Errors
    /// `HPC-POL-0001` where policy does not allow `budget.write`; `HPC-USG-0007` for a limit below zero; `HPC-BUD-0004` for
    /// another currency than the payer's limits, holds or costs are in; `HPC-USG-0011` for more than [`BUDGETS_MAX`]
    /// payers; ledger and audit failures.
    pub async fn edit_budget(
        &self,
        caller: &Caller,
        payer: &Payer,
        edit: &LimitsEdit,
    ) -> Result<BudgetEdited, HpcError> {
        let evidence = self.permit(caller, budget_resource(payer, caller), "budget.write").await?;
        self.store.check_audited().await?;
        self.edit_limits(&caller.name, payer, edit, Some(&evidence)).await
    }

    /// Sets how much a team may spend in all, in the operator's name; what it has spent stays.
    ///
    /// # Errors
    /// As [`Broker::edit_budget`], policy aside.
    pub async fn set_budget(&self, team: &TeamId, limit: Money) -> Result<BudgetEdited, HpcError> {
        let set = Limits { total: Some(limit), ..Limits::default() };
        self.set_limits(&Payer::team(team), &LimitsEdit { set, remove: Vec::new() }).await
    }

    /// Changes the limits of a payer in the operator's name: for what the daemon is started with.
    ///
    /// # Errors
    /// As [`Broker::edit_budget`], policy aside.
    pub async fn set_limits(&self, payer: &Payer, edit: &LimitsEdit) -> Result<BudgetEdited, HpcError> {
        self.edit_limits("system", payer, edit, None).await
    }

    async fn edit_limits(
        &self,
        principal: &str,
        payer: &Payer,
        edit: &LimitsEdit,
        evidence: Option<&Evidence>,
    ) -> Result<BudgetEdited, HpcError> {
        let place = account_key(payer)?;
        let said = said_key(payer)?;
        loop {
            let found = self.store.read::<Account>(&place).await?;
            let known = found.as_ref().map(|(_, revision)| *revision);
            let (account, change) = match found {
                Some((account, revision)) => (account, Change::new().expect(place.clone(), revision)),
                None => (Account::new(payer.clone()), Change::new().expect_absent(place.clone())),
            };
            let limits = edited(&account.limits, edit);
            if limits == account.limits {
                // Of a commit whose answer was lost nobody here knows yet.
                if let Some(revision) = known {
                    self.books.set_account(&account, revision);
                }
                let receipts = match self.store.read::<Said>(&said).await? {
                    Some((said, _)) => self.store.receipts([said.entry]).await?,
                    None => Vec::new(),
                };
                let budgets = self.books.standings(payer, self.environment.now());
                return Ok(BudgetEdited { payer: payer.clone(), budgets, receipts, repeated: true });
            }
            self.check_limits(&account, &limits)?;
            let now = self.environment.now();
            let entry_id = format!("{}.budget", DecisionId::from_bits(self.fresh_bits()));
            let action = if limits.is_empty() { "budget.removed" } else { "budget.set" };
            let mut entry = self.scribe.entry(entry_id.clone(), now, principal, action, Outcome::Ok);
            entry.subjects.insert("budget".to_owned(), payer.to_string());
            for window in BudgetWindow::ALL {
                let before =
                    account.limits.of(window).map_or_else(|| "none".to_owned(), |limit| limit.to_string());
                let after = limits.of(window).map_or_else(|| "none".to_owned(), |limit| limit.to_string());
                say(&mut entry, window.as_str(), &after);
                say(&mut entry, &format!("{}.before", window.as_str()), &before);
            }
            if let Some(evidence) = evidence {
                evidence.put(&mut entry);
            }
            let account = Account { limits, ..account };
            let change =
                change.put(place.clone(), &account)?.put(said.clone(), &Said { entry: entry_id })?.say(entry);
            match self.store.commit(change).await {
                Ok(committed) => {
                    self.books.set_account(&account, committed.revision);
                    let budgets = self.books.standings(payer, now);
                    let receipts = committed.receipts;
                    return Ok(BudgetEdited { payer: payer.clone(), budgets, receipts, repeated: false });
                }
                Err(CommitError::Conflict) => {}
                Err(CommitError::Unaudited(error, revision)) => {
                    self.books.set_account(&account, revision);
                    return Err(CommitError::Unaudited(error, revision).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn check_limits(&self, account: &Account, limits: &Limits) -> Result<(), HpcError> {
        limits.check().map_err(|error| match error {
            LimitsError::Negative(_) => HpcError::coded(&codes::USG_BAD_AMOUNT, error.to_string()),
            LimitsError::Mixed(..) => HpcError::coded(&codes::BUD_CURRENCY, error.to_string()),
        })?;
        let Some(currency) = limits.currency() else { return Ok(()) };
        let payer = &account.payer;
        let spent = |spent: &Spent| spent.total.nanos() != 0 && spent.total.currency() != currency;
        if let Some(have) = account.limits.currency().filter(|have| *have != currency) {
            let message =
                format!("{payer} is budgeted in {have}, not in {currency}; remove those limits first");
            return Err(HpcError::coded(&codes::BUD_CURRENCY, message));
        }
        if self.books.holds_other_than(payer, currency) || account.spent.iter().any(spent) {
            let message = format!("{payer} has leases in another currency than {currency}");
            return Err(HpcError::coded(&codes::BUD_CURRENCY, message));
        }
        if account.limits.is_empty() && self.books.limited().len() >= BUDGETS_MAX {
            let message =
                format!("there are {BUDGETS_MAX} payers with budgets, which is the most there can be");
            return Err(HpcError::coded(&codes::USG_OUT_OF_RANGE, message));
        }
        Ok(())
    }

    /// Where everybody with limits stands under each of them, by payer.
    #[must_use]
    pub fn budgets(&self) -> Vec<BudgetStanding> {
        let now = self.environment.now();
        self.books.limited().iter().flat_map(|payer| self.books.standings(payer, now)).collect()
    }

    /// Where one payer stands; empty without limits.
    #[must_use]
    pub fn budgets_of(&self, payer: &Payer) -> Vec<BudgetStanding> {
        self.books.standings(payer, self.environment.now())
    }

    /// Whether a payer ever had limits of their own, even if they were removed since.
    ///
    /// # Errors
    /// A ledger failure.
    pub async fn ever_had_limits(&self, payer: &Payer) -> Result<bool, HpcError> {
        Ok(self.books.is_limited(payer) || self.store.has(&said_key(payer)?).await?)
    }

    /// How often limits of each kind stood in the way since the start, by kind of payer and window.
    #[must_use]
    pub fn budget_refusals(&self) -> BTreeMap<(PayerKind, BudgetWindow), u64> {
        self.refused_budgets.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Turns budgets of before into accounts. What a team had spent then counts as of this month: it may have been.
    pub(crate) async fn move_old_budgets(&self) -> Result<(), HpcError> {
        for old in self.store.keys("budget/").await? {
            let Some((budget, revision)) = self.store.read::<TeamBudgetBefore>(&old).await? else { continue };
            let payer = Payer::team(&budget.team);
            let place = account_key(&payer)?;
            let mut account = Account::new(payer);
            account.limits.total = Some(budget.limit);
            let month = Month::of(self.environment.now());
            account.spend(&[(month, budget.spent)]).map_err(fail::money)?;
            let change = Change::new()
                .expect(old.clone(), revision)
                .delete(old)
                .expect_absent(place.clone())
                .put(place, &account)?;
            self.store.commit(change).await?;
        }
        Ok(())
    }
}

/// Where the ledger keeps which entry tells of the last change of a payer's limits.
fn said_key(payer: &Payer) -> Result<hpc_ledger::Key, HpcError> {
    key(&format!("budget-said/{}", payer.kind().as_str()), payer.id())
}

fn edited(limits: &Limits, edit: &LimitsEdit) -> Limits {
    let of = |window: BudgetWindow| {
        let kept = limits.of(window).filter(|_| !edit.remove.contains(&window));
        edit.set.of(window).or(kept)
    };
    Limits {
        total: of(BudgetWindow::Total),
        hourly: of(BudgetWindow::Hourly),
        monthly: of(BudgetWindow::Monthly),
    }
}
