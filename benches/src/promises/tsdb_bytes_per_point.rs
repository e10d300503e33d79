//! What a point of real GPU telemetry takes on disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hpc_timeseries::{Durability, Point, TimeSeriesStore};
use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};
use jiff::Timestamp;
use redb::{Database, ReadableDatabase as _, ReadableTableMetadata as _};

use super::Promise;
use crate::harness::{Bench, Report};
use crate::{Result, fixtures};

pub(super) const PROMISE: Promise = Promise {
    name: "tsdb_bytes_per_point",
    about: "at most 3.0 bytes for a point of real GPU duty cycles, times included",
    run,
};

const ARCHIVE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/gpu-telemetry/pod_gpu_duty_cycle_anon.tar.gz");

/// Second to value, for each series.
type Recorded = BTreeMap<String, BTreeMap<i64, f64>>;

fn run(bench: &Bench) -> Result<Report> {
    if !Path::new(ARCHIVE).exists() {
        if std::env::var("CI").as_deref() == Ok("true") {
            return Err(
                "the recorded duty cycles are missing: shared/data/gpu-telemetry beside the project".into()
            );
        }
        return Ok(Report::skipped(
            "the recorded duty cycles are missing: shared/data/gpu-telemetry beside the project",
        ));
    }
    let mut series = recorded()?;
    if bench.quick() {
        series = series.into_iter().take(3).collect();
    }
    let points: usize = series.values().map(BTreeMap::len).sum();
    let path = bench.folder()?.join("telemetry.redb");
    bench.runtime()?.block_on(store(&path, &series))?;
    let stored = stored_bytes(&path)?;
    let ours = stored as f64 / points as f64;
    let bits: u64 = series.values().map(gorilla_bits).sum();
    let gorilla = bits as f64 / 8.0 / points as f64;
    let file = std::fs::metadata(&path)?.len();
    Ok(Report::new()
        .measured("bytes", format!("{ours:.2}"))
        .rival("gorilla_bytes", format!("{gorilla:.2}"))
        .ratio(gorilla / ours)
        .goal("bytes<=3.0", ours <= 3.0)
        .note(format!(
            "{points} points of {} series: keys, values and pages of every table of the store; the rival's bits alone; \
             the file with its free pages is {:.1} bytes a point",
            series.len(),
            file as f64 / points as f64
        )))
}

fn recorded() -> Result<Recorded> {
    let out = Command::new("tar").args(["-xzOf", ARCHIVE]).output()?;
    let mut series = Recorded::new();
    for line in std::str::from_utf8(&out.stdout)?.lines().skip(1) {
        let mut cells = line.split(',');
        let (value, second, name) = (cells.next(), cells.next(), cells.next());
        let (Some(value), Some(second), Some(name)) = (value, second, name) else { continue };
        let second: f64 = second.parse()?;
        series.entry(name.to_owned()).or_default().insert(second as i64, value.parse()?);
    }
    if series.is_empty() {
        return Err("the archive holds no series".into());
    }
    Ok(series)
}

async fn store(path: &Path, series: &Recorded) -> Result<()> {
    let last = series.values().filter_map(|values| values.keys().last()).max().copied().unwrap_or(0);
    let now = Timestamp::from_second(fixtures::START_S + last + 1)?;
    let config =
        EmbeddedConfig { past_max: Duration::from_secs(20 * 365 * 86_400), ..EmbeddedConfig::default() };
    let store = EmbeddedTsdb::open(path, config, Arc::new(move || now))?;
    for (name, values) in series {
        let points: Vec<Point> = values
            .iter()
            .map(|(second, value)| {
                Point::new("gpu", (fixtures::START_S + second) * 1_000_000_000)
                    .tag("pod", name.clone())
                    .field("duty_cycle_percent", *value)
            })
            .collect();
        for batch in points.chunks(10_000) {
            let report = store.write(batch.to_vec(), Durability::None).await?;
            if let Some(refused) = report.rejected.first() {
                return Err(format!("a point was refused: {:?}", refused.why).into());
            }
        }
    }
    store.seal().await?;
    Ok(())
}

/// Bytes of keys and values and of the pages' own books, over all tables.
fn stored_bytes(path: &Path) -> Result<u64> {
    let database = Database::open(path)?;
    let reading = database.begin_read()?;
    let mut bytes = 0;
    for table in reading.list_tables()? {
        let stats = reading.open_untyped_table(table)?.stats()?;
        bytes += stats.stored_bytes() + stats.metadata_bytes();
    }
    Ok(bytes)
}

/// Bits that the scheme of Facebook's Gorilla takes for a series: differences of differences of whole seconds, and XOR of values.
fn gorilla_bits(values: &BTreeMap<i64, f64>) -> u64 {
    let mut bits = 128;
    let (mut delta, mut window) = (0, None);
    let pairs = values.iter().zip(values.iter().skip(1));
    for ((before, old), (second, new)) in pairs {
        let change = second - before - delta;
        delta = second - before;
        bits += match change {
            0 => 1,
            -63..=64 => 9,
            -255..=256 => 12,
            -2047..=2048 => 16,
            _ => 36,
        };
        let xor = old.to_bits() ^ new.to_bits();
        let (leading, trailing) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        bits += match window {
            _ if xor == 0 => 1,
            Some((lead, trail)) if leading >= lead && trailing >= trail => 2 + u64::from(64 - lead - trail),
            _ => {
                window = Some((leading, trailing));
                13 + u64::from(64 - leading - trailing)
            }
        };
    }
    bits
}
