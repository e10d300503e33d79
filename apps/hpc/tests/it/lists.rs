//! Lists and single records: leases, requests, costs, policies, tokens; empty ones too.

use hpc_broker::LeaseState;
use hpc_error::{HpcError, codes};

use crate::fake::{Answers, Daemon};
use crate::fixtures::{cost, info, lease, offer, request_row, usd};

fn leases(leases: &[hpc_broker::LeaseRecord]) -> Daemon {
    Daemon::start(Answers::default().with("leases", "hpc.lease/v1", leases).with(
        "info",
        "hpc.info/v1",
        &[info()],
    ))
}

#[test]
fn leases_are_a_table_without_the_ended_ones() {
    let daemon = leases(&[lease(LeaseState::Active), lease(LeaseState::Released)]);
    let outcome = daemon.hpc(&["lease", "list"]);
    let want = "\
lease     state   provider  zone      type         kind  n   per hour  ends in  team
lse_3vx9  active  sim-aws   use1-az2  p5.48xlarge  spot  1  24.10 USD  2 h      ml
";
    assert_eq!((outcome.code, outcome.out.as_str()), (0, want));
    assert_eq!(outcome.err, "1 ended lease not shown: --all\n");
    let all = daemon.hpc(&["lease", "list", "--all", "-o", "wide"]);
    assert_eq!(all.out.lines().count(), 3);
    assert!(all.out.contains("4.02 USD") && all.out.contains("simulated"), "{}", all.out);
}

#[test]
fn lists_are_paged_and_end_at_the_limit() {
    let many: Vec<_> = (0..2_500).map(|_| lease(LeaseState::Active)).collect();
    let daemon = leases(&many);
    let lines = |limit: &str| {
        let outcome = daemon.hpc(&["lease", "list", "-o", "ndjson", "--limit", limit]);
        (outcome.out.lines().count(), outcome.err.contains("there are more"))
    };
    assert_eq!(lines("10"), (10, true));
    assert_eq!(lines("1500"), (1_500, true));
    assert_eq!(lines("2500"), (2_500, false));
    assert_eq!(lines("9999"), (2_500, false));
}

#[test]
fn empty_lists_are_empty_arrays_or_a_hint() {
    let nothing: [serde_json::Value; 0] = [];
    let daemon = Daemon::start(
        Answers::default()
            .with("leases", "hpc.lease/v1", &nothing)
            .with("requests", "hpc.request-row/v1", &nothing)
            .with("search", "hpc.audit-entry/v1", &nothing),
    );
    for args in [["lease", "list"], ["request", "list"], ["audit", "search"]] {
        let table = daemon.hpc(&args);
        assert_eq!((table.code, table.out.as_str()), (0, ""));
        assert!(!table.err.is_empty());
        let json = daemon.hpc(&[&args[..], &["-o", "json"]].concat());
        assert_eq!((json.code, json.out.as_str()), (0, "[]\n"));
        let ndjson = daemon.hpc(&[&args[..], &["-o", "ndjson"]].concat());
        assert_eq!((ndjson.code, ndjson.out.as_str()), (0, ""));
    }
}

#[test]
fn a_list_in_json_is_one_array_of_what_was_sent() {
    let daemon = leases(&[lease(LeaseState::Active), lease(LeaseState::Pending)]);
    let outcome = daemon.hpc(&["lease", "list", "-o", "json"]);
    let read: Vec<hpc_broker::LeaseRecord> = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(read, [lease(LeaseState::Active), lease(LeaseState::Pending)]);
}

#[test]
fn one_lease_tells_its_story() {
    let daemon = Daemon::start(
        Answers::default().with("release", "hpc.lease/v1", &[lease(LeaseState::Released)]).with(
            "info",
            "hpc.info/v1",
            &[info()],
        ),
    );
    let outcome = daemon.hpc(&["lease", "release", "lse_3vx9"]);
    let want = "\
lse_3vx9 released   SIMULATED
  where    sim-aws us-east-1 use1-az2
  what     1 x p5.48xlarge spot
  who      spiffe://hpc.internal/user/you, team ml
  from     pln_7qk4 (request req_01)
  created  2026-11-23 20:41:10 UTC
  active   2026-11-23 20:41:48 UTC
  ended    2026-11-23 20:51:10 UTC, somebody released it
  hold     48.20 USD
  cost     4.02 USD
  idle     released after 15 m without work
  failed   sim-gcp/us-central1/us-central1-a/a3-highgpu-8g/spot: no capacity
";
    assert_eq!((outcome.code, outcome.out.as_str()), (0, want));
    assert_eq!(outcome.err, "  recorded  audit 41\n");
}

#[test]
fn requests_show_what_became_of_them() {
    let daemon = Daemon::start(Answers::default().with("requests", "hpc.request-row/v1", &[request_row()]));
    let outcome = daemon.hpc(&["request", "list"]);
    let want = "\
request  plan      state              name      gpu     for  created
req_01   pln_7qk4  applied, lse_3vx9  finetune  h100:8  2 h  2026-11-23 20:41:10 UTC
";
    assert_eq!((outcome.code, outcome.out.as_str()), (0, want));
}

#[test]
fn costs_say_what_they_rest_on() {
    let daemon = Daemon::start(Answers::default().with("cost", "hpc.cost/v1", &[cost()]));
    let outcome = daemon.hpc(&["cost", "show", "lse_3vx9"]);
    let want = "\
lse_3vx9 active   as of 2026-11-23 20:53:48 UTC   SIMULATED
accrued 4.8201 USD (12 m so far)   now 24.10 USD/h   projected 48.20 USD   hold 48.20 USD
";
    assert_eq!((outcome.code, outcome.out.as_str()), (0, want));
    let overview = serde_json::json!({
        "leases": [cost()], "complete": true,
        "budgets": [
            {"payer": "team:ml", "window": "total", "limit": "1000.00 USD", "spent": "4.02 USD", "held": "48.20 USD", "left": "947.78 USD"},
            {"payer": "user:you", "window": "hourly", "limit": "30.00 USD", "spent": "0.00 USD", "held": "24.10 USD", "left": "5.90 USD"},
            {"payer": "user:you", "window": "monthly", "month": "2026-11", "limit": "100.00 USD", "spent": "4.02 USD",
             "held": "48.20 USD", "left": "47.78 USD", "resets_at": "2026-12-01T00:00:00Z"},
        ],
    });
    let daemon = Daemon::start(Answers::default().with("cost", "hpc.cost-overview/v2", &[overview]));
    let outcome = daemon.hpc(&["cost", "show"]);
    let want = "\
lease     state   team     accrued   per hour  projected       hold
lse_3vx9  active  ml    4.8201 USD  24.10 USD  48.20 USD  48.20 USD

payer     window         limit     spent         held        left  used  resets
team:ml   total    1000.00 USD  4.02 USD    48.20 USD  947.78 USD   5 %  never
user:you  hourly   30.00 USD/h         -  24.10 USD/h  5.90 USD/h  80 %  as leases end
user:you  monthly   100.00 USD  4.02 USD    48.20 USD   47.78 USD  52 %  2026-12-01 00:00:00 UTC
";
    assert_eq!((outcome.code, outcome.out.as_str()), (0, want));
}

#[test]
fn policies_are_shown_as_yaml() {
    let shown = serde_json::json!({
        "digest": "9f2c", "built_in": true, "rules": 9,
        "documents": [{"name": "starter.yaml", "text": "kind: Policy\n"}, {"name": "access.yaml", "text": "kind: Policy"}],
    });
    let daemon = Daemon::start(Answers::default().with("policy", "hpc.policy/v1", &[shown]));
    let outcome = daemon.hpc(&["policy", "show"]);
    let want = "# 9 rules, the starter set, digest 9f2c\n---\n# starter.yaml\nkind: Policy\n---\n# access.yaml\nkind: Policy\n";
    assert_eq!((outcome.code, outcome.out.as_str()), (0, want));
}

#[test]
fn a_token_is_data_and_its_handling_is_talk() {
    let daemon = Daemon::start(Answers::default());
    let outcome = daemon.hpc(&["node", "join-token", "node-7", "--ttl", "5m"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, "hpcjoin1secret\n"));
    assert!(
        outcome.err.contains("node-7")
            && outcome.err.contains("hpc-agent run --token-file FILE")
            && !outcome.err.contains("hpcjoin1secret")
    );
    let json = daemon.hpc(&["node", "join-token", "node-7", "-o", "json"]);
    let read: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(read["token"], "hpcjoin1secret");
}

#[test]
fn refusals_keep_their_code() {
    let daemon = Daemon::start(
        Answers::default()
            .failing("lease", HpcError::coded(&codes::LSE_NOT_YOURS, "it is of team b"))
            .failing("leases", tonic::Status::unavailable("going away")),
    );
    let outcome = daemon.hpc(&["lease", "show", "lse_1"]);
    assert_eq!(outcome.code, 3);
    assert_eq!(outcome.err, "error (HPC-LSE-0005): it is of team b\n  try: ask its owner to release it\n");
    assert_eq!(daemon.hpc(&["lease", "list"]).code, 10);
}

#[test]
fn a_lease_tells_of_two_tries_at_once_and_of_the_one_that_was_kept() {
    let mut hedged = lease(LeaseState::Active);
    let one = |number: &str, zone| hpc_broker::HedgeTry {
        intent: hpc_resources::IntentId::parse(format!("int_{number}")).unwrap(),
        offer: offer("sim-aws", zone, hpc_resources::OfferKind::Spot, "24.10").key(),
    };
    let (first, second) = (one("1", "use1-az1"), one("2", "use1-az2"));
    let record = |end, held| hpc_broker::HedgeRecord {
        at: hedged.created_at,
        after_s: 20,
        first: first.clone(),
        second: second.clone(),
        held: usd(held),
        hourly: usd("24.10"),
        end,
    };
    let (won, failed) = (
        hpc_broker::HedgeEnd::Won { intent: first.intent.clone() },
        hpc_broker::HedgeEnd::Failed { intent: second.intent.clone() },
    );
    hedged.hedges = vec![record(Some(failed), "0"), record(Some(won), "1.80"), record(None, "1.80")];
    let daemon = Daemon::start(Answers::default().with("lease", "hpc.lease/v1", &[hedged]).with(
        "info",
        "hpc.info/v1",
        &[info()],
    ));
    let shown = daemon.hpc(&["lease", "show", "lse_3vx9"]);
    let places = ["use1-az1", "use1-az2"].map(|zone| format!("sim-aws/us-east-1/{zone}/p5.48xlarge/spot"));
    for said in [
        format!("{1} after 20 s beside {0}: {1} failed\n", places[0], places[1]),
        format!("{} was kept, 1.80 USD held on top", places[0]),
        "neither has answered".to_owned(),
    ] {
        assert!(shown.out.contains(&said), "{said}: {}", shown.out);
    }
}

#[test]
fn a_renewal_says_what_it_holds_and_a_drain_when_it_ends() {
    let mut longer = lease(LeaseState::Active);
    let (at, held) = (longer.created_at, longer.hold);
    let ends_at = longer.ends_at.unwrap();
    let key = "ab".to_owned();
    longer.renewals.push(hpc_broker::RenewalRecord { key, at, by_s: 7_200, ends_at, held });
    let mut drained = lease(LeaseState::Draining);
    let reason = hpc_broker::DrainReason::Asked;
    drained.drain = Some(hpc_broker::DrainRecord { reason, since: at, until: ends_at });
    let daemon = Daemon::start(
        Answers::default()
            .with("renew", "hpc.lease/v1", &[longer.clone()])
            .with("drain", "hpc.lease/v1", &[drained])
            .with("info", "hpc.info/v1", &[info()]),
    );
    let outcome = daemon.hpc(&["lease", "renew", "lse_3vx9", "--for", "2h"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.contains("renewed  ") && outcome.out.contains("by 2 h, 48.20 USD held on top"));
    let asked = daemon.seen();
    assert!(asked[0].1.contains("seconds: 7200") && asked[0].1.contains("cli-"), "{asked:?}");
    let again = daemon.hpc(&[
        "lease",
        "renew",
        "lse_3vx9",
        "--for",
        "2h",
        "--idempotency-key",
        "again",
        "-o",
        "json",
    ]);
    assert!(again.err.contains("nothing was changed"));
    assert_eq!(serde_json::from_str::<hpc_broker::LeaseRecord>(&again.out).unwrap(), longer);
    let drained = daemon.hpc(&["lease", "drain", "lse_3vx9", "--wait", "5m"]);
    assert!(drained.out.contains("draining") && drained.out.contains("somebody asked"), "{}", drained.out);
    for wrong in
        [["lease", "renew", "lse_3vx9", "--for", "2"], ["lease", "drain", "lse_3vx9", "--wait", "-1h"]]
    {
        let refused = daemon.hpc(&wrong);
        assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{}", refused.err);
    }
}

#[test]
fn an_interrupted_lease_tells_why_it_drains_and_what_replaces_it() {
    use hpc_broker::{ReplacementRecord, ReplacementState};
    let mut taken = lease(LeaseState::Draining);
    let (since, by) = (taken.created_at, Some(taken.id.clone()));
    let reason = hpc_broker::DrainReason::Interrupted;
    taken.drain = Some(hpc_broker::DrainRecord { reason, since, until: taken.ends_at.unwrap() });
    let (problem, state) = (Some("policy denies\u{1b}[2J it".to_owned()), ReplacementState::Wanted);
    let mut record = ReplacementRecord { state, since, tries: 2, next_at: Some(since), by: None, problem };
    let mut steps = Vec::new();
    taken.replacement = Some(record.clone());
    steps.push(taken.clone());
    record = ReplacementRecord { state: ReplacementState::Trying, tries: 3, next_at: None, by, ..record };
    taken.replacement = Some(record.clone());
    steps.push(taken.clone());
    taken.replacement =
        Some(ReplacementRecord { state: ReplacementState::Replaced, problem: None, ..record.clone() });
    steps.push(taken.clone());
    taken.replacement = Some(ReplacementRecord { state: ReplacementState::GivenUp, by: None, ..record });
    (taken.replaces, taken.generation, taken.state) = (Some(taken.id.clone()), 1, LeaseState::Released);
    steps.push(taken.clone());
    let daemon = Daemon::start(
        Answers::default()
            .with("watch", "hpc.lease/v1", &steps)
            .with("lease", "hpc.lease/v1", &[taken.clone()])
            .with("info", "hpc.info/v1", &[info()]),
    );
    let watched = daemon.hpc(&["lease", "watch", "lse_3vx9"]);
    assert_eq!(watched.code, 0, "{}", watched.err);
    let lines: Vec<&str> = watched.out.lines().collect();
    assert!(lines[0].contains(": the provider takes it back; replacement wanted, tried at "), "{}", lines[0]);
    assert!(lines[0].contains("2 tries: policy denies"), "{}", lines[0]);
    assert!(
        lines[1].contains(&format!("replacement by {}, which is being created", taken.id)),
        "{}",
        lines[1]
    );
    assert!(lines[2].ends_with(&format!("replacement by {}", taken.id)), "{}", lines[2]);
    assert!(lines[3].contains("replacement by nothing, given up"), "{}", lines[3]);
    let shown = daemon.hpc(&["lease", "show", "lse_3vx9"]);
    for says in
        ["replaces", "which the provider took back", "given up, 3 tries", "the provider takes it back"]
    {
        assert!(shown.out.contains(says), "{says}: {}", shown.out);
    }
    assert!(!shown.out.contains('\u{1b}') && !watched.out.contains('\u{1b}'), "{}", shown.out);
}

#[test]
fn a_watched_lease_is_a_line_for_each_step() {
    let steps = [lease(LeaseState::Active), lease(LeaseState::Releasing), lease(LeaseState::Released)];
    let daemon = Daemon::start(Answers::default().with("watch", "hpc.lease/v1", &steps).with(
        "info",
        "hpc.info/v1",
        &[info()],
    ));
    let outcome = daemon.hpc(&["lease", "watch", "lse_3vx9"]);
    assert_eq!((outcome.code, outcome.out.lines().count()), (0, 3), "{}", outcome.err);
    assert!(outcome.out.lines().last().unwrap().ends_with("released: somebody released it, cost 4.02 USD"));
    let json = daemon.hpc(&["lease", "watch", "lse_3vx9", "-o", "ndjson"]);
    let read: Vec<hpc_broker::LeaseRecord> =
        json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, steps);
    // A daemon that goes away in the middle is no end.
    let daemon = Daemon::start(Answers::default().with("watch", "hpc.lease/v1", &steps[..2]));
    let cut = daemon.hpc(&["lease", "watch", "lse_3vx9", "-o", "ndjson"]);
    assert_eq!((cut.code, cut.out.lines().count()), (10, 2), "{}", cut.err);
}
