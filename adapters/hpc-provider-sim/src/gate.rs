//! What stands between a caller and a cloud: the rate limit, the script's rules, and chance.

use hpc_provider::ProviderError;
use jiff::Timestamp;

use crate::chance;
use crate::cloud::Cloud;
use crate::refusal;
use crate::script::{Call, Effect, Rule, Seen, Throttle};
use crate::state::Change;
use crate::world::Inner;

/// A token bucket in thousandths of a call, on the virtual clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    milli_calls: u64,
    since: Timestamp,
}

/// What the gate lets happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The call is carried out and answered.
    Normal,
    /// It is carried out; no answer arrives.
    LostAfter,
    /// It is carried out; the caller waits for ever.
    HangAfter,
}

/// Why a call ends at the gate.
#[derive(Debug)]
pub(crate) enum Stop {
    /// With this answer.
    Answer(ProviderError),
    /// With none, ever.
    Hang,
}

impl From<ProviderError> for Stop {
    fn from(error: ProviderError) -> Self {
        Self::Answer(error)
    }
}

/// Keys under which the counts of rules are kept: equal rules at one place of the script have equal keys.
pub(crate) fn rule_keys(rules: &[Rule]) -> Vec<String> {
    let key = |(index, rule): (usize, &Rule)| {
        let hash = blake3::hash(format!("{rule:?}").as_bytes()).to_hex();
        format!("{index}-{}", hash.as_str().get(..16).unwrap_or_default())
    };
    rules.iter().enumerate().map(key).collect()
}

impl Inner {
    /// Decides what happens to a call. `replay`: it repeats a create that was done, which no shortage can stop.
    pub(crate) fn gate(
        &mut self,
        cloud: &Cloud,
        call: Call,
        seen: &Seen<'_>,
        replay: bool,
    ) -> Result<Fate, Stop> {
        self.state.calls += 1;
        let habits = cloud.habits;
        if let Some(throttle) = self.script.throttle
            && let Err(wait_ms) = self.take(cloud, throttle)
        {
            return Err(refusal::throttled(habits, wait_ms).into());
        }
        let Some(effect) = self.effect(call, seen, replay)? else { return Ok(Fate::Normal) };
        Err(match effect {
            Effect::LostAfter => return Ok(Fate::LostAfter),
            Effect::HangAfter => return Ok(Fate::HangAfter),
            Effect::HangBefore => Stop::Hang,
            Effect::LostBefore => refusal::lost().into(),
            Effect::StockOut => {
                let place = seen.zone.map_or("this zone", |zone| zone.as_str());
                refusal::no_stock(habits, place).into()
            }
            Effect::QuotaExceeded => {
                let kind = seen.kind.unwrap_or(hpc_resources::OfferKind::OnDemand);
                refusal::quota(habits, kind, "a quota would be exceeded").into()
            }
            Effect::Throttled { retry_after_ms } => refusal::throttled(habits, retry_after_ms).into(),
            Effect::Auth => refusal::auth(habits).into(),
            Effect::Internal => refusal::internal().into(),
        })
    }

    fn take(&mut self, cloud: &Cloud, throttle: Throttle) -> Result<(), u64> {
        let now = self.state.clock;
        let full = u64::from(throttle.burst) * 1_000;
        let bucket = self.buckets.entry(cloud.id.clone()).or_insert(Bucket { milli_calls: full, since: now });
        let elapsed_ms = u64::try_from(now.duration_since(bucket.since).as_millis()).unwrap_or(0);
        let refill = elapsed_ms.saturating_mul(u64::from(throttle.refill_per_s));
        bucket.milli_calls = bucket.milli_calls.saturating_add(refill).min(full);
        bucket.since = now;
        match bucket.milli_calls.checked_sub(1_000) {
            Some(left) => {
                bucket.milli_calls = left;
                Ok(())
            }
            None => Err((1_000 - bucket.milli_calls).div_ceil(u64::from(throttle.refill_per_s.max(1)))),
        }
    }

    fn effect(&mut self, call: Call, seen: &Seen<'_>, replay: bool) -> Result<Option<Effect>, ProviderError> {
        let moot = |effect: Effect| replay && matches!(effect, Effect::StockOut | Effect::QuotaExceeded);
        let matching = |rule: &Rule| rule.call == call && !moot(rule.effect) && rule.at.matches(seen);
        let mut counted: Vec<Change> = Vec::new();
        let mut effect = None;
        for (rule, key) in self.script.rules.iter().zip(&self.rule_keys).filter(|(rule, _)| matching(rule)) {
            if rule.skip == 0 && rule.times.is_none() {
                effect = Some(rule.effect);
                break;
            }
            // Counted only where the count matters, and kept, so that a restart does not tell the story anew.
            let nth = self.state.fired.get(key).copied().unwrap_or(0);
            let last = rule.times.map_or(u32::MAX, |times| rule.skip.saturating_add(times));
            if nth < last {
                counted.push(Change::Fired { rule: key.clone() });
            }
            if nth >= rule.skip && nth < last {
                effect = Some(rule.effect);
                break;
            }
        }
        if !counted.is_empty() {
            self.commit(counted).map_err(|error| refusal::storage(&error))?;
        }
        Ok(effect.or_else(|| self.chance_effect(call, seen).filter(|effect| !moot(*effect))))
    }

    fn chance_effect(&self, call: Call, seen: &Seen<'_>) -> Option<Effect> {
        let chances = self.script.chances;
        let happens = |what: &str, bp: u32| {
            chance::happens(self.state.seed, &["call", seen.provider.as_str(), what], self.state.calls, bp)
        };
        let changes = matches!(call, Call::Provision | Call::Release);
        if call == Call::Provision && happens("stock-out", chances.stock_out_bp) {
            return Some(Effect::StockOut);
        }
        if changes && happens("lost-before", chances.lost_before_bp) {
            return Some(Effect::LostBefore);
        }
        if changes && happens("lost-after", chances.lost_after_bp) {
            return Some(Effect::LostAfter);
        }
        happens("internal", chances.internal_bp).then_some(Effect::Internal)
    }
}
