//! The grammar: help of every command, suggestions, exit codes, completions, manual pages, error codes.

use crate::fake::{Outcome, hpc};

fn run(args: &[&str]) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    hpc(home.path(), args)
}

/// Every command with its words.
fn all() -> Vec<Vec<String>> {
    fn walk(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
        found.push(words.to_vec());
        for sub in command.get_subcommands() {
            walk(sub, &[words, &[sub.get_name().to_owned()]].concat(), found);
        }
    }
    let mut found = Vec::new();
    walk(&hpc::command_tree(), &[], &mut found);
    found
}

#[test]
fn the_grammar_holds_together() {
    hpc::command_tree().debug_assert();
}

#[test]
fn the_help_of_every_command_begins_with_examples() {
    let commands = all();
    assert!(commands.len() >= 33, "{}", commands.len());
    for words in commands {
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.push("--help");
        let outcome = run(&args);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{args:?}");
        assert!(outcome.out.starts_with("Examples:\n  hpc "), "{args:?}: {}", outcome.out);
        let examples = outcome.out.lines().skip(1).take_while(|line| line.starts_with("  hpc ")).count();
        assert!((2..=3).contains(&examples), "{args:?} has {examples} examples");
        assert!(outcome.out.contains("Usage: hpc") && outcome.out.ends_with('\n'));
    }
}

#[test]
fn the_examples_of_the_help_parse() {
    for words in all() {
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.push("--help");
        let help = run(&args).out;
        for example in help.lines().skip(1).take_while(|line| line.starts_with("  hpc ")) {
            let command = example.split(" > ").next().unwrap().split(" && ").next().unwrap();
            // Two blanks and more end the command and begin a remark.
            let command = command.trim_start().split("  ").next().unwrap();
            let mut quoted = false;
            let mut words = vec![String::new()];
            for c in command.chars() {
                match c {
                    '\'' => quoted = !quoted,
                    ' ' if !quoted => words.push(String::new()),
                    c => words.last_mut().unwrap().push(c),
                }
            }
            let parsed = hpc::command_tree().try_get_matches_from(&words);
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn typing_mistakes_get_a_suggestion() {
    for (args, suggestion) in [
        (&["requst"][..], "request"),
        (&["request", "aply", "pln_1"], "apply"),
        (&["lease", "list", "--limt", "3"], "--limit"),
        (&["lease", "list", "-o", "jsn"], "json"),
        (&["request", "plan", "--gpu", "h100:8", "--max-hourli", "3"], "--max-hourly"),
    ] {
        let outcome = run(args);
        assert_eq!((outcome.code, outcome.out.as_str()), (2, ""), "{args:?}");
        assert!(outcome.err.contains(suggestion), "{args:?}: {}", outcome.err);
    }
}

#[test]
fn usage_mistakes_end_with_2() {
    for args in [
        &[][..],
        &["request"],
        &["request", "plan"],
        &["request", "apply"],
        &["offers"],
        &["provider", "show"],
        &["approval", "approve", "pln_1"],
        &["audit", "proof"],
        &["audit", "proof", "--lease", "lse_1", "--request", "req_1"],
        &["lease", "list", "--limit", "0"],
        &["lease", "list", "--limit", "10001"],
        &["lease", "list", "--timeout", "0s"],
        &["lease", "list", "--timeout", "2d"],
        &["lease", "list", "--timeout", "soon"],
        &["audit", "search", "--outcome", "fine"],
        &["completions", "basic"],
        &["policy", "check"],
        &["policy", "lint"],
        &["policy", "lint", "policies", "--level", "all"],
        &["policy", "test"],
        &["policy", "diff", "old.yaml"],
        &["policy", "who-can", "capacity.request", "gpu"],
        &["policy", "what-can"],
    ] {
        let outcome = run(args);
        assert_eq!((outcome.code, outcome.out.as_str()), (2, ""), "{args:?}");
        assert!(!outcome.err.is_empty());
    }
}

#[test]
fn arguments_that_are_no_text_are_no_panic() {
    use std::os::unix::ffi::OsStringExt as _;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let io = hpc::Io { out: &mut out, err: &mut err, input: None };
    let around = hpc::Surroundings { home: Ok("/nowhere".into()), now: hpc::now };
    let args = ["hpc".into(), "lease".into(), "show".into(), std::ffi::OsString::from_vec(vec![0xff, 0xfe])];
    assert_eq!(hpc::run(args, &around, io), 2);
}

#[test]
fn version_is_data() {
    let outcome = run(&["--version"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, concat!("hpc ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn every_code_is_explained_offline() {
    for code in hpc_error::codes::all() {
        let outcome = run(&["explain", &code.code.to_lowercase()]);
        assert_eq!(outcome.code, 0);
        assert!(outcome.out.contains(code.title) && outcome.out.contains(code.remedy), "{}", outcome.out);
        let json = run(&["explain", code.code, "-o", "json"]);
        let read: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(read["code"], code.code);
    }
    let list = run(&["explain"]);
    assert_eq!(list.out.lines().count(), hpc_error::codes::all().len() + 1);
    let unknown = run(&["explain", "HPC-XXX-0000"]);
    assert!(unknown.code == 2 && unknown.err.contains("HPC-USG-0017"), "{}", unknown.err);
}

#[test]
fn completions_and_manual_pages_come_from_the_grammar() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = run(&["completions", shell]);
        assert!(outcome.code == 0 && outcome.out.contains("join-token"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(&["man", folder.path().to_str().unwrap()]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let page = std::fs::read_to_string(folder.path().join("hpc-request-plan.1")).unwrap();
    assert!(page.contains("max\\-hourly"));
    assert_eq!(run(&["man", "/nowhere/at/all"]).code, 2);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    struct Gone;
    impl std::io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let around = hpc::Surroundings { home: Ok("/nowhere".into()), now: hpc::now };
    let mut err = Vec::new();
    assert_eq!(
        hpc::run(["hpc", "explain"], &around, hpc::Io { out: &mut Gone, err: &mut err, input: None }),
        0
    );
    assert!(err.is_empty());
    assert_eq!(
        hpc::run(["hpc", "explain"], &around, hpc::Io { out: &mut Full, err: &mut err, input: None }),
        1
    );
    assert!(!err.is_empty());
}
