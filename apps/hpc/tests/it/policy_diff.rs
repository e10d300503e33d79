//! `hpc policy diff`, and the examples of the policy engine's README.

use std::path::{Path, PathBuf};

use crate::fake::{Outcome, hpc};

fn engine() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../domain/hpc-policy")
}

/// Runs a command line, its example files taken from the policy engine's folder and named as there.
fn run(command: &str) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    let folder = format!("{}/", engine().display());
    let words: Vec<String> = command
        .split_whitespace()
        .skip(1)
        .map(|word| if word.starts_with("examples/") { format!("{folder}{word}") } else { word.to_owned() })
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Outcome { code, out, err } = hpc(home.path(), &words);
    Outcome { code, out: out.replace(&folder, ""), err: err.replace(&folder, "") }
}

#[test]
fn the_readme_shows_what_the_commands_say() {
    let readme = std::fs::read_to_string(engine().join("README.md")).unwrap();
    let blocks: Vec<&str> = readme
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix("text\n$ hpc "))
        .collect();
    assert_eq!(blocks.len(), 3, "the README shows diff, who-can and what-can");
    for block in blocks {
        let (command, shown) = block.split_once('\n').unwrap();
        let outcome = run(&format!("hpc {command}"));
        let said = format!("{}{}", outcome.out, outcome.err);
        assert_eq!(said, shown, "hpc {command}");
    }
}

const DIFF: &str = "hpc policy diff examples/diff/before.yaml examples/diff/after.yaml";

#[test]
fn differences_end_with_1_and_none_with_0() {
    assert_eq!(run(DIFF).code, 1);
    let same = run("hpc policy diff examples/diff/before.yaml examples/diff/before.yaml");
    assert_eq!((same.code, same.out.as_str()), (0, ""));
    assert!(same.err.starts_with("no decision differs; "), "{}", same.err);
}

#[test]
fn what_is_shown_can_be_pasted_into_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let cases: Vec<String> = run(DIFF)
        .out
        .lines()
        .filter(|line| line.starts_with("  - name:") || line.starts_with("    "))
        .filter(|line| !line.starts_with("     "))
        .map(str::to_owned)
        .collect();
    let table =
        format!("apiVersion: policy.horizon.dev/v1\nkind: PolicyTest\ncases:\n{}\n", cases.join("\n"));
    std::fs::write(folder.path().join("flips.test.yaml"), table).unwrap();
    for (policies, code, said) in
        [("after.yaml", 0, "3 cases, 0 failed"), ("before.yaml", 1, "3 cases, 2 failed")]
    {
        let policies = engine().join("examples/diff").join(policies);
        let paths = [policies.to_str().unwrap(), folder.path().join("flips.test.yaml").to_str().unwrap()]
            .map(str::to_owned);
        let outcome = hpc(folder.path(), &["policy", "test", &paths[0], &paths[1]]);
        assert!(outcome.code == code && outcome.err.contains(said), "{outcome:?}");
    }
}

#[test]
fn machine_output_has_the_questions_in_their_recorded_form() {
    let outcome = run(&format!("{DIFF} -o json"));
    assert_eq!(outcome.code, 1);
    let report: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    let flips = report["flips"].as_array().unwrap();
    let directions: Vec<&str> = flips.iter().map(|flip| flip["direction"].as_str().unwrap()).collect();
    assert_eq!(directions, ["deny_to_allow", "allow_to_deny", "obligations"]);
    assert_eq!(report["coverage"]["kind"], "complete");
    for flip in flips {
        let question = &flip["example"]["question"];
        assert_eq!(question["format"], "hpc.policy.question/v1");
        serde_json::from_value::<hpc_policy::QuestionRecord>(question.clone()).unwrap();
    }
    assert_eq!(flips[1]["new"][0]["rule"], "agents-do-not-release");
    assert_eq!((&flips[1]["new"][0]["line"], &flips[1]["new"][0]["changed"]), (&31.into(), &true.into()));
}

#[test]
fn a_comparison_that_may_have_missed_something_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let policy = |part: &str| {
        format!(
            "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  principals: [{{type: any}}]\n  \
             resources: [{{type: gpu, pattern: '**'}}]\n  actions: [use]\n  effect: allow\n  conditions:\n    - \
             {{attribute: context.path, op: {part}, value_from: context.root}}\n"
        )
    };
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("old.yaml"), policy("starts_with")).unwrap();
    std::fs::write(path("new.yaml"), policy("ends_with")).unwrap();
    let outcome = hpc(folder.path(), &["policy", "diff", &path("old.yaml"), &path("new.yaml")]);
    assert!(outcome.err.contains("complete around 0 of 2 changed rules"), "{}", outcome.err);
    let gap = "not complete p/p (";
    assert!(
        outcome.err.contains(gap) && outcome.err.contains("a part of an attribute is compared"),
        "{}",
        outcome.err
    );
}

#[test]
fn mistakes_are_named() {
    let nowhere = run("hpc policy diff examples/diff/before.yaml examples/diff/nowhere.yaml");
    assert!(nowhere.code == 2 && nowhere.err.contains("HPC-USG-0005"), "{nowhere:?}");
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.yaml");
    std::fs::write(&broken, "kind: [").unwrap();
    let before = engine().join("examples/diff/before.yaml");
    let paths = [&before, &broken].map(|path| path.to_str().unwrap());
    let outcome = hpc(folder.path(), &["policy", "diff", paths[0], paths[1]]);
    assert!(outcome.code == 2 && outcome.err.contains("HPC-POL-0004"), "{outcome:?}");
    assert!(outcome.err.contains("broken.yaml"), "{outcome:?}");
    let empty = tempfile::tempdir().unwrap();
    let outcome = hpc(folder.path(), &["policy", "diff", paths[0], empty.path().to_str().unwrap()]);
    assert!(outcome.code == 2 && outcome.err.contains("no policies"), "{outcome:?}");
}
