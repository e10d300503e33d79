//! `hpc request apply`, `hpc approval`: nothing without a yes, progress as it happens, errors with their codes.

use hpc_broker::{LeaseState, PlanState, Progress};
use hpc_error::{HpcError, codes};
use hpc_resources::IntentId;

use crate::fake::{Answers, Daemon, hpc};
use crate::fixtures::{awaiting, info, lease, lease_id, offer, plan, usd};

const APPLY: [&str; 3] = ["request", "apply", "pln_7qk4"];

fn story() -> Answers {
    let key = |provider, zone| offer(provider, zone, hpc_resources::OfferKind::Spot, "24.10").key();
    let intent = IntentId::parse("int_1").unwrap();
    Answers::default()
        .with("show", "hpc.plan/v1", &[plan()])
        .with("info", "hpc.info/v1", &[info()])
        .progress(&Progress::Held { lease: lease_id(), amount: usd("48.20") })
        .progress(&Progress::Failed {
            intent: intent.clone(),
            offer: key("sim-gcp", "us-central1-a"),
            why: "no spot stock".to_owned(),
            nothing_created: true,
        })
        .progress(&serde_json::json!({"event": "from-the-future"}))
        .progress(&Progress::Created {
            intent,
            offer: key("sim-aws", "use1-az2"),
            instances: vec!["i-sim-0f3a".to_owned()],
            hourly: usd("24.10"),
        })
}

#[test]
fn a_yes_applies_and_progress_is_talk() {
    let daemon = Daemon::start(story().lease(&lease(LeaseState::Active)));
    let outcome = daemon.hpc_answering(&APPLY, "y\n");
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let want = "\
Hold 60.00 USD and start 8 x H100 spot for 2 h (SIMULATED)? [y/N]   hold      48.20 USD for lse_3vx9
  failed    sim-gcp/us-east-1/us-central1-a/p5.48xlarge/spot: no spot stock; nothing was created
  created   sim-aws/us-east-1/use1-az2/p5.48xlarge/spot: i-sim-0f3a, 24.10 USD/h
  recorded  audit 41
Look: hpc lease show lse_3vx9   Cost: hpc cost show lse_3vx9   End: hpc lease release lse_3vx9
";
    assert_eq!(outcome.err, want);
    assert!(
        outcome.out.starts_with("lse_3vx9 active   24.10 USD/h   ends 22:41:48 UTC (in 2 h)   SIMULATED\n"),
        "{}",
        outcome.out
    );
}

#[test]
fn anything_but_yes_does_nothing() {
    for answer in ["", "\n", "n\n", "yess\n", "apply\n"] {
        let daemon = Daemon::start(story());
        let outcome = daemon.hpc_answering(&APPLY, answer);
        assert_eq!((outcome.code, outcome.out.as_str()), (0, ""));
        assert!(outcome.err.ends_with("nothing was done\n"));
        assert!(!daemon.seen().iter().any(|(method, _)| *method == "apply"));
    }
}

#[test]
fn without_a_terminal_a_yes_must_be_given() {
    let daemon = Daemon::start(story().lease(&lease(LeaseState::Active)));
    for (args, answer) in [(&APPLY[..], None), (&[&APPLY[..], &["--no-input"]].concat()[..], Some("y\n"))] {
        let outcome = match answer {
            Some(answer) => daemon.hpc_answering(args, answer),
            None => daemon.hpc(args),
        };
        assert_eq!(outcome.code, 2);
        assert!(outcome.err.contains("HPC-USG-0014") && outcome.err.contains("--yes"), "{}", outcome.err);
    }
    assert!(daemon.seen().is_empty(), "no daemon is asked before that is settled");
    let outcome = daemon.hpc(&[&APPLY[..], &["--yes", "-o", "json"]].concat());
    assert_eq!(outcome.code, 0);
    assert_eq!(outcome.out, format!("{}\n", serde_json::to_string(&lease(LeaseState::Active)).unwrap()));
}

#[test]
fn a_failed_apply_has_the_code_and_exit_code_of_its_reason() {
    for (code, exit) in [
        (&codes::CAP_NO_CAPACITY, 5),
        (&codes::BUD_HOLD_LOST, 3),
        (&codes::QUO_PROVIDER, 6),
        (&codes::PRC_MOVED, 8),
        (&codes::PLN_EXPIRED, 9),
        (&codes::POL_APPROVAL_NEEDED, 4),
        (&codes::PLN_DENIED, 3),
        (&codes::AUT_NOT_ALLOWED, 7),
    ] {
        let daemon = Daemon::start(story().apply_failing(HpcError::coded(code, "not this time")));
        let outcome = daemon.hpc(&[&APPLY[..], &["--yes"]].concat());
        assert_eq!((outcome.code, outcome.out.as_str()), (exit, ""), "{}", code.code);
        let last: Vec<&str> = outcome.err.lines().rev().take(2).collect();
        assert_eq!(last[1], format!("error ({}): not this time", code.code));
        assert_eq!(last[0], format!("  try: {}", code.remedy));
    }
}

#[test]
fn in_json_an_error_is_a_document_on_standard_error() {
    let daemon = Daemon::start(Answers::default().apply_failing(HpcError::coded(&codes::PLN_EXPIRED, "old")));
    let outcome = daemon.hpc(&[&APPLY[..], &["--yes", "-o", "json"]].concat());
    let report: serde_json::Value = serde_json::from_str(&outcome.err).unwrap();
    assert_eq!((report["code"].as_str(), report["exit_code"].as_u64()), (Some("HPC-PLN-0001"), Some(9)));
    assert_eq!(report["try"].as_str(), Some(codes::PLN_EXPIRED.remedy));
}

#[test]
fn a_stream_that_ends_early_says_where_to_look() {
    let outcome = Daemon::start(story()).hpc(&[&APPLY[..], &["--yes"]].concat());
    assert_eq!(outcome.code, 10);
    assert!(outcome.err.contains("hpc request show pln_7qk4"), "{}", outcome.err);
}

#[test]
fn a_timeout_ends_looking_and_says_that_the_work_may_go_on() {
    let daemon = Daemon::start(story().hanging());
    let outcome = daemon.hpc(&[&APPLY[..], &["--yes", "--timeout", "1s"]].concat());
    assert_eq!(outcome.code, 10);
    assert!(outcome.err.contains("HPC-NET-0003"), "{}", outcome.err);
}

#[test]
fn an_applied_plan_is_looked_at_without_a_question() {
    let mut applied = plan();
    applied.state = PlanState::Applied { lease: lease_id() };
    let daemon = Daemon::start(
        Answers::default()
            .with("show", "hpc.plan/v1", &[applied])
            .with("info", "hpc.info/v1", &[info()])
            .lease(&lease(LeaseState::Active)),
    );
    let outcome = daemon.hpc_answering(&APPLY, "");
    assert_eq!(outcome.code, 0);
    assert!(!outcome.err.contains("[y/N]"));
}

#[test]
fn an_approval_is_bound_to_the_hash_that_was_shown() {
    let mut approved = awaiting();
    approved.state = PlanState::Approved {
        approval: hpc_resources::ApprovalId::parse("apr_1").unwrap(),
        by: "lead".to_owned(),
    };
    let answers = || {
        Answers::default().with("show", "hpc.plan/v1", &[awaiting()]).with(
            "approve",
            "hpc.plan/v1",
            &[approved.clone()],
        )
    };
    let approve = ["approval", "approve", "pln_7qk4", "--reason", "release training"];
    let daemon = Daemon::start(answers());
    let outcome = daemon.hpc_answering(&approve, "y\n");
    assert_eq!((outcome.code, outcome.out.as_str()), (0, "pln_7qk4 approved\n"), "{}", outcome.err);
    assert!(outcome.err.contains("Approve 8 x H100 spot for 2 h of spiffe://hpc.internal/user/you? [y/N]"));
    let sent = &daemon.seen()[1].1;
    assert!(
        sent.contains(&"ab".repeat(32))
            && sent.contains("refuse: false")
            && sent.contains("release training")
    );

    let other = "cd".repeat(32);
    let outcome = daemon.hpc(&[&approve[..], &["--yes", "--hash", &other]].concat());
    assert_eq!(outcome.code, 4);
    assert!(outcome.err.contains("HPC-POL-0005"));
    assert_eq!(daemon.seen().iter().filter(|(method, _)| *method == "approve").count(), 1);

    let daemon = Daemon::start(answers());
    let outcome = daemon.hpc(&["approval", "deny", "pln_7qk4", "--reason", "no", "--yes"]);
    assert_eq!(outcome.code, 0);
    assert!(daemon.seen()[1].1.contains("refuse: true"));
    assert_eq!(daemon.hpc(&["approval", "deny", "pln_7qk4", "--reason", "no"]).code, 2, "nobody can say yes");
}

#[test]
fn ids_are_checked_before_anything_is_asked() {
    let home = tempfile::tempdir().unwrap();
    for args in [
        &["request", "apply", "lse_1", "--yes"][..],
        &["request", "explain", "pln_\u{1b}[2J"],
        &["approval", "approve", "x", "--reason", "y", "--yes"],
        &["lease", "show", "pln_1"],
        &["lease", "release", ""],
        &["cost", "show", "../etc"],
        &["audit", "proof", "--lease", "req_1"],
    ] {
        let outcome = hpc(home.path(), args);
        assert_eq!(outcome.code, 2, "{args:?}: {}", outcome.err);
        assert!(outcome.err.contains("HPC-USG-0013"), "{args:?}: {}", outcome.err);
    }
}

#[test]
fn ctrl_c_stops_looking_and_says_how_to_look_again() {
    use std::io::{BufRead as _, Read as _};
    use std::process::{Command, Stdio};
    let daemon = Daemon::start(story().hanging());
    let mut child = Command::new(env!("CARGO_BIN_EXE_hpc"))
        .args(APPLY)
        .arg("--yes")
        .env("HPC_HOME", daemon.home.path())
        .env_remove("HPC_CONTEXT")
        .env_remove("HPC_OUTPUT")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("created") {
        assert_ne!(err.read_line(&mut said).unwrap(), 0, "{said}");
    }
    let killed = Command::new("sh").arg("-c").arg(format!("kill -INT {}", child.id())).status().unwrap();
    assert!(killed.success());
    err.read_to_string(&mut said).unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!((child.wait().unwrap().code(), out.as_str()), (Some(130), ""));
    assert!(said.contains("detached") && said.contains("hpc lease show lse_3vx9"), "{said}");
    assert!(!said.contains('\u{1b}'), "a pipe gets no colours: {said}");
}
