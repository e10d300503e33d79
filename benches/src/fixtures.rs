//! Inputs that several measurements share. All of them are made by counting, so that every run has the same.

use std::fmt::Write as _;

use hpc_audit::{Entry, Outcome};
use hpc_policy::{EvaluationContext, PolicySet, Principal, Resource};
use hpc_resources::{
    AcceleratorModel, Accelerators, Bytes, Catalog, Currency, Facts, InstanceType, MilliCpu, Money, Offer,
    OfferKind, PerInstanceHour, PlanId, PlanInput, ProviderId, RankWeights, Region, RequestId,
    ResourceRequest, StockHint, ZoneId,
};
use hpc_timeseries::Point;
use hpc_types::telemetry::v1::MetricBatch;
use hpc_types::telemetry_helpers::GpuMetricBuilder;
use jiff::Timestamp;

use crate::Result;

/// The time at which everything here happens: 2026-11-01, in seconds since 1970.
pub const START_S: i64 = 1_793_491_200;

/// [`START_S`] as a timestamp.
///
/// # Errors
/// Never: it is a valid time.
pub fn start() -> Result<Timestamp> {
    Ok(Timestamp::from_second(START_S)?)
}

/// How the rules of [`policies`] differ from each other. All allow, and all are for at most 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Each has a resource type and action of its own.
    OwnAction,
    /// One resource type and action; each has a role of its own.
    Role,
    /// One resource type, action and role; each has a pattern of resource ids of its own.
    Resource,
    /// One scope for all; each compares an attribute with a string of its own. There is nothing to index.
    Comparison,
    /// One scope for all; each matches an attribute with a pattern of its own. There is nothing to index.
    Pattern,
}

impl Spread {
    /// Those where the index finds the rules that count, then those where it cannot.
    pub const ALL: [Self; 5] = [Self::OwnAction, Self::Role, Self::Resource, Self::Comparison, Self::Pattern];

    /// In a few words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::OwnAction => "own type and action each",
            Self::Role => "told apart by role",
            Self::Resource => "told apart by resource pattern",
            Self::Comparison => "told apart by a comparison alone",
            Self::Pattern => "told apart by a pattern alone",
        }
    }

    /// Whether the index tells the rules apart.
    #[must_use]
    pub fn is_indexed(self) -> bool {
        !matches!(self, Self::Comparison | Self::Pattern)
    }
}

/// What one rule is about.
#[derive(Debug)]
pub struct Scope {
    /// Resource type.
    pub kind: String,
    /// Action.
    pub action: String,
    /// Role of those it is for.
    pub role: String,
    /// The pool of its resources: `<kind>/<pool>/*`.
    pub pool: String,
    /// What `context.project` must be, if that is how rules are told apart.
    pub project: Option<String>,
    /// What `context.image` must match, if that is how rules are told apart: `<image>/**`.
    pub image: Option<String>,
}

/// The scope of one rule.
#[must_use]
pub fn scope(rule: usize, spread: Spread) -> Scope {
    let mut scope = Scope {
        kind: "gpu".to_owned(),
        action: "capacity.request".to_owned(),
        role: "gpu-user".to_owned(),
        pool: "shared".to_owned(),
        project: None,
        image: None,
    };
    match spread {
        Spread::OwnAction => {
            scope.kind = format!("kind-{}", rule / 100);
            scope.action = format!("do.a{}", rule % 100);
            scope.role = format!("role-{rule}");
        }
        Spread::Role => scope.role = format!("role-{rule}"),
        Spread::Resource => scope.pool = format!("pool-{rule}"),
        Spread::Comparison => scope.project = Some(format!("project-{rule}")),
        Spread::Pattern => scope.image = Some(format!("images/team-{rule}")),
    }
    scope
}

/// Documents of up to 100 rules each, `rules` in all.
///
/// # Errors
/// Never: writing to memory.
pub fn policies(rules: usize, spread: Spread) -> Result<Vec<(String, String)>> {
    let mut documents = Vec::new();
    for first in (0..rules).step_by(100) {
        let name = format!("p{}", first / 100);
        let mut text = format!(
            "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {{name: {name}}}\nspec:\n  rules:\n"
        );
        for rule in first..rules.min(first + 100) {
            let Scope { kind, action, role, pool, project, image } = scope(rule, spread);
            let mut conditions = "{attribute: context.hours, op: lte, value: 24}".to_owned();
            if let Some(project) = project {
                write!(conditions, ", {{attribute: context.project, op: eq, value: {project}}}")?;
            }
            if let Some(image) = image {
                write!(conditions, ", {{attribute: context.image, op: glob, value: \"{image}/**\"}}")?;
            }
            write!(
                text,
                "    - name: r{rule}\n      effect: allow\n      principals: [{{type: role, value: {role}}}]\n      \
                 resources: [{{type: {kind}, pattern: \"{kind}/{pool}/*\"}}]\n      actions: [{action}]\n      \
                 conditions: [{conditions}]\n"
            )?;
        }
        documents.push((format!("{name}.yaml"), text));
    }
    Ok(documents)
}

/// A set of [`policies`].
///
/// # Errors
/// Never: the documents are valid.
pub fn policy_set(rules: usize, spread: Spread) -> Result<PolicySet> {
    PolicySet::parse_documents(policies(rules, spread)?)
        .map_err(|errors| errors.first().map_or_else(String::new, ToString::to_string).into())
}

/// A question that one rule of [`policies`] allows: the one numbered `rule`.
#[must_use]
pub fn question(rule: usize, spread: Spread) -> EvaluationContext {
    let Scope { kind, action, role, pool, project, image } = scope(rule, spread);
    let asker = Principal::user("alice").with_role(role).with_role("staff").with_team("ml");
    let what = Resource::new(kind.as_str(), format!("{kind}/{pool}/h100"));
    let mut asked = EvaluationContext::new(asker, what, action).with_attribute("context.hours", 8);
    if let Some(project) = project {
        asked = asked.with_attribute("context.project", project);
    }
    match image {
        Some(image) => asked.with_attribute("context.image", format!("{image}/train")),
        None => asked,
    }
}

/// The rules that 64 questions in turn are about, spread over all: so that not one answer alone stays in the cache.
#[must_use]
pub fn asked_rules(rules: usize) -> Vec<usize> {
    let questions = rules.clamp(1, 64);
    (0..questions).map(|question| question * rules / questions).collect()
}

/// `count` offers over four providers, fifty zones each, and every known accelerator model, or one alone.
///
/// # Errors
/// Never: the names are valid.
pub fn offers(count: usize, only: Option<AcceleratorModel>) -> Result<Vec<Offer>> {
    let models: Vec<AcceleratorModel> = match only {
        Some(model) => vec![model],
        None => AcceleratorModel::all().collect(),
    };
    let as_of = start()?;
    (0..count)
        .map(|n| {
            // A fixed stirring of n, so that price and place have nothing to do with each other.
            let stirred = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            let kind = if n % 2 == 0 { OfferKind::OnDemand } else { OfferKind::Spot };
            let cents = 500 + i64::try_from(stirred % 9_500)?;
            let model = models.get(n % models.len()).copied().unwrap_or(AcceleratorModel::H100);
            Ok(Offer {
                provider: ProviderId::parse(format!("cloud-{}", n % 4))?,
                region: Region::parse(format!("region-{}", n / 4 % 25))?,
                zone: ZoneId::parse(format!("region-{}-az{}", n / 4 % 25, n / 100 % 2))?,
                instance_type: InstanceType::parse(format!("type-{}", n / 200))?,
                kind,
                accelerators: Some(Accelerators { model, count: 8, memory_each: Bytes::from_mib(81_920) }),
                cpu: MilliCpu::whole(192),
                memory: Bytes::from_mib(2_097_152),
                price: Some(PerInstanceHour(Money::from_nanos(cents * 10_000_000, Currency::USD))),
                as_of,
                snapshot: String::new(),
                stock: if stirred.is_multiple_of(10) { StockHint::Unlikely } else { StockHint::Likely },
                quota: None,
                start_delay_s: u32::try_from(30 + stirred % 300)?,
                reclaim_bp_per_hour: u32::try_from(stirred % 700)?,
                simulated: true,
                reservation: None,
                run_max_s: None,
            })
        })
        .collect()
}

/// Eight H100 for two hours.
///
/// # Errors
/// Never: the request is valid.
pub fn eight_h100() -> Result<ResourceRequest> {
    Ok(ResourceRequest::new("job").add_gpu_nvidia_h100(8).with_duration_s(7_200).build()?)
}

/// Facts that are in nobody's way.
pub struct NothingInTheWay;

impl Facts for NothingInTheWay {
    fn policy(&self, _offer: &Offer, _hourly: Money) -> std::result::Result<(), (String, String)> {
        Ok(())
    }

    fn quota(&self, _offer: &Offer) -> Option<(u64, u64)> {
        None
    }

    fn stock_out(&self, _offer: &Offer) -> Option<hpc_resources::StockOut> {
        None
    }
}

/// What a plan over `catalog` is made from.
///
/// # Errors
/// Never: [`START_S`] is a valid time.
pub fn plan_input<'a>(
    request: &'a ResourceRequest,
    catalog: &'a Catalog,
    facts: &'a dyn Facts,
) -> Result<PlanInput<'a>> {
    Ok(PlanInput {
        plan_id: PlanId::from_bits(1),
        request_id: RequestId::from_bits(2),
        request,
        catalog,
        unavailable: &[],
        facts,
        headroom: None,
        weights: RankWeights::default(),
        now: start()?,
        valid_for_s: 300,
    })
}

/// An audit entry whose encoding has exactly so many bytes.
///
/// # Errors
/// When it cannot be so short, or is longer than an entry may be.
pub fn entry_of(number: usize, bytes: usize) -> Result<Entry> {
    let bare = Entry::new(format!("e{number:012}"), start()?, "user/you", "intent.recorded", Outcome::Ok);
    let short = bare.clone().with("text", "").encode()?.len();
    let text = "x".repeat(bytes.checked_sub(short).ok_or("an entry cannot be so short")?);
    Ok(bare.with("text", text))
}

/// An audit entry as the broker writes them, about 400 bytes long.
///
/// # Errors
/// Never: [`START_S`] is a valid time.
pub fn entry(number: usize) -> Result<Entry> {
    let id = format!("int_{number:026}/intent.recorded");
    Ok(Entry::new(id, start()?, "spiffe://dev.hpc.internal/user/you", "intent.recorded", Outcome::Ok)
        .subject("lease", format!("lse_{number:026}"))
        .subject("intent", format!("int_{number:026}"))
        .subject("plan", format!("pln_{number:026}"))
        .with("offer", "sim-gcp/us-central1/us-central1-a/a3-highgpu-8g/spot")
        .with("price_nanousd_per_hour", 24_100_000_000_i64)
        .with("instances", 1)
        .dev(true)
        .simulated(true))
}

/// One round of `series` GPUs at `second` after [`START_S`]: a point each, with one field.
#[must_use]
pub fn gpu_points(series: std::ops::Range<usize>, second: usize) -> Vec<Point> {
    let ts_ns = (START_S + second as i64) * 1_000_000_000;
    series
        .map(|gpu| {
            Point::new("gpu", ts_ns)
                .tag("node", format!("node-{:04}", gpu / 8))
                .tag("gpu", format!("gpu-{}", gpu % 8))
                .field("utilization_ratio", utilization(gpu, second))
        })
        .collect()
}

/// A duty cycle in whole percent that holds for a while and then moves, as those of jobs do.
fn utilization(gpu: usize, second: usize) -> f64 {
    let phase = (gpu * 7 + second / 30) % 11;
    let busy = [0, 0, 93, 95, 97, 97, 99, 100, 64, 12, 3].get(phase).copied().unwrap_or(0);
    f64::from((busy + u32::try_from((gpu + second / 10) % 3).unwrap_or(0)).min(100)) / 100.0
}

/// A batch of `gpus` metrics with nine values each, as an agent of a node sends it.
///
/// # Errors
/// Never: the metrics are valid.
pub fn batch(node: &str, gpus: usize, sequence: usize) -> Result<MetricBatch> {
    let at = Timestamp::from_second(START_S + i64::try_from(sequence)?)?;
    let gpu = (0..gpus)
        .map(|gpu| {
            let wave = ((gpu * 31 + sequence * 17) % 200) as f64;
            Ok(GpuMetricBuilder::new(node, format!("gpu-{gpu}"))
                .observed_at(at)
                .utilization((wave / 2.0).floor())
                .sm_activity((wave / 3.0).floor())
                .memory_bytes(60_000_000_000 + (wave as u64) * 2_097_152, 85_520_809_984)
                .temperature(40.0 + (wave / 8.0).floor())
                .memory_temperature(45.0 + (wave / 9.0).floor())
                .power(300.0 + wave)
                .energy(1_000_000.0 + (sequence * 350) as f64)
                .sm_clock_mhz(1_980)
                .try_build()?)
        })
        .collect::<Result<_>>()?;
    Ok(MetricBatch { node_id: node.to_owned(), sequence: sequence as u64 + 1, gpu, ..MetricBatch::default() })
}

/// Values in one metric of [`batch`].
pub const VALUES_PER_METRIC: usize = 9;
