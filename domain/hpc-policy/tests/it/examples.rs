//! The example policies answer the example cases.

use hpc_policy::{Cases, PolicySet, parse_cases, run_cases};

fn examples() -> (PolicySet, Cases) {
    let set = PolicySet::parse_documents([
        ("gpu-capacity.yaml", include_str!("../../examples/gpu-capacity.yaml")),
        ("gpu-operations.yaml", include_str!("../../examples/gpu-operations.yaml")),
    ])
    .unwrap_or_else(|errors| panic!("{errors:#?}"));
    (set, parse_cases(include_str!("../../examples/cases.yaml")).unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn all_cases_pass() {
    let (set, cases) = examples();
    let results = run_cases(&set, &cases);
    assert_eq!(results.len(), cases.cases().len());
    let failures: Vec<String> = results
        .iter()
        .filter_map(|result| Some(format!("{}: {}", result.name, result.failure.as_ref()?)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_wrong_expectation_says_what_came_instead() {
    let (set, _) = examples();
    let table = |rest: &str| {
        format!(
            "apiVersion: policy.horizon.dev/v1\nkind: PolicyTest\ncases:\n  - name: c\n    principal: {{user: alice, roles: [gpu-user]}}\n    \
             action: capacity.request\n    resource: {{type: gpu, id: gpu/h100}}\n    \
             context: {{gpus: 8, hours: 24, max_hourly_microusd: 1}}\n{rest}"
        )
    };
    for (rest, said) in [
        ("    expect: deny\n", "expected deny, got allow: allowed by `gpu-capacity/small-requests`"),
        (
            "    expect: allow\n    rule: other\n",
            "expected `other` to decide, but it was decided by gpu-capacity/small-requests",
        ),
        (
            "    expect: allow\n    obligations: {max_lease_hours: 8}\n",
            "expected obligations [max_lease_hours: 8], got [idle_release_minutes: 15, max_lease_hours: 24]",
        ),
    ] {
        let results = run_cases(&set, &parse_cases(&table(rest)).unwrap());
        assert_eq!(results[0].failure.as_deref(), Some(said));
        assert!(!results[0].passed());
    }
    let ok = table("    expect: allow\n");
    for (from, to, line) in [
        ("kind: PolicyTest", "kind: Policy", 2),
        ("{user: alice,", "{user: alice, agent: bob,", 5),
        ("{user: alice, roles: [gpu-user]}", "{roles: [gpu-user]}", 5),
        ("expect: allow", "expect: maybe", 9),
        ("gpus: 8", "gpus: 8.5", 8),
        ("gpus: 8", "g pus: 8", 8),
        ("action:", "actoin:", 6),
    ] {
        let error = parse_cases(&ok.replace(from, to)).unwrap_err();
        assert_eq!(error.location().unwrap().line, line, "{error}");
    }
    let twice = format!("{ok}{}", &ok[ok.find("  - name").unwrap()..]);
    assert_eq!(
        parse_cases(&twice).unwrap_err().to_string(),
        "line 10, column 5: case `c` is already used; give each its own name"
    );
}
