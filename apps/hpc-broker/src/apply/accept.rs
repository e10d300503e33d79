//! The beginning of an apply: the money is held, and plan and lease are durable, before anything is tried.

use hpc_audit::{Outcome, Receipt};
use hpc_error::{HpcError, codes};
use hpc_resources::{LeaseId, Money};
use jiff::Timestamp;

use crate::broker::Broker;
use crate::budgets::payers;
use crate::entry::say;
use crate::evidence::{Evidence, Refusal};
use crate::fail;
use crate::gate::{Gate, OBLIGATION_APPROVAL};
use crate::records::{EndReason, LeaseRecord, LeaseState, PlanRecord, PlanState};
use crate::store::{Change, CommitError, key};
use crate::tolerance::with_tolerance;

/// A lease that is about to be accepted.
pub(crate) struct Accepting<'a> {
    /// Its id, drawn for it.
    pub(crate) id: LeaseId,
    /// What becomes durable with it, or not at all.
    pub(crate) change: Change,
    /// The lease that it replaces.
    pub(crate) replaces: Option<&'a LeaseRecord>,
}

impl Broker {
    /// Holds the money and makes plan and lease durable, in one transaction.
    pub(crate) async fn accept(
        &self,
        gate: &Gate<'_>,
        plan: &PlanRecord,
        Accepting { id, change, replaces }: Accepting<'_>,
        now: Timestamp,
    ) -> Result<(LeaseRecord, Vec<Receipt>), HpcError> {
        // Whoever was in the team when the plan was made, or might spend for it, may not any more.
        let spends = match self.ask_to_spend(gate.standing, gate.caller, &plan.team, now) {
            Ok(spends) => spends,
            Err(refusal) => return Err(self.refused(gate.caller, *refusal).await),
        };
        let hold = plan.hold.ok_or_else(|| fail::bug("a plan to apply has offers"))?;
        let first = plan.plan.attempts.first();
        let lease = LeaseRecord {
            id: id.clone(),
            plan: plan.plan.id.clone(),
            request: plan.plan.request_id.clone(),
            principal: plan.principal.clone(),
            team: plan.team.clone(),
            state: LeaseState::Pending,
            offer: first.map(|attempt| attempt.offer.clone()),
            instances: first.map_or(0, |attempt| attempt.instances),
            intents: Vec::new(),
            hold,
            payers: payers(gate.caller, &plan.team),
            hourly: Some(self.dearest_hour(plan)?),
            created_at: now,
            active_at: None,
            ends_at: None,
            duration_s: plan.plan.duration_s,
            ended_at: None,
            end_reason: None,
            cost: None,
            idle_release_s: plan.idle_release_s,
            drain: None,
            replaces: replaces.map(|old| old.id.clone()),
            generation: replaces.map_or(0, |old| old.generation.saturating_add(1)),
            replacement: None,
            renewals: Vec::new(),
            hedges: Vec::new(),
            failures: Vec::new(),
            simulated: plan.plan.simulated,
        };
        // Claimed until the ledger has it, so that nobody takes the hold for a left-over.
        let Some(_begun) = self.books.begin(&format!("lease/{id}")) else {
            return Err(fail::bug("a fresh lease id was in use"));
        };
        if let Err(error) = self.take_hold(&lease) {
            let subject = ("plan".to_owned(), plan.plan.id.to_string());
            let refusal = Refusal { error, action: "budget.hold", subject, judged: None };
            return Err(self.refused(gate.caller, refusal).await);
        }
        // After the hold, so that of two applies at once each sees the other.
        let evidence = match self.check_policy_again(gate, plan, lease.accelerators()) {
            Ok(evidence) => evidence,
            Err(refusal) => {
                self.books.end_hold(&id);
                return Err(self.refused(gate.caller, refusal).await);
            }
        };
        let mut entry = self.scribe.lease(&lease, now, "accepted", Outcome::Ok);
        evidence.put(&mut entry);
        if let Some(old) = replaces {
            say(&mut entry, "replaces", old.id.as_str());
        }
        if let Some(spends) = spends {
            spends.put_beside(&mut entry, "budget");
        }
        let applied = PlanRecord { state: PlanState::Applied { lease: id.clone() }, ..plan.clone() };
        let change = change
            .put(key("plan", plan.plan.id.as_str())?, &applied)?
            .put(key("lease", id.as_str())?, &lease)?
            .mark(key("open-lease", id.as_str())?)
            .say(entry);
        match self.store.commit(change).await {
            Ok(committed) => Ok((lease, committed.receipts)),
            Err(CommitError::Unaudited(error, _)) => {
                // The lease is durable but unproven: nothing is created without proof.
                self.fail_lease(lease, EndReason::Interrupted).await?;
                Err(error)
            }
            Err(CommitError::Conflict) => {
                self.books.end_hold(&id);
                Err(CommitError::Conflict.into())
            }
            // Whether the ledger has it is unknown: the hold stays until reconciling knows.
            Err(error) => Err(error.into()),
        }
    }

    /// The most that any attempt of a plan may cost per hour.
    fn dearest_hour(&self, plan: &PlanRecord) -> Result<Money, HpcError> {
        let dearest =
            plan.plan.attempts.iter().map(|attempt| attempt.hourly).max_by_key(|hourly| hourly.nanos());
        let dearest = dearest.ok_or_else(|| fail::bug("a plan to apply has offers"))?;
        with_tolerance(dearest, self.settings.price_tolerance_bp).map_err(fail::money)
    }

    /// Policy may have changed since the plan was made.
    fn check_policy_again(&self, gate: &Gate<'_>, plan: &PlanRecord, own: u32) -> Result<Evidence, Refusal> {
        let held = self.books.accelerators_held(&plan.team).saturating_sub(u64::from(own));
        let (decision, judged) = gate.decide_request(plan.decision.id.clone(), &plan.plan, held);
        let refusal = |error, judged| Refusal {
            error,
            action: "capacity.request",
            subject: ("plan".to_owned(), plan.plan.id.to_string()),
            judged: Some(Box::new(judged)),
        };
        if !decision.allowed {
            let message = format!("policy denies this now: {}", decision.reasons.join("; "));
            let error = HpcError::coded(&codes::POL_DENIED, message).with("decision", &decision.id);
            return Err(refusal(error, judged));
        }
        let approved = matches!(plan.state, PlanState::Approved { .. });
        match decision.obligations.get(OBLIGATION_APPROVAL) {
            Some(by) if !approved => {
                let message = format!("this needs an approval by {by}");
                let error = HpcError::coded(&codes::POL_APPROVAL_NEEDED, message).with("plan", &plan.plan.id);
                Err(refusal(error, judged))
            }
            _ => Ok(judged.evidence()),
        }
    }
}
