//! A crash at every commit of a story in memory, and a process that is killed over a file.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use hpc_ledger::Ledger;
use hpc_ledger_redb::{Options, RedbLedger};
use hpc_memory::ledger::{CrashPoint, FaultPlan, MemoryLedger};
use hpc_provider::{CapacityProvider, InstanceState, Observe, ProvisionSpec, Released, TAG_OWNER};

use super::{Told, offer, provider, spec};

/// Instances by intent, of those that still live.
async fn live(racks: &dyn CapacityProvider) -> BTreeMap<String, Vec<InstanceState>> {
    let owned = Observe::Tag { key: TAG_OWNER.to_owned(), value: "tests".to_owned() };
    let mut by_intent: BTreeMap<String, Vec<InstanceState>> = BTreeMap::new();
    for state in racks.observe(&owned).await.unwrap() {
        if state.phase.is_live() {
            by_intent.entry(state.tags["hpc-intent"].clone()).or_default().push(state);
        }
    }
    by_intent
}

/// Reserves three, then two, gives back one of the three, and the two.
async fn story(
    racks: &dyn CapacityProvider,
    specs: &[ProvisionSpec; 2],
) -> Result<(), hpc_provider::ProviderError> {
    let first = racks.provision(&specs[0]).await?.handles;
    let second = racks.provision(&specs[1]).await?.handles;
    racks.release(&first[0]).await?;
    for handle in &second {
        racks.release(handle).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_crash_at_any_commit_leaves_whole_reservations_and_the_story_can_be_told_again() {
    let clock = Told::new();
    let mut crashes = 0;
    for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
        for nth in 1.. {
            let faults = FaultPlan::none();
            let ledger = Arc::new(MemoryLedger::with_faults(faults.clone()));
            let racks = provider(ledger.clone(), &clock, 5);
            let place = offer(&racks, clock.now(), "rack-a").await;
            let specs = [spec(&place, 1, 3), spec(&place, 2, 2)];
            faults.crash_at(nth, point);
            let outcome = story(&racks, &specs).await;
            if !faults.crashed() {
                outcome.unwrap();
                assert!(nth > 5, "the story has fewer commits than it tells");
                break;
            }
            crashes += 1;
            let error = outcome.unwrap_err();
            assert_eq!(error.certainty, hpc_provider::Certainty::Unknown, "{error}");
            faults.restart();
            // Another process, over the same ledger.
            let racks = provider(ledger, &clock, 5);
            let before = live(&racks).await;
            for (spec, all) in specs.iter().zip([3, 2]) {
                let seen = before.get(spec.intent.as_str()).map_or(0, Vec::len);
                assert!(seen <= all, "crash {nth} {point:?}: {seen} of {all}");
            }
            story(&racks, &specs).await.unwrap();
            let after = live(&racks).await;
            assert_eq!(after.len(), 1, "crash {nth} {point:?}");
            assert_eq!(after[specs[0].intent.as_str()].len(), 2, "crash {nth} {point:?}");
        }
    }
    println!("{crashes} crashes");
}

/// The machines that a whole story leaves reserved, one after the other, until the child is killed.
const FOLDER: &str = "HPC_RACKS_CHILD";

#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Told::new();
        let racks = provider(open(Path::new(&folder)), &clock, 4);
        let place = offer(&racks, clock.now(), "rack-a").await;
        // Every reservation so far has three machines: no number is used twice.
        let owned = Observe::Tag { key: TAG_OWNER.to_owned(), value: "tests".to_owned() };
        let mut number = u128::try_from(racks.observe(&owned).await.unwrap().len()).unwrap() + 1;
        loop {
            number += 1;
            let spec = spec(&place, number, 3);
            let Ok(result) = racks.provision(&spec).await else {
                // What an earlier life left standing is given back first.
                for state in live(&racks).await.into_values().flatten() {
                    racks.release(&state.handle).await.unwrap();
                    say(&format!("released {}", state.handle.id));
                }
                continue;
            };
            for handle in &result.handles {
                say(&format!("reserved {}", handle.id));
            }
            for handle in &result.handles {
                assert_ne!(racks.release(handle).await.unwrap(), Released::InProgress);
                say(&format!("released {}", handle.id));
            }
        }
    });
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

fn open(folder: &Path) -> Arc<dyn Ledger> {
    Arc::new(RedbLedger::open(folder.join("ledger.redb"), Options::default()).unwrap())
}

#[test]
fn a_killed_process_leaves_whole_reservations_and_keeps_what_it_was_told() {
    const KILLS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut told = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "racks::crash::child", "--nocapture", "--test-threads", "1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut reserved: BTreeMap<String, bool> = BTreeMap::new();
        let mut line = String::new();
        // After so many answers, at whatever the child then does.
        let mut left = 5 + kill * 3;
        let mut killed = false;
        while output.read_line(&mut line).unwrap() > 0 {
            if line.ends_with('\n') {
                if let Some(id) = line.trim_end().strip_prefix("reserved ") {
                    reserved.insert(id.to_owned(), true);
                } else if let Some(id) = line.trim_end().strip_prefix("released ") {
                    reserved.insert(id.to_owned(), false);
                    told += 1;
                } else {
                    line.clear();
                    continue;
                }
                left = left.saturating_sub(1);
                if left == 0 && !killed {
                    child.kill().unwrap();
                    killed = true;
                }
            }
            line.clear();
        }
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
        runtime.block_on(async {
            let racks = provider(open(folder.path()), &Told::new(), 4);
            let live = live(&racks).await;
            assert!(live.len() <= 1, "two reservations of three out of four machines: {live:?}");
            let standing: Vec<String> = live.into_values().flatten().map(|state| state.handle.id).collect();
            for (id, held) in &reserved {
                // The last release may have happened without an answer; a given answer holds.
                assert!(*held || !standing.contains(id), "{id} was given back");
            }
            let quota = racks.quotas().await.unwrap();
            let used = quota.iter().find(|q| q.family.as_str() == "dgx-h100").unwrap().used;
            assert_eq!(used, u64::try_from(standing.len()).unwrap(), "held machines = live instances");
        });
    }
    println!("{KILLS} kills, {told} releases told");
}
