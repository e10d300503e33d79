//! One try of a replacement: a plan for the rest of the time, under the same request, judged and paid for anew; accepted in
//! one transaction with the lease that it replaces.

use hpc_error::HpcError;
use hpc_resources::{DURATION_S_MIN, LeaseId, Money, OnInterruption, ResourceRequest};
use jiff::Timestamp;

use super::Step;
use crate::apply::Accepting;
use crate::broker::Broker;
use crate::environment::Caller;
use crate::fail;
use crate::gate::Gate;
use crate::plan::{AskedFor, Draft};
use crate::progress::Silent;
use crate::records::{
    DrainReason, EndReason, LeaseRecord, PlanRecord, PlanState, ReplacementRecord, ReplacementState,
};
use crate::store::{Change, key};

impl Broker {
    pub(super) async fn try_replacement(&self, old: LeaseRecord) -> Result<Step, HpcError> {
        let plan = self.plan_by_id(&old.plan).await?;
        let now = self.environment.now();
        let request = match self.rest(&old, &plan, now).await? {
            Ok(request) => request,
            Err(why) => return self.give_up_replacement(&old.id, &why).await,
        };
        let caller = self.callers.as_ref().and_then(|callers| callers.caller(&old.principal));
        let Some(caller) = caller else {
            let why = format!("nobody here knows `{}` any more", old.principal);
            return self.give_up_replacement(&old.id, &why).await;
        };
        let draft = match self.draft(&caller, request, AskedFor::Buying, Some(old.request.clone())).await {
            Ok(draft) => draft,
            Err(error) => return self.refuse(&old.id, &error.to_string()).await,
        };
        if let Some(why) = no_offer(&draft.record) {
            return self.refuse(&old.id, &why).await;
        }
        self.accept_replacement(&old.id, &caller, draft).await
    }

    /// The request for what is left of the lease; or why nothing replaces it.
    async fn rest(
        &self,
        old: &LeaseRecord,
        plan: &PlanRecord,
        now: Timestamp,
    ) -> Result<Result<ResourceRequest, String>, HpcError> {
        if old.drain.is_some_and(|drain| drain.reason == DrainReason::Asked) {
            return Ok(Err("somebody had it drained".to_owned()));
        }
        match old.end_reason {
            None | Some(EndReason::Reclaimed) => {}
            Some(reason) => return Ok(Err(format!("it ended for another reason: {}", crate::text(&reason)))),
        }
        if plan.request.on_interruption() == OnInterruption::End {
            return Ok(Err("its request wants no replacement".to_owned()));
        }
        let left_s = old.ends_at.map_or(0, |end| end.duration_since(now).as_secs());
        let left_s = u64::try_from(left_s).unwrap_or(0);
        if left_s < DURATION_S_MIN {
            return Ok(Err(format!(
                "only {left_s} s of its time are left, a lease has {DURATION_S_MIN} s or more"
            )));
        }
        let max_total = match plan.request.max_total() {
            Some(limit) => {
                Some(limit.checked_sub(self.will_have_cost(old, now).await?).map_err(fail::money)?)
            }
            None => None,
        };
        Ok(plan
            .request
            .rest(left_s, max_total, old.team.clone())
            .map_err(|error| format!("nothing of what its request allows is left: {error}")))
    }

    /// What the old lease will have cost when it has ended, as far as that is known.
    async fn will_have_cost(&self, old: &LeaseRecord, now: Timestamp) -> Result<Money, HpcError> {
        let so_far = self.lease_cost(old).await?;
        let (Some(drain), Some(hourly)) = (old.drain.filter(|_| old.cost.is_none()), old.hourly) else {
            return Ok(so_far);
        };
        let seconds = u64::try_from(drain.until.duration_since(now).as_secs()).unwrap_or(0);
        let more = hpc_resources::PerInstanceHour(hourly).cost_rounded_up(1, seconds).map_err(fail::money)?;
        so_far.checked_add(more).map_err(fail::money)
    }

    async fn accept_replacement(
        &self,
        old: &LeaseId,
        caller: &Caller,
        draft: Draft,
    ) -> Result<Step, HpcError> {
        let plan = draft.record.clone();
        let Some(_plan) = self.books.begin(&format!("plan/{}", plan.plan.id)) else {
            return Err(fail::bug("a fresh plan id was in use"));
        };
        let standing = self.standing();
        let now = self.environment.now();
        let gate = Gate { standing: &standing, caller, team: &plan.team, request: &plan.request, now };
        let accepted = {
            let Some(_begun) = self.books.begin(&format!("lease/{old}")) else { return Ok(Step::Waiting) };
            let place = key("lease", old.as_str())?;
            let Some((mut lease, revision)) = self.store.read::<LeaseRecord>(&place).await? else {
                return Err(fail::bug("a lease that was there is gone"));
            };
            let id = LeaseId::from_bits(self.fresh_bits());
            match lease.replacement.as_mut() {
                Some(record) if record.state == ReplacementState::Wanted && goes_on(lease.end_reason) => {
                    record.begin(&id);
                }
                _ => return Ok(Step::Waiting),
            }
            let change = Change::new().expect(place.clone(), revision).put(place, &lease)?;
            let change = self.say_replacement(self.say_planned(change, &draft)?, &lease)?;
            let accepting = Accepting { id, change, replaces: Some(&lease) };
            self.accept(&gate, &plan, accepting, now).await
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            // Nothing was accepted, or the ledger has it and says so: then it is followed.
            Err(error) => {
                let lease = self.lease_by_id(old).await?;
                let tried = |record: &ReplacementRecord| record.state == ReplacementState::Trying;
                if lease.replacement.as_ref().is_some_and(tried) {
                    return self.follow(&lease).await;
                }
                return self.refuse(old, &error.to_string()).await;
            }
        };
        // Whatever comes of it is in the ledger: what failed is followed like what a crash left behind.
        let carried = self.carry_out(&gate, &plan, accepted, &Silent).await;
        let step = self.follow(&self.lease_by_id(old).await?).await?;
        match carried {
            Err(error) if matches!(step, Step::Waiting) => Err(error),
            _ => Ok(step),
        }
    }
}

impl ReplacementRecord {
    fn begin(&mut self, by: &LeaseId) {
        self.state = ReplacementState::Trying;
        self.tries = self.tries.saturating_add(1);
        self.next_at = None;
        self.by = Some(by.clone());
    }
}

fn goes_on(end_reason: Option<EndReason>) -> bool {
    matches!(end_reason, None | Some(EndReason::Reclaimed))
}

/// Why nothing of a plan can be had.
fn no_offer(plan: &PlanRecord) -> Option<String> {
    match &plan.state {
        PlanState::Open => None,
        PlanState::Denied => Some(format!("policy denies it: {}", plan.decision.reasons.join("; "))),
        PlanState::NoOffer => {
            let why = plan.plan.excluded_counts.iter().map(|(why, count)| format!("{count} x {why}"));
            Some(format!("nothing can be had: {}", why.collect::<Vec<_>>().join(", ")))
        }
        PlanState::AwaitingApproval { by } => {
            Some(format!("it needs an approval by {by}, which only a plan of somebody can have"))
        }
        PlanState::Approved { .. } | PlanState::Refused { .. } | PlanState::Applied { .. } => {
            Some("its plan is no fresh one".to_owned())
        }
    }
}
