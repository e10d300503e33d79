//! The public face of the policy engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod analysis_limits;
mod bad_input;
mod bundle;
mod diff;
mod entities;
mod examples;
mod explain;
mod groups;
mod lint;
mod lint_random;
mod long_lists;
mod operators;
mod random;
mod record;
mod reference;
mod replay;
mod schema;
mod schema_edges;
mod seeds;
mod sets;
mod specification;
mod truth_table;
mod ways;

use hpc_policy::{EvaluationContext, Principal, Resource};

/// A policy with one rule over everything, with the given effect and conditions (YAML flow items, one a line).
fn policy(effect: &str, conditions: &[&str]) -> String {
    format!(
        "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  rules:\n{}",
        rule("r", effect, conditions)
    )
}

/// One rule for [`policy`]-like documents.
fn rule(name: &str, effect: &str, conditions: &[&str]) -> String {
    let mut text = format!(
        "    - name: {name}\n      effect: {effect}\n      principals: [{{type: any}}]\n      \
         resources: [{{type: thing, pattern: \"**\"}}]\n      actions: [\"**\"]\n"
    );
    if !conditions.is_empty() {
        text.push_str("      conditions:\n");
        for condition in conditions {
            text.push_str(&format!("        - {condition}\n"));
        }
    }
    text
}

/// Several rules over everything, in one policy.
fn policy_of(rules: &[String]) -> String {
    format!(
        "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  rules:\n{}",
        rules.concat()
    )
}

/// A request that every rule of [`policy`] applies to.
fn asked() -> EvaluationContext {
    EvaluationContext::new(Principal::user("alice"), Resource::new("thing", "things/a"), "use")
}
