//! Damaged data: every file of a data directory cut short, flipped or gone. One clear error with a code, no panic, and
//! nothing lost: the files are as they were, so putting the right one back mends everything.

use std::fs;
use std::path::Path;

use hpcd::clock::Pace;
use hpcd::world::{World, WorldOptions};
use tokio::runtime::Runtime;

use super::{copy, files, options};

fn told(data: &Path) -> WorldOptions {
    WorldOptions { pace: Pace::Told, start: hpcd::demo::start().unwrap(), ..options(data) }
}

/// Leases of the history below.
///
/// Instances are not counted: what a damaged file of a simulated cloud has lost, that cloud has lost, and its leases end.
const LEASES: usize = 2;

/// A directory with a little history: one lease standing, one released.
fn history(runtime: &Runtime, data: &Path) {
    use hpcd::people::{PEOPLE, caller};
    runtime.block_on(async {
        let world = World::open(told(data)).await.unwrap();
        let you = caller(&PEOPLE[0].spiffe_id(world.identity.trust_domain()).unwrap()).unwrap();
        for standing in [false, true] {
            let request = hpc_resources::ResourceRequest::new("job").add_gpu_nvidia_h100(8).build().unwrap();
            let (plan, _) = world.broker.plan(&you, request).await.unwrap();
            let applied = world.broker.apply(&you, &plan.plan.id, &hpc_broker::Silent).await.unwrap();
            if !standing {
                world.broker.release(&you, &applied.lease.id).await.unwrap();
            }
        }
        world.audit.close().await.unwrap();
    });
}

#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    code: String,
    exit: u8,
    message: String,
}

/// How many leases a directory has, or why it does not open.
fn open(runtime: &Runtime, data: &Path) -> Result<usize, Refusal> {
    let refusal = |error: hpc_error::HpcError| Refusal {
        code: error.code_text().unwrap_or_default().to_owned(),
        exit: error.exit_code(),
        message: error.to_string(),
    };
    runtime.block_on(async {
        let world = World::open(told(data)).await.map_err(refusal)?;
        let leases = world.broker.leases(None, 1_000).await.map_err(refusal)?;
        world.audit.close().await.unwrap();
        Ok(leases.items.len())
    })
}

#[test]
fn every_file_of_a_data_directory_may_be_damaged() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    history(&runtime, &good);
    let (mut refused, mut wrong) = (0, Vec::new());
    for file in files(&good) {
        let name = file.strip_prefix(&good).unwrap();
        let whole = fs::read(&file).unwrap();
        for (damage, bytes) in damages(&whole) {
            if (name, damage) == (Path::new("ledger.redb"), "gone") {
                continue; // below
            }
            let data = folder.path().join("bad");
            copy(&good, &data);
            match &bytes {
                Some(bytes) => fs::write(data.join(name), bytes).unwrap(),
                None => fs::remove_file(data.join(name)).unwrap(),
            }
            let what = format!("{} {damage}", name.display());
            match open(&runtime, &data) {
                // The damage changed nothing that matters: all of it is still there.
                Ok(LEASES) => {}
                Ok(rest) => wrong.push(format!("{what}: opened, with {rest} of {LEASES} leases left")),
                Err(Refusal { code, exit, message }) => {
                    refused += 1;
                    let clear = message.len() < 1_000 && message.lines().count() == 1;
                    if !clear || exit != 1 || !(code.starts_with("HPC-DAT-") || code.starts_with("HPC-AUD-"))
                    {
                        wrong.push(format!("{what}: {code} ({exit}) {message}"));
                    }
                    // Putting the file back mends it, so nothing else was touched.
                    fs::create_dir_all(data.join(name).parent().unwrap()).unwrap();
                    fs::copy(&file, data.join(name)).unwrap();
                    let after = open(&runtime, &data);
                    if after != Ok(LEASES) {
                        wrong.push(format!("{what}: and after the file was put back: {after:?}"));
                    }
                }
            }
            fs::remove_dir_all(&data).unwrap();
        }
    }
    println!("{refused} damages refused");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(refused > 20, "only {refused} damages were noticed");
}

/// A new ledger in its place would forget every lease, and the reaper would end their instances.
#[test]
fn a_ledger_that_is_gone_is_not_made_anew() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    history(&runtime, &data);
    fs::rename(data.join("ledger.redb"), folder.path().join("backup")).unwrap();
    for _ in 0..2 {
        let refusal = open(&runtime, &data).unwrap_err();
        assert_eq!((refusal.code.as_str(), refusal.exit), ("HPC-DAT-0001", 1), "{refusal:?}");
    }
    fs::rename(folder.path().join("backup"), data.join("ledger.redb")).unwrap();
    assert_eq!(open(&runtime, &data), Ok(LEASES));
}

/// What may happen to a file: a name for it, and what is left.
fn damages(whole: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let flip = |place: usize| {
        let mut bytes = whole.to_vec();
        bytes[place] ^= 0x10;
        Some(bytes)
    };
    if whole.is_empty() {
        return vec![("gone", None)];
    }
    vec![
        ("emptied", Some(Vec::new())),
        ("cut in half", Some(whole[..whole.len() / 2].to_vec())),
        ("cut by one byte", Some(whole[..whole.len() - 1].to_vec())),
        ("with its first byte flipped", flip(0)),
        ("with its middle byte flipped", flip(whole.len() / 2)),
        ("with its last byte flipped", flip(whole.len() - 1)),
        ("gone", None),
    ]
}
