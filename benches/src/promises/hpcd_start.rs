//! From `exec` to serving, and what an idle daemon holds.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, Samples, show};

pub(super) const PROMISE: Promise = Promise {
    name: "hpcd_start",
    about: "`hpcd dev` serves under 100 ms after exec, and holds under 40 MB when idle",
    run,
};

/// How long the banner may take before the measurement is given up.
const WAIT: Duration = Duration::from_secs(20);

fn run(bench: &Bench) -> Result<Report> {
    let Some(program) = bench.program("hpcd") else {
        return Ok(Report::skipped("hpcd is not built here: cargo build --release -p hpcd"));
    };
    let idle = Duration::from_millis(bench.size(3_000, 100) as u64);
    let (mut fresh, mut again, mut resident) = (Samples::default(), Samples::default(), 0_u64);
    for _ in 0..bench.size(7, 1) {
        let folder = bench.folder()?;
        fresh.push(start(&program, &folder, Duration::ZERO)?.0);
        let (time, kib) = start(&program, &folder, idle)?;
        again.push(time);
        resident = resident.max(kib);
    }
    let megabytes = resident as f64 * 1024.0 / 1e6;
    let worse = fresh.p50().max(again.p50());
    Ok(Report::new()
        .measured("serving", show(worse))
        .measured("idle_rss", format!("{megabytes:.1}MB"))
        .goal("serving<100ms", worse < Duration::from_millis(100))
        .goal("idle_rss<40MB", megabytes < 40.0)
        .note(format!(
            "median of {} starts with --data: new {}, with data {}; RSS the largest seen after {}",
            fresh.len(),
            show(fresh.p50()),
            show(again.p50()),
            show(idle)
        )))
}

/// Starts the daemon and ends it: the time until it said where its API is, and its resident KiB after `idle`.
fn start(program: &Path, folder: &Path, idle: Duration) -> Result<(Duration, u64)> {
    let begun = Instant::now();
    let child = Command::new(program)
        .args(["dev", "--api-port", "0", "--telemetry-port", "0", "--metrics-port", "0", "--data"])
        .arg(folder.join("data"))
        .arg("--home")
        .arg(folder.join("home"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut daemon = Daemon(child);
    let out = daemon.0.stdout.take().ok_or("no standard output")?;
    let (say, said) = sync_channel(1);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
            if line.trim_start().starts_with("api ") {
                let _ = say.try_send(Instant::now());
            }
        }
    });
    let served = said.recv_timeout(WAIT).map_err(|_| "hpcd did not say that it serves")?;
    let _ = said.recv_timeout(idle); // nothing more comes: this only lets the time pass
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.0.id()))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")).ok_or("no VmRSS")?.parse()?;
    drop(daemon);
    drop(reader.join());
    Ok((served.duration_since(begun), kib))
}

/// Ends the process when it is dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
