//! Charges: their sum is the ledger's and the clouds' bill, to the nano-unit, over months and with everything still running.

use hpc_broker::{Broker, Charge, ChargeFilter, LeaseRecord};
use hpc_provider::{CapacityProvider, ProvisionSpec};
use hpc_provider_sim::{Script, SimConfig};
use hpc_resources::{IntentId, LeaseId, Money, Month, ProviderId, ResourceRequest};

use crate::world::{bot, eight_h100, open, you};

async fn all(broker: &Broker, filter: &ChargeFilter) -> Vec<Charge> {
    let everybody = |_: &LeaseRecord| true;
    let (mut charges, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = broker.charges(filter, after.as_deref(), &everybody).await.unwrap();
        charges.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    charges.extend(broker.orphan_charges(filter, None).await.unwrap().items);
    charges
}

fn sum(amounts: impl Iterator<Item = Money>) -> Money {
    amounts.fold(Money::ZERO_USD, |sum, amount| sum.checked_add(amount).unwrap())
}

#[tokio::test]
async fn charges_add_up_to_the_bill_of_the_clouds_at_any_moment() {
    let begin = "2026-11-30T23:17:11.25Z".parse().unwrap();
    let script = Script::named("none").unwrap();
    let world = open(SimConfig { script, ..SimConfig::new(7, begin) }).await;
    let labelled = ResourceRequest::new("job")
        .add_gpu_nvidia_h100(16)
        .with_instances_max(2)
        .with_duration_s(10_800)
        .with_label("project", "llm")
        .build()
        .unwrap();
    let first = world.apply(labelled).await.unwrap();
    let (plan, _) = world.broker.plan(&bot(), eight_h100()).await.unwrap();
    let second = world.broker.apply(&bot(), &plan.plan.id, &hpc_broker::Silent).await.unwrap();
    // An instance that nothing explains.
    let quote = world.sim.provider("sim-gcp").unwrap();
    let offer = plan
        .plan
        .attempts
        .iter()
        .map(|attempt| attempt.offer.clone())
        .find(|offer| offer.provider.as_str() == "sim-gcp")
        .unwrap();
    let spec = ProvisionSpec {
        intent: IntentId::from_bits(7),
        token: hpc_provider::Token::derive(
            &IntentId::from_bits(7),
            0,
            &offer.provider,
            &offer.region,
            &offer.zone,
        ),
        lease: LeaseId::from_bits(7),
        price: offer.price.unwrap(),
        instances: 1,
        tags: [("hpc-owner".to_owned(), "test".to_owned())].into(),
        price_ceiling: None,
        user_data_ref: None,
        deadline: world.sim.now(),
        offer,
    };
    quote.provision(&spec).await.unwrap();
    for seconds in [0, 1, 600, 1_777, 3_599] {
        world.advance_s(seconds);
        world.broker.reconcile().await.unwrap();
        let bill = sum(world.sim.bill().into_iter().map(|line| line.amount));
        let orphans = world.broker.orphans(None, 10).await.unwrap().items.len();
        if orphans == 1 {
            let charges = all(&world.broker, &ChargeFilter::default()).await;
            assert_eq!(sum(charges.iter().map(|charge| charge.cost)), bill, "{charges:#?}");
        }
    }
    for (who, lease) in [(you(), &first), (bot(), &second)] {
        world.broker.release(&who, &lease.lease.id).await.unwrap();
    }
    world.settle().await;
    let charges = all(&world.broker, &ChargeFilter::default()).await;
    let bill = world.sim.bill();
    assert_eq!(sum(charges.iter().map(|charge| charge.cost)), sum(bill.iter().map(|line| line.amount)));
    for line in &bill {
        let of = charges
            .iter()
            .filter(|charge| charge.instance == line.handle.id && charge.provider == line.handle.provider);
        assert_eq!(sum(of.map(|charge| charge.cost)), line.amount, "{line:?}");
    }
    assert!(charges.iter().all(|charge| charge.settled && charge.simulated && charge.from < charge.to));
    let mut ids: Vec<&str> = charges.iter().map(|charge| charge.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), charges.len(), "each charge has an id of its own");
    // Both months; what is asked for is what is given, and parts make the whole.
    let months = ["2026-11", "2026-12"].map(|month| month.parse::<Month>().unwrap());
    let mut of_months = Vec::new();
    for month in months {
        let filter =
            ChargeFilter { from: Some(month.start()), to: Some(month.end()), ..ChargeFilter::default() };
        let found = all(&world.broker, &filter).await;
        assert!(!found.is_empty() && found.iter().all(|charge| charge.month == month));
        of_months.extend(found);
    }
    assert_eq!(of_months.len(), charges.len());
    let count = async |filter: ChargeFilter| all(&world.broker, &filter).await.len();
    let none = ChargeFilter::default;
    assert_eq!(count(ChargeFilter { label: Some(("project".into(), "llm".into())), ..none() }).await, 4);
    assert_eq!(count(ChargeFilter { payer: Some("agent:bot".parse().unwrap()), ..none() }).await, 2);
    assert_eq!(count(ChargeFilter { payer: Some("user:you".parse().unwrap()), ..none() }).await, 6);
    assert_eq!(count(ChargeFilter { lease: Some(second.lease.id.clone()), ..none() }).await, 2);
    assert_eq!(
        count(ChargeFilter { provider: Some(ProviderId::parse("nobody").unwrap()), ..none() }).await,
        0
    );
    // What the accounts have is what the charges of each payer come to, month by month.
    let of_bot =
        all(&world.broker, &ChargeFilter { payer: Some("agent:bot".parse().unwrap()), ..none() }).await;
    let cost = world.broker.lease_by_id(&second.lease.id).await.unwrap().cost.unwrap();
    assert_eq!(sum(of_bot.iter().map(|charge| charge.cost)), cost);
    let hidden = |_: &LeaseRecord| false;
    assert!(world.broker.charges(&none(), None, &hidden).await.unwrap().items.is_empty());
}
