//! The program under signals: whatever ends it politely, nothing is left behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Starts `hpcd` with its temporary directories in `folder/tmp` and contexts in `folder/home`.
fn start(folder: &Path, args: &[&str]) -> Child {
    let temporary = folder.join("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    Command::new(env!("CARGO_BIN_EXE_hpcd"))
        .args(args)
        .env("TMPDIR", &temporary)
        .env("HPC_HOME", folder.join("home"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Sends a signal once the program has said `word`, and waits for its end.
fn signal_after(mut child: Child, word: &str, signal: &str) -> ExitStatus {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().contains(word)), "it never said `{word}`");
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    // Reads on to the end, so that nothing waits for a full pipe.
    lines.for_each(drop);
    child.wait().unwrap()
}

fn left_in(folder: &Path) -> Vec<std::path::PathBuf> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    }
}

#[test]
fn dev_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let args = ["dev", "--api-port", "0", "--telemetry-port", "0", "--metrics-port", "0"];
        let ended = signal_after(start(folder.path(), &args), "Next:", signal);
        assert_eq!(ended.code(), Some(0), "{signal}: {ended:?}");
        assert_eq!(left_in(&folder.path().join("tmp")), Vec::<std::path::PathBuf>::new(), "{signal}");
        assert_eq!(
            left_in(&folder.path().join("home/contexts")),
            Vec::<std::path::PathBuf>::new(),
            "{signal}"
        );
    }
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        // The first step is told while the world is open and the servers are starting.
        let ended = signal_after(start(folder.path(), &["demo", "--json"]), "\"opening\"", signal);
        assert_eq!(ended.code(), Some(130), "{signal}: {ended:?}");
        assert_eq!(left_in(&folder.path().join("tmp")), Vec::<std::path::PathBuf>::new(), "{signal}");
    }
}

/// Runs `hpc` as the person of a context that a daemon wrote.
fn hpc(folder: &Path, args: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let io = hpc::Io { out: &mut out, err: &mut err, input: None };
    let around = hpc::Surroundings { home: Ok(folder.join("home")), now: hpc::now };
    let code = hpc::run(std::iter::once("hpc").chain(args.iter().copied()), &around, io);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// Starts `hpcd dev` over `folder/data`, and waits until it serves.
fn serving(folder: &Path) -> (Child, impl Sized) {
    let data = folder.join("data").display().to_string();
    let ports = ["--api-port", "0", "--telemetry-port", "0", "--metrics-port", "0"];
    let mut child = start(folder, &[&["dev", "--data", &data], &ports[..]].concat());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().contains("Next:")));
    (child, lines)
}

fn in_force(folder: &Path) -> serde_json::Value {
    let (code, out, err) = hpc(folder, &["policy", "show", "-o", "json"]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn what_was_promoted_outlives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new");
    std::fs::create_dir(&new).unwrap();
    for (name, text) in hpcd::policies::STARTER {
        std::fs::write(new.join(name), text.replace("value: 72}", "value: 24}")).unwrap();
    }
    let (mut child, lines) = serving(folder.path());
    let (code, out, err) =
        hpc(folder.path(), &["--context", "dev-lead", "policy", "shadow", "set", new.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("decisions      0\n"), "{out}");
    let candidate = in_force(folder.path())["candidate"].as_str().unwrap().to_owned();
    let (code, _, err) = hpc(folder.path(), &["policy", "promote", &candidate]);
    assert!(code == 3 && err.contains("HPC-POL-0001"), "an operator may not: {err}");
    let (code, out, err) = hpc(folder.path(), &["--context", "dev-lead", "policy", "promote", &candidate]);
    assert!(code == 0 && out.contains("promoted by spiffe://"), "{out} {err}");
    // No politeness: SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);

    let (child, lines) = serving(folder.path());
    let shown = in_force(folder.path());
    assert_eq!((&shown["digest"], &shown["candidate"]), (&candidate.into(), &serde_json::Value::Null));
    assert!(shown["promoted"]["by"].as_str().unwrap().ends_with("/user/lead"), "{shown}");
    let (_, out, _) = hpc(folder.path(), &["doctor"]);
    assert!(out.contains("policies"), "{out}");
    // What has ended needs no other end; this one is told to.
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    drop(lines);
    let mut child = child;
    child.wait().unwrap();
}
