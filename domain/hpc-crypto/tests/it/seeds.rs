//! The fuzzer's seeds: each is a good document of its format; those named `head...` are what goes before a good note.

use std::path::Path;

use hpc_crypto::checkpoint::Checkpoint;
use hpc_crypto::cosignature::CosignerKey;
use hpc_crypto::note::{NoteSignature, SignedNote, VerifierKey};
use hpc_crypto::tile::{Tile, entries_of, hashes_of};
use hpc_crypto::tlog_policy::TlogPolicy;
use hpc_crypto::tlog_proof::ProofText;
use hpc_crypto::witness::{AddCheckpoint, SplitView};

/// Whether the bytes are a good document of a fuzz target.
fn is_good(target: &str, bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or("\0");
    match target {
        "note" => SignedNote::parse(bytes).is_ok(),
        "verifier_key" => text.parse::<VerifierKey>().is_ok() || text.parse::<CosignerKey>().is_ok(),
        "checkpoint" => Checkpoint::parse(text).is_ok(),
        "tile_path" => text.parse::<Tile>().is_ok(),
        "entry_bundle" => entries_of(bytes).is_ok() || hashes_of(bytes).is_ok(),
        "tlog_proof" => ProofText::parse(text).is_ok(),
        "tlog_policy" => TlogPolicy::parse(bytes).is_ok(),
        "add_checkpoint" => AddCheckpoint::parse(bytes).is_ok(),
        "signature_lines" => NoteSignature::parse_lines(bytes).is_ok(),
        "split_view" => SplitView::parse(bytes).is_ok(),
        other => panic!("a fuzz target without a format here: {other}"),
    }
}

#[test]
fn every_seed_is_a_good_document_and_every_target_has_seeds() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let targets = std::fs::read_to_string(fuzz.join("targets")).unwrap();
    for line in targets.lines() {
        let target = line.split(' ').next().unwrap();
        assert!(fuzz.join("fuzz_targets").join(target).with_extension("rs").is_file(), "{target}");
        let mut seeds = 0;
        for seed in std::fs::read_dir(fuzz.join("corpus").join(target)).unwrap() {
            let path = seed.unwrap().path();
            let is_head = path.file_name().unwrap().to_string_lossy().starts_with("head");
            let bytes = std::fs::read(&path).unwrap();
            assert!(is_head || is_good(target, &bytes), "{}", path.display());
            seeds += usize::from(!is_head);
        }
        assert!(seeds > 0, "{target}");
    }
}
