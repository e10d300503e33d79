//! Commands of this machine: no shell, a clean environment, and limits.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hpc_provider_slurm::{
    Call, CommandFailure, Commands, ERROR_BYTES_MAX, OUTPUT_BYTES_MAX, Program, SystemCommands,
};

/// A folder with a `squeue` that is this script.
fn folder(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("squeue");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn call(arguments: &[&str], input: &str) -> Call {
    let arguments = arguments.iter().map(ToString::to_string).collect();
    Call { program: Program::Squeue, arguments, input: input.to_owned() }
}

async fn run(folder: &Path, call: &Call) -> Result<hpc_provider_slurm::Output, CommandFailure> {
    SystemCommands::new(folder, Some(PathBuf::from("/etc/slurm/own.conf"))).run(call).await
}

#[tokio::test]
async fn arguments_and_input_arrive_as_they_are() {
    let folder = folder("for a in \"$@\"; do printf '<%s>' \"$a\"; done; cat; echo oops >&2; exit 3");
    let output = run(folder.path(), &call(&["a b", "$(id)", "; rm -rf /", "*", ""], "line\n")).await.unwrap();
    assert_eq!(output.stdout, "<a b><$(id)><; rm -rf /><*><>line\n");
    assert_eq!((output.status, output.stderr.as_str()), (3, "oops\n"));
}

#[tokio::test]
async fn nothing_of_our_environment_gets_out() {
    let folder = folder("/usr/bin/env | sort; pwd");
    let output = run(folder.path(), &call(&[], "")).await.unwrap();
    let names: Vec<&str> =
        output.stdout.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let ours = ["LC_ALL", "PATH", "PWD", "SLURM_CONF", "SLURM_TIME_FORMAT", "TZ"];
    assert!(
        names.iter().all(|name| ours.contains(name) || matches!(*name, "_" | "SHLVL" | "OLDPWD")),
        "{names:?}"
    );
    assert!(output.stdout.contains("SLURM_TIME_FORMAT=%s\n") && output.stdout.ends_with("/\n"));
}

#[tokio::test]
async fn output_has_a_limit() {
    let print = |bytes: usize, to: &str| folder(&format!("head -c {bytes} /dev/zero {to}; exit 0"));
    let whole = print(OUTPUT_BYTES_MAX, "");
    assert_eq!(run(whole.path(), &call(&[], "")).await.unwrap().stdout.len(), OUTPUT_BYTES_MAX);
    let program = "squeue";
    let more = print(OUTPUT_BYTES_MAX + 1, "");
    let limit = OUTPUT_BYTES_MAX;
    assert_eq!(run(more.path(), &call(&[], "")).await, Err(CommandFailure::TooMuch { program, limit }));
    let endless = folder("exec cat /dev/zero >&2");
    let limit = ERROR_BYTES_MAX;
    assert_eq!(run(endless.path(), &call(&[], "")).await, Err(CommandFailure::TooMuch { program, limit }));
}

#[tokio::test]
async fn a_command_that_hangs_is_ended() {
    let folder = folder("exec sleep 600");
    let commands = SystemCommands::new(folder.path(), None).time_max(Duration::from_millis(50));
    assert_eq!(commands.run(&call(&[], "")).await, Err(CommandFailure::TooSlow { program: "squeue" }));
}

#[tokio::test]
async fn what_cannot_be_started_and_what_is_killed_are_told_apart() {
    let empty = tempfile::tempdir().unwrap();
    let missing = run(empty.path(), &call(&[], "")).await;
    assert!(matches!(missing, Err(CommandFailure::NotStarted { program: "squeue", .. })), "{missing:?}");
    let folder = folder("kill -9 $$");
    let killed = run(folder.path(), &call(&[], "")).await;
    assert!(matches!(killed, Err(CommandFailure::Broken { program: "squeue", .. })), "{killed:?}");
}

/// A command that reads nothing of its input is no failure.
#[tokio::test]
async fn a_closed_input_is_no_failure() {
    let folder = folder("exec <&-; echo done");
    let output = run(folder.path(), &call(&[], &"x".repeat(1 << 20))).await.unwrap();
    assert_eq!(output.stdout, "done\n");
}
