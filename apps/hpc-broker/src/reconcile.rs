//! Reconcile: after a crash, and for ever: instances = leases, every intent ends in one final state, no orphan stays.
//!
//! The cloud is listed before the ledger is read. Whatever the list shows was created by an intent that was durable before
//! it, so the ledger read afterwards explains it, or nothing does.

use std::collections::{BTreeSet, HashMap, HashSet};

use hpc_audit::{Entry, Outcome};
use hpc_error::HpcError;
use hpc_provider::{InstanceHandle, InstancePhase, InstanceState, Interruption, Observe, TAG_INTENT};
use hpc_resources::{IntentId, LeaseId, Money, PerInstanceHour, ProviderId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::activate::instance_record;
use crate::books::claim_name;
use crate::broker::{Broker, sum};
use crate::entry::say;
use crate::fail;
use crate::records::{EndReason, InstanceRecord, IntentRecord, IntentState, LeaseRecord, LeaseState};
use crate::store::{Change, key};

/// Most pages read from one provider in one round.
const PAGES_MAX: usize = 10_000;

/// Most interruptions written in one transaction.
const EVENTS_PER_COMMIT: usize = 256;

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

/// What the providers listed.
type Cloud = HashMap<ProviderId, Listed>;

#[derive(Default)]
struct Listed {
    instances: Vec<InstanceState>,
    /// Those that are live.
    live: HashSet<InstanceHandle>,
}

/// What is known to run as it should, so that nothing else has to be read about it: most of everything in most rounds.
#[derive(Default)]
struct Running {
    /// Intents all of whose instances were listed as live.
    intents: HashMap<IntentId, Vec<InstanceRecord>>,
    handles: HashSet<InstanceHandle>,
}

impl Running {
    /// Takes an intent in if the clouds show all of it. Doing nothing about it is safe although nobody holds it still.
    fn takes(&mut self, intent: &IntentRecord, cloud: &Cloud) -> bool {
        let listed = cloud.get(&intent.spec.offer.provider);
        let is_live = |instance: &InstanceRecord| {
            instance.is_known_to_run() && listed.is_some_and(|listed| listed.live.contains(&instance.handle))
        };
        let takes = intent.state == IntentState::Acknowledged && intent.instances.iter().all(is_live);
        if takes {
            self.handles.extend(intent.instances.iter().map(|instance| instance.handle.clone()));
            self.intents.insert(intent.spec.intent.clone(), intent.instances.clone());
        }
        takes
    }

    /// What a lease has cost up to now, when it has intents and all of them run.
    fn cost(&self, lease: &LeaseRecord, now: Timestamp) -> Option<Money> {
        if lease.intents.is_empty() {
            return None;
        }
        let intents: Vec<_> = lease.intents.iter().map(|id| self.intents.get(id)).collect::<Option<_>>()?;
        let costs =
            intents.into_iter().flatten().map(|instance| instance.cost(now)).collect::<Result<Vec<_>, _>>();
        sum(costs.ok()?, Money::from_nanos(0, lease.hold.currency())).ok()
    }
}

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
        if let Err(error) = self.forget_stock().await {
            report.problems.push(error.to_string());
        }
        if let Err(error) = self.read_interruptions(&mut report).await {
            report.problems.push(error.to_string());
        }
        let (held, strays) = (self.books.held(), self.books.strays());
        let listed_at = self.environment.now();
        let cloud = self.list_clouds(&mut report).await;
        let mut running = Running::default();
        for marker in self.store.keys("open-intent/").await? {
            let Ok(id) = IntentId::parse(marker.name()) else { continue };
            if self.intent_by_id(&id).await?.is_some_and(|intent| running.takes(&intent, &cloud)) {
                continue;
            }
            let Some(_claim) = self.books.begin(&claim_name(&id)) else { continue };
            if let Some(intent) = self.intent_by_id(&id).await?
                && let Err(error) = self.settle_intent(intent, &cloud, &mut report).await
            {
                report.problems.push(format!("{id}: {error}"));
            }
        }
        let open: BTreeSet<LeaseId> = self
            .store
            .keys("open-lease/")
            .await?
            .iter()
            .flat_map(|marker| LeaseId::parse(marker.name()))
            .collect();
        for id in &open {
            if let Err(error) = self.settle_lease(id, &running, &mut report).await {
                report.problems.push(format!("{id}: {error}"));
            }
        }
        self.note_orphans(&cloud, &running, listed_at, &mut report).await?;
        for marker in self.store.keys("open-orphan/").await? {
            if let Err(error) = self.end_orphan(marker.name(), &mut report).await {
                report.problems.push(format!("{}: {error}", marker.name()));
            }
        }
        // A lease that had its mark after the holds were read has its hold by right, or has just given it back.
        self.drop_lost_holds(held.into_iter().filter(|lease| !open.contains(lease))).await?;
        self.drop_ended_strays(strays).await?;
        self.warn_of_budgets().await?;
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
                let answer = port.list_owned(&self.settings.owner, page.take()).await;
                self.pulse.called(id, "list_owned", answer.as_ref().err(), self.environment.now());
                match answer {
                    Ok(answer) => {
                        instances.extend(answer.instances);
                        if !answer.complete {
                            report.problems.push(format!("{id}: its list of instances is not complete"));
                        }
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
            let live = instances.iter().filter(|state| state.phase.is_live());
            let live = live.map(|state| state.handle.clone()).collect();
            cloud.insert(id.clone(), Listed { instances, live });
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
        let change = self.activation(&mut lease, &mut intent, found, "adopted").await?;
        self.store.commit_even_unaudited(change).await?;
        self.books.end_stray(&intent.spec.intent);
        self.keep_hold(&lease);
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
        let is_live = |handle: &InstanceHandle| listed.is_some_and(|listed| listed.live.contains(handle));
        let all_live =
            intent.instances.iter().all(|instance| instance.is_known_to_run() && is_live(&instance.handle));
        if all_live || listed.is_none() {
            return Ok(intent);
        }
        let before = intent.clone();
        let port = self.provider(&intent.spec.offer.provider)?.clone();
        let missing = self.refresh(port.as_ref(), &mut intent).await;
        self.note_missing(port.as_ref(), &mut intent.instances, &missing);
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

    async fn settle_lease(
        &self,
        id: &LeaseId,
        running: &Running,
        report: &mut Reconciled,
    ) -> Result<(), HpcError> {
        let lease = self.lease_by_id(id).await?;
        let now = self.environment.now();
        let is_over = lease.ends_at.is_some_and(|end| end <= now);
        if lease.state == LeaseState::Active
            && !is_over
            && running.cost(&lease, now).is_some_and(|cost| !cost.exceeds(lease.hold))
        {
            return self.hold_as_recorded(&lease).await;
        }
        if self.books.is_begun(&format!("plan/{}", lease.plan)) {
            return Ok(());
        }
        // Read again: no apply writes it any more, and what was read before may be older than its last word.
        let lease = self.lease_by_id(id).await?;
        let now = self.environment.now();
        let ended = match lease.state {
            LeaseState::Pending if self.has_open_intents(&lease).await? => {
                report.pending += 1;
                return Ok(());
            }
            LeaseState::Pending => {
                // Only a restart leaves a lease like this: the apply that worked on it is gone.
                let Some(_begun) = self.books.begin(&format!("lease/{id}")) else { return Ok(()) };
                self.fail_lease(lease, EndReason::Interrupted).await?
            }
            LeaseState::Releasing => {
                let reason = lease.end_reason.unwrap_or(EndReason::Asked);
                self.end_lease(id, reason, None).await?.0
            }
            LeaseState::Active | LeaseState::Draining if lease.ends_at.is_some_and(|end| end <= now) => {
                self.end_lease(id, EndReason::Expired, None).await?.0
            }
            LeaseState::Draining if lease.drain.is_some_and(|drain| drain.until <= now) => {
                self.end_lease(id, EndReason::Drained, None).await?.0
            }
            LeaseState::Active | LeaseState::Draining if !self.has_kept_intents(&lease).await? => {
                self.end_lease(id, EndReason::Reclaimed, None).await?.0
            }
            LeaseState::Active | LeaseState::Draining => {
                if self.lease_cost(&lease).await?.exceeds(lease.hold) {
                    self.end_lease(id, EndReason::HardStop, None).await?.0
                } else {
                    return self.hold_as_recorded(&lease).await;
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
            let answer = port.interruptions(cursor.clone()).await;
            self.pulse.called(id, "interruptions", answer.as_ref().err(), self.environment.now());
            match answer {
                Ok(page) => {
                    if page.events.is_empty() && cursor.as_deref() == Some(page.cursor.as_str()) {
                        continue;
                    }
                    let simulated = port.describe().simulated;
                    for events in page.events.chunks(EVENTS_PER_COMMIT) {
                        let change = events.iter().fold(Change::new(), |change, event| {
                            change.say(self.interruption(event, simulated))
                        });
                        self.store.commit_even_unaudited(change).await?;
                    }
                    // The cursor moves on after the events are kept: at least once, never lost.
                    self.store.commit_even_unaudited(Change::new().put(place, &page.cursor)?).await?;
                    report.interruptions += page.events.len();
                }
                Err(error) => report.problems.push(format!("{id}: {error}")),
            }
        }
        Ok(())
    }

    fn interruption(&self, event: &Interruption, simulated: bool) -> Entry {
        let kind = crate::text(&event.kind);
        let id = format!("{}.{kind}.{}", safe_name(&event.handle), event.seen_at.as_millisecond());
        let action = format!("instance.{kind}");
        let mut entry = self.scribe.entry(id, self.environment.now(), "system", &action, Outcome::Ok);
        entry.simulated = simulated;
        entry.subjects.insert("instance".to_owned(), safe_name(&event.handle));
        say(&mut entry, "provider", event.handle.provider.as_str());
        say(&mut entry, "deadline", &event.deadline.to_string());
        entry
    }

    /// Puts every instance on the books that carries our owner tag and that nothing explains: before it is ended, so
    /// that a crash loses neither the instance nor its cost.
    async fn note_orphans(
        &self,
        cloud: &Cloud,
        running: &Running,
        listed_at: Timestamp,
        report: &mut Reconciled,
    ) -> Result<(), HpcError> {
        for (provider, listed) in cloud {
            let Ok(port) = self.provider(provider) else { continue };
            let settling_s = self.settling_s(port.as_ref());
            let unknown = |state: &&InstanceState| !running.handles.contains(&state.handle);
            for state in listed.instances.iter().filter(|state| state.phase.is_live()).filter(unknown) {
                let age_s = listed_at.duration_since(state.launched_at).as_secs();
                if age_s < i64::from(self.settings.reaper_grace_s) {
                    continue;
                }
                match self.explained(state, listed_at, settling_s).await? {
                    Explained::Yes => {}
                    Explained::Not { paid_to } => {
                        let simulated = port.describe().simulated;
                        if let Err(error) = self.note_orphan(state, paid_to, simulated).await {
                            report.problems.push(format!("{}: {error}", state.handle.id));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn note_orphan(
        &self,
        state: &InstanceState,
        paid_to: Option<Timestamp>,
        simulated: bool,
    ) -> Result<(), HpcError> {
        let name = safe_name(&state.handle);
        let place = key("orphan", &name)?;
        if self
            .store
            .read::<OrphanRecord>(&place)
            .await?
            .is_some_and(|(orphan, _)| orphan.instance.to.is_none())
        {
            return Ok(());
        }
        let price = match state.price {
            Some(price) => price,
            None => self.agreed_price(state).await?,
        };
        let mut instance = instance_record(state, price);
        instance.to = None;
        instance.from = paid_to.map_or(instance.from, |to| to.max(instance.from));
        let now = self.environment.now();
        let id = format!("{name}.found.{}", now.as_millisecond());
        let mut entry = self.scribe.entry(id, now, "system", "orphan.found", Outcome::Ok);
        entry.simulated = simulated;
        entry.subjects.insert("instance".to_owned(), name.clone());
        say(&mut entry, "provider", state.handle.provider.as_str());
        let record = OrphanRecord { instance, intent: state.tags.get(TAG_INTENT).cloned() };
        let change = Change::new().put(place, &record)?.mark(key("open-orphan", &name)?).say(entry);
        self.store.commit_even_unaudited(change).await?;
        Ok(())
    }

    /// What an instance costs whose provider does not say: what its intent agreed to.
    async fn agreed_price(&self, state: &InstanceState) -> Result<PerInstanceHour, HpcError> {
        let id = state.tags.get(TAG_INTENT).and_then(|text| IntentId::parse(text.clone()).ok());
        let intent = match id {
            Some(id) => self.intent_by_id(&id).await?,
            None => None,
        };
        // Nothing says what it costs; the entry in the log names the instance.
        Ok(intent.map_or(PerInstanceHour(Money::ZERO_USD), |intent| intent.spec.price))
    }

    /// Ends an orphan that is on the books, and keeps what it cost.
    async fn end_orphan(&self, name: &str, report: &mut Reconciled) -> Result<(), HpcError> {
        let place = key("orphan", name)?;
        let Some((mut orphan, _)) = self.store.read::<OrphanRecord>(&place).await? else { return Ok(()) };
        let handle = orphan.instance.handle.clone();
        let port = self.provider(&handle.provider)?.clone();
        drop(port.release(&handle).await);
        match port.observe(&Observe::Handles(vec![handle.clone()])).await {
            Ok(states) => match states.iter().find(|state| state.handle == handle) {
                Some(state) => {
                    orphan.instance.missing_since = None;
                    orphan.instance.to = state.ended_at.filter(|_| state.phase == InstancePhase::Terminated);
                }
                None => {
                    self.note_missing(port.as_ref(), std::slice::from_mut(&mut orphan.instance), &[handle])
                }
            },
            Err(error) => report.problems.push(format!("{}: {error}", handle.id)),
        }
        let mut change = Change::new();
        if orphan.instance.to.is_some() {
            let now = self.environment.now();
            let id = format!("{name}.reaped.{}", now.as_millisecond());
            let mut entry = self.scribe.entry(id, now, "system", "orphan.reaped", Outcome::Ok);
            entry.simulated = port.describe().simulated;
            entry.subjects.insert("instance".to_owned(), name.to_owned());
            say(&mut entry, "provider", orphan.instance.handle.provider.as_str());
            say(&mut entry, "cost", &orphan.instance.cost(now).map_err(fail::money)?.to_string());
            change = change.delete(key("open-orphan", name)?).say(entry);
            report.reaped += 1;
        } else {
            report.pending += 1;
        }
        self.store.commit_even_unaudited(change.put(place, &orphan)?).await?;
        Ok(())
    }

    /// Whether an intent accounts for the instance: one that is still open, or one that has just ended it and paid for it.
    /// An intent that ended it a while ago is wrong: it lives.
    async fn explained(
        &self,
        state: &InstanceState,
        listed_at: Timestamp,
        settling_s: i64,
    ) -> Result<Explained, HpcError> {
        let Some(id) = state.tags.get(TAG_INTENT).and_then(|text| IntentId::parse(text.clone()).ok()) else {
            return Ok(Explained::Not { paid_to: None });
        };
        if self.books.is_begun(&claim_name(&id)) {
            return Ok(Explained::Yes);
        }
        let Some(intent) = self.intent_by_id(&id).await? else { return Ok(Explained::Not { paid_to: None }) };
        if !intent.state.is_final() {
            return Ok(Explained::Yes);
        }
        let known = intent.instances.iter().find(|instance| instance.handle == state.handle);
        Ok(match known.map(|instance| instance.to) {
            Some(Some(to)) if listed_at.duration_since(to).as_secs() >= settling_s => {
                Explained::Not { paid_to: Some(to) }
            }
            Some(_) => Explained::Yes,
            None => Explained::Not { paid_to: None },
        })
    }

    /// Gives back holds whose lease the ledger does not have, or has ended: a commit that failed, or whose answer was lost.
    async fn drop_lost_holds(&self, held: impl Iterator<Item = LeaseId>) -> Result<(), HpcError> {
        for lease in held {
            let marked = self.store.has(&key("open-lease", lease.as_str())?).await?;
            if !marked && !self.books.is_begun(&format!("lease/{lease}")) {
                // What it cost counts before what was held for it is given back: never neither.
                for payer in self.books.paid_by(&lease) {
                    self.recall_account(&payer).await?;
                }
                self.books.end_hold(&lease);
            }
        }
        Ok(())
    }
}

/// Whether the ledger accounts for an instance.
enum Explained {
    /// It does.
    Yes,
    /// It does not; what it cost up to `paid_to` is on the books already.
    Not { paid_to: Option<Timestamp> },
}

/// A provider's name for an instance, fit for a key and for the audit log; a hash if its own text is not.
fn safe_name(handle: &InstanceHandle) -> String {
    let name = format!("{}.{}", handle.provider, handle.id);
    let fits = name.len() <= 128
        && handle.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits { name } else { format!("{}.{}", handle.provider, blake3::hash(handle.id.as_bytes()).to_hex()) }
}
