//! Offers that are kept are for looking; a plan asks anew, and says which lists its prices come from.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_audit::{AuditLog, Search};
use hpc_broker::Broker;
use hpc_layers::{Answered, Cached, CatalogMeter, Keep};
use hpc_provider::{
    CapacityProvider, Description, PriceSource, ProvisionResult, ProvisionSpec, QuotaStatus, Quote,
    QuoteRequest, Result, SpotPrices,
};
use hpc_provider_sim::{Call, Effect, Rule, Script, Where};
use hpc_resources::ProviderId;

use crate::world::{World, broker_over, eight_h100, you};

/// A cloud whose prices come from a list.
struct Listed(Arc<dyn CapacityProvider>);

#[async_trait]
impl CapacityProvider for Listed {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        self.0.get_quote(request).await
    }
    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        self.0.provision(spec).await
    }
    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        self.0.check_spot_prices(instance_type, region).await
    }
    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        self.0.quotas().await
    }
    fn describe(&self) -> Description {
        self.0.describe()
    }
    fn price_sources(&self) -> Vec<PriceSource> {
        vec![PriceSource {
            name: "prices.csv".to_owned(),
            hash: "0f".repeat(32),
            as_of: "2026-10-31T00:00:00Z".parse().unwrap(),
            unknown_from: None,
            priced: 3,
            refused: 1,
            trouble: None,
        }]
    }
}

struct Nobody;

impl CatalogMeter for Nobody {
    fn answered(&self, _: Answered, _: Option<Duration>) {}
}

/// A broker over one cloud, its offers kept.
async fn one_cloud(world: &World) -> Arc<Broker> {
    let cloud = Listed(world.sim.provider("sim-aws").unwrap());
    let cached: Arc<dyn CapacityProvider> = Arc::new(Cached::new(cloud, Keep::default(), Nobody));
    broker_over(vec![cached], &world.sim, &world.ledger, &world.audit, 9).await
}

fn fails(call: Call, times: u32) -> Rule {
    let at = Where { provider: Some(ProviderId::parse("sim-aws").unwrap()), ..Where::default() };
    Rule { call, at, effect: Effect::Auth, skip: 0, times: Some(times) }
}

#[tokio::test]
async fn offers_may_be_old_and_say_so_while_a_plan_asks_anew() {
    let world = World::new(Script::named("none").unwrap()).await;
    let broker = one_cloud(&world).await;
    let asked_at = world.sim.now();
    let first = broker.offers(&you(), eight_h100()).await.unwrap();
    assert!(first.kept.is_empty() && !first.attempts.is_empty(), "{first:#?}");
    world.advance_s(30);
    let kept = broker.offers(&you(), eight_h100()).await.unwrap();
    assert_eq!(kept.attempts.len(), first.attempts.len());
    assert_eq!(kept.kept.iter().map(|kept| kept.asked_at).collect::<Vec<_>>(), [asked_at]);
    let seen = broker.provider_statuses().remove(0);
    assert_eq!(seen.snapshot.unwrap().asked_at, asked_at);
    assert_eq!(seen.last_ok, Some(asked_at), "what is kept says nothing of how the cloud is now");

    // The cloud fails: a plan has nothing to offer, whatever is kept; who looks around sees it, with its age and why.
    world.sim.add_rule(fails(Call::Quote, 2)).unwrap();
    let (plan, _) = broker.plan(&you(), eight_h100()).await.unwrap();
    assert!(plan.plan.attempts.is_empty(), "{:#?}", plan.plan);
    let kept = broker.offers(&you(), eight_h100()).await.unwrap();
    assert_eq!((kept.attempts.len(), kept.kept[0].asked_at), (first.attempts.len(), asked_at));
    assert!(kept.kept[0].trouble.as_ref().unwrap().contains("credential refused"), "{kept:#?}");
    assert!(broker.provider_statuses()[0].snapshot.as_ref().unwrap().trouble.is_some());
}

#[tokio::test]
async fn a_plan_and_its_entry_name_the_lists_that_prices_come_from() {
    let world = World::new(Script::named("none").unwrap()).await;
    let broker = one_cloud(&world).await;
    let (plan, _) = broker.plan(&you(), eight_h100()).await.unwrap();
    let [priced] = &plan.price_sources[..] else { panic!("{:?}", plan.price_sources) };
    assert_eq!((priced.provider.as_str(), priced.source.name.as_str()), ("sim-aws", "prices.csv"));
    assert_eq!(broker.plan_by_id(&plan.plan.id).await.unwrap(), plan, "kept with it");
    assert_eq!(broker.provider_statuses()[0].price_sources, std::slice::from_ref(&priced.source));
    let search = Search { subject: Some(plan.plan.id.to_string()), ..Search::default() };
    let entry = world.audit.search(&search).await.unwrap().hits.remove(0).entry;
    let said = entry.data["price_sources"].as_str().unwrap();
    assert_eq!(said, format!("sim-aws {} 2026-10-31T00:00:00Z prices.csv", "0f".repeat(32)));
    // Where no list prices anything, none is named.
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    assert!(plan.price_sources.is_empty());
}
