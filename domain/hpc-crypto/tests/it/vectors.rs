use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpc_crypto::CryptoError;
use hpc_crypto::hashing::{Hash, Hasher, hash, sha256};
use hpc_crypto::merkle::{
    Profile, verify_consistency, verify_inclusion, verify_subtree_consistency, verify_subtree_inclusion,
};
use hpc_crypto::signing::{PublicKey, Signature};
use serde_json::Value;

use crate::data::shared;

const SHA: Profile = Profile::Rfc6962Sha256;

/// Some vectors write "don't care" where a hash belongs; those are compared by their digest. An empty one is no hash.
fn hash_of(value: &Value) -> Result<Hash, CryptoError> {
    let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
    match bytes.len() {
        0 | 32 => Hash::from_slice(&bytes),
        _ => Ok(sha256(&bytes)),
    }
}

fn hashes_of(value: &Value) -> Result<Vec<Hash>, CryptoError> {
    value.as_array().into_iter().flatten().map(hash_of).collect()
}

#[test]
fn all_518_published_proof_vectors_hold() {
    let Some(text) = shared("vectors/rfc6962-proofs.ndjson") else { return };
    let mut counts = [0; 4];
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (case, vector) = (line["case"].as_str().unwrap(), &line["vector"]);
        let n = |name: &str| vector[name].as_u64().unwrap();
        let check = || -> Result<(), CryptoError> {
            let h = |name: &str| hash_of(&vector[name]);
            let proof = hashes_of(&vector["proof"])?;
            match case.split('/').next().unwrap() {
                "inclusion" => {
                    verify_inclusion(SHA, &h("leafHash")?, n("leafIdx"), n("treeSize"), &proof, &h("root")?)
                }
                "consistency" => {
                    verify_consistency(SHA, n("size1"), n("size2"), &proof, &h("root1")?, &h("root2")?)
                }
                "subtreeinclusion" => verify_subtree_inclusion(
                    SHA,
                    &h("leafHash")?,
                    n("leafIdx"),
                    n("start"),
                    n("end"),
                    &proof,
                    &h("root")?,
                ),
                "subtreeconsistency" => verify_subtree_consistency(
                    SHA,
                    n("start"),
                    n("end"),
                    n("size"),
                    &proof,
                    &h("root1")?,
                    &h("root2")?,
                ),
                other => panic!("unknown kind {other}"),
            }
        };
        let outcome = check();
        assert_eq!(outcome.is_err(), vector["wantErr"].as_bool().unwrap(), "{case}: {outcome:?}");
        let kinds = ["inclusion", "consistency", "subtreeinclusion", "subtreeconsistency"];
        counts[kinds.iter().position(|kind| case.split('/').next() == Some(kind)).unwrap()] += 1;
    }
    assert_eq!(counts, [98, 98, 204, 118]);
}

/// Accepted if and only if key and point R are canonical and not of low order, and the equation holds without cofactor.
#[test]
fn all_914_ed25519_vectors_follow_one_rule() {
    let Some(text) = shared("vectors/ed25519-cctv.json") else { return };
    let vectors: Vec<Value> = serde_json::from_str(&text).unwrap();
    let refusing = ["low_order_A", "low_order_R", "low_order_residue", "non_canonical_A", "non_canonical_R"];
    let mut accepted = 0;
    for vector in &vectors {
        let flags: Vec<&str> =
            vector["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let key: [u8; 32] = hex::decode(vector["key"].as_str().unwrap()).unwrap().try_into().unwrap();
        let signature =
            Signature::from_slice(&hex::decode(vector["sig"].as_str().unwrap()).unwrap()).unwrap();
        let message = vector["msg"].as_str().unwrap().as_bytes();
        let verdict = PublicKey::from_bytes(&key).is_ok_and(|key| key.verify(message, &signature));
        assert_eq!(verdict, !flags.iter().any(|flag| refusing.contains(flag)), "{vector}");
        accepted += usize::from(verdict);
    }
    assert_eq!(vectors.len(), 914);
    assert!(accepted > 0);
}

/// From `test_vectors.json` of the BLAKE3 team (CC0): input bytes count up from 0 modulo 251.
#[test]
fn published_blake3_vectors_hold() {
    for (length, expected) in [
        (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
        (1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
    ] {
        let input: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        assert_eq!(hash(&input).to_string(), expected, "{length} bytes");
        let mut streamed = Hasher::blake3();
        input.chunks(7).for_each(|piece| {
            streamed.update(piece);
        });
        assert_eq!(streamed.finalize(), hash(&input));
    }
}

/// The eight leaves and roots that implementations of RFC 6962 share (from Certificate Transparency's own tests).
#[test]
fn the_eight_leaf_tree_of_certificate_transparency() {
    let leaves: Vec<Vec<u8>> =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
            .iter()
            .map(|leaf| hex::decode(leaf).unwrap())
            .collect();
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    for (count, root) in roots.iter().enumerate() {
        let tree = hpc_crypto::merkle::MerkleTree::from_leaves_with(SHA, &leaves[..=count]);
        assert_eq!(tree.root().to_string(), *root, "{} leaves", count + 1);
    }
    assert_eq!(
        SHA.empty_root().to_string(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}
