use hpc_config::{ConfigBuilder, Format, LAYERS_MAX, Problem, load_with_env};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct AppConfig {
    listen_addr: String,
    log_level: String,
    #[serde(default)]
    database_url: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    port: u16,
    name: String,
    tls: Tls,
    hosts: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    key_path: String,
    required: bool,
}

fn defaults() -> Strict {
    Strict {
        port: 7801,
        name: "hpcd".into(),
        tls: Tls { key_path: "key.pem".into(), required: true },
        hosts: vec!["a".into(), "b".into()],
    }
}

#[test]
fn the_snippet_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, "listen_addr: 127.0.0.1:7801\nlog_level: info\nsomething_else: 1\n").unwrap();
    fn load(path: &std::path::Path) -> Result<AppConfig, Box<dyn std::error::Error>> {
        let config: AppConfig = ConfigBuilder::new().add_file(path)?.add_env_prefix("APP").build()?;
        Ok(config)
    }
    let config = load(&path).unwrap();
    assert_eq!((config.listen_addr.as_str(), config.log_level.as_str()), ("127.0.0.1:7801", "info"));
    assert_eq!(config.database_url, None);
    assert!(load_with_env::<AppConfig>(&path, "APP").is_ok());
    let missing = load(&folder.path().join("other.yaml")).err().unwrap();
    assert!(missing.to_string().ends_with("other.yaml: file not found"));
}

#[test]
fn later_layers_win_key_by_key_and_lists_as_a_whole() {
    let builder = ConfigBuilder::new()
        .add_defaults(&defaults())
        .unwrap()
        .add_text("a.toml", "port = 1\nhosts = [\"c\"]\n[tls]\nrequired = false", Format::Toml)
        .unwrap()
        .add_text("b.json", r#"{"port": 2}"#, Format::Json)
        .unwrap()
        .add_env_from("APP", [("APP_PORT", "3"), ("APP_TLS__KEY_PATH", "env.pem"), ("OTHER_PORT", "9")])
        .set("port", "4");
    assert_eq!(
        builder.build::<Strict>().unwrap(),
        Strict {
            port: 4,
            name: "hpcd".into(),
            tls: Tls { key_path: "env.pem".into(), required: false },
            hosts: vec!["c".into()],
        }
    );
}

#[test]
fn the_origin_of_each_key_is_known() {
    let builder = ConfigBuilder::new()
        .add_defaults(&defaults())
        .unwrap()
        .add_text("a.yaml", "name: x\n\ntls:\n  required: false\n", Format::Yaml)
        .unwrap()
        .add_env_from("APP", [("APP_PORT", "3")]);
    let explanation = builder.explain().unwrap();
    assert_eq!(explanation.layers, ["defaults", "a.yaml", "environment APP_*"]);
    let keys: Vec<_> =
        explanation.keys.iter().map(|key| (key.key.as_str(), key.source.as_str(), key.line)).collect();
    assert_eq!(
        keys,
        [
            ("hosts", "defaults", None),
            ("name", "a.yaml", Some(1)),
            ("port", "environment variable `APP_PORT`", None),
            ("tls.key_path", "defaults", None),
            ("tls.required", "a.yaml", Some(4)),
        ]
    );
    assert!(explanation.to_string().contains("name  a.yaml:1"));
}

#[test]
fn errors_name_the_layer_that_is_wrong() {
    let base = || ConfigBuilder::new().add_defaults(&defaults()).unwrap();
    let error = |builder: ConfigBuilder| builder.build::<Strict>().unwrap_err().to_string();
    let file = |text| base().add_text("a.yaml", text, Format::Yaml).unwrap();
    assert_eq!(
        error(file("name: a\ntls:\n  key_paht: b\n")),
        "a.yaml, line 3, column 3: `tls.key_paht`: unknown field, did you mean `key_path`?"
    );
    assert_eq!(
        error(file("port: \"80\"\n")),
        "a.yaml, line 1, column 1: `port`: expected a whole number from 0 to 65535, found text",
        "text is not a number, except in the environment"
    );
    assert_eq!(
        error(base().add_env_from("APP", [("APP_PORT", "many")])),
        "environment variable `APP_PORT`: `port`: expected a whole number from 0 to 65535, found text"
    );
    assert_eq!(
        error(base().set("port", "70000")),
        "command line: `port`: expected a whole number from 0 to 65535"
    );
    let missing = ConfigBuilder::new().add_text("a.yaml", "port: 1\n", Format::Yaml).unwrap();
    assert_eq!(error(missing), "missing field `name`");
}

#[test]
fn optional_files_may_be_missing_but_not_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("extra.toml");
    let base = || ConfigBuilder::new().add_defaults(&defaults()).unwrap();
    assert_eq!(base().add_optional_file(&path).unwrap().build::<Strict>().unwrap(), defaults());
    std::fs::write(&path, "port = ").unwrap();
    assert!(matches!(base().add_optional_file(&path).err().unwrap().problem(), Problem::Syntax { .. }));
}

#[test]
fn too_many_layers_are_refused() {
    let mut builder = ConfigBuilder::new().add_defaults(&defaults()).unwrap();
    for _ in 0..LAYERS_MAX {
        builder = builder.set("port", "1");
    }
    assert_eq!(*builder.build::<Strict>().unwrap_err().problem(), Problem::TooMany);
    assert!(ConfigBuilder::new().add_defaults(&3).is_err());
}

#[test]
fn keys_with_dots_stay_one_key() {
    let map: std::collections::BTreeMap<String, u8> =
        ConfigBuilder::new().add_text("a", "a.b: 1\n", Format::Yaml).unwrap().build().unwrap();
    assert_eq!(map.get("a.b"), Some(&1));
}

proptest! {
    #[test]
    fn the_last_layer_that_has_a_key_gives_it(layers in proptest::collection::vec(proptest::option::of(any::<u16>()), 1..20)) {
        let mut builder = ConfigBuilder::new().add_defaults(&defaults()).unwrap();
        for (index, port) in layers.iter().enumerate() {
            let Some(port) = port else { continue };
            builder = match index % 4 {
                0 => builder.add_text("l", &format!("port: {port}"), Format::Yaml).unwrap(),
                1 => builder.add_text("l", &format!("port = {port}"), Format::Toml).unwrap(),
                2 => builder.add_env_from("P", [("P_PORT", port.to_string())]),
                _ => builder.set("port", port.to_string()),
            };
        }
        let expected = layers.iter().rev().find_map(|port| *port).unwrap_or(7801);
        let read: Strict = builder.build().unwrap();
        prop_assert_eq!(read.port, expected);
        prop_assert_eq!(read.tls, defaults().tls);
    }
}
