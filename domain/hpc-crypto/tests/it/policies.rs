use std::collections::BTreeMap;

use hpc_crypto::CryptoError;
use hpc_crypto::cosignature::Clock;
use hpc_crypto::merkle::{MerkleTree, Profile};
use hpc_crypto::tlog_policy::TlogPolicy;
use hpc_crypto::{checkpoint::Checkpoint, tlog_proof};
use proptest::prelude::*;

use crate::cosignatures::{checkpoint_of, log, witness};

/// The example of c2sp.org/tlog-policy, with keys.
fn example() -> String {
    let key = |seed| witness(seed).key().to_string();
    format!(
        "log {}\n\nwitness X1 {}\nwitness X2 {}\nwitness X3 {}\ngroup X-witnesses 2 X1 X2 X3\n\n\
         witness Y1 {}\nwitness Y2 {}\nwitness Y3 {}\ngroup Y-witnesses any Y1 Y2 Y3\n\n\
         group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
        log(99).verifier_key(),
        key(1),
        key(2),
        key(3),
        key(4),
        key(5),
        key(6)
    )
}

/// What the quorum lacks when the witnesses of these seeds have cosigned.
fn missing(policy: &TlogPolicy, seeds: &[u8]) -> Option<String> {
    let mut checkpoint = checkpoint_of(&log(99), 5);
    for seed in seeds {
        checkpoint.push(witness(*seed).cosign(&checkpoint, 1_000).unwrap()).unwrap();
    }
    let verdict = policy.evaluate(checkpoint.to_string().as_bytes(), None).unwrap();
    assert_eq!(verdict.checkpoint(), &checkpoint);
    assert_eq!(verdict.log(), log(99).verifier_key());
    assert_eq!(verdict.holds(), verdict.missing().is_none());
    let missing = verdict.missing().map(str::to_owned);
    let required = verdict.require().err();
    assert_eq!(required, missing.clone().map(|missing| CryptoError::QuorumMissed { missing }));
    missing
}

#[test]
fn the_example_of_the_format_counts_two_levels_and_says_what_is_missing() {
    let policy = TlogPolicy::parse(example().as_bytes()).unwrap();
    assert_eq!(missing(&policy, &[1, 3, 5]), None);
    assert_eq!(missing(&policy, &[1, 2, 3, 4, 5, 6, 7]), None);
    let lacks = |seeds: &[u8]| missing(&policy, seeds).unwrap();
    assert_eq!(
        lacks(&[1, 5]),
        "group X-and-Y: 1 of 2, missing X-witnesses; group X-witnesses: 1 of 2, missing X2 or X3"
    );
    assert_eq!(
        lacks(&[1, 2]),
        "group X-and-Y: 1 of 2, missing Y-witnesses; group Y-witnesses: 0 of 1, missing Y1 or Y2 or Y3"
    );
    assert_eq!(
        lacks(&[]),
        "group X-and-Y: 0 of 2, missing X-witnesses and Y-witnesses; \
         group X-witnesses: 0 of 2, missing 2 of X1, X2, X3; group Y-witnesses: 0 of 1, missing Y1 or Y2 or Y3"
    );
}

#[test]
fn who_cosigned_and_when_is_told() {
    let policy = TlogPolicy::parse(example().as_bytes()).unwrap();
    let mut checkpoint = checkpoint_of(&log(99), 5);
    for (seed, time_s) in [(4, 900), (2, 1_000), (1, 2_000), (7, 10)] {
        checkpoint.push(witness(seed).cosign(&checkpoint, time_s).unwrap()).unwrap();
    }
    let note = checkpoint.to_string();
    let verdict = policy.evaluate(note.as_bytes(), None).unwrap();
    let names: Vec<(String, u64)> =
        verdict.witnessed().iter().map(|one| (one.name.to_string(), one.time_s)).collect();
    assert_eq!(names, [("X1".into(), 2_000), ("X2".into(), 1_000), ("Y1".into(), 900)]);
    assert!(verdict.holds() && verdict.ahead().is_empty());
    let clock = Some(Clock { now_s: 1_500, ahead_s_max: 60 });
    let verdict = policy.evaluate(note.as_bytes(), clock).unwrap();
    assert_eq!(verdict.ahead()[0].name.to_string(), "X1");
    assert!(verdict.missing().unwrap().ends_with(
        "missing X1 or X3; the cosignature of X1 is dated in the future (2000 s) and does not count"
    ));
}

#[test]
fn a_checkpoint_must_be_of_a_listed_log_and_no_trusted_signature_may_be_wrong() {
    let policy = TlogPolicy::parse(example().as_bytes()).unwrap();
    let evaluate = |note: &str| policy.evaluate(note.as_bytes(), None).map(drop);
    let checkpoint = checkpoint_of(&log(99), 5);
    let stranger = checkpoint_of(&log(98), 5).to_string();
    assert_eq!(evaluate(&stranger), Err(CryptoError::NoTrustedSignature));
    let other = checkpoint.to_string().replacen("/one\n", "/two\n", 1);
    assert_eq!(evaluate(&other), Err(CryptoError::UnknownLog { origin: "log.example/two".into() }));
    let mut spoilt = checkpoint.clone();
    spoilt.push(witness(4).cosign(&checkpoint_of(&log(99), 6), 1_000).unwrap()).unwrap();
    let bad = CryptoError::BadSignature { name: "witness.example/w4".into() };
    assert_eq!(evaluate(&spoilt.to_string()), Err(bad));
}

#[test]
fn a_log_known_from_elsewhere_completes_a_policy_of_witnesses() {
    let text = format!("witness w {}\nquorum w\n", witness(1).key());
    let policy = TlogPolicy::parse(text.as_bytes()).unwrap();
    let note = checkpoint_of(&log(99), 5).to_string();
    assert!(matches!(policy.evaluate(note.as_bytes(), None), Err(CryptoError::UnknownLog { .. })));
    let policy = policy.with_log(log(99).verifier_key().clone()).unwrap();
    assert_eq!(policy.clone().with_log(log(99).verifier_key().clone()), Ok(policy.clone()));
    let verdict = policy.evaluate(note.as_bytes(), None).unwrap();
    assert_eq!(verdict.missing(), Some("witness w has not cosigned"));
    let plain = TlogPolicy::of_log(log(99).verifier_key().clone());
    assert_eq!(plain.to_string(), format!("log {}\nquorum none\n", log(99).verifier_key()));
    assert!(plain.evaluate(note.as_bytes(), None).unwrap().holds());
    assert!(!plain.asks_for_witnesses() && policy.asks_for_witnesses());
}

#[test]
fn policies_that_are_none_are_refused_with_their_line() {
    let (log_key, one, two) =
        (log(99).verifier_key().to_string(), witness(1).key().to_string(), witness(2).key().to_string());
    let refused = |text: &str| match TlogPolicy::parse(text.as_bytes()) {
        Err(CryptoError::InvalidTlogPolicy { line, reason }) => (line, reason),
        other => panic!("{text:?}: {other:?}"),
    };
    let (a, b) = (format!("witness a {one}\n"), format!("witness b {two}\n"));
    let same_key = format!(
        "witness c {}\n",
        hpc_crypto::cosignature::CosignerKey::new("other", *witness(1).key().public_key()).unwrap()
    );
    for (text, line, words) in [
        (String::new(), 0, "no `quorum` line"),
        (a.clone(), 0, "no `quorum` line"),
        ("quorum none".into(), 1, "does not end in a newline"),
        ("quorum none\r\n".into(), 1, "control character"),
        ("# \0\nquorum none\n".into(), 1, "control character"),
        ("# \x7f\nquorum none\n".into(), 1, "control character"),
        ("quorum none\nquorum none\n".into(), 2, "second `quorum`"),
        ("quorum\n".into(), 1, "expected `quorum <name>`"),
        ("quorum a b\n".into(), 1, "expected `quorum <name>`"),
        (format!("quorum a\n{a}"), 1, "no witness or group `a`"),
        ("Quorum none\n".into(), 1, "`Quorum` is not one of"),
        ("log\n".into(), 1, "expected `log"),
        (format!("log {log_key} u v\n"), 1, "expected `log"),
        (format!("log {one}\n"), 1, "(0x01)"),
        (format!("log {log_key}\n \t\nlog {log_key}\n"), 3, "that of the log"),
        (format!("witness a {log_key}\n"), 1, "(0x04)"),
        ("witness a\n".into(), 1, "expected `witness"),
        ("witness none x\n".into(), 1, "`none` has a meaning"),
        (format!("{a}{a}"), 2, "name `a` is taken"),
        (format!("{a}{same_key}"), 2, "that of the witness `a`"),
        (format!("{a}group a all a\n"), 2, "name `a` is taken"),
        (format!("{a}group none all a\n"), 2, "`none` has a meaning"),
        (format!("{a}group g all\n"), 2, "expected `group"),
        (format!("{a}group g all g\n"), 2, "no witness or group `g`"),
        (format!("{a}group g all none\n"), 2, "`none` cannot be a member"),
        (format!("{a}group g all a a\n"), 2, "member of a group already"),
        (format!("{a}{b}group g all a\ngroup h all b a\n"), 4, "member of a group already"),
        (format!("{a}group g 0 a\n"), 2, "a number from 1 to 1"),
        (format!("{a}group g 2 a\n"), 2, "a number from 1 to 1"),
        (format!("{a}group g 01 a\n"), 2, "a number from 1 to 1"),
        (format!("{a}group g +1 a\n"), 2, "a number from 1 to 1"),
        (format!("{a}group g -1 a\n"), 2, "a number from 1 to 1"),
        (format!("{a}group g 18446744073709551617 a\n"), 2, "a number from 1 to 1"),
    ] {
        let (at, reason) = refused(&text);
        assert!(at == line && reason.contains(words), "{text:?}: line {at}: {reason}");
    }
}

#[test]
fn limits_hold_at_their_edge() {
    let fill = |logs: u8, witnesses: u8, groups: u8| {
        let mut text = String::new();
        for i in 0..logs {
            text += &format!("log {}\n", log(100 + i).verifier_key());
        }
        for i in 0..witnesses {
            text += &format!("witness w{i} {}\n", witness(i).key());
        }
        for i in 0..groups {
            let inner = if i > 0 { format!(" g{}", i - 1) } else { String::new() };
            text += &format!("group g{i} any w{i}{inner}\n");
        }
        text + "quorum none\n"
    };
    let parse = |text: &str| TlogPolicy::parse(text.as_bytes());
    let full = parse(&fill(32, 32, 32)).unwrap();
    assert_eq!((full.logs().len(), full.witnesses().len()), (32, 32));
    assert!(full.with_log(log(1).verifier_key().clone()).is_err());
    assert!(parse(&fill(33, 0, 0)).unwrap_err().to_string().contains("more than 32 logs"));
    assert!(parse(&fill(0, 33, 0)).unwrap_err().to_string().contains("more than 32 witnesses"));
    let one_more = fill(0, 32, 32).replace("quorum none\n", "group g32 all g31\nquorum none\n");
    assert!(parse(&one_more).unwrap_err().to_string().contains("more than 32 groups"));
    let named = |length: usize| format!("witness {} {}\nquorum none\n", "n".repeat(length), witness(1).key());
    assert!(parse(&named(255)).is_ok() && parse(&named(256)).is_err());
    let at = |length: usize| format!("log {} {}\nquorum none\n", log(1).verifier_key(), "u".repeat(length));
    assert!(parse(&at(2048)).is_ok() && parse(&at(2049)).is_err());
    let padded = |length: usize| format!("#{}\nquorum none\n", " ".repeat(length - 14));
    assert!(parse(&padded(1 << 20)).is_ok() && parse(&padded((1 << 20) + 1)).is_err());
    // Every witness of the largest quorum fits into one note.
    let all: Vec<u8> = (0..32).collect();
    let members: Vec<String> = all.iter().map(|i| format!("w{i}")).collect();
    let text =
        fill(0, 32, 0).replace("quorum none", &format!("group all all {}\nquorum all", members.join(" ")));
    let policy = parse(&text).unwrap().with_log(log(99).verifier_key().clone()).unwrap();
    assert_eq!(missing(&policy, &all), None);
    assert_eq!(missing(&policy, &all[..31]).unwrap(), "group all: 31 of 32, missing w31");
}

#[test]
fn names_are_octets_and_white_space_is_free() {
    let key = witness(1).key().to_string();
    let text = [
        b" \t# comment \xff\n\twitness  \xe2\x84\xaa\xff\t ".as_slice(),
        key.as_bytes(),
        b" http://\xfe \ngroup K all \xe2\x84\xaa\xff\nquorum K\t\n",
    ]
    .concat();
    let policy = TlogPolicy::parse(&text).unwrap();
    let witness = &policy.witnesses()[0];
    assert_eq!(witness.name.as_bytes(), b"\xe2\x84\xaa\xff");
    assert_eq!(
        (witness.name.as_str(), witness.name.to_string()),
        (None, "K\u{fffd}".replace('K', "\u{212a}"))
    );
    assert_eq!(witness.url.as_ref().unwrap().as_bytes(), b"http://\xfe");
    assert_eq!(TlogPolicy::parse(&policy.to_bytes()), Ok(policy.clone()));
    assert_ne!(policy.to_string().into_bytes(), policy.to_bytes());
    // A control character of two octets is a name here, and speaks to no terminal when shown.
    let text = format!("witness \u{9b}31m {key}\nquorum none\n");
    assert_eq!(TlogPolicy::parse(text.as_bytes()).unwrap().witnesses()[0].name.to_string(), "\u{fffd}31m");
    let trusted = log(99).verifier_key().to_string();
    for bad in [
        "quorum \u{9b}31m\n".to_owned(),
        format!("log \u{9b}31m{trusted}\n"),
        format!("witness w \u{9b}31m{key}\n"),
    ] {
        let error = TlogPolicy::parse(bad.as_bytes()).unwrap_err().to_string();
        assert!(!error.contains('\u{9b}') && error.contains("\u{fffd}31m"), "{error:?}");
    }
}

#[test]
fn a_proof_is_opened_with_a_quorum() {
    let tree = MerkleTree::from_leaves_with(Profile::Rfc6962Sha256, &[b"a", b"b", b"c"]);
    let checkpoint = Checkpoint {
        origin: "log.example/one".into(),
        size: tree.len(),
        root: tree.root(),
        extensions: vec![],
    };
    let mut signed = checkpoint.sign(&log(99)).unwrap();
    let policy = TlogPolicy::parse(example().as_bytes()).unwrap();
    let (proof, leaf) = (tree.prove(1).unwrap(), tree.leaf_hash(1).unwrap());
    let open = |text: &str| tlog_proof::open_with(text, &leaf, &policy, None);
    let bare = tlog_proof::write(&proof, &signed).unwrap();
    assert!(matches!(open(&bare), Err(CryptoError::QuorumMissed { .. })));
    for seed in [1, 2, 4] {
        signed.push(witness(seed).cosign(&signed, 1_000).unwrap()).unwrap();
    }
    let text = tlog_proof::write(&proof, &signed).unwrap();
    let (index, verdict) = open(&text).unwrap();
    assert_eq!((index, verdict.checkpoint(), verdict.witnessed().len()), (1, &signed, 3));
    let other = tlog_proof::open_with(&text, &tree.leaf_hash(0).unwrap(), &policy, None);
    assert_eq!(other, Err(CryptoError::RootMismatch));
    // One key alone opens it, too, and the cosignatures stay with it.
    assert_eq!(tlog_proof::open(&text, &leaf, log(99).verifier_key()), Ok((1, signed)));
}

#[test]
fn extra_data_of_a_proof_is_read_and_proves_nothing() {
    let tree = MerkleTree::from_leaves_with(Profile::Rfc6962Sha256, &[b"a", b"b"]);
    let checkpoint =
        Checkpoint { origin: "log.example/one".into(), size: 2, root: tree.root(), extensions: vec![] };
    let text = tlog_proof::write(&tree.prove(1).unwrap(), &checkpoint.sign(&log(99)).unwrap()).unwrap();
    let leaf = tree.leaf_hash(1).unwrap();
    let with = |extra: &str| text.replacen("\nindex", &format!("\n{extra}\nindex"), 1);
    let extra = with("extra aGk=");
    assert!(tlog_proof::open(&extra, &leaf, log(99).verifier_key()).is_ok());
    let parsed = tlog_proof::ProofText::parse(&extra).unwrap();
    assert_eq!(parsed.unauthenticated_extra(), Some(b"hi".as_slice()));
    assert_eq!((parsed.leaf_index(), parsed.to_string()), (1, extra));
    let long = |bytes| parsed.clone().with_extra(vec![7; bytes]);
    let longest = long(tlog_proof::EXTRA_BYTES_MAX).unwrap();
    assert_eq!(tlog_proof::ProofText::parse(&longest.to_string()).unwrap(), longest);
    assert!(long(tlog_proof::EXTRA_BYTES_MAX + 1).is_err());
    assert_eq!(tlog_proof::ProofText::parse(&text).unwrap().unauthenticated_extra(), None);
    for bad in
        ["extra", "extra !", "extra aGk", "extra  aGk=", "extra aGl=", "Extra aGk=", "extra aGk=\nextra aGk="]
    {
        assert!(tlog_proof::ProofText::parse(&with(bad)).is_err(), "{bad:?}");
    }
    let long = |bytes: usize| {
        use base64::Engine as _;
        with(&format!("extra {}", base64::engine::general_purpose::STANDARD.encode(vec![7; bytes])))
    };
    assert!(tlog_proof::ProofText::parse(&long(65_536)).is_ok());
    assert!(tlog_proof::ProofText::parse(&long(65_537)).is_err());
}

/// A policy as a tree that owns its parts, and the slow obvious way to count.
#[derive(Debug, Clone)]
enum Node {
    Witness(usize),
    Group(usize, Vec<Node>),
}

impl Node {
    fn holds(&self, signed: &[bool]) -> bool {
        match self {
            Self::Witness(at) => signed[*at],
            Self::Group(needed, members) => {
                members.iter().filter(|member| member.holds(signed)).count() >= *needed
            }
        }
    }

    /// Writes the lines of the groups, inner ones first, and returns the name.
    fn write(&self, text: &mut String, count: &mut usize) -> String {
        match self {
            Self::Witness(at) => format!("w{at}"),
            Self::Group(needed, members) => {
                let names: Vec<String> = members.iter().map(|member| member.write(text, count)).collect();
                *count += 1;
                *text += &format!("group g{count} {needed} {}\n", names.join(" "));
                format!("g{count}")
            }
        }
    }

    /// Gives each witness a place of its own.
    fn number(&mut self, next: &mut usize) {
        match self {
            Self::Witness(at) => {
                *at = *next;
                *next += 1;
            }
            Self::Group(_, members) => members.iter_mut().for_each(|member| member.number(next)),
        }
    }
}

fn node() -> impl Strategy<Value = (Node, usize)> {
    let leaf = Just(Node::Witness(0)).boxed();
    let tree = leaf.prop_recursive(3, 12, 4, |inner| {
        proptest::collection::vec(inner, 1..4)
            .prop_flat_map(|members| (1..=members.len(), Just(members)))
            .prop_map(|(needed, members)| Node::Group(needed, members))
    });
    tree.prop_map(|mut node| {
        let mut witnesses = 0;
        node.number(&mut witnesses);
        (node, witnesses)
    })
    .prop_filter("more witnesses than a policy has", |(_, witnesses)| *witnesses <= 12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_quorum_is_what_the_slow_way_counts((node, witnesses) in node(), chosen in any::<u16>()) {
        let mut text = String::new();
        for at in 0..witnesses {
            text += &format!("witness w{at} {}\n", witness(at as u8).key());
        }
        let quorum = node.write(&mut text, &mut 0);
        text += &format!("quorum {quorum}\nlog {}\n", log(99).verifier_key());
        let policy = TlogPolicy::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&TlogPolicy::parse(policy.to_string().as_bytes()).unwrap(), &policy);
        let signed: Vec<bool> = (0..witnesses).map(|at| chosen >> at & 1 == 1).collect();
        let seeds: Vec<u8> = (0..witnesses).filter(|at| signed[*at]).map(|at| at as u8).collect();
        let lacks = missing(&policy, &seeds);
        prop_assert_eq!(lacks.is_none(), node.holds(&signed));
        // Whoever is named as missing has not cosigned, and all who are missing together are enough.
        let Some(lacks) = lacks else { return Ok(()) };
        let named: BTreeMap<usize, ()> = lacks
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter_map(|word| word.strip_prefix('w')?.parse().ok())
            .map(|at| (at, ()))
            .collect();
        prop_assert!(named.keys().all(|at| !signed[*at]), "{}", lacks);
        let all: Vec<bool> = (0..witnesses).map(|at| signed[at] || named.contains_key(&at)).collect();
        prop_assert!(node.holds(&all), "{}", lacks);
    }

    #[test]
    fn reading_policies_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(policy) = TlogPolicy::parse(&bytes) {
            prop_assert_eq!(TlogPolicy::parse(&policy.to_bytes()), Ok(policy));
        }
    }
}
