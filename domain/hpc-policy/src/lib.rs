//! Authorization policies in YAML: parsed strictly, indexed, decided fail-closed, and explained.
//! Never reads the clock, files, the network or random numbers: the caller passes what is known, "now" included.
//!
//! ```
//! use hpc_policy::{EvaluationContext, Principal, Resource, evaluate, parse_policy};
//!
//! let policy = parse_policy(r#"
//! apiVersion: policy.horizon.dev/v1
//! kind: Policy
//! metadata: {name: small-requests}
//! spec:
//!   principals: [{type: role, value: gpu-user}]
//!   resources: [{type: gpu, pattern: "gpu/*"}]
//!   actions: [capacity.request]
//!   effect: allow
//!   conditions: [{attribute: context.hours, op: lte, value: 8}]
//! "#)?;
//! let alice = Principal::user("alice").with_role("gpu-user");
//! let asked = EvaluationContext::new(alice, Resource::new("gpu", "gpu/h100"), "capacity.request")
//!     .with_attribute("context.hours", 12);
//! let decision = evaluate(&policy, &asked)?;
//! assert!(!decision.is_allowed());
//! assert_eq!(decision.allowed_if()[0].to_string(), "context.hours <= 8");
//! # Ok::<(), hpc_policy::PolicyError>(())
//! ```
//!
//! # How a request is decided
//!
//! A rule *applies* when one of its actions, one of its resources and one of its principals match.
//! Its conditions, all of which must hold, then have one of three truth values: true, false, or **unknown** when an
//! attribute is missing or a comparison has no meaning (a string with an integer, text that is no address, a
//! [`Value::Opaque`]).
//!
//! | rule | conditions true | conditions false | conditions unknown |
//! | --- | --- | --- | --- |
//! | applies, `allow` | allows | nothing | nothing, and says so |
//! | applies, `deny` | **denies** | nothing | **denies**, and says so |
//! | does not apply | nothing | nothing | nothing |
//!
//! | some rule denies | some rule allows | verdict |
//! | --- | --- | --- |
//! | no | no | deny |
//! | no | yes | **allow** |
//! | yes | no | deny |
//! | yes | yes | deny |
//!
//! There is no priority and no precedence of the more specific rule: the order of rules and documents makes no
//! difference. A request that has no single reading (see [`EvaluationContext::check`]) is denied.
//!
//! Nesting follows Kleene's logic, so a deny rule can guard itself with `exists`:
//!
//! | `a` | `b` | `all: [a, b]` | `any: [a, b]` | `not: a` |
//! | --- | --- | --- | --- | --- |
//! | true | true | true | true | false |
//! | true | false | false | true | false |
//! | true | unknown | unknown | true | false |
//! | false | false | false | false | true |
//! | false | unknown | false | unknown | true |
//! | unknown | unknown | unknown | unknown | unknown |
//!
//! # Principals
//!
//! `any`, or `user`, `role`, `team`, `service`, `agent`, `spiffe` with a value or a pattern, or a `group` by name. Groups and
//! the roles that a role includes come from `kind: PolicyGroups` documents of the set and are closed when it is loaded, so
//! only a [`PolicySet`] knows them; [`parse_policy`] refuses a rule for a group.
//!
//! # Schema
//!
//! `kind: PolicySchema` documents declare attributes with their types and actions with the types of their resources. A set
//! whose policies depart from what its documents declare is refused: see [`Schema`]. Requests are not checked against it.
//!
//! # Conditions
//!
//! `{attribute, op, value}` or `{attribute, op, value_from}`, where `value_from` names another attribute whose value is
//! taken literally, never as a pattern.
//! Attributes are `principal.id|type|roles|teams|spiffe_id`, `resource.id|type`, `action`, `context.now` and whatever
//! the caller adds below `principal.`, `resource.`, `action.` and `context.`.
//!
//! | `op` | holds when | `value_from` |
//! | --- | --- | --- |
//! | `eq`, `ne` | same type and (not) the same value; a missing attribute is neither | yes |
//! | `gt`, `gte`, `lt`, `lte` | both integers or both timestamps, in that order | yes |
//! | `in`, `not_in` | the attribute is (not) one of a list | yes |
//! | `contains` | the attribute is a list with this item, or a string with this part | yes |
//! | `starts_with`, `ends_with` | a string begins or ends so | yes, unless empty |
//! | `glob` | the whole string matches: `*` within a segment, `**` across `/` | no |
//! | `exists` | the attribute is there; with `value: false`, it is not; never unknown | no |
//! | `cidr` | an address is in one of the networks; IPv4-mapped IPv6 counts as IPv4 | no |
//! | `time_window` | a timestamp is in `{days, from, to, offset}`, end excluded, past midnight if `from` > `to` | no |
//! | `semver` | a version satisfies a requirement, as Cargo reads it | no |
//! | `range` | an integer is in `{min, max}`, both included | no |
//!
//! # Names and patterns
//!
//! Patterns are anchored and case-sensitive; `*` stands for any characters within one segment, `**` for any characters,
//! both also for none. Segments are separated by `/`, in actions by `.`. `*` alone is refused, because people read it as
//! "everything": write `**`. Matching takes time linear in the text, whatever the pattern.
//! Names are refused, not normalised, if they are empty, contain `%`, `\` or anything outside printable ASCII (so all
//! questions of Unicode normal form and lookalikes end there), or as paths have `.`, `..` or empty segments.
//! Values of attributes are any UTF-8 and compare byte for byte.
//!
//! # Obligations
//!
//! Obligations of every matched rule of the winning effect are combined: of integers the smaller stands (the larger, if
//! the name begins with `min_`), booleans are or-ed, strings are collected. Whoever enforces decisions calls
//! [`Decision::deny_unless_understood`].
//!
//! # Rules that do nothing
//!
//! [`lint()`] finds rules and conditions that can never make a difference, each with a proof that holds for every request.
//!
//! # Features
//!
//! - `serde` (default): `Serialize` on [`Decision`] and everything inside it, and on [`CaseResult`]; both ways on
//!   [`QuestionRecord`] and [`RecordedDecision`].

pub mod analysis;
mod bundle;
mod cases;
mod cidr;
mod condition;
mod condition_parse;
mod context;
mod counterfactual;
mod decision;
mod decode;
mod digest;
mod document;
mod entities;
mod error;
mod explain;
mod fixed_hash;
mod glob;
mod groups;
mod identifier;
mod index;
pub mod limits;
mod lint;
mod narrow;
mod obligation;
mod parallel;
mod parties;
mod path;
mod policy;
mod prefilter;
mod reason;
mod record;
#[cfg(feature = "serde")]
mod record_wire;
mod replay;
mod rule;
mod schema;
mod schema_check;
mod schema_condition;
mod schema_read;
mod schema_scope;
mod segment_trie;
mod set;
mod time_window;
mod value;
mod yaml;

pub use analysis::{
    Coverage, Denial, DiffProgress, DiffReport, Direction, Example, FlipGroup, Gap, Known, Outcome, Part,
    ResourceAnswer, Responsible, RulePlace, SubjectAnswer, WayIn, WayTo, WhatCan, WhoCan, diff, diff_with,
    what_can, who_can,
};
pub use bundle::{
    Accepted, BUNDLE_FORMAT, BundleError, BundleInfo, VerifiedBundle, create_bundle, verify_bundle,
};
pub use cases::{Case, CaseResult, Cases, parse_cases, run_cases};
pub use context::{EvaluationContext, Principal, PrincipalKind, Resource};
pub use decision::{
    AllowedIf, Change, ConditionReport, Decision, EvaluationError, NearMiss, Reason, ReasonCode, RuleOutcome,
    Seen, TraceLine, TraceResult, Verdict,
};
pub use entities::Entities;
pub use error::{Location, PolicyError};
pub use lint::{Finding, FindingKind, LintReport, OtherRule, Severity, lint};
pub use policy::{API_VERSION, Policy, RuleSummary, evaluate, parse_policy};
pub use record::{DECISION_FORMAT, QUESTION_FORMAT, QuestionRecord, RecordedDecision};
pub use replay::{Flip, LoggedDecision, ObligationChange, Replay, ReplayReport, Unreadable, replay};
pub use rule::Effect;
pub use schema::{AttributeType, ScalarType, Schema};
pub use set::PolicySet;
pub use value::Value;
