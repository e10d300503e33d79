//! `hpc doctor` and the ways in which a daemon cannot be reached.

use std::os::unix::fs::PermissionsExt as _;

use hpc_audit::AuditLog;
use hpc_auth::cert::generate_ca_cert;
use hpc_error::HpcError;
use jiff::SignedDuration;

use crate::fake::{Answers, Daemon, hpc, write_context};
use crate::fixtures::info;

/// A signed checkpoint and the key it is signed with.
fn checkpoint() -> (serde_json::Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let key = hpc_crypto::signing::KeyPair::from_seed([7; 32]);
        let config = hpc_audit_file::Config::new("test.audit");
        let log = hpc_audit_file::FileAuditLog::open(folder.path(), key, config).unwrap();
        let (note, key) = (log.checkpoint().await.unwrap().to_string(), log.verifier_key().to_string());
        (serde_json::json!({"note": note, "verifier_key": key}), key)
    })
}

#[test]
fn a_healthy_daemon_is_all_ok() {
    let (checkpoint, key) = checkpoint();
    let answers = Answers::default().with("info", "hpc.info/v1", &[info()]).with(
        "checkpoint",
        "hpc.audit-checkpoint/v1",
        &[checkpoint],
    );
    let daemon = Daemon::start(answers);
    let outcome = daemon.hpc(&["doctor"]);
    assert_eq!(outcome.code, 0, "{}", outcome.out);
    assert!(outcome.out.contains("warn  audit"), "no key to compare with: {}", outcome.out);
    let mut context = daemon.context.clone();
    context.audit_key = Some(key);
    daemon.write_context(&context);
    let outcome = daemon.hpc(&["doctor", "-o", "json"]);
    let checks: Vec<serde_json::Value> = serde_json::from_str(&outcome.out).unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["context", "key", "certificate", "trust", "daemon", "server", "you", "clock", "health", "audit"]
    );
    assert!(checks.iter().all(|check| check["result"] == "ok"), "{}", outcome.out);
}

#[test]
fn each_trouble_has_its_line_its_advice_and_its_exit_code() {
    let (mut forged, key) = checkpoint();
    forged["note"] = forged["note"].as_str().unwrap().replace("\n0\n", "\n9\n").into();
    let daemon = Daemon::start(
        Answers::default()
            .with("info", "hpc.info/v1", &[info()])
            .with("checkpoint", "hpc.audit-checkpoint/v1", &[forged])
            .failing("health", HpcError::unavailable("the audit disk is full")),
    );
    let mut context = daemon.context.clone();
    context.audit_key = Some(key);
    daemon.write_context(&context);
    let outcome = daemon.hpc(&["doctor"]);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.out.contains("FAIL  health       takes no work: the audit disk is full"),
        "{}",
        outcome.out
    );
    assert!(
        outcome.out.contains("FAIL  audit        the newest checkpoint does not hold"),
        "{}",
        outcome.out
    );
}

#[test]
fn without_a_context_everything_says_what_to_start() {
    let home = tempfile::tempdir().unwrap();
    for args in
        [&["doctor"][..], &["lease", "list"], &["request", "plan", "--gpu", "h100:8"], &["cost", "show"]]
    {
        let outcome = hpc(home.path(), args);
        assert_eq!(outcome.code, 10, "{args:?}");
        assert!((outcome.out + &outcome.err).contains("hpcd dev"), "{args:?}");
    }
    let json = hpc(home.path(), &["lease", "list", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!(report["code"], "HPC-NET-0001");
}

#[test]
fn a_daemon_that_is_gone_is_unreachable() {
    let daemon = Daemon::start(Answers::default());
    let mut context = daemon.context.clone();
    context.endpoint = "https://127.0.0.1:1".to_owned();
    daemon.write_context(&context);
    let outcome = daemon.hpc(&["lease", "list"]);
    assert_eq!(outcome.code, 10);
    assert!(outcome.err.contains("HPC-NET-0001") && outcome.err.contains("hpcd dev"), "{}", outcome.err);
    assert_eq!(daemon.hpc(&["doctor"]).code, 10);
}

#[test]
fn an_expired_certificate_is_found_before_connecting() {
    let daemon = Daemon::start(Answers::default());
    let two_days_ago = hpc::now() - SignedDuration::from_hours(48);
    let old = hpc_auth::cert::generate_ca_cert_at(
        "old",
        daemon.ca.trust_domain().clone(),
        std::time::Duration::from_secs(7 * 86_400),
        two_days_ago,
    )
    .unwrap();
    write_context(daemon.home.path(), &daemon.context, &old, two_days_ago);
    for args in [&["lease", "list"][..], &["doctor"]] {
        let outcome = daemon.hpc(args);
        assert_eq!(outcome.code, 7, "{}{}", outcome.out, outcome.err);
        assert!((outcome.out + &outcome.err).contains("HPC-AUT-0002"));
    }
}

#[test]
fn another_daemon_at_the_same_address_is_not_believed() {
    let daemon = Daemon::start(Answers::default());
    // As after a restart of a development daemon: a new authority, an old context.
    write_context(daemon.home.path(), &daemon.context, &generate_ca_cert("another").unwrap(), hpc::now());
    let outcome = daemon.hpc(&["lease", "list"]);
    assert!(outcome.code == 7 && outcome.err.contains("HPC-AUT-0004"), "{}", outcome.err);
    // The right authority, but another member of the trust domain.
    let mut context = daemon.context.clone();
    context.server_id = hpc_identity::SpiffeId::parse("spiffe://hpc.internal/service/other").unwrap();
    daemon.write_context(&context);
    let outcome = daemon.hpc(&["lease", "list"]);
    assert!(outcome.code == 7 && outcome.err.contains("HPC-AUT-0004"), "{}", outcome.err);
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let daemon = Daemon::start(Answers::default());
    let key = daemon.home.path().join("contexts/dev/key.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    for args in [&["lease", "list"][..], &["doctor"]] {
        let outcome = daemon.hpc(args);
        assert_eq!(outcome.code, 7);
        let said = outcome.out + &outcome.err;
        assert!(said.contains("HPC-AUT-0007") && said.contains("chmod 600"), "{said}");
    }
}
