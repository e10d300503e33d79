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
