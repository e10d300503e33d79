//! `hpc budget`, `hpc cost list` and `export`: limits as tables, charges as a bill that adds up.

use serde_json::{Value, json};

use crate::fake::{Answers, Daemon};

fn budgets() -> Value {
    json!({"budgets": [
        {"payer": "agent:bot", "window": "monthly", "month": "2026-11", "limit": "500.00 USD", "spent": "100.00 USD",
         "held": "350.00 USD", "left": "50.00 USD", "resets_at": "2026-12-01T00:00:00Z"},
    ], "repeated": false})
}

fn charge(month: &str, from: &str, to: &str, seconds: u64, cost: &str) -> Value {
    json!({
        "id": format!("lse_1/sim-aws/i-1/{month}"), "lease": "lse_1", "intent": "int_1", "team": "ml",
        "payers": ["team:ml", "user:you"], "principal": "spiffe://hpc.internal/user/you", "labels": {"project": "a, \"b\""},
        "provider": "sim-aws", "instance": "i-1", "region": "us-east-1", "zone": "use1-az1",
        "instance_type": "p5.48xlarge", "kind": "spot", "price": "3.60 USD", "month": month, "from": from, "to": to,
        "seconds": seconds, "cost": cost, "settled": true, "reclaimed": false, "simulated": true,
    })
}

fn bill() -> Answers {
    Answers::default().with(
        "charges",
        "hpc.charge/v1",
        &[
            charge("2026-11", "2026-11-30T23:59:50.5Z", "2026-12-01T00:00:00Z", 10, "0.010000001 USD"),
            charge("2026-12", "2026-12-01T00:00:00Z", "2026-12-01T00:00:30Z", 30, "0.034999999 USD"),
        ],
    )
}

#[test]
fn budgets_are_shown_set_and_removed() {
    let answers = || {
        Answers::default().with("budgets", "hpc.budgets/v1", &[budgets()]).with(
            "set_budget",
            "hpc.budgets/v1",
            &[budgets()],
        )
    };
    let daemon = Daemon::start(answers());
    let want = "\
payer      window        limit       spent        held       left  used  resets
agent:bot  monthly  500.00 USD  100.00 USD  350.00 USD  50.00 USD  90 %  2026-12-01 00:00:00 UTC
";
    for args in [&["budget", "list"][..], &["budget", "show", "agent:bot"]] {
        let outcome = daemon.hpc(args);
        assert_eq!((outcome.code, outcome.out.as_str()), (0, want), "{}", outcome.err);
    }
    let outcome = daemon.hpc(&["budget", "set", "agent:bot", "--monthly", "500", "--hourly", "30.5 EUR"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, want), "{}", outcome.err);
    assert!(outcome.err.contains("recorded  audit 41"), "{}", outcome.err);
    let outcome = daemon.hpc(&["budget", "remove", "agent:bot", "--window", "total", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&outcome.out).unwrap(), budgets());
    let seen = daemon.seen();
    assert!(
        seen[2].1.contains("monthly: \"500.00 USD\"") && seen[2].1.contains("hourly: \"30.50 EUR\""),
        "{seen:?}"
    );
    assert!(seen[3].1.contains("remove: [\"total\"]"), "{seen:?}");
}

#[test]
fn what_cannot_be_a_budget_is_refused_before_anything_is_asked() {
    let daemon = Daemon::start(Answers::default());
    for (args, code) in [
        (&["budget", "show", "ml"][..], "HPC-USG-0013"),
        (&["budget", "set", "robot:x", "--total", "1"], "HPC-USG-0013"),
        (&["budget", "set", "team:ml", "--total", "1e3"], "HPC-USG-0007"),
        (&["cost", "list", "--payer", "x"], "HPC-USG-0013"),
        (&["cost", "list", "--month", "november"], "HPC-USG-0011"),
        (&["cost", "export", "--label", "=x"], "HPC-USG-0011"),
    ] {
        let outcome = daemon.hpc(args);
        assert!(outcome.code != 0 && outcome.err.contains(code), "{args:?}: {}", outcome.err);
    }
    assert_eq!(daemon.hpc(&["budget", "set", "team:ml"]).code, 2, "a limit must be named");
    assert!(daemon.seen().is_empty());
}

#[test]
fn charges_are_listed_with_their_sum() {
    let daemon = Daemon::start(bill());
    let outcome = daemon.hpc(&["cost", "list", "--month", "2026-11", "--payer", "team:ml"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let last = outcome.out.lines().last().unwrap();
    assert_eq!(last, "2 charges, 0.04 USD (exactly 0.045 USD); 2 SIMULATED");
    assert!(outcome.out.contains("0.010000001 USD"), "{}", outcome.out);
    assert!(daemon.seen()[0].1.contains("payer: \"team:ml\""));
}

/// A stream that breaks leaves no file that looks like a bill, and nothing in the way of the next attempt.
#[test]
fn half_an_export_does_not_get_the_name_of_a_bill() {
    let whole = charge("2026-11", "2026-11-30T23:59:50.5Z", "2026-12-01T00:00:00Z", 10, "0.010000001 USD");
    let broken = Answers::default().with("charges", "hpc.charge/v1", &[whole, serde_json::json!({})]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bill.csv");
    let out = path.to_str().unwrap();
    let outcome = Daemon::start(broken).hpc(&["cost", "export", "--out", out]);
    assert!(outcome.code != 0 && !path.exists(), "{}", outcome.err);
    assert!(folder.path().join("bill.csv.part").exists());
    let outcome = Daemon::start(bill()).hpc(&["cost", "export", "--out", out]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_export_has_the_columns_of_focus_and_adds_up() {
    let daemon = Daemon::start(bill());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bill.csv");
    let outcome = daemon.hpc(&["cost", "export", "--out", path.to_str().unwrap()]);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, ""), "{}", outcome.err);
    assert!(outcome.err.contains("0.04 USD (exactly 0.045 USD)"), "{}", outcome.err);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("AvailabilityZone,BilledCost,BillingAccountId,"));
    assert!(lines[1].starts_with(
        "use1-az1,0.010000001,hpc,,Installation,USD,2026-12-01T00:00:00Z,2026-11-01T00:00:00Z,"
    ));
    assert!(lines[1].contains("2026-12-01T00:00:00Z,2026-11-30T23:59:50Z,,,,,,,,10,Seconds"), "{}", lines[1]);
    assert!(lines[1].contains("\"{\"\"hpc/simulated\"\":true,"), "{}", lines[1]);
    assert!(lines[1].ends_with(",lse_1/sim-aws/i-1/2026-11,lse_1,true,true"), "{}", lines[1]);
    let again = daemon.hpc(&["cost", "export", "--out", path.to_str().unwrap()]);
    assert!(again.code != 0 && again.err.contains("is there already"), "{}", again.err);
    let outcome = daemon.hpc(&["cost", "export", "--as", "jsonl"]);
    let rows: Vec<Value> = outcome.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(row.as_object().unwrap().len(), 57);
        assert_eq!(row["BilledCost"], row["EffectiveCost"]);
        // Never null for usage, by the specification.
        for column in [
            "BilledCost",
            "BillingAccountId",
            "BillingCurrency",
            "ChargeCategory",
            "ChargeDescription",
            "ChargeFrequency",
            "ConsumedQuantity",
            "ConsumedUnit",
            "ContractedUnitPrice",
            "InvoiceIssuerName",
            "ListUnitPrice",
            "PricingCategory",
            "PricingQuantity",
            "PricingUnit",
            "ProviderName",
            "PublisherName",
            "ServiceCategory",
            "ServiceName",
            "ServiceSubcategory",
            "SkuId",
            "SkuPriceId",
        ] {
            assert!(row[column].as_str().is_some_and(|text| !text.is_empty()), "{column}: {row}");
        }
        let tags: Value = serde_json::from_str(row["Tags"].as_str().unwrap()).unwrap();
        assert_eq!(
            (tags["project"].as_str(), tags["hpc/simulated"].as_bool()),
            (Some("a, \"b\""), Some(true))
        );
    }
}
