//! Release: end the instances, wait for the provider to say so, settle the cost, give the hold back.
//!
//! A release goes on when the audit log cannot be written: its entries wait in the outbox. Every step may be repeated.

use std::collections::BTreeMap;

use hpc_audit::{Outcome, Receipt};
use hpc_error::{HpcError, codes};
use hpc_provider::{CapacityProvider, InstanceHandle, InstancePhase, Observe, TAG_INTENT};
use hpc_resources::{Account, IntentId, LeaseId, Money, Month};
use jiff::Timestamp;

use crate::activate::instance_record;
use crate::broker::{Broker, sum};
use crate::budgets::account_key;
use crate::drain::busy;
use crate::environment::Caller;
use crate::evidence::Evidence;
use crate::fail;
use crate::gate;
use crate::records::{EndReason, InstanceRecord, IntentRecord, IntentState, LeaseRecord, LeaseState};
use crate::store::{Change, CommitError, key};

/// What a release came to.
#[derive(Debug)]
pub struct ReleasedLease {
    /// The lease; `releasing` when the provider has not finished: reconciling does.
    pub lease: LeaseRecord,
    /// Proof in the audit log.
    pub receipts: Vec<Receipt>,
    /// Whether it had ended before.
    pub repeated: bool,
}

impl Broker {
    /// Ends a lease. Releasing one that has ended succeeds and says so.
    ///
    /// # Errors
    /// `HPC-LSE-0001` unknown, `-0005` not yours, `-0003` still being created; ledger failures.
    pub async fn release(&self, caller: &Caller, id: &LeaseId) -> Result<ReleasedLease, HpcError> {
        let lease = self.lease_by_id(id).await?;
        let asked =
            gate::check_lease(&self.standing(), caller, &lease, "lease.release", self.environment.now());
        let evidence = match asked {
            Ok(judged) => judged.evidence(),
            Err(refusal) => return Err(self.refused(caller, refusal).await),
        };
        if lease.state.is_final() {
            let said = ["releasing", "released", "failed"].map(|step| format!("{}.{step}", lease.id));
            let receipts = self.store.receipts(said).await?;
            return Ok(ReleasedLease { lease, receipts, repeated: true });
        }
        if self.books.is_begun(&format!("plan/{}", lease.plan)) {
            let message = format!("lease `{id}` is still being created; release it when that has ended");
            return Err(HpcError::coded(&codes::LSE_NOT_ACTIVE, message));
        }
        let (lease, receipts) = self.end_lease(id, EndReason::Asked, Some(&evidence)).await?;
        Ok(ReleasedLease { lease, receipts, repeated: false })
    }

    /// Ends a lease that telemetry shows to be idle for as long as policy allows.
    ///
    /// # Errors
    /// As [`Broker::release`], policy aside.
    pub async fn end_idle(&self, id: &LeaseId) -> Result<LeaseRecord, HpcError> {
        Ok(self.end_lease(id, EndReason::Idle, None).await?.0)
    }

    /// Ends a lease for a reason, as far as the provider goes along now. The evidence goes into the entry that begins it.
    pub(crate) async fn end_lease(
        &self,
        id: &LeaseId,
        reason: EndReason,
        evidence: Option<&Evidence>,
    ) -> Result<(LeaseRecord, Vec<Receipt>), HpcError> {
        let Some(_begun) = self.books.begin(&format!("lease/{id}")) else {
            if self.lease_by_id(id).await?.state == LeaseState::Releasing {
                let message = format!("lease `{id}` is being ended by another call");
                return Err(HpcError::coded(&codes::LSE_RELEASE_PENDING, message).with("lease", id));
            }
            // It may be a renewal: nobody ends it, and it goes on to cost.
            return Err(busy(id));
        };
        let mut lease = self.lease_by_id(id).await?;
        if lease.state.is_final() {
            return Ok((lease, Vec::new()));
        }
        let mut receipts = Vec::new();
        if lease.state != LeaseState::Releasing && !self.is_still_due(&lease, reason).await? {
            return Ok((lease, receipts));
        }
        if lease.state != LeaseState::Releasing {
            lease.state = LeaseState::Releasing;
            lease.end_reason = Some(reason);
            let mut entry = self.scribe.lease(&lease, self.environment.now(), "releasing", Outcome::Ok);
            if let Some(evidence) = evidence {
                evidence.put(&mut entry);
            }
            let mut change = Change::new().say(entry);
            // What drains because of a notice has taken it in already.
            if reason == EndReason::Reclaimed && lease.drain.is_none() {
                change = self.reclaimed(change, &mut lease).await?;
            }
            let change = change.put(key("lease", id.as_str())?, &lease)?;
            receipts.extend(self.store.commit_even_unaudited(change).await?.receipts);
            self.keep_strays(&lease).await?;
            self.keep_hold(&lease);
        }
        // One that cannot be ended keeps no other from its end.
        let mut failed = None;
        for intent in &lease.intents {
            let ended = match self.intent_by_id(intent).await {
                Ok(Some(record)) if !record.state.is_final() => {
                    self.end_intent(record, &lease.principal).await.map(|(_, more)| receipts.extend(more))
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            failed = failed.or(ended.err());
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let (lease, more) = self.settle(lease).await?;
        receipts.extend(more);
        Ok((lease, receipts))
    }

    /// Whether what was decided on an older record holds for this one: a renewal may have come between.
    async fn is_still_due(&self, lease: &LeaseRecord, reason: EndReason) -> Result<bool, HpcError> {
        Ok(match reason {
            EndReason::Expired => lease.ends_at.is_some_and(|end| end <= self.environment.now()),
            EndReason::HardStop => self.lease_cost(lease).await?.exceeds(lease.hold),
            _ => true,
        })
    }

    /// Ends the instances of an intent. It is final once the provider has confirmed the end of each.
    pub(crate) async fn end_intent(
        &self,
        mut intent: IntentRecord,
        principal: &str,
    ) -> Result<(IntentRecord, Vec<Receipt>), HpcError> {
        let port = self.provider(&intent.spec.offer.provider)?.clone();
        if matches!(intent.state, IntentState::Recorded | IntentState::Unknown) {
            let Some(found) = self.find_by_tag(port.as_ref(), &intent).await? else {
                return Ok((intent, Vec::new()));
            };
            if found.is_empty() {
                return self.close_without_instances(intent, principal).await;
            }
            intent.instances = found;
        }
        let mut receipts = Vec::new();
        if intent.state != IntentState::Releasing {
            intent.state = IntentState::Releasing;
            intent.updated_at = self.environment.now();
            let change = Change::new()
                .put(key("intent", intent.spec.intent.as_str())?, &intent)?
                .say(self.scribe.intent(&intent, principal, "releasing", Outcome::Ok));
            receipts.extend(self.store.commit_even_unaudited(change).await?.receipts);
        }
        for instance in intent.instances.iter().filter(|instance| instance.to.is_none()) {
            // A failure, or an answer that there is no such instance, is not the end: only what is observed is.
            drop(port.release(&instance.handle).await);
        }
        let missing = self.refresh(port.as_ref(), &mut intent).await;
        self.note_missing(port.as_ref(), &mut intent.instances, &missing);
        let (intent, more) = self.close_if_ended(intent, principal).await?;
        receipts.extend(more);
        Ok((intent, receipts))
    }

    /// Takes over what the provider says of the intent's instances, and names those that it answers nothing about.
    pub(crate) async fn refresh(
        &self,
        port: &dyn CapacityProvider,
        intent: &mut IntentRecord,
    ) -> Vec<InstanceHandle> {
        let open: Vec<_> = intent
            .instances
            .iter()
            .filter(|instance| instance.to.is_none())
            .map(|i| i.handle.clone())
            .collect();
        if open.is_empty() {
            return Vec::new();
        }
        // No answer proves nothing.
        let Ok(states) = port.observe(&Observe::Handles(open.clone())).await else { return Vec::new() };
        let missing =
            open.into_iter().filter(|handle| !states.iter().any(|state| state.handle == *handle)).collect();
        for state in states {
            let frozen = intent.spec.price;
            if let Some(instance) =
                intent.instances.iter_mut().find(|instance| instance.handle == state.handle)
            {
                let seen = instance_record(&state, frozen);
                let ended = state.phase == InstancePhase::Terminated;
                *instance = InstanceRecord { to: if ended { seen.to } else { None }, ..seen };
            }
        }
        missing
    }

    /// Notes what the provider answers nothing about, and ends it on paper once it has been missing for longer than the
    /// provider's consistency bound and the grace: from the moment it was first missed.
    pub(crate) fn note_missing(
        &self,
        port: &dyn CapacityProvider,
        instances: &mut [InstanceRecord],
        missing: &[InstanceHandle],
    ) {
        let now = self.environment.now();
        for instance in instances.iter_mut().filter(|instance| missing.contains(&instance.handle)) {
            let since = *instance.missing_since.get_or_insert(now);
            if now.duration_since(since).as_secs() >= self.settling_s(port) {
                instance.to = Some(since.max(instance.from));
                instance.reclaimed = true;
            }
        }
    }

    /// For how long what a provider does not show may still be there, in seconds.
    pub(crate) fn settling_s(&self, port: &dyn CapacityProvider) -> i64 {
        let bound_s = i64::try_from(port.describe().consistency_ms / 1_000).unwrap_or(i64::MAX);
        bound_s.saturating_add(i64::from(self.settings.reaper_grace_s))
    }

    /// Makes the intent final when all its instances have ended; keeps what was learnt otherwise.
    pub(crate) async fn close_if_ended(
        &self,
        mut intent: IntentRecord,
        principal: &str,
    ) -> Result<(IntentRecord, Vec<Receipt>), HpcError> {
        let id = intent.spec.intent.as_str().to_owned();
        intent.updated_at = self.environment.now();
        let ended = intent.instances.iter().all(|instance| instance.to.is_some());
        let mut change = Change::new();
        if ended {
            intent.state = IntentState::Released;
            change = change.delete(key("open-intent", &id)?).say(self.scribe.intent(
                &intent,
                principal,
                "released",
                Outcome::Ok,
            ));
        }
        let change = change.put(key("intent", &id)?, &intent)?;
        let committed = self.store.commit_even_unaudited(change).await?;
        if ended {
            self.books.end_stray(&intent.spec.intent);
        }
        Ok((intent, committed.receipts))
    }

    async fn close_without_instances(
        &self,
        mut intent: IntentRecord,
        principal: &str,
    ) -> Result<(IntentRecord, Vec<Receipt>), HpcError> {
        let id = intent.spec.intent.as_str().to_owned();
        intent.state = IntentState::Failed;
        intent.updated_at = self.environment.now();
        let change = Change::new()
            .put(key("intent", &id)?, &intent)?
            .delete(key("open-intent", &id)?)
            .say(self.scribe.intent(&intent, principal, "settled", Outcome::Failed));
        let committed = self.store.commit_even_unaudited(change).await?;
        self.books.end_stray(&intent.spec.intent);
        Ok((intent, committed.receipts))
    }

    /// Until when something may have been sent for an intent. What a dead process had journaled it may have sent at any moment
    /// until this one began, however long it stood still in between; this one sends until the deadline.
    fn sent_until(&self, intent: &IntentRecord) -> Timestamp {
        match intent.state {
            IntentState::Recorded if intent.updated_at < self.started_at => self.started_at,
            IntentState::Recorded => intent.updated_at.max(intent.spec.deadline),
            _ => intent.updated_at,
        }
    }

    /// What carries the intent's tag. `None`: nothing yet, and too early to say that nothing will be.
    pub(crate) async fn find_by_tag(
        &self,
        port: &dyn CapacityProvider,
        intent: &IntentRecord,
    ) -> Result<Option<Vec<InstanceRecord>>, HpcError> {
        let what = Observe::Tag { key: TAG_INTENT.to_owned(), value: intent.spec.intent.to_string() };
        // No answer proves nothing: the intent stays as it is.
        let Ok(states) = port.observe(&what).await else { return Ok(None) };
        if states.is_empty() {
            let wait_s = self.settling_s(port);
            let age_s = self.environment.now().duration_since(self.sent_until(intent)).as_secs();
            return Ok((age_s >= wait_s).then(Vec::new));
        }
        Ok(Some(states.iter().map(|state| instance_record(state, intent.spec.price)).collect()))
    }

    /// Settles a lease whose intents are all final: its cost to every payer's account, month by month, the hold given back.
    pub(crate) async fn settle(
        &self,
        mut lease: LeaseRecord,
    ) -> Result<(LeaseRecord, Vec<Receipt>), HpcError> {
        let mut months: BTreeMap<Month, Money> = BTreeMap::new();
        let mut created = false;
        let now = self.environment.now();
        let none = Money::from_nanos(0, lease.hold.currency());
        for id in &lease.intents {
            let Some(intent) = self.intent_by_id(id).await? else { continue };
            if !intent.state.is_final() {
                return Ok((lease, Vec::new()));
            }
            for instance in &intent.instances {
                created = true;
                for (month, cost) in instance.cost_by_month(now).map_err(fail::money)? {
                    let so_far = months.entry(month).or_insert(none);
                    *so_far = so_far.checked_add(cost).map_err(fail::money)?;
                }
            }
        }
        // To the nano-unit what the instances cost: the months of each add up to its whole.
        let cost = sum(months.values().copied(), none)?;
        let months: Vec<(Month, Money)> = months.into_iter().collect();
        lease.cost = Some(cost);
        lease.ended_at = Some(now);
        let got_nothing = lease.active_at.is_none() && !created;
        let (state, step, outcome) = if got_nothing {
            (LeaseState::Failed, "failed", Outcome::Failed)
        } else {
            (LeaseState::Released, "released", Outcome::Ok)
        };
        lease.state = state;
        let lease_place = key("lease", lease.id.as_str())?;
        loop {
            // Whoever read the lease before somebody else settled it must not count its cost twice.
            let Some((stored, revision)) = self.store.read::<LeaseRecord>(&lease_place).await? else {
                return Err(fail::bug("a lease to settle is in the ledger"));
            };
            if stored.state.is_final() {
                return Ok((stored, Vec::new()));
            }
            let mut change = Change::new()
                .expect(lease_place.clone(), revision)
                .put(lease_place.clone(), &lease)?
                .delete(key("open-lease", lease.id.as_str())?)
                .say(self.scribe.lease(&lease, self.environment.now(), step, outcome));
            let mut accounts = Vec::new();
            for payer in lease.paid_by() {
                let place = account_key(&payer)?;
                let mut account = match self.store.read::<Account>(&place).await? {
                    Some((account, revision)) => {
                        change = change.expect(place.clone(), revision);
                        account
                    }
                    None => {
                        change = change.expect_absent(place.clone());
                        Account::new(payer)
                    }
                };
                account.spend(&months).map_err(fail::money)?;
                change = change.put(place, &account)?;
                accounts.push(account);
            }
            match self.store.commit_even_unaudited(change).await {
                Ok(committed) => {
                    for account in &accounts {
                        self.books.set_account(account, committed.revision);
                    }
                    self.books.end_hold(&lease.id);
                    return Ok((lease, committed.receipts));
                }
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(crate) async fn has_open_intents(&self, lease: &LeaseRecord) -> Result<bool, HpcError> {
        for id in &lease.intents {
            if self.intent_by_id(id).await?.is_some_and(|intent| !intent.state.is_final()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an intent is open that the lease runs on: one that was set aside is none.
    pub(crate) async fn has_kept_intents(&self, lease: &LeaseRecord) -> Result<bool, HpcError> {
        for id in &lease.intents {
            let kept = |intent: &IntentRecord| !intent.state.is_final() && !intent.set_aside;
            if self.intent_by_id(id).await?.as_ref().is_some_and(kept) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads a lease.
    ///
    /// # Errors
    /// `HPC-LSE-0001` when there is none; a ledger failure.
    pub async fn lease_by_id(&self, id: &LeaseId) -> Result<LeaseRecord, HpcError> {
        let found = self.store.read::<LeaseRecord>(&key("lease", id.as_str())?).await?;
        found.map(|(lease, _)| lease).ok_or_else(|| {
            HpcError::coded(&codes::LSE_UNKNOWN, format!("there is no lease `{id}`")).with("lease", id)
        })
    }

    /// Reads an intent.
    ///
    /// # Errors
    /// A ledger failure.
    pub async fn intent_by_id(&self, id: &IntentId) -> Result<Option<IntentRecord>, HpcError> {
        Ok(self.store.read::<IntentRecord>(&key("intent", id.as_str())?).await?.map(|(intent, _)| intent))
    }
}
