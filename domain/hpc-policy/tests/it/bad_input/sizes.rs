//! What is too large: refused at its limit, with a place, whatever the rest is like.

use hpc_policy::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX, PATTERN_BYTES_MAX};
use hpc_policy::{EvaluationContext, PolicyError, PolicySet, Principal, Resource, parse_policy};

use super::{GOOD, error};
use crate::{asked, policy};

fn place(error: &PolicyError) -> (u32, u32) {
    error.location().map(|at| (at.line, at.column)).unwrap()
}

#[test]
fn documents() {
    for text in [
        format!("{GOOD}# {}", "x".repeat(10_000_000)),
        "k".repeat(10_000_000),
        "a: &a [*a]\n".repeat(1_000_000),
        "\0".repeat(DOCUMENT_BYTES_MAX + 1),
    ] {
        let error = error(&text);
        assert!(matches!(
            error,
            PolicyError::Limit { what: "the document in bytes", max: DOCUMENT_BYTES_MAX, .. }
        ));
        assert_eq!(place(&error), (1, 1));
    }
    let full = format!("{GOOD}# {}", "x".repeat(DOCUMENT_BYTES_MAX - GOOD.len() - 2));
    assert_eq!(full.len(), DOCUMENT_BYTES_MAX);
    parse_policy(&full).unwrap();
}

#[test]
fn depth() {
    let flow = |depth: usize| format!("{}x{}", "{a: ".repeat(depth), "}".repeat(depth));
    let list = |depth: usize| format!("{}x{}", "[".repeat(depth), "]".repeat(depth));
    let block =
        |depth: usize| -> String { (0..depth).map(|indent| format!("{}a:\n", " ".repeat(indent))).collect() };
    let dashes = |depth: usize| format!("{}x", "- ".repeat(depth));
    let staircase =
        |depth: usize| (0..depth).map(|indent| format!("{}-\n", " ".repeat(indent))).collect::<String>();
    for make in [&flow as &dyn Fn(usize) -> String, &list, &block, &dashes, &staircase] {
        assert!(
            !matches!(error(&make(DOCUMENT_DEPTH_MAX)), PolicyError::Limit { .. }),
            "64 are not too deep"
        );
        for depth in [65, 128, 1_000] {
            let error = error(&make(depth));
            let deep = matches!(
                error,
                PolicyError::Limit { what: "the nesting depth", max: DOCUMENT_DEPTH_MAX, .. }
            );
            assert!(deep, "{depth}: {error}");
        }
    }
    assert_eq!(place(&error(&block(128))), (65, 65));
    assert_eq!(place(&error(&dashes(128))), (1, 129));
    // Never closed, and as deep as a document can be.
    for open in ["[", "{a: ", "- "] {
        let text = open.repeat(DOCUMENT_BYTES_MAX / open.len());
        assert!(matches!(error(&text), PolicyError::Limit { what: "the nesting depth", .. }), "{open}");
    }
}

#[test]
fn keys() {
    // A key without `?` ends within 1024 characters; that is YAML's own rule.
    for key in ["k".repeat(1_025), format!("\"{}\"", "k".repeat(1_025)), "k".repeat(100_000)] {
        let error = error(&GOOD.replace("kind", &key));
        assert!(matches!(error, PolicyError::Syntax { .. }) && place(&error).0 == 2, "{error}");
    }
    let error = error(&format!("? {}\n: x\n", "k".repeat(100_000)));
    assert!(matches!(&error, PolicyError::UnknownField { field, .. } if field.len() < 100), "{error}");
    assert_eq!(place(&error), (1, 3));
}

#[test]
fn patterns() {
    let hard = "*a".repeat(50_000) + "b";
    for (pattern, expected) in [
        (hard.as_str(), "a text in bytes exceeds the limit of 1024; make it smaller or split the document"),
        (
            &"a".repeat(PATTERN_BYTES_MAX + 1),
            "`pattern` is longer than 256 bytes; shorten it; expected a glob",
        ),
    ] {
        let error = error(&GOOD.replace("jobs/*", pattern));
        assert_eq!(error.to_string(), format!("line 10, column 16: {expected}"));
    }
    let error = error(&GOOD.replace(
        "  effect: allow",
        &format!(
            "  effect: allow\n  conditions: [{{attribute: action, op: glob, value: \"{}\"}}]",
            "*a".repeat(129)
        ),
    ));
    let said = "line 13, column 53: `value` is longer than 256 bytes; shorten it; expected a glob";
    assert_eq!(error.to_string(), said);
}

/// The longest pattern against the longest text. That the steps are bounded is counted in `src/glob.rs`; this ends.
#[test]
fn the_hardest_match() {
    let pattern = "*a".repeat(PATTERN_BYTES_MAX / 2 - 1) + "*b";
    assert_eq!(pattern.len(), PATTERN_BYTES_MAX);
    let condition = format!("{{attribute: context.text, op: glob, value: \"{pattern}\"}}");
    let set = PolicySet::parse_documents([("p", policy("allow", &[&condition]))]).unwrap();
    let ask = |text: String| set.decide(&asked().with_attribute("text", text)).is_allowed();
    assert!(!ask("a".repeat(16 * 1024)));
    assert!(ask("a".repeat(16 * 1024 - 1) + "b"));
    // As a resource id, of which 512 bytes are the most.
    let text = GOOD.replace("jobs/*", &pattern);
    let set = PolicySet::parse_documents([("p", text)]).unwrap();
    let ask = |id: String| {
        let principal = Principal::user("u").with_role("gpu-user");
        set.decide(&EvaluationContext::new(principal, Resource::new("job", id), "read")).is_allowed()
    };
    assert!(!ask("a".repeat(512)));
    assert!(ask("a".repeat(511) + "b"));
    assert!(!ask("a".repeat(512) + "b"), "longer than an id can be");
}
