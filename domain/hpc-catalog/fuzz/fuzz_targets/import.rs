//! A list of any bytes: no panic, every row counted, no entry twice, and nothing costs nothing.
#![no_main]

use hpc_catalog::{CatalogError, Import, ZoneNames, import};
use hpc_resources::{ProviderId, Region};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|list: &[u8]| {
    let provider = ProviderId::parse("cloud").unwrap();
    let mut how = Import::new(provider, "fuzz", Timestamp::UNIX_EPOCH);
    how.region = Region::parse("us-east-1").ok();
    if list.len() % 2 == 0 {
        how.zones = ZoneNames::Global;
    }
    match import(list, &how) {
        Err(CatalogError::Columns { .. } | CatalogError::Empty { .. }) => {}
        Err(other) => panic!("{other}"),
        Ok((snapshot, report)) => {
            let lines = list.split(|byte| *byte == b'\n').skip(1);
            let rows = lines.filter(|line| !line.is_empty() && *line != b"\r").count();
            assert_eq!(report.used + report.refused, rows);
            assert!(!snapshot.entries().is_empty() && snapshot.entries().len() <= report.used);
            for pair in snapshot.entries().windows(2) {
                assert!(pair[0].key < pair[1].key);
            }
            for entry in snapshot.entries() {
                assert!([entry.on_demand, entry.spot].into_iter().flatten().all(|price| price.0.nanos() > 0));
                assert!(entry.accelerators.is_none_or(|have| have.count > 0 && have.memory_each.0 > 0));
                assert!(entry.cpu.0 > 0 && entry.memory.0 > 0);
            }
            assert_eq!(import(list, &how).unwrap().0.hash(), snapshot.hash());
        }
    }
});
