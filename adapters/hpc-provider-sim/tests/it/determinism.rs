//! The same seed and the same calls give the same answers; and how fast they come.

use std::time::{Duration, Instant};

use hpc_provider::{CapacityProvider, Observe};
use hpc_provider_sim::{Chances, Notice, ReclaimRule, Script, SimConfig, SimWorld, Where};
use hpc_resources::{Offer, OfferKind};
use proptest::prelude::*;

use crate::tools::{cloud, create, offers, spec, start};

#[derive(Clone, Debug)]
enum Act {
    Create { number: u8, offer: u8, instances: u8 },
    Release { nth: u8 },
    Pass { seconds: u32 },
    Look,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..40_u8, any::<u8>(), 0..4_u8).prop_map(|(number, offer, instances)| Act::Create {
            number,
            offer,
            instances
        }),
        any::<u8>().prop_map(|nth| Act::Release { nth }),
        (0..5_000_u32).prop_map(|seconds| Act::Pass { seconds }),
        Just(Act::Look),
    ]
}

/// Plays the acts and writes down everything that was answered, and the truth at the end.
async fn play(seed: u64, acts: &[Act]) -> Vec<String> {
    let chances = Chances {
        stock_out_bp: 800,
        lost_before_bp: 800,
        lost_after_bp: 800,
        internal_bp: 300,
        reclaims: true,
    };
    let reclaim = ReclaimRule { at: Where::default(), after_s: 900, notice: Notice::Twice, times: Some(2) };
    let script = Script { chances, reclaims: vec![reclaim], ..Script::default() };
    let world = SimWorld::open(SimConfig { script, ..SimConfig::new(seed, start()) }).unwrap();
    let fine = SimWorld::open(SimConfig::new(seed, start())).unwrap();
    let mut menu: Vec<Offer> = Vec::new();
    for id in ["sim-aws", "sim-gcp", "sim-rack"] {
        menu.extend(offers(cloud(&fine, id).as_ref(), fine.now()).await);
    }
    let mut told = Vec::new();
    for act in acts {
        match act {
            Act::Create { number, offer, instances } => {
                let offer = &menu[usize::from(*offer) % menu.len()];
                told.push(format!(
                    "{:?}",
                    create(&world, &spec(offer, u128::from(*number), u32::from(*instances))).await
                ));
            }
            Act::Release { nth } => {
                let all = world.instances();
                if let Some(instance) = all.get(usize::from(*nth) % all.len().max(1)) {
                    let provider = cloud(&world, instance.handle.provider.as_str());
                    told.push(format!("{:?}", provider.release(&instance.handle).await));
                }
            }
            Act::Pass { seconds } => {
                world.advance(Duration::from_secs(u64::from(*seconds))).unwrap();
            }
            Act::Look => {
                for provider in world.providers() {
                    told.push(format!("{:?}", provider.list_owned("tests", None).await));
                    told.push(format!("{:?}", provider.interruptions(None).await));
                    let handles = world.instances().into_iter().map(|instance| instance.handle).collect();
                    told.push(format!("{:?}", provider.observe(&Observe::Handles(handles)).await));
                }
            }
        }
    }
    // The conservation law of a cloud: quotas in use are what lives; no token made two sets.
    let quotas = cloud(&world, "sim-gcp").quotas().await;
    if let Ok(quotas) = quotas {
        let used: u64 = quotas.iter().map(|quota| quota.used).sum();
        let live = world.live_instances();
        let devices = |instance: &hpc_provider::InstanceState| {
            let same = |offer: &&Offer| offer.instance_type == instance.instance_type;
            menu.iter().find(same).map_or(0, |offer| u64::from(offer.accelerators.unwrap().count))
        };
        let alive: u64 = live.iter().filter(|i| i.handle.provider.as_str() == "sim-gcp").map(devices).sum();
        assert_eq!(used, alive);
    }
    told.push(format!("{:?} {:?} {:?}", world.now(), world.instances(), world.bill()));
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn same_seed_same_calls_same_answers(seed in any::<u64>(), acts in proptest::collection::vec(act(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (one, two) = (runtime.block_on(play(seed, &acts)), runtime.block_on(play(seed, &acts)));
        prop_assert_eq!(one, two);
    }

    #[test]
    fn one_leap_or_many_steps_end_alike(seed in any::<u64>(), cuts in proptest::collection::vec(1..5_000_u64, 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let script = || Script {
            chances: Chances { reclaims: true, ..Chances::default() },
            reclaims: vec![ReclaimRule { at: Where::default(), after_s: 700, notice: Notice::Late, times: Some(3) }],
            no_quotas: true,
            ..Script::default()
        };
        let open = || SimWorld::open(SimConfig { script: script(), ..SimConfig::new(seed, start()) }).unwrap();
        let (leap, steps) = (open(), open());
        runtime.block_on(async {
            for world in [&leap, &steps] {
                let offer = crate::tools::offer(world, "sim-aws", "use1-az1", OfferKind::Spot).await;
                create(world, &spec(&offer, 1, 12)).await.unwrap();
            }
        });
        for cut in &cuts {
            steps.advance(Duration::from_secs(*cut)).unwrap();
        }
        leap.advance(Duration::from_secs(cuts.iter().sum())).unwrap();
        prop_assert_eq!(leap.instances(), steps.instances());
        prop_assert_eq!(leap.bill(), steps.bill());
        let events = |world: &SimWorld| runtime.block_on(cloud(world, "sim-aws").interruptions(None)).unwrap();
        prop_assert_eq!(events(&leap), events(&steps));
    }
}

/// Not a benchmark, a floor: even unoptimised and on a busy machine the simulator is not what limits a test.
#[tokio::test]
async fn two_thousand_creates_a_second_in_memory() {
    let script = Script { no_quotas: true, ..Script::default() };
    let world = SimWorld::open(SimConfig { script, ..SimConfig::new(1, start()) }).unwrap();
    let offer = crate::tools::offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
    let specs: Vec<_> = (0..4_000).map(|number| spec(&offer, number, 1)).collect();
    let begin = Instant::now();
    for spec in &specs {
        create(&world, spec).await.unwrap();
    }
    let rate = 4_000.0 / begin.elapsed().as_secs_f64();
    eprintln!("{rate:.0} creates a second in memory");
    assert!(rate >= 500.0, "{rate:.0} creates a second");
}
