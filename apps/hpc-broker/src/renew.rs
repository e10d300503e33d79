//! Renew: a later end for a lease. Policy is asked again about the lease as it would be, and the money is held before
//! anything changes.

use hpc_audit::{Outcome, Receipt};
use hpc_error::{HpcError, codes};
use hpc_resources::{DURATION_S_MAX, DURATION_S_MIN, DecisionId, LeaseId, Money, Payer, Plan};
use jiff::{SignedDuration, Timestamp};

use crate::broker::{Broker, sum};
use crate::budgets::payers;
use crate::drain::not_running;
use crate::entry::{say, say_number};
use crate::environment::Caller;
use crate::evidence::{Evidence, Judged, Refusal};
use crate::fail;
use crate::gate::{self, Gate, OBLIGATION_APPROVAL, OBLIGATION_IDLE_MINUTES, offer_outcome};
use crate::plan::hashed_key;
use crate::records::{LeaseRecord, LeaseState, PlanRecord, RenewalRecord};
use crate::store::{Change, CommitError, key};

/// Most renewals of one lease: each is kept in its record.
pub const RENEWALS_MAX: usize = 256;

/// What a renewal came to.
#[derive(Debug)]
pub struct Renewed {
    /// The lease.
    pub lease: LeaseRecord,
    /// Proof in the audit log.
    pub receipts: Vec<Receipt>,
    /// Whether the same key had renewed it before: nothing was changed.
    pub repeated: bool,
}

impl Broker {
    /// Extends a lease by `by_s` seconds. The key makes the call repeatable: the same key renews the lease once.
    ///
    /// Asked again are: whether the caller may renew this lease (`lease.renew`), whether they may have it for the whole
    /// time (`capacity.request`, with `max_lease_hours` and all else), and whether the offer may be bought
    /// (`capacity.provision`), and whether they may spend for its team. Whoever renews pays too: the budgets of a caller who
    /// did not pay before hold the whole lease from then on, beside those that did. The cost of the extension at the running price is held on top of what is held, or nothing
    /// changes. Where policy wants an approval for the longer lease, a new plan is needed.
    ///
    /// # Errors
    /// `HPC-LSE-0001` unknown, `-0002` ended, `-0003` not active, `-0005` not yours, `-0006` draining, `-0007` being
    /// changed, `-0008` too often; `HPC-POL-0001`, `-0002`; `HPC-BUD-0001`; `HPC-USG-0011` for a time outside the limits or past the end
    /// of the capacity,
    /// `-0016` for a key that came with another time; ledger and audit failures.
    pub async fn renew(
        &self,
        caller: &Caller,
        id: &LeaseId,
        by_s: u64,
        idempotency_key: &str,
    ) -> Result<Renewed, HpcError> {
        let lease = self.lease_by_id(id).await?;
        let now = self.environment.now();
        let standing = self.standing();
        let may = match gate::check_lease(&standing, caller, &lease, "lease.renew", now) {
            Ok(judged) => judged.evidence(),
            Err(refusal) => return Err(self.refused(caller, refusal).await),
        };
        let _begun = self.begin_lease(&lease)?;
        let place = key("lease", id.as_str())?;
        let Some((lease, revision)) = self.store.read::<LeaseRecord>(&place).await? else {
            return Err(fail::bug("a lease that was there is gone"));
        };
        let hashed = hashed_key(caller, idempotency_key);
        if let Some(answer) = self.renewed_before(&lease, &hashed, by_s).await? {
            return Ok(answer);
        }
        let ends_at = check(&lease, by_s, now)?;
        self.store.check_audited().await?;
        let plan = self.plan_by_id(&lease.plan).await?;
        let spends = match self.ask_to_spend(&standing, caller, &lease.team, now) {
            Ok(spends) => spends,
            Err(refusal) => return Err(self.refused(caller, *refusal).await),
        };
        let (renewed, bill) = self.longer(&lease, &plan, (hashed, by_s, ends_at), now).await?;
        let gate = Gate { standing: &standing, caller, team: &lease.team, request: &plan.request, now };
        let (evidence, idle_s) = match self.judge_longer(&gate, &plan, &renewed, &bill) {
            Ok(judged) => judged,
            Err(refusal) => return Err(self.refused(caller, refusal).await),
        };
        let idle_release_s = [renewed.idle_release_s, idle_s].into_iter().flatten().min();
        let joined = joining(&lease, payers(caller, &lease.team));
        let payers = lease.paid_by().into_iter().chain(joined.iter().cloned()).collect();
        let renewed = LeaseRecord { idle_release_s, payers, ..renewed };
        if let Err(error) = self.take_hold(&renewed) {
            let subject = ("lease".to_owned(), id.to_string());
            let refusal = Refusal { error, action: "budget.hold", subject, judged: None };
            return Err(self.refused(caller, refusal).await);
        }
        let mut entry = self.scribe.lease(&renewed, now, "renewed", Outcome::Ok);
        entry.id = entry_id(&renewed, renewed.renewals.len());
        entry.principal.clone_from(&caller.name);
        say(&mut entry, "ends_at", &ends_at.to_string());
        say(&mut entry, "held_on_top", &bill.more.to_string());
        say_number(&mut entry, "seconds", by_s);
        evidence.put(&mut entry);
        may.put_beside(&mut entry, "lease");
        if let Some(spends) = spends {
            spends.put_beside(&mut entry, "budget");
        }
        if !joined.is_empty() {
            let names: Vec<String> = joined.iter().map(ToString::to_string).collect();
            say(&mut entry, "pays_too", &names.join(", "));
        }
        let change = Change::new().expect(place.clone(), revision).put(place, &renewed)?.say(entry);
        match self.store.commit(change).await {
            Ok(committed) => Ok(Renewed { lease: renewed, receipts: committed.receipts, repeated: false }),
            Err(CommitError::Conflict) => {
                self.keep_hold(&lease);
                Err(CommitError::Conflict.into())
            }
            // It is durable, and its proof waits; or nobody knows, and reconciling holds what the record says.
            Err(error) => Err(error.into()),
        }
    }

    async fn renewed_before(
        &self,
        lease: &LeaseRecord,
        hashed: &str,
        by_s: u64,
    ) -> Result<Option<Renewed>, HpcError> {
        let Some(position) = lease.renewals.iter().position(|renewal| renewal.key == hashed) else {
            return Ok(None);
        };
        if lease.renewals.get(position).is_some_and(|renewal| renewal.by_s != by_s) {
            let message = "this idempotency key renewed the lease by another time before";
            return Err(HpcError::coded(&codes::USG_IDEMPOTENCY_REUSED, message).with("lease", &lease.id));
        }
        let receipts = self.store.receipts([entry_id(lease, position.saturating_add(1))]).await?;
        Ok(Some(Renewed { lease: lease.clone(), receipts, repeated: true }))
    }

    /// The lease as it would be, and what that costs.
    async fn longer(
        &self,
        lease: &LeaseRecord,
        plan: &PlanRecord,
        (key, by_s, ends_at): (String, u64, Timestamp),
        now: Timestamp,
    ) -> Result<(LeaseRecord, Bill), HpcError> {
        let none = Money::from_nanos(0, lease.hold.currency());
        let mut running = Vec::new();
        for intent in &lease.intents {
            // What was set aside is being ended, and nobody renews that.
            let Some(intent) = self.intent_by_id(intent).await?.filter(|intent| !intent.set_aside) else {
                continue;
            };
            running.extend(intent.instances.into_iter().filter(|instance| instance.to.is_none()));
        }
        let begun = running.iter().map(|instance| instance.from).min().unwrap_or(now);
        if let Some(end) = lease.offer.as_ref().and_then(|offer| offer.ends_by(begun))
            && ends_at > end
        {
            let message = format!(
                "the capacity of lease `{}` is there until {end}, and a renewal cannot go past that",
                lease.id
            );
            return Err(HpcError::coded(&codes::USG_OUT_OF_RANGE, message).with("lease", &lease.id));
        }
        let hourly = sum(running.iter().map(|instance| instance.price.0), none)?;
        let cost = |seconds: u64| {
            let costs = running.iter().map(|instance| instance.price.cost_rounded_up(1, seconds));
            let costs: Result<Vec<Money>, _> = costs.collect();
            sum(costs.map_err(fail::money)?, none)
        };
        let more = cost(by_s)?;
        let left_s = u64::try_from(ends_at.duration_since(now).as_secs()).unwrap_or(0);
        let so_far = self.lease_cost(lease).await?;
        let total = so_far.checked_add(cost(left_s)?).map_err(fail::money)?;
        if let Some(limit) = plan.request.max_total().filter(|limit| total.exceeds(*limit)) {
            let message = format!("the lease would cost {total} in all, its request allows {limit}");
            return Err(HpcError::coded(&codes::BUD_EXCEEDED, message).with("lease", &lease.id));
        }
        let mut renewed = lease.clone();
        renewed.hold = lease.hold.checked_add(more).map_err(fail::money)?;
        renewed.ends_at = Some(ends_at);
        renewed.duration_s = lease.duration_s.saturating_add(by_s);
        renewed.renewals.push(RenewalRecord { key, at: now, by_s, ends_at, held: more });
        Ok((renewed, Bill { hourly, more, total }))
    }

    /// Asks policy about the lease as it would be. Answers the evidence and the idle time that it now allows.
    fn judge_longer(
        &self,
        gate: &Gate<'_>,
        plan: &PlanRecord,
        renewed: &LeaseRecord,
        bill: &Bill,
    ) -> Result<(Evidence, Option<u64>), Refusal> {
        let refusal = |error, judged: Judged, action| Refusal {
            error,
            action,
            subject: ("lease".to_owned(), renewed.id.to_string()),
            judged: Some(Box::new(judged)),
        };
        if let Some(offer) = &renewed.offer {
            let judged = gate.judge_offer(offer, bill.hourly);
            if let Err((rule, message)) = offer_outcome(&judged.decision) {
                let error = HpcError::coded(&codes::POL_DENIED, format!("policy {rule}: {message}"));
                return Err(refusal(error, judged, "capacity.provision"));
            }
        }
        let asked = as_asked(plan, renewed, bill);
        let own = u64::from(renewed.accelerators());
        let held = self.books.accelerators_held(&renewed.team).saturating_sub(own);
        let (decision, judged) = gate.decide_request(DecisionId::from_bits(self.fresh_bits()), &asked, held);
        if !decision.allowed {
            let message = format!("policy denies the longer lease: {}", decision.reasons.join("; "));
            let error = HpcError::coded(&codes::POL_DENIED, message).with("decision", &decision.id);
            return Err(refusal(error, judged, "capacity.request"));
        }
        if let Some(by) = decision.obligations.get(OBLIGATION_APPROVAL) {
            let message = format!("a lease of this length needs an approval by {by}; make a new plan");
            let error = HpcError::coded(&codes::POL_APPROVAL_NEEDED, message).with("lease", &renewed.id);
            return Err(refusal(error, judged, "capacity.request"));
        }
        let idle = decision.obligations.get(OBLIGATION_IDLE_MINUTES);
        let idle_s = idle.and_then(|text| text.parse::<u64>().ok()).map(|minutes| minutes.saturating_mul(60));
        Ok((judged.evidence(), idle_s))
    }
}

/// What a longer lease costs.
struct Bill {
    /// Per hour, as it runs.
    hourly: Money,
    /// For the extension.
    more: Money,
    /// In all, from its beginning to its new end.
    total: Money,
}

/// The plan that would have been made for the lease as it would be.
fn as_asked(plan: &PlanRecord, renewed: &LeaseRecord, bill: &Bill) -> Plan {
    let bought = renewed.offer.as_ref().map(hpc_resources::Offer::key);
    let mut asked = plan.plan.clone();
    asked.duration_s = renewed.duration_s;
    asked.worst_case = Some(bill.total);
    asked.attempts.retain(|attempt| Some(attempt.offer.key()) == bought);
    for attempt in &mut asked.attempts {
        (attempt.hourly, attempt.total) = (bill.hourly, bill.total);
    }
    asked
}

/// Who renews and does not pay yet: they pay for the lease from then on, as everybody who does.
fn joining(lease: &LeaseRecord, payers: Vec<Payer>) -> Vec<Payer> {
    let pays = lease.paid_by();
    payers.into_iter().filter(|payer| !pays.contains(payer)).collect()
}

/// The new end, if the lease can have it.
fn check(lease: &LeaseRecord, by_s: u64, now: Timestamp) -> Result<Timestamp, HpcError> {
    if lease.state == LeaseState::Draining {
        let message = format!("lease `{}` is draining", lease.id);
        return Err(HpcError::coded(&codes::LSE_DRAINING, message).with("lease", &lease.id));
    }
    let Some(end) = lease.ends_at.filter(|_| lease.state == LeaseState::Active) else {
        return Err(not_running(lease));
    };
    if end <= now {
        let message = format!("the time of lease `{}` was over at {end}", lease.id);
        return Err(HpcError::coded(&codes::LSE_ALREADY_RELEASED, message).with("lease", &lease.id));
    }
    if lease.renewals.len() >= RENEWALS_MAX {
        let message =
            format!("lease `{}` was renewed {RENEWALS_MAX} times, which is as often as one can be", lease.id);
        return Err(HpcError::coded(&codes::LSE_TOO_OFTEN, message).with("lease", &lease.id));
    }
    let whole = lease.duration_s.saturating_add(by_s);
    if by_s < DURATION_S_MIN || whole > DURATION_S_MAX {
        let message = format!(
            "a renewal is by {DURATION_S_MIN} s or more, and a lease lasts {DURATION_S_MAX} s at most; this would make it {whole} s"
        );
        return Err(HpcError::coded(&codes::USG_OUT_OF_RANGE, message).with("lease", &lease.id));
    }
    let by = SignedDuration::from_secs(i64::try_from(by_s).unwrap_or(i64::MAX));
    end.saturating_add(by)
        .map_err(|_| HpcError::coded(&codes::USG_OUT_OF_RANGE, "that end is beyond all time"))
}

fn entry_id(lease: &LeaseRecord, number: usize) -> String {
    format!("{}.renewed.{number}", lease.id)
}
