//! `kill -9` at any moment, then start again: instances = leases, every intent in one final state or held by an active
//! lease, what providers took back replaced at most once, the ledger = the bill, and the audit log verifies and holds every answer that was acknowledged.
//!
//! A child process opens the daemon's world on a data directory and lives: plans, applies, approves, releases, lets time
//! pass, in three tasks at once. It prints one line for each answer it was given. The parent kills it, opens the same
//! directory, and looks. `HPC_CRASHES=10000` kills as often; `HPC_CRASH_SEED=N` chooses other moments.

mod check;
mod life;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use check::{Acknowledged, check};

/// Kills over one data directory, which grows all the while.
const KILLS_PER_FOLDER: u64 = 20;
/// Kills without the switch; the gate has it at 200.
const KILLS: u64 = 40;
const SEED: u64 = 20_261_102;
/// The longest that a child may be silent before it counts as stuck.
const SILENCE: Duration = Duration::from_secs(120);

const FOLDER: &str = "HPC_CRASH_FOLDER";
const LIFE: &str = "HPC_CRASH_LIFE";

/// SplitMix64.
pub struct Dice(AtomicU64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub fn below(&self, bound: u64) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut value = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound
    }
}

/// The child: does nothing unless it is asked to.
#[test]
fn child() {
    let (Some(folder), Ok(seed)) = (std::env::var_os(FOLDER), std::env::var(LIFE)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(life::live(PathBuf::from(folder), seed.parse().unwrap()));
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not `{text}`")))
}

#[test]
fn whenever_the_daemon_is_killed_it_comes_back_in_step() {
    let (kills, seed) = (number("HPC_CRASHES", KILLS), number("HPC_CRASH_SEED", SEED));
    let folders = usize::try_from(kills.div_ceil(KILLS_PER_FOLDER)).unwrap();
    println!("{kills} kills over {folders} data directories, seed {seed}");
    let (next, totals, begun) = (AtomicUsize::new(0), Totals::default(), Instant::now());
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(folders);
    std::thread::scope(|scope| {
        let work = || loop {
            let number = next.fetch_add(1, Ordering::Relaxed) as u64;
            if number >= folders as u64 {
                return;
            }
            let here = KILLS_PER_FOLDER.min(kills - number * KILLS_PER_FOLDER);
            one_folder(seed.wrapping_add(number.wrapping_mul(0x1000)), here, &totals);
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let [killed, opening, answers, leases] =
        [&totals.killed, &totals.opening, &totals.answers, &totals.leases].map(|n| n.load(Ordering::Relaxed));
    let [hedged, reclaimed, replaced] =
        [&totals.hedged, &totals.reclaimed, &totals.replaced].map(|n| n.load(Ordering::Relaxed));
    println!(
        "{killed} kills ({opening} while opening), {answers} acknowledged answers kept, {leases} leases in step, \
         {hedged} of them by two tries at once, {reclaimed} taken back, {replaced} of them replaced, {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(killed, kills);
    assert!(kills < KILLS || (reclaimed > 0 && replaced > 0), "nothing was taken back and replaced");
    assert!(kills < 200 || hedged > 0, "no offer was tried beside another");
    assert!(leases * 2 > kills, "the children lived too little: {leases} leases in {kills} lives");
}

#[derive(Default)]
struct Totals {
    killed: AtomicU64,
    opening: AtomicU64,
    answers: AtomicU64,
    leases: AtomicU64,
    hedged: AtomicU64,
    reclaimed: AtomicU64,
    replaced: AtomicU64,
}

/// Kept when the test fails, so that somebody can look.
struct Kept(Option<tempfile::TempDir>, String);

impl Drop for Kept {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = self.0.take()
        {
            println!("{}: data kept in `{}`", self.1, folder.keep().display());
        }
    }
}

fn one_folder(seed: u64, kills: u64, totals: &Totals) {
    let dice = Dice::new(seed);
    let mut kept = Kept(Some(tempfile::tempdir().unwrap()), format!("seed {seed}"));
    let folder = kept.0.as_ref().unwrap().path().to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut acknowledged = Acknowledged::default();
    for nth in 0..kills {
        kept.1 = format!("seed {seed}, kill {nth}");
        let lines = live_and_die(&folder, dice.below(u64::MAX), &dice);
        let killed = totals.killed.fetch_add(1, Ordering::Relaxed) + 1;
        if killed.is_multiple_of(100) {
            println!("{killed} kills so far");
        }
        totals.opening.fetch_add(u64::from(!lines.iter().any(|line| line == "opened")), Ordering::Relaxed);
        let fresh = lines.iter().filter_map(|line| acknowledged.note(line)).count() as u64;
        totals.answers.fetch_add(fresh, Ordering::Relaxed);
        let found = runtime.block_on(check(&folder.join("data"), &mut acknowledged, nth + 1 == kills));
        if nth + 1 == kills {
            totals.leases.fetch_add(found.leases, Ordering::Relaxed);
            totals.hedged.fetch_add(found.hedged, Ordering::Relaxed);
            totals.reclaimed.fetch_add(found.reclaimed, Ordering::Relaxed);
            totals.replaced.fetch_add(found.replaced, Ordering::Relaxed);
        }
    }
}

/// Starts a child, kills it at a drawn moment, and gives every whole line it printed.
fn live_and_die(folder: &Path, life: u64, dice: &Dice) -> Vec<String> {
    let errors = folder.join("stderr");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--test-threads", "1"])
        .env(FOLDER, folder.join("data"))
        .env(LIFE, life.to_string())
        .stdout(Stdio::piped())
        .stderr(File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let (sender, lines) = mpsc::sync_channel(4_096);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let reading = std::thread::spawn(move || {
        let mut line = Vec::new();
        // Without its end a line was cut by the kill: nobody was told.
        while output.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) && line.ends_with(b"\n") {
            let whole = String::from_utf8(std::mem::take(&mut line)).unwrap().trim_end().to_owned();
            if sender.send(whole).is_err() {
                return;
            }
        }
    });
    let mut seen = Vec::new();
    // One life in eight ends while it opens, the others after some answers; then a little later still.
    let (wanted, most_us) = if dice.below(8) == 0 { ("opening", 600_000) } else { ("answer", 25_000) };
    let mut left = if wanted == "opening" { 1 } else { 1 + dice.below(24) };
    while left > 0 {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => {
                left -= u64::from(if wanted == "opening" { line == "opening" } else { is_answer(&line) });
                seen.push(line);
            }
            Err(why) => stuck(&mut child, &seen, &errors, why),
        }
    }
    let later = Duration::from_micros(if dice.below(3) == 0 { 0 } else { dice.below(most_us) });
    let begun = Instant::now();
    while begun.elapsed() < later {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    // Killed, not ended: no destructor ran.
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9),
        "{status} {}",
        std::fs::read_to_string(&errors).unwrap()
    );
    seen.extend(lines.iter());
    reading.join().unwrap();
    seen
}

fn is_answer(line: &str) -> bool {
    ["planned ", "active ", "released "].iter().any(|word| line.starts_with(word))
}

fn stuck(child: &mut Child, seen: &[String], errors: &Path, why: mpsc::RecvTimeoutError) -> ! {
    drop(child.kill());
    let status = child.wait();
    let errors = std::fs::read_to_string(errors).unwrap_or_default();
    panic!("the child ended or fell silent ({why}, {status:?}) after {seen:#?}\n{errors}");
}

/// Looks again at a directory that a failure kept: `HPC_CRASH_KEPT=DIR`.
#[test]
fn a_kept_directory() {
    let Some(folder) = std::env::var_os("HPC_CRASH_KEPT") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(check(&Path::new(&folder).join("data"), &mut Acknowledged::default(), false));
}
