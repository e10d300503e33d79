//! An export is checked with `check-export.py`, which knows nothing of this software.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hpc_audit::{Bundle, Selection};
use hpc_crypto::note::{NoteSigner, VerifierKey};
use hpc_crypto::signing::KeyPair;

use crate::bundles::{bundle, key};

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("check-export.py")
}

/// Whether the programs that the script needs are here; in CI they must be.
fn can_run() -> bool {
    for (program, argument) in [("python3", "--version"), ("openssl", "version")] {
        let found = Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success());
        if !found {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{program} is needed in CI");
            println!("skipped: `{program}` cannot be run here");
            return false;
        }
    }
    true
}

fn run(name: &str, text: &str, key: &VerifierKey) -> Output {
    let file =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("outside-{}-{name}.json", std::process::id()));
    std::fs::write(&file, text).unwrap();
    let output = Command::new("python3").arg(script()).arg(&file).arg(key.to_string()).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    output
}

fn holds(name: &str, bundle: &Bundle) {
    let output = run(name, &bundle.to_json().unwrap(), &key());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(said.ends_with("all were signed, none is missing\n"), "{said}");
}

fn refused(name: &str, text: &str, key: &VerifierKey, reason: &str) {
    let output = run(name, text, key);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    assert!(said.contains(" does not hold: ") && said.contains(reason), "{name}: {said}");
}

#[test]
fn a_third_party_finds_good_exports_good() {
    if !can_run() {
        return;
    }
    holds("range", &bundle(1..6));
    holds("all", &bundle(0..7));
    holds("indices", &bundle(vec![0, 3, 6]));
    holds("none", &bundle(3..3));
}

#[test]
fn a_third_party_finds_spoilt_exports_spoilt() {
    if !can_run() {
        return;
    }
    let good = bundle(1..6);
    let json = |spoil: &dyn Fn(&mut Bundle)| {
        let mut spoilt = good.clone();
        spoil(&mut spoilt);
        assert_ne!(spoilt, good);
        spoilt.to_json().unwrap()
    };
    let spoilt =
        |name: &str, reason: &str, spoil: &dyn Fn(&mut Bundle)| refused(name, &json(spoil), &key(), reason);

    // The signature: one of its last characters.
    spoilt("signature", "the signature of the checkpoint does not fit", &|bundle| {
        let at = bundle.checkpoint.len() - 8;
        let other = if bundle.checkpoint.as_bytes()[at] == b'A' { "B" } else { "A" };
        bundle.checkpoint.replace_range(at..=at, other);
    });
    spoilt("size", "the signature of the checkpoint does not fit", &|bundle| {
        bundle.checkpoint = bundle.checkpoint.replacen("\n7\n", "\n8\n", 1);
    });
    spoilt("unsigned", "did not sign", &|bundle| {
        bundle.checkpoint = bundle.checkpoint.replacen("— log.example/audit", "— log.example/other", 1);
    });
    spoilt("entry", "entry 3 is not in the log", &|bundle| {
        bundle.entries[2].entry = bundle.entries[2].entry.replacen("alice", "malice", 1);
    });
    spoilt("byte", "entry 1 is not in the log", &|bundle| {
        bundle.entries[0].entry = bundle.entries[0].entry.replacen("alice", "alicf", 1);
    });
    spoilt("missing", "an entry is missing", &|bundle| drop(bundle.entries.remove(2)));
    spoilt("last", "an entry is missing", &|bundle| drop(bundle.entries.pop()));
    spoilt("swapped", "an entry is missing", &|bundle| bundle.entries.swap(0, 1));
    spoilt("moved", "entry 2 is not in the log", &|bundle| {
        let (first, second) = (bundle.entries[0].clone(), bundle.entries[1].clone());
        bundle.entries[1].entry = first.entry;
        bundle.entries[0].entry = second.entry;
        bundle.entries.remove(0);
        bundle.selection = Selection::Range { start: 2, end: 6 };
    });
    spoilt("proof", "entry 4 is not in the log", &|bundle| bundle.entries[3].proof.swap(0, 1));
    spoilt("short", "a proof is too short", &|bundle| drop(bundle.entries[0].proof.pop()));
    spoilt("beyond", "not one of this log", &|bundle| {
        bundle.selection = Selection::Range { start: 1, end: 600 };
    });
    spoilt("falling", "not in order", &|bundle| {
        bundle.entries.reverse();
        bundle.selection = Selection::Indices(vec![5, 4, 3, 2, 1]);
    });
    spoilt("format", "version 1", &|bundle| bundle.format.push('0'));

    // Another key, even one of the same name.
    let text = good.to_json().unwrap();
    let other =
        |name: &str| NoteSigner::new(name, KeyPair::from_seed([2; 32])).unwrap().verifier_key().clone();
    refused("key", &text, &other("log.example/audit"), "did not sign");
    refused("name", &text, &other("log.example/other"), "did not sign");
    refused("cut", &text[..text.len() / 2], &key(), "");
    refused("twice", &text.replacen('{', "{\n  \"format\": \"x\",", 1), &key(), "twice");
}

#[test]
fn the_readme_shows_the_script_as_it_is() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let script = std::fs::read_to_string(script()).unwrap();
    assert!(readme.contains(&format!("```python\n{script}```\n")), "copy check-export.py into the README");
}
