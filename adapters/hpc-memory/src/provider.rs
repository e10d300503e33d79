//! In-memory fake of the `provider` port: one small cloud that behaves, on a clock that the caller moves.
//!
//! For whole stories over several clouds, with prices that move and a file behind them, use `hpc-provider-sim`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hpc_provider::{
    BillLine, Billing, CapacityProvider, Certainty, Description, ErrorKind, INSTANCES_MAX, InstanceHandle,
    InstancePhase, InstanceState, Interruption, InterruptionKind, InterruptionPage, Observe, OwnedPage,
    ProviderError, ProvisionResult, ProvisionSpec, QuotaStatus, Quote, QuoteRequest, Released, Result, Scope,
    SpotPrice, SpotPrices, Supports, TAG_OWNER,
};
use hpc_resources::{
    AcceleratorModel, Accelerators, Bytes, Currency, InstanceType, MilliCpu, Money, Offer, OfferKey,
    OfferKind, PerInstanceHour, ProviderId, QuotaCost, QuotaFamily, Region, StockHint, ZoneId,
};
use jiff::{SignedDuration, Timestamp};

/// Instances on one page of `list_owned`: few, so that paging is met in every test.
pub const PAGE_INSTANCES: usize = 2;
/// How long a reclaim is announced before it happens.
const NOTICE: SignedDuration = SignedDuration::from_secs(120);

/// What happens to the next create or release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderFault {
    /// It never arrives; the answer is lost.
    LostBefore,
    /// It is carried out; the answer is lost.
    LostAfter,
    /// It fails like this, with nothing done.
    Fails(ProviderError),
}

/// A small cloud in memory. Two zones, three machine types, spot and on-demand.
///
/// # Example
/// ```
/// use hpc_memory::provider::MemoryProvider;
/// use hpc_provider::CapacityProvider;
///
/// let cloud = MemoryProvider::seeded(7);
/// assert!(cloud.describe().supports.safe_to_create());
/// assert!(cloud.describe().simulated);
/// ```
#[derive(Debug)]
pub struct MemoryProvider {
    id: ProviderId,
    supports: Supports,
    consistency_ms: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seed: u64,
    calls: u64,
    /// Chance of a lost answer for each create and release, in hundredths of a percent.
    lost_bp: u32,
    now: Timestamp,
    offers: Vec<Offer>,
    stock: HashMap<OfferKey, u64>,
    quota_limits: BTreeMap<QuotaFamily, u64>,
    instances: Vec<Instance>,
    tokens: HashMap<String, (ProvisionSpec, Vec<usize>)>,
    reclaims: Vec<(Timestamp, usize)>,
    interruptions: Vec<Interruption>,
    faults: VecDeque<ProviderFault>,
}

#[derive(Debug)]
struct Instance {
    state: InstanceState,
    quota: Option<QuotaCost>,
    visible_at: Timestamp,
}

impl MemoryProvider {
    /// A cloud called `memory` whose chance comes from `seed`. Its clock shows the beginning of 2026.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let start = Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH);
        let id = ProviderId::parse("memory").unwrap_or_else(|_| ProviderId::from_bits(0));
        let state = State {
            seed,
            calls: 0,
            lost_bp: 0,
            now: start,
            offers: Vec::new(),
            stock: HashMap::new(),
            quota_limits: BTreeMap::new(),
            instances: Vec::new(),
            tokens: HashMap::new(),
            reclaims: Vec::new(),
            interruptions: Vec::new(),
            faults: VecDeque::new(),
        };
        let supports = Supports {
            quote: true,
            provision: true,
            idempotent_create: true,
            observe: true,
            release: true,
            list_owned: true,
            spot_prices: true,
            quotas: true,
            interruptions: true,
            user_data: true,
        };
        Self { supports, consistency_ms: 0, state: Mutex::new(state), id: id.clone() }
            .with_offers(offers(&id))
    }

    /// Gives it another name, which its offers then carry.
    #[must_use]
    pub fn named(mut self, id: ProviderId) -> Self {
        self.id = id;
        let offers = self.lock().offers.clone();
        self.with_offers(offers)
    }

    /// Sells these offers instead; their provider becomes this one. Every quota they name starts with room for plenty.
    #[must_use]
    pub fn with_offers(self, offers: Vec<Offer>) -> Self {
        let mut state = self.lock();
        state.offers = offers;
        for index in 0..state.offers.len() {
            let Some(offer) = state.offers.get_mut(index) else { continue };
            offer.provider = self.id.clone();
            let family = offer.quota.as_ref().map(|cost| cost.family.clone());
            if let Some(family) = family {
                state.quota_limits.entry(family).or_insert(100_000);
            }
        }
        drop(state);
        self
    }

    /// Takes a time for its beginning.
    #[must_use]
    pub fn starting_at(self, now: Timestamp) -> Self {
        self.lock().now = now;
        self
    }

    /// Says that it can only do this, and refuses the rest.
    #[must_use]
    pub fn with_supports(mut self, supports: Supports) -> Self {
        self.supports = supports;
        self
    }

    /// Shows new instances only after this many milliseconds.
    #[must_use]
    pub fn with_consistency_ms(mut self, consistency_ms: u64) -> Self {
        self.consistency_ms = consistency_ms;
        self
    }

    /// Loses answers by chance: before or after the effect, each as often, in hundredths of a percent of the creates and
    /// releases.
    #[must_use]
    pub fn with_lost_answers(self, hundredths_of_percent: u32) -> Self {
        self.lock().lost_bp = hundredths_of_percent;
        self
    }

    /// The time its clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// Moves its clock on, and reclaims what is due.
    pub fn advance(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        let mut state = self.lock();
        state.now = state.now.saturating_add(by).unwrap_or(state.now);
        state.reclaim_due();
    }

    /// Has this happen to a later create or release: one fault for each, in this order.
    pub fn fail_next(&self, fault: ProviderFault) {
        self.lock().faults.push_back(fault);
    }

    /// Leaves `instances` of an offer to be had, from now on.
    pub fn set_stock(&self, offer: &OfferKey, instances: u64) {
        self.lock().stock.insert(offer.clone(), instances);
    }

    /// Sets the limit of a quota.
    pub fn set_quota(&self, family: &QuotaFamily, limit: u64) {
        self.lock().quota_limits.insert(family.clone(), limit);
    }

    /// Announces a reclaim, which happens two minutes later. `false` when there is no such instance.
    pub fn reclaim(&self, handle: &InstanceHandle) -> bool {
        let mut state = self.lock();
        let now = state.now;
        let deadline = now.saturating_add(NOTICE).unwrap_or(now);
        let lives = |i: &Instance| i.state.handle == *handle && i.state.ended_at.is_none();
        let Some(index) = state.instances.iter().position(lives) else { return false };
        state.reclaims.push((deadline, index));
        let kind = InterruptionKind::Notice;
        state.interruptions.push(Interruption { handle: handle.clone(), kind, deadline, seen_at: now });
        true
    }

    /// Everything that ever existed in it: the truth that tests compare with.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceState> {
        self.lock().instances.iter().map(|instance| instance.state.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn supported(&self, have: bool, method: &str) -> Result<()> {
        if have { Ok(()) } else { Err(ProviderError::unsupported(method)) }
    }

    fn create(&self, state: &mut State, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        let key = spec.offer.key();
        if let Some((before, indexes)) = state.tokens.get(spec.token.as_str()) {
            let same = before.offer.key() == key
                && before.instances == spec.instances
                && before.tags == spec.tags
                && before.user_data_ref == spec.user_data_ref
                && before.price_ceiling == spec.price_ceiling;
            if !same {
                return Err(refusal(ErrorKind::Conflict, Scope::Account, "TokenReused"));
            }
            let handles = indexes.iter().filter_map(|index| state.instances.get(*index));
            let handles = handles.map(|instance| instance.state.handle.clone()).collect();
            return Ok(ProvisionResult { handles, replayed: true, simulated: true });
        }
        let count = u64::from(spec.instances);
        let sold = state.offers.iter().find(|offer| offer.key() == key).cloned();
        let Some((offer, price)) = sold.and_then(|offer| Some((offer.price?, offer)).map(|(p, o)| (o, p)))
        else {
            return Err(refusal(ErrorKind::Config, Scope::Provider, "NotForSale"));
        };
        if count == 0 || spec.instances > INSTANCES_MAX {
            return Err(refusal(ErrorKind::Config, Scope::Provider, "InvalidCount"));
        }
        if let Some(cost) = &offer.quota {
            let limit = state.quota_limits.get(&cost.family).copied().unwrap_or(0);
            let used = state.quota_used(&cost.family);
            if cost.units_per_instance.saturating_mul(count) > limit.saturating_sub(used) {
                return Err(refusal(ErrorKind::Quota, Scope::Region, "QuotaExceeded"));
            }
        }
        if state.stock.get(&key).is_some_and(|left| *left < count) {
            return Err(refusal(ErrorKind::Capacity, Scope::Zone, "NoStock"));
        }
        if let Some(left) = state.stock.get_mut(&key) {
            *left -= count;
        }
        let now = state.now;
        let lag = SignedDuration::from_millis(i64::try_from(self.consistency_ms).unwrap_or(i64::MAX));
        let first = state.instances.len();
        for number in (first..).take(usize::try_from(spec.instances).unwrap_or(0)) {
            state.instances.push(Instance {
                state: InstanceState {
                    handle: InstanceHandle {
                        provider: self.id.clone(),
                        region: offer.region.clone(),
                        id: format!("mem-{:04x}-{number:06}", state.seed & 0xffff),
                    },
                    phase: InstancePhase::Running,
                    zone: offer.zone.clone(),
                    instance_type: offer.instance_type.clone(),
                    kind: offer.kind,
                    price: Some(price),
                    tags: spec.tags.clone(),
                    launched_at: whole_second(now),
                    ended_at: None,
                    reclaimed: false,
                },
                quota: offer.quota.clone(),
                visible_at: now.saturating_add(lag).unwrap_or(now),
            });
        }
        let made = state.instances.get(first..).unwrap_or_default();
        let handles = made.iter().map(|instance| instance.state.handle.clone()).collect();
        let indexes = (first..state.instances.len()).collect();
        state.tokens.insert(spec.token.as_str().to_owned(), (spec.clone(), indexes));
        Ok(ProvisionResult { handles, replayed: false, simulated: true })
    }
}

impl State {
    /// The fault of this call, if it has one.
    fn fault(&mut self) -> Option<ProviderFault> {
        self.calls += 1;
        if let Some(fault) = self.faults.pop_front() {
            return Some(fault);
        }
        // SplitMix64: the draw depends on the seed and on how many calls there were.
        let mut draw = self.seed.wrapping_add(self.calls.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        draw = (draw ^ (draw >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        draw = (draw ^ (draw >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        draw ^= draw >> 31;
        if draw % 10_000 >= u64::from(self.lost_bp) {
            return None;
        }
        Some(if draw >> 63 == 0 { ProviderFault::LostBefore } else { ProviderFault::LostAfter })
    }

    fn quota_used(&self, family: &QuotaFamily) -> u64 {
        let lives = self.instances.iter().filter(|instance| instance.state.ended_at.is_none());
        let costs =
            lives.filter_map(|instance| instance.quota.as_ref()).filter(|cost| cost.family == *family);
        costs.map(|cost| cost.units_per_instance).sum()
    }

    fn end(&mut self, index: usize, at: Timestamp, reclaimed: bool) {
        let Some(instance) = self.instances.get_mut(index) else { return };
        instance.state.phase = InstancePhase::Terminated;
        instance.state.ended_at = Some(whole_second(at));
        instance.state.reclaimed = reclaimed;
        let state = &instance.state;
        let key = OfferKey {
            provider: state.handle.provider.clone(),
            region: state.handle.region.clone(),
            zone: state.zone.clone(),
            instance_type: state.instance_type.clone(),
            kind: state.kind,
            reservation: None,
        };
        if let Some(left) = self.stock.get_mut(&key) {
            *left += 1;
        }
    }

    fn reclaim_due(&mut self) {
        let now = self.now;
        let (due, later) = self.reclaims.drain(..).partition(|(at, _)| *at <= now);
        self.reclaims = later;
        let due: Vec<(Timestamp, usize)> = due;
        for (at, index) in due {
            let lives = self.instances.get(index).filter(|instance| instance.state.ended_at.is_none());
            let Some(handle) = lives.map(|instance| instance.state.handle.clone()) else { continue };
            self.end(index, at, true);
            let kind = InterruptionKind::Reclaimed;
            self.interruptions.push(Interruption { handle, kind, deadline: at, seen_at: at });
        }
    }
}

/// Runs a create or a release with its fault.
fn with_fault<T>(state: &mut State, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
    let lost = || {
        let message = "the connection was lost before an answer came";
        ProviderError::new(
            ErrorKind::Internal,
            Scope::Provider,
            Certainty::Unknown,
            "ConnectionReset",
            message,
        )
    };
    match state.fault() {
        None => work(state),
        Some(ProviderFault::Fails(error)) => Err(error),
        Some(ProviderFault::LostBefore) => Err(lost()),
        Some(ProviderFault::LostAfter) => work(state).and_then(|_| Err(lost())),
    }
}

fn refusal(kind: ErrorKind, scope: Scope, code: &str) -> ProviderError {
    ProviderError::new(kind, scope, Certainty::NotDone, code, "the cloud in memory refuses")
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[async_trait]
impl CapacityProvider for MemoryProvider {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        self.supported(self.supports.quote, "get_quote")?;
        let state = self.lock();
        let model = request.request.accelerators().map(|(model, _)| model);
        let fits = |offer: &&Offer| offer.accelerators.map(|have| have.model) == model;
        let shown = |offer: &Offer| Offer {
            as_of: state.now,
            stock: if state.stock.get(&offer.key()) == Some(&0) { StockHint::Unlikely } else { offer.stock },
            ..offer.clone()
        };
        let snapshot = format!("memory-{}", state.seed);
        let offers = state.offers.iter().filter(fits).map(shown).collect();
        Ok(Quote { provider: self.id.clone(), snapshot, as_of: state.now, offers, truncated: false })
    }

    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        self.supported(self.supports.provision, "provision")?;
        with_fault(&mut self.lock(), |state| self.create(state, spec))
    }

    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        self.supported(self.supports.spot_prices, "check_spot_prices")?;
        let bad = |_| refusal(ErrorKind::Config, Scope::Provider, "InvalidParameter");
        let (instance_type, region) =
            (InstanceType::parse(instance_type).map_err(bad)?, Region::parse(region).map_err(bad)?);
        let state = self.lock();
        let spot = state.offers.iter().filter(|offer| {
            offer.kind == OfferKind::Spot && offer.instance_type == instance_type && offer.region == region
        });
        let price =
            |offer: &Offer| Some(SpotPrice { zone: offer.zone.clone(), price: offer.price?, at: state.now });
        let prices = spot.filter_map(price).collect();
        Ok(SpotPrices { instance_type, region, prices, simulated: true })
    }

    fn describe(&self) -> Description {
        Description {
            provider: self.id.clone(),
            supports: self.supports.clone(),
            consistency_ms: self.consistency_ms,
            clock_skew_ms: 0,
            simulated: true,
        }
    }

    async fn observe(&self, what: &Observe) -> Result<Vec<InstanceState>> {
        self.supported(self.supports.observe, "observe")?;
        let state = self.lock();
        let wanted = |instance: &&Instance| match what {
            Observe::Handles(handles) => handles.contains(&instance.state.handle),
            Observe::Tag { key, value } => instance.state.tags.get(key) == Some(value),
        };
        let visible = state.instances.iter().filter(|instance| instance.visible_at <= state.now);
        Ok(visible.filter(wanted).map(|instance| instance.state.clone()).collect())
    }

    async fn release(&self, handle: &InstanceHandle) -> Result<Released> {
        self.supported(self.supports.release, "release")?;
        with_fault(&mut self.lock(), |state| {
            let lives = |i: &Instance| i.state.handle == *handle && i.state.ended_at.is_none();
            let Some(index) = state.instances.iter().position(lives) else {
                return Ok(Released::AlreadyGone);
            };
            state.end(index, state.now, false);
            Ok(Released::Released)
        })
    }

    async fn list_owned(&self, owner: &str, page: Option<String>) -> Result<OwnedPage> {
        self.supported(self.supports.list_owned, "list_owned")?;
        let from: usize = page
            .map_or(Ok(0), |page| page.parse())
            .map_err(|_| refusal(ErrorKind::Config, Scope::Provider, "InvalidPage"))?;
        let state = self.lock();
        let mut owned = state.instances.iter().enumerate().skip(from).filter(|(_, instance)| {
            instance.visible_at <= state.now
                && instance.state.phase.is_live()
                && instance.state.tags.get(TAG_OWNER).is_some_and(|have| have == owner)
        });
        let instances = owned.by_ref().take(PAGE_INSTANCES).map(|(_, i)| i.state.clone()).collect();
        let next = owned.next().map(|(index, _)| index.to_string());
        Ok(OwnedPage { instances, next, complete: true })
    }

    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        self.supported(self.supports.quotas, "quotas")?;
        let state = self.lock();
        let region = |family: &QuotaFamily| {
            let under = |offer: &&Offer| offer.quota.as_ref().is_some_and(|cost| cost.family == *family);
            state.offers.iter().find(under).map(|offer| offer.region.clone())
        };
        let status = |(family, limit): (&QuotaFamily, &u64)| {
            Some(QuotaStatus {
                region: region(family)?,
                limit: *limit,
                used: state.quota_used(family),
                as_of: state.now,
                family: family.clone(),
            })
        };
        Ok(state.quota_limits.iter().filter_map(status).collect())
    }

    async fn interruptions(&self, cursor: Option<String>) -> Result<InterruptionPage> {
        self.supported(self.supports.interruptions, "interruptions")?;
        let from: usize = cursor
            .map_or(Ok(0), |cursor| cursor.parse())
            .map_err(|_| refusal(ErrorKind::Config, Scope::Provider, "InvalidCursor"))?;
        let state = self.lock();
        let events: Vec<Interruption> = state.interruptions.iter().skip(from).cloned().collect();
        let cursor = from.max(state.interruptions.len()).to_string();
        Ok(InterruptionPage { events, cursor })
    }
}

#[async_trait]
impl Billing for MemoryProvider {
    async fn bill(&self) -> Result<Vec<BillLine>> {
        let state = self.lock();
        let line = |instance: &Instance| {
            let now = &instance.state;
            let until = now.ended_at.unwrap_or(whole_second(state.now));
            let seconds = u64::try_from(until.as_second() - now.launched_at.as_second()).unwrap_or(0);
            let amount = now.price.and_then(|price| price.cost_half_even(1, seconds).ok());
            let amount = amount.unwrap_or(Money::from_nanos(i64::MAX, Currency::USD));
            let (from, to) = (now.launched_at, now.ended_at);
            BillLine { handle: now.handle.clone(), tags: now.tags.clone(), from, to, amount }
        };
        Ok(state.instances.iter().map(line).collect())
    }
}

/// What the cloud sells: (type, model, devices, vCPUs, memory in MiB, on-demand price, spot price, both in milli-dollars).
const SOLD: [(&str, &str, u32, u32, u64, i64, i64); 3] = [
    ("mem.h100x8", "h100", 8, 192, 2_097_152, 48_000, 20_000),
    ("mem.h100x1", "h100", 1, 24, 262_144, 6_400, 2_600),
    ("mem.l4x1", "l4", 1, 8, 32_768, 800, 320),
];

fn offers(provider: &ProviderId) -> Vec<Offer> {
    let mut offers = Vec::new();
    for (name, model, count, vcpus, memory_mib, on_demand, spot) in SOLD {
        for (zone, kind, milli, family) in [
            ("mem-1a", OfferKind::Spot, spot, "mem-spot-gpus"),
            ("mem-1b", OfferKind::Spot, spot + spot / 10, "mem-spot-gpus"),
            ("mem-1a", OfferKind::OnDemand, on_demand, "mem-gpus"),
            ("mem-1b", OfferKind::OnDemand, on_demand, "mem-gpus"),
        ] {
            // The names above are good; a name that is not would leave its offer out.
            let made = (|| {
                Some(Offer {
                    provider: provider.clone(),
                    region: Region::parse("mem-1").ok()?,
                    zone: ZoneId::parse(zone).ok()?,
                    instance_type: InstanceType::parse(name).ok()?,
                    kind,
                    accelerators: Some(Accelerators {
                        model: AcceleratorModel::parse(model).ok()?,
                        count,
                        memory_each: Bytes::from_mib(81_920),
                    }),
                    cpu: MilliCpu::whole(vcpus),
                    memory: Bytes::from_mib(memory_mib),
                    price: Some(PerInstanceHour(Money::from_nanos(milli * 1_000_000, Currency::USD))),
                    as_of: Timestamp::UNIX_EPOCH,
                    snapshot: "memory".to_owned(),
                    stock: StockHint::Likely,
                    quota: Some(QuotaCost {
                        family: QuotaFamily::parse(family).ok()?,
                        units_per_instance: u64::from(count),
                    }),
                    start_delay_s: 0,
                    reclaim_bp_per_hour: if kind == OfferKind::Spot { 300 } else { 0 },
                    simulated: true,
                    reservation: None,
                    run_max_s: None,
                })
            })();
            offers.extend(made);
        }
    }
    offers
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hpc_conformance::provider::{Rig, Trouble};
    use hpc_resources::ResourceRequest;

    use super::*;

    struct MemoryRig(Arc<MemoryProvider>);

    #[async_trait]
    impl Rig for MemoryRig {
        fn provider(&self) -> Arc<dyn CapacityProvider> {
            Arc::clone(&self.0) as Arc<dyn CapacityProvider>
        }
        fn now(&self) -> Timestamp {
            self.0.now()
        }
        async fn pass(&self, by: Duration) {
            self.0.advance(by);
        }
        fn request(&self) -> ResourceRequest {
            ResourceRequest::new("suite").add_gpu_nvidia_h100(8).build().unwrap()
        }
        fn instances_max(&self) -> u32 {
            7
        }
        async fn bring(&self, trouble: Trouble) -> bool {
            match trouble {
                Trouble::NoStock(offer) => self.0.set_stock(&offer.key(), 0),
                Trouble::NoQuota(offer) => self.0.set_quota(&offer.quota.unwrap().family, 0),
                Trouble::LoseNextCreate => self.0.fail_next(ProviderFault::LostBefore),
                Trouble::LoseNextAnswer => self.0.fail_next(ProviderFault::LostAfter),
                Trouble::Reclaim(handle) => return self.0.reclaim(&handle),
            }
            true
        }
    }

    mod prompt {
        use super::*;
        hpc_conformance::capacity_provider!(async { Some(MemoryRig(Arc::new(MemoryProvider::seeded(7)))) });
    }

    mod lagging {
        use super::*;
        hpc_conformance::capacity_provider!(async {
            Some(MemoryRig(Arc::new(MemoryProvider::seeded(7).with_consistency_ms(5_000))))
        });
    }

    #[tokio::test]
    async fn what_it_does_not_support_it_refuses() {
        let less = Supports { quote: true, ..Supports::default() };
        let rig = MemoryRig(Arc::new(MemoryProvider::seeded(7).with_supports(less)));
        hpc_conformance::provider::unlisted_methods_are_unsupported(rig).await;
    }

    #[test]
    fn lost_answers_come_from_the_seed() {
        let faults = |seed: u64| -> Vec<Option<ProviderFault>> {
            let cloud = MemoryProvider::seeded(seed).with_lost_answers(5_000);
            let mut state = cloud.lock();
            (0..64).map(|_| state.fault()).collect()
        };
        assert_eq!(faults(7), faults(7));
        assert_ne!(faults(7), faults(8));
        assert!(faults(7).contains(&Some(ProviderFault::LostAfter)) && faults(7).contains(&None));
    }
}
