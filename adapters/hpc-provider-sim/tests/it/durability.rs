//! A world in a file survives its process at every moment, and damage is told apart from a torn end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hpc_provider::{CapacityProvider, Released};
use hpc_provider_sim::{
    Call, Effect, Notice, Persistence, ReclaimRule, Rule, Script, SimConfig, SimError, SimWorld, Where,
};
use hpc_resources::OfferKind;

use crate::tools::{cloud, config, create, offer, spec};

fn at(path: &Path, script: Script) -> SimConfig {
    SimConfig { persistence: Persistence::File(path.to_path_buf()), ..config(script) }
}

fn open(path: &Path) -> Result<SimWorld, SimError> {
    SimWorld::open(at(path, Script::default()))
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clouds.sim");
    (folder, path)
}

#[tokio::test]
async fn what_was_answered_is_there_after_the_process_is_gone() {
    let (_folder, path) = folder();
    let reclaim = ReclaimRule { at: Where::default(), after_s: 600, notice: Notice::Before, times: Some(1) };
    let lost = Rule {
        call: Call::Provision,
        at: Where::default(),
        effect: Effect::LostAfter,
        skip: 1,
        times: Some(1),
    };
    let script =
        || Script { reclaims: vec![reclaim.clone()], rules: vec![lost.clone()], ..Script::default() };
    let (first, second) = {
        let world = SimWorld::open(at(&path, script())).unwrap();
        let offer = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
        let (first, second) = (spec(&offer, 1, 2), spec(&offer, 2, 1));
        create(&world, &first).await.unwrap();
        world.advance(Duration::from_secs(500)).unwrap();
        create(&world, &second).await.expect_err("its answer is lost");
        (first, second)
    };
    let world = SimWorld::open(at(&path, script())).unwrap();
    assert_eq!(
        world.now().duration_since(crate::tools::start()).as_secs(),
        500,
        "the clock goes on where it was"
    );
    assert_eq!(world.live_instances().len(), 3);
    assert!(create(&world, &second).await.expect("the story is not told twice").replayed);
    assert!(create(&world, &first).await.unwrap().replayed);
    let before = world.bill();
    let aws = cloud(&world, "sim-aws");
    assert_eq!(aws.interruptions(None).await.unwrap().events.len(), 1, "what was announced stays announced");
    world.advance(Duration::from_secs(100)).unwrap();
    assert_eq!(world.live_instances().len(), 2, "a reclaim that was coming still comes");
    let handle = world.live_instances()[0].handle.clone();
    assert_eq!(aws.release(&handle).await.unwrap(), Released::Released);
    let truth = (world.instances(), world.bill(), world.now());
    drop((world, aws));
    let world = SimWorld::open(at(&path, script())).unwrap();
    assert_eq!((world.instances(), world.bill(), world.now()), truth);
    assert_eq!(before.len(), world.bill().len());
    assert_eq!(cloud(&world, "sim-aws").release(&handle).await.unwrap(), Released::AlreadyGone);
}

#[tokio::test]
async fn a_torn_end_is_cut_wherever_it_is_torn_and_nothing_answered_is_lost() {
    let (_folder, path) = folder();
    let (whole, before) = {
        let world = open(&path).unwrap();
        let offer = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
        create(&world, &spec(&offer, 1, 1)).await.unwrap();
        let before = std::fs::metadata(&path).unwrap().len();
        create(&world, &spec(&offer, 2, 1)).await.unwrap();
        (std::fs::read(&path).unwrap(), usize::try_from(before).unwrap())
    };
    for cut in (before..whole.len()).filter(|cut| *cut < before + 20 || cut % 13 == 0) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let world = open(&path).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert_eq!(world.live_instances().len(), 1, "cut at {cut}");
        drop(world);
        assert_eq!(
            std::fs::metadata(&path).unwrap().len(),
            u64::try_from(before).unwrap(),
            "the rest is cut off"
        );
    }
    // After a power cut the end of a file may be zeroes.
    let mut zeroes = whole.clone();
    zeroes.extend([0; 4_096]);
    std::fs::write(&path, &zeroes).unwrap();
    let world = open(&path).unwrap();
    assert_eq!(world.live_instances().len(), 2);
    let offer = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
    create(&world, &spec(&offer, 3, 1)).await.unwrap();
    drop(world);
    assert_eq!(open(&path).unwrap().live_instances().len(), 3, "what is written after a cut can be read");
}

#[tokio::test]
async fn a_changed_byte_is_damage_or_a_torn_end_and_never_a_panic() {
    let (_folder, path) = folder();
    let (whole, last) = {
        let world = open(&path).unwrap();
        let offer = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
        create(&world, &spec(&offer, 1, 1)).await.unwrap();
        let last = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
        create(&world, &spec(&offer, 2, 1)).await.unwrap();
        (std::fs::read(&path).unwrap(), last)
    };
    // Every byte of every header, and each ninth of what is between.
    let near = |place: usize| place < 24 || (last.saturating_sub(2)..last + 16).contains(&place);
    for place in (0..whole.len()).filter(|place| near(*place) || place % 9 == 0) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x41;
        std::fs::write(&path, &bytes).unwrap();
        match open(&path) {
            // Only the very last record may be taken for one that was never finished.
            Ok(world) => {
                assert!(place >= last + 8, "byte {place} was believed");
                assert_eq!(world.live_instances().len(), 1, "byte {place}");
            }
            Err(error @ SimError::Corrupt { .. }) => {
                let text = error.to_string();
                assert!(text.contains("clouds.sim") && text.contains("restore"), "{text}");
            }
            Err(error) => panic!("byte {place}: {error}"),
        }
    }
}

#[test]
fn other_files_other_seeds_and_second_processes_are_refused() {
    let (_folder, path) = folder();
    for content in ["", "something else", "HPCSIM1\n"] {
        std::fs::write(&path, content).unwrap();
        assert!(matches!(open(&path), Err(SimError::Corrupt { .. })), "{content}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content, "what is not ours is not touched");
    }
    std::fs::remove_file(&path).unwrap();
    let world = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, SimError::Locked { .. }), "{error}");
    drop(world);
    let other = SimConfig { seed: 43, ..at(&path, Script::default()) };
    assert!(matches!(SimWorld::open(other), Err(SimError::Seed { file_seed: 42, asked: 43, .. })));
    open(&path).expect("neither refusal harmed it");
    assert!(matches!(open(Path::new("no/such/folder/x")), Err(SimError::Io { .. })));
}

#[tokio::test]
async fn the_journal_is_folded_and_stays_small() {
    let (_folder, path) = folder();
    let world = open(&path).unwrap();
    let offer = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
    create(&world, &spec(&offer, 1, 1)).await.unwrap();
    // Four times the size at which it is folded, if it never were.
    let mut largest = 0;
    for round in 0..300_000_u64 {
        world.advance(Duration::from_millis(100)).unwrap();
        if round % 10_000 == 0 {
            largest = largest.max(std::fs::metadata(&path).unwrap().len());
        }
    }
    assert!(largest < 5 << 20, "{largest} bytes");
    let truth = (world.instances(), world.bill(), world.now());
    drop(world);
    let world = SimWorld::open(at(&path, Script { no_quotas: true, ..Script::default() })).unwrap();
    assert_eq!((world.instances(), world.bill(), world.now()), truth);
    let begin = Instant::now();
    for number in 10..110 {
        create(&world, &spec(&offer, number, 1)).await.unwrap();
    }
    eprintln!("{:.0} durable creates a second", 100.0 / begin.elapsed().as_secs_f64());
}

/// The process is killed, not closed: a child creates instances and is shot; everything it was told of is there.
#[test]
fn a_killed_process_loses_nothing_that_it_was_told() {
    const CHILD: &str = "HPC_SIM_CRASH_CHILD";
    if let Ok(path) = std::env::var(CHILD) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = open(Path::new(&path)).unwrap();
            let offer = offer(&world, "sim-gcp", "us-central1-a", OfferKind::OnDemand).await;
            for number in 0..8 {
                let handles = create(&world, &spec(&offer, number, 1)).await.unwrap().handles;
                println!("made {}", handles[0].id);
                world.advance(Duration::from_secs(1)).unwrap();
            }
            std::process::abort();
        });
    }
    let (_folder, path) = folder();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "durability::a_killed_process_loses_nothing_that_it_was_told", "--nocapture"])
        .env(CHILD, &path)
        .output()
        .unwrap();
    assert!(!output.status.success(), "it was to be killed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let made: Vec<&str> = text.lines().filter_map(|line| line.split("made ").nth(1)).collect();
    assert_eq!(made.len(), 8, "{text}");
    let world = open(&path).unwrap();
    let live: Vec<String> = world.live_instances().into_iter().map(|instance| instance.handle.id).collect();
    assert_eq!(live, made);
}
