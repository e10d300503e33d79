//! Plan: quotes, policy, quota and budget become a plan object. Nothing is created or held.

use std::collections::HashMap;

use futures_util::future::join_all;
use hpc_audit::Receipt;
use hpc_error::{HpcError, codes};
use hpc_ledger::Key;
use hpc_provider::{Offered, Quote, QuoteRequest};
use hpc_resources::{
    BudgetStanding, Catalog, DecisionId, Facts, Headroom, Money, Offer, Plan, PlanId, PlanInput, ProviderId,
    QuotaFamily, Refused, Region, RequestId, ResourceRequest, StockOut, TeamId,
};
use jiff::{SignedDuration, Timestamp};

use crate::broker::Broker;
use crate::budgets::payers;
use crate::environment::Caller;
use crate::evidence::Evidence;
use crate::fail;
use crate::gate::{Gate, OBLIGATION_APPROVAL, OBLIGATION_IDLE_MINUTES};
use crate::offered::{OFFERS_OF_ONE_MAX, of_one};
use crate::offers::KeptAnswer;
use crate::records::{DecisionRecord, PlanRecord, PlanState, PricedBy, RequestRecord};
use crate::shadow::Standing;
use crate::store::{Change, key};
use crate::tolerance::with_tolerance;

/// An idempotency key as it is kept. The caller is part of it: nobody can find out what others asked for.
pub(crate) fn hashed_key(caller: &Caller, idempotency_key: &str) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("hpc-broker 2026-11 idempotency key v1");
    hasher.update(&u64::try_from(caller.name.len()).unwrap_or(u64::MAX).to_le_bytes());
    hasher.update(caller.name.as_bytes()).update(idempotency_key.as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// A plan that nobody has kept yet, and what policy said of it.
pub(crate) struct Draft {
    pub(crate) record: PlanRecord,
    pub(crate) evidence: Evidence,
    /// The decision about spending for another team, where one was needed.
    pub(crate) spends: Option<Evidence>,
    /// Answers of providers that are not of now.
    pub(crate) kept: Vec<KeptAnswer>,
}

/// How new what providers offer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskedFor {
    /// Of now: money is decided on it.
    Buying,
    /// Now or a while ago, and it says so: somebody looks around.
    Looking,
}

/// What the providers said.
pub(crate) struct Market {
    pub(crate) catalog: Catalog,
    pub(crate) unavailable: Vec<(ProviderId, String)>,
    pub(crate) quotas: HashMap<(ProviderId, Region, QuotaFamily), (u64, u64)>,
    /// Answers that are not of now.
    pub(crate) kept: Vec<KeptAnswer>,
    /// The lists that prices come from, where a provider was given some.
    pub(crate) priced_by: Vec<PricedBy>,
}

impl Broker {
    /// Makes a plan at most once for an idempotency key: the same key with the same request answers the same plan.
    ///
    /// # Errors
    /// `HPC-USG-0016` for a key that came with another request; as [`Broker::plan`].
    pub async fn plan_once(
        &self,
        caller: &Caller,
        request: ResourceRequest,
        idempotency_key: &str,
    ) -> Result<(PlanRecord, Vec<Receipt>), HpcError> {
        if idempotency_key.is_empty() {
            return self.plan_noting(caller, request, None).await;
        }
        let place = key("once", &hashed_key(caller, idempotency_key))?;
        let Some((plan, _)) = self.store.read::<PlanId>(&place).await? else {
            return self.plan_noting(caller, request, Some(place)).await;
        };
        let plan = self.plan_by_id(&plan).await?;
        if plan.request != request {
            let message = "this idempotency key came with another request before";
            return Err(HpcError::coded(&codes::USG_IDEMPOTENCY_REUSED, message).with("plan", &plan.plan.id));
        }
        let receipts = self.store.receipts([format!("{}.planned", plan.plan.id)]).await?;
        Ok((plan, receipts))
    }

    /// Makes a plan for `request`: asks every provider, ranks and explains, and asks policy. Spends and creates nothing.
    ///
    /// A denied plan, or one that nothing can be offered for, is an answer and not an error: it says why.
    ///
    /// # Errors
    /// A ledger or audit failure; `HPC-USG-0007` when a price times the duration leaves the range of money.
    pub async fn plan(
        &self,
        caller: &Caller,
        request: ResourceRequest,
    ) -> Result<(PlanRecord, Vec<Receipt>), HpcError> {
        self.plan_noting(caller, request, None).await
    }

    /// Makes a plan, and notes it under an idempotency key in the same transaction.
    async fn plan_noting(
        &self,
        caller: &Caller,
        request: ResourceRequest,
        once: Option<Key>,
    ) -> Result<(PlanRecord, Vec<Receipt>), HpcError> {
        self.store.check_audited().await?;
        let draft = self.draft(caller, request, AskedFor::Buying, None).await?;
        let record = &draft.record;
        let story = RequestRecord {
            id: record.plan.request_id.clone(),
            principal: caller.name.clone(),
            request: record.request.clone(),
            created_at: record.plan.created_at,
            plan: record.plan.id.clone(),
        };
        let mut change = Change::new();
        if let Some(once) = once {
            change = change.expect_absent(once.clone()).put(once, &record.plan.id)?;
        }
        let change = change
            .put(key("plan", record.plan.id.as_str())?, record)?
            .put(key("request", story.id.as_str())?, &story)?;
        let committed = self.store.commit(self.say_planned(change, &draft)?).await?;
        Ok((draft.record, committed.receipts))
    }

    /// The entry of a plan.
    pub(crate) fn say_planned(&self, change: Change, draft: &Draft) -> Result<Change, HpcError> {
        let openings = self.seal_request(&draft.record.request)?;
        let entry = self.scribe.planned(&draft.record, &openings, &draft.evidence, draft.spends.as_ref());
        change.say_sealed(entry, &openings)
    }

    /// Makes a plan, and keeps nothing of it. Without the id of a request that was kept before it is for a new one.
    pub(crate) async fn draft(
        &self,
        caller: &Caller,
        request: ResourceRequest,
        asked_for: AskedFor,
        request_id: Option<RequestId>,
    ) -> Result<Draft, HpcError> {
        let now = self.environment.now();
        let standing = self.standing();
        let (team, spends) = self.paying_team(&standing, caller, &request, now).await?;
        let market = self.market(&request, now, asked_for).await;
        let gate = Gate { standing: &standing, caller, team: &team, request: &request, now };
        let headroom =
            self.books.headroom(&payers(caller, &team), self.settings.span(now, request.duration_s()));
        let request_id = request_id.unwrap_or_else(|| RequestId::from_bits(self.fresh_bits()));
        let facts = PlanFacts { broker: self, market: &market, gate: &gate, headroom: &headroom };
        let plan = hpc_resources::plan(&PlanInput {
            plan_id: PlanId::from_bits(self.fresh_bits()),
            request_id,
            request: &request,
            catalog: &market.catalog,
            unavailable: &market.unavailable,
            facts: &facts,
            headroom: None,
            weights: self.settings.weights,
            now,
            valid_for_s: self.settings.plan_valid_s,
        })
        .map_err(fail::money)?;
        let (decision, judged) = gate.decide_request(
            DecisionId::from_bits(self.fresh_bits()),
            &plan,
            self.books.accelerators_held(&team),
        );
        let budgets: Vec<BudgetStanding> = headroom.standings().cloned().collect();
        let mut record = self.plan_record(caller, request, team, plan, decision, budgets)?;
        let tried = |provider: &ProviderId| {
            record.plan.attempts.iter().any(|attempt| attempt.offer.provider == *provider)
        };
        record.price_sources =
            market.priced_by.into_iter().filter(|priced| tried(&priced.provider)).collect();
        Ok(Draft { record, evidence: judged.evidence(), spends, kept: market.kept })
    }

    /// The team that pays: the caller's own, or another that the caller belongs to or that policy lets them spend for.
    async fn paying_team(
        &self,
        standing: &Standing,
        caller: &Caller,
        request: &ResourceRequest,
        now: Timestamp,
    ) -> Result<(TeamId, Option<Evidence>), HpcError> {
        let team = request.team().unwrap_or(&caller.team).clone();
        let evidence = match self.ask_to_spend(standing, caller, &team, now) {
            Ok(evidence) => evidence,
            Err(refusal) => return Err(self.refused(caller, *refusal).await),
        };
        self.check_budgeted(&team)?;
        Ok((team, evidence))
    }

    fn plan_record(
        &self,
        caller: &Caller,
        request: ResourceRequest,
        team: TeamId,
        mut plan: Plan,
        decision: DecisionRecord,
        budgets: Vec<BudgetStanding>,
    ) -> Result<PlanRecord, HpcError> {
        let state = if !decision.allowed {
            PlanState::Denied
        } else if plan.attempts.is_empty() {
            PlanState::NoOffer
        } else if let Some(by) = decision.obligations.get(OBLIGATION_APPROVAL) {
            // A person needs longer than a price lives; apply checks price and policy again.
            let wait = SignedDuration::from_secs(i64::from(self.settings.approval_valid_s));
            plan.expires_at = plan.created_at.saturating_add(wait).unwrap_or(plan.expires_at);
            PlanState::AwaitingApproval { by: by.clone() }
        } else {
            PlanState::Open
        };
        let idle =
            decision.obligations.get(OBLIGATION_IDLE_MINUTES).and_then(|text| text.parse::<u64>().ok());
        let tolerance_bp = self.settings.price_tolerance_bp;
        let hold = plan
            .worst_case
            .map(|total| with_tolerance(total, tolerance_bp))
            .transpose()
            .map_err(fail::money)?;
        Ok(PlanRecord {
            hold,
            hash: plan.hash_hex().map_err(fail::bug)?,
            plan,
            request,
            principal: caller.name.clone(),
            team_left: Self::least_left(&team, &budgets),
            team,
            decision,
            budgets,
            state,
            idle_release_s: idle.map(|minutes| minutes.saturating_mul(60)),
            price_sources: Vec::new(),
        })
    }

    /// Asks every provider for offers and quotas at once. A provider that fails is named, and the others are used.
    pub(crate) async fn market(
        &self,
        request: &ResourceRequest,
        now: Timestamp,
        asked_for: AskedFor,
    ) -> Market {
        let ask = QuoteRequest { request: request.clone(), now };
        let answers = join_all(self.providers.iter().map(|(id, provider)| {
            let ask = &ask;
            async move {
                let offered = match asked_for {
                    AskedFor::Looking => provider.offers(ask).await,
                    AskedFor::Buying => {
                        let quote = provider.get_quote(ask).await;
                        quote.map(|quote| Offered { quote, asked_at: now, trouble: None })
                    }
                };
                // Right after the answer: a list that changes later did not price it.
                let sources = provider.price_sources();
                (id.clone(), offered, sources, provider.quotas().await)
            }
        }))
        .await;
        let mut offers: Vec<Offer> = Vec::new();
        let mut unavailable = Vec::new();
        let mut quotas = HashMap::new();
        let (mut kept, mut priced_by) = (Vec::new(), Vec::new());
        for (id, offered, sources, quota) in answers {
            priced_by.extend(sources.into_iter().map(|source| PricedBy { provider: id.clone(), source }));
            self.pulse.offered(&id, &offered, now);
            if let Err(error) = &quota {
                self.pulse.failed(&id, "quotas", error, now);
            }
            match offered {
                Ok(offered) => {
                    kept.extend(KeptAnswer::of(&id, &offered, now));
                    let Quote { offers: told, truncated, .. } = offered.quote;
                    let (taken, left_out) = of_one(&id, told, truncated, OFFERS_OF_ONE_MAX);
                    offers.extend(taken);
                    unavailable.extend(left_out.map(|said| (id.clone(), said)));
                }
                Err(error) => unavailable.push((id.clone(), error.to_string())),
            }
            for status in quota.unwrap_or_default() {
                quotas.insert((id.clone(), status.region, status.family), (status.limit, status.used));
            }
        }
        Market { catalog: Catalog::new(offers), unavailable, quotas, kept, priced_by }
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// `HPC-PLN-0002` when there is none; a ledger failure.
    pub async fn plan_by_id(&self, id: &PlanId) -> Result<PlanRecord, HpcError> {
        Ok(self.plan_with_revision(id).await?.0)
    }

    pub(crate) async fn plan_with_revision(&self, id: &PlanId) -> Result<(PlanRecord, u64), HpcError> {
        self.store.read(&key("plan", id.as_str())?).await?.ok_or_else(|| {
            HpcError::coded(&codes::PLN_UNKNOWN, format!("there is no plan `{id}`")).with("plan", id)
        })
    }
}

struct PlanFacts<'a> {
    broker: &'a Broker,
    market: &'a Market,
    gate: &'a Gate<'a>,
    headroom: &'a Headroom,
}

impl Facts for PlanFacts<'_> {
    fn policy(&self, offer: &Offer, hourly: Money) -> Result<(), (String, String)> {
        self.gate.check_offer(offer, hourly)
    }

    fn budgets(&self, hourly: Money, total: Money) -> Result<(), Refused> {
        // As much as an apply would hold; an amount beyond all money stays as it is, and is refused elsewhere.
        let held = |amount| with_tolerance(amount, self.broker.settings.price_tolerance_bp).unwrap_or(amount);
        self.headroom.check(held(total), held(hourly))
    }

    fn quota(&self, offer: &Offer) -> Option<(u64, u64)> {
        let family = &offer.quota.as_ref()?.family;
        let place = (offer.provider.clone(), offer.region.clone(), family.clone());
        let (limit, used) = self.market.quotas.get(&place)?;
        let reserved = self.broker.books.reserved_quota(&offer.provider, &offer.region, family);
        Some((*limit, used.saturating_add(reserved)))
    }

    fn stock_out(&self, offer: &Offer) -> Option<StockOut> {
        self.broker.stock.find(&offer.key(), self.gate.now)
    }
}
