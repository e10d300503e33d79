//! Any bytes: a document, or an error with a place and a short message. Never a panic, and one reading at every entrance.
#![no_main]

use hpc_policy::{PolicyError, PolicySet, parse_cases, parse_policy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let alone = parse_policy(text);
    let set = PolicySet::parse_documents([("d", text)]);
    for error in [alone.as_ref().err(), parse_cases(text).as_ref().err()].into_iter().flatten() {
        check(error);
    }
    match (&alone, &set) {
        (Ok(policy), Ok(set)) => assert_eq!(policy.rules().count(), set.rule_count()),
        (Ok(_), Err(errors)) => panic!("a policy that is no set: {errors:?}"),
        (Err(_), Err(errors)) => errors.iter().for_each(check),
        (Err(_), Ok(set)) => assert_eq!(set.rule_count(), 0, "a set that is no policy has no rules"),
    }
});

fn check(error: &PolicyError) {
    if *error == PolicyError::NoDocuments {
        return; // groups or entities without a policy
    }
    let at = error.location().expect("an error in a document has a place");
    assert!(at.line >= 1 && at.column >= 1);
    let message = error.to_string();
    assert!(message.len() < 2_000, "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}
