//! Groups of principals, and roles that include roles.

use hpc_policy::limits::{GROUP_MEMBERS_MAX, GROUPS_MAX};
use hpc_policy::{EvaluationContext, PolicyError, PolicySet, Principal, Resource, parse_policy};

fn groups(spec: &str) -> String {
    format!("apiVersion: policy.horizon.dev/v1\nkind: PolicyGroups\nmetadata: {{name: g}}\nspec:\n{spec}")
}

fn rule(name: &str, effect: &str, principal: &str) -> String {
    format!(
        "    - {{name: {name}, effect: {effect}, principals: [{principal}], \
         resources: [{{type: thing, pattern: \"**\"}}], actions: [use]}}\n"
    )
}

fn policy(rules: &[String]) -> String {
    format!(
        "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  rules:\n{}",
        rules.concat()
    )
}

fn load(spec: &str, rules: &[String]) -> Result<PolicySet, String> {
    PolicySet::parse_documents([("g.yaml", groups(spec)), ("p.yaml", policy(rules))])
        .map_err(|errors| errors.iter().map(PolicyError::to_string).collect::<Vec<_>>().join("; "))
}

fn allowed(set: &PolicySet, principal: Principal) -> bool {
    let asked = EvaluationContext::new(principal, Resource::new("thing", "things/a"), "use");
    let verdict = set.decide(&asked);
    assert_eq!(set.evaluate(&asked).verdict, verdict);
    verdict.is_allowed()
}

const NESTED: &str = "  groups:
    - {name: night, members: [{type: user, value: ann}, {type: team, pattern: 'ops-*'}, {type: group, value: leads}]}
    - {name: leads, members: [{type: user, value: lena}, {type: service, value: robot}, {type: group, value: empty-ish}]}
    - {name: empty-ish, members: [{type: role, value: nobody}]}
";

#[test]
fn members_of_members_are_members() {
    let set = load(NESTED, &[rule("r", "allow", "{type: group, value: night}")]).unwrap();
    for (principal, expected) in [
        (Principal::user("ann"), true),
        (Principal::user("lena"), true),
        (Principal::service("robot"), true),
        (Principal::user("robot"), false),
        (Principal::user("bob").with_team("ops-eu"), true),
        (Principal::user("bob").with_team("ops"), false),
        (Principal::user("bob").with_role("nobody"), true),
        (Principal::user("night"), false),
        (Principal::user("bob").with_role("night").with_team("leads"), false),
    ] {
        assert_eq!(allowed(&set, principal.clone()), expected, "{principal:?}");
    }
    let lower = load(NESTED, &[rule("r", "allow", "{type: group, value: leads}")]).unwrap();
    assert!(!allowed(&lower, Principal::user("ann")), "a member of the outer group is not in the inner one");
}

#[test]
fn a_denied_group_is_denied_whole() {
    let rules = [rule("all", "allow", "{type: any}"), rule("not", "deny", "{type: group, value: night}")];
    let set = load(NESTED, &rules).unwrap();
    assert!(!allowed(&set, Principal::user("lena")));
    assert!(allowed(&set, Principal::user("bob")));
}

#[test]
fn the_index_knows_members_and_holders() {
    let mut rules: Vec<String> =
        (0..40).map(|n| rule(&format!("r{n}"), "allow", &format!("{{type: user, value: u{n}}}"))).collect();
    rules.push(rule("g", "allow", "{type: group, value: night}"));
    rules.push(rule("h", "allow", "{type: role, value: reader}"));
    let spec = format!(
        "{NESTED}  roles:\n    - {{name: admin, includes: [editor]}}\n    - {{name: editor, includes: [reader]}}\n"
    );
    let set = load(&spec, &rules).unwrap();
    for (principal, expected) in [
        (Principal::user("u7"), true),
        (Principal::user("lena"), true),
        (Principal::user("bob").with_team("ops-x"), true),
        (Principal::user("bob").with_role("reader"), true),
        (Principal::user("bob").with_role("admin"), true),
        (Principal::user("bob").with_role("other"), false),
    ] {
        assert_eq!(allowed(&set, principal.clone()), expected, "{principal:?}");
    }
}

#[test]
fn a_role_has_the_rights_and_the_denials_of_those_it_includes() {
    let spec = "  roles:\n    - {name: admin, includes: [editor, auditor]}\n    - {name: editor, includes: [reader]}\n    - {name: auditor, includes: [reader]}\n";
    for (named, role, expected) in [
        ("{type: role, value: reader}", "admin", true),
        ("{type: role, value: reader}", "auditor", true),
        ("{type: role, value: editor}", "reader", false),
        ("{type: role, value: admin}", "editor", false),
        ("{type: role, pattern: 'read*'}", "admin", true),
        ("{type: role, pattern: 'audit*'}", "editor", false),
    ] {
        let set = load(spec, &[rule("r", "allow", named)]).unwrap();
        assert_eq!(allowed(&set, Principal::user("bob").with_role(role)), expected, "{named} {role}");
        let set = load(spec, &[rule("a", "allow", "{type: any}"), rule("r", "deny", named)]).unwrap();
        assert_eq!(allowed(&set, Principal::user("bob").with_role(role)), !expected, "deny {named} {role}");
    }
}

#[test]
fn cycles_and_unknown_groups_are_refused_where_they_stand() {
    let group = |name: &str| rule("r", "allow", &format!("{{type: group, value: {name}}}"));
    for (spec, rules, error) in [
        (
            "  roles:\n    - {name: a, includes: [b]}\n    - {name: b, includes: [c]}\n    - {name: c, includes: [a]}\n",
            vec![rule("r", "allow", "{type: any}")],
            "g.yaml:6:14: `name` is a role that includes itself: a -> b -> c -> a; \
             expected a role that does not lead back to itself",
        ),
        (
            "  roles: [{name: a, includes: [a]}]\n",
            vec![rule("r", "allow", "{type: any}")],
            "g.yaml:5:18: `name` is a role that includes itself: a -> a; \
             expected a role that does not lead back to itself",
        ),
        (
            "  groups:\n    - {name: a, members: [{type: group, value: b}]}\n    - {name: b, members: [{type: group, value: a}]}\n",
            vec![group("a")],
            "g.yaml:6:14: `name` is a group that includes itself: a -> b -> a; \
             expected a group that does not lead back to itself",
        ),
        (
            "  groups: [{name: a, members: [{type: group, value: gone}]}]\n",
            vec![group("a")],
            "g.yaml:5:53: `value` is the group `gone`, which nothing defines; \
             expected a group that a `kind: PolicyGroups` document of the same set defines",
        ),
        (
            "  groups: [{name: a, members: [{type: any}]}]\n",
            vec![group("b")],
            "p.yaml:6:66: `value` is the group `b`, which nothing defines; \
             expected a group that a `kind: PolicyGroups` document of the same set defines",
        ),
        (
            "  groups: [{name: a, members: [{type: any}]}, {name: a, members: [{type: any}]}]\n",
            vec![group("a")],
            "g.yaml:5:54: group `a` is already used; give each its own name",
        ),
    ] {
        assert_eq!(load(spec, &rules).unwrap_err(), error);
    }
    let alone = parse_policy(&policy(&[group("a")])).unwrap_err();
    assert!(alone.to_string().contains("the group `a`, which nothing defines"), "{alone}");
}

#[test]
fn a_condition_on_roles_is_refused_where_roles_include_others() {
    let conditioned = "    - {name: r, effect: deny, principals: [{type: any}], resources: [{type: thing, pattern: \"**\"}], \
                       actions: [use], conditions: [{attribute: principal.roles, op: contains, value: reader}]}\n";
    let spec = "  roles: [{name: admin, includes: [reader]}]\n";
    let error = load(spec, &[conditioned.to_owned()]).unwrap_err();
    assert!(error.contains("p.yaml:6:142: `attribute` is `principal.roles`"), "{error}");
    assert!(load(NESTED, &[conditioned.to_owned()]).is_ok(), "nothing is included here");
}

#[test]
fn as_many_groups_and_members_as_the_limits_say() {
    let many = |count: usize| {
        let one = |n: usize| format!("    - {{name: g{n}, members: [{{type: user, value: u{n}}}]}}\n");
        format!("  groups:\n{}", (0..count).map(one).collect::<String>())
    };
    let rules = [rule("r", "allow", "{type: group, value: g0}")];
    assert!(load(&many(GROUPS_MAX), &rules).is_ok());
    assert!(load(&many(GROUPS_MAX + 1), &rules).unwrap_err().contains("exceeds the limit of 1000"));
    let wide = |members: usize| {
        let mut spec = "  groups:\n    - {name: g0, members: [".to_owned();
        let parts = members.div_ceil(256);
        spec += &(0..parts).map(|n| format!("{{type: group, value: p{n}}}, ")).collect::<String>();
        spec += "]}\n";
        for part in 0..parts {
            let of_part =
                (part * 256..members.min((part + 1) * 256)).map(|n| format!("{{type: user, value: u{n}}}, "));
            spec += &format!("    - {{name: p{part}, members: [{}]}}\n", of_part.collect::<String>());
        }
        spec
    };
    let set = load(&wide(GROUP_MEMBERS_MAX), &rules).unwrap();
    assert!(allowed(&set, Principal::user(format!("u{}", GROUP_MEMBERS_MAX - 1))));
    let error = load(&wide(GROUP_MEMBERS_MAX + 1), &rules).unwrap_err();
    assert!(error.contains("exceeds the limit of 4096"), "{error}");
}

#[test]
fn many_rules_share_a_large_group_and_roles_with_many_holders() {
    // Copied into every rule this would be twenty million principals.
    let members =
        |part: usize| (0..256).map(|n| format!("{{type: user, value: m{part}-{n}}}, ")).collect::<String>();
    let mut spec = "  groups:\n".to_owned();
    for part in 0..16 {
        spec += &format!("    - {{name: p{part}, members: [{}]}}\n", members(part));
    }
    let parts: String = (0..16).map(|part| format!("{{type: group, value: p{part}}}, ")).collect();
    spec += &format!("    - {{name: big, members: [{parts}]}}\n  roles:\n");
    for role in 0..GROUPS_MAX {
        spec += &format!("    - {{name: h{role}, includes: [base]}}\n");
    }
    let mut rules: Vec<String> =
        (0..2_500).map(|n| rule(&format!("g{n}"), "deny", "{type: group, value: big}")).collect();
    rules.extend((0..2_500).map(|n| rule(&format!("b{n}"), "deny", "{type: role, value: base}")));
    rules.push(rule("all", "allow", "{type: any}"));
    let set = load(&spec, &rules).unwrap();
    assert!(!allowed(&set, Principal::user("m15-255")));
    assert!(!allowed(&set, Principal::user("bob").with_role("h999")));
    assert!(allowed(&set, Principal::user("bob").with_role("h1000")));
}
