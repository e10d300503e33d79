//! The README's first command, without its build.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, Samples, show};

pub(super) const PROMISE: Promise =
    Promise { name: "demo_time", about: "`hpcd demo` ends within 10 seconds", run };

fn run(bench: &Bench) -> Result<Report> {
    let Some(program) = bench.program("hpcd") else {
        return Ok(Report::skipped("hpcd is not built here: cargo build --release -p hpcd"));
    };
    let mut samples = Samples::default();
    for _ in 0..bench.size(3, 1) {
        let status = samples.time(|| {
            Command::new(&program).arg("demo").stdout(Stdio::null()).stderr(Stdio::null()).status()
        })?;
        if !status.success() {
            return Err(format!("hpcd demo failed: {status}").into());
        }
    }
    let worst = samples.percentile(100.0);
    Ok(Report::new()
        .measured("median", show(samples.p50()))
        .measured("max", show(worst))
        .goal("max<10s", worst < Duration::from_secs(10)))
}
