//! What the first boot runs is named by the intent, and only to a provider that boots anything.

use std::sync::Arc;

use hpc_broker::Silent;
use hpc_memory::provider::MemoryProvider;
use hpc_provider::{CapacityProvider, Supports};
use hpc_provider_sim::Script;

use crate::world::{World, broker_over, eight_h100, you};

/// The references in the journal after one lease from `provider`.
async fn references(provider: MemoryProvider) -> Vec<(String, Option<String>)> {
    let world = World::new(Script::named("none").unwrap()).await;
    let providers: Vec<Arc<dyn CapacityProvider>> = vec![Arc::new(provider)];
    let broker = broker_over(providers, &world.sim, &world.ledger, &world.audit, 1).await;
    let (plan, _) = broker.plan(&you(), eight_h100()).await.unwrap();
    broker.apply(&you(), &plan.plan.id, &Silent).await.unwrap();
    let intents = broker.intents(None, 10).await.unwrap().items;
    intents.into_iter().map(|intent| (intent.spec.intent.to_string(), intent.spec.user_data_ref)).collect()
}

#[tokio::test]
async fn the_intent_names_it_where_the_provider_takes_one() {
    let named = references(MemoryProvider::seeded(7)).await;
    assert!(!named.is_empty());
    assert!(named.iter().all(|(intent, reference)| reference.as_ref() == Some(intent)), "{named:?}");
}

#[tokio::test]
async fn a_provider_that_boots_nothing_is_sent_none() {
    let with = MemoryProvider::seeded(7);
    let supports = Supports { user_data: false, ..with.describe().supports };
    let named = references(with.with_supports(supports)).await;
    assert!(!named.is_empty() && named.iter().all(|(_, reference)| reference.is_none()), "{named:?}");
}
