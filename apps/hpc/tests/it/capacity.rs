//! `hpc offers` and `hpc provider`: what could be had without a plan, and how the providers are.

use hpc_error::codes;

use crate::fake::{Answers, Daemon};
use crate::fixtures::{denied, info, later, no_offer, plan};

#[test]
fn a_provider_says_how_it_is() {
    let supports = serde_json::to_value(std::collections::BTreeMap::from(
        [
            "quote",
            "provision",
            "idempotent_create",
            "observe",
            "release",
            "list_owned",
            "spot_prices",
            "quotas",
        ]
        .map(|name| (name, name != "release")),
    ));
    let mut supports = supports.unwrap();
    supports["interruptions"] = false.into();
    supports["user_data"] = false.into();
    let status: hpc_broker::ProviderStatus = serde_json::from_value(serde_json::json!({
        "description": {
            "provider": "sim-aws", "supports": supports, "consistency_ms": 2_000, "clock_skew_ms": 0, "simulated": true,
        },
        "missing": ["release"], "healthy": true, "stock_outs": [],
        "snapshot": {
            "hash": "5f3a".repeat(16), "as_of": later(-60), "asked_at": later(-240), "offers": 24, "truncated": false,
            "trouble": {
                "kind": "throttled", "scope": "region", "certainty": "not-done", "code": "Slow", "message": "down",
            },
        },
        "price_sources": [{
            "name": "prices.csv", "hash": "0f0f".repeat(16), "as_of": later(-86_400), "unknown_from": later(3_600),
            "priced": 66, "refused": 13, "trouble": "`prices.csv` has no rows",
        }, {
            "name": "old.csv", "hash": "0e0e".repeat(16), "as_of": later(-864_000), "unknown_from": later(-3_600),
            "priced": 1, "refused": 0, "trouble": null,
        }],
    }))
    .unwrap();
    let answers = Answers::default()
        .with("providers", "hpc.provider/v1", std::slice::from_ref(&status))
        .with("provider", "hpc.provider/v1", std::slice::from_ref(&status))
        .with("info", "hpc.info/v1", &[info()]);
    let daemon = Daemon::start(answers);
    let list = daemon.hpc(&["provider", "list"]);
    assert!(list.code == 0 && list.out.contains("cannot create"), "{}{}", list.out, list.err);
    for said in ["catalog", "4 m ago", "10 d old"] {
        assert!(list.out.contains(said), "{said}: {}", list.out);
    }
    let one = daemon.hpc(&["provider", "show", "sim-aws"]);
    assert!(one.out.contains("missing") && one.out.contains("nothing is bought there"), "{}", one.out);
    for said in [
        "asked for 4 m ago",
        "nothing newer: too many calls (`Slow`: down); nothing was done",
        "prices.csv 0f0f0f0f0f0f, 1 d old, 66 prices, 13 rows refused, believed for another 1 h",
        "nothing newer: `prices.csv` has no rows",
        "old.csv 0e0e0e0e0e0e, 10 d old, 1 price; too old: nothing is bought at them",
    ] {
        assert!(one.out.contains(said), "{said}: {}", one.out);
    }
    let json = daemon.hpc(&["provider", "show", "sim-aws", "-o", "json"]);
    assert_eq!(serde_json::from_str::<hpc_broker::ProviderStatus>(&json.out).unwrap(), status);
}

#[test]
fn offers_are_shown_as_a_plan_shows_them_without_being_one() {
    let offers = |record: hpc_broker::PlanRecord| hpc_broker::Offers {
        as_of: record.plan.created_at,
        request: record.request,
        team: record.team,
        decision: record.decision,
        attempts: record.plan.attempts,
        excluded_counts: record.plan.excluded_counts,
        excluded: record.plan.excluded,
        hold: record.hold,
        simulated: record.plan.simulated,
        kept: vec![],
    };
    let asked = |record: hpc_broker::PlanRecord, more: &[&str]| {
        let answers = Answers::default().with("offers", "hpc.offers/v1", &[offers(record)]);
        Daemon::start(answers).hpc(&[&["offers", "--gpu", "h100:8"], more].concat())
    };
    let shown = asked(plan(), &[]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for said in
        ["SIMULATED", "Policy  ALLOW", "  1  sim-gcp", "other-accelerator: 118 offers", "up to 60.00 USD"]
    {
        assert!(shown.out.contains(said), "{said}: {}", shown.out);
    }
    assert!(!shown.out.contains("pln_") && !shown.out.contains("request apply"), "{}", shown.out);
    // An answer that is kept says how old it is, and why it is not newer.
    let kept = hpc_broker::KeptAnswer {
        provider: hpc_resources::ProviderId::parse("aws").unwrap(),
        asked_at: later(-240),
        trouble: Some("too many calls".to_owned()),
    };
    let old = hpc_broker::Offers { kept: vec![kept], ..offers(plan()) };
    let answers = Answers::default().with("offers", "hpc.offers/v1", &[old]);
    let shown = Daemon::start(answers).hpc(&["offers", "--gpu", "h100:8"]);
    assert!(shown.out.contains("aws was asked 4 m ago; nothing newer: too many calls"), "{}", shown.out);
    let json = asked(plan(), &["-o", "json"]);
    assert_eq!(serde_json::from_str::<hpc_broker::Offers>(&json.out).unwrap(), offers(plan()));
    assert_eq!(asked(denied(), &[]).code, codes::PLN_DENIED.exit_code);
    assert_eq!(asked(no_offer(), &[]).code, codes::CAP_NO_OFFER.exit_code);
    // Nothing is made that a key could make once.
    assert_eq!(asked(plan(), &["--idempotency-key", "k1"]).code, 2);
}
