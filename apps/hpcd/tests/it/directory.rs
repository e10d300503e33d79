//! The data directory: whose it is, and that only one daemon has it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hpc_error::codes;
use hpcd::world::World;

use crate::options;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Every file below, with its bytes.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() {
            found.extend(contents(&entry));
        } else {
            found.insert(entry.display().to_string(), fs::read(&entry).unwrap());
        }
    }
    found
}

#[tokio::test]
async fn the_directory_of_a_stranger_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("photographs");
    fs::create_dir(&theirs).unwrap();
    fs::write(theirs.join("summer.jpg"), b"jpeg").unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o755)).unwrap();
    let before = contents(&theirs);
    let refused = World::open(options(Some(&theirs))).await.err().unwrap();
    assert_eq!(refused.registered(), Some(&codes::DAT_CORRUPT), "{refused}");
    assert_eq!((mode(&theirs), contents(&theirs)), (0o755, before));
    // A directory of ours with another seed is no stranger's, and stays as it is, too.
    let ours = folder.path().join("ours");
    drop(World::open(options(Some(&ours))).await.unwrap());
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o750)).unwrap();
    let header = fs::read(ours.join("hpcd.json")).unwrap();
    let mut other = options(Some(&ours));
    other.seed = Some(8);
    let refused = World::open(other).await.err().unwrap();
    assert_eq!(refused.registered(), Some(&codes::USG_UNKNOWN_VALUE), "{refused}");
    assert_eq!((mode(&ours), fs::read(ours.join("hpcd.json")).unwrap()), (0o750, header));
}

#[tokio::test]
async fn an_empty_directory_and_our_own_become_private() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    for run in 1..=2 {
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
        let world = World::open(options(Some(&data))).await.unwrap();
        assert_eq!((mode(&data), world.data.run()), (0o700, run));
    }
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = World::open(options(Some(&data))).await.unwrap();
    let before = contents(&data);
    let mut asked = options(Some(&data));
    asked.seed = None;
    let refused = World::open(asked.clone()).await.err().unwrap();
    assert_eq!((refused.registered(), refused.exit_code()), (Some(&codes::DAT_LOCKED), 1), "{refused}");
    assert_eq!(before, contents(&data), "not even the number of runs");
    drop(first);
    assert_eq!(World::open(asked).await.unwrap().data.run(), 2);
}

#[tokio::test]
async fn of_many_first_starts_one_makes_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let starts = (1..=4).map(|seed| {
        let mut options = options(Some(&data));
        options.seed = Some(seed);
        tokio::spawn(async move { World::open(options).await })
    });
    let mut worlds = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        match start.await.unwrap() {
            Ok(world) => worlds.push(world),
            Err(error) => assert_eq!(error.registered(), Some(&codes::DAT_LOCKED), "{error}"),
        }
    }
    assert_eq!(worlds.len(), 1);
    let key = worlds[0].info("").audit_key;
    let seed = worlds[0].data.seed();
    drop(worlds);
    let mut again = options(Some(&data));
    again.seed = None;
    let again = World::open(again).await.unwrap();
    assert_eq!((again.info("").audit_key, again.data.seed()), (key, seed));
}

#[tokio::test]
async fn a_ledger_that_is_gone_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(World::open(options(Some(&data))).await.unwrap());
    fs::rename(data.join("ledger.redb"), folder.path().join("kept")).unwrap();
    let refused = World::open(options(Some(&data))).await.err().unwrap();
    assert_eq!(refused.registered(), Some(&codes::DAT_CORRUPT), "{refused}");
    fs::rename(folder.path().join("kept"), data.join("ledger.redb")).unwrap();
    drop(World::open(options(Some(&data))).await.unwrap());
}

#[tokio::test]
async fn a_catalog_that_is_not_there_is_the_callers_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(None);
    options.catalog = Some(folder.path().join("gone.csv"));
    let refused = World::open(options).await.err().unwrap();
    assert_eq!((refused.registered(), refused.exit_code()), (Some(&codes::USG_FILE_MISSING), 2), "{refused}");
}
