use std::collections::BTreeMap;

use hpc_config::{
    DEPTH_MAX, FILE_BYTES_MAX, Format, Problem, parse_document, parse_document_named, read_document,
};
use hpc_error::HpcError;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    gpus: u32,
    model: String,
    #[serde(default)]
    spot: bool,
    #[serde(default)]
    max_hourly: Option<f64>,
    #[serde(default)]
    regions: Vec<String>,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    nested: Option<Nested>,
}

#[derive(Debug, PartialEq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    OnDemand,
    Spot,
    Block {
        hours: u8,
    },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nested {
    items: Vec<Item>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    size: u8,
}

const YAML: &str = "# a request\ngpus: 8\nmodel: h100\nspot: true\nmax_hourly: 30.5\nregions: [us-east-1, eu-west-1]\nkind:\n  block: {hours: 3}\nlabels: {team: ml}\nnested:\n  items:\n    - size: 1\n    - size: 2\n";
const TOML: &str = "gpus = 8\nmodel = \"h100\"\nspot = true\nmax_hourly = 30.5\nregions = [\"us-east-1\", \"eu-west-1\"]\nkind.block.hours = 3\n[labels]\nteam = \"ml\"\n[[nested.items]]\nsize = 1\n[[nested.items]]\nsize = 2\n";
const JSON: &str = r#"{"gpus": 8, "model": "h\u0031\u003000", "spot": true, "max_hourly": 30.5,
  "regions": ["us-east-1", "eu-west-1"], "kind": {"block": {"hours": 3}}, "labels": {"team": "ml"},
  "nested": {"items": [{"size": 1}, {"size": 2}]}}"#;

fn yaml(text: &str) -> String {
    parse_document::<Request>(text, Format::Yaml).unwrap_err().to_string()
}

fn toml(text: &str) -> String {
    parse_document::<Request>(text, Format::Toml).unwrap_err().to_string()
}

fn json(text: &str) -> String {
    parse_document::<Request>(text, Format::Json).unwrap_err().to_string()
}

#[test]
fn the_three_formats_say_the_same() {
    let expected = Request {
        gpus: 8,
        model: "h100".into(),
        spot: true,
        max_hourly: Some(30.5),
        regions: vec!["us-east-1".into(), "eu-west-1".into()],
        kind: Kind::Block { hours: 3 },
        labels: BTreeMap::from([("team".into(), "ml".into())]),
        nested: Some(Nested { items: vec![Item { size: 1 }, Item { size: 2 }] }),
    };
    assert_eq!(parse_document::<Request>(YAML, Format::Yaml).unwrap(), expected);
    assert_eq!(parse_document::<Request>(TOML, Format::Toml).unwrap(), expected);
    let json = JSON.replace("h\\u0031\\u003000", "h\\u003100");
    assert_eq!(parse_document::<Request>(json, Format::Json).unwrap(), expected);
}

#[test]
fn unknown_fields_have_a_place_and_a_suggestion() {
    assert_eq!(yaml("model: a\ngpu: 8\n"), "line 2, column 1: `gpu`: unknown field, did you mean `gpus`?");
    assert_eq!(
        toml("model = \"a\"\ngpu = 8\n"),
        "line 2, column 1: `gpu`: unknown field, did you mean `gpus`?"
    );
    assert_eq!(
        json("{\"model\": \"a\",\n \"gpu\": 8}"),
        "line 2, column 9: `gpu`: unknown field, did you mean `gpus`?"
    );
    let deep = "gpus: 1\nmodel: a\nnested:\n  items:\n    - size: 1\n    - sise: 2\n";
    assert_eq!(yaml(deep), "line 6, column 7: `nested.items[1].sise`: unknown field, did you mean `size`?");
    assert!(yaml("gpus: 1\nmodel: a\nzzzzzzzz: 1\n").contains("known are `gpus`, `model`"));
}

#[test]
fn missing_and_wrong_values_have_a_place() {
    assert_eq!(yaml("gpus: 8\n"), "missing field `model`");
    let nested = "gpus: 1\nmodel: a\nnested:\n  items:\n    - {}\n";
    assert_eq!(yaml(nested), "line 5, column 7: `nested.items[0]`: missing field `size`");
    assert_eq!(
        yaml("gpus: many\nmodel: a\n"),
        "line 1, column 1: `gpus`: expected a whole number from 0 to 4294967295, found text"
    );
    assert_eq!(
        yaml("gpus: -1\nmodel: a\n"),
        "line 1, column 1: `gpus`: expected a whole number from 0 to 4294967295"
    );
    assert_eq!(
        yaml("gpus: 1.5\nmodel: a\n"),
        "line 1, column 1: `gpus`: expected a whole number from 0 to 4294967295, found a number"
    );
    assert_eq!(yaml("gpus: 1\nmodel: [a]\n"), "line 2, column 1: `model`: expected text, found a list");
    assert_eq!(
        yaml("gpus: 1\nmodel: a\nkind: spto\n"),
        "line 3, column 1: `kind`: unknown name, did you mean `spot`?"
    );
    assert_eq!(
        yaml("gpus: 1\nmodel: a\nkind: {block: {hours: 300}}\n"),
        "line 3, column 16: `kind.block.hours`: expected a whole number from 0 to 255"
    );
    assert_eq!(yaml("- 1\n"), "line 1, column 1: expected a map of keys, found a list");
    assert_eq!(yaml(""), "missing field `gpus`");
    assert_eq!(json(" \n"), "missing field `gpus`");
    assert_eq!(yaml("# nothing\n\n"), "missing field `gpus`");
}

#[test]
fn duplicate_keys_are_refused() {
    for error in [
        parse_document::<Request>("gpus: 1\nmodel: a\ngpus: 2\n", Format::Yaml),
        parse_document::<Request>("gpus = 1\nmodel = \"a\"\ngpus = 2\n", Format::Toml),
        parse_document::<Request>("{\"gpus\": 1,\n\"model\": \"a\",\n\"gpus\": 2}", Format::Json),
    ] {
        let error = error.unwrap_err();
        assert_eq!(*error.problem(), Problem::DuplicateKey, "{error}");
        assert_eq!(error.place().line, Some(3), "{error}");
    }
    let nested = "{\"labels\": {\"a\": \"1\", \"a\": \"2\"}}";
    assert_eq!(json(nested), "line 1, column 28: `labels.a`: key given twice");
}

#[test]
fn yaml_is_12_and_nothing_clever() {
    #[derive(Debug, Deserialize)]
    struct Country {
        code: String,
    }
    for (text, expected) in
        [("no", "no"), ("on", "on"), ("0755", "0755"), ("1_000", "1_000"), ("\"1.10\"", "1.10")]
    {
        let read: Country = parse_document(format!("code: {text}"), Format::Yaml).unwrap();
        assert_eq!(read.code, expected);
    }
    for text in ["1.10", "true", "~", "12"] {
        let error = parse_document::<Country>(format!("code: {text}"), Format::Yaml).unwrap_err();
        assert!(matches!(error.problem(), Problem::WrongType { .. }), "{text}: {error}");
    }
    assert!(yaml("gpus: 1\nmodel: a\nspot: yes\n").contains("expected a boolean, found text"));
    for (text, problem) in [
        ("a: &x 1\nb: *x\n", "anchor or alias"),
        ("a: *x\n", "alias"),
        ("base: {b: 1}\n<<: {c: 1}\n", "merge key"),
        ("1: a\n", "a key must be text"),
        ("true: a\n", "a key must be text"),
        ("? [a]\n: b\n", "a key must be text"),
        ("a: 1\n---\nb: 2\n", "more than one document"),
        ("a: !secret x\n", ""),
        ("a: !!binary aGk=\n", ""),
        ("a: .inf\n", "finite"),
        ("a: [1, 2\n", ""),
        ("a: b: c\n", ""),
        ("a:\n\tb: 1\n", ""),
    ] {
        let error = parse_document::<BTreeMap<String, serde::de::IgnoredAny>>(text, Format::Yaml);
        match error {
            Err(error) => assert!(error.to_string().contains(problem), "{text:?}: {error}"),
            Ok(_) => assert!(text.contains("!!binary"), "{text:?} was taken"),
        }
    }
}

#[test]
fn alias_bombs_are_refused_at_once() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(",")));
    }
    let error = parse_document::<BTreeMap<String, serde::de::IgnoredAny>>(bomb, Format::Yaml).unwrap_err();
    assert!(matches!(error.problem(), Problem::NotAllowed { .. }), "{error}");
}

#[test]
fn size_depth_and_encoding_are_limited() {
    type Any = BTreeMap<String, serde::de::IgnoredAny>;
    for format in [Format::Yaml, Format::Toml, Format::Json] {
        let error = parse_document::<Any>(vec![b' '; FILE_BYTES_MAX + 1], format).unwrap_err();
        assert_eq!(*error.problem(), Problem::TooLarge);
        let error = parse_document::<Any>([0xff, 0xfe], format).unwrap_err();
        assert_eq!(*error.problem(), Problem::NotText);
    }
    // `a` is one level, each bracket with something in it one more.
    let fits = DEPTH_MAX - 1;
    let nested = |levels: usize| "[".repeat(levels) + "1" + &"]".repeat(levels);
    for (format, open) in [(Format::Yaml, "a: "), (Format::Toml, "a = "), (Format::Json, "{\"a\": ")] {
        let close = if format == Format::Json { "}" } else { "" };
        let text = |levels| format!("{open}{}{close}", nested(levels));
        assert!(parse_document::<Any>(text(fits), format).is_ok(), "{format:?}");
        for levels in [fits + 1, 100, 50_000] {
            let error = parse_document::<Any>(text(levels), format).unwrap_err();
            assert_eq!(*error.problem(), Problem::TooDeep, "{format:?} {levels}: {error}");
        }
    }
    let block: String = (0..200).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert_eq!(*parse_document::<Any>(block, Format::Yaml).unwrap_err().problem(), Problem::TooDeep);
}

#[test]
fn large_documents_are_read_in_linear_time() {
    let yaml: String = (0..20_000).map(|index| format!("key{index}: some value\n")).collect();
    let toml: String = (0..20_000).map(|index| format!("key{index} = 1\n")).collect();
    let json = format!(
        "{{{}}}",
        (0..20_000).map(|index| format!("\"key{index}\": 1")).collect::<Vec<_>>().join(",")
    );
    for (text, format) in [(yaml, Format::Yaml), (toml, Format::Toml), (json, Format::Json)] {
        let read: BTreeMap<String, serde::de::IgnoredAny> = parse_document(text, format).unwrap();
        assert_eq!(read.len(), 20_000);
    }
}

#[test]
fn numbers_keep_their_value() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Numbers {
        a: u64,
        b: i64,
        c: f64,
    }
    let expected = Numbers { a: u64::MAX, b: i64::MIN, c: 2.0 };
    let text = format!("{{\"a\": {}, \"b\": {}, \"c\": 2}}", u64::MAX, i64::MIN);
    assert_eq!(parse_document::<Numbers>(&text, Format::Json).unwrap(), expected);
    assert_eq!(parse_document::<Numbers>(&text, Format::Yaml).unwrap(), expected);
    let toml = format!("a = {}\nb = {}\nc = 2", i64::MAX, i64::MIN);
    assert_eq!(parse_document::<Numbers>(toml, Format::Toml).unwrap().b, i64::MIN);
    let too_large =
        parse_document::<Numbers>("a = 99999999999999999999\nb = 1\nc = 1", Format::Toml).unwrap_err();
    assert_eq!(too_large.to_string(), "line 1, column 5: `a`: integer does not fit into 64 bits");
    assert!(parse_document::<Numbers>("a = 1\nb = 1\nc = nan", Format::Toml).is_err());
    assert!(parse_document::<Numbers>("{\"a\":1,\"b\":1,\"c\":1e999}", Format::Json).is_err());
    let hex = parse_document::<Numbers>("a = 0xff\nb = -0\nc = 1_000.5", Format::Toml).unwrap();
    assert_eq!((hex.a, hex.c), (255, 1000.5));
}

#[test]
fn any_value_can_be_the_target() {
    let value: serde_json::Value = parse_document(JSON, Format::Json).unwrap();
    let expected: serde_json::Value = serde_json::from_str(JSON).unwrap();
    assert_eq!(value, expected);
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        A { x: u8 },
    }
    assert_eq!(parse_document::<Tagged>("kind: A\nx: 3\n", Format::Yaml).unwrap(), Tagged::A { x: 3 });
}

#[test]
fn files_choose_the_format_by_their_extension() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("r.yaml", YAML), ("r.YML", YAML), ("r.toml", TOML)] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        assert_eq!(read_document::<Request>(&path).unwrap().gpus, 8);
    }
    let path = folder.path().join("r.ini");
    std::fs::write(&path, "x").unwrap();
    assert_eq!(*read_document::<Request>(&path).unwrap_err().problem(), Problem::UnknownFormat);
    let missing = read_document::<Request>(folder.path().join("none.yaml")).unwrap_err();
    assert_eq!(*missing.problem(), Problem::Missing);
    assert!(missing.to_string().ends_with("none.yaml: file not found"));
    std::fs::create_dir(folder.path().join("d.yaml")).unwrap();
    let error = read_document::<Request>(folder.path().join("d.yaml")).unwrap_err();
    assert!(matches!(error.problem(), Problem::Unreadable { .. }));
    std::fs::write(folder.path().join("big.json"), vec![b' '; FILE_BYTES_MAX + 1]).unwrap();
    let error = read_document::<Request>(folder.path().join("big.json")).unwrap_err();
    assert_eq!(*error.problem(), Problem::TooLarge);
}

#[test]
fn errors_have_codes() {
    let code = |text: &str, format| {
        let error = parse_document_named::<Request>("r", text, format).unwrap_err();
        let error = HpcError::from(error);
        assert_eq!((error.exit_code(), error.context_value("source")), (2, Some("r")));
        error.code_text().unwrap().to_owned()
    };
    assert_eq!(code("gpu: 1", Format::Yaml), "HPC-USG-0001");
    assert_eq!(code("gpus: a", Format::Yaml), "HPC-USG-0002");
    assert_eq!(code("{", Format::Json), "HPC-USG-0008");
    assert_eq!(code("gpus: 1\ngpus: 1", Format::Yaml), "HPC-USG-0009");
    assert_eq!(code("gpus: 1", Format::Yaml), "HPC-USG-0010");
    assert_eq!(code("gpus: -1", Format::Yaml), "HPC-USG-0011");
    let error = HpcError::from(parse_document::<Request>("\ngpu: 1", Format::Yaml).unwrap_err());
    assert_eq!((error.context_value("line"), error.context_value("key")), (Some("2"), Some("gpu")));
}

#[test]
fn syntax_errors_point_at_the_mistake() {
    assert!(
        json("{\"gpus\": 8,\n  \"model\" \"a\"}")
            .starts_with("line 2, column 11: cannot be parsed: expected `:`")
    );
    assert!(toml("gpus = 8\nmodel = \n").starts_with("line 2, column"));
    assert!(yaml("gpus: 8\nmodel: [a\n").contains("line "));
    assert_eq!(json("{} {}"), "line 1, column 4: cannot be parsed: trailing characters");
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        for format in [Format::Yaml, Format::Toml, Format::Json] {
            let _ = parse_document::<serde_json::Value>(&text, format);
            let _ = parse_document::<Request>(&text, format);
        }
    }

    #[test]
    fn no_structure_panics(text in "[\\[\\]{}:,\"a1 \\n&*!<?|>=.-]{0,120}") {
        for format in [Format::Yaml, Format::Toml, Format::Json] {
            let _ = parse_document::<serde_json::Value>(&text, format);
        }
    }

    #[test]
    fn json_agrees_with_serde_json(text in "[\\[\\]{}:,\"a1 \\n.-]{0,60}") {
        if let Ok(value) = parse_document::<serde_json::Value>(&text, Format::Json)
            && !text.trim().is_empty()
        {
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        }
    }
}
