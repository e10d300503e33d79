use hpc_crypto::CryptoError;
use hpc_crypto::checkpoint::{Checkpoint, SignedCheckpoint};
use hpc_crypto::hashing::Hash;
use hpc_crypto::merkle::{MerkleTree, Profile};
use hpc_crypto::note::{NoteSigner, VerifierKey};
use hpc_crypto::signing::KeyPair;
use hpc_crypto::witness::{
    AddCheckpoint, Progress, Refusal, Remembered, SplitView, Strength, compare, confirm_growth, decide,
};

use crate::cosignatures::{log, witness};

/// The request shown in c2sp.org/tlog-witness (CC BY 4.0).
const C2SP_REQUEST: &str = "old 20852014\n\
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
    jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
    5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
    /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n\
    example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";

/// A tree of `size` leaves; trees of two histories share the first three leaves.
fn tree(history: u8, size: u64) -> MerkleTree {
    let leaves: Vec<Vec<u8>> = (0..size).map(|i| vec![if i < 3 { 0 } else { history }, i as u8]).collect();
    MerkleTree::from_leaves_with(Profile::Rfc6962Sha256, &leaves)
}

fn signed(tree: &MerkleTree) -> SignedCheckpoint {
    let origin = log(1).verifier_key().name().to_owned();
    Checkpoint { origin, size: tree.len(), root: tree.root(), extensions: vec![] }.sign(&log(1)).unwrap()
}

fn at(history: u8, size: u64) -> SignedCheckpoint {
    signed(&tree(history, size))
}

fn growth(history: u8, from: u64, to: u64) -> Vec<Hash> {
    tree(history, to).prove_consistency(from, to).unwrap().hashes
}

fn keys() -> Vec<VerifierKey> {
    let stranger = NoteSigner::new("log.example/other", KeyPair::from_seed([8; 32])).unwrap();
    vec![stranger.verifier_key().clone(), log(1).verifier_key().clone()]
}

fn ask(
    known: Option<&SignedCheckpoint>,
    old: u64,
    proof: Vec<Hash>,
    new: &SignedCheckpoint,
) -> Result<SignedCheckpoint, Refusal> {
    let request = AddCheckpoint::new(old, proof, new).unwrap();
    let request = AddCheckpoint::parse(request.to_string().as_bytes()).unwrap();
    decide(known.map(Remembered::from).as_ref(), &request, &keys())
}

#[test]
fn the_published_request_is_read_and_written_back() {
    let request = AddCheckpoint::parse(C2SP_REQUEST.as_bytes()).unwrap();
    assert_eq!(request.to_string(), C2SP_REQUEST);
    assert_eq!((request.old_size(), request.proof().len()), (20_852_014, 4));
    assert_eq!(request.origin(), "example.com/behind-the-sofa");
    assert_eq!(request.note().signatures().len(), 2);
}

#[test]
fn requests_that_are_none_are_refused() {
    let request = AddCheckpoint::new(0, vec![], &at(1, 5)).unwrap().to_string();
    let hash = Hash::from_bytes([7; 32]);
    assert!(AddCheckpoint::parse(request.as_bytes()).is_ok());
    for (from, to) in [
        ("old 0\n", "old 00\n"),
        ("old 0\n", "old +0\n"),
        ("old 0\n", "old 9223372036854775808\n"),
        ("old 0\n", "old \n"),
        ("old 0\n", "old 0 \n"),
        ("old 0\n", "Old 0\n"),
        ("old 0\n", "old 0\r\n"),
        ("old 0\n", ""),
        ("old 0\n\n", "old 0\n"),
        ("old 0\n", "old 0\nAAAA\n"),
        ("old 0\n", "old 0\n\0\n"),
        ("\n5\n", "\n05\n"),
    ] {
        let changed = request.replacen(from, to, 1);
        assert_ne!(changed, request);
        assert!(AddCheckpoint::parse(changed.as_bytes()).is_err(), "{to:?}");
    }
    let with = |count: usize| {
        request.replacen("old 0\n", &format!("old 0\n{}", format!("{}\n", hash.to_base64()).repeat(count)), 1)
    };
    assert_eq!(AddCheckpoint::parse(with(63).as_bytes()).unwrap().proof().len(), 63);
    let reason = |body: &[u8]| match AddCheckpoint::parse(body) {
        Err(CryptoError::InvalidAddCheckpoint { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(with(64).as_bytes()), "more than 63 hashes");
    assert_eq!(reason(&vec![b'a'; 2 << 20]), "longer than the longest note and 63 hashes");
    assert!(AddCheckpoint::new(6, vec![], &at(1, 5)).is_err());
    assert!(AddCheckpoint::new(0, vec![hash; 64], &at(1, 5)).is_err());
}

#[test]
fn a_log_that_grows_is_cosigned() {
    for (from, to) in [(1, 1), (1, 2), (3, 7), (4, 7), (7, 7), (2, 40), (0, 0), (0, 5)] {
        let (known, new) = (at(1, from), at(1, to));
        let proof = if from == 0 { vec![] } else { growth(1, from, to) };
        assert_eq!(ask(Some(&known), from, proof, &new), Ok(new.clone()), "{from} to {to}");
    }
    assert_eq!(ask(None, 0, vec![], &at(1, 5)), Ok(at(1, 5)));
    assert_eq!(ask(None, 0, vec![], &at(1, 0)), Ok(at(1, 0)));
    // Lines that someone else added are neither stored nor part of evidence.
    let mut crowded = at(1, 5);
    crowded.push(witness(2).cosign(&crowded, 1_000).unwrap()).unwrap();
    assert_eq!(ask(None, 0, vec![], &crowded), Ok(at(1, 5)));
    let refusal = ask(Some(&at(2, 5)), 5, vec![], &crowded).unwrap_err();
    assert_eq!(refusal.split(), SplitView::new(&Remembered::from(&at(2, 5)), &at(1, 5), &[]).as_ref().ok());
}

#[test]
fn each_refusal_has_its_status() {
    let (known, new) = (at(1, 5), at(1, 7));
    let proof = growth(1, 5, 7);
    let status = |answer: Result<SignedCheckpoint, Refusal>| {
        let refusal = answer.unwrap_err();
        (refusal.status(), refusal.body(), refusal.content_type(), refusal.split().map(SplitView::strength))
    };
    let size = |size: u64, split| (409, format!("{size}\n"), "text/x.tlog.size", split);
    // Another old size than the one that is remembered.
    assert_eq!(status(ask(Some(&known), 0, vec![], &new)), size(5, None));
    assert_eq!(status(ask(None, 5, proof.clone(), &new)), size(0, None));
    assert_eq!(status(ask(Some(&new), 5, vec![], &known)), size(7, None));
    // Two roots of one size, whatever the old size says.
    assert_eq!(status(ask(Some(&known), 5, vec![], &at(2, 5))), size(5, Some(Strength::Conclusive)));
    assert_eq!(status(ask(Some(&known), 0, vec![], &at(2, 5))), size(5, Some(Strength::Conclusive)));
    // No proof, another one, one too many hashes.
    let mut longer = proof.clone();
    longer.push(proof[0]);
    for proof in [vec![], proof[1..].to_vec(), longer, growth(2, 5, 7), growth(1, 4, 7)] {
        let (code, body, kind, split) = status(ask(Some(&known), 5, proof, &new));
        assert_eq!((code, kind, split), (422, "text/plain; charset=utf-8", Some(Strength::Suspected)));
        assert!(body.starts_with("the consistency proof does not hold: ") && body.ends_with('\n'));
    }
    assert_eq!(status(ask(Some(&known), 5, vec![proof[0]], &known)).0, 422);
    assert_eq!(status(ask(None, 0, proof.clone(), &new)).0, 422);
    // A log without entries has one root.
    let origin = log(1).verifier_key().name().to_owned();
    let empty = Checkpoint { origin: origin.clone(), size: 0, root: proof[0], extensions: vec![] };
    assert_eq!(status(ask(None, 0, vec![], &empty.sign(&log(1)).unwrap())).0, 422);

    let decide_text = |text: String| {
        let request = AddCheckpoint::parse(text.as_bytes()).unwrap();
        decide(Some(&Remembered::from(&known)), &request, &keys()).unwrap_err().status()
    };
    let text = AddCheckpoint::new(5, proof.clone(), &new).unwrap().to_string();
    assert_eq!(decide_text(text.replacen("old 5\n", "old 8\n", 1)), 400);
    assert_eq!(decide_text(text.replacen("log.example/one\n", "log.example/two\n", 1)), 404);
    assert_eq!(decide_text(text.replacen("\n7\n", "\n8\n", 1)), 403);
    // The note of another key of the same name, and one without any signature of a known key.
    let forged = Checkpoint { origin, size: 7, root: tree(1, 7).root(), extensions: vec![] };
    assert_eq!(status(ask(Some(&known), 5, proof.clone(), &forged.sign(&log(2)).unwrap())).0, 403);
    // The caller's mistake.
    let other = NoteSigner::new("log.example/other", KeyPair::from_seed([8; 32])).unwrap();
    let foreign =
        Checkpoint { origin: "log.example/other".into(), size: 5, root: proof[0], extensions: vec![] };
    let foreign = Remembered::from(&foreign.sign(&other).unwrap());
    let request = AddCheckpoint::new(5, proof, &new).unwrap();
    assert_eq!(decide(Some(&foreign), &request, &keys()).unwrap_err().status(), 500);
    assert_eq!(Refusal::Malformed(CryptoError::TooManyLeaves).status(), 400);
}

#[test]
fn the_origin_picks_the_key_and_a_removed_key_is_still_remembered() {
    let known = Remembered::parse(at(1, 5).to_string().as_bytes()).unwrap();
    let origin = || log(1).verifier_key().name().to_owned();
    let new = Checkpoint { origin: origin(), size: 5, root: tree(2, 5).root(), extensions: vec![] };
    let new = new.sign(&log(2)).unwrap();
    let request = AddCheckpoint::new(5, vec![], &new).unwrap();
    let refusal = decide(Some(&known), &request, &[log(2).verifier_key().clone()]).unwrap_err();
    let split = refusal.split().unwrap();
    // Each checkpoint was signed with its own key: who trusts but one is not convinced.
    assert!(split.verify(&[log(2).verifier_key().clone()]).is_err());
    let both = [log(1).verifier_key().clone(), log(2).verifier_key().clone()];
    assert_eq!(split.verify(&both), Ok(Strength::Conclusive));
}

#[test]
fn evidence_is_kept_as_text_and_convinces_a_third_party() {
    let known = Remembered::from(&at(1, 5));
    let same_size = SplitView::new(&known, &at(2, 5), &[]).unwrap();
    // The log proves that its new tree goes on from another tree of five entries than the one it had signed.
    let by_proof = SplitView::new(&known, &at(2, 7), &growth(2, 5, 7)).unwrap();
    // A full subtree starts the proof itself, so a wrong one tells nothing about the earlier root.
    let unclear = SplitView::new(&Remembered::from(&at(1, 4)), &at(2, 7), &growth(2, 4, 7)).unwrap();
    let no_proof = SplitView::new(&known, &at(1, 7), &[]).unwrap();
    for (split, strength) in [
        (&same_size, Strength::Conclusive),
        (&by_proof, Strength::Conclusive),
        (&unclear, Strength::Suspected),
        (&no_proof, Strength::Suspected),
    ] {
        let text = split.to_string();
        assert_eq!(SplitView::open(text.as_bytes(), &keys()).as_ref(), Ok(split));
        assert_eq!(split.verify(&keys()), Ok(strength));
        assert!(SplitView::open(text.as_bytes(), &[log(2).verifier_key().clone()]).is_err());
        for at in 0..text.len() {
            let (mut bytes, bit) = (text.clone().into_bytes(), at % 8);
            bytes[at] ^= 1 << bit;
            // A changed proof is a proof that fails, too, but it never makes more of the evidence.
            let opened = SplitView::open(&bytes, &keys());
            let weaker =
                |split: SplitView| split.strength() == Strength::Suspected && !split.proof().is_empty();
            assert!(opened.is_err() || opened.is_ok_and(weaker), "byte {at} bit {bit}");
        }
    }
    // Seen in the other order, it is the same evidence.
    let seen_late = SplitView::new(&Remembered::from(&at(2, 7)), &at(1, 5), &growth(2, 5, 7)).unwrap();
    assert_eq!(seen_late, by_proof);
}

#[test]
fn what_agrees_is_no_evidence() {
    let refused = |known: &SignedCheckpoint, seen: &SignedCheckpoint, proof: &[Hash]| {
        assert!(SplitView::new(&Remembered::from(known), seen, proof).is_err());
    };
    refused(&at(1, 5), &at(1, 5), &[]);
    refused(&at(1, 5), &at(1, 7), &growth(1, 5, 7));
    refused(&at(1, 7), &at(1, 5), &growth(1, 5, 7));
    refused(&at(1, 0), &at(1, 5), &[]);
    refused(&at(1, 5), &at(2, 7), &[Hash::from_bytes([0; 32]); 65]);
    let (a, b) = (at(1, 5).to_string(), at(1, 7).to_string());
    let hashes: String = growth(1, 5, 7).iter().map(|hash| format!("{}\n", hash.to_base64())).collect();
    let read = |text: String| SplitView::parse(text.as_bytes()).is_ok();
    assert!(read(format!("hpc-split-view/v1\n\n{a}\n{b}")));
    assert!(!read(format!("hpc-split-view/v1\n{hashes}\n{a}\n{b}")));
    assert!(!read(format!("hpc-split-view/v1\n\n{b}\n{a}")));
    assert!(!read(format!("hpc-split-view/v1\n\n{a}\n{a}")));
    assert!(!read(format!("hpc-split-view/v2\n\n{a}\n{b}")));
    assert!(!read(format!("hpc-split-view/v1\n\n{a}")));
    assert!(!read(format!("hpc-split-view/v1\n\n{a}\n{b}\n{b}")));
    assert!(!read(format!("hpc-split-view/v1\n{hashes}\n{a}\n{}", at(2, 5))));
}

#[test]
fn a_client_notices_a_log_going_back() {
    let known = |size| Remembered::from(&at(1, size));
    assert_eq!(compare(&known(5), &at(1, 5)), Ok(Progress::Same));
    assert_eq!(compare(&known(5), &at(1, 7)), Ok(Progress::Grown { from: 5, to: 7 }));
    assert_eq!(compare(&known(0), &at(1, 7)), Ok(Progress::Begun));
    assert_eq!(compare(&known(7), &at(1, 5)), Ok(Progress::RolledBack { from: 7, to: 5 }));
    let Ok(Progress::Split(split)) = compare(&known(5), &at(2, 5)) else { panic!("no split") };
    assert_eq!(split.verify(&keys()), Ok(Strength::Conclusive));
    let foreign = Remembered::parse(at(1, 5).to_string().replacen("/one\n", "/two\n", 1).as_bytes()).unwrap();
    assert!(matches!(compare(&foreign, &at(1, 5)), Err(CryptoError::WrongOrigin { .. })));

    assert_eq!(confirm_growth(&known(5), &at(1, 7), &growth(1, 5, 7)), Ok(()));
    assert_eq!(confirm_growth(&known(0), &at(1, 7), &[]), Ok(()));
    assert_eq!(confirm_growth(&known(5), &at(2, 7), &growth(2, 5, 7)), Err(CryptoError::RootMismatch));
    assert!(confirm_growth(&known(7), &at(1, 5), &[]).is_err());
    assert!(confirm_growth(&foreign, &at(1, 7), &growth(1, 5, 7)).is_err());
}
