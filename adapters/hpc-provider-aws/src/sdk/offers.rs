//! Quotes: what is offered where, and at which price right now.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{InstanceType as Ec2Type, LocationType, SpotPrice as Ec2SpotPrice};
use futures_util::future::try_join_all;
use hpc_provider::{
    Certainty, ErrorKind, ProviderError, Quote, QuoteRequest, Result, Scope, SpotPrice, SpotPrices,
};
use hpc_resources::{
    InstanceType, Offer, OfferKind, PerInstanceHour, QuotaCost, QuotaFamily, Region, StockHint, ZoneId,
};
use jiff::{SignedDuration, Timestamp};

use crate::facts::{Shape, shape};
use crate::price::{OnDemandPrice, price};
use crate::quota;

use super::client::{RegionClient, Zones, filter, pages};
use super::map;
use super::provider::AwsProvider;

/// How far back `check_spot_prices` looks.
const SPOT_HISTORY: SignedDuration = SignedDuration::from_hours(6);
/// The products whose spot price is that of a Linux instance. Windows has another, in the same list.
const PRODUCTS: [&str; 2] = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"];

impl AwsProvider {
    pub(crate) async fn offers(&self, request: &QuoteRequest) -> Result<Quote> {
        let QuoteRequest { request, now } = request;
        let ours = request.providers().is_empty() || request.providers().contains(&self.config.provider);
        let wanted = self.regions.iter().filter(|(region, _)| {
            ours && (request.regions().is_empty() || request.regions().contains(*region))
        });
        let found = try_join_all(wanted.map(|(_, client)| self.offers_in(client, *now))).await?;
        let mut offers: Vec<Offer> = found.into_iter().flatten().collect();
        let model = request.accelerators().map(|(model, _)| model);
        offers.retain(|offer| {
            offer.accelerators.map(|have| have.model) == model
                && (request.kinds().is_empty() || request.kinds().contains(&offer.kind))
        });
        offers.sort_by_cached_key(Offer::key);
        let snapshot = snapshot(&offers);
        for offer in &mut offers {
            offer.snapshot.clone_from(&snapshot);
        }
        Ok(Quote { provider: self.config.provider.clone(), snapshot, as_of: *now, offers, truncated: false })
    }

    async fn offers_in(&self, client: &RegionClient, now: Timestamp) -> Result<Vec<Offer>> {
        let places = self.places(client).await?;
        let zones = client.zones().await?;
        let set_aside = self.set_aside(client, zones, now).await?;
        // What is sold by block only may have no offering in the market, and has a shape all the same.
        let reserved = set_aside.iter().map(|(instance_type, ..)| instance_type);
        let types: BTreeSet<InstanceType> = places.keys().chain(reserved).cloned().collect();
        let types: Vec<InstanceType> = types.into_iter().collect();
        if types.is_empty() {
            return Ok(Vec::new());
        }
        let region = &client.config.region;
        let (shapes, spot, on_demand) = tokio::try_join!(
            self.shapes(client, &types),
            self.spot_now(client, zones, &types, now),
            self.prices.on_demand(region, &types, now),
        )?;
        let mut offers = self.offers_set_aside(client, set_aside, &shapes, &on_demand, now);
        for (instance_type, in_zones) in &places {
            // A type that is no offer of whole devices is left out, and is not an offer of none.
            let Some(shape) = shapes.get(instance_type) else { continue };
            for zone in in_zones {
                for kind in &shape.kinds {
                    let (price, as_of) = match kind {
                        OfferKind::Spot => (spot.get(&(instance_type.clone(), zone.clone())).copied(), now),
                        _ => priced(on_demand.get(instance_type), now),
                    };
                    offers.push(self.offer(region, zone, instance_type, (shape, *kind), (price, as_of)));
                }
            }
        }
        Ok(offers)
    }

    pub(crate) fn offer(
        &self,
        region: &Region,
        zone: &ZoneId,
        instance_type: &InstanceType,
        (shape, kind): (&Shape, OfferKind),
        (price, as_of): (Option<PerInstanceHour>, Timestamp),
    ) -> Offer {
        let spot = kind == OfferKind::Spot;
        let family = quota::family(instance_type.as_str(), spot);
        let quota = family.and_then(|family| {
            let units_per_instance = shape.vcpus.into();
            Some(QuotaCost { family: QuotaFamily::parse(family.code).ok()?, units_per_instance })
        });
        Offer {
            provider: self.config.provider.clone(),
            region: region.clone(),
            zone: zone.clone(),
            instance_type: instance_type.clone(),
            kind,
            accelerators: shape.accelerators,
            cpu: shape.cpu,
            memory: shape.memory,
            price,
            as_of,
            snapshot: String::new(),
            stock: StockHint::Unknown,
            quota,
            start_delay_s: self.config.start_delay_s,
            reclaim_bp_per_hour: if spot { self.config.spot_reclaim_bp_per_hour } else { 0 },
            simulated: false,
            reservation: None,
            run_max_s: None,
        }
    }

    /// In which zones each of our types is offered. Asked first: a type that a region does not have fails the question
    /// for its shape.
    async fn places(&self, client: &RegionClient) -> Result<BTreeMap<InstanceType, BTreeSet<ZoneId>>> {
        let names = self.config.instance_types.iter().map(InstanceType::as_str);
        let by_name = filter("instance-type", names);
        let offerings = pages!(
            client,
            client
                .ec2
                .describe_instance_type_offerings()
                .location_type(LocationType::AvailabilityZoneId)
                .filters(by_name.clone()),
            instance_type_offerings
        );
        let mut places: BTreeMap<InstanceType, BTreeSet<ZoneId>> = BTreeMap::new();
        for offering in &offerings {
            let instance_type =
                offering.instance_type().and_then(|name| InstanceType::parse(name.as_str()).ok());
            let zone = offering.location().and_then(|zone| ZoneId::parse(zone).ok());
            if let (Some(instance_type), Some(zone)) = (instance_type, zone)
                && self.config.instance_types.contains(&instance_type)
            {
                places.entry(instance_type).or_default().insert(zone);
            }
        }
        Ok(places)
    }

    /// The shapes of these types, asked for by name; one that is no offer of whole devices is left out.
    pub(crate) async fn shapes(
        &self,
        client: &RegionClient,
        types: &[InstanceType],
    ) -> Result<BTreeMap<InstanceType, Shape>> {
        let mut shapes = BTreeMap::new();
        for part in types.chunks(crate::config::TYPES_MAX) {
            let names: Vec<Ec2Type> = part.iter().map(|name| Ec2Type::from(name.as_str())).collect();
            let infos = pages!(
                client,
                client.ec2.describe_instance_types().set_instance_types(Some(names.clone())),
                instance_types
            );
            for facts in infos.iter().filter_map(map::facts) {
                if let (Ok(name), Ok(shape)) =
                    (InstanceType::parse(facts.instance_type.as_str()), shape(&facts))
                {
                    shapes.insert(name, shape);
                }
            }
        }
        Ok(shapes)
    }

    /// The spot price that holds now, by type and zone.
    async fn spot_now(
        &self,
        client: &RegionClient,
        zones: &Zones,
        types: &[InstanceType],
        now: Timestamp,
    ) -> Result<BTreeMap<(InstanceType, ZoneId), PerInstanceHour>> {
        let mut newest: BTreeMap<(InstanceType, ZoneId), (Timestamp, PerInstanceHour)> = BTreeMap::new();
        // From now to now: EC2 then answers the price that holds, which may be days old.
        for point in spot_points(client, types, (now, now)).await? {
            let Some(point) = read(zones, &point) else { continue };
            let place = (point.instance_type, point.zone);
            let newer = newest
                .get(&place)
                .is_none_or(|(at, price)| (point.at, point.price.0.nanos()) > (*at, price.0.nanos()));
            if newer && point.at <= now {
                newest.insert(place, (point.at, point.price));
            }
        }
        Ok(newest.into_iter().map(|(place, (_, price))| (place, price)).collect())
    }

    pub(crate) async fn spot_history(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        let named = |what: &str, why: String| {
            ProviderError::new(ErrorKind::Config, Scope::Region, Certainty::NotDone, what, &why)
        };
        let instance_type =
            InstanceType::parse(instance_type).map_err(|error| named("InstanceType", error.to_string()))?;
        let region = Region::parse(region).map_err(|error| named("Region", error.to_string()))?;
        let client = self.client(&region)?;
        let now = (self.clock)();
        let from = now.saturating_sub(SPOT_HISTORY).unwrap_or(now);
        let found = spot_points(client, std::slice::from_ref(&instance_type), (from, now)).await?;
        let zones = client.zones().await?;
        // Two products may tell one price twice.
        let points: BTreeMap<(Timestamp, ZoneId), PerInstanceHour> = found
            .iter()
            .filter_map(|point| read(zones, point))
            .filter(|point| point.instance_type == instance_type)
            .map(|point| ((point.at, point.zone), point.price))
            .collect();
        let prices = points.into_iter().map(|((at, zone), price)| SpotPrice { zone, price, at }).collect();
        Ok(SpotPrices { instance_type, region, prices, simulated: false })
    }
}

pub(crate) fn priced(price: Option<&OnDemandPrice>, now: Timestamp) -> (Option<PerInstanceHour>, Timestamp) {
    match price {
        Some(OnDemandPrice { price, as_of }) if price.0.nanos() > 0 => (Some(*price), (*as_of).min(now)),
        _ => (None, now),
    }
}

async fn spot_points(
    client: &RegionClient,
    types: &[InstanceType],
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Ec2SpotPrice>> {
    let types: Vec<Ec2Type> = types.iter().map(|name| Ec2Type::from(name.as_str())).collect();
    let products: Vec<String> = PRODUCTS.map(str::to_owned).to_vec();
    Ok(pages!(
        client,
        client
            .ec2
            .describe_spot_price_history()
            .set_instance_types(Some(types.clone()))
            .set_product_descriptions(Some(products.clone()))
            .start_time(DateTime::from_secs(from.as_second()))
            .end_time(DateTime::from_secs(to.as_second())),
        spot_price_history
    ))
}

struct Point {
    instance_type: InstanceType,
    zone: ZoneId,
    price: PerInstanceHour,
    at: Timestamp,
}

/// A point that can be used: a product we asked for, a zone we know, a price above zero.
fn read(zones: &Zones, point: &Ec2SpotPrice) -> Option<Point> {
    if !PRODUCTS.contains(&point.product_description()?.as_str()) {
        return None;
    }
    let zone = match point.availability_zone_id() {
        Some(id) => ZoneId::parse(id).ok()?,
        None => zones.id(point.availability_zone()?)?,
    };
    Some(Point {
        instance_type: InstanceType::parse(point.instance_type()?.as_str()).ok()?,
        zone,
        price: price(point.spot_price()?)?,
        at: map::time(point.timestamp()?)?,
    })
}

/// Content hash of what is offered: the same offers, the same hash.
fn snapshot(offers: &[Offer]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("hpc-foundation 2026-11 aws quote v1");
    for offer in offers {
        let price = offer.price.map_or(-1, |price| price.0.nanos());
        let line = format!("{} {price} {} {} {}\n", offer.key(), offer.as_of, offer.cpu.0, offer.memory.0);
        hasher.update(line.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
