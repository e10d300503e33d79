//! Damaged and foreign files end in an error that names them; they never end in a panic or in wrong numbers.

use hpc_timeseries::{Durability, TimeSeriesError, TimeSeriesStore};
use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};

use crate::support::{NOW_NS, clock, gpu, open};

fn try_open(path: &std::path::Path) -> Result<EmbeddedTsdb, TimeSeriesError> {
    EmbeddedTsdb::open(path, EmbeddedConfig::default(), clock())
}

async fn sample_file(path: &std::path::Path) -> Vec<u8> {
    let store = open(path);
    store
        .write((0..3_000).map(|i| gpu(NOW_NS - i, "a", i as f64 / 3.0)).collect(), Durability::Group)
        .await
        .unwrap();
    store.seal().await.unwrap();
    store.write((0..100).map(|i| gpu(NOW_NS + i, "b", 1.0)).collect(), Durability::Group).await.unwrap();
    drop(store);
    std::fs::read(path).unwrap()
}

#[test]
fn another_kind_of_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.redb");
    std::fs::write(&path, "# not a database\n".repeat(1_000)).unwrap();
    match try_open(&path).err() {
        Some(TimeSeriesError::Corrupt { place, why }) => {
            assert_eq!(place, path.display().to_string());
            assert!(why.contains("move the file away"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_folder_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let refused = try_open(&folder.path().join("no/such/t.redb")).err();
    assert!(matches!(refused, Some(TimeSeriesError::Unavailable { why }) if why.contains("t.redb")));
}

#[tokio::test]
async fn a_second_opening_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.redb");
    let _store = open(&path);
    let refused = try_open(&path).err();
    assert!(matches!(refused, Some(TimeSeriesError::Unavailable { why }) if why.contains("another process")));
}

#[tokio::test]
async fn a_file_cut_short_is_refused_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.redb");
    let whole = sample_file(&path).await;
    let cut = folder.path().join("cut.redb");
    for step in 0..40 {
        // Length 0 is a new file, and is tried elsewhere.
        let length = 1 + step * (whole.len() - 2) / 40;
        std::fs::write(&cut, &whole[..length]).unwrap();
        match try_open(&cut).err() {
            Some(TimeSeriesError::Corrupt { .. }) => {}
            other => panic!("{length} of {} bytes: {other:?}", whole.len()),
        }
    }
}

#[tokio::test]
async fn flipped_bytes_never_give_wrong_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.redb");
    let whole = sample_file(&path).await;
    let bad_path = folder.path().join("bad.redb");
    let mut told = 0;
    for step in 0..60 {
        let mut bad = whole.clone();
        let at = step * 7_919 * 13 % whole.len();
        bad[at] ^= 0x55;
        std::fs::write(&bad_path, &bad).unwrap();
        let Ok(store) = try_open(&bad_path) else {
            told += 1;
            continue;
        };
        match store.query(hpc_timeseries::QueryBuilder::new("gpu").filter("host", "a").build()).await {
            Err(_) => told += 1,
            Ok(set) => {
                for series in set.series {
                    for sample in series.samples {
                        let i = (NOW_NS - sample.ts_ns) as f64;
                        assert_eq!(sample.as_f64(), Some(i / 3.0), "byte {at} was flipped");
                    }
                }
            }
        }
    }
    println!("{told} of 60 flips were told; the others hit unused bytes");
}
