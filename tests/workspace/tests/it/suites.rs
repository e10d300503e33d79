//! Every adapter that implements a port calls the port's suite, and every suite runs all of its cases.

use std::fs;
use std::path::{Path, PathBuf};

use crate::arrow::root;

/// Each port: its package, its trait, and the module and macro of its suite.
const PORTS: [(&str, &str, &str, &str); 9] = [
    ("hpc-audit", "AuditLog", "audit", "audit_log"),
    ("hpc-audit", "TileSource", "tiles", "tile_source"),
    ("hpc-identity", "IdentitySource", "identity", "identity_source"),
    ("hpc-keystore", "KeyStore", "keystore", "key_store"),
    ("hpc-ledger", "Ledger", "ledger", "ledger"),
    ("hpc-provider", "CapacityProvider", "provider", "capacity_provider"),
    ("hpc-timeseries", "TimeSeriesStore", "timeseries", "time_series_store"),
    ("hpc-tracer", "Tracer", "tracer", "tracer"),
    ("hpc-transport", "Transport", "transport", "transport"),
];

/// Packages in `ports/` that hold words and no port.
const WORDS_ONLY: [&str; 1] = ["hpc-types"];

/// Adapters that implement no port, and why.
const WITHOUT_PORT: [(&str, &str); 4] = [
    ("hpc-rpc", "façade of its backends"),
    ("hpc-tsdb", "façade of its backends"),
    ("hpc-config", "reads files and environment for an app; no port stands before it"),
    ("hpc-mcp", "drives an app from outside; nothing calls it through a port"),
];

/// Adapters whose suite is called elsewhere: package, trait, file in this package, why.
const ELSEWHERE: [(&str, &str, &str, &str); 2] = [
    (
        "hpc-layers",
        "CapacityProvider",
        "wrappers.rs",
        "a wrapper needs a provider to wrap, and siblings do not meet in adapters",
    ),
    (
        "hpc-provider-static",
        "CapacityProvider",
        "racks/contract.rs",
        "who has a machine is kept in a ledger, and siblings do not meet in adapters",
    ),
];

/// Text of all Rust files under a folder, without comments, with single spaces.
fn code(folder: &Path) -> String {
    files(folder).iter().map(|path| flat(&fs::read_to_string(path).unwrap())).collect::<Vec<_>>().join(" ")
}

fn flat(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn packages(layer: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(layer)).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Whether some `impl` in the code is one of the trait.
fn implements(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name} for ")).any(|(at, _)| {
        let before = &code[..at];
        let whole_word = before.ends_with([' ', ':', '>']);
        // The `impl` it belongs to begins after the last brace or semicolon.
        let head = before.rsplit(['{', '}', ';', ']']).next().unwrap_or_default();
        whole_word && head.trim_start().starts_with("impl")
    })
}

fn calls(code: &str, suite: &str) -> bool {
    code.contains(&format!("hpc_conformance::{suite}!"))
}

/// What is wrong with one adapter: `(name, source, tests)`.
fn missing(name: &str, source: &str, tests: &str) -> Vec<String> {
    let implemented: Vec<_> = PORTS.iter().filter(|(_, port, _, _)| implements(source, port)).collect();
    let excused = WITHOUT_PORT.iter().any(|(package, _)| *package == name);
    let mut wrong = Vec::new();
    if implemented.is_empty() != excused {
        wrong
            .push(format!("`{name}` implements {} port; see WITHOUT_PORT", if excused { "a" } else { "no" }));
    }
    for (_, port, _, suite) in implemented {
        let elsewhere = ELSEWHERE.iter().any(|(package, of, _, _)| *package == name && of == port);
        if !elsewhere && !calls(source, suite) && !calls(tests, suite) {
            wrong.push(format!("`{name}` implements {port} and never calls hpc_conformance::{suite}!"));
        }
    }
    wrong
}

#[test]
fn every_adapter_calls_its_suites() {
    let adapters = packages("adapters");
    assert!(adapters.len() >= 16, "{adapters:?}");
    let mut wrong = Vec::new();
    for name in &adapters {
        let folder = root().join("adapters").join(name);
        wrong.extend(missing(name, &code(&folder.join("src")), &code(&folder.join("tests"))));
    }
    let gone = WITHOUT_PORT.iter().map(|(name, _)| *name).chain(ELSEWHERE.iter().map(|(name, ..)| *name));
    wrong.extend(
        gone.filter(|name| !adapters.iter().any(|have| have == name)).map(|name| format!("`{name}` is gone")),
    );
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn what_is_called_elsewhere_is_called() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for (name, port, file, _) in ELSEWHERE {
        let text = flat(&fs::read_to_string(here.join(file)).unwrap());
        let (.., suite) = PORTS.iter().find(|(_, of, ..)| *of == port).unwrap();
        assert!(calls(&text, suite), "`{file}` never calls hpc_conformance::{suite}! for `{name}`");
    }
}

#[test]
fn every_port_has_a_suite_and_a_fake_that_passes_it() {
    let mut ports: Vec<&str> = PORTS.iter().map(|(package, ..)| *package).chain(WORDS_ONLY).collect();
    ports.sort_unstable();
    // A package may hold two ports.
    ports.dedup();
    assert_eq!(packages("ports"), ports, "a port needs a line in PORTS, a suite and a fake");
    for (package, port, module, suite) in PORTS {
        let kit = fs::read_to_string(root().join(format!("tests/conformance/src/{module}.rs"))).unwrap();
        assert!(kit.contains(&format!("macro_rules! {suite} ")), "no suite for `{package}`");
        let fake =
            flat(&fs::read_to_string(root().join(format!("adapters/hpc-memory/src/{module}.rs"))).unwrap());
        assert!(implements(&fake, port), "hpc-memory has no {port}");
        assert!(calls(&fake, suite), "hpc-memory's {port} never calls hpc_conformance::{suite}!");
    }
}

#[test]
fn every_case_of_a_suite_is_run_by_its_macro() {
    for (_, _, module, _) in PORTS {
        let kit = fs::read_to_string(root().join(format!("tests/conformance/src/{module}.rs"))).unwrap();
        let cases: Vec<&str> = kit
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn ").or_else(|| line.strip_prefix("pub fn ")))
            .filter_map(|rest| rest.split(['(', '<']).next())
            .collect();
        assert!(cases.len() >= 5, "{module}: {cases:?}");
        let macros = kit.split("macro_rules!").skip(1).collect::<String>();
        let words: Vec<&str> = macros.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for case in cases {
            assert!(words.contains(&case), "{module}: `{case}` is run by nobody");
        }
    }
}

#[test]
fn the_test_can_fail() {
    let source = flat("#[async_trait]\nimpl<T: Clock>\n    hpc_ledger::Ledger for\n    NewLedger<T> { }");
    assert_eq!(
        missing("hpc-new", &source, ""),
        ["`hpc-new` implements Ledger and never calls hpc_conformance::ledger!"]
    );
    assert_eq!(
        missing("hpc-new", &source, &flat("// hpc_conformance::ledger!(x);")).len(),
        1,
        "a comment is no call"
    );
    assert!(missing("hpc-new", &source, "hpc_conformance::ledger!(make());").is_empty());
    assert!(missing("hpc-new", &flat("struct X; // Ledger for X"), "")[0].contains("implements no port"));
    assert!(
        missing("hpc-config", &source, "hpc_conformance::ledger!(make());")[0].contains("implements a port")
    );
    assert!(!implements("// fn x() { hold.Ledger for y }", "Ledger"));
    assert!(!implements("impl MemoryLedger for X {}", "Ledger"));
}
