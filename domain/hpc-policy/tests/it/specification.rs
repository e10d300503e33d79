//! The specification's snippet, as it stands there.

use hpc_policy::{EvaluationContext, Principal, Resource, evaluate, parse_policy};

#[test]
fn the_snippet_holds() -> Result<(), Box<dyn std::error::Error>> {
    let policy = r#"
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata:
  name: gpu-access
spec:
  principals:
    - type: role
      value: gpu-user
  resources:
    - type: job
      pattern: "jobs/*"
  actions: ["read", "execute"]
  effect: allow
"#;
    let principal = Principal::user("alice").with_role("gpu-user");
    let resource = Resource::new("job", "jobs/train-1");

    let policy = parse_policy(policy)?;
    let ctx = EvaluationContext::new(principal.clone(), resource.clone(), "execute");
    let allowed = evaluate(&policy, &ctx)?;
    assert!(allowed.is_allowed());
    assert_eq!(allowed.matched.len(), 1);
    assert_eq!(&*allowed.matched[0].rule, "gpu-access");
    assert_eq!(allowed.digest.len(), 64);

    for (principal, resource, action) in [
        (Principal::user("bob"), resource.clone(), "execute"),
        (Principal::user("gpu-user"), resource.clone(), "execute"),
        (principal.clone(), Resource::new("job", "jobs/a/b"), "execute"),
        (principal.clone(), Resource::new("queue", "jobs/train-1"), "execute"),
        (principal.clone(), resource.clone(), "delete"),
        (principal.clone(), resource.clone(), "Execute"),
    ] {
        let ctx = EvaluationContext::new(principal, resource, action);
        assert!(!evaluate(&policy, &ctx)?.is_allowed(), "{ctx:?}");
    }
    Ok(())
}

#[test]
fn a_request_with_two_readings_is_an_error_for_a_lone_policy() {
    let policy = parse_policy(&super::policy("allow", &[])).unwrap();
    for id in [
        "a/../b",
        "a//b",
        "/a",
        "a/",
        "a/./b",
        "a%2fb",
        "a\\b",
        "",
        "caf\u{e9}",
        "cafe\u{301}",
        "a b",
        "a\0b",
        &"a".repeat(513),
    ] {
        let ctx = EvaluationContext::new(Principal::user("alice"), Resource::new("thing", id), "use");
        assert!(evaluate(&policy, &ctx).is_err(), "{id:?}");
    }
}
