//! Signed bundles: all or nothing, and no changed byte goes unseen.

use hpc_crypto::CryptoError;
use hpc_crypto::note::{NoteSigner, VerifierKey};
use hpc_crypto::signing::KeyPair;
use hpc_policy::limits::{BUNDLE_BYTES_MAX, BUNDLE_DOCUMENTS_MAX, BUNDLE_NAME_BYTES_MAX, DOCUMENT_BYTES_MAX};
use hpc_policy::{Accepted, BundleError, BundleInfo, PolicySet, create_bundle, verify_bundle};
use proptest::prelude::*;

use crate::policy;

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new("policies.example.org", KeyPair::from_seed([seed; 32])).unwrap()
}

fn key(seed: u8) -> VerifierKey {
    signer(seed).verifier_key().clone()
}

fn info(sequence: u64) -> BundleInfo {
    BundleInfo { name: "production".to_owned(), sequence, created: "2026-11-25T21:00:00Z".parse().unwrap() }
}

fn named(name: &str) -> String {
    policy("allow", &["{attribute: context.note, op: eq, value: \"größer\"}"])
        .replace("name: p}", &format!("name: {name}}}"))
}

fn documents() -> Vec<(String, String)> {
    vec![
        ("b.yaml".to_owned(), named("b")),
        ("a.yaml".to_owned(), named("a") + "\n\n# an end without newline"),
    ]
}

fn bundle() -> String {
    create_bundle(documents(), &info(7), &signer(1)).unwrap()
}

fn refused(bytes: impl AsRef<[u8]>) -> BundleError {
    verify_bundle(bytes.as_ref(), &[key(1)]).unwrap_err()
}

#[test]
fn what_was_signed_is_what_is_read() {
    let verified = verify_bundle(bundle().as_bytes(), &[key(2), key(1)]).unwrap();
    assert_eq!((verified.info, verified.signer), (info(7), key(1)));
    let mut sorted = documents();
    sorted.sort();
    assert_eq!(verified.documents, sorted);
    assert_eq!(verified.set.digest(), PolicySet::parse_documents(documents()).unwrap().digest());
    let mut other_order = documents();
    other_order.reverse();
    assert_eq!(create_bundle(other_order, &info(7), &signer(1)).unwrap(), bundle());
}

#[test]
fn the_file_is_as_documented() {
    let text = create_bundle([("p.yaml", policy("deny", &[]))], &info(7), &signer(1)).unwrap();
    let set = PolicySet::parse_documents([("p.yaml", policy("deny", &[]))]).unwrap();
    let length = policy("deny", &[]).len();
    let head = format!(
        "hpc.policy.bundle/v1\nname production\nsequence 7\ncreated 2026-11-25T21:00:00Z\ndigest {}\n\
         document {length} p.yaml\n\n— policies.example.org ",
        set.digest()
    );
    assert!(text.starts_with(&head), "{text}");
    assert!(text.ends_with(&format!("\n\n{}", policy("deny", &[]))), "{text}");
}

#[test]
fn an_untrusted_key_and_no_key_are_refused() {
    let text = bundle();
    for trusted in [vec![], vec![key(2)]] {
        let error = verify_bundle(text.as_bytes(), &trusted).unwrap_err();
        assert_eq!(error, BundleError::Signature(CryptoError::NoTrustedSignature));
    }
    // The right name and id with another's signature.
    let other = create_bundle(documents(), &info(7), &signer(2)).unwrap();
    let line = |text: &str| text.lines().find(|line| line.starts_with('—')).unwrap().to_owned();
    let forged = text.replace(&line(&text), &line(&other));
    assert_eq!(refused(forged), BundleError::Signature(CryptoError::NoTrustedSignature));
    let twice = text.replace(&line(&text), &format!("{}\n{}", line(&text), line(&text)));
    assert!(matches!(refused(twice), BundleError::Malformed { .. }));
    let extra = text.replace(&line(&text), &format!("{}\n{}", line(&text), line(&other)));
    assert!(matches!(refused(extra), BundleError::Malformed { .. }));
}

#[test]
fn each_kind_of_damage_has_its_error() {
    let text = bundle();
    assert!(matches!(refused(""), BundleError::Malformed { .. }));
    assert!(matches!(refused([0xff, 0xfe]), BundleError::Malformed { .. }));
    assert_eq!(refused(text.replacen("/v1", "/v2", 1)), BundleError::UnknownFormat);
    let later = text.replacen("sequence 7", "sequence 8", 1);
    assert!(matches!(refused(later), BundleError::Signature(CryptoError::BadSignature { .. })));
    let other = text.replacen("größer", "grösser", 1);
    assert!(matches!(refused(other), BundleError::DigestMismatch { .. }), "a document that was changed");
    let longer = format!("{text}x");
    assert!(refused(longer).to_string().contains("follows its last document"));
    let shorter = &text[..text.len() - 1];
    assert!(refused(shorter).to_string().contains("ends within the document `b.yaml`"));
    let error = create_bundle([("a.yaml", "kind: [")], &info(1), &signer(1)).unwrap_err();
    assert!(matches!(&error, BundleError::Policies(mistakes) if mistakes.len() == 1), "{error}");
    let none: [(&str, &str); 0] = [];
    assert!(matches!(create_bundle(none, &info(1), &signer(1)), Err(BundleError::Policies(_))));
}

#[test]
fn a_head_that_is_signed_and_malformed_is_refused() {
    let set = PolicySet::parse_documents([("p.yaml", policy("allow", &[]))]).unwrap();
    let body = policy("allow", &[]);
    let head = |name: &str, sequence: &str, created: &str, documents: &str| {
        format!(
            "hpc.policy.bundle/v1\nname {name}\nsequence {sequence}\ncreated {created}\ndigest {}\n{documents}\n",
            set.digest()
        )
    };
    let good = format!("document {} p.yaml", body.len());
    let created = "2026-11-25T21:00:00Z";
    let check = |head: String, body: &str| {
        verify_bundle(format!("{}\n{body}", signer(1).sign(&head).unwrap()).as_bytes(), &[key(1)])
    };
    assert!(check(head("p", "1", created, &good), &body).is_ok());
    for (bad, why) in [
        (head("p", "+1", created, &good), "as they are written"),
        (head("p", "01", created, &good), "as they are written"),
        (head("p", "-1", created, &good), "not a number"),
        (head("p", "18446744073709551616", created, &good), "not a number"),
        (head("p", "1", "2026-11-25T22:00:00+01:00", &good), "as they are written"),
        (head("p", "1", "yesterday", &good), "not a time"),
        (head("ä", "1", created, &good), "the bundle's name"),
        (head("p", "1", created, "document x p.yaml"), "length is not a number"),
        (head("p", "1", created, "file 1 p.yaml"), "`document BYTES NAME`"),
        (head("p", "1", created, &format!("{good}\n{good}")), "order of their names"),
        (head("p", "1", created, &format!("document {} p.yaml", usize::MAX)), "bytes in a document"),
        (head("p", "1", created, "document 3 p.yaml"), "follows its last document"),
        (head("p", "1", created, &good).replace("sequence 1\n", ""), "`sequence ...`"),
    ] {
        let error = check(bad.clone(), &body).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
    // A length that cuts a character in two.
    let umlaut = check(head("p", "1", created, "document 1 p.yaml"), "ä").unwrap_err();
    assert!(umlaut.to_string().contains("ends within"), "{umlaut}");
}

#[test]
fn an_older_bundle_does_not_follow() {
    let of = |sequence: u64, name: &str| {
        let info = BundleInfo { name: name.to_owned(), ..info(sequence) };
        verify_bundle(create_bundle(documents(), &info, &signer(1)).unwrap().as_bytes(), &[key(1)]).unwrap()
    };
    let last = of(7, "production").accepted();
    assert_eq!(of(8, "production").follows(&last), Ok(()));
    assert_eq!(of(7, "production").follows(&last), Ok(()), "the very same");
    assert_eq!(of(6, "production").follows(&last), Err(BundleError::Rollback { got: 6, last: 7 }));
    let changed = Accepted { digest: "0".repeat(64), ..last.clone() };
    assert_eq!(of(7, "production").follows(&changed), Err(BundleError::Rollback { got: 7, last: 7 }));
    let other = of(9, "staging").follows(&last).unwrap_err();
    assert_eq!(other, BundleError::OtherName { got: "staging".to_owned(), want: "production".to_owned() });
}

#[test]
fn limits_hold_at_their_edge() {
    let one = |name: &str| named(name);
    let many = |count: usize| {
        (0..count).map(|number| (format!("p{number}.yaml"), one(&format!("p{number}")))).collect::<Vec<_>>()
    };
    let largest = create_bundle(many(BUNDLE_DOCUMENTS_MAX), &info(1), &signer(1)).unwrap();
    assert_eq!(verify_bundle(largest.as_bytes(), &[key(1)]).unwrap().documents.len(), BUNDLE_DOCUMENTS_MAX);
    let error = create_bundle(many(BUNDLE_DOCUMENTS_MAX + 1), &info(1), &signer(1)).unwrap_err();
    assert_eq!(
        error,
        BundleError::TooMuch { what: "documents", got: BUNDLE_DOCUMENTS_MAX + 1, max: BUNDLE_DOCUMENTS_MAX }
    );
    let name = |length: usize| {
        let name = format!("{}.yaml", "n".repeat(length - 5));
        create_bundle([(name, one("p"))], &info(1), &signer(1))
    };
    assert!(name(BUNDLE_NAME_BYTES_MAX).is_ok());
    assert!(name(BUNDLE_NAME_BYTES_MAX + 1).unwrap_err().to_string().contains("longer than 255"));
    let padded = |bytes: usize| {
        let text = policy("allow", &[]);
        format!("{text}#{}", "x".repeat(bytes - text.len() - 1))
    };
    let full = create_bundle([("p.yaml", padded(DOCUMENT_BYTES_MAX))], &info(1), &signer(1)).unwrap();
    assert!(verify_bundle(full.as_bytes(), &[key(1)]).is_ok());
    assert!(create_bundle([("p.yaml", padded(DOCUMENT_BYTES_MAX + 1))], &info(1), &signer(1)).is_err());
    let huge = vec![b'x'; BUNDLE_BYTES_MAX + 1];
    assert!(matches!(refused(huge), BundleError::TooMuch { what: "bytes", .. }));
}

#[test]
fn every_cut_is_found() {
    let text = bundle();
    for end in 0..text.len() {
        assert!(verify_bundle(&text.as_bytes()[..end], &[key(1)]).is_err(), "cut at {end}");
    }
}

proptest! {
    #[test]
    fn a_changed_byte_anywhere_is_found(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let mut bytes = bundle().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(verify_bundle(&bytes, &[key(1)]).is_err(), "byte {at} ^ {change}");
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), keep in 0..300_usize) {
        let mut text = bundle().into_bytes();
        text.truncate(keep);
        text.extend(bytes);
        prop_assert!(verify_bundle(&text, &[key(1)]).is_err());
    }
}
