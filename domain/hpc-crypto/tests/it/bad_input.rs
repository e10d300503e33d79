//! What is refused, as which error: one table, each limit at its edge and one above; and flipped bits everywhere.

use hpc_crypto::CryptoError;
use hpc_crypto::checkpoint::{Checkpoint, SignedCheckpoint};
use hpc_crypto::cosignature;
use hpc_crypto::hashing::{Hash, sha256};
use hpc_crypto::merkle::{
    LEAVES_MAX, MerkleTree, NodeId, PROOF_HASHES_MAX, Profile, ProofPlan, verify_consistency,
    verify_inclusion,
};
use hpc_crypto::note::{
    KEY_NAME_BYTES_MAX, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, NOTE_TEXT_BYTES_MAX, NoteSigner, SignedNote,
    VerifierKey,
};
use hpc_crypto::signing::KeyPair;
use hpc_crypto::tile::{Tile, TileKind, entries_of, hashes_of, node_in, push_entry};
use hpc_crypto::tlog_proof::{self, ProofText};
use hpc_crypto::witness::{Progress, Remembered, compare};
use proptest::prelude::*;

use crate::cosignatures::{log, witness};

const SHA: Profile = Profile::Rfc6962Sha256;

fn kind(error: &CryptoError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

/// Says for each case the kind of error and a part of its words.
fn table<T: std::fmt::Debug>(cases: Vec<(&str, Result<T, CryptoError>, &str, &str)>) {
    for (case, outcome, want, words) in cases {
        let error = outcome.expect_err(case);
        assert_eq!(kind(&error), want, "{case}: {error}");
        let text = error.to_string();
        assert!(text.contains(words), "{case}: {text}");
        assert!(!text.chars().any(char::is_control) && text.len() < 600, "{case}: {text:?}");
    }
}

fn tree(size: u64) -> MerkleTree {
    let leaves: Vec<Vec<u8>> = (0..size).map(|i| i.to_be_bytes().to_vec()).collect();
    MerkleTree::from_leaves_with(SHA, &leaves)
}

fn signed(size: u64) -> SignedCheckpoint {
    let origin = "log.example/one".to_owned();
    Checkpoint { origin, size, root: tree(size).root(), extensions: vec![] }.sign(&log(1)).unwrap()
}

#[test]
fn notes() {
    let good = log(1).sign("a text\nof two lines\n").unwrap().to_string();
    let parse = |note: &str| SignedNote::parse(note.as_bytes());
    let signature = good.lines().last().unwrap();
    let note = |text: &str| parse(&format!("{text}\n{signature}\n"));
    table(vec![
        ("CRLF", parse(&good.replace('\n', "\r\n")), "InvalidNote", "no empty line"),
        ("CR in the text", note("a\r\n"), "InvalidNote", "control character"),
        ("NUL", note("a\0\n"), "InvalidNote", "control character"),
        ("tab", note("a\tb\n"), "InvalidNote", "control character"),
        ("empty", parse(""), "InvalidNote", "no empty line"),
        ("not UTF-8", SignedNote::parse(b"a\xff\n\n"), "InvalidNote", "not UTF-8"),
        (
            "text without newline",
            parse(&good.replacen("lines\n\n", "lines\n", 1)),
            "InvalidNote",
            "no empty line",
        ),
        (
            "space before the dash",
            parse(&good.replacen("\n— ", "\n — ", 1)),
            "InvalidNote",
            "`— name signature`",
        ),
        ("two spaces", parse(&good.replacen("— ", "—  ", 1)), "InvalidKeyName", "cannot name a key"),
        ("hyphen for a dash", parse(&good.replacen("— ", "- ", 1)), "InvalidNote", "`— name signature`"),
        (
            "something after the signature",
            parse(&format!("{} x\n", good.trim_end())),
            "InvalidNote",
            "not Base64",
        ),
        (
            "no padding",
            parse(&format!("{}\n", good.trim_end().trim_end_matches('='))),
            "InvalidNote",
            "not Base64",
        ),
        ("a second newline", parse(&format!("{good}\n")), "InvalidNote", "no newline after the last"),
        ("plus in a name", parse(&good.replacen("/one", "+one", 1)), "InvalidKeyName", "cannot name a key"),
        (
            "wide space in a name",
            parse(&good.replacen("/one", "\u{2003}one", 1)),
            "InvalidKeyName",
            "cannot name",
        ),
        // A control character of two octets, as begins a colour on some terminals, is not repeated in the message.
        (
            "control character in a name",
            parse(&good.replacen("/one", "\u{9b}31m", 1)),
            "InvalidKeyName",
            "\u{fffd}31m",
        ),
    ]);
}

#[test]
fn notes_at_their_limits() {
    let parse = |note: &str| SignedNote::parse(note.as_bytes());
    let text = |bytes: usize| format!("{}\n", "x".repeat(bytes - 1));
    assert!(log(1).sign(&text(NOTE_TEXT_BYTES_MAX)).is_ok());
    let too_long = log(1).sign(&text(NOTE_TEXT_BYTES_MAX + 1));
    table(vec![("text", too_long, "InvalidNote", "longer than 512 KiB")]);

    let line = |bytes: usize| format!("— n {}\n", "A".repeat(bytes));
    let whole = |length: usize| {
        let head = format!("t\n\n{}", line(8));
        let rest = length - head.len() - line(0).len();
        // Base64 comes in fours; the name takes what is left over.
        let (fours, over) = (rest / 4 * 4, rest % 4);
        format!("{head}{}", line(fours).replacen("n ", &format!("n{} ", "n".repeat(over)), 1))
    };
    assert_eq!(whole(NOTE_BYTES_MAX).len(), NOTE_BYTES_MAX);
    assert!(parse(&whole(NOTE_BYTES_MAX)).is_ok());
    let crowd = |count: usize| format!("t\n\n{}", line(8).repeat(count));
    assert_eq!(parse(&crowd(NOTE_SIGNATURES_MAX)).unwrap().signatures().len(), NOTE_SIGNATURES_MAX);
    let named = |bytes: usize| VerifierKey::new(&"n".repeat(bytes), KeyPair::from_seed([1; 32]).public_key());
    let key = named(KEY_NAME_BYTES_MAX).unwrap();
    assert_eq!(key.to_string().parse(), Ok(key.clone()));
    table(vec![
        ("bytes", parse(&whole(NOTE_BYTES_MAX + 1)).map(drop), "InvalidNote", "longer than 1 MiB"),
        (
            "signatures",
            parse(&crowd(NOTE_SIGNATURES_MAX + 1)).map(drop),
            "InvalidNote",
            "too many signatures",
        ),
        ("name", named(KEY_NAME_BYTES_MAX + 1).map(drop), "InvalidKeyName", "cannot name a key"),
        ("key", format!("n{key}").parse::<VerifierKey>().map(drop), "InvalidVerifierKey", "longer than"),
        (
            "huge key",
            "n".repeat(1 << 20).parse::<VerifierKey>().map(drop),
            "InvalidVerifierKey",
            "longer than",
        ),
    ]);
}

#[test]
fn signatures() {
    let trusted = [log(1).verifier_key().clone()];
    let note = signed(5).to_string();
    let open = |note: &str, seed: u8| SignedCheckpoint::open(note.as_bytes(), log(seed).verifier_key());
    let line = note.lines().last().unwrap();
    let twice = format!("{note}{line}\n");
    // The same signature twice is one signer; a second one that does not fit spoils the first.
    let signers = SignedNote::parse(twice.as_bytes()).unwrap();
    assert_eq!(signers.verify(&trusted).unwrap().len(), 1);
    let other = log(1).sign("another text\n").unwrap().to_string();
    let spoilt = format!("{note}{}\n", other.lines().last().unwrap());
    let id_of = |kind: u8| sha256(&[b"log.example/one\n".as_slice(), &[kind], &[7; 32]].concat());
    let unknown = |kind: u8| {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD
            .encode([&id_of(kind).as_bytes()[..4], [9; 64].as_slice()].concat());
        note.replacen(line, &format!("— log.example/one {encoded}"), 1)
    };
    let other_log =
        Checkpoint { origin: "log.example/two".into(), size: 5, root: tree(5).root(), extensions: vec![] };
    let two = NoteSigner::new("log.example/two", KeyPair::from_seed([1; 32])).unwrap();
    let other_log = other_log.sign(&two).unwrap().to_string();
    table(vec![
        ("wrong key", open(&note, 2), "NoTrustedSignature", "no signature of a trusted key"),
        ("one bad among good", open(&spoilt, 1), "BadSignature", "log.example/one"),
        ("ECDSA (0x02)", open(&unknown(0x02), 1), "NoTrustedSignature", "no signature"),
        ("cosignature (0x04)", open(&unknown(0x04), 1), "NoTrustedSignature", "no signature"),
        ("ML-DSA-44 (0x06)", open(&unknown(0x06), 1), "NoTrustedSignature", "no signature"),
        ("reserved (0xff)", open(&unknown(0xff), 1), "NoTrustedSignature", "no signature"),
        ("another log", open(&other_log, 1), "NoTrustedSignature", "no signature"),
        ("another size", open(&note.replacen("\n5\n", "\n6\n", 1), 1), "BadSignature", "was changed"),
        ("another origin", open(&note.replacen("/one\n", "/two\n", 1), 1), "BadSignature", "was changed"),
    ]);
}

#[test]
fn checkpoints() {
    let root = sha256(b"").to_base64();
    let parse = |text: &str| Checkpoint::parse(&text.replace('R', &root));
    assert_eq!(parse("x\n9223372036854775807\nR\n").unwrap().size, LEAVES_MAX);
    table(vec![
        ("2^63", parse("x\n9223372036854775808\nR\n"), "InvalidCheckpoint", "over 2^63 - 1"),
        ("2^64", parse("x\n18446744073709551616\nR\n"), "InvalidCheckpoint", "not a number"),
        ("negative", parse("x\n-1\nR\n"), "InvalidCheckpoint", "not a number"),
        ("leading zero", parse("x\n01\nR\n"), "InvalidCheckpoint", "canonical decimal"),
        ("plus", parse("x\n+1\nR\n"), "InvalidCheckpoint", "canonical decimal"),
        ("space", parse("x\n 1\nR\n"), "InvalidCheckpoint", "not a number"),
        ("hexadecimal", parse("x\n0x1\nR\n"), "InvalidCheckpoint", "not a number"),
        ("Arabic digit", parse("x\n١\nR\n"), "InvalidCheckpoint", "not a number"),
        ("no origin", parse("\n1\nR\n"), "InvalidCheckpoint", "origin is empty"),
        ("two lines", parse("x\n1\n"), "InvalidCheckpoint", "fewer than three lines"),
        ("no newline", parse("x\n1\nR"), "InvalidCheckpoint", "no newline"),
        ("empty extension", parse("x\n1\nR\n\n"), "InvalidCheckpoint", "extension line is empty"),
        ("CRLF", parse("x\r\n1\r\nR\r\n"), "InvalidCheckpoint", "not a number"),
        ("short root", parse("x\n1\nAAAA\n"), "WrongLength", "32 bytes"),
        ("root with odd last bits", parse(&format!("x\n1\n{}B=\n", "A".repeat(42))), "BadEncoding", "Base64"),
        (
            "root in the URL alphabet",
            parse(&format!("x\n1\n{}_8=\n", "A".repeat(41))),
            "BadEncoding",
            "Base64",
        ),
    ]);
    // A checkpoint going back is no error of one text; who remembers notices.
    let known = Remembered::from(&signed(7));
    assert_eq!(compare(&known, &signed(5)), Ok(Progress::RolledBack { from: 7, to: 5 }));
}

#[test]
fn proofs() {
    let (tree, root) = (tree(9), tree(9).root());
    let leaf = tree.leaf_hash(4).unwrap();
    let proof = tree.prove(4).unwrap().hashes;
    let at = |index, size, proof: &[Hash]| verify_inclusion(SHA, &leaf, index, size, proof, &root);
    let mut longer = proof.clone();
    longer.push(leaf);
    let full = [leaf; PROOF_HASHES_MAX];
    let grown = tree.prove_consistency(4, 9).unwrap().hashes;
    let old_root = tree.root_at(4).unwrap();
    let from = |old, new, proof: &[Hash]| verify_consistency(SHA, old, new, proof, &old_root, &root);
    assert_eq!((at(4, 9, &proof), from(4, 9, &grown)), (Ok(()), Ok(())));
    // A root does not hold its size: a size whose path is as long fits too. So the size comes from the signed checkpoint.
    assert_eq!(at(4, 10, &proof), Ok(()));
    table(vec![
        ("another index", at(5, 9, &proof), "RootMismatch", "another root"),
        ("another size of more levels", at(4, 17, &proof), "WrongProofLength", "are needed"),
        ("index at the end", at(9, 9, &proof), "IndexOutOfRange", "not below the tree size 9"),
        ("index past the end", at(u64::MAX, 9, &proof), "IndexOutOfRange", "not below"),
        ("no leaves", at(0, 0, &[]), "IndexOutOfRange", "not below"),
        ("2^63 leaves", at(0, LEAVES_MAX + 1, &proof), "TooManyLeaves", "at most"),
        ("2^64 - 1 leaves", at(0, u64::MAX, &proof), "TooManyLeaves", "at most"),
        ("2^63 - 1 leaves", at(0, LEAVES_MAX, &full[..63]), "RootMismatch", "another root"),
        ("2^63 - 1 leaves, too long", at(0, LEAVES_MAX, &full), "WrongProofLength", "are needed"),
        ("one hash less", at(4, 9, &proof[1..]), "WrongProofLength", "are needed"),
        ("one hash more", at(4, 9, &longer), "WrongProofLength", "are needed"),
        ("growth from nothing", from(0, 9, &[]), "SizesOutOfRange", "not two sizes"),
        ("growth backwards", from(9, 4, &grown), "SizesOutOfRange", "not two sizes"),
        ("growth of another size", from(5, 9, &grown), "WrongProofLength", "are needed"),
        ("growth to 2^63", from(4, LEAVES_MAX + 1, &grown), "TooManyLeaves", "at most"),
        ("equal sizes, other root", from(9, 9, &[]), "RootMismatch", "another root"),
    ]);
    assert_eq!(tree.prove(9).unwrap_err(), CryptoError::IndexOutOfRange { index: 9, size: 9 });
    assert!(
        ProofPlan::inclusion(0, LEAVES_MAX + 1).is_err()
            && ProofPlan::consistency(1, LEAVES_MAX + 1).is_err()
    );
}

#[test]
fn proof_texts() {
    let good = tlog_proof::write(&tree(9).prove(4).unwrap(), &signed(9)).unwrap();
    let leaf = tree(9).leaf_hash(4).unwrap();
    let open = |text: &str| tlog_proof::open(text, &leaf, log(1).verifier_key()).map(|(index, _)| index);
    assert_eq!(open(&good), Ok(4));
    let hash = format!("{}\n", leaf.to_base64());
    let with = |count: usize| good.replacen("index 4\n", &format!("index 4\n{}", hash.repeat(count)), 1);
    let hashes =
        ProofText::parse(&good).unwrap().to_string().lines().take_while(|line| !line.is_empty()).count() - 2;
    // As many hashes as a proof can have are read, and are then too many for this tree.
    let full = PROOF_HASHES_MAX - hashes;
    table(vec![
        ("64 hashes", open(&with(full)), "WrongProofLength", "are needed"),
        ("65 hashes", open(&with(full + 1)), "InvalidProofText", "more than 64 hashes"),
        ("CRLF", open(&good.replace('\n', "\r\n")), "InvalidProofText", "no empty line"),
        ("NUL", open(&good.replacen("index 4", "index 4\0", 1)), "InvalidProofText", "not a number"),
        ("version 2", open(&good.replacen("@v1", "@v2", 1)), "InvalidProofText", "the first line"),
        (
            "leading zero",
            open(&good.replacen("index 4", "index 04", 1)),
            "InvalidProofText",
            "canonical decimal",
        ),
        ("no index", open(&good.replacen("index 4\n", "", 1)), "InvalidProofText", "not `index N`"),
        ("index twice", open(&good.replacen("index 4\n", "index 4\nindex 4\n", 1)), "BadEncoding", "Base64"),
        ("index past the end", open(&good.replacen("index 4", "index 9", 1)), "IndexOutOfRange", "not below"),
        (
            "2^64",
            open(&good.replacen("index 4", "index 18446744073709551616", 1)),
            "InvalidProofText",
            "not a number",
        ),
        (
            "extra after index",
            open(&good.replacen("index 4\n", "index 4\nextra aGk=\n", 1)),
            "BadEncoding",
            "Base64",
        ),
        (
            "of another size",
            open(&good.replacen(&signed(9).to_string(), &signed(8).to_string(), 1)),
            "WrongProofLength",
            "are needed",
        ),
        ("cut", open(&good[..good.len() - 1]), "InvalidNote", "no newline"),
        ("empty", open(""), "InvalidProofText", "no empty line"),
        ("a megabyte too long", open(&"x".repeat(3 << 20)), "InvalidProofText", "longer than"),
    ]);
    let proof = tree(9).prove_at(4, 8).unwrap();
    table(vec![(
        "written for another size",
        tlog_proof::write(&proof, &signed(9)),
        "SizesOutOfRange",
        "sizes 8 and 9",
    )]);
}

#[test]
fn tiles_and_bundles() {
    let hashes = [sha256(b"x"); 5];
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
    let mut bundle = Vec::new();
    for entry in [b"one".as_slice(), b"three"] {
        push_entry(&mut bundle, entry).unwrap();
    }
    assert_eq!(hashes_of(&[0; 256 * 32]).unwrap().len(), 256);
    assert!(push_entry(&mut Vec::new(), &[0; 65_535]).is_ok());
    let last = LEAVES_MAX / 256;
    assert!(Tile::new(TileKind::Entries, last - 1, 256).is_ok());
    assert!(Tile::new(TileKind::Entries, last, 255).is_ok());
    table(vec![
        (
            "truncated tile",
            hashes_of(&bytes[..bytes.len() - 1]).map(drop),
            "InvalidTile",
            "1 to 256 whole hashes",
        ),
        ("no hash", hashes_of(&[]).map(drop), "InvalidTile", "1 to 256 whole hashes"),
        ("257 hashes", hashes_of(&[0; 257 * 32]).map(drop), "InvalidTile", "1 to 256 whole hashes"),
        ("tile too short", node_in(SHA, &hashes, 4..6).map(drop), "InvalidTile", "too short"),
        ("no node of three", node_in(SHA, &hashes, 0..3).map(drop), "InvalidTile", "too short"),
        (
            "cut in an entry",
            entries_of(&bundle[..bundle.len() - 1]).map(drop),
            "InvalidTile",
            "ends inside an entry",
        ),
        ("cut in a length", entries_of(&bundle[..6]).map(drop), "InvalidTile", "ends inside an entry"),
        ("65,536 bytes", push_entry(&mut bundle.clone(), &[0; 65_536]), "EntryTooLong", "at most 65535"),
        (
            "beyond the largest log",
            Tile::new(TileKind::Entries, last, 256).map(drop),
            "InvalidTile",
            "largest tree",
        ),
        (
            "index 2^64 - 1",
            Tile::new(TileKind::Hashes(0), u64::MAX, 1).map(drop),
            "InvalidTile",
            "largest tree",
        ),
        ("level 8", Tile::new(TileKind::Hashes(8), 0, 1).map(drop), "InvalidTile", "above 7"),
        ("no width", Tile::new(TileKind::Entries, 0, 0).map(drop), "InvalidTile", "1 to 256"),
        (
            "node past the end",
            Tile::of_node(NodeId { level: 0, index: 9 }, 9).map(drop),
            "IndexOutOfRange",
            "below",
        ),
        (
            "node of 2^63",
            Tile::of_node(NodeId { level: 0, index: 0 }, 1 << 63).map(drop),
            "IndexOutOfRange",
            "",
        ),
        ("path with dots", "tile/0/../000".parse::<Tile>().map(drop), "InvalidTile", "not a tile path"),
        ("path with NUL", "tile/0/000\0".parse::<Tile>().map(drop), "InvalidTile", "not a tile path"),
        ("path with CRLF", "tile/0/000\r\n".parse::<Tile>().map(drop), "InvalidTile", "not a tile path"),
        (
            "long path",
            format!("tile/0/{}000", "x000/".repeat(1 << 16)).parse::<Tile>().map(drop),
            "InvalidTile",
            "",
        ),
    ]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Any proof of any leaf verifies as text, and with any bit of it changed it does not.
    #[test]
    fn any_proof_text_opens_and_any_flipped_bit_of_it_does_not(size in 1_u64..200, at in any::<u64>(), bit in any::<u64>()) {
        let (tree, index) = (tree(size), at % size);
        let leaf = tree.leaf_hash(index).unwrap();
        let mut checkpoint = signed(size);
        checkpoint.push(witness(2).cosign(&checkpoint, 1_000).unwrap()).unwrap();
        let text = tlog_proof::write(&tree.prove(index).unwrap(), &checkpoint).unwrap();
        let keys = [witness(2).key().clone()];
        let holds = |text: &str| {
            tlog_proof::open(text, &leaf, log(1).verifier_key()).is_ok_and(|(proved, checkpoint)| {
                let found = cosignature::verify(checkpoint.note(), &keys, None);
                proved == index && found.is_ok_and(|found| found.counted.len() == 1)
            })
        };
        prop_assert!(holds(&text));
        let bit = (bit % (text.len() as u64 * 8)) as usize;
        let mut bytes = text.into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(String::from_utf8(bytes).map_or(true, |changed| !holds(&changed)), "bit {}", bit);
    }

    /// A tile or a bundle with any bit changed leads to another root.
    #[test]
    fn any_flipped_bit_of_a_tile_or_bundle_leads_to_another_root(size in 1_u64..=256, bit in any::<u64>()) {
        let tree = tree(size);
        let flipped = |bytes: &[u8]| {
            let bit = (bit % (bytes.len() as u64 * 8)) as usize;
            let mut bytes = bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        let tile: Vec<u8> = (0..size).flat_map(|i| *tree.leaf_hash(i).unwrap().as_bytes()).collect();
        let root_of = |tile: &[u8]| hashes_of(tile).map(|hashes| SHA.root_of(&hashes));
        prop_assert_eq!(root_of(&tile), Ok(tree.root()));
        prop_assert_ne!(root_of(&flipped(&tile)), Ok(tree.root()));

        let mut bundle = Vec::new();
        for i in 0..size {
            push_entry(&mut bundle, &i.to_be_bytes()).unwrap();
        }
        let root_of = |bundle: &[u8]| {
            let hashes: Vec<Hash> = entries_of(bundle)?.into_iter().map(|entry| SHA.leaf(entry)).collect();
            Ok::<Hash, CryptoError>(SHA.root_of(&hashes))
        };
        prop_assert_eq!(root_of(&bundle), Ok(tree.root()));
        prop_assert_ne!(root_of(&flipped(&bundle)), Ok(tree.root()));
    }
}
