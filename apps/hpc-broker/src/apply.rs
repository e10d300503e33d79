//! Apply: hold the money, journal the intent, call the cloud, fail over, and answer with a lease.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hpc_audit::{Outcome, Receipt};
use hpc_error::{HpcError, codes};
use hpc_provider::{
    CapacityProvider, Certainty, ErrorKind, InstanceHandle, InstanceState, Observe, ProviderError,
    ProvisionResult, ProvisionSpec, QuoteRequest, TAG_INTENT, TAG_LEASE, TAG_OWNER, Token,
};
use hpc_resources::{
    Attempt, IntentId, LeaseId, Money, Offer, OfferKey, PerInstanceHour, PlanId, ProviderId, Refused,
};
use jiff::{SignedDuration, Timestamp};

use crate::broker::{Broker, sum};
use crate::budgets::payers;
use crate::environment::Caller;
use crate::evidence::{Evidence, Refusal};
use crate::fail;
use crate::gate::{Gate, OBLIGATION_APPROVAL, offer_outcome};
use crate::progress::{Progress, ProgressSink};
use crate::records::{
    EndReason, InstanceRecord, IntentRecord, IntentState, LeaseRecord, LeaseState, PlanRecord, PlanState,
};
use crate::store::{Change, CommitError, key};

/// How old a quoted price may be before apply asks again, in seconds.
const PRICE_AGE_S_MAX: i64 = 60;
/// One hundred percent, in hundredths of a percent.
const WHOLE_BP: i64 = 10_000;

/// A lease, and the receipts of what was written about it.
#[derive(Debug)]
pub struct Applied {
    /// The lease.
    pub lease: LeaseRecord,
    /// Proof in the audit log.
    pub receipts: Vec<Receipt>,
    /// Whether the plan had been applied before: nothing new was created.
    pub repeated: bool,
}

impl Broker {
    /// Applies a plan. The plan's id is the idempotency key: a second apply answers the same lease.
    ///
    /// # Errors
    /// `HPC-PLN-0001` expired, `-0002` unknown, `-0004` denied, `-0006` being applied; `HPC-POL-0001` denied now,
    /// `-0002` approval needed; `HPC-BUD-0001`; `HPC-PRC-0001` price moved; `HPC-CAP-0001` no capacity;
    /// `HPC-QUO-0002`; ledger and audit failures.
    pub async fn apply(
        &self,
        caller: &Caller,
        id: &PlanId,
        sink: &dyn ProgressSink,
    ) -> Result<Applied, HpcError> {
        let Some(_begun) = self.books.begin(&format!("plan/{id}")) else {
            let message = format!("plan `{id}` is being applied by another call");
            return Err(HpcError::coded(&codes::PLN_IN_PROGRESS, message));
        };
        let (plan, revision) = self.plan_with_revision(id).await?;
        if plan.principal != caller.name {
            let message = format!("plan `{id}` was made for somebody else; make your own plan");
            return Err(HpcError::coded(&codes::POL_DENIED, message));
        }
        if let PlanState::Applied { lease } = &plan.state {
            let lease = self.lease_by_id(lease).await?;
            if lease.state == LeaseState::Failed {
                let message =
                    format!("plan `{id}` was applied and got nothing: {}", lease.failures.join("; "));
                return Err(HpcError::coded(&codes::CAP_NO_CAPACITY, message).with("lease", &lease.id));
            }
            let said = ["accepted", "active"].map(|step| format!("{}.{step}", lease.id));
            let receipts = self.store.receipts(said).await?;
            return Ok(Applied { lease, receipts, repeated: true });
        }
        self.store.check_audited().await?;
        let now = self.environment.now();
        check_state(&plan, now)?;
        let standing = self.standing();
        let gate = Gate { standing: &standing, caller, team: &plan.team, request: &plan.request, now };
        let (mut lease, mut receipts) = self.accept(&gate, &plan, revision, now).await?;
        sink.on(Progress::Held { lease: lease.id.clone(), amount: lease.hold });
        let mut walk = Walk::default();
        for (number, attempt) in (0_u32..).zip(&plan.plan.attempts) {
            if walk.over_budget.is_some() {
                walk.stopped = true;
                break;
            }
            let offer = attempt.offer.key();
            match self.check_offer_again(&gate, &plan, attempt, &mut walk).await {
                Ok((price, evidence)) => {
                    let boots = self.provider(&offer.provider)?.describe().supports.user_data;
                    let spec = self.spec(&lease, attempt, number, price, boots);
                    let Some(_claim) = self.books.begin(&claim_name(&spec.intent)) else {
                        return Err(fail::bug("a fresh intent id was in use"));
                    };
                    match self.attempt(&plan, &mut lease, (spec, evidence), number, sink, &mut walk).await? {
                        Some(more) => {
                            receipts.extend(more);
                            return Ok(Applied { lease, receipts, repeated: false });
                        }
                        None => walk.tried += 1,
                    }
                }
                Err(skip) => {
                    lease.failures.push(format!("{offer}: {skip}"));
                    sink.on(Progress::Skipped { offer, why: skip });
                }
            }
        }
        self.give_up(&plan, lease, walk).await
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

    /// Holds the money and makes plan and lease durable, in one transaction.
    async fn accept(
        &self,
        gate: &Gate<'_>,
        plan: &PlanRecord,
        revision: u64,
        now: Timestamp,
    ) -> Result<(LeaseRecord, Vec<Receipt>), HpcError> {
        let hold = plan.hold.ok_or_else(|| fail::bug("a plan to apply has offers"))?;
        let id = LeaseId::from_bits(self.fresh_bits());
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
            renewals: Vec::new(),
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
        let applied = PlanRecord { state: PlanState::Applied { lease: id.clone() }, ..plan.clone() };
        let plan_key = key("plan", plan.plan.id.as_str())?;
        let change = Change::new()
            .expect(plan_key.clone(), revision)
            .put(plan_key, &applied)?
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

    /// Checks an offer again right before it is bought: stock memory, policy, and the price when the quote is old.
    async fn check_offer_again(
        &self,
        gate: &Gate<'_>,
        plan: &PlanRecord,
        attempt: &Attempt,
        walk: &mut Walk,
    ) -> Result<(PerInstanceHour, Evidence), String> {
        let now = self.environment.now();
        let offer = &attempt.offer;
        if let Some(out) = self.stock.find(&offer.key(), now) {
            return Err(format!("remembered as out of stock until {} ({})", out.until, out.reason.as_str()));
        }
        if let Some(quota) = &offer.quota
            && walk.blocked_quotas.contains(&(
                offer.provider.clone(),
                offer.region.to_string(),
                quota.family.to_string(),
            ))
        {
            return Err(format!("the quota {} in {} was just refused", quota.family, offer.region));
        }
        if walk.blocked_providers.contains(&offer.provider) {
            return Err("the provider just refused our credential".to_owned());
        }
        // A plan lives for a while: as much less than the whole time as that is still what was planned.
        let missing_s = offer.falls_short_s(now, plan.plan.duration_s);
        if missing_s > u64::from(self.settings.plan_valid_s) {
            return Err(format!("its capacity now ends {missing_s} s too early"));
        }
        let description = self.provider(&offer.provider).map_err(|error| error.to_string())?.describe();
        let missing = description.supports.missing_to_create();
        if !missing.is_empty() {
            return Err(format!("the provider cannot do what a safe create needs: {}", missing.join(", ")));
        }
        let price = if now.duration_since(offer.as_of).as_secs() > PRICE_AGE_S_MAX {
            self.price_now(plan, &offer.provider, &offer.key(), walk).await?
        } else {
            attempt.price
        };
        let ceiling = with_tolerance(attempt.price.0, self.settings.price_tolerance_bp)
            .map_err(|error| error.to_string())?;
        if price.0.exceeds(ceiling) {
            walk.price_moved += 1;
            return Err(format!(
                "the price moved from {} to {}, more than the tolerance",
                attempt.price.0, price.0
            ));
        }
        let hourly = price.0.checked_mul(u64::from(attempt.instances)).map_err(|error| error.to_string())?;
        let judged = gate.judge_offer(offer, hourly);
        if let Err((rule, message)) = offer_outcome(&judged.decision) {
            let message = format!("policy {rule}: {message}");
            let refusal = Refusal {
                error: HpcError::coded(&codes::POL_DENIED, message.clone()),
                action: "capacity.provision",
                subject: ("plan".to_owned(), plan.plan.id.to_string()),
                judged: Some(Box::new(judged)),
            };
            drop(self.refused(gate.caller, refusal).await);
            return Err(message);
        }
        Ok((price, judged.evidence()))
    }

    async fn price_now(
        &self,
        plan: &PlanRecord,
        provider: &ProviderId,
        offer: &OfferKey,
        walk: &mut Walk,
    ) -> Result<PerInstanceHour, String> {
        if !walk.prices.contains_key(provider) {
            let port = self.provider(provider).map_err(|error| error.to_string())?;
            let ask = QuoteRequest { request: plan.request.clone(), now: self.environment.now() };
            let quote = port.get_quote(&ask).await.map_err(|error| format!("no fresh price: {error}"))?;
            let prices = quote.offers.into_iter().map(|offer| (offer.key(), offer.rate())).collect();
            walk.prices.insert(provider.clone(), prices);
        }
        match walk.prices.get(provider).and_then(|prices| prices.get(offer)) {
            Some(Some(price)) => Ok(*price),
            Some(None) => Err("its price is no longer known".to_owned()),
            None => Err("it is no longer offered".to_owned()),
        }
    }

    fn spec(
        &self,
        lease: &LeaseRecord,
        attempt: &Attempt,
        number: u32,
        price: PerInstanceHour,
        boots: bool,
    ) -> ProvisionSpec {
        let intent = IntentId::from_bits(self.fresh_bits());
        let offer = &attempt.offer;
        let tags = BTreeMap::from([
            (TAG_OWNER.to_owned(), self.settings.owner.clone()),
            (TAG_INTENT.to_owned(), intent.to_string()),
            (TAG_LEASE.to_owned(), lease.id.to_string()),
        ]);
        let deadline = SignedDuration::from_secs(i64::from(self.settings.attempt_deadline_s));
        let now = self.environment.now();
        ProvisionSpec {
            token: Token::derive(&intent, number, &offer.provider, &offer.region, &offer.zone),
            // Whoever resolves it finds lease, holder and count in the journal; what it stands for is never there.
            user_data_ref: boots.then(|| intent.to_string()),
            intent,
            lease: lease.id.clone(),
            offer: offer.clone(),
            price,
            instances: attempt.instances,
            tags,
            price_ceiling: with_tolerance(attempt.price.0, self.settings.price_tolerance_bp).ok(),
            deadline: now.saturating_add(deadline).unwrap_or(now),
        }
    }

    /// One attempt: journal, call, record. `None` means: nothing was created here, or it was set aside; go on.
    async fn attempt(
        &self,
        plan: &PlanRecord,
        lease: &mut LeaseRecord,
        (spec, evidence): (ProvisionSpec, Evidence),
        number: u32,
        sink: &dyn ProgressSink,
        walk: &mut Walk,
    ) -> Result<Option<Vec<Receipt>>, HpcError> {
        let port = Arc::clone(self.provider(&spec.offer.provider)?);
        let offer = spec.offer.key();
        let mut intent = IntentRecord {
            spec,
            attempt: number,
            state: IntentState::Recorded,
            set_aside: false,
            updated_at: self.environment.now(),
            instances: Vec::new(),
            error: None,
        };
        let mut receipts = self.journal(lease, &intent, &evidence).await?;
        let reserved =
            self.books.reserve_quota(&intent.spec.intent, &intent.spec.offer, intent.spec.instances);
        sink.on(Progress::Trying { intent: intent.spec.intent.clone(), offer: offer.clone() });
        let outcome = self.call(port.as_ref(), &intent, sink).await;
        drop(reserved);
        match outcome {
            Ok(result) => {
                let (created, more) = self.activate(port.as_ref(), plan, lease, &mut intent, result).await?;
                receipts.extend(more);
                sink.on(created);
                Ok(Some(receipts))
            }
            Err(error) => {
                let nothing_created = error.certainty == Certainty::NotDone;
                walk.remember(&error, &intent.spec.offer);
                lease.failures.push(format!("{offer}: {error}"));
                intent.state = if nothing_created { IntentState::Failed } else { IntentState::Unknown };
                intent.set_aside = true;
                intent.updated_at = self.environment.now();
                intent.error = Some(error.clone());
                if !nothing_created {
                    // Before anything else is tried: what may be there costs money beside the next try.
                    let counted = self.books.set_aside(&intent.spec.intent, &lease.id, intent.hourly()?);
                    walk.over_budget = counted.err();
                }
                let learnt = self.stock.failed(Change::new(), &error, &offer, self.environment.now())?;
                self.record_failure(lease, &intent, learnt).await?;
                let why = error.to_string();
                sink.on(Progress::Failed { intent: intent.spec.intent.clone(), offer, why, nothing_created });
                Ok(None)
            }
        }
    }

    /// The intent is durable, and proven, before anything is sent.
    async fn journal(
        &self,
        lease: &mut LeaseRecord,
        intent: &IntentRecord,
        evidence: &Evidence,
    ) -> Result<Vec<Receipt>, HpcError> {
        let id = &intent.spec.intent;
        lease.intents.push(id.clone());
        let mut entry = self.scribe.intent(intent, &lease.principal, "recorded", Outcome::Ok);
        evidence.put(&mut entry);
        let change = Change::new()
            .put(key("intent", id.as_str())?, intent)?
            .mark(key("open-intent", id.as_str())?)
            .put(key("lease", lease.id.as_str())?, lease)?
            .say(entry);
        match self.store.commit(change).await {
            Ok(committed) => Ok(committed.receipts),
            Err(CommitError::Unaudited(error, _)) => {
                let failed = IntentRecord { state: IntentState::Failed, set_aside: true, ..intent.clone() };
                self.record_failure(lease, &failed, Change::new()).await?;
                self.fail_lease(lease.clone(), EndReason::Interrupted).await?;
                Err(error)
            }
            // Whether the journal has it is unknown: nothing is sent, and reconciling ends whatever it finds.
            Err(error) => Err(error.into()),
        }
    }

    /// Calls the provider; a lost answer is followed by the same token again, which finds what was created.
    async fn call(
        &self,
        port: &dyn CapacityProvider,
        intent: &IntentRecord,
        sink: &dyn ProgressSink,
    ) -> Result<ProvisionResult, ProviderError> {
        let mut repeats = 0;
        loop {
            let answer = port.provision(&intent.spec).await;
            let provider = &intent.spec.offer.provider;
            self.pulse.called(provider, "provision", answer.as_ref().err(), self.environment.now());
            match answer {
                Err(error)
                    if error.certainty != Certainty::NotDone
                        && repeats < self.settings.unknown_repeats_max =>
                {
                    repeats += 1;
                    let offer = intent.spec.offer.key();
                    sink.on(Progress::Repeating { intent: intent.spec.intent.clone(), offer });
                }
                Ok(result) if u32::try_from(result.handles.len()) != Ok(intent.spec.instances) => {
                    let message = "the provider acknowledged another number of instances than asked for";
                    let (kind, scope) = (ErrorKind::Internal, hpc_provider::Scope::Zone);
                    break Err(ProviderError::new(kind, scope, Certainty::Unknown, "WrongCount", message));
                }
                // A repeat that is refused says nothing of the try before it.
                Err(error) if repeats > 0 => {
                    break Err(ProviderError { certainty: Certainty::Unknown, ..error });
                }
                outcome => break outcome,
            }
        }
    }

    async fn activate(
        &self,
        port: &dyn CapacityProvider,
        plan: &PlanRecord,
        lease: &mut LeaseRecord,
        intent: &mut IntentRecord,
        result: ProvisionResult,
    ) -> Result<(Progress, Vec<Receipt>), HpcError> {
        let now = self.environment.now();
        intent.instances = instances(port, &intent.spec, result.handles, now).await;
        intent.state = IntentState::Acknowledged;
        intent.updated_at = now;
        lease.state = LeaseState::Active;
        lease.active_at = Some(now);
        lease.ends_at = Some(end_of(&intent.spec.offer, &intent.instances, now, plan.plan.duration_s));
        lease.offer = Some(intent.spec.offer.clone());
        lease.instances = intent.spec.instances;
        lease.cost_per_hour(&intent.instances);
        let change = self
            .stock
            .sold(Change::new(), &intent.spec.offer.key())?
            .put(key("intent", intent.spec.intent.as_str())?, intent)?
            .put(key("lease", lease.id.as_str())?, lease)?
            .say(self.scribe.intent(intent, &lease.principal, "acknowledged", Outcome::Ok))
            .say(self.scribe.lease(lease, now, "active", Outcome::Ok));
        let receipts = match self.store.commit(change).await {
            Ok(committed) => committed.receipts,
            // The capacity is there and in the ledger. Its proof follows from the outbox, and the caller is told.
            Err(error) => return Err(error.into()),
        };
        self.keep_hold(lease);
        let hourly = sum(intent.instances.iter().map(|instance| instance.price.0), Money::ZERO_USD)?;
        let created = Progress::Created {
            intent: intent.spec.intent.clone(),
            offer: intent.spec.offer.key(),
            instances: intent.instances.iter().map(|instance| instance.handle.id.clone()).collect(),
            hourly,
        };
        Ok((created, receipts))
    }

    /// Makes durable that an attempt failed, with what was learnt from it.
    async fn record_failure(
        &self,
        lease: &LeaseRecord,
        intent: &IntentRecord,
        learnt: Change,
    ) -> Result<(), HpcError> {
        let id = intent.spec.intent.as_str();
        let outcome = if intent.state == IntentState::Failed { Outcome::Failed } else { Outcome::Unknown };
        let mut change = learnt
            .put(key("intent", id)?, intent)?
            .put(key("lease", lease.id.as_str())?, lease)?
            .say(self.scribe.intent(intent, &lease.principal, "failed", outcome));
        if intent.state.is_final() {
            change = change.delete(key("open-intent", id)?);
        }
        self.store.commit_even_unaudited(change).await?;
        Ok(())
    }

    /// Every offer failed: the lease ends, the hold is given back, and the error names the best thing to do next.
    async fn give_up(&self, plan: &PlanRecord, lease: LeaseRecord, walk: Walk) -> Result<Applied, HpcError> {
        let failures = lease.failures.clone();
        self.fail_lease(lease, EndReason::NoCapacity).await?;
        if let Some(refused) = walk.over_budget.filter(|_| walk.stopped) {
            let error = self.over_budget(&refused).with("plan", &plan.plan.id);
            return Err(error.with("after", failures.join("; ")));
        }
        let (code, what) = if walk.tried == 0 && walk.price_moved > 0 {
            (&codes::PRC_MOVED, "the price moved by more than the tolerance; make a new plan")
        } else if walk.quota_refusals > 0 && walk.quota_refusals == walk.tried {
            (&codes::QUO_PROVIDER, "every offer was refused for quota")
        } else {
            (&codes::CAP_NO_CAPACITY, "no offer of the plan could be had")
        };
        let message = format!("{what}: {}", failures.join("; "));
        Err(HpcError::coded(code, message).with("plan", &plan.plan.id))
    }

    /// Ends a lease that got nothing. Intents that were set aside stay open until reconciling has settled them.
    pub(crate) async fn fail_lease(
        &self,
        mut lease: LeaseRecord,
        reason: EndReason,
    ) -> Result<LeaseRecord, HpcError> {
        let now = self.environment.now();
        lease.end_reason = Some(reason);
        lease.ended_at = Some(now);
        if self.has_open_intents(&lease).await? {
            // What was set aside may still cost money: the hold stays until that is settled.
            lease.state = LeaseState::Releasing;
            let change = Change::new().put(key("lease", lease.id.as_str())?, &lease)?;
            self.store.commit_even_unaudited(change).await?;
            self.keep_hold(&lease);
            return Ok(lease);
        }
        Ok(self.settle(lease).await?.0)
    }
}

/// What an apply learnt on its way.
#[derive(Default)]
struct Walk {
    tried: usize,
    /// Why no further try fits beside one that was set aside.
    over_budget: Option<Refused>,
    /// Whether a further try was left out for that.
    stopped: bool,
    price_moved: usize,
    quota_refusals: usize,
    blocked_quotas: Vec<(ProviderId, String, String)>,
    blocked_providers: Vec<ProviderId>,
    prices: HashMap<ProviderId, HashMap<OfferKey, Option<PerInstanceHour>>>,
}

impl Walk {
    fn remember(&mut self, error: &ProviderError, offer: &Offer) {
        match (error.kind, &offer.quota) {
            (ErrorKind::Quota, Some(quota)) => {
                self.quota_refusals += 1;
                self.blocked_quotas.push((
                    offer.provider.clone(),
                    offer.region.to_string(),
                    quota.family.to_string(),
                ));
            }
            (ErrorKind::Quota, None) => self.quota_refusals += 1,
            (ErrorKind::Auth, _) => self.blocked_providers.push(offer.provider.clone()),
            _ => {}
        }
    }
}

fn check_state(plan: &PlanRecord, now: Timestamp) -> Result<(), HpcError> {
    let id = &plan.plan.id;
    match &plan.state {
        PlanState::Denied => {
            let message = format!("plan `{id}` is denied: {}", plan.decision.reasons.join("; "));
            Err(HpcError::coded(&codes::PLN_DENIED, message).with("decision", &plan.decision.id))
        }
        PlanState::NoOffer => {
            let message = format!("plan `{id}` has no offer; see what was left out and why");
            Err(HpcError::coded(&codes::CAP_ALL_EXCLUDED, message).with("plan", id))
        }
        PlanState::AwaitingApproval { by } => {
            let message = format!("plan `{id}` waits for an approval by {by}");
            Err(HpcError::coded(&codes::POL_APPROVAL_NEEDED, message).with("plan", id))
        }
        PlanState::Refused { by } => {
            Err(HpcError::coded(&codes::POL_APPROVAL_DENIED, format!("plan `{id}` was refused by {by}")))
        }
        _ if plan.plan.is_expired(now) => {
            let message = format!("plan `{id}` expired at {}; make a new one", plan.plan.expires_at);
            Err(HpcError::coded(&codes::PLN_EXPIRED, message).with("plan", id))
        }
        PlanState::Open | PlanState::Approved { .. } | PlanState::Applied { .. } => Ok(()),
    }
}

/// The name an intent is claimed under while a call works on it.
pub(crate) fn claim_name(intent: &IntentId) -> String {
    format!("intent/{intent}")
}

/// An amount and its tolerance, rounded up.
pub(crate) fn with_tolerance(amount: Money, tolerance_bp: u32) -> Result<Money, hpc_resources::MoneyError> {
    let nanos = i128::from(amount.nanos()) * i128::from(WHOLE_BP + i64::from(tolerance_bp));
    let whole = i128::from(WHOLE_BP);
    let up = nanos.div_euclid(whole) + i128::from(nanos.rem_euclid(whole) > 0);
    let nanos = i64::try_from(up).map_err(|_| hpc_resources::MoneyError::Overflow)?;
    Ok(Money::from_nanos(nanos, amount.currency()))
}

/// The instances behind the handles, as the provider bills them. One that cannot be seen yet is taken at the frozen price
/// from now on; reconciling puts it right.
async fn instances(
    port: &dyn CapacityProvider,
    spec: &ProvisionSpec,
    handles: Vec<InstanceHandle>,
    now: Timestamp,
) -> Vec<InstanceRecord> {
    let seen = port.observe(&Observe::Handles(handles.clone())).await.unwrap_or_default();
    handles
        .into_iter()
        .map(|handle| match seen.iter().find(|state| state.handle == handle) {
            Some(state) => instance_record(state, spec.price),
            None => InstanceRecord {
                handle,
                price: spec.price,
                from: now,
                to: None,
                reclaimed: false,
                missing_since: None,
                unseen: true,
            },
        })
        .collect()
}

/// When a lease that begins now ends: with its time, or with its capacity, which began with its first instance.
pub(crate) fn end_of(
    offer: &Offer,
    instances: &[InstanceRecord],
    now: Timestamp,
    duration_s: u64,
) -> Timestamp {
    let begun = instances.iter().map(|instance| instance.from).min().map_or(now, |first| first.min(now));
    let wanted = SignedDuration::from_secs(i64::try_from(duration_s).unwrap_or(i64::MAX));
    let wanted = now.saturating_add(wanted).unwrap_or(Timestamp::MAX);
    offer.ends_by(begun).map_or(wanted, |end| end.min(wanted))
}

/// What the provider says of an instance, as the ledger keeps it.
pub(crate) fn instance_record(state: &InstanceState, frozen: PerInstanceHour) -> InstanceRecord {
    InstanceRecord {
        handle: state.handle.clone(),
        price: state.price.unwrap_or(frozen),
        from: state.launched_at,
        to: state.ended_at,
        reclaimed: state.reclaimed,
        missing_since: None,
        unseen: false,
    }
}
