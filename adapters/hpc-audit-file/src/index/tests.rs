use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use hpc_audit::{Entry, Outcome, Search};

use super::*;
use crate::crashes::Faults;
use crate::disk::Disk;

const BLOCKS: u64 = CHUNK_ENTRIES / 256;

/// Entries that differ in everything a search can ask for; the rare ones are far apart.
fn entry(n: u64) -> Entry {
    let at: jiff::Timestamp = "2026-11-23T15:00:00Z".parse().unwrap();
    let at = at + std::time::Duration::from_millis(n * 10);
    let principal = if n % 1777 == 5 { "carol".to_owned() } else { format!("user-{}", n % 3) };
    let action = match n % 1999 {
        7 => "policy.bundle.loaded",
        _ if n.is_multiple_of(2) => "lease.active",
        _ => "lease.released",
    };
    let outcome = if n % 2503 == 11 { Outcome::Denied } else { Outcome::Ok };
    Entry::new(format!("id-{n}"), at, principal, action, outcome).subject("lease", format!("lse_{}", n / 3))
}

fn marks(range: std::ops::Range<u64>) -> Vec<Marks> {
    range.map(|n| Marks::of(&entry(n))).collect()
}

fn block(number: u64) -> Result<Vec<Entry>, DirError> {
    Ok((number * 256..(number + 1) * 256).map(entry).collect())
}

fn never(_: u64) -> Result<Vec<Entry>, DirError> {
    panic!("nothing is made anew")
}

fn open_with(
    dir: &Path,
    published: u64,
    faults: &Arc<Faults>,
    read: impl FnMut(u64) -> Result<Vec<Entry>, DirError>,
) -> Result<(Index, IndexReport), DirError> {
    let mut disk = Disk::new(dir);
    disk.faults = Arc::clone(faults);
    Index::open(Arc::new(disk), dir, published, &BTreeSet::new(), read)
}

fn open(dir: &Path, published: u64) -> (Index, IndexReport) {
    open_with(dir, published, &Arc::default(), block).unwrap()
}

/// An index of so many entries, with everything written and merged.
fn filled(dir: &Path, entries: u64) -> Index {
    let (index, report) = open_with(dir, 0, &Arc::default(), never).unwrap();
    assert_eq!(report, IndexReport::default());
    index.add(0, &marks(0..entries));
    index.settle();
    index
}

fn names(dir: &Path) -> BTreeSet<String> {
    let folder = std::fs::read_dir(dir.join(FOLDER)).unwrap();
    folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn finds_everything(index: &Index, entries: u64) {
    let ids: Vec<IdHash> = (0..entries + 500).map(|n| id_hash(&format!("id-{n}"))).collect();
    let found = index.find(&ids).unwrap();
    for (n, found) in (0..).zip(found) {
        let expected = if n < entries { vec![n] } else { vec![] };
        assert_eq!(found, expected, "id-{n}");
    }
}

#[test]
fn every_id_is_found_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let size = 23 * CHUNK_ENTRIES + 77;
    let index = filled(dir.path(), size);
    finds_everything(&index, size);
    // Twenty-three is one of sixteen, one of four and three of one.
    let runs: Vec<String> = index.inner.state().runs.iter().map(|run| run.name.to_string()).collect();
    assert_eq!(
        runs,
        ["index/ids-2-0", "index/ids-1-4", "index/ids-0-20", "index/ids-0-21", "index/ids-0-22"]
    );
    drop(index);
    let files = names(dir.path());
    assert_eq!(files.len(), 5 + 23, "{files:?}");
    let (index, report) = open_with(dir.path(), size, &Arc::default(), never).unwrap();
    assert_eq!((report, index.end()), (IndexReport::default(), 23 * CHUNK_ENTRIES));
    index.add(index.end(), &marks(index.end()..size));
    finds_everything(&index, size);
}

#[test]
fn a_repeated_range_is_taken_in_once() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path(), 0);
    index.add(0, &marks(0..700));
    index.add(100, &marks(100..900));
    index.add(900, &marks(900..901));
    assert_eq!(index.end(), 901);
    finds_everything(&index, 901);
}

#[test]
fn memory_is_less_than_two_bytes_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let size = 64 * CHUNK_ENTRIES;
    let index = filled(dir.path(), size);
    let bytes = index.memory_bytes() as u64;
    assert!(bytes < size * 17 / 10, "{bytes} bytes for {size} entries");
    let fresh: Vec<IdHash> = (0..100_000).map(|n| id_hash(&format!("fresh-{n}"))).collect();
    let runs = Arc::clone(&index.inner.state().runs);
    let asked = fresh.iter().flat_map(|id| runs.iter().map(move |run| run.would_read(id)));
    let read = asked.filter(|read| *read).count();
    assert!(read < 800, "{read} of 100,000 fresh ids read a page");
}

#[test]
fn an_id_of_several_entries_is_found_with_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path(), 0);
    // As many as a page holds and more, so that they lie on both sides of a border.
    let one = Marks::of(&entry(1));
    index.add(0, std::iter::repeat_n(&one, 300));
    index.add(300, &marks(300..CHUNK_ENTRIES));
    index.settle();
    assert_eq!(index.find(&[one.id]), Ok(vec![(0..300).collect()]));
}

/// Searches of every kind: the sieve lets every hit through, and for rare things little else.
#[test]
fn no_hit_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let size = 11 * CHUNK_ENTRIES + 700 % CHUNK_ENTRIES;
    let index = filled(dir.path(), size);
    let moment = |n| entry(n).at;
    let text = |text: &str| Some(text.to_owned());
    let all = Search::default();
    let searches = [
        (all.clone(), u64::MAX),
        (Search { principal: text("carol"), ..all.clone() }, 8),
        (Search { principal: text("nobody"), ..all.clone() }, 3),
        (Search { subject: text("lse_1000"), ..all.clone() }, 4),
        (Search { action: text("policy.*"), ..all.clone() }, 6),
        (Search { action: text("policy.bundle.*"), ..all.clone() }, 6),
        (Search { action: text("policy.bundle.loaded"), ..all.clone() }, 6),
        (Search { action: text("policy.bundle"), ..all.clone() }, 3),
        (Search { action: text("lease.*"), ..all.clone() }, u64::MAX),
        (Search { outcome: Some(Outcome::Denied), ..all.clone() }, 4),
        (Search { outcome: Some(Outcome::Failed), ..all.clone() }, 1),
        (Search { from: Some(moment(3000)), until: Some(moment(3001)), ..all.clone() }, 2),
        (Search { from: Some(moment(size)), ..all.clone() }, 1),
        (Search { principal: text("carol"), outcome: Some(Outcome::Denied), ..all }, 3),
    ];
    for (search, looked_at_most) in searches {
        let mut sieve = index.sieve(&search);
        let (mut at, mut looked) = (0, 0);
        while at < size {
            let Next::Look(next) = sieve.next(at, size) else { panic!("{search:?} stopped") };
            let passed = (at..next).find(|n| search.matches(&entry(*n)));
            assert_eq!(passed, None, "{search:?}");
            // A search that begins inside a block looks at the rest of it.
            assert!(next == at || next.is_multiple_of(256) || next == size, "{next}");
            looked += u64::from(next < size);
            at = (next - next % 256 + 256).min(size);
        }
        assert!(looked <= looked_at_most, "{search:?} looked at {looked} blocks");
    }
}

#[test]
fn a_search_opens_only_so_many_files() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path(), 3 * CHUNK_ENTRIES);
    let search = Search { subject: Some("nothing".into()), ..Search::default() };
    let mut sieve = index.sieve(&search);
    sieve.files = sieve::SEARCH_FILES_MAX - 2;
    assert_eq!(sieve.next(5, u64::MAX), Next::Stop(2 * CHUNK_ENTRIES));
    assert_eq!(index.sieve(&search).next(5, 3 * CHUNK_ENTRIES), Next::Look(3 * CHUNK_ENTRIES));
}

#[test]
fn what_is_missing_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let size = 9 * CHUNK_ENTRIES + 10;
    drop(filled(dir.path(), size));
    let all = names(dir.path());
    for name in &all {
        let path = dir.path().join(FOLDER).join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let (index, report) = open(dir.path(), size);
        assert!(!report.made_anew.is_empty() && report.removed.is_empty(), "{name}: {report:?}");
        index.settle();
        index.add(index.end(), &marks(index.end()..size));
        finds_everything(&index, size);
        drop(index);
        assert_eq!(names(dir.path()), all);
        assert!(std::fs::read(&path).unwrap() == bytes, "{name}");
    }
    std::fs::remove_dir_all(dir.path().join(FOLDER)).unwrap();
    let (index, report) = open(dir.path(), size);
    assert_eq!(report.made_anew.len(), 18);
    index.settle();
    drop(index);
    assert_eq!(names(dir.path()), all);
}

fn check(dir: &Path, published: u64) -> Vec<(IndexFile, DirError)> {
    check_entries(dir, &(0..published).map(entry).collect::<Vec<_>>())
}

fn check_entries(dir: &Path, entries: &[Entry]) -> Vec<(IndexFile, DirError)> {
    let files = names(dir).into_iter().map(|name| format!("{FOLDER}/{name}").parse().unwrap());
    let mut check = IndexCheck::new(dir, files, entries.len() as u64);
    entries.iter().for_each(|entry| check.push(entry));
    check.finish()
}

#[test]
fn every_changed_byte_is_found_by_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let size = 5 * CHUNK_ENTRIES + 10;
    drop(filled(dir.path(), size));
    let entries: Vec<Entry> = (0..size).map(entry).collect();
    assert_eq!(check_entries(dir.path(), &entries), []);
    for name in names(dir.path()) {
        let path = dir.path().join(FOLDER).join(&name);
        let original = std::fs::read(&path).unwrap();
        for at in (0..original.len()).step_by(original.len() / 20).chain([8, 20, original.len() - 1]) {
            let mut changed = original.clone();
            changed[at] ^= 1 << (at % 8);
            std::fs::write(&path, &changed).unwrap();
            let found = check(dir.path(), size);
            assert!(
                found.len() == 1 && found[0].0.to_string().ends_with(&name),
                "{name} byte {at}: {found:?}"
            );
            assert!(matches!(found[0].1, DirError::Damaged { .. }), "{name} byte {at}: {found:?}");
        }
        for length in [0, 20, original.len() - 1, original.len() + 1] {
            let mut changed = original.clone();
            changed.resize(length, 0);
            std::fs::write(&path, &changed).unwrap();
            assert_eq!(check_entries(dir.path(), &entries).len(), 1, "{name} with {length} bytes");
        }
        std::fs::write(&path, &original).unwrap();
    }
    // Files that say too much.
    assert_eq!(check(dir.path(), 4 * CHUNK_ENTRIES).len(), 2);
}

/// Someone who can compute checksums puts another run in place.
#[test]
fn a_forged_run_is_found_by_the_check_and_answers_nothing_false() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), CHUNK_ENTRIES));
    let name = IndexFile::Ids { level: 0, number: 0 };
    let mut chunk = Chunk::new(0);
    let mut forged = marks(0..CHUNK_ENTRIES);
    forged[7] = Marks::of(&entry(1_000_000));
    forged.iter().for_each(|marks| chunk.push(marks));
    let mut bytes = Vec::new();
    run::write(&mut bytes, name, chunk.records().into_iter().map(Ok)).unwrap();
    std::fs::write(dir.path().join(name.to_string()), bytes).unwrap();
    let found = check(dir.path(), CHUNK_ENTRIES);
    let reason = "not the ids of the entries".to_owned();
    let error = DirError::Damaged { file: name.to_string(), offset: None, reason };
    assert_eq!(found, [(name, error)]);
    // What an opening that reads everything distrusts is made anew.
    let disk = Arc::new(Disk::new(dir.path()));
    let (index, report) =
        Index::open(disk, dir.path(), CHUNK_ENTRIES, &BTreeSet::from([name]), block).unwrap();
    assert_eq!(report.made_anew, [name.to_string()]);
    finds_everything(&index, CHUNK_ENTRIES);
}

#[test]
fn damage_at_opening_is_made_anew_and_damage_in_use_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let size = 4 * CHUNK_ENTRIES;
    drop(filled(dir.path(), size));
    let name = IndexFile::Ids { level: 1, number: 0 };
    let path = dir.path().join(name.to_string());
    let original = std::fs::read(&path).unwrap();
    let (pages, fences) = (32, 32 + (size as usize).div_ceil(204) * 4096);
    // Magic, version, count, fences, filter.
    for at in [0, 11, 27, fences + 5, original.len() - 30] {
        let mut changed = original.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let (index, report) = open(dir.path(), size);
        assert_eq!((report.made_anew.len(), report.removed.len()), (4, 1), "{at}: {report:?}");
        finds_everything(&index, size);
        index.settle();
        drop(index);
        assert!(std::fs::read(&path).unwrap() == original);
    }
    // Pages are read when they are needed.
    let mut changed = original.clone();
    changed[pages + 3 * 4096 + 100] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    let (index, report) = open(dir.path(), size);
    assert_eq!(report, IndexReport::default());
    let ids: Vec<IdHash> = (0..size).map(|n| id_hash(&format!("id-{n}"))).collect();
    let error = index.find(&ids).unwrap_err();
    assert!(matches!(&error, DirError::Damaged { file, .. } if *file == name.to_string()), "{error}");
    drop(index);
    let (index, report) = open(dir.path(), size);
    assert_eq!(report.made_anew.len(), 4);
    finds_everything(&index, size);
}

#[test]
fn a_future_version_is_told_and_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), CHUNK_ENTRIES));
    for (name, header) in [("ids-0-0", 28), ("terms-0", 24)] {
        let path = dir.path().join(FOLDER).join(name);
        let original = std::fs::read(&path).unwrap();
        let mut changed = original.clone();
        changed[11] = 2;
        let check_sum = crc32fast::hash(&changed[..header]).to_be_bytes();
        changed[header..header + 4].copy_from_slice(&check_sum);
        std::fs::write(&path, &changed).unwrap();
        let found = check(dir.path(), CHUNK_ENTRIES);
        assert_eq!(found.len(), 1);
        assert!(name != "ids-0-0" || found[0].1.to_string().contains("version"), "{}", found[0].1);
        let (_, report) = open(dir.path(), CHUNK_ENTRIES);
        assert_eq!(report.made_anew, [format!("{FOLDER}/{name}")]);
        assert!(std::fs::read(&path).unwrap() == original);
    }
}

#[test]
fn damaged_terms_rule_nothing_out() {
    let dir = tempfile::tempdir().unwrap();
    let size = 2 * CHUNK_ENTRIES;
    let index = filled(dir.path(), size);
    let search = Search { subject: Some("nothing".into()), ..Search::default() };
    assert_eq!(index.sieve(&search).next(0, size), Next::Look(size));
    let path = dir.path().join(FOLDER).join("terms-1");
    let mut bytes = std::fs::read(&path).unwrap();
    let filters = 28 + (BLOCKS as usize + 1) * 44 + 4;
    bytes[filters..].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(index.sieve(&search).next(0, size), Next::Look(CHUNK_ENTRIES));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(index.sieve(&search).next(0, size), Next::Look(CHUNK_ENTRIES));
}

#[test]
fn what_no_checkpoint_signs_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 5 * CHUNK_ENTRIES));
    let (index, report) = open(dir.path(), 3 * CHUNK_ENTRIES - 1);
    assert_eq!(index.end(), 2 * CHUNK_ENTRIES);
    assert_eq!(report.made_anew, ["index/ids-0-0", "index/ids-0-1"]);
    assert_eq!(
        report.removed,
        ["index/ids-0-4", "index/ids-1-0", "index/terms-2", "index/terms-3", "index/terms-4"]
    );
    finds_everything(&index, 2 * CHUNK_ENTRIES);
    drop(index);
    std::fs::write(dir.path().join(FOLDER).join("ids-0-0.tmp"), b"half").unwrap();
    drop(open_with(dir.path(), 2 * CHUNK_ENTRIES, &Arc::default(), never).unwrap());
    assert!(!names(dir.path()).contains("ids-0-0.tmp"));
    std::fs::write(dir.path().join(FOLDER).join("ids-0-01"), b"strange").unwrap();
    let strange = open_with(dir.path(), 2 * CHUNK_ENTRIES, &Arc::default(), never).err();
    assert_eq!(strange, Some(DirError::Unexpected { file: "index/ids-0-01".into() }));
}

#[test]
fn stopped_at_any_step_the_next_opening_finds_everything() {
    let size = 5 * CHUNK_ENTRIES + 100;
    let (entries, marks) = ((0..size).map(entry).collect::<Vec<_>>(), marks(0..size));
    let block = |number| Ok(entries[number as usize * 256..][..256].to_vec());
    for first in 1.. {
        let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
        faults.set(first, u64::MAX);
        if let Ok((index, _)) = open_with(dir.path(), 0, &faults, never) {
            index.add(0, &marks);
            // What cannot be written is found all the same.
            finds_everything(&index, size);
            index.settle();
        }
        let (index, report) = open_with(dir.path(), size, &Arc::default(), block).unwrap();
        index.add(0, &marks[..index.end() as usize]);
        index.add(index.end(), &marks[index.end() as usize..]);
        finds_everything(&index, size);
        index.settle();
        drop(index);
        assert_eq!(check_entries(dir.path(), &entries), [], "stopped at step {first}");
        if faults.steps() < first {
            assert_eq!(report, IndexReport::default());
            break;
        }
    }
}

#[test]
fn a_disk_that_is_full_too_long_refuses_entries_until_there_is_room() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let (index, _) = open_with(dir.path(), 0, &faults, never).unwrap();
    faults.set(1, u64::MAX);
    let at_most = CHUNKS_WAITING_MAX as u64;
    index.add(0, &marks(0..at_most * CHUNK_ENTRIES));
    index.settle();
    assert_eq!(index.unfit(), None);
    index.add(at_most * CHUNK_ENTRIES, &marks(at_most * CHUNK_ENTRIES..(at_most + 1) * CHUNK_ENTRIES));
    assert!(index.unfit().unwrap().contains("the index cannot be written"));
    faults.set(0, 0);
    // Asking is trying again.
    while index.unfit().is_some() {
        std::thread::yield_now();
    }
    index.settle();
    finds_everything(&index, (at_most + 1) * CHUNK_ENTRIES);
    assert!(names(dir.path()).contains("ids-1-0"));
}
