//! SPIFFE-ID standard, section 2: one case per rule.

use hpc_identity::{SpiffeId, SpiffeIdError, TrustDomain};
use proptest::prelude::*;

fn refuse(text: &str, why: SpiffeIdError) {
    assert_eq!(SpiffeId::parse(text), Err(why), "{text:?}");
}

#[test]
fn accepts_what_the_standard_allows() {
    for (text, domain, path) in [
        ("spiffe://hpc.internal", "hpc.internal", ""),
        ("spiffe://hpc.internal/a", "hpc.internal", "/a"),
        ("spiffe://a_b-c.9/A/b.c/D-_/...", "a_b-c.9", "/A/b.c/D-_/..."),
        ("spiffe://1.2.3.4/x", "1.2.3.4", "/x"),
        ("SPIFFE://hpc.internal/x", "hpc.internal", "/x"),
    ] {
        let id = SpiffeId::parse(text).unwrap();
        assert_eq!((id.trust_domain().as_str(), id.path()), (domain, path), "{text}");
        assert_eq!(id.to_string(), format!("spiffe://{domain}{path}"));
    }
}

#[test]
fn the_scheme_is_spiffe() {
    for text in [
        "",
        "spiffe",
        "spiffe:/",
        "spiffe:",
        "http://hpc.internal/a",
        "hpc.internal/a",
        " spiffe://a/b",
        "spiffé://a",
    ] {
        refuse(text, SpiffeIdError::Scheme);
    }
}

#[test]
fn the_trust_domain_is_not_empty() {
    refuse("spiffe://", SpiffeIdError::EmptyTrustDomain);
    refuse("spiffe:///path", SpiffeIdError::EmptyTrustDomain);
}

#[test]
fn the_trust_domain_has_only_its_characters() {
    for (text, character) in [
        ("spiffe://Hpc.internal/a", 'H'),
        ("spiffe://hpc.internal:443/a", ':'),
        ("spiffe://user@hpc.internal/a", '@'),
        ("spiffe://hpc%2einternal/a", '%'),
        ("spiffe://hpc.internal?q=1", '?'),
        ("spiffe://hpc.internal#f", '#'),
        ("spiffe://[::1]/a", '['),
        ("spiffe://hpç/a", 'ç'),
        ("spiffe://hpc\0/a", '\0'),
    ] {
        refuse(text, SpiffeIdError::TrustDomainCharacter { character });
    }
}

#[test]
fn the_path_has_only_its_characters() {
    for (text, character) in [
        ("spiffe://d/a?q", '?'),
        ("spiffe://d/a#f", '#'),
        ("spiffe://d/%2e%2e/a", '%'),
        ("spiffe://d/a b", ' '),
        ("spiffe://d/a\\b", '\\'),
        ("spiffe://d/é", 'é'),
        ("spiffe://d/a\n", '\n'),
        ("spiffe://d/a:b", ':'),
    ] {
        refuse(text, SpiffeIdError::PathCharacter { character });
    }
}

#[test]
fn no_segment_is_empty_or_dotted_and_the_path_has_no_trailing_slash() {
    refuse("spiffe://d/", SpiffeIdError::TrailingSlash);
    refuse("spiffe://d/a/", SpiffeIdError::TrailingSlash);
    refuse("spiffe://d//a", SpiffeIdError::EmptySegment);
    refuse("spiffe://d/a//b", SpiffeIdError::EmptySegment);
    refuse("spiffe://d/./a", SpiffeIdError::DotSegment);
    refuse("spiffe://d/a/..", SpiffeIdError::DotSegment);
}

#[test]
fn lengths_are_capped_at_exactly_the_limits() {
    let id = format!("spiffe://d/{}", "a".repeat(2048 - 11));
    assert_eq!(SpiffeId::parse(&id).unwrap().as_str().len(), 2048);
    refuse(&format!("{id}a"), SpiffeIdError::TooLong { bytes: 2049 });
    assert!(TrustDomain::parse(&"d".repeat(255)).is_ok());
    assert_eq!(TrustDomain::parse(&"d".repeat(256)), Err(SpiffeIdError::TrustDomainTooLong { bytes: 256 }));
    let domain = TrustDomain::parse("d").unwrap();
    assert_eq!(SpiffeId::new(&domain, ["a".repeat(2037)]).unwrap().as_str().len(), 2048);
    assert_eq!(SpiffeId::new(&domain, ["a".repeat(2038)]), Err(SpiffeIdError::TooLong { bytes: 2049 }));
}

#[test]
fn new_cannot_be_talked_into_another_path() {
    let domain = TrustDomain::parse("d").unwrap();
    assert_eq!(SpiffeId::new(&domain, ["a/b"]), Err(SpiffeIdError::PathCharacter { character: '/' }));
    assert_eq!(SpiffeId::new(&domain, [".."]), Err(SpiffeIdError::DotSegment));
    assert_eq!(SpiffeId::new(&domain, [""]), Err(SpiffeIdError::EmptySegment));
    assert_eq!(SpiffeId::new(&domain, Vec::<&str>::new()).unwrap(), domain.id());
}

#[test]
fn segments_and_order() {
    let id = SpiffeId::parse("spiffe://d/service/broker").unwrap();
    assert_eq!(id.segments().collect::<Vec<_>>(), ["service", "broker"]);
    assert_eq!(id.trust_domain().id().segments().count(), 0);
    assert!(SpiffeId::parse("spiffe://d/a").unwrap() < SpiffeId::parse("spiffe://d/b").unwrap());
}

#[test]
fn serde_speaks_strings_and_parses() {
    let id = SpiffeId::parse("spiffe://d/a").unwrap();
    assert_eq!(serde_json::to_string(&id).unwrap(), "\"spiffe://d/a\"");
    assert_eq!(serde_json::from_str::<SpiffeId>("\"spiffe://d/a\"").unwrap(), id);
    assert!(serde_json::from_str::<SpiffeId>("\"spiffe://d/../a\"").is_err());
    assert!(serde_json::from_str::<TrustDomain>("\"D\"").is_err());
}

proptest! {
    #[test]
    fn never_panics_and_what_parses_prints_back(text in "(spiffe://)?[a-zA-Z0-9._/%:-]{0,40}|\\PC{0,60}") {
        if let Ok(id) = SpiffeId::parse(&text) {
            prop_assert_eq!(SpiffeId::parse(id.as_str()).unwrap(), id.clone());
            prop_assert_eq!(SpiffeId::new(id.trust_domain(), id.segments()).unwrap(), id);
        }
    }
}
