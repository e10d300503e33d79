use hpc_crypto::CryptoError;
use hpc_crypto::hashing::Hash;
use hpc_crypto::merkle::{
    LEAVES_MAX, MerkleTree, Profile, verify_consistency, verify_inclusion, verify_subtree_consistency,
};
use proptest::prelude::*;

const PROFILES: [Profile; 2] = [Profile::Blake3, Profile::Rfc6962Sha256];

fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| format!("leaf {i}").into_bytes()).collect()
}

/// The definition of RFC 6962, word for word.
fn root_by_definition(profile: Profile, leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => profile.empty_root(),
        [leaf] => profile.leaf(leaf),
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            profile.node(
                &root_by_definition(profile, &leaves[..split]),
                &root_by_definition(profile, &leaves[split..]),
            )
        }
    }
}

#[test]
fn the_specified_snippet_holds() -> Result<(), CryptoError> {
    let tree = MerkleTree::from_leaves(&[b"tx1", b"tx2", b"tx3"]);
    let proof = tree.prove(1)?;
    assert!(tree.verify(&proof, b"tx2"));
    assert!(!tree.verify(&proof, b"tx3"));
    assert_eq!(tree.prove(3), Err(CryptoError::IndexOutOfRange { index: 3, size: 3 }));
    Ok(())
}

#[test]
fn every_proof_of_every_small_tree_verifies() {
    for profile in PROFILES {
        let leaves = leaves(40);
        let whole = MerkleTree::from_leaves_with(profile, &leaves);
        for size in 0..=leaves.len() as u64 {
            let root = root_by_definition(profile, &leaves[..size as usize]);
            assert_eq!(whole.root_at(size), Ok(root));
            for index in 0..size {
                let proof = whole.prove_at(index, size).unwrap();
                assert_eq!(proof.verify(&profile.leaf(&leaves[index as usize]), &root), Ok(()));
                assert!(whole.verify(&proof, &leaves[index as usize]));
            }
            for old in 1..=size {
                let proof = whole.prove_consistency(old, size).unwrap();
                assert_eq!(proof.verify(&whole.root_at(old).unwrap(), &root), Ok(()), "{old} {size}");
            }
        }
    }
}

#[test]
fn every_subtree_of_every_small_tree_is_proved() {
    for size in 0..=33u64 {
        let tree = MerkleTree::from_leaves(&leaves(size as usize));
        for start in 0..=size {
            for end in start..=size {
                let Ok((root, proof)) = tree.prove_subtree(start, end) else { continue };
                let verify = |start, end, root: &Hash| {
                    verify_subtree_consistency(Profile::Blake3, start, end, size, &proof, root, &tree.root())
                };
                assert_eq!(verify(start, end, &root), Ok(()), "{start}..{end} of {size}");
                assert!(verify(start, end, &Hash::from_bytes([7; 32])).is_err());
            }
        }
    }
}

#[test]
fn profiles_do_not_mix() {
    let [blake, sha] = PROFILES.map(|profile| MerkleTree::from_leaves_with(profile, &leaves(5)));
    let proof = blake.prove(2).unwrap();
    assert!(blake.verify(&proof, b"leaf 2"));
    assert!(!sha.verify(&proof, b"leaf 2"));
    assert_ne!(blake.root(), sha.root());
}

#[test]
fn an_earlier_proof_stays_good_and_a_later_one_is_refused() {
    let mut tree = MerkleTree::from_leaves(&leaves(5));
    let proof = tree.prove(4).unwrap();
    let younger = tree.clone();
    tree.append(b"leaf 5").unwrap();
    assert!(tree.verify(&proof, b"leaf 4"));
    assert!(!younger.verify(&tree.prove(4).unwrap(), b"leaf 4"));
}

#[test]
fn sizes_beyond_the_limit_are_refused() {
    let hash = Hash::from_bytes([0; 32]);
    for size in [LEAVES_MAX + 1, u64::MAX] {
        let too_many = Err(CryptoError::TooManyLeaves);
        assert_eq!(verify_inclusion(Profile::Blake3, &hash, 0, size, &[], &hash), too_many);
        assert_eq!(verify_consistency(Profile::Blake3, 1, size, &[], &hash, &hash), too_many);
    }
    assert_eq!(
        verify_inclusion(Profile::Blake3, &hash, 0, LEAVES_MAX, &[], &hash),
        Err(CryptoError::WrongProofLength { got: 0, want: 63 })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_changed_bit_of_an_inclusion_proof_is_refused(size in 1u64..300, at in any::<u64>(), bit in any::<usize>()) {
        let tree = MerkleTree::from_leaves_with(Profile::Rfc6962Sha256, &leaves(size as usize));
        let index = at % size;
        let leaf = tree.leaf_hash(index).unwrap();
        let mut proof = tree.prove(index).unwrap();
        prop_assert_eq!(proof.verify(&leaf, &tree.root()), Ok(()));
        for other in 0..size {
            if other != index {
                proof.leaf_index = other;
                prop_assert!(proof.verify(&leaf, &tree.root()).is_err());
            }
        }
        proof.leaf_index = index;
        let bits = proof.hashes.len() * 256;
        if bits > 0 {
            let bit = bit % bits;
            let mut bytes = *proof.hashes[bit / 256].as_bytes();
            bytes[bit % 256 / 8] ^= 1 << (bit % 8);
            proof.hashes[bit / 256] = Hash::from_bytes(bytes);
            prop_assert_eq!(proof.verify(&leaf, &tree.root()), Err(CryptoError::RootMismatch));
        }
    }

    #[test]
    fn any_changed_bit_of_a_consistency_proof_is_refused(new in 2u64..300, at in any::<u64>(), bit in any::<usize>()) {
        let tree = MerkleTree::from_leaves(&leaves(new as usize));
        let old = 1 + at % (new - 1);
        let mut proof = tree.prove_consistency(old, new).unwrap();
        let roots = [old, new].map(|size| tree.root_at(size).unwrap());
        prop_assert_eq!(proof.verify(&roots[0], &roots[1]), Ok(()));
        let bit = bit % (proof.hashes.len() * 256);
        let mut bytes = *proof.hashes[bit / 256].as_bytes();
        bytes[bit % 256 / 8] ^= 1 << (bit % 8);
        proof.hashes[bit / 256] = Hash::from_bytes(bytes);
        prop_assert_eq!(proof.verify(&roots[0], &roots[1]), Err(CryptoError::RootMismatch));
    }
}
