//! Memory of a log into which very many entries are appended.

use std::sync::Arc;

use hpc_audit::{AuditLog, Entry};
use hpc_audit_file::{Config, FileAuditLog};
use hpc_crypto::signing::KeyPair;

use super::Promise;
use crate::harness::{Bench, Report, count, resident_bytes};
use crate::{Result, fixtures};

pub(super) const PROMISE: Promise = Promise {
    name: "audit_memory",
    about: "the memory of an open audit log does not grow with the log: less than 8 MB for each million entries",
    run,
};

const PER_CALL: usize = 1000;
const ENTRY_BYTES: usize = 256;
/// Bytes for each million entries more. A tree in memory alone would have 64 MB of hashes.
const GROWTH_BYTES_MAX: f64 = 8e6;

fn run(bench: &Bench) -> Result<Report> {
    let (first, last) = (bench.size(1_000_000, 2000), bench.size(10_000_000, 8000));
    let runtime = bench.runtime()?;
    let config = Config::new("bench.audit");
    let log = FileAuditLog::open(&bench.folder()?, KeyPair::from_seed([1; 32]), config)?;
    let log: Arc<dyn AuditLog> = Arc::new(log);
    let empty = resident_bytes()?;
    let early = runtime.block_on(grow(&*log, 0, first))?;
    let late = runtime.block_on(grow(&*log, first, last))?;
    let millions = (last - first) as f64 / 1e6;
    let growth = (late as f64 - early as f64) / millions;
    Ok(Report::new()
        .measured("bytes_per_million", count(growth.max(0.0)))
        .measured("resident", count(late as f64))
        .goal("bytes_per_million<8M", growth < GROWTH_BYTES_MAX)
        .note(format!(
            "resident bytes: {} empty, {} with {} entries, {} with {}; everything published each time",
            count(empty as f64),
            count(early as f64),
            count(first as f64),
            count(late as f64),
            count(last as f64)
        )))
}

/// Appends the entries from `from` to `to`, has them signed, and looks.
async fn grow(log: &dyn AuditLog, from: usize, to: usize) -> Result<u64> {
    for first in (from..to).step_by(PER_CALL) {
        let entries: Vec<Entry> = (first..first + PER_CALL)
            .map(|number| fixtures::entry_of(number, ENTRY_BYTES))
            .collect::<Result<_>>()?;
        log.append(entries).await?;
    }
    log.checkpoint().await?;
    resident_bytes()
}
