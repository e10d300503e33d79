//! The starter policies and the AuthZEN example do what their tables of cases say.

use hpc_policy::{parse_cases, run_cases};

#[test]
fn the_starter_set_passes_its_own_cases() {
    let loaded = hpcd::policies::load(None).unwrap();
    let cases = parse_cases(include_str!("../../policies/starter.test.yaml")).unwrap();
    let results = run_cases(&loaded.set, &cases);
    assert!(results.len() >= 8, "{} cases", results.len());
    for result in results {
        assert!(result.passed(), "line {}, `{}`: {:?}", result.line, result.name, result.failure);
    }
}

#[test]
fn the_authzen_example_passes_its_own_cases() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/authzen");
    let loaded = hpcd::policies::load(Some(&folder)).unwrap();
    let cases = parse_cases(&std::fs::read_to_string(folder.join("records.test.yaml")).unwrap()).unwrap();
    let results = run_cases(&loaded.set, &cases);
    assert!(results.len() >= 8, "{} cases", results.len());
    for result in results {
        assert!(result.passed(), "line {}, `{}`: {:?}", result.line, result.name, result.failure);
    }
}
