//! Questions written down: one form, round trip, nothing secret, nothing unchecked.

use hpc_policy::limits::{
    ATTRIBUTES_MAX, MEMBERSHIPS_MAX, RECORDED_REASON_BYTES_MAX, RECORDED_REASONS_MAX, VALUE_BYTES_MAX,
    VALUE_ITEMS_MAX,
};
use hpc_policy::{
    EvaluationContext, PolicySet, Principal, PrincipalKind, QuestionRecord, RecordedDecision, Resource, Value,
};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::asked;

const WHOLE: &str = r#"{"format":"hpc.policy.question/v1","principal":{"type":"agent","id":"bot","roles":["a","b"],"teams":["t"],"spiffe_id":"spiffe://x.org/bot","attributes":{"level":3}},"resource":{"type":"gpu","id":"gpu/h100","attributes":{"labels":["x","y"],"own":true}},"action":"use","action_attributes":{"soft":false},"context":{"empty":[],"hosts":[{"ip":"10.0.0.1"},{"ip":"::1"}],"since":{"timestamp":"2026-11-02T10:00:00.5Z"},"word":"no"},"now":"2026-11-02T10:00:00Z","secret":["context.token","principal.pin"]}"#;

fn read(text: &str) -> Result<QuestionRecord, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn whole() -> EvaluationContext {
    let principal = Principal::agent("bot")
        .with_role("a")
        .with_role("b")
        .with_team("t")
        .with_spiffe_id("spiffe://x.org/bot")
        .with_attribute("level", 3)
        .with_secret_attribute("pin", 1234);
    let resource =
        Resource::new("gpu", "gpu/h100").with_attribute("labels", vec!["x", "y"]).with_attribute("own", true);
    let hosts = Value::List(vec![Value::Ip("10.0.0.1".parse().unwrap()), Value::Ip("::1".parse().unwrap())]);
    EvaluationContext::new(principal, resource, "use")
        .with_action_attribute("soft", false)
        .with_attribute("since", "2026-11-02T10:00:00.5Z".parse::<Timestamp>().unwrap())
        .with_attribute("hosts", hosts)
        .with_attribute("empty", Value::List(Vec::new()))
        .with_attribute("word", "no")
        .with_secret_attribute("token", "s3cret-value")
        .with_now("2026-11-02T10:00:00Z".parse().unwrap())
}

#[test]
fn every_part_has_one_form_and_secrets_have_only_a_name() {
    let record = QuestionRecord::of(&whole()).unwrap();
    assert!(!record.is_complete());
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(text, WHOLE);
    assert!(!text.contains("s3cret-value") && !text.contains("1234"));
    let again = read(&text).unwrap();
    assert_eq!(again, record);
    assert_eq!(again.secrets(), ["context.token", "principal.pin"]);
    assert_eq!(again.context().now(), whole().now());
    assert!(!format!("{record:?}").contains("s3cret-value"));
}

#[test]
fn a_small_question_leaves_out_what_is_empty() {
    let record = QuestionRecord::of(&asked()).unwrap();
    assert!(record.is_complete());
    assert_eq!(
        serde_json::to_string(&record).unwrap(),
        r#"{"format":"hpc.policy.question/v1","principal":{"type":"user","id":"alice"},"resource":{"type":"thing","id":"things/a"},"action":"use"}"#
    );
    assert_eq!(record.context(), &asked());
}

#[test]
fn what_is_not_the_form_is_refused() {
    for (from, to, why) in [
        ("question/v1", "question/v2", "not in the format"),
        (r#""action":"use","#, r#""action":"use","priority":1,"#, "unknown field `priority`"),
        (r#""action":"use","#, "", "missing field `action`"),
        (r#""action":"use","#, r#""action":"use","action":"own","#, "duplicate field"),
        (r#""level":3"#, r#""level":3,"level":4"#, "given twice"),
        (r#""level":3"#, r#""principal.level":3"#, "begins with `principal.`"),
        (r#""level":3"#, r#""level":3.5"#, "floating point"),
        (r#""level":3"#, r#""level":1e3"#, "floating point"),
        (r#""level":3"#, r#""level":null"#, "null"),
        (r#""level":3"#, r#""level":9223372036854775808"#, "beyond 64 bits"),
        (r#""level":3"#, r#""level":{}"#, "empty object"),
        (r#""level":3"#, r#""level":{"opaque":"3"}"#, "`timestamp`, `ip` or `opaque`"),
        (r#""level":3"#, r#""level":{"money":"3"}"#, "`timestamp`, `ip` or `opaque`"),
        (r#""level":3"#, r#""level":{"ip":"10.0.0.1","timestamp":"x"}"#, "one key"),
        (r#""level":3"#, r#""level":{"ip":"10.0.0.01"}"#, "not an address"),
        (r#""level":3"#, r#""level":{"ip":"0:0::1"}"#, "shortest form"),
        (r#""level":3"#, r#""level":[["x"]]"#, "list of lists"),
        (r#""level":3"#, r#""level":["x",3]"#, "mixes types"),
        (r#""level":3"#, r#""id":"root""#, "is built in"),
        (r#""level":3"#, r#""a b":3"#, "principal.a b"),
        ("10:00:00.5Z", "10:00:00.50Z", "shortest form"),
        ("10:00:00.5Z", "12:00:00.5+02:00", "shortest form"),
        ("10:00:00.5Z", "25:00:00Z", "not like"),
        ("gpu/h100", "gpu/../h100", "resource.id"),
        (r#""bot""#, r#""b%74""#, "principal.id"),
        (r#""agent""#, r#""robot""#, "unknown variant"),
        ("spiffe://x.org/bot", "https://x.org/bot", "spiffe_id"),
        (r#""context.token","#, r#""context.word","#, "has a value beside"),
        (r#""context.token","#, r#""cloud.token","#, "not below"),
        (r#""context.token","#, r#""atoken","#, "no root"),
        (r#""context.token","principal.pin""#, r#""principal.pin","context.token""#, "do not rise"),
        (r#""context.token","principal.pin""#, r#""context.token","context.token""#, "do not rise"),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let error = read(&text).unwrap_err();
        assert!(error.contains(why), "{to}: {error}");
    }
    for end in 0..WHOLE.len() {
        assert!(read(&WHOLE[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn limits_hold_when_reading() {
    let question = |principal: &str, context: &str| {
        format!(
            r#"{{"format":"hpc.policy.question/v1","principal":{{"type":"user","id":"alice"{principal}}},"resource":{{"type":"t","id":"t/1"}},"action":"use","context":{{{context}}}}}"#
        )
    };
    let roles = |count: usize| format!(r#","roles":[{}]"#, vec![r#""r""#; count].join(","));
    assert!(read(&question(&roles(MEMBERSHIPS_MAX), "")).is_ok());
    assert!(read(&question(&roles(MEMBERSHIPS_MAX + 1), "")).unwrap_err().contains("more than 256 roles"));
    let items = |count: usize| format!(r#""list":[{}]"#, vec!["1"; count].join(","));
    assert!(read(&question("", &items(VALUE_ITEMS_MAX))).is_ok());
    assert!(read(&question("", &items(VALUE_ITEMS_MAX + 1))).unwrap_err().contains("more than 1024 items"));
    let long = |count: usize| format!(r#""text":"{}""#, "x".repeat(count));
    assert!(read(&question("", &long(VALUE_BYTES_MAX))).is_ok());
    assert!(read(&question("", &long(VALUE_BYTES_MAX + 1))).unwrap_err().contains("longer than 16 KiB"));
    let many = |count: usize| (0..count).map(|n| format!(r#""a{n}":1"#)).collect::<Vec<_>>().join(",");
    assert!(read(&question("", &many(ATTRIBUTES_MAX))).is_ok());
    assert!(read(&question("", &many(ATTRIBUTES_MAX + 1))).unwrap_err().contains("more than 256 attributes"));
    assert!(read(&question("", &many(1025))).unwrap_err().contains("more than 1024 attributes"));
}

#[test]
fn a_question_without_a_single_reading_is_not_recorded() {
    let odd = EvaluationContext::new(Principal::user("alice"), Resource::new("thing", "a/../b"), "use");
    assert!(QuestionRecord::of(&odd).unwrap_err().to_string().contains("resource.id"));
}

#[test]
fn a_decision_keeps_verdict_digest_obligations_and_bounded_reasons() {
    let rules: Vec<String> = (0..40)
        .map(|n| {
            crate::rule(&format!("deny-{n}"), "deny", &[])
                + &format!("      message: \"{}\"\n", "m".repeat(900))
        })
        .collect();
    let set = PolicySet::parse_documents([("p.yaml", crate::policy_of(&rules))]).unwrap();
    let recorded = RecordedDecision::of(&asked(), &set.evaluate(&asked()), &["mfa"]).unwrap();
    assert_eq!(
        (recorded.reasons.len(), recorded.reasons[0].len()),
        (RECORDED_REASONS_MAX, RECORDED_REASON_BYTES_MAX)
    );
    let text = serde_json::to_string(&recorded).unwrap();
    assert!(text.starts_with(r#"{"format":"hpc.policy.decision/v1","question":{"#), "{text}");
    assert_eq!(serde_json::from_str::<RecordedDecision>(&text).unwrap(), recorded);
    for (from, to, why) in [
        ("decision/v1", "decision/v2", "not in the format"),
        (r#""verdict":"deny""#, r#""verdict":"maybe""#, "unknown variant"),
        (recorded.digest.as_str(), "abc", "64 hexadecimal"),
        (r#""understood":["mfa"]"#, r#""understood":["mfa"],"extra":1"#, "unknown field"),
        ("things/a", "things/%61", "resource.id"),
        ("mmm...", "mmmm...", "above 512"),
    ] {
        let error = serde_json::from_str::<RecordedDecision>(&text.replacen(from, to, 1)).unwrap_err();
        assert!(error.to_string().contains(why), "{to}: {error}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let text = || any::<String>().prop_map(Value::String);
    let number = || any::<i64>().prop_map(Value::Integer);
    let flag = || any::<bool>().prop_map(Value::Bool);
    let time = || {
        (-377_705_023_201_i64..=253_402_207_200, 0..1_000_000_000_i32).prop_map(|(seconds, nanos)| {
            Value::Timestamp(Timestamp::new(seconds, nanos).unwrap_or(Timestamp::MAX))
        })
    };
    let ip = || any::<std::net::IpAddr>().prop_map(Value::Ip);
    let list = prop_oneof![
        proptest::collection::vec(text(), 0..4),
        proptest::collection::vec(number(), 0..4),
        proptest::collection::vec(flag(), 0..4),
        proptest::collection::vec(time(), 0..4),
        proptest::collection::vec(ip(), 0..4),
    ];
    prop_oneof![text(), number(), flag(), time(), ip(), list.prop_map(Value::List), Just(Value::Opaque)]
}

fn question() -> impl Strategy<Value = EvaluationContext> {
    let attributes = || proptest::collection::vec(("[a-z][a-z_]{0,6}x", value(), any::<bool>()), 0..4);
    let kind =
        prop_oneof![Just(PrincipalKind::User), Just(PrincipalKind::Service), Just(PrincipalKind::Agent)];
    (
        (
            kind,
            "[a-z]{1,8}",
            proptest::collection::vec("[a-z]{1,5}", 0..3),
            proptest::collection::vec("[a-z]{1,5}", 0..3),
        ),
        (attributes(), attributes(), attributes(), attributes()),
        proptest::option::of(0..4_000_000_000_i64),
        proptest::option::of("[a-z]{1,8}"),
    )
        .prop_map(
            |((kind, id, roles, teams), (of_principal, of_resource, of_action, of_context), now, path)| {
                let mut principal = Principal::new(kind, id);
                for role in roles {
                    principal = principal.with_role(role);
                }
                for team in teams {
                    principal = principal.with_team(team);
                }
                if let Some(path) = path {
                    principal = principal.with_spiffe_id(format!("spiffe://example.org/{path}"));
                }
                for (name, value, secret) in of_principal {
                    principal = if secret {
                        principal.with_secret_attribute(name, value)
                    } else {
                        principal.with_attribute(name, value)
                    };
                }
                let mut resource = Resource::new("thing", "things/a");
                for (name, value, secret) in of_resource {
                    resource = if secret {
                        resource.with_secret_attribute(name, value)
                    } else {
                        resource.with_attribute(name, value)
                    };
                }
                let mut context = EvaluationContext::new(principal, resource, "use");
                for (name, value, _) in of_action {
                    context = context.with_action_attribute(name, value);
                }
                for (name, value, secret) in of_context {
                    context = if secret {
                        context.with_secret_attribute(name, value)
                    } else {
                        context.with_attribute(name, value)
                    };
                }
                match now {
                    Some(seconds) => context.with_now(Timestamp::from_second(seconds).unwrap()),
                    None => context,
                }
            },
        )
}

proptest! {
    #[test]
    fn whatever_is_written_reads_back_the_same(asked in question()) {
        let record = QuestionRecord::of(&asked).unwrap();
        let text = serde_json::to_string(&record).unwrap();
        let again: QuestionRecord = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&again, &record);
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), text);
        if record.is_complete() {
            prop_assert_eq!(record.context(), &asked);
        }
    }

    #[test]
    fn a_changed_byte_is_no_panic(at in 0..WHOLE.len(), bit in 0..7_u8) {
        let mut bytes = WHOLE.as_bytes().to_vec();
        bytes[at] ^= 1 << bit;
        if let Ok(record) = serde_json::from_slice::<QuestionRecord>(&bytes) {
            prop_assert!(record.context().check().is_ok());
        }
    }
}
