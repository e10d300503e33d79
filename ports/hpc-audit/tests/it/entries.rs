use hpc_audit::{AuditError, Entry, EntryError, Outcome, Receipt, Search};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

fn entry() -> Entry {
    Entry::new(
        "req_1/planned",
        "2026-11-23T15:00:00.5Z".parse().unwrap(),
        "spiffe://hpc/alice",
        "request.planned",
        Outcome::Denied,
    )
    .subject("request", "req_1")
    .subject("plan", "pln_2")
    .with("price_nanousd", i64::MAX)
    .with("region", "eu \"1\"\n")
    .simulated(true)
}

const TEXT: &str = r#"{"action":"request.planned","at":"2026-11-23T15:00:00.5Z","data":{"price_nanousd":9223372036854775807,"region":"eu \"1\"\n"},"dev":false,"id":"req_1/planned","outcome":"denied","principal":"spiffe://hpc/alice","simulated":true,"subjects":{"plan":"pln_2","request":"req_1"},"v":1}"#;

#[test]
fn an_entry_has_one_form() {
    assert_eq!(String::from_utf8(entry().encode().unwrap()).unwrap(), TEXT);
    assert_eq!(Entry::decode(TEXT.as_bytes()), Ok(entry()));
}

#[test]
fn any_other_spelling_is_refused() {
    for (from, to) in [
        ("\"v\":1", "\"v\": 1"),
        (".5Z", ".50Z"),
        ("15:00:00.5Z", "16:00:00.5+01:00"),
        ("\\n", "\\u000a"),
        ("\"dev\":false,", "\"dev\":false,\"dev\":false,"),
        ("\"v\":1}", "\"v\":1}\n"),
        ("alice", "\\u0061lice"),
    ] {
        let changed = TEXT.replacen(from, to, 1);
        assert_ne!(changed, TEXT);
        assert!(Entry::decode(changed.as_bytes()).is_err(), "{from} -> {to}");
    }
    let swapped =
        TEXT.replacen(r#""dev":false,"id":"req_1/planned""#, r#""id":"req_1/planned","dev":false"#, 1);
    assert_eq!(Entry::decode(swapped.as_bytes()), Err(EntryError::NotCanonical));
    let newer = TEXT.replacen("\"v\":1", "\"v\":2", 1);
    assert!(matches!(Entry::decode(newer.as_bytes()), Err(EntryError::Field { field: "v", .. })));
    let unknown = TEXT.replacen("\"dev\"", "\"dew\"", 1);
    assert!(matches!(Entry::decode(unknown.as_bytes()), Err(EntryError::Malformed { .. })));
}

#[test]
fn every_field_has_its_rule() {
    let refused = |change: &dyn Fn(&mut Entry)| {
        let mut changed = entry();
        change(&mut changed);
        match changed.encode() {
            Err(EntryError::Field { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&|e| e.id.clear()), "id");
    assert_eq!(refused(&|e| e.id = "i".repeat(257)), "id");
    assert_eq!(refused(&|e| e.id = "a\nb".into()), "id");
    assert_eq!(refused(&|e| e.principal.clear()), "principal");
    assert_eq!(refused(&|e| e.principal = "p".repeat(2049)), "principal");
    assert_eq!(refused(&|e| e.action = "Lease".into()), "action");
    assert_eq!(refused(&|e| e.action = "a..b".into()), "action");
    assert_eq!(refused(&|e| e.action = "a".repeat(65)), "action");
    assert_eq!(refused(&|e| drop(e.subjects.insert("lease".into(), String::new()))), "subjects");
    assert_eq!(
        refused(&|e| e.subjects = (0..17).map(|i| (format!("k{i}"), "x".into())).collect()),
        "subjects"
    );
    assert_eq!(refused(&|e| e.data = (0..65).map(|i| (format!("k{i}"), Value::from(1))).collect()), "data");
    for value in [json!(1.5), json!(true), json!(null), json!([1]), json!({"a": 1}), json!(1e300)] {
        assert_eq!(refused(&|e| drop(e.data.insert("x".into(), value.clone()))), "data", "{value}");
    }
    let long = entry().with("x", "y".repeat(65_535));
    assert!(matches!(long.encode(), Err(EntryError::TooLong { .. })));
    assert_eq!(Entry::decode(&[b' '; 65_536]), Err(EntryError::TooLong { got: 65_536 }));
}

#[test]
fn words_return() {
    for outcome in [Outcome::Ok, Outcome::Denied, Outcome::Failed, Outcome::Unknown] {
        assert_eq!(outcome.as_str().parse(), Ok(outcome));
        assert_eq!(serde_json::to_value(outcome).unwrap(), json!(outcome.as_str()));
    }
    let receipt = Receipt {
        log: "log".into(),
        id: "x".into(),
        index: 3,
        leaf_hash: Entry::leaf_hash(b"x"),
        size_at_least: 4,
        repeated: false,
    };
    let text = serde_json::to_string(&receipt).unwrap();
    assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), receipt);
}

#[test]
fn a_search_matches_on_every_condition() {
    let at: Timestamp = "2026-11-23T15:00:00.5Z".parse().unwrap();
    let all = Search::default();
    let yes = |search: Search| assert!(search.matches(&entry()), "{search:?}");
    let no = |search: Search| assert!(!search.matches(&entry()), "{search:?}");
    yes(all.clone());
    yes(Search { principal: Some("spiffe://hpc/alice".into()), ..all.clone() });
    no(Search { principal: Some("alice".into()), ..all.clone() });
    yes(Search { action: Some("request.planned".into()), ..all.clone() });
    yes(Search { action: Some("request.*".into()), ..all.clone() });
    no(Search { action: Some("request".into()), ..all.clone() });
    no(Search { action: Some("req*".into()), ..all.clone() });
    yes(Search { subject: Some("pln_2".into()), ..all.clone() });
    no(Search { subject: Some("plan".into()), ..all.clone() });
    yes(Search { outcome: Some(Outcome::Denied), ..all.clone() });
    no(Search { outcome: Some(Outcome::Ok), ..all.clone() });
    yes(Search { from: Some(at), ..all.clone() });
    no(Search { until: Some(at), ..all.clone() });
    no(Search { from: Some(at), outcome: Some(Outcome::Ok), ..all.clone() });
    assert_eq!(Search { after: Some(u64::MAX), ..all.clone() }.range(7), Ok(7..7));
    assert_eq!(Search { after: Some(2), ..all.clone() }.range(7), Ok(3..7));
    assert_eq!(all.range(1 << 62), Ok(0..1 << 62));
    assert!(matches!(Search { limit: 0, ..all.clone() }.range(7), Err(AuditError::OutOfRange { .. })));
    assert!(Search { limit: 1001, ..all }.range(7).is_err());
}

proptest! {
    #[test]
    fn every_entry_returns_from_its_form(
        id in "[^\\p{Cc}]{1,40}",
        principal in "[^\\p{Cc}]{1,40}",
        text in ".{0,60}",
        number in any::<i64>(),
        seconds in -60_000_000_000i64..250_000_000_000,
    ) {
        let at = Timestamp::from_second(seconds).unwrap();
        let entry = Entry::new(id, at, principal, "x.y", Outcome::Ok).with("text", text).with("number", number);
        prop_assert_eq!(Entry::decode(&entry.encode().unwrap()), Ok(entry));
    }

    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..280, byte in any::<u8>()) {
        let _ = Entry::decode(&bytes);
        let mut near = TEXT.as_bytes().to_vec();
        let at = at % near.len();
        near[at] = byte;
        if let Ok(entry) = Entry::decode(&near) {
            prop_assert_eq!(entry.encode().unwrap(), near);
        }
    }
}
