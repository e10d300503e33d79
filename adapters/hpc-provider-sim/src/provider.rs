//! The port on one simulated cloud.

use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use hpc_provider::{
    BillLine, Billing, CapacityProvider, Description, InstanceHandle, InterruptionPage, Observe, OwnedPage,
    ProviderError, ProvisionResult, ProvisionSpec, QuotaStatus, Quote, QuoteRequest, Released, Result,
    SpotPrice, SpotPrices, Supports,
};
use hpc_resources::{InstanceType, Offer, OfferKind, ProviderId, QuotaFamily, Region, StockHint};
use jiff::Timestamp;

use crate::cloud::{Cloud, Habits, Item, PRICE_STEP_S};
use crate::gate::{Fate, Stop};
use crate::refusal;
use crate::script::{Call, Seen};
use crate::state::{Change, later, offer_key, whole_second};
use crate::world::{Inner, SimWorld, seen};

/// Instances on one page of `list_owned`.
pub const PAGE_INSTANCES: usize = 100;
/// Events on one page of `interruptions`.
pub const PAGE_EVENTS: usize = 500;
/// Most handles in one `observe`.
pub const OBSERVE_MAX: usize = 4_096;
/// How far back spot prices go, in seconds.
pub const SPOT_HISTORY_S: i64 = 6 * 3_600;

/// One simulated cloud.
#[derive(Clone, Debug)]
pub struct SimProvider {
    world: SimWorld,
    cloud: Arc<Cloud>,
}

impl SimProvider {
    pub(crate) fn new(world: SimWorld, cloud: Arc<Cloud>) -> Self {
        Self { world, cloud }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ProviderId {
        &self.cloud.id
    }

    /// Runs one call behind the gate: the lock is never held while somebody waits.
    async fn call<T>(
        &self,
        call: Call,
        at: Seen<'_>,
        work: impl FnOnce(&mut Inner) -> Result<T>,
    ) -> Result<T> {
        let stop = {
            let mut inner = self.world.lock();
            match inner.gate(&self.cloud, call, &at, false) {
                Ok(fate) => match (fate, work(&mut inner)) {
                    (Fate::Normal, answer) => return answer,
                    (Fate::LostAfter, _) => return Err(refusal::lost()),
                    (Fate::HangAfter, _) => Stop::Hang,
                },
                Err(stop) => stop,
            }
        };
        end(stop).await
    }

    fn everywhere(&self) -> Seen<'_> {
        Seen::provider(&self.cloud.id)
    }

    fn offer(&self, inner: &Inner, item: &Item) -> Offer {
        let key = offer_key(&self.cloud.id, &item.region, &item.zone, &item.shape.instance_type, item.kind);
        let now = inner.state.clock;
        let room = inner.room(item, &key);
        Offer {
            provider: key.provider,
            region: key.region,
            zone: key.zone,
            instance_type: key.instance_type,
            kind: key.kind,
            accelerators: item.shape.accelerators,
            cpu: item.shape.cpu,
            memory: item.shape.memory,
            price: inner.price_at(&self.cloud, item, now),
            as_of: now,
            snapshot: self.cloud.report.snapshot.clone(),
            stock: if room == Some(0) { StockHint::Unlikely } else { StockHint::Likely },
            quota: item.quota.clone().filter(|_| !inner.script.no_quotas),
            start_delay_s: item.start_delay_s,
            reclaim_bp_per_hour: item.reclaim_bp_per_hour,
            simulated: true,
            reservation: None,
            run_max_s: None,
        }
    }
}

/// Ends a call that stopped at the gate.
pub(crate) async fn end<T>(stop: Stop) -> Result<T> {
    match stop {
        Stop::Answer(error) => Err(error),
        // Nothing wakes this: only the caller's own deadline ends the wait.
        Stop::Hang => pending().await,
    }
}

#[async_trait]
impl CapacityProvider for SimProvider {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        self.call(Call::Quote, self.everywhere(), |inner| {
            let request = &request.request;
            let model = request.accelerators().map(|(model, _)| model);
            let wanted = |item: &&Item| {
                item.shape.accelerators.map(|have| have.model) == model
                    && (request.regions().is_empty() || request.regions().contains(&item.region))
                    && (request.kinds().is_empty() || request.kinds().contains(&item.kind))
            };
            let ours = request.providers().is_empty() || request.providers().contains(&self.cloud.id);
            let items = self.cloud.items.iter().filter(|_| ours).filter(wanted);
            Ok(Quote {
                provider: self.cloud.id.clone(),
                snapshot: self.cloud.report.snapshot.clone(),
                as_of: inner.state.clock,
                offers: items.map(|item| self.offer(inner, item)).collect(),
                truncated: false,
            })
        })
        .await
    }

    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        let stop = {
            let mut inner = self.world.lock();
            match inner.provision(&self.cloud, spec) {
                Ok(result) => return Ok(result),
                Err(stop) => stop,
            }
        };
        end(stop).await
    }

    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        if self.cloud.habits == Habits::Rack {
            return Err(ProviderError::unsupported("check_spot_prices"));
        }
        let bad =
            |error: hpc_resources::IdError| refusal::config("InvalidParameterValue", &error.to_string());
        let instance_type = InstanceType::parse(instance_type).map_err(bad)?;
        let region = Region::parse(region).map_err(bad)?;
        let at = Seen { instance_type: Some(&instance_type), region: Some(&region), ..self.everywhere() };
        self.call(Call::SpotPrices, at, |inner| {
            let now = inner.state.clock;
            let ours = |item: &&Item| {
                item.kind == OfferKind::Spot
                    && item.region == region
                    && item.shape.instance_type == instance_type
            };
            let mut prices: Vec<SpotPrice> = Vec::new();
            let mut known = false;
            for item in self.cloud.items.iter().filter(ours) {
                known = true;
                for back in (0..=SPOT_HISTORY_S / PRICE_STEP_S).rev() {
                    let at = inner.price_since(&self.cloud, item, later(now, -back * PRICE_STEP_S));
                    let is_new = prices.last().is_none_or(|last| (&last.zone, last.at) != (&item.zone, at));
                    if let Some(price) = inner.price_at(&self.cloud, item, at).filter(|_| is_new) {
                        prices.push(SpotPrice { zone: item.zone.clone(), price, at });
                    }
                }
            }
            if !known {
                let what = format!("{instance_type} is not sold as spot in {region}");
                return Err(refusal::config("InvalidParameterValue", &what));
            }
            prices.sort_by(|a, b| (a.at, &a.zone).cmp(&(b.at, &b.zone)));
            Ok(SpotPrices {
                instance_type: instance_type.clone(),
                region: region.clone(),
                prices,
                simulated: true,
            })
        })
        .await
    }

    fn describe(&self) -> Description {
        let rented = self.cloud.habits != Habits::Rack;
        Description {
            provider: self.cloud.id.clone(),
            supports: Supports {
                quote: true,
                provision: true,
                idempotent_create: true,
                observe: true,
                release: true,
                list_owned: true,
                spot_prices: rented,
                quotas: rented,
                interruptions: rented,
                // Nothing boots in a simulated cloud.
                user_data: false,
            },
            consistency_ms: self.cloud.consistency_ms,
            clock_skew_ms: 0,
            simulated: true,
        }
    }

    async fn observe(&self, what: &Observe) -> Result<Vec<hpc_provider::InstanceState>> {
        self.call(Call::Observe, self.everywhere(), |inner| {
            let now = inner.state.clock;
            let ours = |instance: &&crate::state::Instance| {
                instance.key.provider == self.cloud.id && instance.visible_at <= now
            };
            Ok(match what {
                Observe::Handles(handles) if handles.len() > OBSERVE_MAX => {
                    let what = format!("at most {OBSERVE_MAX} handles in one call, not {}", handles.len());
                    return Err(refusal::config("InvalidParameterValue", &what));
                }
                Observe::Handles(handles) => handles
                    .iter()
                    .filter(|handle| handle.provider == self.cloud.id)
                    .filter_map(|handle| inner.state.by_id(&handle.id))
                    .filter(ours)
                    .map(|instance| instance.to_state(now))
                    .collect(),
                Observe::Tag { key, value } => inner
                    .state
                    .tagged(key, value)
                    .filter(ours)
                    .map(|instance| instance.to_state(now))
                    .collect(),
            })
        })
        .await
    }

    async fn release(&self, handle: &InstanceHandle) -> Result<Released> {
        if handle.provider != self.cloud.id {
            let what = format!("`{}` belongs to {}", handle.id, handle.provider);
            return Err(refusal::config("InvalidInstanceID", &what));
        }
        let at = Seen { region: Some(&handle.region), ..self.everywhere() };
        self.call(Call::Release, at, |inner| {
            let now = inner.state.clock;
            // An instance that `observe` does not show yet is ended all the same: a release is never lost.
            let Some(instance) = inner.state.by_id(&handle.id).filter(|i| i.key.provider == self.cloud.id)
            else {
                return Ok(Released::AlreadyGone);
            };
            let stopping = inner.stop_delay_ms > 0;
            if instance.ended_at.is_some() {
                let gone = instance.gone_at.is_none_or(|gone_at| gone_at <= now);
                return Ok(if gone { Released::AlreadyGone } else { Released::InProgress });
            }
            let delay = i64::try_from(inner.stop_delay_ms).unwrap_or(i64::MAX);
            let ended = Change::Ended {
                number: instance.number,
                at: whole_second(now).max(instance.launched_at),
                gone_at: now.saturating_add(jiff::SignedDuration::from_millis(delay)).unwrap_or(now),
                reclaimed: false,
            };
            let calls = Change::Calls { so_far: inner.state.calls };
            inner.commit(vec![calls, ended]).map_err(|error| refusal::storage(&error))?;
            Ok(if stopping { Released::InProgress } else { Released::Released })
        })
        .await
    }

    async fn list_owned(&self, owner: &str, page: Option<String>) -> Result<OwnedPage> {
        let from = match page.as_deref().map(str::parse::<u64>) {
            None => 0,
            Some(Ok(from)) => from,
            Some(Err(_)) => {
                return Err(refusal::config("InvalidNextToken", "this page token is not one of ours"));
            }
        };
        self.call(Call::ListOwned, self.everywhere(), |inner| {
            let now = inner.state.clock;
            let mut owned = inner.state.listed(&self.cloud.id, from).filter(|instance| {
                instance.visible_at <= now
                    && instance.phase(now).is_live()
                    && instance.tags.get(hpc_provider::TAG_OWNER).is_some_and(|have| have == owner)
            });
            let instances = owned.by_ref().take(PAGE_INSTANCES).map(|i| i.to_state(now)).collect();
            let next = owned.next().map(|instance| instance.number.to_string());
            Ok(OwnedPage { instances, next, complete: true })
        })
        .await
    }

    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        if self.cloud.habits == Habits::Rack {
            return Err(ProviderError::unsupported("quotas"));
        }
        self.call(Call::Quotas, self.everywhere(), |inner| {
            if inner.script.no_quotas {
                return Ok(Vec::new());
            }
            let known = |item: &Item| Some((item.region.clone(), item.quota.as_ref()?.family.clone()));
            let places: std::collections::BTreeSet<(Region, QuotaFamily)> =
                self.cloud.items.iter().filter_map(known).collect();
            let status = |(region, family): (Region, QuotaFamily)| QuotaStatus {
                limit: inner.quota_limit(&self.cloud, &region, &family),
                used: inner.state.quota_used(&self.cloud.id, &region, &family),
                as_of: inner.state.clock,
                family,
                region,
            };
            Ok(places.into_iter().map(status).collect())
        })
        .await
    }

    async fn interruptions(&self, cursor: Option<String>) -> Result<InterruptionPage> {
        if self.cloud.habits == Habits::Rack {
            return Err(ProviderError::unsupported("interruptions"));
        }
        let from = match cursor.as_deref().map(str::parse::<u64>) {
            None => 0,
            Some(Ok(from)) => from,
            Some(Err(_)) => return Err(refusal::config("InvalidCursor", "this cursor is not one of ours")),
        };
        self.call(Call::Interruptions, self.everywhere(), |inner| {
            let log = inner.state.logs.get(&self.cloud.id);
            let base = log.map_or(0, |log| log.base);
            let skip = usize::try_from(from.saturating_sub(base)).unwrap_or(usize::MAX);
            let events: Vec<_> =
                log.into_iter().flat_map(|log| &log.events).skip(skip).take(PAGE_EVENTS).cloned().collect();
            let total = base + u64::try_from(log.map_or(0, |log| log.events.len())).unwrap_or(0);
            let read = from.max(base).min(total) + u64::try_from(events.len()).unwrap_or(0);
            Ok(InterruptionPage { events, cursor: read.to_string() })
        })
        .await
    }
}

#[async_trait]
impl Billing for SimProvider {
    async fn bill(&self) -> Result<Vec<BillLine>> {
        Ok(self.world.lock().bill(Some(&self.cloud.id)))
    }
}

impl SimProvider {
    /// The virtual clock of its world.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }
}

impl Inner {
    /// How many more of `item` there is room for; `None` for as many as anyone wants.
    pub(crate) fn room(&self, item: &Item, key: &hpc_resources::OfferKey) -> Option<u64> {
        let trace = self.script.traces.iter().find(|rule| rule.at.matches(&seen(key)));
        let recorded = trace.map(|rule| u64::from(rule.trace.room_at(self.state.start, self.state.clock)));
        let most = [item.stock, recorded].into_iter().flatten().min()?;
        Some(most.saturating_sub(self.state.live_count(key)))
    }

    pub(crate) fn quota_limit(&self, cloud: &Cloud, region: &Region, family: &QuotaFamily) -> u64 {
        let matches = |rule: &&crate::script::QuotaRule| {
            rule.provider == cloud.id
                && rule.region.as_ref().is_none_or(|wanted| wanted == region)
                && rule.family.as_ref().is_none_or(|wanted| wanted == family)
        };
        self.script.quotas.iter().rfind(matches).map_or(cloud.quota_limit, |rule| rule.limit)
    }
}
