//! The starter policies do what their table of cases says.

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
