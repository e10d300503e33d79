//! The port on an inventory and a ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use hpc_ledger::{Ledger, LedgerError, Transaction};
use hpc_provider::{
    CapacityProvider, Certainty, Description, INSTANCES_MAX, InstanceHandle, InstanceState, Observe,
    OwnedPage, ProviderError, ProvisionResult, ProvisionSpec, QuotaStatus, Quote, QuoteRequest, Released,
    Result, SpotPrices, Supports, TAG_LEASE, TAG_OWNER,
};
use hpc_resources::{
    InstanceType, Offer, OfferKind, PerInstanceHour, ProviderId, QuotaCost, QuotaFamily, Region, StockHint,
    ZoneId,
};
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::inventory::{Inventory, Machine};
use crate::ledger::{Records, bytes};
use crate::record::{Hold, Keys, Reservation, Reserved, fingerprint, parse_id};
use crate::refusal;

/// Most machines that one call reserves: what fits into one transaction of the ledger.
pub const MACHINES_PER_CALL_MAX: u32 = 480;
/// Ended reservations that are kept; older ones are forgotten, their tokens with them.
pub const ENDED_KEPT_MAX: u64 = 1_000;
/// Reservations on one page of `list_owned`.
pub const PAGE_INSTANCES: usize = 100;
/// Most handles in one `observe`.
pub const OBSERVE_MAX: usize = 4_096;
/// Longest tag name or value, in bytes.
const TAG_BYTES_MAX: usize = 256;
/// How often a transaction is decided anew because another process was faster.
const TRIES_MAX: usize = 16;
/// Ended reservations that one call forgets at most.
const FORGOTTEN_AT_ONCE: usize = 2;
/// Reservations read at once.
const READ_AT_ONCE: usize = 1_024;

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Machines of one's own.
///
/// Several processes may share one ledger and one inventory: a machine is reserved by a comparison in the ledger.
pub struct StaticProvider {
    id: ProviderId,
    records: Records,
    clock: Clock,
    inventory: RwLock<Arc<Inventory>>,
    /// Calls of one process that write wait for each other instead of competing in the ledger.
    turn: Mutex<()>,
}

impl fmt::Debug for StaticProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticProvider").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a new inventory changed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reloaded {
    /// Machines that are new.
    pub added: Vec<String>,
    /// Machines that are gone.
    pub removed: Vec<String>,
    /// Machines that are described otherwise than before.
    pub changed: Vec<String>,
    /// Machines that somebody has and that the inventory no longer names, or names as something else.
    pub missing: Vec<Missing>,
}

/// A machine that somebody has, and that the inventory no longer names, or names as another type or in another place.
///
/// It stays reserved, observed and billed until it is released; then it is not given out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The machine.
    pub machine: String,
    /// Its handle.
    pub handle: InstanceHandle,
    /// The lease that has it, by its tag.
    pub lease: Option<String>,
}

/// What is offered together: machines that differ in their names only.
type Place = (Region, ZoneId, InstanceType);

impl StaticProvider {
    /// A provider called `id` of the machines in `inventory`; who has them is kept in `ledger`.
    #[must_use]
    pub fn new(id: ProviderId, inventory: Inventory, ledger: Arc<dyn Ledger>, clock: Clock) -> Self {
        let records = Records { ledger, keys: Keys::new(&id) };
        Self { id, records, clock, inventory: RwLock::new(Arc::new(inventory)), turn: Mutex::new(()) }
    }

    /// The inventory in use.
    #[must_use]
    pub fn inventory(&self) -> Arc<Inventory> {
        Arc::clone(&self.inventory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes another inventory and says what it changed. Nobody loses a machine by it.
    ///
    /// # Errors
    /// [`ProviderError`] when the ledger cannot be read; the new inventory is in use all the same.
    pub async fn reload(&self, inventory: Inventory) -> Result<Reloaded> {
        let fresh = Arc::new(inventory);
        let old = {
            let mut current = self.inventory.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, Arc::clone(&fresh))
        };
        let without = |one: &Inventory, other: &Inventory| -> Vec<String> {
            let names = one.machines().map(|machine| &machine.name);
            names.filter(|name| other.machine(name).is_none()).cloned().collect()
        };
        let changed =
            |machine: &&Machine| old.machine(&machine.name).is_some_and(|before| before != *machine);
        Ok(Reloaded {
            added: without(&fresh, &old),
            removed: without(&old, &fresh),
            changed: fresh.machines().filter(changed).map(|machine| machine.name.clone()).collect(),
            missing: self.missing().await?,
        })
    }

    /// Machines that somebody has and that the inventory does not name as what they were.
    ///
    /// # Errors
    /// [`ProviderError`] when the ledger cannot be read.
    pub async fn missing(&self) -> Result<Vec<Missing>> {
        let inventory = self.inventory();
        let mut missing = Vec::new();
        let mut known: BTreeMap<u64, Reservation> = BTreeMap::new();
        for (name, number) in self.records.held().await.map_err(nothing_done)? {
            if let std::collections::btree_map::Entry::Vacant(slot) = known.entry(number) {
                let Some(read) = self.records.reservation(number).await.map_err(nothing_done)? else {
                    continue;
                };
                slot.insert(read.value);
            }
            let Some(reservation) = known.get(&number) else { continue };
            let same = inventory.machine(&name).is_some_and(|machine| {
                (&machine.region, &machine.zone, &machine.instance_type)
                    == (&reservation.region, &reservation.zone, &reservation.instance_type)
            });
            if !same {
                let handle = reservation.handle(&self.id, &Reserved { name: name.clone(), ended_at: None });
                let lease = reservation.tags.get(TAG_LEASE).cloned();
                missing.push(Missing { machine: name, handle, lease });
            }
        }
        Ok(missing)
    }

    fn now(&self) -> Timestamp {
        // Whole seconds, so that what a meter counts is exact.
        let now = (self.clock)();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// Reserves, or finds what the token reserved before; `None` when another process was faster.
    async fn try_provision(&self, spec: &ProvisionSpec) -> Result<Option<ProvisionResult>> {
        // A read that fails says nothing about an earlier try with this token.
        let unsure = |error: LedgerError| refusal::ledger(&error, Certainty::Unknown);
        let fingerprint = fingerprint(spec);
        if let Some(before) = self.records.by_token(&spec.token).await.map_err(unsure)? {
            if before.fingerprint != fingerprint {
                return Err(refusal::conflict());
            }
            let handles = before.handles(&self.id);
            return Ok(Some(ProvisionResult { handles, replayed: true, simulated: false }));
        }
        self.check(spec)?;
        let inventory = self.inventory();
        let held = self.records.held().await.map_err(unsure)?;
        let (machines, price) = choose(&inventory, &held, spec)?;
        let books = self.records.books().await.map_err(unsure)?;
        let mut counts = books.as_ref().map(|read| read.value.clone()).unwrap_or_default();
        let number = counts.next.max(1);
        counts.next = number.saturating_add(1);
        let reserved = |name: &String| Reserved { name: name.clone(), ended_at: None };
        let reservation = Reservation {
            number,
            token: spec.token.clone(),
            fingerprint,
            region: spec.offer.region.clone(),
            zone: spec.offer.zone.clone(),
            instance_type: spec.offer.instance_type.clone(),
            price,
            tags: spec.tags.clone(),
            since: self.now(),
            machines: machines.iter().map(reserved).collect(),
        };
        let transaction = async {
            let keys = &self.records.keys;
            let (books_key, token_key) = (keys.books()?, keys.token(&spec.token)?);
            let mut transaction = Transaction::new()
                .expect_absent(&token_key)
                .expect_unchanged(&books_key, books.as_ref().map(|read| &read.versioned));
            if counts.ended > ENDED_KEPT_MAX {
                let (more, forgotten) = self.records.forget(transaction, FORGOTTEN_AT_ONCE).await?;
                counts.ended = counts.ended.saturating_sub(forgotten);
                transaction = more;
            }
            let reservation_key = keys.reservation(number)?;
            transaction = transaction
                .put(&token_key, bytes(&token_key, &number)?)
                .put(&books_key, bytes(&books_key, &counts)?)
                .put(&reservation_key, bytes(&reservation_key, &reservation)?);
            for name in &machines {
                let key = keys.held(name)?;
                transaction = transaction.expect_absent(&key).put(&key, bytes(&key, &Hold { number })?);
            }
            Ok(transaction)
        };
        match self.records.ledger.commit(transaction.await.map_err(unsure)?).await {
            Ok(_) => {
                let handles = reservation.handles(&self.id);
                Ok(Some(ProvisionResult { handles, replayed: false, simulated: false }))
            }
            Err(LedgerError::Conflict { .. }) => Ok(None),
            Err(error) if error.outcome_unknown() => Err(unsure(error)),
            Err(error) => Err(nothing_done(error)),
        }
    }

    /// Ends one machine of a reservation; `None` when another process was faster.
    async fn try_release(&self, machine: &str, number: u64) -> Result<Option<Released>> {
        let Some(read) = self.records.reservation(number).await.map_err(nothing_done)? else {
            return Ok(Some(Released::AlreadyGone));
        };
        let (mut reservation, now) = (read.value, self.now());
        let since = reservation.since;
        match reservation.machines.iter_mut().find(|reserved| reserved.name == machine) {
            None => return Ok(Some(Released::AlreadyGone)),
            Some(reserved) if reserved.ended_at.is_some() => return Ok(Some(Released::AlreadyGone)),
            Some(reserved) => reserved.ended_at = Some(now.max(since)),
        }
        let transaction = async {
            let keys = &self.records.keys;
            let (key, held) = (keys.reservation(number)?, keys.held(machine)?);
            let mut transaction = Transaction::new()
                .expect_unchanged(&key, Some(&read.versioned))
                .put(&key, bytes(&key, &reservation)?)
                .delete(&held);
            if reservation.has_ended() {
                let (books_key, ended) = (keys.books()?, keys.ended(number)?);
                let books = self.records.books().await?;
                let mut counts = books.as_ref().map(|read| read.value.clone()).unwrap_or_default();
                counts.ended = counts.ended.saturating_add(1);
                transaction = transaction
                    .expect_unchanged(&books_key, books.as_ref().map(|read| &read.versioned))
                    .put(&books_key, bytes(&books_key, &counts)?)
                    .put(&ended, Vec::new());
            }
            Ok(transaction)
        };
        match self.records.ledger.commit(transaction.await.map_err(nothing_done)?).await {
            Ok(_) => Ok(Some(Released::Released)),
            Err(LedgerError::Conflict { .. }) => Ok(None),
            Err(error) if error.outcome_unknown() => Err(refusal::ledger(&error, Certainty::Unknown)),
            Err(error) => Err(nothing_done(error)),
        }
    }

    fn check(&self, spec: &ProvisionSpec) -> Result<()> {
        let offer = &spec.offer;
        if offer.provider != self.id {
            return Err(refusal::config("OtherProvider", &format!("the offer is of {}", offer.provider)));
        }
        if spec.instances == 0 || spec.instances > INSTANCES_MAX.min(MACHINES_PER_CALL_MAX) {
            let what = format!("{} machines; allowed are 1 to {MACHINES_PER_CALL_MAX}", spec.instances);
            return Err(refusal::config("Count", &what));
        }
        let long = |text: &String| text.len() > TAG_BYTES_MAX;
        if spec.tags.len() > hpc_provider::TAGS_MAX
            || spec.tags.iter().any(|(name, value)| name.is_empty() || long(name) || long(value))
        {
            let most = hpc_provider::TAGS_MAX;
            let what = format!("at most {most} tags, each name and value up to {TAG_BYTES_MAX} bytes");
            return Err(refusal::config("Tags", &what));
        }
        if spec.user_data_ref.is_some() {
            let what = "nothing is started on a machine of an inventory; leave the user data out";
            return Err(refusal::config("UserData", what));
        }
        Ok(())
    }
}

/// The first free machines of the offer by name, and what one costs.
fn choose(
    inventory: &Inventory,
    held: &BTreeMap<String, u64>,
    spec: &ProvisionSpec,
) -> Result<(Vec<String>, PerInstanceHour)> {
    let offer = &spec.offer;
    let fits = |machine: &&Machine| {
        (&machine.region, &machine.zone, &machine.instance_type)
            == (&offer.region, &offer.zone, &offer.instance_type)
    };
    let Some(any) = inventory.machines().find(fits).filter(|_| offer.kind == OfferKind::Owned) else {
        return Err(refusal::config("NotInInventory", &format!("{} is not in the inventory", offer.key())));
    };
    let Some(price) = any.price.to_offer() else {
        return Err(refusal::config("PriceUnknown", "the inventory says that its price is unknown"));
    };
    if let Some(ceiling) = spec.price_ceiling.filter(|ceiling| price.0.exceeds(*ceiling)) {
        let what = format!("it costs {} an hour, over the ceiling of {ceiling}", price.0);
        return Err(refusal::config("PriceAboveCeiling", &what));
    }
    let free = |machine: &&Machine| machine.out_of_service.is_none() && !held.contains_key(&machine.name);
    let wanted = usize::try_from(spec.instances).unwrap_or(usize::MAX);
    let names: Vec<String> =
        inventory.machines().filter(fits).filter(free).take(wanted).map(|m| m.name.clone()).collect();
    if names.len() < wanted {
        return Err(refusal::no_stock(&offer.key().to_string(), spec.instances, names.len()));
    }
    Ok((names, price))
}

fn nothing_done(error: LedgerError) -> ProviderError {
    refusal::ledger(&error, Certainty::NotDone)
}

#[async_trait]
impl CapacityProvider for StaticProvider {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        let inventory = self.inventory();
        let held = self.records.held().await.map_err(nothing_done)?;
        let wanted = &request.request;
        let model = wanted.accelerators().map(|(model, _)| model);
        let ours = wanted.providers().is_empty() || wanted.providers().contains(&self.id);
        let kind = wanted.kinds().is_empty() || wanted.kinds().contains(&OfferKind::Owned);
        let fits = |machine: &&Machine| {
            ours && kind
                && machine.out_of_service.is_none()
                && machine.accelerators.map(|have| have.model) == model
                && (wanted.regions().is_empty() || wanted.regions().contains(&machine.region))
        };
        let mut places: BTreeMap<Place, (&Machine, bool)> = BTreeMap::new();
        for machine in inventory.machines().filter(fits) {
            let place = (machine.region.clone(), machine.zone.clone(), machine.instance_type.clone());
            let (_, any_free) = places.entry(place).or_insert((machine, false));
            *any_free |= !held.contains_key(&machine.name);
        }
        let offer = |((region, zone, instance_type), (machine, any_free)): (Place, (&Machine, bool))| Offer {
            provider: self.id.clone(),
            region,
            zone,
            quota: family(&instance_type).map(|family| QuotaCost { family, units_per_instance: 1 }),
            instance_type,
            kind: OfferKind::Owned,
            accelerators: machine.accelerators,
            cpu: machine.cpu,
            memory: machine.memory,
            price: machine.price.to_offer(),
            // What an inventory says is true until it says something else.
            as_of: request.now,
            snapshot: inventory.snapshot().to_owned(),
            stock: if any_free { StockHint::Likely } else { StockHint::Unlikely },
            start_delay_s: 0,
            reclaim_bp_per_hour: 0,
            simulated: false,
            reservation: None,
            run_max_s: None,
        };
        Ok(Quote {
            provider: self.id.clone(),
            snapshot: inventory.snapshot().to_owned(),
            as_of: request.now,
            offers: places.into_iter().map(offer).collect(),
            truncated: false,
        })
    }

    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        let _turn = self.turn.lock().await;
        for _ in 0..TRIES_MAX {
            if let Some(done) = self.try_provision(spec).await? {
                return Ok(done);
            }
        }
        Err(contended(&self.records))
    }

    async fn check_spot_prices(&self, _instance_type: &str, _region: &str) -> Result<SpotPrices> {
        Err(ProviderError::unsupported("check_spot_prices"))
    }

    fn describe(&self) -> Description {
        Description {
            provider: self.id.clone(),
            supports: Supports {
                quote: true,
                provision: true,
                idempotent_create: true,
                observe: true,
                release: true,
                list_owned: true,
                spot_prices: false,
                quotas: true,
                interruptions: false,
                user_data: false,
            },
            consistency_ms: 0,
            clock_skew_ms: 0,
            simulated: false,
        }
    }

    async fn observe(&self, what: &Observe) -> Result<Vec<InstanceState>> {
        let mut states = Vec::new();
        match what {
            Observe::Handles(handles) if handles.len() > OBSERVE_MAX => {
                let what = format!("at most {OBSERVE_MAX} handles in one call, not {}", handles.len());
                return Err(refusal::config("TooManyHandles", &what));
            }
            Observe::Handles(handles) => {
                let ours = handles.iter().filter(|handle| handle.provider == self.id);
                let numbers: BTreeSet<u64> =
                    ours.filter_map(|handle| Some(parse_id(&handle.id)?.1)).collect();
                for number in numbers {
                    if let Some(read) = self.records.reservation(number).await.map_err(nothing_done)? {
                        states.extend(read.value.states(&self.id).filter(|s| handles.contains(&s.handle)));
                    }
                }
            }
            Observe::Tag { key, value } => {
                let mut after = None;
                loop {
                    let page = self.records.reservations(after, READ_AT_ONCE).await.map_err(nothing_done)?;
                    for reservation in page.0 {
                        if reservation.tags.get(key) == Some(value) {
                            states.extend(reservation.states(&self.id));
                        }
                    }
                    after = page.1;
                    if after.is_none() {
                        break;
                    }
                }
            }
        }
        Ok(states)
    }

    async fn release(&self, handle: &InstanceHandle) -> Result<Released> {
        if handle.provider != self.id {
            let what = format!("`{}` belongs to {}", handle.id, handle.provider);
            return Err(refusal::config("OtherProvider", &what));
        }
        let Some((machine, number)) = parse_id(&handle.id) else { return Ok(Released::AlreadyGone) };
        let _turn = self.turn.lock().await;
        for _ in 0..TRIES_MAX {
            if let Some(released) = self.try_release(machine, number).await? {
                return Ok(released);
            }
        }
        Err(contended(&self.records))
    }

    async fn list_owned(&self, owner: &str, page: Option<String>) -> Result<OwnedPage> {
        let after = match page.as_deref().map(str::parse::<u64>) {
            None => None,
            Some(Ok(after)) => Some(after),
            Some(Err(_)) => return Err(refusal::config("Page", "this page token is not one of ours")),
        };
        let (found, next) = self.records.reservations(after, PAGE_INSTANCES).await.map_err(nothing_done)?;
        let owned =
            |reservation: &&Reservation| reservation.tags.get(TAG_OWNER).is_some_and(|have| have == owner);
        let states = found.iter().filter(owned).flat_map(|reservation| reservation.states(&self.id));
        Ok(OwnedPage {
            instances: states.filter(|state| state.phase.is_live()).collect(),
            next: next.map(|number| number.to_string()),
            complete: true,
        })
    }

    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        let inventory = self.inventory();
        let held = self.records.held().await.map_err(nothing_done)?;
        let as_of = (self.clock)();
        let mut counts: BTreeMap<(Region, InstanceType), (u64, u64)> = BTreeMap::new();
        for machine in inventory.machines().filter(|machine| machine.out_of_service.is_none()) {
            let key = (machine.region.clone(), machine.instance_type.clone());
            let (limit, used) = counts.entry(key).or_default();
            *limit += 1;
            *used += u64::from(held.contains_key(&machine.name));
        }
        let status = |((region, instance_type), (limit, used))| {
            Some(QuotaStatus { family: family(&instance_type)?, region, limit, used, as_of })
        };
        Ok(counts.into_iter().filter_map(status).collect())
    }
}

/// The quota of a type is how many of it there are.
fn family(instance_type: &InstanceType) -> Option<QuotaFamily> {
    QuotaFamily::parse(instance_type.as_str()).ok()
}

fn contended(records: &Records) -> ProviderError {
    match records.keys.books() {
        Ok(key) => nothing_done(LedgerError::Conflict { key }),
        Err(error) => nothing_done(error),
    }
}
