//! Line by line: what is refused, as which error, where, and in which words.

use hpc_policy::PolicyError;

use super::{GOOD, error};

/// The name of the error's variant.
fn variant(error: &PolicyError) -> &'static str {
    match error {
        PolicyError::Syntax { .. } => "Syntax",
        PolicyError::Refused { .. } => "Refused",
        PolicyError::Limit { .. } => "Limit",
        PolicyError::DuplicateKey { .. } => "DuplicateKey",
        PolicyError::UnknownField { .. } => "UnknownField",
        PolicyError::MissingField { .. } => "MissingField",
        PolicyError::Invalid { .. } => "Invalid",
        other => panic!("not about one document: {other:?}"),
    }
}

/// `text` is refused; `(line, column)` and the rest of the message.
fn check(text: &str, wanted: &str, at: (u32, u32), said: &str) {
    let error = error(text);
    let shown: String = text.chars().take(600).collect();
    assert_eq!(variant(&error), wanted, "{error}\n{shown}");
    assert_eq!(error.location().map(|at| (at.line, at.column)), Some(at), "{error}\n{shown}");
    assert_eq!(error.to_string(), format!("line {}, column {}: {said}", at.0, at.1), "{shown}");
}

/// The good document with one piece changed.
fn changed(from: &str, to: &str, wanted: &str, at: (u32, u32), said: &str) {
    assert!(GOOD.contains(from), "{from}");
    check(&GOOD.replace(from, to), wanted, at, said);
}

/// A condition's value.
fn value(word: &str, wanted: &str, column: u32, said: &str) {
    let condition =
        format!("  effect: allow\n  conditions: [{{attribute: context.v, op: eq, value: {word}}}]");
    changed("  effect: allow", &condition, wanted, (13, column), said);
}

/// The pattern of the resource, in double quotes.
fn pattern(pattern: &str, said: &str) {
    changed("jobs/*", pattern, "Invalid", (10, 16), &format!("`pattern` is {said}"));
}

const RULE_FIELDS: &str = "expected `rules`, `effect`, `principals`, `resources`, `actions`, `conditions`, \
                           `obligations`, `advice`, `owner`, `message`";
const ROOT_FIELDS: &str = "expected `apiVersion`, `kind`, `metadata`, `spec`, `cases`";
const ANCHORS: &str =
    "anchors are not allowed in a policy; write the value out, or quote text that begins with `&`";
const ALIASES: &str =
    "aliases are not allowed in a policy; write the value out, or quote text that begins with `*`";
const MERGE: &str = "merge keys are not allowed in a policy; write the fields out";
const TAGS: &str = "tags are not allowed in a policy; leave the tag away, or quote text that begins with `!`";
const SECOND: &str = "a second document is not allowed in a policy; put each policy in its own document";
const EMPTY: &str = "not valid YAML: the document is empty";

#[test]
fn keys_given_twice() {
    for key in ["kind", "\"kind\"", "'kind'", "\"ki\\u006ed\"", "? kind\n"] {
        let column = if key.starts_with('?') { 3 } else { 1 };
        let said = "key `kind` is given twice, first on line 2; keep one";
        changed(
            "kind: Policy\n",
            &format!("kind: Policy\n{key}: Policy\n"),
            "DuplicateKey",
            (3, column),
            said,
        );
    }
    let twice = "key `value` is given twice, first on line 7; keep one";
    changed("value: gpu-user", "value: gpu-user, value: admin", "DuplicateKey", (7, 37), twice);
    // In a large mapping, which keeps a table of its keys.
    let many: String = (0..40).map(|n| format!("a{n}: 1, ")).collect();
    let obligations = format!("  effect: allow\n  obligations: {{{many}a7: 2}}");
    let twice = "key `a7` is given twice, first on line 13; keep one";
    changed("  effect: allow", &obligations, "DuplicateKey", (13, 327), twice);
    // The message is as short as any, and harmless.
    let long = format!("? \"\\e{0}\"\n: 1\n? \"\\e{0}\"\n: 1\n", "k".repeat(5_000));
    let said = format!("key `\u{fffd}{}...` is given twice, first on line 1; keep one", "k".repeat(79));
    check(&long, "DuplicateKey", (3, 3), &said);
}

#[test]
fn fields_that_do_not_exist() {
    for (key, shown) in [
        ("extra", "extra"),
        ("1", "1"),
        ("true", "true"),
        ("~", "~"),
        ("\"\"", ""),
        ("''", ""),
        ("Spec", "Spec"),
    ] {
        let near = if key == "Spec" { "; did you mean `spec`?" } else { "" };
        let said = format!("unknown field `{shown}`; {ROOT_FIELDS}{near}");
        check(&format!("{GOOD}{key}: 1\n"), "UnknownField", (13, 1), &said);
    }
    for field in ["priority", "__proto__", "\"<<\""] {
        let said = format!("unknown field `{}`; {RULE_FIELDS}", field.trim_matches('"'));
        changed("  effect: allow", &format!("  effect: allow\n  {field}: 1"), "UnknownField", (13, 3), &said);
    }
    let said = format!("unknown field `Effect`; {RULE_FIELDS}; did you mean `effect`?");
    changed("  effect: allow", "  Effect: allow", "UnknownField", (12, 3), &said);
    let said = "unknown field `labels`; expected `name`, `description`, `owner`";
    changed("  name: p", "  name: p\n  labels: {}", "UnknownField", (5, 3), said);
    let condition = "expected `attribute`, `op`, `value`, `value_from`";
    value("1, negate: true", "UnknownField", 57, &format!("unknown field `negate`; {condition}"));
    // A comma in a number ends it.
    value("1,000", "UnknownField", 56, &format!("unknown field `000`; {condition}"));
    let said = "unknown field `type:role`; expected `type`, `value`, `pattern`";
    changed("{type: role, value: gpu-user}", "{type:role, value:gpu-user}", "UnknownField", (7, 8), said);
}

#[test]
fn what_yaml_has_and_policies_do_not() {
    // The place is that of the value behind the anchor or tag.
    changed("metadata:\n", "metadata: &m\n", "Refused", (4, 3), ANCHORS);
    changed("kind: Policy", "&k kind: Policy", "Refused", (2, 4), ANCHORS);
    changed("kind: Policy", "kind: &k Policy", "Refused", (2, 10), ANCHORS);
    changed("- {type: role", "- &x {type: role", "Refused", (7, 10), ANCHORS);
    changed("kind: Policy", "kind: *k", "Refused", (2, 7), ALIASES);
    changed("kind: Policy", "*k : Policy", "Refused", (2, 1), ALIASES);
    changed("[read]", "[*k]", "Refused", (11, 13), ALIASES);
    for merged in ["*k", "{effect: allow}", "[{effect: allow}]", "~"] {
        changed("  effect: allow", &format!("  <<: {merged}"), "Refused", (12, 3), MERGE);
    }
    for (tagged, column) in [
        ("!!python/object/apply:os.system [ls]", 86),
        ("!!binary aGk=", 63),
        ("!custom x", 62),
        ("!!int \"8\"", 60),
        ("!!float 8", 62),
        ("!!null x", 61),
        ("!<tag:yaml.org,2002:str> x", 79),
        ("! x", 56),
        ("!!str", 59),
        ("!!map {}", 60),
        ("!!set {a}", 60),
    ] {
        value(tagged, "Refused", column, TAGS);
    }
    value("!e!x y", "Syntax", 54, "not valid YAML: the handle wasn't declared");
    changed("kind: Policy", "!!str kind: Policy", "Refused", (2, 7), TAGS);
    check(&format!("--- !!map\n{GOOD}"), "Refused", (2, 1), TAGS);
    for directive in ["%YAML 1.2", "%YAML 1.1", "%TAG ! tag:x,2026:"] {
        let text = format!("{directive}\n---\n{GOOD}");
        check(&text, "Syntax", (1, 1), "not valid YAML: YAML directives are disallowed");
    }
    check(&format!("{GOOD}---\n{GOOD}"), "Refused", (13, 1), SECOND);
    check(&format!("{GOOD}---\n"), "Refused", (13, 1), SECOND);
    check(&format!("{GOOD}...\nfoo: bar\n"), "Refused", (14, 1), SECOND);
    check(&"---\n".repeat(100_000), "Refused", (2, 1), SECOND);
}

#[test]
fn bombs_stop_at_their_first_anchor() {
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (one, next) in ('a'..'i').zip('b'..) {
        let nine = vec![format!("*{one}"); 9].join(", ");
        laughs.push_str(&format!("{next}: &{next} [{nine}]\n"));
    }
    check(&laughs, "Refused", (1, 7), ANCHORS);
    let quadratic = format!("a: &a {}\nb: [{}]\n", "x".repeat(10_000), "*a, ".repeat(10_000));
    check(&quadratic, "Refused", (1, 7), ANCHORS);
    let itself = "a: &a [*a]\n";
    check(itself, "Refused", (1, 7), ANCHORS);
}

#[test]
fn values_with_two_readings() {
    let numbers = [
        "012", "1e3", "1_000", ".5", "5.", "0x10", "0o17", "0b11", "+1", "-0", "00", "1e400", "0.1", "1__0",
        "1e",
    ];
    for word in numbers.into_iter().chain([".nan", ".NaN", ".inf", "-.inf", "-.5", "+0x1f"]) {
        let said = format!(
            "`value` is `{word}`, which readers of YAML take for different numbers; expected a plain whole number \
             such as `12`, or quotes around a string"
        );
        value(word, "Invalid", 54, &said);
    }
    for word in ["~", "null", "Null", "NULL"] {
        value(word, "Invalid", 54, "`value` is empty or null; expected a value");
    }
    value("", "Invalid", 52, "`value` is empty or null; expected a value");
    for word in ["True", "TRUE", "False", "FALSE"] {
        let said = format!(
            "`value` is `{word}`; expected `true` or `false` in small letters, or quotes around a string"
        );
        value(word, "Invalid", 54, &said);
    }
    for word in ["9223372036854775808", "-9223372036854775809", "100000000000000000000000000000000000000000"]
    {
        let said = format!("`value` is `{word}`; expected an integer of at most 64 bits");
        value(word, "Invalid", 54, &said);
    }
    for (written, shown) in [
        ("\"2026-11-02\"", "2026-11-02"),
        ("2026-13-01T00:00:00Z", "2026-13-01T00:00:00Z"),
        ("\"2026-11-02T10:00:00\"", "2026-11-02T10:00:00"),
        ("\"99999-01-01T00:00:00Z\"", "99999-01-01T00:00:00Z"),
        ("8", "8"),
    ] {
        let said = format!("`value` is `{shown}`; expected an RFC 3339 time such as `2026-11-02T10:00:00Z`");
        value(&format!("{{timestamp: {written}}}"), "Invalid", 54, &said);
    }
    for written in ["999.1.1.1", "10.0.0.1/8", "010.0.0.1", "10.1", "0x0a.0.0.1", "localhost"] {
        let said = format!("`value` is `{written}`; expected an IPv4 or IPv6 address");
        value(&format!("{{ip: {written}}}"), "Invalid", 54, &said);
    }
    for mapping in ["{}", "{ip: 1.2.3.4, timestamp: x}", "{ip: [1]}", "{float: 1.5}"] {
        let said = "`value` is a mapping; expected a scalar, a list, `{timestamp: ..}` or `{ip: ..}`";
        value(mapping, "Invalid", 54, said);
    }
    let mixed = "`value` is a value that mixes types; use one type in a list; expected a smaller or more uniform value";
    value("[1, a]", "Invalid", 54, mixed);
    value("[8, \"8\"]", "Invalid", 54, mixed);
    let nested = "`value` is a value that is a list of lists; use one flat list; expected a smaller or more uniform value";
    value("[[1]]", "Invalid", 54, nested);
    value("-", "Syntax", 54, "not valid YAML: plain scalar cannot start with '-' followed by ,[]{}");
}

#[test]
fn names_with_two_readings() {
    let without = "expected a name without that";
    for path in ["jobs/../x", "jobs/./x", "../x", "**/..", "jobs/.."] {
        pattern(
            path,
            &format!("`{path}`, which has a `.` or `..` segment; send the resolved path; {without}"),
        );
    }
    // An escape is decoded by YAML before anybody looks.
    let dots = format!("`jobs/../x`, which has a `.` or `..` segment; send the resolved path; {without}");
    pattern("jobs/\\u002e\\u002e/x", &dots);
    for path in ["jobs//x", "/jobs", "jobs/", "/", "//"] {
        let said = "which has an empty segment; leave out leading, trailing and double `/`";
        pattern(path, &format!("`{path}`, {said}; {without}"));
    }
    for path in ["jobs/%2e%2e/x", "jobs/%2F", "%", "jobs/%c0%ae"] {
        pattern(path, &format!("`{path}`, which contains `%`; send the decoded name; {without}"));
    }
    pattern("jobs\\\\x", &format!("`jobs\\x`, which contains `\\`; separate segments by `/`; {without}"));
    for (written, shown) in [
        ("jobs/caf\u{e9}", "jobs/caf\u{e9}"),     // composed
        ("jobs/cafe\u{301}", "jobs/cafe\u{301}"), // decomposed: the same to the eye
        ("j\u{43e}bs/x", "j\u{43e}bs/x"),         // a Cyrillic o
        ("\u{ff4a}obs/x", "\u{ff4a}obs/x"),       // a full-width j
        ("jobs\u{2044}x", "jobs\u{2044}x"),       // a fraction slash
        ("jobs/\u{200b}x", "jobs/\u{fffd}x"),     // no width
        ("jobs/\u{202e}x", "jobs/\u{fffd}x"),     // right to left
        ("jobs/\u{2066}x", "jobs/\u{fffd}x"),     // isolate
        ("jobs/\\ufeffx", "jobs/\u{fffd}x"),      // a byte order mark
        ("jobs/a b", "jobs/a b"),
        ("jobs/\\0", "jobs/\u{fffd}"),
        ("jobs/\\n", "jobs/\u{fffd}"),
        ("jobs/\\x7f", "jobs/\u{fffd}"),
    ] {
        let said = "which contains a character outside printable ASCII; use letters, digits and punctuation";
        pattern(written, &format!("`{shown}`, {said}; {without}"));
    }
    for lone in ["\\ud800", "\\udc00", "\\ud800x"] {
        let error = error(&GOOD.replace("jobs/*", lone));
        assert!(
            matches!(&error, PolicyError::Syntax { at, .. } if (at.line, at.column) == (10, 16)),
            "{error}"
        );
    }
    pattern("", &format!("``, which is empty; give a name; {without}"));
    pattern("jobs/***", "ambiguous: `***`; write `*` for one segment or `**` for any; expected a glob");
    for special in ["jobs/[a]", "jobs/a?", "jobs/{a,b}"] {
        let said = "using `?`, `[`, `{` or `\\`; only `*` and `**` are special, so write the cases out; expected a glob";
        pattern(special, said);
    }
    let control = "which contains a character outside printable ASCII; use letters, digits and punctuation";
    changed(
        "name: p",
        "name: |\n    p",
        "Invalid",
        (5, 5),
        &format!("`name` is `p\u{fffd}`, {control}; {without}"),
    );
    changed(
        "name: p",
        "name: p\n    q",
        "Invalid",
        (4, 9),
        &format!("`name` is `p q`, {control}; {without}"),
    );
}

#[test]
fn bytes_that_act_on_terminals() {
    for (text, column, shown) in
        [("Pol\0icy", 10, "\\u{0}"), ("Pol\u{1}icy", 7, "\\u{1}"), ("Pol\u{7f}icy", 7, "\\u{7f}")]
    {
        let said = format!("not valid YAML: unexpected character: `{shown}'");
        changed("kind: Policy", &format!("kind: {text}"), "Syntax", (2, column), &said);
    }
    check(&format!("{GOOD}\0"), "Syntax", (13, 1), "not valid YAML: unexpected character: `\\u{0}'");
    check(&format!("{GOOD}# \u{1}\n"), "Syntax", (13, 3), "not valid YAML: unexpected character: `\\u{1}'");
    // Written as escapes they are YAML, and still not text for people.
    for (escape, code) in [
        ("\\e[31m", "001B"),
        ("\\0", "0000"),
        ("\\r", "000D"),
        ("\\x9b", "009B"),
        ("\\u202e", "202E"),
        ("\\u2066", "2066"),
    ] {
        let said = format!(
            "`message` is text with the character U+{code}; expected text without control characters and turns of \
             direction; line breaks and tabs are fine"
        );
        let message = format!("  effect: allow\n  message: \"a{escape}b\"");
        changed("  effect: allow", &message, "Invalid", (13, 12), &said);
    }
    for separator in ['\u{85}', '\u{2028}'] {
        // Not a line break in YAML 1.2, so no second field begins here.
        let said = "not valid YAML: mapping values are not allowed in this context";
        changed("kind: Policy", &format!("kind: Policy{separator}effect: allow"), "Syntax", (2, 20), said);
    }
    for place in ["\u{feff}kind: Policy", "kind: \u{feff}Policy"] {
        let column = if place.starts_with('k') { 7 } else { 1 };
        let said = "not valid YAML: a BOM must not appear inside a document";
        changed("kind: Policy", place, "Syntax", (2, column), said);
    }
    let said = "not valid YAML: tabs disallowed within this context (block indentation)";
    changed("  effect: allow", "\teffect: allow", "Syntax", (12, 2), said);
}

#[test]
fn shapes() {
    for text in ["", " ", "\n", "\r\n", "# only a comment", "# two\n# of them\n", "...", "\u{feff}"] {
        check(text, "Syntax", (1, 1), EMPTY);
    }
    check(&"#\n".repeat(400_000), "Syntax", (1, 1), EMPTY);
    let mapping = "expected a mapping with `apiVersion`, `kind`, `metadata`, `spec`, `cases`";
    for (text, shown) in [
        ("~", "empty or null"),
        ("null", "empty or null"),
        ("\"\"", "the text ``"),
        ("|", "the text ``"),
        ("8", "the text `8`"),
        ("a", "the text `a`"),
        ("[]", "a list"),
        ("- a", "a list"),
        ("-", "a list"),
    ] {
        check(text, "Invalid", (1, 1), &format!("`the document` is {shown}; {mapping}"));
    }
    check(
        "{}",
        "MissingField",
        (1, 1),
        "missing field `apiVersion`; write `apiVersion: policy.horizon.dev/v1`",
    );
    check("?", "UnknownField", (1, 2), &format!("unknown field `~`; {ROOT_FIELDS}"));
    for (text, said) in [
        ("'", "unclosed quote"),
        ("`", "unexpected character: ``'"),
        ("@", "unexpected character: `@'"),
        ("]", "misplaced bracket"),
        ("&", "while scanning an anchor or alias, did not find expected alphabetic or numeric character"),
        ("*", "while scanning an anchor or alias, did not find expected alphabetic or numeric character"),
    ] {
        check(text, "Syntax", (1, 1), &format!("not valid YAML: {said}"));
    }
    for (from, to, wanted, at, said) in [
        ("kind: Policy", "? [a]\n: Policy", "Syntax", (2, 3), "not valid YAML: a key must be text"),
        ("kind: Policy", "{a: b}: Policy", "Syntax", (2, 1), "not valid YAML: a key must be text"),
        ("[read]", "[\"read]", "Syntax", (11, 13), "not valid YAML: unclosed quote"),
        (
            "[read]",
            "[read, ~]",
            "Invalid",
            (11, 19),
            "`actions` is empty or null; expected text; quote it if the word is meant",
        ),
        ("[read]", "[a: b]", "Invalid", (11, 13), "`actions` is a mapping; expected text"),
        ("kind: Policy", "kind: Policy#c", "Invalid", (2, 7), "`kind` is `Policy#c`; expected `Policy`"),
        ("value: gpu-user", "value: {a: b}", "Invalid", (7, 27), "`value` is a mapping; expected text"),
        (
            "{type: role, value: gpu-user}",
            "{type, value}",
            "Invalid",
            (7, 12),
            "`type` is empty or null; expected text; quote it if the word is meant",
        ),
        (
            "{type: role, value: gpu-user}",
            "role:gpu-user",
            "Invalid",
            (7, 7),
            "`a principal` is the text `role:gpu-user`; expected a mapping with `type`, `value`, `pattern`",
        ),
        (
            "  effect: allow",
            " effect: allow",
            "Syntax",
            (12, 2),
            "not valid YAML: while parsing a block mapping, did not find expected key",
        ),
        (
            "  effect: allow",
            "   effect: allow",
            "Syntax",
            (12, 4),
            "not valid YAML: while parsing a block mapping, did not find expected key",
        ),
    ] {
        changed(from, to, wanted, at, said);
    }
}
