//! The owner tag: one of its own for every data directory, and the same one after every restart.

use std::path::Path;

use hpc_broker::LeaseState;
use hpc_error::codes;
use hpc_ledger::{Key, Ledger, Transaction};
use hpc_ledger_redb::{Options, RedbLedger};
use hpc_provider::TAG_OWNER;
use hpcd::world::World;

use crate::{lease, options, person};

async fn owner(data: &Path) -> String {
    World::open(options(Some(data))).await.unwrap().broker.settings().owner.clone()
}

/// Changes the record, as no daemon does.
async fn change(data: &Path, change: impl FnOnce(Transaction, &Key) -> Transaction) {
    let ledger = RedbLedger::open(data.join("ledger.redb"), Options::default()).unwrap();
    let place = Key::parse("installation/owner").unwrap();
    ledger.commit(change(Transaction::new(), &place)).await.unwrap();
}

#[tokio::test]
async fn two_directories_of_one_seed_have_two_tags_and_each_keeps_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
    let first = owner(&one).await;
    let chance = first.strip_prefix(hpcd::owner::OWNER_PREFIX).unwrap();
    assert!(chance.len() == 32 && chance.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
    assert_ne!(first, owner(&other).await);
    assert_eq!(first, owner(&one).await);
}

#[tokio::test]
async fn what_is_created_carries_the_tag() {
    let world = World::open(options(None)).await.unwrap();
    lease(&world, &person(&world, "you")).await;
    let live = world.sim.live_instances();
    assert!(!live.is_empty());
    assert!(live.iter().all(|instance| instance.tags[TAG_OWNER] == world.broker.settings().owner));
}

#[tokio::test]
async fn a_directory_of_an_older_version_draws_a_tag_and_keeps_its_leases() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let before = owner(&data).await;
    // What an older version would have left: the tag made from the seed, and no record of it after the lease.
    change(&data, |change, place| change.put(place, b"hpcd-00000000000000000000000000000007".to_vec())).await;
    let held = {
        let world = World::open(options(Some(&data))).await.unwrap();
        let held = lease(&world, &person(&world, "you")).await;
        world.audit.close().await.unwrap();
        held
    };
    change(&data, |change, place| change.delete(place)).await;
    let world = World::open(options(Some(&data))).await.unwrap();
    let drawn = &world.broker.settings().owner;
    assert!(*drawn != before && !drawn.ends_with("0007"), "{drawn}");
    for _ in 0..3 {
        world.pass(std::time::Duration::from_secs(60)).unwrap();
        let round = world.reconcile().await.unwrap();
        assert!(round.problems.is_empty(), "{round:?}");
    }
    assert_eq!(world.broker.lease_by_id(&held.id).await.unwrap().state, LeaseState::Active);
    world.broker.release(&person(&world, "you"), &held.id).await.unwrap();
    world.pass(std::time::Duration::from_secs(600)).unwrap();
    world.reconcile().await.unwrap();
    assert_eq!(world.sim.live_instances(), []);
}

#[tokio::test]
async fn a_damaged_tag_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    owner(&data).await;
    for bad in ["", "hpcd-", "hpcd-7", "hpcd-0000000000000000000000000000000G", "\u{e9}"] {
        change(&data, |change, place| change.put(place, bad.as_bytes().to_vec())).await;
        let refused = World::open(options(Some(&data))).await.err().unwrap();
        assert_eq!(refused.registered(), Some(&codes::DAT_CORRUPT), "{bad}: {refused}");
    }
}
