//! Reconcile: after a crash, and for ever: instances = leases, every intent ends in one final state, no orphan stays.
//!
//! The cloud is listed before the ledger is read. Whatever the list shows was created by an intent that was durable before
//! it, so the ledger read afterwards explains it, or nothing does.

use std::collections::HashMap;

use hpc_audit::Outcome;
use hpc_error::HpcError;
use hpc_provider::{CapacityProvider, InstanceHandle, InstanceState, TAG_INTENT};
use hpc_resources::{IntentId, LeaseId, Money, ProviderId};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::apply::{claim_name, instance_record};
use crate::broker::{Broker, sum};
use crate::entry::say;
use crate::fail;
use crate::records::{EndReason, InstanceRecord, IntentRecord, IntentState, LeaseRecord, LeaseState};
use crate::store::{Change, key};

/// Most pages read from one provider in one round.
const PAGES_MAX: usize = 10_000;

/// What one round of reconciling did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// Audit entries that a crash had left behind.
    pub audited: usize,
    /// Intents whose instances were found and kept.
    pub adopted: usize,
    /// Intents that came to an end.
    pub closed: usize,
    /// Leases that came to an end.
    pub ended: usize,
    /// Instances that nothing explained, and that were ended.
    pub reaped: usize,
    /// Interruptions seen.
    pub interruptions: usize,
    /// Intents and leases that are still open and need another round.
    pub pending: usize,
    /// What could not be done, in words; the next round tries again.
    pub problems: Vec<String>,
}

/// An instance that nothing explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanRecord {
    /// The instance, and what it cost.
    pub instance: InstanceRecord,
    /// The intent it was tagged with, if any.
    pub intent: Option<String>,
}

type Cloud = HashMap<ProviderId, Vec<InstanceState>>;

impl Broker {
    /// Runs one round: drains the audit outbox, settles open intents and leases, ends what is over, reaps orphans.
    ///
    /// # Errors
    /// Only ledger failures; a provider that does not answer is a problem in the report.
    pub async fn reconcile(&self) -> Result<Reconciled, HpcError> {
        let mut report = Reconciled::default();
        match self.store.drain().await {
            Ok(audited) => report.audited = audited,
            Err(error) => report.problems.push(error.to_string()),
        }
        self.read_interruptions(&mut report).await?;
        let cloud = self.list_clouds(&mut report).await;
        for marker in self.store.keys("open-intent/").await? {
            let Ok(id) = IntentId::parse(marker.name()) else { continue };
            let Some(_claim) = self.books.begin(&claim_name(&id)) else { continue };
            if let Some(intent) = self.intent_by_id(&id).await?
                && let Err(error) = self.settle_intent(intent, &cloud, &mut report).await
            {
                report.problems.push(format!("{id}: {error}"));
            }
        }
        for marker in self.store.keys("open-lease/").await? {
            let Ok(id) = LeaseId::parse(marker.name()) else { continue };
            if let Err(error) = self.settle_lease(&id, &mut report).await {
                report.problems.push(format!("{id}: {error}"));
            }
        }
        self.reap(&cloud, &mut report).await?;
        Ok(report)
    }

    async fn list_clouds(&self, report: &mut Reconciled) -> Cloud {
        let mut cloud = Cloud::new();
        for (id, port) in &self.providers {
            if !port.describe().supports.list_owned {
                continue;
            }
            let mut instances = Vec::new();
            let mut page = None;
            for _ in 0..PAGES_MAX {
                match port.list_owned(&self.settings.owner, page.take()).await {
                    Ok(answer) => {
                        instances.extend(answer.instances);
                        page = answer.next;
                        if page.is_none() {
                            break;
                        }
                    }
                    Err(error) => {
                        report.problems.push(format!("{id}: {error}"));
                        break;
                    }
                }
            }
            cloud.insert(id.clone(), instances);
        }
        cloud
    }

    async fn settle_intent(
        &self,
        intent: IntentRecord,
        cloud: &Cloud,
        report: &mut Reconciled,
    ) -> Result<(), HpcError> {
        // A lease that somebody is ending is theirs: what is learnt here could overwrite it.
        let Some(_lease) = self.books.begin(&format!("lease/{}", intent.spec.lease)) else { return Ok(()) };
        let Some(intent) = self.intent_by_id(&intent.spec.intent).await? else { return Ok(()) };
        let lease = self.lease_by_id(&intent.spec.lease).await?;
        let settled = match intent.state {
            IntentState::Recorded | IntentState::Unknown => self.resolve(intent, lease, report).await?,
            IntentState::Acknowledged => self.look_after(intent, lease, cloud).await?,
            IntentState::Releasing => self.end_intent(intent, &lease.principal).await?.0,
            IntentState::Released | IntentState::Failed => intent,
        };
        if settled.state.is_final() {
            report.closed += 1;
        } else if settled.state != IntentState::Acknowledged {
            report.pending += 1;
        }
        Ok(())
    }

    /// An intent whose outcome nobody knows: adopt what it created if the lease still waits for it, end it otherwise.
    async fn resolve(
        &self,
        mut intent: IntentRecord,
        mut lease: LeaseRecord,
        report: &mut Reconciled,
    ) -> Result<IntentRecord, HpcError> {
        let wanted = lease.state == LeaseState::Pending && !intent.set_aside;
        if !wanted {
            return Ok(self.end_intent(intent, &lease.principal).await?.0);
        }
        let port = self.provider(&intent.spec.offer.provider)?.clone();
        let Some(found) = self.find_by_tag(port.as_ref(), &intent).await? else { return Ok(intent) };
        let live = found.iter().filter(|instance| instance.to.is_none()).count();
        let complete = u32::try_from(live) == Ok(intent.spec.instances);
        if !complete {
            // Nothing, or only a part: a gang that is not whole is of no use to anybody.
            intent.set_aside = true;
            return Ok(self.end_intent(intent, &lease.principal).await?.0);
        }
        let now = self.environment.now();
        intent.instances = found;
        intent.state = IntentState::Acknowledged;
        intent.updated_at = now;
        lease.state = LeaseState::Active;
        lease.active_at = Some(now);
        let lasts = SignedDuration::from_secs(i64::try_from(lease.duration_s).unwrap_or(i64::MAX));
        lease.ends_at = Some(now.saturating_add(lasts).unwrap_or(jiff::Timestamp::MAX));
        lease.offer = Some(intent.spec.offer.clone());
        lease.instances = intent.spec.instances;
        let change = Change::new()
            .put(key("intent", intent.spec.intent.as_str())?, &intent)?
            .put(key("lease", lease.id.as_str())?, &lease)?
            .say(self.scribe.intent(&intent, &lease.principal, "adopted", Outcome::Ok))
            .say(self.scribe.lease(&lease, now, "active", Outcome::Ok));
        self.store.commit_even_unaudited(change).await?;
        report.adopted += 1;
        Ok(intent)
    }

    /// An intent that runs: has the provider ended any of it?
    async fn look_after(
        &self,
        mut intent: IntentRecord,
        lease: LeaseRecord,
        cloud: &Cloud,
    ) -> Result<IntentRecord, HpcError> {
        let listed = cloud.get(&intent.spec.offer.provider);
        let is_live = |handle: &InstanceHandle| {
            listed.is_some_and(|states| {
                states.iter().any(|state| state.handle == *handle && state.phase.is_live())
            })
        };
        let all_live =
            intent.instances.iter().all(|instance| instance.to.is_none() && is_live(&instance.handle));
        if all_live || listed.is_none() {
            return Ok(intent);
        }
        let before = intent.clone();
        let port = self.provider(&intent.spec.offer.provider)?.clone();
        let missing = self.refresh(port.as_ref(), &mut intent).await;
        self.give_up_missing(port.as_ref(), &mut intent, &missing);
        let ended = intent.instances.iter().filter(|instance| instance.to.is_some()).count();
        if ended == 0 {
            if intent != before {
                let change = Change::new().put(key("intent", intent.spec.intent.as_str())?, &intent)?;
                self.store.commit_even_unaudited(change).await?;
            }
            return Ok(intent);
        }
        if ended == intent.instances.len() {
            return Ok(self.close_if_ended(intent, &lease.principal).await?.0);
        }
        // A part of a gang is gone: the rest is ended too.
        Ok(self.end_intent(intent, &lease.principal).await?.0)
    }

    /// Ends, on paper, what a provider that answers has no longer known for longer than its consistency bound.
    fn give_up_missing(
        &self,
        port: &dyn CapacityProvider,
        intent: &mut IntentRecord,
        missing: &[InstanceHandle],
    ) {
        let now = self.environment.now();
        let bound_s = i64::try_from(port.describe().consistency_ms / 1_000).unwrap_or(i64::MAX);
        let wait_s = bound_s.saturating_add(i64::from(self.settings.reaper_grace_s));
        for instance in intent.instances.iter_mut().filter(|instance| missing.contains(&instance.handle)) {
            if now.duration_since(instance.from).as_secs() >= wait_s {
                instance.to = Some(now);
                instance.reclaimed = true;
            }
        }
    }

    async fn settle_lease(&self, id: &LeaseId, report: &mut Reconciled) -> Result<(), HpcError> {
        let lease = self.lease_by_id(id).await?;
        let now = self.environment.now();
        let being_applied = self.books.is_begun(&format!("plan/{}", lease.plan));
        let ended = match lease.state {
            LeaseState::Pending if being_applied => return Ok(()),
            LeaseState::Pending if self.has_open_intents(&lease).await? => {
                report.pending += 1;
                return Ok(());
            }
            LeaseState::Pending => {
                // Only a restart leaves a lease like this: the apply that worked on it is gone.
                let costs = self.lease_cost(&lease).await?;
                if costs.nanos() > 0 {
                    self.end_lease(id, EndReason::Interrupted).await?.0
                } else {
                    self.fail_lease(lease, EndReason::Interrupted).await?
                }
            }
            LeaseState::Releasing if being_applied => return Ok(()),
            LeaseState::Releasing => {
                let reason = lease.end_reason.unwrap_or(EndReason::Asked);
                self.end_lease(id, reason).await?.0
            }
            LeaseState::Active if lease.ends_at.is_some_and(|end| end <= now) => {
                self.end_lease(id, EndReason::Expired).await?.0
            }
            LeaseState::Active if !self.has_open_intents(&lease).await? => {
                self.end_lease(id, EndReason::Reclaimed).await?.0
            }
            LeaseState::Active => {
                if self.lease_cost(&lease).await?.exceeds(lease.hold) {
                    self.end_lease(id, EndReason::HardStop).await?.0
                } else {
                    return Ok(());
                }
            }
            LeaseState::Released | LeaseState::Failed => lease,
        };
        if ended.state.is_final() {
            report.ended += 1;
        } else {
            report.pending += 1;
        }
        Ok(())
    }

    /// What a lease has cost up to now: the sum over all its instances.
    pub(crate) async fn lease_cost(&self, lease: &LeaseRecord) -> Result<Money, HpcError> {
        if let Some(cost) = lease.cost {
            return Ok(cost);
        }
        let now = self.environment.now();
        let mut costs = Vec::new();
        for id in &lease.intents {
            let Some(intent) = self.intent_by_id(id).await? else { continue };
            for instance in &intent.instances {
                costs.push(instance.cost(now).map_err(fail::money)?);
            }
        }
        sum(costs, Money::from_nanos(0, lease.hold.currency()))
    }

    async fn read_interruptions(&self, report: &mut Reconciled) -> Result<(), HpcError> {
        for (id, port) in &self.providers {
            if !port.describe().supports.interruptions {
                continue;
            }
            let place = key("cursor", id.as_str())?;
            let cursor = self.store.read::<String>(&place).await?.map(|(cursor, _)| cursor);
            match port.interruptions(cursor.clone()).await {
                Ok(page) => {
                    if page.events.is_empty() && cursor.as_deref() == Some(page.cursor.as_str()) {
                        continue;
                    }
                    let mut change = Change::new().put(place, &page.cursor)?;
                    for event in page.events.iter().take(256) {
                        let action = format!("instance.{}", crate::text(&event.kind));
                        let id = format!(
                            "{}.{}.{}",
                            event.handle.id,
                            crate::text(&event.kind),
                            event.seen_at.as_millisecond()
                        );
                        let mut entry =
                            self.scribe.entry(id, self.environment.now(), "system", &action, Outcome::Ok);
                        entry.simulated = port.describe().simulated;
                        entry.subjects.insert("instance".to_owned(), event.handle.id.clone());
                        say(&mut entry, "provider", event.handle.provider.as_str());
                        say(&mut entry, "deadline", &event.deadline.to_string());
                        change = change.say(entry);
                    }
                    report.interruptions += page.events.len();
                    self.store.commit_even_unaudited(change).await?;
                }
                Err(error) => report.problems.push(format!("{id}: {error}")),
            }
        }
        Ok(())
    }

    /// Ends instances that carry our owner tag and that nothing in the ledger explains.
    async fn reap(&self, cloud: &Cloud, report: &mut Reconciled) -> Result<(), HpcError> {
        let now = self.environment.now();
        for (provider, instances) in cloud {
            for state in instances.iter().filter(|state| state.phase.is_live()) {
                let age_s = now.duration_since(state.launched_at).as_secs();
                if age_s < i64::from(self.settings.reaper_grace_s) || self.explained(state).await? {
                    continue;
                }
                let Ok(port) = self.provider(provider) else { continue };
                match port.release(&state.handle).await {
                    Ok(_) => {
                        let after = port
                            .observe(&hpc_provider::Observe::Handles(vec![state.handle.clone()]))
                            .await
                            .ok()
                            .and_then(|states| states.into_iter().next());
                        let price = state.price.unwrap_or(hpc_resources::PerInstanceHour(Money::ZERO_USD));
                        let mut instance = instance_record(after.as_ref().unwrap_or(state), price);
                        instance.to = instance.to.or(Some(now));
                        let intent = state.tags.get(TAG_INTENT).cloned();
                        let name = format!("{provider}.{}", state.handle.id);
                        let mut entry = self.scribe.entry(
                            format!("{name}.reaped"),
                            now,
                            "system",
                            "orphan.reaped",
                            Outcome::Ok,
                        );
                        entry.simulated = port.describe().simulated;
                        entry.subjects.insert("instance".to_owned(), state.handle.id.clone());
                        say(&mut entry, "provider", provider.as_str());
                        say(&mut entry, "cost", &instance.cost(now).map_err(fail::money)?.to_string());
                        let record = OrphanRecord { instance, intent };
                        let change = Change::new().put(key("orphan", &name)?, &record)?.say(entry);
                        self.store.commit_even_unaudited(change).await?;
                        report.reaped += 1;
                    }
                    Err(error) => report.problems.push(format!("{}: {error}", state.handle.id)),
                }
            }
        }
        Ok(())
    }

    /// Whether an intent accounts for the instance: one that is still open, or one that has ended it and paid for it. The
    /// list of instances is older than the ledger that is read here.
    async fn explained(&self, state: &InstanceState) -> Result<bool, HpcError> {
        let Some(id) = state.tags.get(TAG_INTENT).and_then(|text| IntentId::parse(text.clone()).ok()) else {
            return Ok(false);
        };
        if self.books.is_begun(&claim_name(&id)) {
            return Ok(true);
        }
        Ok(self.intent_by_id(&id).await?.is_some_and(|intent| {
            !intent.state.is_final()
                || intent.instances.iter().any(|instance| instance.handle == state.handle)
        }))
    }
}
