//! Every limit of the package, in one place.

/// Largest policy or case document, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting of lists and mappings in a document.
pub const DOCUMENT_DEPTH_MAX: usize = 64;
/// Most YAML nodes (scalars, lists, mappings) in a document.
pub const DOCUMENT_NODES_MAX: usize = 250_000;
/// Most documents in a [`PolicySet`](crate::PolicySet).
pub const DOCUMENTS_MAX: usize = 10_000;
/// Most rules in a [`PolicySet`](crate::PolicySet), over all documents.
pub const RULES_MAX: usize = 200_000;
/// Most entries in a rule's `principals`, `resources` or `actions` list.
pub const SCOPE_ITEMS_MAX: usize = 256;
/// Most conditions in one rule, counting every leaf of the nesting.
pub const CONDITIONS_MAX: usize = 64;
/// Deepest nesting of `all`, `any` and `not` in one rule.
pub const CONDITION_DEPTH_MAX: usize = 8;
/// Longest glob pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 256;
/// Longest name, principal id, resource type, resource id, action or attribute path, in bytes.
pub const IDENTIFIER_BYTES_MAX: usize = 512;
/// Longest free text (`message`, `description`), in bytes.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Longest string value of an attribute or a literal, in bytes.
pub const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Most items in a list value.
pub const VALUE_ITEMS_MAX: usize = 1024;
/// Most attributes on one principal, resource, action or context.
pub const ATTRIBUTES_MAX: usize = 256;
/// Most bytes of attribute values in one request, over principal, resource, action and context.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Most roles, and most teams, of one principal.
pub const MEMBERSHIPS_MAX: usize = 256;
/// Most obligations, and most pieces of advice, of one rule.
pub const OBLIGATIONS_MAX: usize = 32;
/// Most rules looked at that a decision lists in its trace; the rest are counted.
pub const TRACE_LINES_MAX: usize = 1_000;
/// Most condition reports in the trace, and as many again in the list of matched rules.
pub const CONDITION_REPORTS_MAX: usize = 4_096;
/// Longest string, in characters, that a report of what a condition saw repeats; longer ones are cut.
pub const SEEN_CHARACTERS_MAX: usize = 256;
/// Most items of a list that a report of what a condition saw repeats.
pub const SEEN_ITEMS_MAX: usize = 16;
/// Most near misses that a decision lists.
pub const NEAR_MISSES_MAX: usize = 64;
/// Most ways to get an allow that a refusal lists.
pub const ALLOWED_IF_MAX: usize = 8;
/// Most subjects, and most resources, that a [`PolicySet`](crate::PolicySet) knows, over all documents.
pub const ENTITIES_MAX: usize = 100_000;
/// Most actions that a [`PolicySet`](crate::PolicySet) knows by name, over all documents.
pub const ENTITY_ACTIONS_MAX: usize = 10_000;
/// Most attributes that the schema of a [`PolicySet`](crate::PolicySet) declares, over all documents.
pub const SCHEMA_ATTRIBUTES_MAX: usize = 1_000;
/// Most actions that the schema of a [`PolicySet`](crate::PolicySet) declares, over all documents.
pub const SCHEMA_ACTIONS_MAX: usize = 1_000;
/// Most obligations that the schema of a [`PolicySet`](crate::PolicySet) declares, over all documents.
pub const SCHEMA_OBLIGATIONS_MAX: usize = 1_000;
/// Most values that a schema lists for one attribute or obligation.
pub const SCHEMA_VALUES_MAX: usize = 1_000;
/// Most departures from the schema that a load reports; the rest show once these are mended.
pub const SCHEMA_MISTAKES_MAX: usize = 1_000;
/// Most test cases in one case document.
pub const CASES_MAX: usize = 10_000;
/// Most reasons that a recorded decision keeps.
pub const RECORDED_REASONS_MAX: usize = 16;
/// Most bytes of a reason that a recorded decision keeps.
pub const RECORDED_REASON_BYTES_MAX: usize = 512;
/// Most flips, and most obligation changes, that a replay report lists; the rest are counted.
pub const FLIPS_MAX: usize = 100_000;
/// Most unreadable and incomplete records that a replay report names; the rest are counted.
pub const REPLAY_NAMED_MAX: usize = 1_000;
/// Most bytes of a bundle: 64 MiB.
pub const BUNDLE_BYTES_MAX: usize = 64 << 20;
/// Most documents in a bundle.
pub const BUNDLE_DOCUMENTS_MAX: usize = 1_024;
/// Longest name of a bundle, and of a document in one, in bytes.
pub const BUNDLE_NAME_BYTES_MAX: usize = 255;
/// Most groups, and most roles that include others, in a set.
pub const GROUPS_MAX: usize = 1_000;
/// Most members of a group, those of the groups in it included.
pub const GROUP_MEMBERS_MAX: usize = 4_096;
/// Most roles that one role includes, not counting what those include.
pub const ROLE_INCLUDES_MAX: usize = 64;
/// Most states of patterns followed side by side, in an analysis of policies.
pub const ANALYSIS_STATES_MAX: usize = 4_096;
/// Most looks at a rule or a condition of one in one comparison of two sets.
pub const DIFF_LOOKS_MAX: u64 = 100_000_000;
/// Most combinations of principal, resource and action that are tried for one changed rule.
pub const DIFF_BASES_MAX: usize = 50_000;
/// Most looks at a rule or a condition in the search for attribute values of one such combination.
pub const DIFF_LOOKS_OF_ONE_MAX: u64 = 1_000_000;
/// Most groups of flips that a comparison lists; the rest are counted.
pub const DIFF_GROUPS_MAX: usize = 1_000;
/// Most rules that one group of flips names for each side; the rest are counted.
pub const DIFF_RULES_NAMED_MAX: usize = 16;
/// Most gaps that a comparison names.
pub const DIFF_GAPS_MAX: usize = 64;
/// Most ways that `who_can` and `what_can` list; the rest are counted.
pub const WAYS_MAX: usize = 10_000;
/// Most denials listed with one such way; the rest are counted.
pub const WAY_DENIALS_MAX: usize = 64;
/// Most listed subjects or resources that are asked about one by one.
pub const EXACT_MAX: usize = 20_000;
/// Most ways to choose between alternatives that one proof about a rule goes through; one that needs more is not made.
pub const REASON_CASES_MAX: usize = 256;
/// Most steps of several patterns side by side that one proof goes through; one that needs more is not made.
pub const REASON_STATES_MAX: usize = 2_048;
/// Most work, in small steps, that [`lint`](crate::lint()) does on one set; then it stops looking for more and says so.
pub const LINT_STEPS_MAX: u64 = 100_000_000;
/// Most pairs of rules that [`lint`](crate::lint()) looks at in one set; then it stops comparing and says so.
pub const LINT_PAIRS_MAX: u64 = 2_000_000;
/// Most findings that [`lint`](crate::lint()) lists; the rest are counted.
pub const LINT_FINDINGS_MAX: usize = 10_000;
