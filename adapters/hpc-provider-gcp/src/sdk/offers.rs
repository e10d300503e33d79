//! Quotes: what is offered where, and what is known of its price.

use std::collections::{BTreeMap, BTreeSet};

use hpc_provider::{
    Certainty, ErrorKind, ProviderError, Quote, QuoteRequest, Result, Scope, SpotPrice, SpotPrices,
};
use hpc_resources::{
    Currency, InstanceType, Money, Offer, OfferKind, PerInstanceHour, QuotaCost, QuotaFamily, Region,
    StockHint, ZoneId,
};
use jiff::Timestamp;

use crate::machine::{Machine, Shape};
use crate::names;
use crate::price::KnownPrice;
use crate::quota::{self, Counted};

use super::client::{named, pages};
use super::map;
use super::provider::GcpProvider;

/// One type in one zone.
struct Place {
    zone: ZoneId,
    region: Region,
    instance_type: InstanceType,
    machine: Machine,
    shape: Shape,
}

impl GcpProvider {
    pub(crate) async fn offers(&self, request: &QuoteRequest) -> Result<Quote> {
        let QuoteRequest { request, now } = request;
        let ours = request.providers().is_empty() || request.providers().contains(&self.config.provider);
        let wanted =
            |region: &Region| ours && (request.regions().is_empty() || request.regions().contains(region));
        let regions: Vec<&Region> =
            self.config.regions.iter().map(|config| &config.region).filter(|region| wanted(region)).collect();
        let (mut places, whole) = if regions.is_empty() {
            (Vec::new(), true)
        } else {
            self.places(&self.config.instance_types).await?
        };
        places.retain(|place| wanted(&place.region) && self.config.at(place.zone.as_str()).is_some());
        let types: Vec<InstanceType> = self.config.instance_types.iter().cloned().collect();
        let (set_aside, all_told) =
            if places.is_empty() { (Vec::new(), true) } else { self.set_aside().await? };
        let mut offers = Vec::new();
        for region in regions {
            let here = || places.iter().filter(|place| place.region == *region);
            if here().next().is_none() {
                continue;
            }
            let prices = self.prices.prices(region, &types, *now).await?;
            for place in here() {
                let flex = self.config.flex_run_max_s.filter(|_| place.machine.sells_flex());
                for kind in place.machine.kinds().iter().copied().chain(flex.map(|_| OfferKind::Flex)) {
                    let price = prices.get(&(place.instance_type.clone(), kind));
                    offers.push(self.offer(place, kind, price, *now));
                }
                // What is paid for costs nothing more, in the currency of everything else.
                let currency = prices.values().next().map_or(Currency::USD, |known| known.price.0.currency());
                let here = set_aside.iter().filter(|(zone, instance_type, _)| {
                    (zone, instance_type) == (&place.zone, &place.instance_type)
                });
                offers.extend(here.map(|(.., reservation)| Offer {
                    price: Some(PerInstanceHour(Money::from_nanos(0, currency))),
                    stock: if reservation.left > 0 { StockHint::Likely } else { StockHint::Unlikely },
                    // The reservation itself takes the quota, used or not.
                    quota: None,
                    reservation: Some(Box::new(reservation.clone())),
                    ..self.offer(place, OfferKind::Reserved, None, *now)
                }));
            }
        }
        let model = request.accelerators().map(|(model, _)| model);
        offers.retain(|offer: &Offer| {
            offer.accelerators.map(|have| have.model) == model
                && (request.kinds().is_empty() || request.kinds().contains(&offer.kind))
        });
        offers.sort_by_cached_key(Offer::key);
        let snapshot = snapshot(&offers);
        for offer in &mut offers {
            offer.snapshot.clone_from(&snapshot);
        }
        let provider = self.config.provider.clone();
        Ok(Quote { provider, snapshot, as_of: *now, offers, truncated: !(whole && all_told) })
    }

    fn offer(&self, place: &Place, kind: OfferKind, price: Option<&KnownPrice>, now: Timestamp) -> Offer {
        let spot = kind == OfferKind::Spot;
        let Place { shape, machine, .. } = place;
        let price = price.filter(|price| price.price.0.nanos() > 0);
        let devices = shape.accelerators.map_or(0, |have| have.count);
        let flex = kind == OfferKind::Flex;
        // Flex-start is counted as spot is.
        let counted = quota::of(&machine.machine_type, shape.device.as_deref(), spot || flex);
        let (family, units) = match counted {
            Some(Counted::Devices(family)) => (Some(family), devices),
            Some(Counted::Cpus(family)) => (Some(family), shape.vcpus),
            None => (None, 0),
        };
        let family = family.and_then(|family| QuotaFamily::parse(family).ok());
        Offer {
            provider: self.config.provider.clone(),
            region: place.region.clone(),
            zone: place.zone.clone(),
            instance_type: place.instance_type.clone(),
            kind,
            accelerators: shape.accelerators,
            cpu: shape.cpu,
            memory: shape.memory,
            price: price.map(|price| price.price),
            as_of: price.map_or(now, |price| price.as_of.min(now)),
            snapshot: String::new(),
            stock: StockHint::Unknown,
            quota: family.map(|family| QuotaCost { family, units_per_instance: units.into() }),
            start_delay_s: self.config.start_delay_s,
            reclaim_bp_per_hour: if spot { self.config.spot_reclaim_bp_per_hour } else { 0 },
            simulated: false,
            reservation: None,
            run_max_s: self.config.flex_run_max_s.filter(|_| flex).map(u64::from),
        }
    }

    /// In which zones these types are there, and of what they are made. One that is no offer of whole devices is left out.
    async fn places(&self, types: &BTreeSet<InstanceType>) -> Result<(Vec<Place>, bool)> {
        let machines: Vec<(&InstanceType, Machine)> =
            types.iter().filter_map(|name| Some((name, Machine::parse(name).ok()?))).collect();
        let (cards, cards_whole) = self.cards(&machines).await?;
        let bases: BTreeSet<&str> =
            machines.iter().map(|(_, machine)| machine.machine_type.as_str()).collect();
        let filter = named(bases);
        let call = || {
            let call = self.clients.machine_types.aggregated_list().set_project(&self.config.project);
            call.set_filter(&filter).set_max_results(self.config.page_entries)
        };
        let found = pages!(self, call(), machine_types);
        let mut places = Vec::new();
        for (zone, machine_type) in &found.entries {
            let (Some(zone_id), Some(region)) = (names::zone_id(zone), names::region_of(zone)) else {
                continue;
            };
            let facts = map::facts(machine_type);
            for (instance_type, machine) in &machines {
                if machine_type.name.as_ref() != Some(&machine.machine_type) {
                    continue;
                }
                let most = machine
                    .added
                    .as_ref()
                    .and_then(|(device, _)| cards.get(&(zone.clone(), device.clone())).copied());
                let Ok(shape) = machine.shape(&facts, most) else { continue };
                places.push(Place {
                    zone: zone_id.clone(),
                    region: region.clone(),
                    instance_type: (*instance_type).clone(),
                    machine: machine.clone(),
                    shape,
                });
            }
        }
        Ok((places, found.whole && cards_whole))
    }

    /// How many devices of a type may be added to one machine, by zone and type.
    async fn cards(
        &self,
        machines: &[(&InstanceType, Machine)],
    ) -> Result<(BTreeMap<(String, String), i64>, bool)> {
        let added = machines.iter().filter_map(|(_, machine)| machine.added.as_ref());
        let devices: BTreeSet<&str> = added.map(|(device, _)| device.as_str()).collect();
        if devices.is_empty() {
            return Ok((BTreeMap::new(), true));
        }
        let filter = named(devices);
        let call = || {
            let call = self.clients.accelerator_types.aggregated_list().set_project(&self.config.project);
            call.set_filter(&filter).set_max_results(self.config.page_entries)
        };
        let found = pages!(self, call(), accelerator_types);
        let card = |(zone, device): (String, google_cloud_compute_v1::model::AcceleratorType)| {
            Some(((zone, device.name?), device.maximum_cards_per_instance?.into()))
        };
        Ok((found.entries.into_iter().filter_map(card).collect(), found.whole))
    }

    /// What the source of prices says, in each zone that has the type: Compute Engine tells no spot price, and no history.
    pub(crate) async fn spot_now(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        let named = |what: &str, why: String| {
            ProviderError::new(ErrorKind::Config, Scope::Region, Certainty::NotDone, what, &why)
        };
        let instance_type =
            InstanceType::parse(instance_type).map_err(|error| named("InstanceType", error.to_string()))?;
        Machine::parse(&instance_type).map_err(|error| named("InstanceType", error.to_string()))?;
        let region = Region::parse(region).map_err(|error| named("Region", error.to_string()))?;
        if !self.config.regions.iter().any(|config| config.region == region) {
            let message = format!("the region `{region}` is not among this provider's");
            return Err(named("UnknownRegion", message));
        }
        let now = (self.clock)();
        let known = self.prices.prices(&region, std::slice::from_ref(&instance_type), now).await?;
        let known =
            known.get(&(instance_type.clone(), OfferKind::Spot)).filter(|price| price.price.0.nanos() > 0);
        let mut prices = Vec::new();
        if let Some(KnownPrice { price, as_of }) = known {
            let (places, _) = self.places(&BTreeSet::from([instance_type.clone()])).await?;
            let here =
                |place: &Place| place.region == region && self.config.at(place.zone.as_str()).is_some();
            let point = |place: Place| SpotPrice { zone: place.zone, price: *price, at: (*as_of).min(now) };
            prices.extend(places.into_iter().filter(here).map(point));
        }
        Ok(SpotPrices { instance_type, region, prices, simulated: false })
    }
}

/// Content hash of what is offered: the same offers, the same hash.
fn snapshot(offers: &[Offer]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("hpc-foundation 2026-11 gcp quote v1");
    for offer in offers {
        let price = offer.price.map_or(-1, |price| price.0.nanos());
        let line = format!("{} {price} {} {} {}\n", offer.key(), offer.as_of, offer.cpu.0, offer.memory.0);
        hasher.update(line.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
