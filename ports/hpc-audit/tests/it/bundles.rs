use hpc_audit::{Bundle, BundleEntry, BundleError, Entry, Outcome, PROFILE, Selection, verify_bundle};
use hpc_crypto::checkpoint::Checkpoint;
use hpc_crypto::merkle::MerkleTree;
use hpc_crypto::note::{NoteSigner, VerifierKey};
use hpc_crypto::signing::KeyPair;
use jiff::Timestamp;

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new("log.example/audit", KeyPair::from_seed([seed; 32])).unwrap()
}

pub(crate) fn bundle(selection: impl Into<Selection>) -> Bundle {
    let texts: Vec<String> = (0..7)
        .map(|i| {
            let entry =
                Entry::new(format!("id {i}"), Timestamp::UNIX_EPOCH, "alice", "lease.active", Outcome::Ok);
            String::from_utf8(entry.encode().unwrap()).unwrap()
        })
        .collect();
    let tree = MerkleTree::from_leaves_with(PROFILE, &texts);
    let checkpoint = Checkpoint {
        origin: "log.example/audit".into(),
        size: tree.len(),
        root: tree.root(),
        extensions: vec![],
    };
    let selection = selection.into();
    let indices: Vec<u64> = match &selection {
        Selection::Range { start, end } => (*start..*end).collect(),
        Selection::Indices(indices) => indices.clone(),
    };
    let entry = |&index: &u64| BundleEntry {
        index,
        entry: texts[index as usize].clone(),
        proof: tree.prove(index).unwrap().hashes.iter().map(|hash| hash.to_base64()).collect(),
    };
    Bundle {
        format: "hpc-audit-bundle/v1".into(),
        profile: "rfc6962-sha256".into(),
        vkey: signer(1).verifier_key().to_string(),
        checkpoint: checkpoint.sign(&signer(1)).unwrap().to_string(),
        entries: indices.iter().map(entry).collect(),
        selection,
    }
}

pub(crate) fn key() -> VerifierKey {
    signer(1).verifier_key().clone()
}

#[test]
fn a_good_bundle_holds_and_says_whose_key_it_trusts() {
    let verified = verify_bundle(&bundle(2..6), Some(&key())).unwrap();
    assert!(verified.key_trusted);
    assert_eq!(verified.entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert_eq!(verified.selection, Selection::Range { start: 2, end: 6 });
    assert!(!verify_bundle(&bundle(vec![0, 6]), None).unwrap().key_trusted);
    assert!(verify_bundle(&bundle(3..3), None).unwrap().entries.is_empty());
}

#[test]
fn a_bundle_of_another_key_is_refused() {
    let other = signer(2).verifier_key().clone();
    assert!(matches!(verify_bundle(&bundle(0..3), Some(&other)), Err(BundleError::OtherKey { .. })));
    let mut forged = bundle(0..3);
    forged.vkey = other.to_string();
    assert!(matches!(verify_bundle(&forged, None), Err(BundleError::Checkpoint(_))));
}

#[test]
fn a_missing_entry_is_noticed() {
    let mut cut = bundle(1..5);
    cut.entries.remove(1);
    assert_eq!(
        verify_bundle(&cut, None),
        Err(BundleError::Order { expected: "2".into(), found: "3".into() })
    );
    let mut short = bundle(1..5);
    short.entries.pop();
    assert_eq!(
        verify_bundle(&short, None),
        Err(BundleError::Order { expected: "4".into(), found: "none".into() })
    );
    let mut swapped = bundle(vec![1, 4]);
    swapped.entries.reverse();
    assert!(matches!(verify_bundle(&swapped, None), Err(BundleError::Order { .. })));
    let mut longer = bundle(1..5);
    longer.entries.push(longer.entries[0].clone());
    assert!(matches!(verify_bundle(&longer, None), Err(BundleError::Order { .. })));
    let mut falling = bundle(vec![1, 4]);
    falling.selection = Selection::Indices(vec![4, 1]);
    falling.entries.reverse();
    assert!(matches!(verify_bundle(&falling, None), Err(BundleError::Malformed { .. })));
}

#[test]
fn a_range_beyond_the_log_is_refused() {
    let mut beyond = bundle(5..7);
    beyond.selection = Selection::Range { start: 5, end: u64::MAX };
    assert!(matches!(verify_bundle(&beyond, None), Err(BundleError::Order { .. })));
}

#[test]
fn every_changed_bit_of_the_file_is_noticed() {
    let text = bundle(1..4).to_json().unwrap().into_bytes();
    let check = |text: &[u8]| Bundle::from_json(text).and_then(|bundle| verify_bundle(&bundle, Some(&key())));
    check(&text).unwrap();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut changed = text.clone();
            changed[at] ^= 1 << bit;
            assert!(check(&changed).is_err(), "byte {at} bit {bit}");
        }
    }
    for cut in 0..text.len() {
        assert!(check(&text[..cut]).is_err(), "cut at {cut}");
    }
}
