//! `hpc request plan` and `show`: what people see, what programs see, and the exit code that says it again.

use hpc_error::{HpcError, codes};
use hpc_resources::{Exclusion, OfferKind, Reservation, ReservationId};

use crate::fake::{Answers, Daemon};
use crate::fixtures::{attempt, awaiting, denied, excluded, later, no_offer, plan};

const PLAN: [&str; 5] = ["request", "plan", "--gpu", "h100:8", "--spot"];

fn planned(record: &hpc_broker::PlanRecord, args: &[&str]) -> crate::fake::Outcome {
    Daemon::start(Answers::default().with("plan", "hpc.plan/v1", &[record])).hpc(args)
}

#[test]
fn an_allowed_plan_shows_rules_offers_exclusions_and_money() {
    let outcome = planned(&plan(), &PLAN);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, "  recorded  audit 41\n"));
    let want = "\
Plan pln_7qk4   valid until 20:46:10 UTC   prices 3 s old   SIMULATED
8 x H100 spot for 2 h   spiffe://hpc.internal/user/you asked, for team ml

Policy  ALLOW   policy 9f2c1d00aa11   decision dec_1
  pass  starter/spend.gpu-users     context.max_hourly_microusd <= 250000000 (is 24100000)
  pass  starter/spend.hourly-cap    context.max_hourly_microusd > 1000000000 (is 24100000)
  -     access/own-leases           lease/*
  add   idle_release_minutes        15

Offers  (order of attempt)
  #  provider  zone           type         kind  USD/h    2 h  start  price age
  1  sim-gcp   us-central1-a  p5.48xlarge  spot  21.60  43.20  ~2 m   3 s
  2  sim-aws   use1-az2       p5.48xlarge  spot  24.10  48.20  ~2 m   3 s

Not offered
  other-accelerator: 118 offers
  price: 1 offer   to include: max_hourly: 31.40 USD
    sim-gcp/europe-west4/europe-west4-a/a3-highgpu-8g/spot  31.40 USD/h is over 30.00 USD
  quota: 1 offer   to include: a quota for P-spot with 192 free
    sim-aws/us-west-2/usw2-az1/p5.48xlarge/spot  needs 192 of P-spot, 0 of 384 free
  rank: 4 offers   to include: nothing: it is dearer or riskier than what is in the plan

Money   hold 60.00 USD from team ml (412.00 USD left)   worst case 48.20 USD   hard stop 60.00 USD
Idle    released after 15 m without work
Apply   hpc request apply pln_7qk4
";
    assert_eq!(outcome.out, want);
}

#[test]
fn wide_adds_the_parts_of_the_score_and_every_exclusion() {
    let outcome = planned(&plan(), &[&PLAN[..], &["-o", "wide"]].concat());
    assert!(
        outcome.out.contains("score  =price  +wait  +reclaim  +stock  stock   region"),
        "{}",
        outcome.out
    );
    assert!(
        outcome.out.contains("22.60   21.60   1.00      0.00    0.00  likely  us-east-1"),
        "{}",
        outcome.out
    );
    assert!(outcome.out.contains("sim-onprem/lab/rack-07/hgx-h100/owned"));
}

#[test]
fn what_is_paid_for_says_why_it_comes_first_and_what_is_too_short_says_when_it_ends() {
    let mut record = plan();
    let mut block = attempt("aws", "use1-az1", OfferKind::Block, "0.00");
    block.offer.reservation = Some(Box::new(Reservation {
        id: ReservationId::parse("cr-1").unwrap(),
        paid: true,
        left: 2,
        starts_at: None,
        ends_at: Some(later(86_400)),
    }));
    record.plan.attempts.insert(0, block);
    let (ends_at, need_until) = (Some(later(3_600)), later(7_200));
    record.plan.excluded = vec![
        excluded("aws/r/z/p5/reserved/cr-2", Exclusion::ReservationFull { need: 2, left: 1 }),
        excluded("aws/r/z/p5/block/cr-3", Exclusion::Window { opens_at: None, ends_at, need_until }),
        excluded("aws/r/z/p5/block/cr-4", Exclusion::Window { opens_at: ends_at, ends_at: None, need_until }),
    ];
    record.plan.excluded_counts =
        [("reservation-full", 1), ("window", 2)].map(|(name, count)| (name.to_owned(), count)).into();
    let outcome = planned(&record, &PLAN);
    for line in [
        "  1  aws       use1-az1       p5.48xlarge  block   0.00   0.00",
        "  1: paid for already, used or not: 2 left in cr-1, ends at ",
        "aws/r/z/p5/reserved/cr-2  needs 2 instances, 1 left",
        "aws/r/z/p5/block/cr-3  ends at 21:41:10 UTC, needed until 22:41:10 UTC",
        "aws/r/z/p5/block/cr-4  begins at 21:41:10 UTC",
    ] {
        assert!(outcome.out.contains(line), "{line}\nnot in\n{}", outcome.out);
    }
    let json = planned(&record, &[&PLAN[..], &["-o", "json"]].concat());
    assert_eq!(serde_json::from_str::<hpc_broker::PlanRecord>(&json.out).unwrap(), record);
}

#[test]
fn a_denied_plan_gives_all_reasons_and_what_would_be_allowed() {
    let outcome = planned(&denied(), &PLAN);
    assert_eq!(outcome.code, 3);
    for line in [
        "valid until 20:46:10 UTC   prices 3 s old   DENIED   SIMULATED\n",
        "Policy  DENY   policy 9f2c1d00aa11   decision dec_1\n",
        "  DENY  starter/time.max-lease    context.hours > 8 (is 12)\n",
        "  because denied by starter/time.max-lease: at most 8 hours\n",
        "  because denied by starter/gpu.team-quota\n",
        "  allowed if context.hours <= 8 and context.team_gpus_after <= 64\n",
        "Why     hpc request explain pln_7qk4\n",
    ] {
        assert!(outcome.out.contains(line), "{line}\nnot in\n{}", outcome.out);
    }
    assert!(!outcome.out.contains("Money"), "nothing will be held: {}", outcome.out);
}

#[test]
fn a_plan_without_offers_says_why_and_ends_with_5() {
    let outcome = planned(&no_offer(), &PLAN);
    assert_eq!(outcome.code, 5);
    assert!(outcome.out.contains("NO OFFER") && outcome.out.contains("Not offered\n"));
    assert!(!outcome.out.contains("Offers  (") && !outcome.out.contains("Money"), "{}", outcome.out);
}

#[test]
fn a_plan_that_waits_names_who_may_approve_and_ends_with_4() {
    let daemon = Daemon::start(Answers::default().with("plan", "hpc.plan/v1", &[awaiting()]));
    let mut lead = daemon.context.clone();
    lead.name = "dev-lead".to_owned();
    daemon.write_context(&lead);
    let outcome = daemon.hpc(&PLAN);
    assert_eq!(outcome.code, 4);
    assert!(outcome.out.contains("AWAITS APPROVAL by role:gpu-approver"), "{}", outcome.out);
    assert!(outcome.out.contains(&format!("Hash    {}", "ab".repeat(32))));
    assert!(outcome.err.contains("hpc --context dev-lead approval approve pln_7qk4"), "{}", outcome.err);
}

#[test]
fn json_is_what_the_daemon_sent_and_the_exit_code_stays() {
    let text = serde_json::to_string(&denied()).unwrap().replacen('{', "{\"from_the_future\":1,", 1);
    for format in ["json", "ndjson"] {
        let daemon = Daemon::start(Answers::default().raw("plan", "hpc.plan/v1", &text));
        let outcome = daemon.hpc(&[&PLAN[..], &["-o", format]].concat());
        assert_eq!((outcome.code, outcome.out), (3, format!("{text}\n")));
    }
}

#[test]
fn flags_become_the_document() {
    let daemon = Daemon::start(Answers::default().with("plan", "hpc.plan/v1", &[plan()]));
    let args = "request plan --gpu h100:8 --spot --on-demand --for 2h --max-hourly 30 --max-total 60 --region us-east-1,eu-west-1 \
                --provider sim-aws --instances-max 2 --team ml --name run-7 --purpose test --label a=b --priority high \
                --idempotency-key k1";
    assert_eq!(daemon.hpc(&args.split_whitespace().collect::<Vec<_>>()).code, 0);
    let seen = daemon.seen();
    assert!(seen[0].1.contains("idempotency_key: \"k1\""), "{}", seen[0].1);
    let sent: serde_json::Value = serde_json::from_str(&seen[1].1).unwrap();
    let want = serde_json::json!({
        "name": "run-7", "gpu": {"model": "h100", "count": 8}, "kinds": ["spot", "on-demand"],
        "regions": ["us-east-1", "eu-west-1"], "providers": ["sim-aws"], "duration": "2h", "max_hourly": "30",
        "max_total": "60", "instances_max": 2, "priority": "high", "team": "ml", "purpose": "test", "labels": {"a": "b"},
    });
    assert_eq!(sent, want);
    assert_eq!(daemon.hpc(&["request", "plan", "--gpu", "h100:8", "--spot", "--replace"]).code, 0);
    let sent: serde_json::Value = serde_json::from_str(&daemon.seen().last().unwrap().1).unwrap();
    assert_eq!(sent["on_interruption"], "replace");
}

#[test]
fn each_call_without_a_key_draws_its_own() {
    let daemon = Daemon::start(Answers::default().with("plan", "hpc.plan/v1", &[plan()]));
    daemon.hpc(&PLAN);
    daemon.hpc(&PLAN);
    let keys: Vec<String> = daemon
        .seen()
        .iter()
        .filter(|(method, _)| *method == "plan")
        .map(|(_, request)| request.clone())
        .collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_file_is_read_strictly_in_each_format() {
    let daemon = Daemon::start(Answers::default().with("plan", "hpc.plan/v1", &[plan()]));
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("my.yaml", "name: run\ngpu: { model: h100, count: 8 }\nduration: 2h\n"),
        ("my.toml", "name = \"run\"\nduration = \"2h\"\n[gpu]\nmodel = \"h100\"\ncount = 8\n"),
        (
            "my.json",
            "{\"name\": \"run\", \"gpu\": {\"model\": \"h100\", \"count\": 8}, \"duration\": \"2h\"}",
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let outcome = daemon.hpc(&["request", "plan", "--file", path.to_str().unwrap()]);
        assert_eq!(outcome.code, 0, "{}", outcome.err);
    }
    let sent: Vec<_> = daemon.seen().into_iter().filter(|(method, _)| *method == "plan.request").collect();
    assert!(sent.len() == 3 && sent.iter().all(|request| *request == sent[0]));
}

#[test]
fn bad_requests_are_refused_before_a_daemon_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let unknown_field = file("field.yaml", "name: run\ngpus: 8\n");
    let big = file("big.yaml", &"#".repeat(10 << 20));
    let format = file("request.txt", "name: run\n");
    for (args, code) in [
        (vec!["--file", &unknown_field], "HPC-USG-0001"),
        (vec!["--file", &big], "HPC-USG-0003"),
        (vec!["--file", &format], "HPC-USG-0015"),
        (vec!["--file", "/nowhere/at/all.yaml"], "HPC-USG-0005"),
        (vec!["--gpu", "h100:x"], "HPC-USG-0012"),
        (vec!["--gpu", "h100:0"], "HPC-USG-0011"),
        (vec!["--gpu", "h1000:8"], "HPC-USG-0011"),
        (vec!["--gpu", "h100:8", "--max-hourly", "-1"], ""),
        (vec!["--gpu", "h100:8", "--max-hourly", "1e9"], "HPC-USG-0011"),
        (vec!["--gpu", "h100:8", "--for", "1000 years"], "HPC-USG-0011"),
        (vec!["--gpu", "h100:8", "--region", "a/b"], "HPC-USG-0012"),
        (vec!["--gpu", "h100:8", "--label", "ab"], "HPC-USG-0012"),
        (vec!["--gpu", "h100:8", "--file", "x.yaml"], ""),
        (vec![], ""),
    ] {
        let outcome = crate::fake::hpc(home.path(), &[&["request", "plan"], &args[..]].concat());
        assert_eq!(outcome.code, 2, "{args:?}: {}", outcome.err);
        assert!(outcome.err.contains(code), "{args:?}: {}", outcome.err);
        assert_eq!(outcome.out, "");
    }
}

#[test]
fn what_the_daemon_sends_cannot_play_with_the_terminal() {
    let mut record = plan();
    record.principal = "\u{1b}[2J\u{1b}]0;owned\u{7}you".to_owned();
    let daemon = Daemon::start(Answers::default().with("plan", "hpc.plan/v1", &[record]).failing(
        "lease",
        HpcError::coded(&codes::LSE_UNKNOWN, "no \u{1b}[31mlease\nerror (HPC-XXX-0000): forged"),
    ));
    let plan = daemon.hpc(&PLAN);
    assert!(plan.out.contains(" [2J ]0;owned you asked"), "{}", plan.out);
    let lease = daemon.hpc(&["lease", "show", "lse_1"]);
    assert_eq!(lease.err.lines().count(), 2, "{}", lease.err);
    assert!(!lease.err.contains('\u{1b}'));
}

#[test]
fn a_document_that_cannot_be_read_says_who_must_upgrade() {
    let daemon = Daemon::start(Answers::default().raw("plan", "hpc.plan/v2", "{}"));
    let outcome = daemon.hpc(&PLAN);
    assert_eq!(outcome.code, 10);
    assert!(outcome.err.contains("HPC-NET-0005") && outcome.err.contains("upgrade"), "{}", outcome.err);
    let daemon = Daemon::start(Answers::default().raw("show", "hpc.plan/v1", "{\"plan\":"));
    assert_eq!(daemon.hpc(&["request", "show", "pln_1", "-o", "json"]).code, 10);
}

#[test]
fn showing_a_denied_plan_is_no_failure() {
    let daemon = Daemon::start(Answers::default().with("show", "hpc.plan/v1", &[denied()]));
    assert_eq!(daemon.hpc(&["request", "show", "pln_7qk4"]).code, 0);
}

#[test]
fn an_explanation_names_place_and_owner() {
    let explanation = serde_json::json!({
        "plan": "pln_7qk4", "decision": "dec_1", "allowed": false, "policy_digest": "9f2c",
        "reasons": ["too long"], "allowed_if": ["context.hours <= 8"],
        "rules": [{"rule": "starter/time.max-lease", "effect": "deny", "result": "matched",
            "detail": "context.hours > 8 (is 12)", "place": "line 64", "owner": "team:platform"}],
    });
    let daemon = Daemon::start(Answers::default().with("explain", "hpc.explanation/v1", &[explanation]));
    let outcome = daemon.hpc(&["request", "explain", "pln_7qk4", "--rule", "time.max-lease"]);
    let want = "\
pln_7qk4 DENY
  decision    dec_1
  policy      9f2c
  because     too long
  allowed if  context.hours <= 8
starter/time.max-lease
  effect  deny
  result  matched
  saw     context.hours > 8 (is 12)
  place   line 64
  owner   team:platform
";
    assert_eq!((outcome.code, outcome.out.as_str()), (0, want));
    assert!(daemon.seen()[0].1.contains("time.max-lease"));
}
