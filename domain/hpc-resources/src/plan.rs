//! The pure plan: which offers to try in which order, and why every other one was left out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::budget::account::Shortfall;
use crate::budget::accounts::Refused;
use crate::catalog::Catalog;
use crate::ids::{PlanId, ProviderId, QuotaFamily, RequestId};
use crate::money::{Money, MoneyError, PerInstanceHour};
use crate::offer::{Offer, OfferKey, OfferKind, StockHint};
use crate::request::ResourceRequest;
use crate::stock::StockOut;

/// Most offers a plan keeps to try, in order.
pub const ATTEMPTS_MAX: usize = 16;
/// Most excluded offers of one reason that a plan spells out; all are counted.
pub const EXCLUSIONS_SHOWN_MAX: usize = 8;
/// The rule that a [`Exclusion::Policy`] names when no rule denies, but none allows either.
pub const DEFAULT_DENY: &str = "default";
/// Candidates sorted in one go.
const SORTED_AT_ONCE: usize = 256;

/// Why an offer is not in the plan: a closed set, each with what it has, what is needed, and what would include it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Exclusion {
    /// A policy rule denies it.
    Policy {
        /// The rule, as `document/rule`.
        rule: String,
        /// What the rule says.
        message: String,
    },
    /// It costs more per hour than the request allows.
    Price {
        /// Price of all instances for an hour.
        hourly: Money,
        /// The limit.
        limit: Money,
    },
    /// Its price is unknown, which is never taken for free; or it is a zero of something that is not paid for already.
    PriceUnknown,
    /// It costs more in all than the request or the team's budget allows.
    Budget {
        /// Cost for the whole duration.
        total: Money,
        /// What is left.
        limit: Money,
    },
    /// It does not fit under the limits of those who would pay.
    Budgets {
        /// Every limit in the way; empty when the currency is.
        budgets: Vec<Shortfall>,
        /// The same in words.
        message: String,
    },
    /// The quota would be exceeded.
    Quota {
        /// The family.
        family: QuotaFamily,
        /// Units needed.
        need: u64,
        /// Units free.
        free: u64,
        /// The limit.
        limit: u64,
    },
    /// It was out of stock a moment ago, for this request or another.
    Stock {
        /// When it is worth another try.
        until: Timestamp,
        /// What was seen; `None` in plans from before this was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<Box<StockOut>>,
    },
    /// The reservation has no room for all of it.
    ReservationFull {
        /// Instances needed.
        need: u32,
        /// Instances it has room for.
        left: u32,
    },
    /// The capacity is not there for the whole time.
    Window {
        /// When it begins, if it has not begun.
        opens_at: Option<Timestamp>,
        /// When it ends, if that is too early.
        ends_at: Option<Timestamp>,
        /// Until when it is needed.
        need_until: Timestamp,
    },
    /// The request names other regions.
    Region,
    /// The request names other providers.
    Provider,
    /// The request accepts other ways of buying.
    Kind,
    /// The machine is too small, or too many instances would be needed.
    Shape {
        /// What is missing.
        need: String,
    },
    /// The provider did not answer, so nothing of it is offered.
    ProviderDown {
        /// What happened, in our words.
        message: String,
    },
    /// Enough better offers are in the plan already.
    Rank,
}

impl Exclusion {
    /// The reason's name: what exclusions are grouped by.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Policy { .. } => "policy",
            Self::Price { .. } => "price",
            Self::PriceUnknown => "price-unknown",
            Self::Budget { .. } => "budget",
            Self::Budgets { .. } => "budgets",
            Self::Quota { .. } => "quota",
            Self::Stock { .. } => "stock",
            Self::ReservationFull { .. } => "reservation-full",
            Self::Window { .. } => "window",
            Self::Region => "region",
            Self::Provider => "provider",
            Self::Kind => "kind",
            Self::Shape { .. } => "shape",
            Self::ProviderDown { .. } => "provider-down",
            Self::Rank => "rank",
        }
    }

    /// What would include the offer.
    #[must_use]
    pub fn knob(&self) -> String {
        match self {
            Self::Policy { rule, .. } if rule == DEFAULT_DENY => "a policy rule that allows it".to_owned(),
            Self::Policy { rule, .. } => format!("ask the owner of rule {rule}, or choose what it allows"),
            Self::Price { hourly, .. } => format!("max_hourly: {hourly}"),
            Self::PriceUnknown => "a catalog that states the price".to_owned(),
            Self::Budget { total, .. } => {
                format!("a limit of {total}, a shorter duration, or a larger budget")
            }
            Self::Budgets { budgets, .. } => {
                match budgets.iter().filter_map(|short| short.budget.resets_at).min() {
                    Some(at) => format!("a larger budget, less, a shorter duration, or a wait until {at}"),
                    None => "a larger budget, less, or a shorter duration".to_owned(),
                }
            }
            Self::Quota { family, need, .. } => format!("a quota for {family} with {need} free"),
            Self::Stock { until, .. } => format!("ask again after {until}"),
            Self::ReservationFull { left, .. } => {
                format!("ask for what fits into {left} instances, or wait until some are given back")
            }
            Self::Window { opens_at: Some(at), ends_at: None, .. } => format!("ask again after {at}"),
            Self::Window { ends_at: Some(at), .. } => format!("a shorter duration, over by {at}"),
            Self::Window { .. } => "a shorter duration".to_owned(),
            Self::Region => "add its region to `regions`, or leave `regions` out".to_owned(),
            Self::Provider => "add it to `providers`, or leave `providers` out".to_owned(),
            Self::Kind => "add its kind to `kinds`, or leave `kinds` out".to_owned(),
            Self::Shape { .. } => "ask for less, or raise `instances_max`".to_owned(),
            Self::ProviderDown { .. } => "check the provider: `hpc doctor`".to_owned(),
            Self::Rank => "nothing: it is dearer or riskier than what is in the plan".to_owned(),
        }
    }
}

/// One excluded offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// Which offer; for a provider that did not answer, only its name is known.
    pub offer: String,
    /// Why.
    #[serde(flatten)]
    pub why: Exclusion,
    /// What would include it.
    pub included_by: String,
}

/// What one offer's place in the order is made of; smaller totals come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Score {
    /// The sum, in nano-units per hour: what the offer costs plus what its drawbacks are taken to cost.
    pub total_nanos: i64,
    /// Price of all instances per hour.
    pub price_nanos: i64,
    /// For the wait until it starts.
    pub wait_nanos: i64,
    /// For the chance that it is reclaimed.
    pub reclaim_nanos: i64,
    /// For stock that the provider calls unlikely.
    pub stock_nanos: i64,
}

/// What drawbacks cost, in hundredths of a percent of the hourly price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankWeights {
    /// Per minute of expected start delay.
    pub wait_bp_per_minute: u32,
    /// Per percent chance of reclaim in an hour.
    pub reclaim_bp_per_percent: u32,
    /// When stock is unlikely.
    pub unlikely_stock_bp: u32,
}

impl Default for RankWeights {
    /// 0.5 % per minute of wait, 1 % per percent of reclaim chance, 15 % for unlikely stock.
    fn default() -> Self {
        Self { wait_bp_per_minute: 50, reclaim_bp_per_percent: 100, unlikely_stock_bp: 1_500 }
    }
}

/// One offer to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The offer as it was quoted.
    pub offer: Offer,
    /// The quote's frozen price of one instance per hour.
    pub price: PerInstanceHour,
    /// How many instances are needed.
    pub instances: u32,
    /// All instances for one hour.
    pub hourly: Money,
    /// All instances for the whole duration, rounded up.
    pub total: Money,
    /// Why it stands where it stands.
    pub score: Score,
}

/// A plan: nothing is created or spent by making one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// The request it answers.
    pub request_id: RequestId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops being valid (half open).
    pub expires_at: Timestamp,
    /// How long the lease lasts, in seconds.
    pub duration_s: u64,
    /// What to try, in this order. Empty when nothing can be offered.
    pub attempts: Vec<Attempt>,
    /// How many offers were left out, by reason.
    pub excluded_counts: BTreeMap<String, u64>,
    /// Some of them, spelt out: at most [`EXCLUSIONS_SHOWN_MAX`] of each reason.
    pub excluded: Vec<Excluded>,
    /// The dearest attempt for the whole duration: what a budget must hold. `None` without attempts.
    pub worst_case: Option<Money>,
    /// Whether anything in it is simulated.
    pub simulated: bool,
}

impl Plan {
    /// BLAKE3 of the plan's canonical JSON, in hex: what an approval is bound to.
    ///
    /// # Errors
    /// None in practice: every field serialises. The signature keeps the serialiser's error rather than hiding it.
    pub fn hash_hex(&self) -> Result<String, serde_json::Error> {
        Ok(blake3::hash(&serde_json::to_vec(self)?).to_hex().to_string())
    }

    /// Whether the plan is no longer valid at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

/// What the planner asks about an offer; the answers are facts gathered before, so that planning stays pure.
pub trait Facts {
    /// What policy says of this offer, at `hourly` for all instances needed.
    ///
    /// # Errors
    /// The denying rule and its message.
    fn policy(&self, offer: &Offer, hourly: Money) -> Result<(), (String, String)>;

    /// Whether those who would pay can: `hourly` and `total` for all instances needed, without any tolerance.
    ///
    /// # Errors
    /// Why not.
    fn budgets(&self, _hourly: Money, _total: Money) -> Result<(), Refused> {
        Ok(())
    }

    /// The quota that applies: (limit, used). `None` when none applies or none is known.
    fn quota(&self, offer: &Offer) -> Option<(u64, u64)>;

    /// The stock-out that is remembered of the offer.
    fn stock_out(&self, offer: &Offer) -> Option<StockOut>;
}

/// Everything a plan is made from.
pub struct PlanInput<'a> {
    /// The id the plan gets.
    pub plan_id: PlanId,
    /// The id of the request.
    pub request_id: RequestId,
    /// What is asked for.
    pub request: &'a ResourceRequest,
    /// What is offered.
    pub catalog: &'a Catalog,
    /// Providers that did not answer, and what happened.
    pub unavailable: &'a [(ProviderId, String)],
    /// Facts about offers.
    pub facts: &'a dyn Facts,
    /// What may be spent at most beside the request's own limit; `None` when nothing bounds it. Budgets are [`Facts`].
    pub headroom: Option<Money>,
    /// What drawbacks cost.
    pub weights: RankWeights,
    /// Now.
    pub now: Timestamp,
    /// How long the plan stays valid, in seconds.
    pub valid_for_s: u32,
}

/// Makes the plan: filters, prices, ranks and explains. Same input, same plan.
///
/// # Errors
/// Only [`MoneyError::Overflow`], when a price times the duration leaves the range of money.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan, MoneyError> {
    let request = input.request;
    let mut tally = Tally::default();
    for (provider, message) in input.unavailable {
        tally.exclude(provider.to_string(), Exclusion::ProviderDown { message: message.clone() });
    }
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    let mut seen = 0_usize;
    for offer in input.catalog.candidates(request.accelerators().map(|(model, _)| model)) {
        seen += 1;
        match consider(input, offer)? {
            Ok(candidate) => candidates.push(candidate),
            Err(why) => tally.exclude_offer(offer, why),
        }
    }
    let other_shapes = input.catalog.len() - seen;
    if other_shapes > 0 {
        tally.count("other-accelerator", u64::try_from(other_shapes).unwrap_or(u64::MAX));
    }
    let attempts = choose(input, &mut candidates, &mut tally);
    let worst_case = attempts.iter().map(|attempt| attempt.total).max_by_key(|total| total.nanos());
    let valid_for = SignedDuration::from_secs(i64::from(input.valid_for_s));
    Ok(Plan {
        id: input.plan_id.clone(),
        request_id: input.request_id.clone(),
        created_at: input.now,
        expires_at: input.now.saturating_add(valid_for).unwrap_or(input.now),
        duration_s: request.duration_s(),
        simulated: attempts.iter().any(|attempt| attempt.offer.simulated),
        attempts,
        excluded_counts: tally.counts,
        excluded: tally.shown,
        worst_case,
    })
}

/// An offer that fits, is affordable, and is not yet checked against facts.
struct Candidate<'a> {
    offer: &'a Offer,
    price: PerInstanceHour,
    instances: u32,
    hourly: Money,
    total: Money,
    score: Score,
}

/// Walks the candidates from the best score down and asks for facts until enough are found. Only as much is sorted,
/// and only as many facts are asked for, as the walk needs.
fn choose(input: &PlanInput<'_>, candidates: &mut [Candidate<'_>], tally: &mut Tally) -> Vec<Attempt> {
    // Of what is paid for, what ends first comes first: it is lost when nobody uses it.
    let end =
        |offer: &Offer| offer.reservation.as_ref().and_then(|have| have.ends_at).unwrap_or(Timestamp::MAX);
    let by_score = |a: &Candidate<'_>, b: &Candidate<'_>| {
        let by_end = || end(a.offer).cmp(&end(b.offer));
        a.score.cmp(&b.score).then_with(by_end).then_with(|| a.offer.key().cmp(&b.offer.key()))
    };
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut rest = candidates;
    while !rest.is_empty() {
        if attempts.len() >= ATTEMPTS_MAX {
            for candidate in rest.iter() {
                tally.exclude_offer(candidate.offer, Exclusion::Rank);
            }
            break;
        }
        let (head, tail) = if rest.len() > SORTED_AT_ONCE {
            rest.select_nth_unstable_by(SORTED_AT_ONCE - 1, by_score);
            rest.split_at_mut(SORTED_AT_ONCE)
        } else {
            rest.split_at_mut(rest.len())
        };
        head.sort_unstable_by(by_score);
        for candidate in head.iter() {
            if attempts.len() >= ATTEMPTS_MAX {
                tally.exclude_offer(candidate.offer, Exclusion::Rank);
                continue;
            }
            match check_facts(input, candidate) {
                Ok(()) => attempts.push(Attempt {
                    offer: candidate.offer.clone(),
                    price: candidate.price,
                    instances: candidate.instances,
                    hourly: candidate.hourly,
                    total: candidate.total,
                    score: candidate.score,
                }),
                Err(why) => tally.exclude_offer(candidate.offer, why),
            }
        }
        rest = tail;
    }
    attempts
}

fn check_facts(input: &PlanInput<'_>, candidate: &Candidate<'_>) -> Result<(), Exclusion> {
    let offer = candidate.offer;
    if let Err((rule, message)) = input.facts.policy(offer, candidate.hourly) {
        return Err(Exclusion::Policy { rule, message });
    }
    if let Err(refused) = input.facts.budgets(candidate.hourly, candidate.total) {
        let message = refused.to_string();
        let budgets = match refused {
            Refused::Exceeded(budgets) => budgets,
            Refused::Currency { .. } => Vec::new(),
        };
        return Err(Exclusion::Budgets { budgets, message });
    }
    if let (Some(cost), Some((limit, used))) = (&offer.quota, input.facts.quota(offer)) {
        let need = cost.units_per_instance.saturating_mul(u64::from(candidate.instances));
        let free = limit.saturating_sub(used);
        if need > free {
            return Err(Exclusion::Quota { family: cost.family.clone(), need, free, limit });
        }
    }
    match input.facts.stock_out(offer) {
        Some(out) if out.until > input.now => {
            Err(Exclusion::Stock { until: out.until, seen: Some(Box::new(out)) })
        }
        _ => Ok(()),
    }
}

fn consider<'a>(
    input: &PlanInput<'_>,
    offer: &'a Offer,
) -> Result<Result<Candidate<'a>, Exclusion>, MoneyError> {
    let request = input.request;
    let instances = match instances_needed(request, offer) {
        Ok(instances) => instances,
        Err(why) => return Ok(Err(why)),
    };
    if !request.providers().is_empty() && !request.providers().contains(&offer.provider) {
        return Ok(Err(Exclusion::Provider));
    }
    if !request.regions().is_empty() && !request.regions().contains(&offer.region) {
        return Ok(Err(Exclusion::Region));
    }
    if !request.kinds().is_empty() && !request.kinds().contains(&offer.kind) {
        return Ok(Err(Exclusion::Kind));
    }
    if let Err(why) = offer.check_reservation(instances, input.now, request.duration_s()) {
        return Ok(Err(why));
    }
    let Some(price) = offer.rate() else { return Ok(Err(Exclusion::PriceUnknown)) };
    let hourly = price.0.checked_mul(u64::from(instances))?;
    if let Some(limit) = request.max_hourly().filter(|limit| hourly.exceeds(*limit)) {
        return Ok(Err(Exclusion::Price { hourly, limit }));
    }
    let total = price.cost_rounded_up(instances, request.duration_s())?;
    let limits = [request.max_total(), input.headroom];
    if let Some(limit) = limits.into_iter().flatten().find(|limit| total.exceeds(*limit)) {
        return Ok(Err(Exclusion::Budget { total, limit }));
    }
    let score = score(hourly, offer, input.weights);
    Ok(Ok(Candidate { offer, price, instances, hourly, total, score }))
}

/// How many instances of `offer` carry the request.
fn instances_needed(request: &ResourceRequest, offer: &Offer) -> Result<u32, Exclusion> {
    let per_gpus = match (request.accelerators(), offer.accelerators) {
        (Some((model, count)), Some(have)) if have.model == model && have.count > 0 => {
            count.div_ceil(have.count)
        }
        (Some((model, count)), _) => return Err(Exclusion::Shape { need: format!("{count} x {model}") }),
        (None, _) => 1,
    };
    let ratio = |need: u64, have: u64| -> u32 {
        if need == 0 {
            1
        } else if have == 0 {
            u32::MAX
        } else {
            u32::try_from(need.div_ceil(have)).unwrap_or(u32::MAX)
        }
    };
    let by_cpu = ratio(request.cpu().0, offer.cpu.0);
    let by_memory = ratio(request.memory().0, offer.memory.0);
    let instances = per_gpus.max(by_cpu).max(by_memory);
    if instances > request.instances_max() {
        let (what, count) = [("accelerators", per_gpus), ("CPUs", by_cpu), ("memory", by_memory)]
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .unwrap_or(("accelerators", per_gpus));
        let need = format!("{count} instances for the {what}, allowed are {}", request.instances_max());
        return Err(Exclusion::Shape { need });
    }
    Ok(instances)
}

fn score(hourly: Money, offer: &Offer, weights: RankWeights) -> Score {
    let price_nanos = hourly.nanos();
    let share = |basis_points: u64| -> i64 {
        let nanos = i128::from(price_nanos) * i128::from(basis_points) / 10_000;
        i64::try_from(nanos).unwrap_or(i64::MAX)
    };
    let wait_nanos = share(u64::from(offer.start_delay_s) * u64::from(weights.wait_bp_per_minute) / 60);
    let reclaimable = offer.kind == OfferKind::Spot;
    let reclaim = u64::from(offer.reclaim_bp_per_hour) * u64::from(weights.reclaim_bp_per_percent) / 100;
    let reclaim_nanos = if reclaimable { share(reclaim) } else { 0 };
    let unlikely = offer.stock == StockHint::Unlikely;
    let stock_nanos = if unlikely { share(u64::from(weights.unlikely_stock_bp)) } else { 0 };
    let total_nanos =
        [wait_nanos, reclaim_nanos, stock_nanos].into_iter().fold(price_nanos, i64::saturating_add);
    Score { total_nanos, price_nanos, wait_nanos, reclaim_nanos, stock_nanos }
}

#[derive(Default)]
struct Tally {
    counts: BTreeMap<String, u64>,
    shown: Vec<Excluded>,
}

impl Tally {
    fn count(&mut self, name: &str, many: u64) {
        match self.counts.get_mut(name) {
            Some(count) => *count += many,
            None => drop(self.counts.insert(name.to_owned(), many)),
        }
    }

    /// Counts an offer; its text is only made while there is room to show it.
    fn exclude_offer(&mut self, offer: &Offer, why: Exclusion) {
        if self.has_room(&why) {
            let key: OfferKey = offer.key();
            self.exclude(key.to_string(), why);
        } else {
            self.count(why.name(), 1);
        }
    }

    fn exclude(&mut self, offer: String, why: Exclusion) {
        let room = self.has_room(&why);
        self.count(why.name(), 1);
        if room {
            self.shown.push(Excluded { offer, included_by: why.knob(), why });
        }
    }

    /// Each reason has its own room, so that a common one never hides a telling one.
    fn has_room(&self, why: &Exclusion) -> bool {
        let so_far = self.counts.get(why.name()).copied().unwrap_or(0);
        usize::try_from(so_far).is_ok_and(|so_far| so_far < EXCLUSIONS_SHOWN_MAX)
    }
}
