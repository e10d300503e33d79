//! Durable audit entries, beside bare writes of the same bytes with `fdatasync`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hpc_audit::{AuditLog, Entry};
use hpc_audit_file::{Config, FileAuditLog};
use hpc_crypto::signing::KeyPair;

use super::Promise;
use crate::harness::{Bench, Report, Samples, count, rate, show};
use crate::world::{each, paced};
use crate::{Result, fixtures};

pub(super) const PROMISE: Promise = Promise {
    name: "audit_append_durable",
    about: "at least 100,000 durable audit entries a second with group commit, p99 < 5 ms",
    run,
};

/// Entries of one append: what a commit of the broker brings, several requests together.
const PER_CALL: usize = 16;
/// Bytes of an encoded entry.
const ENTRY_BYTES: usize = 256;
/// Entries that come each second where latency is measured.
const RATE: f64 = 100_000.0;
/// Callers that wait at the same time.
const CALLERS: usize = 32;

fn run(bench: &Bench) -> Result<Report> {
    let entries = bench.size(1_000_000, 640);
    let runtime = bench.runtime()?;
    let (samples, time) = runtime.block_on(append(bench, entries, PER_CALL, CALLERS))?;
    let ours = rate(entries, time);
    let bare = bare(bench, entries)?;
    let theirs = rate(entries, bare.1);
    let offered = runtime.block_on(at_rate(bench, entries / 2))?;
    let (single, single_time) = runtime.block_on(append(bench, entries / 8, 1, 512))?;
    Ok(Report::new()
        .measured("entries_per_s", count(ours))
        .measured("p99_at_100k", show(offered.p99()))
        .rival("write_fdatasync_per_s", count(theirs))
        .rival("p99", show(bare.0.p99()))
        .ratio(ours / theirs)
        .goal("entries_per_s>=100k", ours >= 100_000.0)
        .goal("p99_at_100k<5ms", offered.p99() < Duration::from_millis(5))
        .note(format!(
            "100,000 entries offered a second, {PER_CALL} a call, each from the moment it was due: p50 {}, p99 {}, p99.9 {}, worst {}",
            show(offered.p50()),
            show(offered.p99()),
            show(offered.percentile(99.9)),
            show(offered.percentile(100.0))
        ))
        .note(format!(
            "as fast as they can, {CALLERS} callers, {PER_CALL} entries of {ENTRY_BYTES} bytes a call: p50 {}, p99 {}, p99.9 {}, worst {}",
            show(samples.p50()),
            show(samples.p99()),
            show(samples.percentile(99.9)),
            show(samples.percentile(100.0))
        ))
        .note(format!(
            "bare write and fdatasync of as many in one go: p50 {}, p99 {}, p99.9 {}, worst {}",
            show(bare.0.p50()),
            show(bare.0.p99()),
            show(bare.0.percentile(99.9)),
            show(bare.0.percentile(100.0))
        ))
        .note(format!(
            "512 callers, one entry a call: {} a second, p50 {}, p99 {}",
            count(rate(entries / 8, single_time)),
            show(single.p50()),
            show(single.p99())
        )))
}

/// Latency at the promised rate: calls come when they are due, whether or not those before are answered.
async fn at_rate(bench: &Bench, entries: usize) -> Result<Samples> {
    let config = Config::new("bench.audit");
    let log = Arc::new(FileAuditLog::open(&bench.folder()?, KeyPair::from_seed([1; 32]), config)?);
    let every = Duration::from_secs_f64(PER_CALL as f64 / RATE);
    let shared = Arc::clone(&log);
    let make = |number| call(number, PER_CALL);
    let (_, samples, _) = paced(entries / PER_CALL, 512, every, make, move |entries| {
        let log = Arc::clone(&shared);
        async move { Ok(log.append(entries).await?.len()) }
    })
    .await?;
    log.close().await?;
    Ok(samples)
}

fn call(number: usize, per_call: usize) -> Result<Vec<Entry>> {
    let entries = number * per_call..(number + 1) * per_call;
    entries.map(|number| fixtures::entry_of(number, ENTRY_BYTES)).collect()
}

async fn append(
    bench: &Bench,
    entries: usize,
    per_call: usize,
    callers: usize,
) -> Result<(Samples, Duration)> {
    let config = Config::new("bench.audit");
    let log = Arc::new(FileAuditLog::open(&bench.folder()?, KeyPair::from_seed([1; 32]), config)?);
    let calls = (0..entries / per_call).map(|number| call(number, per_call)).collect::<Result<_>>()?;
    let shared = Arc::clone(&log);
    let (receipts, samples, time) = each(calls, callers, move |entries| {
        let log = Arc::clone(&shared);
        async move { Ok(log.append(entries).await?.len()) }
    })
    .await?;
    if receipts.iter().sum::<usize>() != entries / per_call * per_call {
        return Err("an entry got no receipt".into());
    }
    log.close().await?;
    Ok((samples, time))
}

/// The encoded entries into one file, as many at a time as wait in the measurement above.
fn bare(bench: &Bench, entries: usize) -> Result<(Samples, Duration)> {
    let group = PER_CALL * CALLERS;
    let mut file = std::fs::File::create(bench.folder()?.join("bare"))?;
    let bytes: Vec<Vec<u8>> = (0..entries / group)
        .map(|first| {
            let group = (first * group..(first + 1) * group)
                .map(|number| Ok(fixtures::entry_of(number, ENTRY_BYTES)?.encode()?));
            Ok(group.collect::<Result<Vec<_>>>()?.concat())
        })
        .collect::<Result<_>>()?;
    let mut samples = Samples::default();
    let start = Instant::now();
    for group in &bytes {
        samples.time(|| file.write_all(group).and_then(|()| file.sync_data()))?;
    }
    Ok((samples, start.elapsed()))
}
