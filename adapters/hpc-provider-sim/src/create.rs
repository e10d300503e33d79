//! Creating instances: tokens, limits, and all or nothing.

use hpc_provider::{INSTANCES_MAX, ProviderError, ProvisionResult, ProvisionSpec, TAGS_MAX};
use hpc_resources::{OfferKey, PerInstanceHour};
use jiff::{SignedDuration, Timestamp};

use crate::chance;
use crate::cloud::{Cloud, Habits, Item};
use crate::gate::{Fate, Stop};
use crate::prices::PriceSeries;
use crate::refusal;
use crate::script::{Call, Notice, Seen};
use crate::state::{Change, Doom, Instance, later, whole_second};
use crate::world::{Inner, can_be_reclaimed, seen};

/// Most instances that exist at one time, over all simulated clouds.
pub const LIVE_MAX: usize = 65_536;
/// How long a quoted price holds, in seconds; after that the price of the moment counts.
pub const PRICE_HELD_S: i64 = 3_600;
/// Longest tag name or value, in bytes.
const TAG_BYTES_MAX: usize = 256;
/// Hours for which a reclaim by chance is drawn.
const RECLAIM_HOURS_MAX: u64 = 24 * 90;

impl Inner {
    pub(crate) fn provision(&mut self, cloud: &Cloud, spec: &ProvisionSpec) -> Result<ProvisionResult, Stop> {
        let key = spec.offer.key();
        let token = token_key(cloud, spec);
        let known = self.state.tokens.contains_key(&token);
        let fate = self.gate(cloud, Call::Provision, &seen(&key), known)?;
        let result = match self.replay(cloud, spec, &token)? {
            Some(replayed) => replayed,
            None => self.create(cloud, spec, &key, token)?,
        };
        match fate {
            Fate::Normal => Ok(result),
            Fate::LostAfter => Err(refusal::lost().into()),
            Fate::HangAfter => Err(Stop::Hang),
        }
    }

    /// What the token made before, if it was used.
    fn replay(
        &self,
        cloud: &Cloud,
        spec: &ProvisionSpec,
        token: &str,
    ) -> Result<Option<ProvisionResult>, ProviderError> {
        let Some(used) = self.state.tokens.get(token) else { return Ok(None) };
        if used.parameters != parameters(spec) {
            return Err(refusal::conflict(cloud.habits));
        }
        let handles = used.numbers.iter().filter_map(|number| self.state.instances.get(number));
        let handles = handles.map(Instance::handle).collect();
        Ok(Some(ProvisionResult { handles, replayed: true, simulated: true }))
    }

    fn create(
        &mut self,
        cloud: &Cloud,
        spec: &ProvisionSpec,
        key: &OfferKey,
        token: String,
    ) -> Result<ProvisionResult, ProviderError> {
        check(cloud, spec, key)?;
        let set_aside;
        let item = if key.reservation.is_some() {
            set_aside = self.out_of_reservation(cloud, key, u64::from(spec.instances))?;
            &set_aside
        } else {
            cloud
                .find(&key.region, &key.zone, &key.instance_type, key.kind)
                .ok_or_else(|| refusal::config("Unsupported", &format!("{key} is not for sale")))?
        };
        let price = self.price(cloud, item, spec)?;
        self.check_limits(cloud, spec, key, item)?;
        let changes = self.new_instances(cloud, spec, key, item, price, token);
        let handles = changes
            .iter()
            .filter_map(
                |change| if let Change::Created(instance) = change { Some(instance.handle()) } else { None },
            )
            .collect();
        self.commit(changes).map_err(|error| refusal::storage(&error))?;
        Ok(ProvisionResult { handles, replayed: false, simulated: true })
    }

    /// The quoted price while it holds, the price of the moment otherwise.
    fn price(
        &self,
        cloud: &Cloud,
        item: &Item,
        spec: &ProvisionSpec,
    ) -> Result<PerInstanceHour, ProviderError> {
        let now = self.state.clock;
        let age_s = now.duration_since(spec.offer.as_of).as_secs();
        let held = (0..PRICE_HELD_S).contains(&age_s)
            && self.price_at(cloud, item, spec.offer.as_of) == Some(spec.price);
        let price = if held { Some(spec.price) } else { self.price_at(cloud, item, now) };
        let Some(price) = price else {
            return Err(refusal::config(
                "PriceUnknown",
                "the catalog has no price for this, so it cannot be billed",
            ));
        };
        match spec.price_ceiling {
            Some(ceiling) if price.0.exceeds(ceiling) => {
                let what = format!("it costs {} an hour, over the ceiling of {ceiling}", price.0);
                Err(refusal::config("SpotMaxPriceTooLow", &what))
            }
            _ => Ok(price),
        }
    }

    /// What one instance costs for an hour at `at`: as recorded, or as the catalog and its walk say.
    pub(crate) fn price_at(&self, cloud: &Cloud, item: &Item, at: Timestamp) -> Option<PerInstanceHour> {
        match self.recorded_price(cloud, item) {
            Some(series) => series.price_at(self.state.start, at),
            None => item.walk_at(self.state.seed, at),
        }
    }

    /// When the price that holds at `at` began to hold.
    pub(crate) fn price_since(&self, cloud: &Cloud, item: &Item, at: Timestamp) -> Timestamp {
        match self.recorded_price(cloud, item) {
            Some(series) => series.since(self.state.start, at),
            None => item.walk_since(at),
        }
    }

    fn recorded_price(&self, cloud: &Cloud, item: &Item) -> Option<&PriceSeries> {
        // What is paid for costs nothing more, whatever a recording says of the market.
        if item.is_paid() {
            return None;
        }
        let at = Seen {
            provider: &cloud.id,
            region: Some(&item.region),
            zone: Some(&item.zone),
            instance_type: Some(&item.shape.instance_type),
            kind: Some(item.kind),
        };
        self.script.prices.iter().find(|rule| rule.at.matches(&at)).map(|rule| &rule.series)
    }

    fn check_limits(
        &self,
        cloud: &Cloud,
        spec: &ProvisionSpec,
        key: &OfferKey,
        item: &Item,
    ) -> Result<(), ProviderError> {
        let count = u64::from(spec.instances);
        if let Some(cost) = item.quota.as_ref().filter(|_| !self.script.no_quotas) {
            let limit = self.quota_limit(cloud, &item.region, &cost.family);
            let used = self.state.quota_used(&cloud.id, &item.region, &cost.family);
            let need = cost.units_per_instance.saturating_mul(count);
            if need > limit.saturating_sub(used) {
                let what =
                    format!("{} in {}: {used} of {limit} used, {need} more wanted", cost.family, item.region);
                return Err(refusal::quota(cloud.habits, key.kind, &what));
            }
        }
        if self.room(item, key).is_some_and(|room| count > room) {
            return Err(refusal::no_stock(cloud.habits, &key.to_string()));
        }
        let total = self.state.live_total().saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        if total > LIVE_MAX {
            let what = format!("the simulated clouds hold at most {LIVE_MAX} instances");
            return Err(refusal::quota(cloud.habits, key.kind, &what));
        }
        Ok(())
    }

    fn new_instances(
        &self,
        cloud: &Cloud,
        spec: &ProvisionSpec,
        key: &OfferKey,
        item: &Item,
        price: PerInstanceHour,
        token: String,
    ) -> Vec<Change> {
        let (now, seed, first) = (self.state.clock, self.state.seed, self.state.next_number);
        let mut changes = vec![Change::Calls { so_far: self.state.calls }];
        let numbers: Vec<u64> = (first..first + u64::from(spec.instances)).collect();
        let lag = i64::try_from(cloud.consistency_ms).unwrap_or(i64::MAX);
        for number in &numbers {
            let slack = chance::below(seed, &["boot"], *number, u64::from(item.start_delay_s / 8 + 1));
            let boot_s = i64::from(item.start_delay_s) + i64::try_from(slack).unwrap_or(0);
            changes.push(Change::Created(Box::new(Instance {
                number: *number,
                id: format!("{}{:012x}", cloud.prefix, chance::distinct_48(seed, *number)),
                token: token.clone(),
                key: key.clone(),
                tags: spec.tags.clone(),
                price,
                quota: item.quota.clone(),
                launched_at: whole_second(now),
                running_at: later(now, boot_s),
                visible_at: now.saturating_add(SignedDuration::from_millis(lag)).unwrap_or(now),
                ended_at: None,
                gone_at: None,
                reclaimed: false,
                doom: None,
            })));
            match self.end_of_block(cloud, key) {
                Some(doom) => changes.push(Change::Doomed { number: *number, doom }),
                None => self.add_doom(&mut changes, key, item, *number),
            }
        }
        changes.push(Change::Token { key: token, parameters: parameters(spec), numbers });
        changes
    }

    /// Decides at creation whether and when an instance is taken back.
    fn add_doom(&self, changes: &mut Vec<Change>, key: &OfferKey, item: &Item, number: u64) {
        let at = seen(key);
        for (index, rule) in self.script.reclaims.iter().enumerate() {
            if !rule.at.matches(&at) || (rule.at.kind.is_none() && !can_be_reclaimed(key.kind)) {
                continue;
            }
            let count_key = format!("reclaim-{index}-{}", rule.after_s);
            let fired = self.state.fired.get(&count_key).copied().unwrap_or(0);
            let now_too =
                changes.iter().filter(|c| matches!(c, Change::Fired { rule } if *rule == count_key)).count();
            let so_far = usize::try_from(fired).unwrap_or(usize::MAX).saturating_add(now_too);
            if rule.times.is_some_and(|times| so_far >= usize::try_from(times).unwrap_or(usize::MAX)) {
                continue;
            }
            changes.push(Change::Fired { rule: count_key });
            let doom = Doom::new(self.state.clock, rule.after_s, rule.notice);
            changes.push(Change::Doomed { number, doom });
            return;
        }
        if self.script.chances.reclaims && can_be_reclaimed(key.kind) {
            let seed = self.state.seed;
            let takes = |hour: &u64| {
                let what = ["reclaim", &hour.to_string()];
                chance::happens(seed, &what, number, item.reclaim_bp_per_hour)
            };
            if let Some(hour) = (0..RECLAIM_HOURS_MAX).find(takes) {
                let after_s = hour * 3_600 + chance::below(seed, &["reclaim-second"], number, 3_600);
                let notice = match chance::below(seed, &["reclaim-notice"], number, 10) {
                    0 => Notice::Never,
                    1 => Notice::Late,
                    2 => Notice::Twice,
                    _ => Notice::Before,
                };
                let after_s = u32::try_from(after_s).unwrap_or(u32::MAX);
                changes.push(Change::Doomed { number, doom: Doom::new(self.state.clock, after_s, notice) });
            }
        }
    }
}

fn check(cloud: &Cloud, spec: &ProvisionSpec, key: &OfferKey) -> Result<(), ProviderError> {
    if key.provider != cloud.id {
        return Err(refusal::config("InvalidParameterValue", &format!("the offer is of {}", key.provider)));
    }
    if spec.instances == 0 || spec.instances > INSTANCES_MAX {
        let what = format!("{} instances; allowed are 1 to {INSTANCES_MAX}", spec.instances);
        return Err(refusal::config("InvalidParameterValue", &what));
    }
    let long = |text: &String| text.len() > TAG_BYTES_MAX;
    if spec.tags.len() > TAGS_MAX
        || spec.tags.iter().any(|(name, value)| name.is_empty() || long(name) || long(value))
    {
        let what = format!("at most {TAGS_MAX} tags, each name and value up to {TAG_BYTES_MAX} bytes");
        return Err(refusal::config("InvalidTag", &what));
    }
    Ok(())
}

/// Where a token counts: in one zone on `sim-aws`, as on EC2, where it must be expected to launch again in another zone;
/// in the whole project on `sim-gcp`, where it is a UUID.
fn token_key(cloud: &Cloud, spec: &ProvisionSpec) -> String {
    match cloud.habits {
        Habits::Aws => format!("{}/{}/{}", cloud.id, spec.offer.zone, spec.token.as_str()),
        Habits::Gcp => format!("{}/{}", cloud.id, spec.token.as_uuid()),
        Habits::Rack => format!("{}/{}", cloud.id, spec.token.as_str()),
    }
}

/// A fingerprint of everything that must be the same when a token is used again. The deadline and the age of the quote
/// are not in it: they differ when an intent is repeated after a crash.
fn parameters(spec: &ProvisionSpec) -> String {
    let all = (spec.offer.key(), spec.instances, &spec.tags, &spec.user_data_ref, spec.price_ceiling);
    let text = serde_json::to_vec(&all).unwrap_or_default();
    blake3::hash(&text).to_hex().to_string()
}
