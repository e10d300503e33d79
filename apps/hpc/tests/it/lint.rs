//! `hpc policy lint`: findings, levels and exit codes, without a daemon.

use std::path::Path;

use crate::fake::{Outcome, hpc};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../domain/hpc-policy/examples/lint");

fn lint(folder: &Path, more: &[&str]) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    hpc(home.path(), &[&["policy", "lint", folder.to_str().unwrap()], more].concat())
}

#[test]
fn the_readme_shows_what_lint_says() {
    let outcome = lint(Path::new(EXAMPLES), &[]);
    assert_eq!((outcome.code, outcome.err.as_str()), (1, "7 rules, 2 errors, 3 warnings, 1 hint\n"));
    let said = outcome.out.replace(EXAMPLES, "examples/lint");
    let readme = include_str!("../../README.md");
    let shown = format!("$ hpc policy lint examples/lint\n{said}{}", outcome.err);
    assert!(readme.contains(&shown), "the README should show:\n{shown}");
}

#[test]
fn a_level_leaves_out_what_matters_less() {
    for (level, found) in [("hint", 6), ("warning", 5), ("error", 2)] {
        let outcome = lint(Path::new(EXAMPLES), &["--level", level]);
        assert_eq!((outcome.code, outcome.out.lines().count()), (1, 2 * found), "{level}");
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read_to_string(format!("{EXAMPLES}/capacity.yaml")).unwrap();
    let (head, rules) = whole.split_at(whole.find("    - name: short-jobs").unwrap());
    let needless = &rules[rules.find("    - name: spot-in-europe").unwrap()..];
    std::fs::write(folder.path().join("hint.yaml"), format!("{head}{needless}")).unwrap();
    let outcome = lint(folder.path(), &[]);
    assert_eq!((outcome.code, outcome.err.as_str()), (1, "1 rule, 0 errors, 0 warnings, 1 hint\n"));
    let outcome = lint(folder.path(), &["--level", "warning"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, ""));
}

#[test]
fn json_is_the_whole_report_and_lines_are_findings() {
    let json = lint(Path::new(EXAMPLES), &["-o", "json"]);
    let read: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &read["complete"], &read["rules"]), (1, &true.into(), &7.into()));
    assert_eq!((&read["findings_omitted"], read["findings"].as_array().unwrap().len()), (&0.into(), 6));
    let shadowed = &read["findings"][3];
    assert_eq!(
        (&shadowed["kind"], &shadowed["severity"], &shadowed["effect"], &shadowed["line"]),
        (&"shadowed".into(), &"warning".into(), &"allow".into(), &41.into())
    );
    assert_eq!((&shadowed["policy"], &shadowed["rule"]), (&"capacity".into(), &"spot-in-europe".into()));
    assert_eq!(shadowed["document"], format!("{EXAMPLES}/capacity.yaml"));
    let other = &shadowed["others"][0];
    assert_eq!(
        (&other["policy"], &other["rule"], &other["line"]),
        (&"limits".into(), &"no-offers-from-sim".into(), &6.into())
    );
    assert!(shadowed["problem"].is_string() && shadowed["advice"].is_string());
    let lines = lint(Path::new(EXAMPLES), &["-o", "ndjson"]);
    let each: Vec<serde_json::Value> =
        lines.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(each, *read["findings"].as_array().unwrap());
}

#[test]
fn clean_policies_end_with_0_and_broken_ones_as_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(lint(folder.path(), &[]).code, 2, "no policies");
    let clean = concat!(env!("CARGO_MANIFEST_DIR"), "/../../domain/hpc-policy/examples/gpu-capacity.yaml");
    std::fs::copy(clean, folder.path().join("clean.yaml")).unwrap();
    std::fs::write(folder.path().join("passed-over.test.yaml"), "kind: [").unwrap();
    let outcome = lint(folder.path(), &[]);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, ""));
    assert_eq!(outcome.err, "5 rules, 0 errors, 0 warnings, 0 hints\n");
    let json: serde_json::Value = serde_json::from_str(&lint(folder.path(), &["-o", "json"]).out).unwrap();
    assert_eq!(json["findings"], serde_json::json!([]));
    std::fs::write(folder.path().join("broken.yaml"), "kind: [").unwrap();
    let outcome = lint(folder.path(), &[]);
    assert!(outcome.code == 2 && outcome.err.contains("HPC-POL-0004"), "{}", outcome.err);
    assert!(lint(&folder.path().join("nowhere"), &[]).err.contains("HPC-USG-0005"));
}
