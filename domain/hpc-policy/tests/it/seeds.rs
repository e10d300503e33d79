//! The fuzzer's seeds: each is a good document, and no damage to one makes a panic or an error without a place.

use std::collections::BTreeMap;
use std::path::Path;

use hpc_policy::{PolicyError, PolicySet, parse_cases};
use proptest::prelude::*;

use super::policy;
use super::reference::OPERATORS;

fn seeds() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/parse");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    files
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read_to_string(file.path()).unwrap()))
        .collect()
}

/// Reads a document by its kind, beside a policy for those kinds that need one.
fn read(text: &str) -> Result<(), Vec<PolicyError>> {
    if text.contains("kind: PolicyTest") {
        return parse_cases(text).map(|_| ()).map_err(|error| vec![error]);
    }
    let mut documents = vec![("seed", text.to_owned())];
    if !text.contains("kind: Policy\n") {
        documents.push(("other", policy("allow", &[]).replace("[\"**\"]", "[use]").replace("thing", "gpu")));
    }
    PolicySet::parse_documents(documents).map(|_| ())
}

#[test]
fn every_seed_is_good_and_every_operator_and_kind_has_one() {
    let seeds = seeds();
    for (name, text) in &seeds {
        read(text).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
    }
    for operator in OPERATORS {
        let text = &seeds[&format!("op-{operator}")];
        assert!(
            text.contains(&format!("op: {operator},")) || text.contains(&format!("op: {operator}}}")),
            "{operator}"
        );
    }
    for kind in ["Policy", "PolicyTest", "PolicyEntities", "PolicyGroups", "PolicySchema"] {
        assert!(seeds.values().any(|text| text.contains(&format!("kind: {kind}\n"))), "{kind}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_damaged_seed_panics(
        seed in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        piece in "[a-z:{}\\[\\],&*!|>'\"%#\n\t\u{1}\u{feff}\u{202e}é -]{0,4}",
        cut in 0..8_usize,
    ) {
        let seeds: Vec<String> = seeds().into_values().collect();
        let text = &seeds[seed.index(seeds.len())];
        let position = at.index(text.len());
        let end = (position + cut).min(text.len());
        let damaged = format!("{}{piece}{}", &text[..position], &text[end..]);
        for error in read(&damaged).err().into_iter().flatten() {
            let message = error.to_string();
            prop_assert!(error == PolicyError::NoDocuments || error.location().is_some(), "{}", message);
            prop_assert!(message.len() < 2_000 && !message.contains(['\u{1}', '\u{202e}', '\n']), "{}", message);
        }
    }
}
