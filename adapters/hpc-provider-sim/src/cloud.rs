//! The three clouds: where they have machines, what those cost there, and which quotas count them.

use hpc_resources::{
    AcceleratorModel, Accelerators, Bytes, Currency, InstanceType, MilliCpu, Money, OfferKind,
    PerInstanceHour, ProviderId, QuotaCost, QuotaFamily, Region, ZoneId,
};
use jiff::Timestamp;

use crate::catalog::{CatalogReport, Shape, Shapes};
use crate::chance;
use crate::config::RackNodes;
use crate::error::SimError;

/// Prices may move this often, in seconds.
pub(crate) const PRICE_STEP_S: i64 = 300;
/// Steps between two points of the price walk that are drawn.
const STEPS_PER_POINT: i64 = 12;
/// How far spot prices stray from their middle, in hundredths of a percent.
const WALK_BP: i64 = 300;

/// Which cloud's habits to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habits {
    /// vCPU quotas per family; tokens are compared within one zone only.
    Aws,
    /// Quotas per GPU model; request ids are compared over the whole project.
    Gcp,
    /// Machines of one's own: no quota, no spot, a long start.
    Rack,
}

/// A zone and the middle of its spot price, in hundredths of a percent of the on-demand price.
type Zone = (&'static str, i64);
/// A region, what it costs against the first one in hundredths of a percent, and its zones.
type Place = (&'static str, i64, &'static [Zone]);

const AWS: &[Place] = &[
    ("us-east-1", 10_000, &[("use1-az1", 4_380), ("use1-az2", 4_750), ("use1-az4", 4_800)]),
    ("us-east-2", 10_000, &[("use2-az1", 4_700), ("use2-az2", 4_900)]),
    ("us-west-2", 10_000, &[("usw2-az1", 4_200), ("usw2-az2", 4_300)]),
    ("eu-west-1", 11_100, &[("euw1-az1", 5_200), ("euw1-az2", 5_400)]),
];
const GCP: &[Place] = &[
    ("us-central1", 10_000, &[("us-central1-a", 2_450), ("us-central1-c", 3_000)]),
    ("us-east4", 10_300, &[("us-east4-b", 3_050)]),
    ("europe-west4", 11_500, &[("europe-west4-b", 3_100)]),
];

/// One thing on the shelf: a shape in one zone, bought in one way.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) region: Region,
    pub(crate) zone: ZoneId,
    pub(crate) kind: OfferKind,
    pub(crate) shape: Shape,
    pub(crate) quota: Option<QuotaCost>,
    pub(crate) start_delay_s: u32,
    pub(crate) reclaim_bp_per_hour: u32,
    /// Machines that exist; `None` for as many as anyone wants.
    pub(crate) stock: Option<u64>,
    /// Price before the walk.
    base: Option<Money>,
    /// Whether the price walks.
    walks: bool,
}

/// One simulated cloud. Immutable: what happens in it is in the state.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) id: ProviderId,
    pub(crate) habits: Habits,
    /// What its instance ids begin with.
    pub(crate) prefix: &'static str,
    pub(crate) items: Vec<Item>,
    pub(crate) report: CatalogReport,
    pub(crate) consistency_ms: u64,
    /// Default limit of every quota.
    pub(crate) quota_limit: u64,
}

impl Cloud {
    pub(crate) fn aws(shapes: Shapes, consistency_ms: u64) -> Result<Self, SimError> {
        let items = market(AWS, &shapes, |shape, kind| {
            let family = aws_family(shape.instance_type.as_str(), kind)?;
            Some((family, shape.cpu.0 / 1_000))
        })?;
        Ok(Self {
            id: provider("sim-aws")?,
            habits: Habits::Aws,
            prefix: "i-sim-",
            items,
            report: shapes.report,
            consistency_ms,
            quota_limit: 3_840, // vCPUs: twenty p5.48xlarge
        })
    }

    pub(crate) fn gcp(shapes: Shapes, consistency_ms: u64) -> Result<Self, SimError> {
        let items = market(GCP, &shapes, |shape, kind| {
            let accelerators = shape.accelerators?;
            Some((gcp_family(accelerators.model, kind), u64::from(accelerators.count)))
        })?;
        Ok(Self {
            id: provider("sim-gcp")?,
            habits: Habits::Gcp,
            prefix: "gce-sim-",
            items,
            report: shapes.report,
            consistency_ms,
            quota_limit: 128, // devices
        })
    }

    pub(crate) fn rack(nodes: &[RackNodes]) -> Result<Self, SimError> {
        let text = format!("{nodes:?}");
        let items = nodes.iter().map(rack_item).collect::<Vec<Item>>();
        let report = CatalogReport {
            name: "rack inventory".to_owned(),
            snapshot: blake3::hash(text.as_bytes()).to_hex().to_string(),
            rows_used: u64::try_from(items.len()).unwrap_or(u64::MAX),
            prices_unknown: 0,
            rows_refused: 0,
            refused: Vec::new(),
        };
        Ok(Self {
            id: provider("sim-rack")?,
            habits: Habits::Rack,
            prefix: "rack-sim-",
            items,
            report,
            consistency_ms: 0,
            quota_limit: 0,
        })
    }

    pub(crate) fn find(
        &self,
        region: &Region,
        zone: &ZoneId,
        instance_type: &InstanceType,
        kind: OfferKind,
    ) -> Option<&Item> {
        self.items.iter().find(|item| {
            item.kind == kind
                && item.zone == *zone
                && item.region == *region
                && item.shape.instance_type == *instance_type
        })
    }
}

impl Item {
    /// The same machine where it is set aside: nothing more to pay, no quota, and only so many.
    pub(crate) fn set_aside(&self, kind: OfferKind, instances: u64) -> Self {
        let nothing = self.base.map_or(Money::ZERO_USD, |price| Money::from_nanos(0, price.currency()));
        Self {
            kind,
            quota: None,
            reclaim_bp_per_hour: 0,
            stock: Some(instances),
            base: Some(nothing),
            walks: false,
            ..self.clone()
        }
    }

    /// Whether it is paid for already.
    pub(crate) fn is_paid(&self) -> bool {
        matches!(self.kind, OfferKind::Reserved | OfferKind::Block)
    }

    /// The price of one instance at `at` where no recording says it: a pure function of the seed and the time.
    pub(crate) fn walk_at(&self, seed: u64, at: Timestamp) -> Option<PerInstanceHour> {
        let base = self.base?;
        if !self.walks {
            return Some(PerInstanceHour(base));
        }
        let step = at.as_second().div_euclid(PRICE_STEP_S);
        let (point, between) = (step.div_euclid(STEPS_PER_POINT), step.rem_euclid(STEPS_PER_POINT));
        let what = [self.zone.as_str(), self.shape.instance_type.as_str()];
        let span = u64::try_from(2 * WALK_BP + 1).unwrap_or(1);
        let drawn = |point: i64| {
            let draw = chance::below(seed, &what, u64::from_ne_bytes(point.to_ne_bytes()), span);
            i64::try_from(draw).unwrap_or(0) - WALK_BP
        };
        let stray =
            (drawn(point) * (STEPS_PER_POINT - between) + drawn(point + 1) * between) / STEPS_PER_POINT;
        scaled(base, 10_000 + stray).map(PerInstanceHour)
    }

    /// When the price that the walk has at `at` began to hold.
    pub(crate) fn walk_since(&self, at: Timestamp) -> Timestamp {
        let second = at.as_second().div_euclid(PRICE_STEP_S) * PRICE_STEP_S;
        Timestamp::from_second(second).unwrap_or(at)
    }
}

fn provider(id: &str) -> Result<ProviderId, SimError> {
    ProviderId::parse(id).map_err(|error| SimError::Script { what: error.to_string() })
}

/// `money` times `bp` hundredths of a percent, cut to four decimals as price lists are, and never zero.
fn scaled(money: Money, bp: i64) -> Option<Money> {
    const FOUR_DECIMALS: i128 = 100_000;
    let nanos = i128::from(money.nanos()) * i128::from(bp) / 10_000;
    let cut = (nanos / FOUR_DECIMALS * FOUR_DECIMALS).max(FOUR_DECIMALS);
    i64::try_from(cut).ok().map(|nanos| Money::from_nanos(nanos, money.currency()))
}

fn market(
    places: &[Place],
    shapes: &Shapes,
    quota: impl Fn(&Shape, OfferKind) -> Option<(&'static str, u64)>,
) -> Result<Vec<Item>, SimError> {
    let bad = |error: hpc_resources::IdError| SimError::Script { what: error.to_string() };
    let mut items = Vec::new();
    for shape in &shapes.shapes {
        for (region, region_bp, zones) in places {
            let list = shape.on_demand.and_then(|price| scaled(price, *region_bp));
            for (zone, spot_bp) in *zones {
                for kind in [OfferKind::OnDemand, OfferKind::Spot] {
                    let spot = kind == OfferKind::Spot;
                    if !(if spot { shape.sells_spot } else { shape.sells_on_demand }) {
                        continue;
                    }
                    let quota = match quota(shape, kind) {
                        Some((family, units_per_instance)) => Some(QuotaCost {
                            family: QuotaFamily::parse(family).map_err(bad)?,
                            units_per_instance,
                        }),
                        None => None,
                    };
                    items.push(Item {
                        region: Region::parse(*region).map_err(bad)?,
                        zone: ZoneId::parse(*zone).map_err(bad)?,
                        kind,
                        shape: shape.clone(),
                        quota,
                        // Large machines take longer to come up.
                        start_delay_s: if shape.cpu.0 >= 96_000 { 120 } else { 60 },
                        reclaim_bp_per_hour: if spot { 300 } else { 0 },
                        stock: None,
                        base: if spot { list.and_then(|price| scaled(price, *spot_bp)) } else { list },
                        walks: spot,
                    });
                }
            }
        }
    }
    Ok(items)
}

fn rack_item(nodes: &RackNodes) -> Item {
    Item {
        region: nodes.region.clone(),
        zone: nodes.zone.clone(),
        kind: OfferKind::Owned,
        shape: Shape {
            instance_type: nodes.instance_type.clone(),
            accelerators: Some(Accelerators {
                model: nodes.model,
                count: nodes.devices.max(1),
                memory_each: nodes.memory_each,
            }),
            cpu: MilliCpu::whole(nodes.vcpus),
            memory: nodes.memory,
            on_demand: Some(nodes.rate),
            sells_on_demand: false,
            sells_spot: false,
        },
        quota: None,
        start_delay_s: nodes.start_delay_s,
        reclaim_bp_per_hour: 0,
        stock: Some(u64::from(nodes.nodes)),
        base: Some(nodes.rate),
        walks: false,
    }
}

/// The EC2 quota that counts a type's vCPUs. Spot and on-demand are counted apart.
///
/// EC2 counts P5 spot apart from P2 to P4 spot; here both are one family. `None` for types whose quota is not modelled.
fn aws_family(instance_type: &str, kind: OfferKind) -> Option<&'static str> {
    let spot = kind == OfferKind::Spot;
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| instance_type.starts_with(prefix));
    Some(match (instance_type, spot) {
        _ if starts(&["dl"]) => {
            if spot {
                "L-85EED4F7"
            } else {
                "L-6E869C2A"
            }
        }
        _ if starts(&["trn", "inf"]) => return None,
        _ if starts(&["p"]) => {
            if spot {
                "L-7212CCBC"
            } else {
                "L-417A185B"
            }
        }
        _ if starts(&["g", "vt"]) => {
            if spot {
                "L-3819A6DF"
            } else {
                "L-DB2E81BA"
            }
        }
        _ => return None,
    })
}

/// The GCE quota that counts a model's devices; spot counts as preemptible.
fn gcp_family(model: AcceleratorModel, kind: OfferKind) -> &'static str {
    match (model.as_str(), kind == OfferKind::Spot) {
        ("h100", true) => "PREEMPTIBLE_NVIDIA_H100_GPUS",
        ("h100", false) => "NVIDIA_H100_GPUS",
        ("h200", true) => "PREEMPTIBLE_NVIDIA_H200_GPUS",
        ("h200", false) => "NVIDIA_H200_GPUS",
        ("b200", true) => "PREEMPTIBLE_NVIDIA_B200_GPUS",
        ("b200", false) => "NVIDIA_B200_GPUS",
        ("a100-80gb", true) => "PREEMPTIBLE_NVIDIA_A100_80GB_GPUS",
        ("a100-80gb", false) => "NVIDIA_A100_80GB_GPUS",
        ("a100-40gb", true) => "PREEMPTIBLE_NVIDIA_A100_GPUS",
        ("a100-40gb", false) => "NVIDIA_A100_GPUS",
        ("l4", true) => "PREEMPTIBLE_NVIDIA_L4_GPUS",
        ("l4", false) => "NVIDIA_L4_GPUS",
        (_, true) => "PREEMPTIBLE_GPUS",
        (_, false) => "GPUS",
    }
}

/// The racks that are there when nobody says otherwise: four nodes of 8 x H100 and two of 8 x A100.
pub(crate) fn default_racks() -> Vec<RackNodes> {
    let nodes = |zone: &str, name: &str, model: &str, count: u32, memory_mib: u64, rate: i64| {
        Some(RackNodes {
            region: Region::parse("onprem-1").ok()?,
            zone: ZoneId::parse(zone).ok()?,
            instance_type: InstanceType::parse(name).ok()?,
            model: AcceleratorModel::parse(model).ok()?,
            devices: 8,
            memory_each: Bytes::from_mib(memory_mib),
            vcpus: 192,
            memory: Bytes::from_mib(2_097_152),
            nodes: count,
            rate: Money::from_nanos(rate, Currency::USD),
            start_delay_s: 4_200,
        })
    };
    [
        nodes("rack-07", "hgx-h100", "h100", 4, 81_920, 19_600_000_000),
        nodes("rack-03", "dgx-a100", "a100-80gb", 2, 81_920, 9_800_000_000),
    ]
    .into_iter()
    .flatten()
    .collect()
}
