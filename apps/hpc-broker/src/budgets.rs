//! Budgets: who pays for a lease, what is held for it, and what is told when it cannot be.

use hpc_error::{HpcError, codes};
use hpc_policy::{PrincipalKind, Value};
use hpc_resources::{
    ATTEMPTS_MAX, Account, BudgetHold, BudgetStanding, BudgetWindow, IntentId, Money, Payer, PayerKind,
    Refused, SECONDS_PER_HOUR, Span, TeamId,
};
use jiff::Timestamp;

use crate::broker::Broker;
use crate::environment::{Caller, Settings};
use crate::fail;
use crate::records::{InstanceRecord, IntentRecord, LeaseRecord, LeaseState};
use crate::store::key;

/// The attribute of a principal that names the person it acts for, such as `alice` or `user:alice`: their budgets pay too.
pub const ON_BEHALF_OF: &str = "on_behalf_of";

/// Everybody whose budgets pay for what a caller asks for: the team, the caller, and whom the caller acts for.
///
/// A name that no budget can have is left out: there is none that could be passed by.
pub(crate) fn payers(caller: &Caller, team: &TeamId) -> Vec<Payer> {
    let kind = match caller.principal.kind() {
        PrincipalKind::User => PayerKind::User,
        PrincipalKind::Agent => PayerKind::Agent,
        PrincipalKind::Service => PayerKind::Service,
    };
    let mut payers = vec![Payer::team(team)];
    payers.extend(Payer::new(kind, caller.principal.id()));
    if let Some(Value::String(name)) = caller.principal.attribute(ON_BEHALF_OF) {
        payers.extend(name.parse::<Payer>().or_else(|_| Payer::new(PayerKind::User, name.as_str())));
    }
    payers.sort();
    payers.dedup();
    payers
}

impl Settings {
    /// How long after the apply a lease may begin at the latest, in seconds: every offer tried, each as often as it may be.
    pub(crate) fn start_slack_s(&self) -> u64 {
        let offers = u64::try_from(ATTEMPTS_MAX).unwrap_or(u64::MAX);
        self.try_s().saturating_mul(offers)
    }

    /// How long one offer may be tried, in seconds: as often as its call may be repeated.
    pub(crate) fn try_s(&self) -> u64 {
        let calls = u64::from(self.unknown_repeats_max).saturating_add(1);
        u64::from(self.attempt_deadline_s).saturating_mul(calls)
    }

    /// When a lease of `seconds` may run that is applied for now.
    pub(crate) fn span(&self, now: Timestamp, seconds: u64) -> Span {
        Span::starting(now, seconds, self.start_slack_s())
    }
}

impl LeaseRecord {
    /// Everybody whose budgets pay.
    #[must_use]
    pub fn paid_by(&self) -> Vec<Payer> {
        if self.payers.is_empty() { vec![Payer::team(&self.team)] } else { self.payers.clone() }
    }

    /// What is held for the lease, as its record says: the same before and after a restart.
    pub(crate) fn held(&self, settings: &Settings) -> BudgetHold {
        let latest = settings.span(self.created_at, self.duration_s);
        let span = Span { to: self.ends_at.unwrap_or(latest.to), ..latest };
        BudgetHold { amount: self.hold, hourly: self.burns(), span }
    }

    /// Takes over what its instances cost per hour, once they are known. One of another currency than the hold says nothing.
    pub(crate) fn cost_per_hour(&mut self, instances: &[InstanceRecord]) {
        let none = Money::from_nanos(0, self.hold.currency());
        let hourly = instances.iter().try_fold(none, |sum, instance| sum.checked_add(instance.price.0));
        self.hourly = hourly.ok().or(self.hourly);
    }

    /// What it may cost per hour now. A lease that failed is counted by the tries it has set aside.
    fn burns(&self) -> Money {
        let nothing = Money::from_nanos(0, self.hold.currency());
        match self.state {
            LeaseState::Pending | LeaseState::Active | LeaseState::Draining => {}
            LeaseState::Releasing if self.active_at.is_some() => {}
            LeaseState::Releasing | LeaseState::Released | LeaseState::Failed => return nothing,
        }
        self.hourly.unwrap_or_else(|| {
            let seconds = i128::from(self.duration_s.max(1));
            let product = i128::from(self.hold.nanos()) * i128::from(SECONDS_PER_HOUR);
            let nanos = product.div_euclid(seconds) + i128::from(product.rem_euclid(seconds) > 0);
            Money::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX), self.hold.currency())
        })
    }
}

impl IntentRecord {
    /// What the try costs per hour, if it created what it was to create.
    pub(crate) fn hourly(&self) -> Result<Money, HpcError> {
        self.spec.price.0.checked_mul(u64::from(self.spec.instances)).map_err(fail::money)
    }
}

impl Broker {
    /// Holds what a lease's record says, in place of what was held for it before, if every limit of every payer allows it;
    /// otherwise nothing changes. First for a new lease, then for every change that may cost more: give the record as it
    /// would be, with a larger `hold` and a later `ends_at` and `duration_s` (a renewal), or a larger `hourly` (tries at
    /// the same time). Commit that record next; if it cannot be committed, give back with [`Broker::keep_hold`] what the
    /// record before it says.
    ///
    /// # Errors
    /// `HPC-BUD-0001` with every limit in the way, what is left of it and when it resets; `HPC-BUD-0003` for a team
    /// without a budget; `HPC-BUD-0004`.
    pub(crate) fn take_hold(&self, lease: &LeaseRecord) -> Result<(), HpcError> {
        // A budget that was taken away since the plan is no leave to spend without one.
        self.check_budgeted(&lease.team)?;
        let accelerators = (lease.team.clone(), lease.accelerators());
        self.books
            .hold(&lease.id, &lease.paid_by(), lease.held(&self.settings), accelerators)
            .map_err(|refused| self.over_budget(&refused))
    }

    /// A team without a budget spends nothing, unless the settings say that it may.
    pub(crate) fn check_budgeted(&self, team: &TeamId) -> Result<(), HpcError> {
        if self.settings.unbudgeted || self.books.is_limited(&Payer::team(team)) {
            return Ok(());
        }
        Err(HpcError::coded(&codes::BUD_UNKNOWN, format!("team `{team}` has no budget")).with("team", team))
    }

    /// Takes over what a lease's record says: what is so in the ledger is held, whatever is left.
    pub(crate) fn keep_hold(&self, lease: &LeaseRecord) {
        let accelerators = (lease.team.clone(), lease.accelerators());
        self.books.restore_hold(&lease.id, &lease.paid_by(), lease.held(&self.settings), accelerators);
    }

    /// Takes over what a lease's record says, and counts tries of it by themselves that it held for until now.
    pub(crate) fn keep_hold_beside(&self, lease: &LeaseRecord, strays: &[(IntentId, Money)]) {
        let accelerators = (lease.team.clone(), lease.accelerators());
        self.books.restore_beside(
            &lease.id,
            &lease.paid_by(),
            lease.held(&self.settings),
            accelerators,
            strays,
        );
    }

    /// Puts right what is held for a lease after a commit whose answer was lost: the record is what counts.
    pub(crate) async fn hold_as_recorded(&self, lease: &LeaseRecord) -> Result<(), HpcError> {
        if self.books.held_for(&lease.id) == Some(lease.held(&self.settings)) {
            return Ok(());
        }
        // Whoever works on it holds first and commits then.
        let Some(_begun) = self.books.begin(&format!("lease/{}", lease.id)) else { return Ok(()) };
        let lease = self.lease_by_id(&lease.id).await?;
        if !lease.state.is_final() {
            self.keep_hold(&lease);
        }
        Ok(())
    }

    /// A refusal as an error, counted.
    pub(crate) fn over_budget(&self, refused: &Refused) -> HpcError {
        match refused {
            Refused::Exceeded(short) => {
                self.refused_budgets.count(short);
                let error = HpcError::coded(&codes::BUD_EXCEEDED, refused.to_string());
                let resets = short.iter().filter_map(|short| short.budget.resets_at).min();
                let list: Vec<String> = short
                    .iter()
                    .map(|short| format!("{} {}", short.budget.payer, short.budget.window.as_str()))
                    .collect();
                let error = error.with("budgets", list.join(", "));
                match resets {
                    Some(at) => error.with("resets_at", at),
                    None => error,
                }
            }
            Refused::Currency { .. } => HpcError::coded(&codes::BUD_CURRENCY, refused.to_string()),
        }
    }

    /// What the team has left, under the tighter of its limits in all and for a month.
    pub(crate) fn least_left(team: &TeamId, standings: &[BudgetStanding]) -> Option<Money> {
        let team = Payer::team(team);
        let of =
            |standing: &&BudgetStanding| standing.payer == team && standing.window != BudgetWindow::Hourly;
        standings.iter().filter(of).map(|standing| standing.left).min_by_key(|left| left.nanos())
    }

    /// Takes over an account as the ledger has it now.
    pub(crate) async fn recall_account(&self, payer: &Payer) -> Result<(), HpcError> {
        if let Some((account, revision)) = self.store.read::<Account>(&account_key(payer)?).await? {
            self.books.set_account(&account, revision);
        }
        Ok(())
    }

    /// Counts open tries of a lease that is ending and never was active: what one of them created costs money.
    pub(crate) async fn keep_strays(&self, lease: &LeaseRecord) -> Result<(), HpcError> {
        for id in lease.intents.iter().filter(|_| lease.active_at.is_none()) {
            if let Some(intent) = self.intent_by_id(id).await?.filter(|intent| !intent.state.is_final()) {
                self.books.restore_stray(id, &lease.paid_by(), intent.hourly()?);
            }
        }
        Ok(())
    }

    /// Forgets tries that were set aside and have come to an end behind our back.
    pub(crate) async fn drop_ended_strays(&self, strays: Vec<IntentId>) -> Result<(), HpcError> {
        for intent in strays {
            if !self.store.has(&key("open-intent", intent.as_str())?).await? {
                self.books.end_stray(&intent);
            }
        }
        Ok(())
    }
}

/// Where the ledger keeps a payer's account.
pub(crate) fn account_key(payer: &Payer) -> Result<hpc_ledger::Key, HpcError> {
    key(&format!("account/{}", payer.kind().as_str()), payer.id())
}
