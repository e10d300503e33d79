//! What goes wrong, and when: scripts are data, so that a story can be named, kept and told again.

use hpc_resources::{InstanceType, OfferKind, ProviderId, QuotaFamily, Region, ReservationId, ZoneId};
use serde::{Deserialize, Serialize};

use crate::error::SimError;
use crate::prices::PriceSeries;
use crate::trace::SpotTrace;

/// Most rules of each kind in one script.
pub const RULES_MAX: usize = 256;

/// A place or a set of places: what is left out matches everything.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Where {
    /// The provider.
    pub provider: Option<ProviderId>,
    /// The region.
    pub region: Option<Region>,
    /// The zone.
    pub zone: Option<ZoneId>,
    /// The machine type.
    pub instance_type: Option<InstanceType>,
    /// The way of buying.
    pub kind: Option<OfferKind>,
}

/// The calls of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// `get_quote`.
    Quote,
    /// `provision`.
    Provision,
    /// `check_spot_prices`.
    SpotPrices,
    /// `observe`.
    Observe,
    /// `release`.
    Release,
    /// `list_owned`.
    ListOwned,
    /// `quotas`.
    Quotas,
    /// `interruptions`.
    Interruptions,
}

/// What a rule does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// No stock, although the quote said otherwise.
    StockOut,
    /// A quota that nobody showed.
    QuotaExceeded,
    /// Too many calls; try again after this many milliseconds.
    Throttled {
        /// How long to wait, in milliseconds.
        retry_after_ms: u64,
    },
    /// The credential is refused.
    Auth,
    /// A code that nobody has seen before.
    Internal,
    /// The call never arrives; the caller cannot know.
    LostBefore,
    /// The call is carried out, and its answer is lost.
    LostAfter,
    /// The call never arrives, and never answers.
    HangBefore,
    /// The call is carried out, and never answers.
    HangAfter,
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which call.
    pub call: Call,
    /// Where. A call that has no zone, type or kind matches only rules that name none.
    #[serde(default)]
    pub at: Where,
    /// What happens.
    pub effect: Effect,
    /// How many matching calls pass before it happens.
    #[serde(default)]
    pub skip: u32,
    /// How many times it happens; `None` for always.
    #[serde(default)]
    pub times: Option<u32>,
}

/// A quota other than the built-in one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaRule {
    /// The provider.
    pub provider: ProviderId,
    /// The region; `None` for all.
    #[serde(default)]
    pub region: Option<Region>,
    /// The family; `None` for all.
    #[serde(default)]
    pub family: Option<QuotaFamily>,
    /// The limit, in the family's units.
    pub limit: u64,
}

/// How a reclaim is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notice {
    /// Once, two minutes before.
    Before,
    /// Twice, two minutes before.
    Twice,
    /// After it happened.
    Late,
    /// Never: only the instance's state shows it.
    Never,
}

/// Instances that the provider takes back some time after they were created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReclaimRule {
    /// Which instances. On-demand and owned ones only when `kind` names them.
    #[serde(default)]
    pub at: Where,
    /// How long after their creation, in seconds.
    pub after_s: u32,
    /// How it is announced.
    pub notice: Notice,
    /// How many instances; `None` for all.
    #[serde(default)]
    pub times: Option<u32>,
}

/// Availability from a recording. What no longer fits is reclaimed, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceRule {
    /// For which offers; each of them has the whole room for itself.
    #[serde(default)]
    pub at: Where,
    /// The recording. It begins at the world's start.
    pub trace: SpotTrace,
    /// How the reclaims are announced.
    pub notice: Notice,
}

/// Prices from a recording, instead of those of the catalog and its walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceRule {
    /// For which offers.
    #[serde(default)]
    pub at: Where,
    /// The recording. It begins at the world's start.
    pub series: PriceSeries,
}

/// Capacity that is set aside and paid for: an offer of its own, which costs nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReservationRule {
    /// Its name, which no other of the provider has.
    pub id: ReservationId,
    /// The provider, one that rents out machines.
    pub provider: ProviderId,
    /// The zone.
    pub zone: ZoneId,
    /// The machine type, one that is sold there on demand.
    pub instance_type: InstanceType,
    /// `reserved`, or `block`: that one has an end, and takes its instances back then, announced two minutes before.
    #[serde(default = "reserved")]
    pub kind: OfferKind,
    /// How many instances it has room for.
    pub instances: u32,
    /// How many of them others have already, which no offer shows: it looks free, and is full when it is asked.
    #[serde(default)]
    pub hidden: u32,
    /// When it begins, in seconds after the world's start.
    #[serde(default)]
    pub from_s: u32,
    /// When it ends, in seconds after the world's start; `None` for never. What runs in a `reserved` one then runs on, and
    /// costs nothing still, where a real cloud would charge for it from then on.
    #[serde(default)]
    pub to_s: Option<u32>,
}

const fn reserved() -> OfferKind {
    OfferKind::Reserved
}

/// Chances in hundredths of a percent per call, drawn from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chances {
    /// `provision`: no stock.
    pub stock_out_bp: u32,
    /// `provision` and `release`: the call never arrives.
    pub lost_before_bp: u32,
    /// `provision` and `release`: carried out, the answer is lost.
    pub lost_after_bp: u32,
    /// Any call: a code that nobody has seen before.
    pub internal_bp: u32,
    /// Whether spot instances are reclaimed with the chance per hour that their offers state.
    pub reclaims: bool,
}

/// A token bucket on the virtual clock, for each provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Calls that may come at once.
    pub burst: u32,
    /// Calls per second after that.
    pub refill_per_s: u32,
}

/// A script. The default one lets everything go well.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Rules, the first that matches a call counts.
    pub rules: Vec<Rule>,
    /// Quotas, the last that matches counts.
    pub quotas: Vec<QuotaRule>,
    /// Whether there are no quotas at all.
    pub no_quotas: bool,
    /// Reclaims, the first that matches a new instance counts.
    pub reclaims: Vec<ReclaimRule>,
    /// Recorded availability, the first that matches counts.
    pub traces: Vec<TraceRule>,
    /// Recorded prices, the first that matches counts.
    pub prices: Vec<PriceRule>,
    /// Capacity that is set aside.
    pub reservations: Vec<ReservationRule>,
    /// Chance.
    pub chances: Chances,
    /// Rate limit of each provider.
    pub throttle: Option<Throttle>,
}

/// The names of the built-in stories.
pub const STORIES: [&str; 6] = ["none", "stock-out", "quota", "lost-answer", "spot-reclaim", "reservation"];

impl Script {
    /// A built-in story by name, one of [`STORIES`].
    ///
    /// In every story the P spot quota of `sim-aws` in `us-west-2` is zero, and `sim-gcp` in `europe-west4` is dear.
    /// - `none`: nothing else goes wrong.
    /// - `stock-out`, the default of the demo: the cheapest zone looks in stock, and has none when it is asked.
    /// - `quota`: that zone answers a quota failure that `quotas` did not show.
    /// - `lost-answer`: that zone creates the instance, and the answer is lost once.
    /// - `spot-reclaim`: `stock-out`, and ten minutes after the first `sim-aws` spot start the instance is taken back,
    ///   announced two minutes before.
    /// - `reservation`: `stock-out`, and `sim-aws` has two things that are paid for: a block for a day that looks free and is
    ///   full, and a reservation with room for two.
    ///
    /// # Errors
    /// [`SimError::Script`] for a name that is not in the list.
    pub fn named(name: &str) -> Result<Self, SimError> {
        let mut script = Self { quotas: vec![zero_spot_quota()?], ..Self::default() };
        let rule = |effect, times| -> Result<Rule, SimError> {
            Ok(Rule { call: Call::Provision, at: cheapest_spot()?, effect, skip: 0, times })
        };
        match name {
            "none" => {}
            "stock-out" => script.rules.push(rule(Effect::StockOut, None)?),
            "quota" => script.rules.push(rule(Effect::QuotaExceeded, None)?),
            "lost-answer" => script.rules.push(rule(Effect::LostAfter, Some(1))?),
            "spot-reclaim" => {
                script.rules.push(rule(Effect::StockOut, None)?);
                let at =
                    Where { provider: Some(id("sim-aws")?), kind: Some(OfferKind::Spot), ..Where::default() };
                script.reclaims.push(ReclaimRule {
                    at,
                    after_s: 600,
                    notice: Notice::Before,
                    times: Some(1),
                });
            }
            "reservation" => {
                script.rules.push(rule(Effect::StockOut, None)?);
                script.reservations = paid_for()?;
            }
            other => {
                let shown: String = other.chars().take(40).collect();
                let what = format!("unknown story `{shown}`; the stories are {}", STORIES.join(", "));
                return Err(SimError::Script { what });
            }
        }
        Ok(script)
    }

    /// Adds a place that has no stock from now on, although it looks as if it had.
    #[must_use]
    pub fn fill(
        mut self,
        provider: &ProviderId,
        zone: &ZoneId,
        instance_type: &InstanceType,
        kind: OfferKind,
    ) -> Self {
        let at = Where {
            provider: Some(provider.clone()),
            zone: Some(zone.clone()),
            instance_type: Some(instance_type.clone()),
            kind: Some(kind),
            region: None,
        };
        self.rules.push(Rule { call: Call::Provision, at, effect: Effect::StockOut, skip: 0, times: None });
        self
    }

    pub(crate) fn check(&self) -> Result<(), SimError> {
        let counts = [
            ("rules", self.rules.len()),
            ("quotas", self.quotas.len()),
            ("reclaims", self.reclaims.len()),
            ("traces", self.traces.len()),
            ("prices", self.prices.len()),
            ("reservations", self.reservations.len()),
        ];
        if let Some((what, have)) = counts.into_iter().find(|(_, have)| *have > RULES_MAX) {
            let what = format!("a script has at most {RULES_MAX} {what}, this one has {have}");
            return Err(SimError::Script { what });
        }
        self.reservations.iter().try_for_each(|rule| rule.check(&self.reservations))?;
        self.traces.iter().try_for_each(|rule| rule.trace.check())
    }
}

impl Where {
    pub(crate) fn matches(&self, seen: &Seen<'_>) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, have: Option<&T>) -> bool {
            wanted.is_none() || wanted == have
        }
        fits(self.provider.as_ref(), Some(seen.provider))
            && fits(self.region.as_ref(), seen.region)
            && fits(self.zone.as_ref(), seen.zone)
            && fits(self.instance_type.as_ref(), seen.instance_type)
            && fits(self.kind.as_ref(), seen.kind.as_ref())
    }
}

/// What is known of a call or an instance when a script looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) provider: &'a ProviderId,
    pub(crate) region: Option<&'a Region>,
    pub(crate) zone: Option<&'a ZoneId>,
    pub(crate) instance_type: Option<&'a InstanceType>,
    pub(crate) kind: Option<OfferKind>,
}

impl<'a> Seen<'a> {
    pub(crate) fn provider(provider: &'a ProviderId) -> Self {
        Self { provider, region: None, zone: None, instance_type: None, kind: None }
    }
}

fn id(text: &str) -> Result<ProviderId, SimError> {
    ProviderId::parse(text).map_err(bad)
}

fn bad(error: hpc_resources::IdError) -> SimError {
    SimError::Script { what: error.to_string() }
}

fn zero_spot_quota() -> Result<QuotaRule, SimError> {
    Ok(QuotaRule {
        provider: id("sim-aws")?,
        region: Some(Region::parse("us-west-2").map_err(bad)?),
        family: Some(QuotaFamily::parse("L-7212CCBC").map_err(bad)?),
        limit: 0,
    })
}

fn paid_for() -> Result<Vec<ReservationRule>, SimError> {
    let rule = |id: &str, zone: &str, kind, hidden, to_s| -> Result<ReservationRule, SimError> {
        Ok(ReservationRule {
            id: ReservationId::parse(id).map_err(bad)?,
            provider: self::id("sim-aws")?,
            zone: ZoneId::parse(zone).map_err(bad)?,
            instance_type: InstanceType::parse("p5.48xlarge").map_err(bad)?,
            kind,
            instances: 2,
            hidden,
            from_s: 0,
            to_s,
        })
    };
    Ok(vec![
        rule("cr-sim-block", "use1-az2", OfferKind::Block, 2, Some(86_400))?,
        rule("cr-sim-open", "use1-az1", OfferKind::Reserved, 0, None)?,
    ])
}

fn cheapest_spot() -> Result<Where, SimError> {
    Ok(Where {
        provider: Some(id("sim-gcp")?),
        zone: Some(ZoneId::parse("us-central1-a").map_err(bad)?),
        instance_type: Some(InstanceType::parse("a3-highgpu-8g").map_err(bad)?),
        kind: Some(OfferKind::Spot),
        region: None,
    })
}
