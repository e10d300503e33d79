//! What the suite does not ask: competition, changed inventories, prices, quotas.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hpc_memory::ledger::MemoryLedger;
use hpc_provider::{
    CapacityProvider, ErrorKind, InstancePhase, Observe, ProvisionSpec, QuoteRequest, Released, TAG_OWNER,
};
use hpc_provider_static::{ENDED_KEPT_MAX, Inventory, InventoryDocument, MACHINES_PER_CALL_MAX};
use hpc_resources::{Money, ResourceRequest, StockHint};

use super::{Told, inventory, offer, provider, spec, yaml};

#[tokio::test]
async fn of_two_processes_that_want_the_last_machines_one_gets_them() {
    let (ledger, clock) = (Arc::new(MemoryLedger::new()), Told::new());
    let processes: Vec<_> = (0..4).map(|_| Arc::new(provider(ledger.clone(), &clock, 10))).collect();
    let offer = offer(processes[0].as_ref(), clock.now(), "rack-a").await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20_u128 {
        let process = Arc::clone(&processes[usize::try_from(number % 4).unwrap()]);
        let spec = spec(&offer, number, 3);
        tasks.spawn(async move { process.provision(&spec).await });
    }
    let answers = tasks.join_all().await;
    let mut taken = BTreeSet::new();
    for answer in &answers {
        match answer {
            Ok(result) => {
                for handle in &result.handles {
                    assert!(taken.insert(handle.id.split('.').next().unwrap().to_owned()), "given twice");
                }
            }
            Err(error) => assert_eq!(error.kind, ErrorKind::Capacity, "{error}"),
        }
    }
    assert_eq!(taken.len(), 9, "three of three, and one left over");
}

#[tokio::test]
async fn a_machine_that_disappears_while_somebody_has_it_is_reported_and_not_lost() {
    let (ledger, clock) = (Arc::new(MemoryLedger::new()), Told::new());
    let racks = provider(ledger, &clock, 3);
    let spec = spec(&offer(&racks, clock.now(), "rack-a").await, 1, 2);
    let handles = racks.provision(&spec).await.unwrap().handles;
    assert_eq!(racks.missing().await.unwrap(), []);
    // `a-000` is gone, `a-001` is now of another type, `a-002` was free.
    let text = yaml(3).replace("  - { name: a-000, type: dgx-h100, zone: rack-a }\n", "");
    let text = text.replace("a-001, type: dgx-h100", "a-001, type: old-v100").replace("a-002", "a-777");
    let reloaded = racks.reload(inventory(&text)).await.unwrap();
    assert_eq!(reloaded.added, ["a-777"]);
    assert_eq!(reloaded.removed, ["a-000", "a-002"]);
    assert_eq!(reloaded.changed, ["a-001"]);
    let missing: Vec<_> = reloaded.missing.iter().map(|gone| gone.machine.as_str()).collect();
    assert_eq!(missing, ["a-000", "a-001"]);
    assert_eq!(reloaded.missing[0].handle, handles[0]);
    assert_eq!(reloaded.missing[0].lease.as_deref(), Some(spec.lease.as_str()));
    let seen = racks.observe(&Observe::Handles(handles.clone())).await.unwrap();
    assert!(seen.len() == 2 && seen.iter().all(|state| state.phase == InstancePhase::Running));
    assert_eq!(racks.list_owned("tests", None).await.unwrap().instances.len(), 2);
    // Given back, it is not given out again.
    assert_eq!(racks.release(&handles[0]).await, Ok(Released::Released));
    assert_eq!(racks.missing().await.unwrap().len(), 1);
    let everything = spec_of(&racks, &clock, 2, 2).await;
    assert_eq!(
        racks.provision(&everything).await.unwrap_err().kind,
        ErrorKind::Capacity,
        "only a-777 is free"
    );
}

async fn spec_of(racks: &dyn CapacityProvider, clock: &Told, number: u128, instances: u32) -> ProvisionSpec {
    spec(&offer(racks, clock.now(), "rack-a").await, number, instances)
}

#[tokio::test]
async fn a_late_release_does_not_free_what_a_successor_has() {
    let (ledger, clock) = (Arc::new(MemoryLedger::new()), Told::new());
    let racks = provider(ledger, &clock, 1);
    let first = racks.provision(&spec_of(&racks, &clock, 1, 1).await).await.unwrap().handles.remove(0);
    assert_eq!(racks.release(&first).await, Ok(Released::Released));
    let second = racks.provision(&spec_of(&racks, &clock, 2, 1).await).await.unwrap().handles.remove(0);
    assert_ne!(first, second, "the same machine, another reservation");
    assert_eq!(racks.release(&first).await, Ok(Released::AlreadyGone));
    let state = racks.observe(&Observe::Handles(vec![second])).await.unwrap().remove(0);
    assert_eq!(state.phase, InstancePhase::Running);
}

#[tokio::test]
async fn what_is_free_costs_nothing_and_only_by_that_word() {
    let (ledger, clock) = (Arc::new(MemoryLedger::new()), Told::new());
    let racks = provider(ledger, &clock, 1);
    let ask = async |model: &str| {
        let request = ResourceRequest::new("t").add_gpu_named(model, 8).build().unwrap();
        racks.get_quote(&QuoteRequest { request, now: clock.now() }).await.unwrap().offers
    };
    assert_eq!(ask("v100").await[0].price.unwrap().0, Money::ZERO_USD);
    racks.reload(inventory(&yaml(1).replace("price: free", "price: unknown"))).await.unwrap();
    let mut unknown = ask("v100").await.remove(0);
    assert_eq!(unknown.price, None);
    unknown.price = ask("h100").await[0].price;
    let error = racks.provision(&spec(&unknown, 1, 1)).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Config, "PriceUnknown"));
    let zero = yaml(1).replace("price: free", "price: 0.00 USD");
    let document: InventoryDocument = hpc_config::parse_document(&zero, hpc_config::Format::Yaml).unwrap();
    assert!(Inventory::check(document).unwrap_err().to_string().contains("write `free`"));
    let bare = yaml(1).replace("price: free", "price: 0");
    assert!(hpc_config::parse_document::<InventoryDocument>(&bare, hpc_config::Format::Yaml).is_err());
}

#[tokio::test]
async fn quotas_are_the_inventory() {
    let (ledger, clock) = (Arc::new(MemoryLedger::new()), Told::new());
    let racks = provider(ledger, &clock, 3);
    let find = async || {
        let quotas = racks.quotas().await.unwrap();
        let quota = quotas.into_iter().find(|quota| quota.family.as_str() == "dgx-h100").unwrap();
        (quota.used, quota.limit)
    };
    assert_eq!(find().await, (0, 4), "b-2 is out of service");
    let handles = racks.provision(&spec_of(&racks, &clock, 1, 3).await).await.unwrap().handles;
    assert_eq!(find().await, (3, 4));
    let full = offer(&racks, clock.now(), "rack-a").await;
    assert_eq!(full.stock, StockHint::Unlikely);
    let quota = full.quota.clone().unwrap();
    assert_eq!((quota.family.as_str(), quota.units_per_instance), ("dgx-h100", 1));
    racks.release(&handles[1]).await.unwrap();
    assert_eq!(find().await, (2, 4));
    assert_eq!(offer(&racks, clock.now(), "rack-a").await.stock, StockHint::Likely);
}

#[tokio::test]
async fn a_price_ceiling_and_user_data_are_minded() {
    let (ledger, clock) = (Arc::new(MemoryLedger::new()), Told::new());
    let racks = provider(ledger, &clock, 1);
    let good = spec_of(&racks, &clock, 1, 1).await;
    let low = ProvisionSpec { price_ceiling: Some("19.99 USD".parse().unwrap()), ..good.clone() };
    assert_eq!(racks.provision(&low).await.unwrap_err().code, "PriceAboveCeiling");
    let script = ProvisionSpec { user_data_ref: Some("join".to_owned()), ..good.clone() };
    assert_eq!(racks.provision(&script).await.unwrap_err().code, "UserData");
    let exact = ProvisionSpec { price_ceiling: Some("20.00 USD".parse().unwrap()), ..good };
    racks.provision(&exact).await.unwrap();
}

#[tokio::test]
async fn the_largest_reservation_is_one_transaction() {
    let (ledger, clock) = (Arc::new(MemoryLedger::new()), Told::new());
    let most = MACHINES_PER_CALL_MAX;
    let racks = provider(ledger, &clock, usize::try_from(most).unwrap() + 1);
    let over = racks.provision(&spec_of(&racks, &clock, 1, most + 1).await).await.unwrap_err();
    assert_eq!(over.kind, ErrorKind::Config, "{over}");
    let all = racks.provision(&spec_of(&racks, &clock, 2, most).await).await.unwrap();
    assert_eq!(all.handles.len(), usize::try_from(most).unwrap());
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_the_rest_is_kept() {
    let (ledger, clock) = (Arc::new(MemoryLedger::new()), Told::new());
    let racks = provider(ledger, &clock, 1);
    let mut first = None;
    let lives = ENDED_KEPT_MAX + 60;
    for number in 0..u128::from(lives) {
        let handle =
            racks.provision(&spec_of(&racks, &clock, number, 1).await).await.unwrap().handles.remove(0);
        clock.pass(Duration::from_secs(10));
        racks.release(&handle).await.unwrap();
        first.get_or_insert(handle);
    }
    let owned = Observe::Tag { key: TAG_OWNER.to_owned(), value: "tests".to_owned() };
    let seen = racks.observe(&owned).await.unwrap();
    let kept = u64::try_from(seen.len()).unwrap();
    assert!((ENDED_KEPT_MAX..=ENDED_KEPT_MAX + 2).contains(&kept), "{kept}");
    assert!(seen.iter().all(|state| state.ended_at.is_some_and(|end| end > state.launched_at)));
    assert_eq!(racks.release(&first.unwrap()).await, Ok(Released::AlreadyGone));
    assert!(racks.list_owned("tests", None).await.unwrap().next.is_some(), "ended ones are paged over");
}
