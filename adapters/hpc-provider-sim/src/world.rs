//! The world: the clouds, their shared virtual clock, and the truth about what exists.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpc_provider::{
    BillLine, CapacityProvider, InstanceHandle, InstanceState, Interruption, InterruptionKind,
};
use hpc_resources::{OfferKey, OfferKind, ProviderId};
use jiff::{SignedDuration, Timestamp};

use crate::catalog::{self, CatalogReport};
use crate::cloud::Cloud;
use crate::config::{CONSISTENCY_MS_MAX, Persistence, RACKS_MAX, SimConfig};
use crate::error::SimError;
use crate::gate::{Bucket, rule_keys};
use crate::provider::SimProvider;
use crate::script::{Notice, Rule, Script, Seen};
use crate::state::{Change, Doom, Forgotten, State, Step};
use crate::store::Store;

/// Most rules that can be added to a running world.
pub const ADDED_RULES_MAX: usize = 256;

/// Three simulated clouds on one virtual clock. A handle: clones are the same world.
///
/// The clock moves only by [`SimWorld::advance`] and [`SimWorld::advance_to`]. With [`Persistence::File`] every create
/// and release is on disk before it is answered; the disk is written within the call.
#[derive(Clone, Debug)]
pub struct SimWorld {
    inner: Arc<Mutex<Inner>>,
    clouds: Vec<Arc<Cloud>>,
}

/// What is behind the lock.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) state: State,
    pub(crate) script: Script,
    /// What the rules' counts are kept under.
    pub(crate) rule_keys: Vec<String>,
    pub(crate) buckets: HashMap<ProviderId, Bucket>,
    pub(crate) stop_delay_ms: u64,
    store: Option<Store>,
}

impl SimWorld {
    /// Opens a world: a fresh one, or the one that is in the file.
    ///
    /// # Errors
    /// [`SimError`]: a catalog without columns or rows, a script past its limits, a file that is damaged, in use,
    /// unreadable, or of another seed.
    pub fn open(config: SimConfig) -> Result<Self, SimError> {
        config.script.check()?;
        if config.racks.len() > RACKS_MAX || config.consistency_ms > CONSISTENCY_MS_MAX {
            let what = format!("at most {RACKS_MAX} racks and a consistency lag of {CONSISTENCY_MS_MAX} ms");
            return Err(SimError::Script { what });
        }
        let clouds = vec![
            Arc::new(Cloud::aws(config.catalog.load_aws()?, config.consistency_ms)?),
            Arc::new(Cloud::gcp(catalog::builtin("sim-gcp")?, config.consistency_ms)?),
            Arc::new(Cloud::rack(&config.racks)?),
        ];
        clouds.iter().try_for_each(|cloud| cloud.check_reservations(&config.script.reservations))?;
        let known =
            |rule: &crate::script::ReservationRule| clouds.iter().any(|cloud| cloud.id == rule.provider);
        if let Some(rule) = config.script.reservations.iter().find(|rule| !known(rule)) {
            let what =
                format!("the reservation `{}` is of `{}`, which is no cloud here", rule.id, rule.provider);
            return Err(SimError::Script { what });
        }
        let fresh = State::new(config.seed, config.start);
        let (store, state) = match &config.persistence {
            Persistence::Memory => (None, fresh),
            Persistence::File(path) => {
                let (store, state) = Store::open(path, fresh)?;
                if state.seed != config.seed {
                    let (file_seed, asked) = (state.seed, config.seed);
                    return Err(SimError::Seed { path: path.clone(), file_seed, asked });
                }
                (Some(store), state)
            }
        };
        let inner = Inner {
            state,
            rule_keys: rule_keys(&config.script.rules),
            script: config.script,
            buckets: HashMap::new(),
            stop_delay_ms: config.stop_delay_ms,
            store,
        };
        Ok(Self { inner: Arc::new(Mutex::new(inner)), clouds })
    }

    /// The virtual clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.lock().state.clock
    }

    /// Moves the clock on and carries out what is due. A time that has passed changes nothing.
    ///
    /// # Errors
    /// [`SimError::Io`] when the world is kept in a file that cannot be written.
    pub fn advance_to(&self, to: Timestamp) -> Result<Timestamp, SimError> {
        self.lock().advance_to(to)
    }

    /// Moves the clock on by `by`.
    ///
    /// # Errors
    /// As [`SimWorld::advance_to`].
    pub fn advance(&self, by: std::time::Duration) -> Result<Timestamp, SimError> {
        let mut inner = self.lock();
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        let to = inner.state.clock.saturating_add(by).unwrap_or(inner.state.clock);
        inner.advance_to(to)
    }

    /// The clouds as ports: `sim-aws`, `sim-gcp`, `sim-rack`.
    #[must_use]
    pub fn providers(&self) -> Vec<Arc<dyn CapacityProvider>> {
        self.sims().map(|sim| Arc::new(sim) as Arc<dyn CapacityProvider>).collect()
    }

    /// One cloud by its id, for example `sim-aws`.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<Arc<SimProvider>> {
        self.sims().find(|sim| sim.id().as_str() == id).map(Arc::new)
    }

    fn sims(&self) -> impl Iterator<Item = SimProvider> + '_ {
        self.clouds.iter().map(|cloud| SimProvider::new(self.clone(), Arc::clone(cloud)))
    }

    /// The bill of all clouds, kept apart from any ledger: one line for each instance, oldest first.
    ///
    /// An instance is billed from its creation to its release or reclaim, by the whole second: both instants are the
    /// second of the virtual clock that they fall in, so nothing is left to round but the money, half to even.
    #[must_use]
    pub fn bill(&self) -> Vec<BillLine> {
        self.lock().bill(None)
    }

    /// Every instance that exists and may cost money, lag or no lag: the truth that tests compare with.
    #[must_use]
    pub fn live_instances(&self) -> Vec<InstanceState> {
        self.instances().into_iter().filter(|instance| instance.phase.is_live()).collect()
    }

    /// Every instance that is still known, ended ones included.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceState> {
        let inner = self.lock();
        inner.state.instances.values().map(|instance| instance.to_state(inner.state.clock)).collect()
    }

    /// What the limits on ended instances have dropped.
    #[must_use]
    pub fn forgotten(&self) -> Forgotten {
        self.lock().state.forgotten.clone()
    }

    /// What became of the rows of each cloud's catalog.
    #[must_use]
    pub fn catalog_report(&self) -> Vec<(ProviderId, CatalogReport)> {
        self.clouds.iter().map(|cloud| (cloud.id.clone(), cloud.report.clone())).collect()
    }

    /// Has an instance reclaimed in `after_s` seconds (at least one). `false` when there is none such, or its end is
    /// certain already.
    ///
    /// # Errors
    /// As [`SimWorld::advance_to`].
    pub fn reclaim(&self, handle: &InstanceHandle, after_s: u32, notice: Notice) -> Result<bool, SimError> {
        let mut inner = self.lock();
        let instance = inner.state.by_id(&handle.id).filter(|i| i.ended_at.is_none() && i.doom.is_none());
        let Some(number) = instance.map(|instance| instance.number) else { return Ok(false) };
        let doom = Doom::new(inner.state.clock, after_s, notice);
        inner.commit(vec![Change::Doomed { number, doom }])?;
        Ok(true)
    }

    /// Adds a rule to the running world, before all others. It is not kept in the file.
    ///
    /// # Errors
    /// [`SimError::Script`] when there are [`ADDED_RULES_MAX`] rules more than scripts may have.
    pub fn add_rule(&self, rule: Rule) -> Result<(), SimError> {
        let mut inner = self.lock();
        if inner.script.rules.len() >= crate::script::RULES_MAX + ADDED_RULES_MAX {
            return Err(SimError::Script { what: "too many rules; open a new world".to_owned() });
        }
        inner.script.rules.insert(0, rule.clone());
        // The key differs from that of every rule before, so that its count starts at zero.
        let number = inner.rule_keys.len();
        let key = format!("added-{number}-{}", rule_keys(&[rule]).concat());
        inner.rule_keys.insert(0, key);
        Ok(())
    }

    /// Changes a quota of the running world. It is not kept in the file.
    ///
    /// # Errors
    /// [`SimError::Script`] when there are too many.
    pub fn set_quota(&self, rule: crate::script::QuotaRule) -> Result<(), SimError> {
        let mut inner = self.lock();
        if inner.script.quotas.len() >= crate::script::RULES_MAX + ADDED_RULES_MAX {
            return Err(SimError::Script { what: "too many quotas; open a new world".to_owned() });
        }
        inner.script.quotas.push(rule);
        Ok(())
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere cannot leave the state half changed in a way that matters: changes are applied one by one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Makes changes durable, then applies them.
    pub(crate) fn commit(&mut self, changes: Vec<Change>) -> Result<(), SimError> {
        if let Some(store) = &mut self.store {
            store.append(&changes, true)?;
        }
        for change in changes {
            self.state.apply(change);
        }
        self.fold_if_long()
    }

    fn fold_if_long(&mut self) -> Result<(), SimError> {
        match &mut self.store {
            Some(store) if store.wants_snapshot() => store.fold(&self.state),
            _ => Ok(()),
        }
    }

    /// Carries out what is due, in the order of time. The record of it is written once, and not synced: after a power cut
    /// the clock may be earlier than it was, and the same things become due again.
    fn advance_to(&mut self, to: Timestamp) -> Result<Timestamp, SimError> {
        if to <= self.state.clock {
            return Ok(self.state.clock);
        }
        let mut done: Vec<Change> = Vec::new();
        loop {
            let step = self.state.due(to);
            let until = step.map_or(to, |(at, _, _)| at);
            if let Some((at, dooms)) = self.first_squeeze(until) {
                self.play(&mut done, Change::Clock { to: at });
                for change in dooms {
                    self.play(&mut done, change);
                }
                continue;
            }
            let Some((at, number, step)) = step else { break };
            self.state.drop_due();
            self.play(&mut done, Change::Clock { to: at });
            for change in self.carry_out(at, number, step) {
                self.play(&mut done, change);
            }
        }
        self.play(&mut done, Change::Clock { to });
        if let Some(store) = &mut self.store {
            store.append(&done, false)?;
        }
        self.fold_if_long()?;
        Ok(self.state.clock)
    }

    fn play(&mut self, done: &mut Vec<Change>, change: Change) {
        done.push(change.clone());
        self.state.apply(change);
    }

    fn carry_out(&self, at: Timestamp, number: u64, step: Step) -> Vec<Change> {
        let Some(instance) = self.state.instances.get(&number) else { return Vec::new() };
        let Some(doom) = instance.doom else {
            return if step == Step::Gone { vec![Change::Gone { number }] } else { Vec::new() };
        };
        let said = |kind| {
            Change::Said(Interruption { handle: instance.handle(), kind, deadline: doom.at, seen_at: at })
        };
        let alive = instance.ended_at.is_none();
        match step {
            Step::Gone => vec![Change::Gone { number }],
            Step::Announce | Step::AnnounceAgain if alive => vec![said(InterruptionKind::Notice)],
            Step::Take if alive => {
                let ended = crate::state::whole_second(at).max(instance.launched_at);
                let mut changes = vec![Change::Ended { number, at: ended, gone_at: at, reclaimed: true }];
                if matches!(doom.notice, Notice::Before | Notice::Twice) {
                    changes.push(said(InterruptionKind::Reclaimed));
                }
                changes
            }
            Step::AnnounceLate => vec![said(InterruptionKind::Notice)],
            Step::Announce | Step::AnnounceAgain | Step::Take => Vec::new(),
        }
    }

    /// The first time up to `to` at which a recording has less room than is used, and what is reclaimed then.
    fn first_squeeze(&self, to: Timestamp) -> Option<(Timestamp, Vec<Change>)> {
        if self.script.traces.is_empty() {
            return None;
        }
        let now = self.state.clock;
        let squeeze = |key: &OfferKey| {
            let market = key.reservation.is_none();
            let rule = self.script.traces.iter().find(|rule| market && rule.at.matches(&seen(key)))?;
            let staying = || self.state.live(key).filter(|instance| instance.doom.is_none());
            let used = u64::try_from(staying().count()).unwrap_or(u64::MAX);
            let (at, room) = rule.trace.first_squeeze(self.state.start, now, to, used)?;
            let too_many = usize::try_from(used.saturating_sub(u64::from(room))).unwrap_or(usize::MAX);
            let doom = Doom::squeezed(at, rule.notice);
            let mut numbers: Vec<u64> = staying().map(|instance| instance.number).collect();
            numbers.reverse();
            numbers.truncate(too_many);
            let changes = numbers.into_iter().map(|number| Change::Doomed { number, doom }).collect();
            Some((at, changes))
        };
        self.state.live_keys().filter_map(squeeze).min_by_key(|(at, _)| *at)
    }

    pub(crate) fn bill(&self, provider: Option<&ProviderId>) -> Vec<BillLine> {
        let now = self.state.clock;
        let wanted =
            self.state.instances.values().filter(|i| provider.is_none_or(|id| i.key.provider == *id));
        wanted
            .map(|instance| BillLine {
                handle: instance.handle(),
                tags: instance.tags.clone(),
                from: instance.launched_at,
                to: instance.ended_at,
                amount: instance.cost(now),
            })
            .collect()
    }
}

/// An offer as scripts see it.
pub(crate) fn seen(key: &OfferKey) -> Seen<'_> {
    Seen {
        provider: &key.provider,
        region: Some(&key.region),
        zone: Some(&key.zone),
        instance_type: Some(&key.instance_type),
        kind: Some(key.kind),
    }
}

/// Whether a provider takes such instances back by chance.
pub(crate) fn can_be_reclaimed(kind: OfferKind) -> bool {
    kind == OfferKind::Spot
}
