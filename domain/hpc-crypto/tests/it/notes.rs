use hpc_crypto::CryptoError;
use hpc_crypto::checkpoint::{Checkpoint, SignedCheckpoint};
use hpc_crypto::hashing::sha256;
use hpc_crypto::merkle::{MerkleTree, Profile};
use hpc_crypto::note::{NoteSigner, SignedNote, VerifierKey};
use hpc_crypto::signing::KeyPair;
use hpc_crypto::tlog_proof;
use proptest::prelude::*;

/// Key and note of the documentation of golang.org/x/mod/sumdb/note (BSD licence).
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

/// The checkpoint shown in c2sp.org/tlog-checkpoint (CC BY 4.0).
const C2SP_CHECKPOINT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new("log.example/one", KeyPair::from_seed([seed; 32])).unwrap()
}

#[test]
fn a_foreign_note_verifies() {
    let key: VerifierKey = GO_KEY.parse().unwrap();
    assert_eq!(key.to_string(), GO_KEY);
    let note = SignedNote::parse(GO_NOTE.as_bytes()).unwrap();
    assert_eq!(note.to_string(), GO_NOTE);
    assert_eq!(note.verify(std::slice::from_ref(&key)), Ok(vec![&key]));
}

#[test]
fn the_published_checkpoint_is_read_and_written_back() {
    let note = SignedNote::parse(C2SP_CHECKPOINT.as_bytes()).unwrap();
    assert_eq!(note.to_string(), C2SP_CHECKPOINT);
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(checkpoint.to_string(), note.text());
}

#[test]
fn every_changed_byte_of_a_note_is_noticed() {
    let key: VerifierKey = GO_KEY.parse().unwrap();
    for at in 0..GO_NOTE.len() {
        for bit in 0..8 {
            let mut bytes = GO_NOTE.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let verdict =
                SignedNote::parse(&bytes).and_then(|note| note.verify(std::slice::from_ref(&key)).map(drop));
            assert!(verdict.is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn every_changed_byte_of_a_key_is_noticed() {
    for at in 0..GO_KEY.len() {
        for bit in 0..8 {
            let mut bytes = GO_KEY.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let parsed = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse::<VerifierKey>().ok());
            assert!(parsed.is_none(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn notes_that_are_none_are_refused() {
    let reason = |note: &str| match SignedNote::parse(note.as_bytes()) {
        Err(CryptoError::InvalidNote { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason("text\n"), "no empty line before the signatures");
    assert_eq!(reason("te\txt\n\n— n AAAAAA==\n"), "a control character other than newline");
    assert_eq!(reason("text\n\n— n AAAAAA=="), "no newline after the last signature");
    assert_eq!(reason("text\n\n- n AAAAAA==\n"), "a signature line is not `— name signature`");
    assert_eq!(reason("text\n\n— n AAAA\n"), "a signature is shorter than its key id");
    assert_eq!(reason("text\n\n— n !\n"), "a signature is not Base64");
    let crowd = format!("text\n\n{}", "— n AAAAAA==\n".repeat(65));
    assert_eq!(reason(&crowd), "too many signatures");
    assert!(SignedNote::parse(format!("text\n\n{}", "— n AAAAAA==\n".repeat(16)).as_bytes()).is_ok());
    assert!(signer(1).sign("no newline").is_err());
    for name in ["", "a b", "a+b", "a\u{a0}b"] {
        assert!(NoteSigner::new(name, KeyPair::from_seed([1; 32])).is_err(), "{name:?}");
    }
}

#[test]
fn only_trusted_keys_count_and_a_wrong_trusted_signature_spoils_the_note() {
    let (log, witness) =
        (signer(1), NoteSigner::new("witness.example", KeyPair::from_seed([2; 32])).unwrap());
    let mut note = log.sign("text\n").unwrap();
    witness.sign_too(&mut note).unwrap();
    let keys = [log.verifier_key().clone(), witness.verifier_key().clone()];
    assert_eq!(note.verify(&keys).unwrap().len(), 2);
    assert_eq!(note.verify(&keys[1..]).unwrap(), [&keys[1]]);
    assert_eq!(note.verify(&[]), Err(CryptoError::NoTrustedSignature));
    let forged = note.to_string().replacen("text", "test", 1);
    let forged = SignedNote::parse(forged.as_bytes()).unwrap();
    assert_eq!(forged.verify(&keys), Err(CryptoError::BadSignature { name: "log.example/one".into() }));
}

#[test]
fn checkpoints_are_of_one_log_and_one_spelling() {
    let log = signer(1);
    let checkpoint =
        Checkpoint { origin: "log.example/one".into(), size: 3, root: sha256(b""), extensions: vec![] };
    let signed = checkpoint.clone().sign(&log).unwrap();
    assert_eq!(SignedCheckpoint::open(signed.to_string().as_bytes(), log.verifier_key()), Ok(signed.clone()));
    assert!(SignedCheckpoint::open(signed.to_string().as_bytes(), signer(2).verifier_key()).is_err());
    let other = Checkpoint { origin: "log.example/two".into(), ..checkpoint.clone() };
    assert!(matches!(other.sign(&log), Err(CryptoError::WrongOrigin { .. })));
    // An origin may hold a control character of two octets; the message does not repeat it.
    let loud = Checkpoint { origin: "\u{9b}31m".into(), ..checkpoint.clone() };
    let error = loud.sign(&log).unwrap_err().to_string();
    assert!(error.contains("\u{fffd}31m") && !error.contains(char::is_control), "{error:?}");
    let broken = Checkpoint { extensions: vec!["a\nb".into()], ..checkpoint };
    assert!(broken.sign(&log).is_err());
    let root = sha256(b"").to_base64();
    for text in [
        "x\n03\nR\n",
        "x\n+3\nR\n",
        "\n3\nR\n",
        "x\n3\n",
        "x\n3\nR\n\n",
        "x\n9223372036854775808\nR\n",
        "x\n3\nR",
    ] {
        assert!(Checkpoint::parse(&text.replace('R', &root)).is_err(), "{text:?}");
    }
}

#[test]
fn a_log_proof_says_everything_and_no_byte_of_it_may_change() {
    let log = signer(1);
    let tree = MerkleTree::from_leaves_with(Profile::Rfc6962Sha256, &[b"a", b"b", b"c"]);
    let checkpoint = Checkpoint {
        origin: "log.example/one".into(),
        size: tree.len(),
        root: tree.root(),
        extensions: vec![],
    };
    let signed = checkpoint.sign(&log).unwrap();
    let text = tlog_proof::write(&tree.prove(1).unwrap(), &signed).unwrap();
    let leaf = tree.leaf_hash(1).unwrap();
    assert_eq!(tlog_proof::open(&text, &leaf, log.verifier_key()), Ok((1, signed.clone())));
    assert!(tlog_proof::open(&text, &tree.leaf_hash(2).unwrap(), log.verifier_key()).is_err());
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        assert!(tlog_proof::open(&changed, &leaf, log.verifier_key()).is_err(), "byte {at}");
    }
    assert!(tlog_proof::write(&tree.prove_at(1, 2).unwrap(), &signed).is_err());
}

proptest! {
    #[test]
    fn reading_never_panics_and_writes_back_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(note) = SignedNote::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes.clone());
        }
        if let Ok(text) = std::str::from_utf8(&bytes) {
            if let Ok(checkpoint) = Checkpoint::parse(text) {
                prop_assert_eq!(checkpoint.to_string(), text);
            }
            if let Ok(key) = text.parse::<VerifierKey>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }
}
