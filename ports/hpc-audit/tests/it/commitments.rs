use std::collections::BTreeSet;

use hpc_audit::{COMMITMENT_PREFIX, Commitment, Entry, Opening, Outcome, SALT_BYTES};
use hpc_crypto::hashing::sha256;
use proptest::prelude::*;

#[test]
fn the_form_is_the_published_one() {
    let (field, value, salt) = ("note", "agreed", [7; SALT_BYTES]);
    // Written out here once more, as a stranger would from the README.
    let mut bytes = b"hpc-audit commitment v1\n".to_vec();
    bytes.extend(salt);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 4]);
    bytes.extend(b"note");
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 6]);
    bytes.extend(b"agreed");
    let text = format!("{COMMITMENT_PREFIX}{}", sha256(&bytes).to_base64());
    let commitment = Commitment::new(field, value, &salt);
    assert_eq!(commitment.to_string(), text);
    assert_eq!(text.parse(), Ok(commitment));
    assert_eq!(Opening::new(salt, value).commitment(field), commitment);
}

#[test]
fn every_part_matters_and_none_runs_into_the_next() {
    let mut seen = BTreeSet::new();
    for (field, value) in [("a", "bc"), ("ab", "c"), ("abc", ""), ("", "abc"), ("a", "b\0c"), ("a", "bc\n")] {
        for salt in [[0; SALT_BYTES], [1; SALT_BYTES]] {
            assert!(seen.insert(Commitment::new(field, value, &salt).to_string()), "{field} {value}");
        }
    }
}

#[test]
fn other_spellings_are_no_commitments() {
    let text = Commitment::new("a", "b", &[0; SALT_BYTES]).to_string();
    for wrong in [
        String::new(),
        COMMITMENT_PREFIX.to_owned(),
        text.to_uppercase(),
        text.replace("v1", "v2"),
        format!("{text} "),
        text.trim_end_matches('=').to_owned(),
        text[..text.len() - 4].to_owned(),
    ] {
        assert!(wrong.parse::<Commitment>().is_err(), "{wrong}");
    }
}

#[test]
fn an_opening_shows_nothing_of_itself_and_survives_being_kept() {
    let opening = Opening::new([5; SALT_BYTES], "canary-4711");
    assert_eq!(format!("{opening:?} {opening:#?}"), "Opening(..) Opening(..)");
    let kept = serde_json::to_string(&opening).unwrap();
    assert_eq!(serde_json::from_str::<Opening>(&kept).unwrap(), opening);
    for wrong in ["{}", "{\"salt\":\"canary\",\"value\":\"x\"}", "{\"salt\":\"\",\"value\":\"x\",\"more\":1}"]
    {
        let error = serde_json::from_str::<Opening>(wrong).unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn an_entry_holds_a_commitment_and_not_the_value() {
    let opening = Opening::new([9; SALT_BYTES], "canary-4711");
    let entry =
        Entry::new("id", "2026-11-23T15:00:00Z".parse().unwrap(), "alice", "request.approved", Outcome::Ok)
            .with("note", opening.commitment("note").to_string());
    let bytes = entry.encode().unwrap();
    assert!(!String::from_utf8(bytes.clone()).unwrap().contains("canary"));
    let found = Entry::decode(&bytes).unwrap();
    let commitment: Commitment = found.data["note"].as_str().unwrap().parse().unwrap();
    assert!(commitment.opens("note", opening.value(), opening.salt()));
}

proptest! {
    #[test]
    fn only_what_was_committed_to_opens(
        field in "[a-z.]{1,16}", value in ".{0,64}", other in ".{0,64}", salt: [u8; SALT_BYTES], flip in 0..SALT_BYTES * 8
    ) {
        let commitment = Commitment::new(&field, &value, &salt);
        prop_assert!(commitment.opens(&field, &value, &salt));
        prop_assert_eq!(commitment.opens(&field, &other, &salt), value == other);
        let mut wrong = salt;
        wrong[flip / 8] ^= 1 << (flip % 8);
        prop_assert!(!commitment.opens(&field, &value, &wrong));
    }
}
