//! One journey over the command line, every answer as JSON.

use serde_json::Value;

use super::{Running, hpc};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

#[test]
fn ask_get_look_pay_prove_and_end() {
    let mut daemon = Running::start();

    let doctor = daemon.hpc(&["doctor", "-o", "json"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");

    let plan = daemon
        .hpc(&["request", "plan", "--gpu", "h100:8", "--for", "2h", "--max-hourly", "100", "-o", "json"])
        .json();
    assert_eq!(plan["state"], "open", "{plan}");
    let plan_id = text(&plan["plan"]["id"]).to_owned();
    let request_id = text(&plan["plan"]["request_id"]).to_owned();

    let lease = daemon.hpc(&["request", "apply", &plan_id, "--yes", "-o", "json"]).json();
    assert_eq!((&lease["state"], &lease["simulated"]), (&"active".into(), &true.into()), "{lease}");
    let lease_id = text(&lease["id"]).to_owned();
    let again = daemon.hpc(&["request", "apply", &plan_id, "--yes", "-o", "json"]).json();
    assert_eq!(again["id"], lease["id"], "applying twice is one lease");

    let requests = daemon.hpc(&["request", "list", "-o", "json"]).json();
    assert_eq!(requests.as_array().map(Vec::len), Some(1), "{requests}");
    for id in [&plan_id, &request_id] {
        let shown = daemon.hpc(&["request", "show", id, "-o", "json"]).json();
        assert_eq!(
            (&shown["plan"]["id"], &shown["state"]),
            (&plan_id.as_str().into(), &"applied".into()),
            "{shown}"
        );
    }
    let why = daemon.hpc(&["request", "explain", &plan_id, "-o", "json"]).json();
    assert!(why.to_string().contains("gpu.team-quota"), "{why}");

    let leases = daemon.hpc(&["lease", "list", "-o", "json"]).json();
    assert_eq!(leases[0]["id"], lease["id"], "{leases}");
    assert_eq!(daemon.hpc(&["lease", "show", &lease_id, "-o", "json"]).json()["id"], lease["id"]);
    let cost = daemon.hpc(&["cost", "show", &lease_id, "-o", "json"]).json();
    assert_eq!(cost["lease"], lease["id"], "{cost}");
    assert!(daemon.hpc(&["cost", "show", "-o", "json"]).json().to_string().contains("\"ml\""));

    let found = daemon.hpc(&["audit", "search", "--subject", &lease_id, "-o", "json"]).json();
    let actions: Vec<&str> = found.as_array().unwrap().iter().map(|entry| text(&entry["action"])).collect();
    assert!(actions.contains(&"lease.active"), "{actions:?}");

    let released = daemon.hpc(&["lease", "release", &lease_id, "-o", "json"]).json();
    assert!(["releasing", "released"].contains(&text(&released["state"])), "{released}");
    daemon.hpc(&["lease", "release", &lease_id, "-o", "json"]).json();

    let proof = daemon.file("proof.json");
    let proof = proof.to_str().unwrap();
    assert_eq!(daemon.hpc(&["audit", "proof", "--lease", &lease_id, "--out", proof]).code, 0);
    let policies = daemon.hpc(&["policy", "show", "-o", "json"]).json();
    assert!(policies.to_string().contains("gpu.team-quota"), "{policies}");
    let doctor = daemon.hpc(&["doctor", "-o", "json"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");

    // The rest needs no daemon.
    daemon.stop(true);
    let verified = daemon.hpc(&["audit", "verify", proof, "-o", "json"]).json();
    assert_eq!(verified["ok"], true, "{verified}");
    let folder = daemon.hpc(&["audit", "verify", daemon.audit().to_str().unwrap(), "-o", "json"]).json();
    assert_eq!((&folder["ok"], &folder["clean"]), (&true.into(), &true.into()), "{folder}");
    daemon.hpc(&["lease", "list"]).failed(10, "HPC-NET-0001");
}

#[test]
fn every_no_has_its_exit_code() {
    let mut daemon = Running::start();
    // Policy says no, and so does applying all the same.
    let denied = daemon.hpc(&["request", "plan", "--gpu", "h100:72", "--instances-max", "9", "-o", "json"]);
    assert_eq!(denied.code, 3, "{denied:?}");
    let plan: Value = serde_json::from_str(&denied.out).unwrap();
    assert_eq!(plan["state"], "denied");
    assert!(denied.out.contains("at most 64"), "the reason is told: {denied:?}");
    daemon.hpc(&["request", "apply", text(&plan["plan"]["id"]), "--yes"]).failed(3, "HPC-PLN-0004");
    // Too dear for oneself alone: somebody else approves, and nobody approves their own.
    let waiting = daemon.hpc(&[
        "request",
        "plan",
        "--gpu",
        "h100:32",
        "--instances-max",
        "4",
        "--on-demand",
        "-o",
        "json",
    ]);
    assert_eq!(waiting.code, 4, "{waiting:?}");
    let plan: Value = serde_json::from_str(&waiting.out).unwrap();
    let id = text(&plan["plan"]["id"]);
    daemon.hpc(&["request", "apply", id, "--yes"]).failed(4, "HPC-POL-0002");
    daemon.hpc(&["approval", "approve", id, "--reason", "me", "--yes"]).failed(3, "HPC-POL-0003");
    let approved =
        daemon.hpc(&["--context", "dev-lead", "approval", "approve", id, "--reason", "fine", "--yes"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    let applied = daemon.hpc(&["request", "apply", id, "--yes", "-o", "json"]).json();
    assert_eq!(applied["state"], "active", "{applied}");
    // Somebody else's lease.
    daemon
        .hpc(&["--context", "dev-lead", "lease", "release", text(&applied["id"])])
        .failed(3, "HPC-LSE-0005");
    // Nothing to offer at that price.
    let dear = daemon.hpc(&["request", "plan", "--gpu", "h100:8", "--max-hourly", "0.01", "-o", "json"]);
    assert_eq!(dear.code, 5, "{dear:?}");
    // What is no id, no lease, no flag, no file.
    daemon.hpc(&["lease", "show", "lse_nonsense!"]).failed(2, "HPC-USG-0013");
    daemon.hpc(&["lease", "show", "lse_00000000000000000000000001"]).failed(1, "HPC-LSE-0001");
    assert_eq!(daemon.hpc(&["lease", "shwo", "x"]).code, 2);
    daemon.hpc(&["request", "plan", "--file", "no-such-file.yaml"]).failed(2, "HPC-USG-0005");
    daemon.hpc(&["request", "apply", id]).failed(2, "HPC-USG-0014");
    // A daemon that is gone, though its contexts are there.
    daemon.stop(false);
    daemon.hpc(&["lease", "list"]).failed(10, "HPC-NET-0001");
    let empty = tempfile::tempdir().unwrap();
    hpc(empty.path(), &["lease", "list"]).failed(10, "HPC-NET-0001");
}

#[test]
fn a_daemon_trusts_only_its_own() {
    let (one, other) = (Running::start(), Running::start());
    // The identity of one daemon's world, shown to another.
    let (own, foreign) = (one.home().join("contexts/dev"), other.home().join("contexts/dev"));
    for name in ["cert.pem", "key.pem"] {
        std::fs::copy(foreign.join(name), own.join(name)).unwrap();
    }
    let refused = one.hpc(&["lease", "list"]);
    assert!([7, 10].contains(&refused.code) && refused.out.is_empty(), "{refused:?}");
    // One daemon's authority, asked about another: not believed.
    std::fs::copy(foreign.join("ca.pem"), own.join("ca.pem")).unwrap();
    let refused = one.hpc(&["lease", "list"]);
    assert!(refused.code == 7 && refused.out.is_empty(), "{refused:?}");
}

#[test]
fn policies_are_tested_without_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in hpcd::policies::STARTER {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let table = |expect: &str| {
        format!(
            "apiVersion: policy.horizon.dev/v1\nkind: PolicyTest\ncases:\n  - name: too many\n    \
             principal: {{user: you, roles: [gpu-user]}}\n    action: capacity.request\n    \
             resource: {{type: gpu, id: gpu/h100}}\n    \
             context: {{team_gpus_after: 65, gpus: 65, hours: 1, max_hourly_microusd: 1}}\n    expect: {expect}\n"
        )
    };
    let path = folder.path().to_str().unwrap();
    for (expect, code, passed) in [("deny", 0, true), ("allow", 1, false)] {
        std::fs::write(folder.path().join("quota.test.yaml"), table(expect)).unwrap();
        let said = hpc(folder.path(), &["policy", "test", path, "-o", "json"]);
        assert_eq!(said.code, code, "{said:?}");
        let cases: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(cases[0]["passed"], passed, "{cases}");
    }
}
