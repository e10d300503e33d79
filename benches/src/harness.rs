//! How a promise is measured and told: samples, percentiles, goals, and the one line for each.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Result;

/// What a measurement is given: how much to do, and where files may lie.
pub struct Bench {
    quick: bool,
    target: PathBuf,
    scratch: TempDir,
}

impl Bench {
    /// With tiny sizes if `quick`. Files lie beside the program, on the disk where the project is built.
    ///
    /// # Errors
    /// When that folder cannot be written.
    pub fn new(quick: bool) -> Result<Self> {
        let program = std::env::current_exe()?;
        let target = program.parent().unwrap_or(Path::new(".")).to_owned();
        let scratch = tempfile::Builder::new().prefix("promises-").tempdir_in(&target)?;
        Ok(Self { quick, target, scratch })
    }

    /// Whether this run only checks that everything works.
    #[must_use]
    pub fn quick(&self) -> bool {
        self.quick
    }

    /// The first of the two in a full run, the second in a quick one.
    #[must_use]
    pub fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// An empty folder of its own, deleted at the end.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self) -> Result<PathBuf> {
        Ok(tempfile::tempdir_in(self.scratch.path())?.keep())
    }

    /// Another program of the same build, if it is there.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.target.join(name);
        path.exists().then_some(path)
    }

    /// A runtime with two workers, as the daemon has.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn runtime(&self) -> Result<tokio::runtime::Runtime> {
        Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
    }
}

/// Durations of single calls.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// No samples, with room for `count`.
    #[must_use]
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// Adds one.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Runs `call` once and adds how long it took.
    pub fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let value = std::hint::black_box(call());
        self.0.push(start.elapsed());
        value
    }

    /// The smallest sample that is at least as large as `percent` of all (nearest rank); zero without samples.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The median.
    #[must_use]
    pub fn p50(&self) -> Duration {
        self.percentile(50.0)
    }

    /// The 99th percentile.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.percentile(99.0)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Times `count` calls one by one, after a tenth as many to warm up.
pub fn sample<T>(count: usize, mut call: impl FnMut(usize) -> T) -> Samples {
    for index in 0..count / 10 {
        std::hint::black_box(call(index));
    }
    let mut samples = Samples::with_capacity(count);
    for index in 0..count {
        samples.time(|| call(index));
    }
    samples
}

/// Runs `call` and says how long it took.
pub fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = std::hint::black_box(call());
    (value, start.elapsed())
}

/// How many a second.
#[must_use]
pub fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

/// `numerator / denominator`.
#[must_use]
pub fn ratio(numerator: Duration, denominator: Duration) -> f64 {
    numerator.as_secs_f64() / denominator.as_secs_f64().max(1e-9)
}

/// Processor time this process has used so far, user and system.
///
/// # Errors
/// When `/proc/self/stat` cannot be read.
pub fn cpu_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold spaces; what follows it does not. utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10)) // Linux counts hundredths of a second here on every architecture
}

/// Memory of this process that is in use now, in bytes.
///
/// # Errors
/// When `/proc/self/statm` cannot be read.
pub fn resident_bytes() -> Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split_whitespace().nth(1).ok_or("no resident size")?.parse()?;
    Ok(pages * 4096) // Linux counts pages, which have 4 KiB on the architectures this runs on
}

/// `12ns`, `3.4us`, `5.6ms`, `7.8s`.
#[must_use]
pub fn show(time: Duration) -> String {
    let ns = time.as_nanos() as f64;
    if ns < 1e3 {
        format!("{ns:.0}ns")
    } else if ns < 1e6 {
        format!("{:.2}us", ns / 1e3)
    } else if ns < 1e9 {
        format!("{:.2}ms", ns / 1e6)
    } else {
        format!("{:.2}s", ns / 1e9)
    }
}

/// `950`, `12.3k`, `4.56M`, `7.89G`.
#[must_use]
pub fn count(number: f64) -> String {
    if number < 1e4 {
        format!("{number:.0}")
    } else if number < 1e6 {
        format!("{:.1}k", number / 1e3)
    } else if number < 1e9 {
        format!("{:.2}M", number / 1e6)
    } else {
        format!("{:.2}G", number / 1e9)
    }
}

/// What came of measuring one promise.
#[derive(Debug, Clone, Default)]
pub struct Report {
    measured: Vec<String>,
    rival: Vec<String>,
    ratio: Option<f64>,
    goals: Vec<(String, bool)>,
    notes: Vec<String>,
    skipped: Option<String>,
}

impl Report {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// It could not be measured here, and why.
    #[must_use]
    pub fn skipped(why: impl Into<String>) -> Self {
        Self { skipped: Some(why.into()), ..Self::default() }
    }

    /// Adds a figure of ours, such as `p50=210ns`.
    #[must_use]
    pub fn measured(mut self, name: &str, figure: impl AsRef<str>) -> Self {
        self.measured.push(format!("{name}={}", figure.as_ref()));
        self
    }

    /// Adds a figure of a rival.
    #[must_use]
    pub fn rival(mut self, name: &str, figure: impl AsRef<str>) -> Self {
        self.rival.push(format!("{name}={}", figure.as_ref()));
        self
    }

    /// How many times better than the rival we are; below 1 is worse.
    #[must_use]
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = Some(ratio);
        self
    }

    /// Adds a part of the goal, without spaces, and whether it is met.
    #[must_use]
    pub fn goal(mut self, text: impl Into<String>, met: bool) -> Self {
        self.goals.push((text.into(), met));
        self
    }

    /// Adds a remark, printed below the line.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Whether every part of the goal that was judged is met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.goals.iter().all(|(_, met)| *met)
    }

    /// Why it was skipped, if it was.
    #[must_use]
    pub fn why_skipped(&self) -> Option<&str> {
        self.skipped.as_deref()
    }

    /// The remarks, and which parts of the goal are missed.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let missed: Vec<&str> =
            self.goals.iter().filter(|(_, met)| !met).map(|(text, _)| text.as_str()).collect();
        let missed = (!missed.is_empty()).then(|| format!("not met: {}", missed.join(", ")));
        missed.into_iter().chain(self.notes.clone())
    }

    /// The line: `promise <name> measured <figure> rival <figure> ratio <r> goal <goal> met|missed`.
    ///
    /// A quick run judges nothing and ends in `checked`; what was skipped ends in `skipped`.
    #[must_use]
    pub fn line(&self, name: &str, quick: bool) -> String {
        let joined = |parts: &[String]| if parts.is_empty() { "-".to_owned() } else { parts.join(",") };
        let goals: Vec<String> = self.goals.iter().map(|(text, _)| text.clone()).collect();
        let mut line = format!(
            "promise {name} measured {} rival {} ratio ",
            joined(&self.measured),
            joined(&self.rival)
        );
        // Writing to a String cannot fail.
        match self.ratio {
            Some(ratio) if ratio >= 100.0 => write!(line, "{ratio:.0}"),
            Some(ratio) => write!(line, "{ratio:.2}"),
            None => write!(line, "-"),
        }
        .unwrap_or_default();
        let verdict = match (&self.skipped, quick, self.is_met()) {
            (Some(_), ..) => "skipped",
            (None, true, _) => "checked",
            (None, false, true) => "met",
            (None, false, false) => "missed",
        };
        write!(line, " goal {} {verdict}", joined(&goals)).unwrap_or_default();
        line
    }
}

/// What this runs on: cores, processor, memory, date, build.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a measurement states the day it was taken")]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let find = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        line.split_once(':').map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let today = jiff::Timestamp::now().to_string();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "machine: {cores} cores, {}, memory {}, {}, load {}, {}{}",
        find("/proc/cpuinfo", "model name"),
        find("/proc/meminfo", "MemTotal"),
        today.get(..10).unwrap_or_default(),
        load.split(' ').next().unwrap_or("unknown"),
        if cfg!(debug_assertions) { "debug build" } else { "release build" },
        if cfg!(feature = "rivals") { ", with rivals" } else { ", without the heavy rivals" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let mut samples = Samples::default();
        assert_eq!(samples.p99(), Duration::ZERO);
        (1..=100).rev().for_each(|ms| samples.push(Duration::from_millis(ms)));
        assert_eq!(samples.p50(), Duration::from_millis(50));
        assert_eq!(samples.p99(), Duration::from_millis(99));
        assert_eq!(samples.percentile(100.0), Duration::from_millis(100));
    }

    #[test]
    fn the_line_has_its_form() {
        let report =
            Report::new().measured("p50", "2us").rival("bare", "4us").ratio(2.0).goal("p50<3us", true);
        let line = "promise x measured p50=2us rival bare=4us ratio 2.00 goal p50<3us";
        assert_eq!(report.line("x", false), format!("{line} met"));
        assert_eq!(report.line("x", true), format!("{line} checked"));
        let missed = report.goal("p99<1us", false);
        assert!(missed.line("x", false).ends_with("goal p50<3us,p99<1us missed"));
        assert_eq!(missed.notes().next().as_deref(), Some("not met: p99<1us"));
        assert_eq!(
            Report::skipped("no file").line("x", false),
            "promise x measured - rival - ratio - goal - skipped"
        );
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(show(Duration::from_nanos(12)), "12ns");
        assert_eq!(show(Duration::from_micros(1_500)), "1.50ms");
        assert_eq!(count(1_234_567.0), "1.23M");
    }
}
