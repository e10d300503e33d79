//! What exists in the simulated clouds, and the only changes it can undergo.
//!
//! Every effect is a list of [`Change`]s, decided first, made durable, then applied: what is read back after a crash is
//! what was answered before it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use hpc_provider::{
    InstanceHandle, InstancePhase, InstanceState, Interruption, TAG_INTENT, TAG_LEASE, TAG_OWNER,
};
use hpc_resources::{
    InstanceType, Money, OfferKey, OfferKind, PerInstanceHour, ProviderId, QuotaCost, QuotaFamily, Region,
    ZoneId,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::script::Notice;

/// Ended instances that are kept; older ones are forgotten, and only counted and summed up.
pub const ENDED_KEPT_MAX: usize = 20_000;
/// Interruptions that are kept for each provider; older ones are forgotten.
pub const INTERRUPTIONS_KEPT_MAX: usize = 10_000;
/// Tags that can be looked up without a scan.
const TAGS_INDEXED: [&str; 3] = [TAG_OWNER, TAG_INTENT, TAG_LEASE];
/// How long after a reclaim a late notice comes, in seconds.
const LATE_S: i64 = 60;
/// How long before a reclaim it is announced, in seconds.
const NOTICE_S: i64 = 120;

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) number: u64,
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) key: OfferKey,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) price: PerInstanceHour,
    pub(crate) quota: Option<QuotaCost>,
    /// Whole seconds, as `ended_at`: billing has no fractions to round.
    pub(crate) launched_at: Timestamp,
    pub(crate) running_at: Timestamp,
    pub(crate) visible_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) gone_at: Option<Timestamp>,
    pub(crate) reclaimed: bool,
    pub(crate) doom: Option<Doom>,
}

/// A reclaim that is coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Doom {
    pub(crate) notice_at: Timestamp,
    pub(crate) at: Timestamp,
    pub(crate) notice: Notice,
}

/// What the clock will do to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Announce the reclaim.
    Announce,
    /// Announce it again.
    AnnounceAgain,
    /// Take the instance.
    Take,
    /// Announce the reclaim after it happened.
    AnnounceLate,
    /// The instance has stopped.
    Gone,
}

/// One change. A list of them is one record of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    Clock { to: Timestamp },
    Calls { so_far: u64 },
    Created(Box<Instance>),
    Token { key: String, parameters: String, numbers: Vec<u64> },
    Ended { number: u64, at: Timestamp, gone_at: Timestamp, reclaimed: bool },
    Doomed { number: u64, doom: Doom },
    Gone { number: u64 },
    Said(Interruption),
    Fired { rule: String },
}

/// A token that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Used {
    pub(crate) parameters: String,
    pub(crate) numbers: Vec<u64>,
}

/// The interruptions of one provider; `base` is the number of the first one kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Log {
    pub(crate) base: u64,
    pub(crate) events: VecDeque<Interruption>,
}

/// What was forgotten: how many ended instances, and what they cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Ended instances that are no longer kept.
    pub instances: u64,
    /// What they cost in all.
    pub amount: Money,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) seed: u64,
    pub(crate) start: Timestamp,
    pub(crate) clock: Timestamp,
    pub(crate) calls: u64,
    pub(crate) next_number: u64,
    pub(crate) instances: BTreeMap<u64, Instance>,
    pub(crate) tokens: BTreeMap<String, Used>,
    pub(crate) logs: BTreeMap<ProviderId, Log>,
    pub(crate) fired: BTreeMap<String, u32>,
    pub(crate) forgotten: Forgotten,
    #[serde(skip)]
    index: Index,
}

/// What can be computed from the instances; never written down.
#[derive(Clone, Debug, Default)]
struct Index {
    by_id: HashMap<String, u64>,
    by_tag: HashMap<(String, String), BTreeSet<u64>>,
    listed: HashMap<ProviderId, BTreeSet<u64>>,
    live: BTreeMap<OfferKey, BTreeSet<u64>>,
    quota: HashMap<(ProviderId, Region, QuotaFamily), u64>,
    ended: BTreeSet<(Timestamp, u64)>,
    schedule: BTreeSet<(Timestamp, u64, Step)>,
}

impl State {
    pub(crate) fn new(seed: u64, start: Timestamp) -> Self {
        Self {
            seed,
            start,
            clock: start,
            calls: 0,
            next_number: 0,
            instances: BTreeMap::new(),
            tokens: BTreeMap::new(),
            logs: BTreeMap::new(),
            fired: BTreeMap::new(),
            forgotten: Forgotten { instances: 0, amount: Money::ZERO_USD },
            index: Index::default(),
        }
    }

    /// Rebuilds what is not written down.
    pub(crate) fn reindex(&mut self) {
        let mut index = Index::default();
        for instance in self.instances.values() {
            index.add(instance, self.clock);
        }
        // What is due by now was carried out before the clock was written.
        index.schedule.retain(|(at, _, _)| *at > self.clock);
        self.index = index;
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Clock { to } => self.clock = self.clock.max(to),
            Change::Calls { so_far } => self.calls = self.calls.max(so_far),
            Change::Created(instance) => {
                self.next_number = self.next_number.max(instance.number + 1);
                self.index.add(&instance, self.clock);
                self.instances.insert(instance.number, *instance);
            }
            Change::Token { key, parameters, numbers } => {
                self.tokens.insert(key, Used { parameters, numbers });
            }
            Change::Ended { number, at, gone_at, reclaimed } => {
                if let Some(instance) = self.instances.get_mut(&number).filter(|i| i.ended_at.is_none()) {
                    instance.ended_at = Some(at);
                    instance.gone_at = Some(gone_at);
                    instance.reclaimed = reclaimed;
                    self.index.end(instance, gone_at > self.clock);
                }
                self.forget();
            }
            Change::Doomed { number, doom } => {
                if let Some(instance) = self.instances.get_mut(&number) {
                    instance.doom = Some(doom);
                    self.index.schedule.extend(doom.steps(number));
                }
            }
            Change::Gone { number } => {
                if let Some(instance) = self.instances.get(&number) {
                    self.index.unlist(instance);
                }
            }
            Change::Said(event) => {
                let log = self.logs.entry(event.handle.provider.clone()).or_default();
                log.events.push_back(event);
                if log.events.len() > INTERRUPTIONS_KEPT_MAX {
                    log.events.pop_front();
                    log.base += 1;
                }
            }
            Change::Fired { rule } => *self.fired.entry(rule).or_default() += 1,
        }
    }

    /// Drops the instances that ended longest ago, with their tokens.
    fn forget(&mut self) {
        while self.index.ended.len() > ENDED_KEPT_MAX {
            let Some((_, number)) = self.index.ended.pop_first() else { return };
            let Some(instance) = self.instances.remove(&number) else { continue };
            self.index.remove(&instance);
            if let Some(used) = self.tokens.get_mut(&instance.token) {
                used.numbers.retain(|have| *have != number);
                if used.numbers.is_empty() {
                    self.tokens.remove(&instance.token);
                }
            }
            self.forgotten.instances += 1;
            let sum = self.forgotten.amount.checked_add(instance.cost(self.clock));
            self.forgotten.amount = sum.unwrap_or(self.forgotten.amount);
        }
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Instance> {
        self.instances.get(self.index.by_id.get(id)?)
    }

    /// The first thing that the clock will do up to `to`.
    pub(crate) fn due(&self, to: Timestamp) -> Option<(Timestamp, u64, Step)> {
        self.index.schedule.first().copied().filter(|(at, _, _)| *at <= to)
    }

    pub(crate) fn drop_due(&mut self) {
        self.index.schedule.pop_first();
    }

    /// Instances of one offer that have not ended, oldest first.
    pub(crate) fn live(&self, key: &OfferKey) -> impl DoubleEndedIterator<Item = &Instance> {
        let numbers = self.index.live.get(key);
        numbers.into_iter().flatten().filter_map(|number| self.instances.get(number))
    }

    pub(crate) fn live_count(&self, key: &OfferKey) -> u64 {
        self.index.live.get(key).map_or(0, |numbers| u64::try_from(numbers.len()).unwrap_or(u64::MAX))
    }

    pub(crate) fn live_keys(&self) -> impl Iterator<Item = &OfferKey> {
        self.index.live.keys()
    }

    pub(crate) fn live_total(&self) -> usize {
        self.instances.len() - self.index.ended.len()
    }

    pub(crate) fn quota_used(&self, provider: &ProviderId, region: &Region, family: &QuotaFamily) -> u64 {
        let key = (provider.clone(), region.clone(), family.clone());
        self.index.quota.get(&key).copied().unwrap_or(0)
    }

    /// Instances of `provider` that have not stopped, from `number` on.
    pub(crate) fn listed(&self, provider: &ProviderId, from: u64) -> impl Iterator<Item = &Instance> {
        let numbers = self.index.listed.get(provider);
        numbers.into_iter().flat_map(move |all| all.range(from..)).filter_map(|n| self.instances.get(n))
    }

    /// Instances with a tag, ended ones included.
    pub(crate) fn tagged<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
    ) -> Box<dyn Iterator<Item = &'a Instance> + 'a> {
        if TAGS_INDEXED.contains(&key) {
            let numbers = self.index.by_tag.get(&(key.to_owned(), value.to_owned()));
            return Box::new(numbers.into_iter().flatten().filter_map(|number| self.instances.get(number)));
        }
        let has = move |instance: &&Instance| instance.tags.get(key).is_some_and(|have| have == value);
        Box::new(self.instances.values().filter(has))
    }
}

impl Index {
    fn add(&mut self, instance: &Instance, now: Timestamp) {
        let number = instance.number;
        self.by_id.insert(instance.id.clone(), number);
        for (key, value) in instance.indexed_tags() {
            self.by_tag.entry((key.to_owned(), value.to_owned())).or_default().insert(number);
        }
        self.listed.entry(instance.key.provider.clone()).or_default().insert(number);
        self.live.entry(instance.key.clone()).or_default().insert(number);
        if let Some((key, units)) = instance.quota_key() {
            *self.quota.entry(key).or_default() += units;
        }
        if let Some(doom) = instance.doom {
            self.schedule.extend(doom.steps(number));
        }
        if let Some(gone_at) = instance.gone_at {
            self.end(instance, gone_at > now);
        }
    }

    /// `stopping`: it is still listed until its last step.
    fn end(&mut self, instance: &Instance, stopping: bool) {
        let number = instance.number;
        if let Some(numbers) = self.live.get_mut(&instance.key) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.live.remove(&instance.key);
            }
        }
        if let Some((key, units)) = instance.quota_key()
            && let Some(used) = self.quota.get_mut(&key)
        {
            *used = used.saturating_sub(units);
        }
        self.ended.insert((instance.ended_at.unwrap_or(instance.launched_at), number));
        match instance.gone_at {
            Some(at) if stopping => drop(self.schedule.insert((at, number, Step::Gone))),
            _ => self.unlist(instance),
        }
    }

    fn unlist(&mut self, instance: &Instance) {
        if let Some(numbers) = self.listed.get_mut(&instance.key.provider) {
            numbers.remove(&instance.number);
        }
    }

    fn remove(&mut self, instance: &Instance) {
        self.unlist(instance);
        self.by_id.remove(&instance.id);
        for (key, value) in instance.indexed_tags() {
            let key = (key.to_owned(), value.to_owned());
            if let Some(numbers) = self.by_tag.get_mut(&key) {
                numbers.remove(&instance.number);
                if numbers.is_empty() {
                    self.by_tag.remove(&key);
                }
            }
        }
    }
}

impl Instance {
    fn indexed_tags(&self) -> impl Iterator<Item = (&str, &str)> {
        TAGS_INDEXED.into_iter().filter_map(|key| Some((key, self.tags.get(key)?.as_str())))
    }

    fn quota_key(&self) -> Option<((ProviderId, Region, QuotaFamily), u64)> {
        let cost = self.quota.as_ref()?;
        let key = (self.key.provider.clone(), self.key.region.clone(), cost.family.clone());
        Some((key, cost.units_per_instance))
    }

    pub(crate) fn phase(&self, now: Timestamp) -> InstancePhase {
        match (self.ended_at, self.gone_at) {
            (Some(_), Some(gone_at)) if now < gone_at => InstancePhase::Stopping,
            (Some(_), _) => InstancePhase::Terminated,
            (None, _) if now < self.running_at => InstancePhase::Pending,
            (None, _) => InstancePhase::Running,
        }
    }

    pub(crate) fn handle(&self) -> InstanceHandle {
        InstanceHandle {
            provider: self.key.provider.clone(),
            region: self.key.region.clone(),
            id: self.id.clone(),
        }
    }

    pub(crate) fn to_state(&self, now: Timestamp) -> InstanceState {
        InstanceState {
            handle: self.handle(),
            phase: self.phase(now),
            zone: self.key.zone.clone(),
            instance_type: self.key.instance_type.clone(),
            kind: self.key.kind,
            price: Some(self.price),
            tags: self.tags.clone(),
            launched_at: self.launched_at,
            ended_at: self.ended_at,
            reclaimed: self.reclaimed,
        }
    }

    /// What it costs until its end, or until `now`: whole seconds, rounded half to even at one nano-unit.
    pub(crate) fn cost(&self, now: Timestamp) -> Money {
        let until = self.ended_at.unwrap_or(whole_second(now));
        let seconds = u64::try_from(until.as_second() - self.launched_at.as_second()).unwrap_or(0);
        let most = Money::from_nanos(i64::MAX, self.price.0.currency());
        self.price.cost_half_even(1, seconds).unwrap_or(most)
    }
}

impl Doom {
    /// A reclaim in `after_s` seconds, at least one; announced two minutes before, or as early as is left.
    pub(crate) fn new(now: Timestamp, after_s: u32, notice: Notice) -> Self {
        let at = later(now, i64::from(after_s.max(1)));
        let notice_at = later(at, -NOTICE_S).max(later(now, 0)).min(at);
        Self { notice_at, at, notice }
    }

    /// A reclaim of what no longer fits: two minutes from now if it is announced, at once if not.
    pub(crate) fn squeezed(now: Timestamp, notice: Notice) -> Self {
        let announced = matches!(notice, Notice::Before | Notice::Twice);
        Self { notice_at: now, at: if announced { later(now, NOTICE_S) } else { now }, notice }
    }

    fn steps(self, number: u64) -> impl Iterator<Item = (Timestamp, u64, Step)> {
        let announced = matches!(self.notice, Notice::Before | Notice::Twice);
        [
            announced.then_some((self.notice_at, number, Step::Announce)),
            (self.notice == Notice::Twice).then_some((self.notice_at, number, Step::AnnounceAgain)),
            Some((self.at, number, Step::Take)),
            (self.notice == Notice::Late).then_some((later(self.at, LATE_S), number, Step::AnnounceLate)),
        ]
        .into_iter()
        .flatten()
    }
}

/// `seconds` after `at`; the end of time stays the end of time.
pub(crate) fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(at)
}

/// The second that `at` is in.
pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    let second = at.as_second() - i64::from(at.subsec_nanosecond() < 0);
    Timestamp::from_second(second).unwrap_or(at)
}

/// The identity of an offer, put together.
pub(crate) fn offer_key(
    provider: &ProviderId,
    region: &Region,
    zone: &ZoneId,
    instance_type: &InstanceType,
    kind: OfferKind,
) -> OfferKey {
    OfferKey {
        provider: provider.clone(),
        region: region.clone(),
        zone: zone.clone(),
        instance_type: instance_type.clone(),
        kind,
        reservation: None,
    }
}
