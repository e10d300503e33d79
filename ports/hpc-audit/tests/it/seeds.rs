//! The fuzzer's seeds: each is a good document of its format.

use std::path::Path;

use hpc_audit::{Bundle, Entry, verify_bundle};

#[test]
fn every_seed_is_a_good_document_and_every_target_has_seeds() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for line in std::fs::read_to_string(fuzz.join("targets")).unwrap().lines() {
        let target = line.split(' ').next().unwrap();
        assert!(fuzz.join("fuzz_targets").join(target).with_extension("rs").is_file(), "{target}");
        let mut seeds = 0;
        for seed in std::fs::read_dir(fuzz.join("corpus").join(target)).unwrap() {
            let path = seed.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let good = match target {
                "entry" => Entry::decode(&bytes).is_ok(),
                "export" => {
                    Bundle::from_json(&bytes).is_ok_and(|bundle| verify_bundle(&bundle, None).is_ok())
                }
                other => panic!("a fuzz target without a format here: {other}"),
            };
            assert!(good, "{}", path.display());
            seeds += 1;
        }
        assert!(seeds > 0, "{target}");
    }
}
