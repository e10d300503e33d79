//! Policy at the broker's doors: what it is asked, and how its answer is kept.

use hpc_error::{HpcError, codes};
use hpc_policy::{
    ConditionReport, Decision, EvaluationContext, PolicySet, Resource, TraceLine, TraceResult, Value,
};
use hpc_resources::{DecisionId, Money, Offer, Plan, ResourceRequest, TeamId};
use jiff::Timestamp;

use crate::broker::Broker;
use crate::environment::Caller;
use crate::evidence::{Evidence, Judged, Refusal};
use crate::records::{DecisionRecord, LeaseRecord, PlanRecord, RuleLine};
use crate::shadow::Standing;

/// The obligation that asks for a person's approval; its value says whose, for example `role:gpu-approver`.
pub(crate) const OBLIGATION_APPROVAL: &str = "require_approval";
/// The obligation that releases an idle lease; its value is in minutes.
pub(crate) const OBLIGATION_IDLE_MINUTES: &str = "idle_release_minutes";
/// The obligation that bounds a lease; its value is in hours.
const OBLIGATION_MAX_HOURS: &str = "max_lease_hours";
/// Every obligation the broker can honour. One that it does not know makes an allow a deny.
const OBLIGATIONS: &[&str] = &[OBLIGATION_APPROVAL, OBLIGATION_IDLE_MINUTES, OBLIGATION_MAX_HOURS];

/// Between several approvers of one obligation.
const SEPARATOR: &str = ", ";

/// What a decision is made about.
pub(crate) struct Gate<'a> {
    pub(crate) standing: &'a Standing,
    pub(crate) caller: &'a Caller,
    pub(crate) team: &'a TeamId,
    pub(crate) request: &'a ResourceRequest,
    pub(crate) now: Timestamp,
}

impl Gate<'_> {
    /// May this be asked for at all?
    pub(crate) fn decide_request(
        &self,
        id: DecisionId,
        plan: &Plan,
        accelerators_held: u64,
    ) -> (DecisionRecord, Judged) {
        let accelerators = self.request.accelerators();
        let name = accelerators.map_or("none", |(model, _)| model.as_str());
        let count = accelerators.map_or(0, |(_, count)| u64::from(count));
        // A plan without offers spends nothing, and is judged by what it asks for alone.
        let hedge_s = self.request.hedge_s().unwrap_or(0);
        let hourly = most_per_hour(plan, hedge_s > 0);
        let worst_case = plan.worst_case.map_or(0, Money::micros_rounded_up);
        let hours = plan.duration_s.div_ceil(3_600);
        let mut context = EvaluationContext::new(
            self.caller.principal.clone(),
            Resource::new("gpu", format!("gpu/{name}")).with_attribute("model", name),
            "capacity.request",
        )
        .with_now(self.now)
        .with_attribute("team", self.team.as_str())
        .with_attribute("gpus", integer(count))
        .with_attribute("team_gpus_after", integer(count.saturating_add(accelerators_held)))
        .with_attribute("seconds", integer(plan.duration_s))
        .with_attribute("hours", integer(hours))
        .with_attribute("hedge_s", integer(hedge_s))
        .with_attribute("max_hourly_microusd", hourly)
        .with_attribute("worst_case_microusd", worst_case)
        .with_attribute("simulated", plan.simulated);
        if let Some(kinds) = kinds(self.request) {
            context = context.with_attribute("kinds", kinds);
        }
        let judged = self.standing.judge(context, OBLIGATIONS);
        let mut record = record(id, &judged.decision);
        for name in [OBLIGATION_MAX_HOURS, OBLIGATION_IDLE_MINUTES] {
            match record.obligations.get(name).map(|text| text.parse::<u64>()) {
                // A duty that cannot be read could be any duty: it denies.
                Some(Err(_)) => {
                    record.allowed = false;
                    record.reasons.push(format!("the obligation `{name}` is not a whole number"));
                }
                Some(Ok(limit)) if name == OBLIGATION_MAX_HOURS && hours > limit && record.allowed => {
                    record.allowed = false;
                    record.reasons = vec![format!("the lease would last {hours} h, policy allows {limit} h")];
                    record.allowed_if.push(format!("context.hours <= {limit}"));
                }
                Some(Ok(_)) | None => {}
            }
        }
        (record, judged)
    }

    /// May this offer be bought? `Err` names the rule and its message.
    pub(crate) fn check_offer(&self, offer: &Offer, hourly: Money) -> Result<(), (String, String)> {
        offer_outcome(&self.judge_offer(offer, hourly).decision)
    }

    /// What policy says of buying this offer.
    pub(crate) fn judge_offer(&self, offer: &Offer, hourly: Money) -> Judged {
        let id = format!("{}/{}/{}/{}", offer.provider, offer.region, offer.zone, offer.instance_type);
        let resource = Resource::new("offer", id)
            .with_attribute("provider", offer.provider.as_str())
            .with_attribute("region", offer.region.as_str())
            .with_attribute("zone", offer.zone.as_str())
            .with_attribute("kind", offer.kind.as_str())
            .with_attribute("paid", offer.is_paid())
            .with_attribute("simulated", offer.simulated);
        let resource = match offer.rate() {
            Some(price) => resource.with_attribute("price_microusd_hour", price.0.micros_rounded_up()),
            None => resource,
        };
        let resource = match &offer.reservation {
            Some(reservation) => resource.with_attribute("reservation", reservation.id.as_str()),
            None => resource,
        };
        let context = EvaluationContext::new(self.caller.principal.clone(), resource, "capacity.provision")
            .with_now(self.now)
            .with_attribute("team", self.team.as_str())
            .with_attribute("hourly_microusd", hourly.micros_rounded_up());
        self.standing.judge(context, &[])
    }
}

/// A refusal names the rule and its message.
pub(crate) fn offer_outcome(decision: &Decision) -> Result<(), (String, String)> {
    if decision.is_allowed() {
        return Ok(());
    }
    let rule =
        decision.matched.iter().find(|outcome| outcome.effect == hpc_policy::Effect::Deny).map_or_else(
            || hpc_resources::DEFAULT_DENY.to_owned(),
            |outcome| format!("{}/{}", outcome.policy, outcome.rule),
        );
    Err((rule, all_reasons(decision)))
}

/// May the caller do this to a lease? Leases of others need a rule that says so.
pub(crate) fn check_lease(
    standing: &Standing,
    caller: &Caller,
    lease: &LeaseRecord,
    action: &'static str,
    now: Timestamp,
) -> Result<Judged, Refusal> {
    let resource = Resource::new("lease", format!("lease/{}", lease.id))
        .with_attribute("owner", lease.principal.as_str())
        .with_attribute("own", lease.principal == caller.name)
        .with_attribute("team", lease.team.as_str());
    ask(standing, caller, resource, action, now).map_err(|refusal| {
        if lease.principal == caller.name {
            refusal
        } else {
            let error = HpcError::coded(&codes::LSE_NOT_YOURS, refusal.error.to_string());
            Refusal { error, ..refusal }
        }
    })
}

/// May the caller decide on this plan?
pub(crate) fn check_approver(
    standing: &Standing,
    caller: &Caller,
    plan: &PlanRecord,
    by: &str,
    now: Timestamp,
) -> Result<Judged, Refusal> {
    // Every part must be a role that the caller has. What is not a role is nobody.
    let holds = |part: &str| {
        part.strip_prefix("role:")
            .is_some_and(|role| caller.principal.roles().iter().any(|have| have == role))
    };
    if !by.split(SEPARATOR).all(holds) {
        return Err(Refusal {
            error: HpcError::coded(&codes::POL_DENIED, format!("this approval is for {by}")),
            action: "approval.decide",
            subject: ("plan".to_owned(), plan.plan.id.to_string()),
            judged: None,
        });
    }
    let resource =
        Resource::new("plan", format!("plan/{}", plan.plan.id)).with_attribute("team", plan.team.as_str());
    ask(standing, caller, resource, "approval.decide", now)
}

/// A plain question whose answer is kept.
pub(crate) fn ask(
    standing: &Standing,
    caller: &Caller,
    resource: Resource,
    action: &'static str,
    now: Timestamp,
) -> Result<Judged, Refusal> {
    let kind = resource.resource_type().to_owned();
    let id = resource.id().strip_prefix(&format!("{kind}/")).unwrap_or(resource.id()).to_owned();
    let context = EvaluationContext::new(caller.principal.clone(), resource, action).with_now(now);
    let judged = standing.judge(context, &[]);
    match outcome(&judged.decision, action) {
        Ok(()) => Ok(judged),
        Err(error) => Err(Refusal { error, action, subject: (kind, id), judged: Some(Box::new(judged)) }),
    }
}

/// A plain question: may the caller do `action` on `resource`? Nothing is recorded, and no candidate is asked.
///
/// # Errors
/// `HPC-POL-0001` with all reasons.
pub fn check(
    policies: &PolicySet,
    caller: &Caller,
    resource: Resource,
    action: &str,
    now: Timestamp,
) -> Result<(), HpcError> {
    let context = EvaluationContext::new(caller.principal.clone(), resource, action).with_now(now);
    outcome(&policies.evaluate(&context).deny_unless_understood(&[]), action)
}

impl Broker {
    /// May the caller do `action` on `resource`? For what only reads: nothing is recorded.
    ///
    /// # Errors
    /// `HPC-POL-0001` with all reasons.
    pub fn may(&self, caller: &Caller, resource: Resource, action: &str) -> Result<(), HpcError> {
        let context = EvaluationContext::new(caller.principal.clone(), resource, action)
            .with_now(self.environment.now());
        outcome(&self.standing().judge(context, &[]).decision, action)
    }

    /// May the caller do `action` on `resource`, something that changes what is there? A refusal is recorded here;
    /// a permission comes as evidence, for the entry about what was done.
    ///
    /// # Errors
    /// `HPC-POL-0001` with all reasons.
    pub async fn permit(
        &self,
        caller: &Caller,
        resource: Resource,
        action: &'static str,
    ) -> Result<Evidence, HpcError> {
        match ask(&self.standing(), caller, resource, action, self.environment.now()) {
            Ok(judged) => Ok(judged.evidence()),
            Err(refusal) => Err(self.refused(caller, refusal).await),
        }
    }
}

fn outcome(decision: &Decision, action: &str) -> Result<(), HpcError> {
    if decision.is_allowed() {
        return Ok(());
    }
    let message = format!("policy denies `{action}`: {}", all_reasons(decision));
    Err(HpcError::coded(&codes::POL_DENIED, message).with("action", action))
}

/// The most that a plan may cost per hour, in millionths: its dearest attempt, or with two at once its two dearest.
fn most_per_hour(plan: &Plan, two_at_once: bool) -> i64 {
    let mut hourly: Vec<i64> =
        plan.attempts.iter().map(|attempt| attempt.hourly.micros_rounded_up()).collect();
    hourly.sort_unstable_by(|a, b| b.cmp(a));
    hourly.iter().take(if two_at_once { 2 } else { 1 }).copied().fold(0, i64::saturating_add)
}

fn kinds(request: &ResourceRequest) -> Option<Vec<String>> {
    let kinds: Vec<String> = request.kinds().iter().map(|kind| kind.as_str().to_owned()).collect();
    (!kinds.is_empty()).then_some(kinds)
}

fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Keeps a decision in words.
fn record(id: DecisionId, decision: &Decision) -> DecisionRecord {
    DecisionRecord {
        id,
        allowed: decision.is_allowed(),
        policy_digest: decision.digest.to_string(),
        rules: decision.trace().iter().map(rule_line).collect(),
        reasons: decision.reasons().iter().map(ToString::to_string).collect(),
        allowed_if: decision.allowed_if().iter().map(ToString::to_string).collect(),
        obligations: decision.obligations.iter().map(|(name, value)| (name.clone(), bare(value))).collect(),
    }
}

/// A value without the quotation marks of its display; several approvers are separated by `, `.
fn bare(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::List(items) => items.iter().map(bare).collect::<Vec<_>>().join(SEPARATOR),
        other => other.to_string(),
    }
}

fn rule_line(line: &TraceLine) -> RuleLine {
    let joined = |reports: &[ConditionReport]| {
        reports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    };
    let (result, detail) = match &line.result {
        TraceResult::Matched { because } => ("matched", joined(because)),
        TraceResult::NotApplicable { covers } => ("not-applicable", covers.clone()),
        TraceResult::ConditionFailed { failed } => ("condition-not-met", joined(failed)),
        TraceResult::Error { detail } => ("error", detail.clone()),
        _ => ("unknown", String::new()),
    };
    RuleLine {
        rule: format!("{}/{}", line.policy, line.rule),
        effect: line.effect.to_string(),
        result: result.to_owned(),
        detail,
    }
}

fn all_reasons(decision: &Decision) -> String {
    decision.reasons().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
