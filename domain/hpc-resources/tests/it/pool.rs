//! Pools: one law of conservation, all or nothing, and fences.

use std::collections::BTreeSet;

use hpc_resources::{
    AUDIT_KEPT_MAX, AcceleratorModel, Bytes, Device, GANG_MAX, GangRequest, Hold, LeaseId, MilliGpu, Pool,
    PoolError, PoolEvent,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn device(id: &str, domain: &str) -> Device {
    Device {
        id: id.to_owned(),
        model: AcceleratorModel::H100,
        memory: Bytes::from_mib(81_920),
        domain: domain.to_owned(),
    }
}

/// `nodes` nodes of `per_node` devices.
fn pool(nodes: u32, per_node: u32) -> Pool {
    let devices = (0..nodes).flat_map(|node| {
        (0..per_node).map(move |slot| device(&format!("n{node}-g{slot}"), &format!("n{node}")))
    });
    Pool::new(devices).unwrap()
}

fn gang(lease: u128, count: u32, share: u32) -> GangRequest {
    GangRequest {
        lease: LeaseId::from_bits(lease),
        model: AcceleratorModel::H100,
        count,
        share: MilliGpu(share),
        memory: Bytes(0),
        one_domain: false,
    }
}

/// For each device: held + free = capacity, and held is the sum of its holders.
fn check(pool: &Pool) {
    for used in pool.snapshot() {
        assert_eq!(used.held.0 + used.free.0, MilliGpu::WHOLE.0, "{used:?}");
        assert_eq!(used.holders.values().map(|share| share.0).sum::<u32>(), used.held.0, "{used:?}");
    }
    let free: u64 = pool.snapshot().iter().map(|used| u64::from(used.free.0)).sum();
    assert_eq!(pool.free(AcceleratorModel::H100), free);
}

#[derive(Clone, Debug)]
enum Act {
    Reserve { lease: u8, count: u8, share: u16, one_domain: bool, seconds: u8 },
    Commit { nth: usize },
    Release { nth: usize },
    Pass { seconds: u8 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..12_u8, 0..10_u8, 0..1_200_u16, any::<bool>(), 0..60_u8).prop_map(
            |(lease, count, share, one_domain, seconds)| Act::Reserve { lease, count, share, one_domain, seconds }
        ),
        1 => any::<usize>().prop_map(|nth| Act::Commit { nth }),
        2 => any::<usize>().prop_map(|nth| Act::Release { nth }),
        1 => any::<u8>().prop_map(|seconds| Act::Pass { seconds }),
    ]
}

proptest! {
    #[test]
    fn nothing_is_lost_nor_given_twice(acts in proptest::collection::vec(act(), 1..120)) {
        let mut pool = pool(3, 4);
        let mut now = at(0);
        // Every hold ever given out: late commits and releases come from here.
        let mut given: Vec<Hold> = Vec::new();
        for act in acts {
            match act {
                Act::Reserve { lease, count, share, one_domain, seconds } => {
                    let wanted = GangRequest { one_domain, ..gang(u128::from(lease), u32::from(count), u32::from(share)) };
                    pool.expire(now);
                    let before = pool.snapshot();
                    let admitted = pool.admit(&wanted);
                    prop_assert_eq!(&pool.snapshot(), &before, "admit changes nothing");
                    match pool.reserve(&wanted, now, u32::from(seconds)) {
                        Ok(hold) => {
                            prop_assert_eq!(&hold.devices, &admitted.unwrap().devices);
                            let distinct: BTreeSet<&String> = hold.devices.iter().collect();
                            prop_assert_eq!(distinct.len(), usize::from(count), "one share on each device");
                            let domains: BTreeSet<&str> = hold.devices.iter().map(|id| id.split('-').next().unwrap()).collect();
                            prop_assert!(!one_domain || domains.len() == 1);
                            prop_assert!(given.iter().all(|old| old.generation < hold.generation));
                            given.push(hold);
                        }
                        Err(error) => {
                            prop_assert_eq!(&pool.snapshot(), &before, "all or nothing: {}", &error);
                            if !matches!(error, PoolError::AlreadyHeld(_)) {
                                prop_assert_eq!(admitted, Err(error));
                            }
                        }
                    }
                }
                Act::Commit { nth } => {
                    if let Some(hold) = given.get(nth % given.len().max(1)) {
                        let done = pool.commit(hold, now).is_ok();
                        let current = pool.hold_of(&hold.lease).map(|have| have.generation) == Some(hold.generation);
                        prop_assert_eq!(done, current);
                    }
                }
                Act::Release { nth } => {
                    if let Some(hold) = given.get(nth % given.len().max(1)) {
                        let others: Vec<_> = given.iter().filter(|g| g.lease != hold.lease).filter_map(|g| pool.hold_of(&g.lease).cloned()).collect();
                        let newer = pool.hold_of(&hold.lease).is_some_and(|have| have.generation != hold.generation);
                        prop_assert_eq!(pool.release(hold, now).is_err(), newer, "only a fence refuses");
                        prop_assert!(others.iter().all(|other| pool.hold_of(&other.lease) == Some(other)));
                        if !newer {
                            prop_assert_eq!(pool.release(hold, now), Ok(false), "twice succeeds, and frees nothing");
                        }
                    }
                }
                Act::Pass { seconds } => {
                    now += SignedDuration::from_secs(i64::from(seconds));
                    pool.expire(now);
                }
            }
            check(&pool);
        }
        // The history alone says who holds what.
        let mut held: BTreeSet<u64> = BTreeSet::new();
        for record in pool.audit_since(0).records {
            match record.event {
                PoolEvent::Reserved => prop_assert!(held.insert(record.hold.generation)),
                PoolEvent::Committed => prop_assert!(held.contains(&record.hold.generation)),
                PoolEvent::Released | PoolEvent::Expired => prop_assert!(held.remove(&record.hold.generation)),
            }
        }
        let current: BTreeSet<u64> = given.iter().filter_map(|g| pool.hold_of(&g.lease)).map(|h| h.generation).collect();
        prop_assert_eq!(held, current);
        // And all of it comes back.
        for hold in &given {
            let _ = pool.release(hold, now);
        }
        prop_assert_eq!(pool.free(AcceleratorModel::H100), 12_000);
    }
}

#[test]
fn a_late_release_does_not_free_the_successor() {
    let mut pool = pool(1, 1);
    let first = pool.reserve(&gang(1, 1, 1_000), at(0), 10).unwrap();
    assert!(pool.release(&first, at(1)).unwrap());
    let second = pool.reserve(&gang(1, 1, 1_000), at(2), 10).unwrap();
    let stale = PoolError::StaleGeneration { lease: first.lease.clone(), given: first.generation };
    assert_eq!(pool.release(&first, at(3)), Err(stale.clone()));
    assert_eq!(pool.commit(&first, at(3)), Err(stale));
    assert_eq!(pool.hold_of(&second.lease), Some(&second));
    let invented = Hold { generation: 99, lease: LeaseId::from_bits(7), ..second.clone() };
    assert!(matches!(pool.release(&invented, at(3)), Err(PoolError::StaleGeneration { given: 99, .. })));
    // What a hold says of its devices is not believed.
    let forged = Hold { devices: vec!["n0-g0".to_owned(); 3], share: MilliGpu(9), ..second };
    assert_eq!(pool.release(&forged, at(4)), Ok(true));
    check(&pool);
}

#[test]
fn a_reservation_runs_out_and_an_allocation_does_not() {
    let mut pool = pool(1, 2);
    let kept = pool.reserve(&gang(1, 1, 1_000), at(0), 10).unwrap();
    let lost = pool.reserve(&gang(2, 1, 1_000), at(0), 10).unwrap();
    pool.commit(&kept, at(9)).unwrap();
    pool.commit(&kept, at(99)).expect("a second time changes nothing");
    let expired = PoolError::Expired { lease: lost.lease.clone(), until: at(10) };
    assert_eq!(pool.commit(&lost, at(10)), Err(expired));
    assert_eq!(pool.release(&lost, at(11)), Ok(false));
    assert_eq!(pool.free(AcceleratorModel::H100), 1_000);
    assert!(pool.reserve(&gang(3, 1, 1_000), at(12), 10).is_ok());
    let events: Vec<PoolEvent> = pool.audit_since(0).records.iter().map(|record| record.event).collect();
    use PoolEvent::{Committed, Expired, Reserved};
    assert_eq!(events, [Reserved, Reserved, Committed, Expired, Reserved]);
}

#[test]
fn every_refusal_says_which_it_is() {
    let mut pool = pool(2, 2);
    let h100 = AcceleratorModel::H100;
    for (count, share) in [(0, 1_000), (1, 0), (1, 1_001), (u32::try_from(GANG_MAX).unwrap() + 1, 1)] {
        assert_eq!(pool.admit(&gang(1, count, share)), Err(PoolError::Gang { count, share }));
    }
    assert_eq!(pool.admit(&gang(1, 5, 1)), Err(PoolError::Never { model: h100, count: 5, have: 4 }));
    let big = GangRequest { memory: Bytes::from_mib(100_000), ..gang(1, 1, 1_000) };
    assert_eq!(pool.admit(&big), Err(PoolError::Never { model: h100, count: 1, have: 0 }));
    // 600 on each of four devices leaves 1,600 free, and no whole device.
    pool.reserve(&gang(1, 4, 600), at(0), 60).unwrap();
    assert!(matches!(pool.admit(&gang(2, 1, 1_000)), Err(PoolError::Fragmented { free: 1_600, .. })));
    assert_eq!(pool.admit(&gang(2, 4, 500)), Err(PoolError::Insufficient { model: h100, count: 4, fits: 0 }));
    let twice = pool.reserve(&gang(1, 1, 100), at(0), 60);
    assert_eq!(twice, Err(PoolError::AlreadyHeld(LeaseId::from_bits(1))));
    let close = GangRequest { one_domain: true, ..gang(2, 3, 100) };
    assert!(matches!(pool.admit(&close), Err(PoolError::Fragmented { why, .. }) if why.contains("domain")));
    for devices in [
        vec![device("", "d")],
        vec![device("a", "")],
        vec![device("a", "d"), device("a", "d")],
        vec![device(&"x".repeat(129), "d")],
    ] {
        assert!(matches!(Pool::new(devices), Err(PoolError::Device { .. })));
    }
}

#[test]
fn small_shares_fill_what_is_begun_and_whole_domains_stay_whole() {
    let mut pool = pool(2, 2);
    let first = pool.reserve(&gang(1, 1, 300), at(0), 60).unwrap();
    let second = pool.reserve(&gang(2, 1, 300), at(0), 60).unwrap();
    assert_eq!(first.devices, second.devices, "the begun device before a whole one");
    let pair = GangRequest { one_domain: true, ..gang(3, 1, 1_000) };
    assert_eq!(pool.admit(&pair).unwrap().devices, ["n0-g1"], "the domain that is broken already");
    let both = GangRequest { one_domain: true, ..gang(3, 2, 1_000) };
    assert_eq!(pool.admit(&both).unwrap().devices, ["n1-g0", "n1-g1"]);
}

#[test]
fn the_history_is_bounded_and_says_what_it_dropped() {
    let mut pool = pool(1, 1);
    let rounds = AUDIT_KEPT_MAX as u64;
    for round in 0..rounds {
        let hold = pool.reserve(&gang(u128::from(round), 1, 1_000), at(0), 60).unwrap();
        pool.release(&hold, at(0)).unwrap();
    }
    let page = pool.audit_since(10);
    assert_eq!((page.records.len(), page.next, page.dropped), (AUDIT_KEPT_MAX, 2 * rounds, rounds - 10));
    assert_eq!(page.records[0].sequence, rounds);
    let rest = pool.audit_since(page.next);
    assert_eq!((rest.records.len(), rest.next, rest.dropped), (0, page.next, 0));
}
