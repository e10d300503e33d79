//! No error repeats a configured value, whatever the type it should have become.

use std::fmt::Debug;
use std::net::SocketAddr;

use hpc_config::{ConfigBuilder, ConfigError, Format, Secret};
use hpc_error::HpcError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

const CANARY: &str = "Canary-7Z3q-hunter2";

fn check(error: ConfigError) {
    let ours = HpcError::from(error.clone());
    let source = std::error::Error::source(&ours).map(ToString::to_string).unwrap_or_default();
    let json = serde_json::to_string(&ours).unwrap();
    for text in
        [error.to_string(), format!("{error:?}"), format!("{ours:#}"), format!("{ours:?}"), source, json]
    {
        let folded = text.to_lowercase();
        assert!(!folded.contains("hunter2") && !folded.contains("7z3q"), "{text}");
    }
}

#[derive(Debug, Deserialize)]
struct Holder<T> {
    #[serde(rename = "value")]
    _value: T,
}

fn leaks<T: DeserializeOwned>() {
    let builders = [
        ConfigBuilder::new().add_text("a.yaml", &format!("value: {CANARY}"), Format::Yaml),
        ConfigBuilder::new().add_text("a.toml", &format!("value = \"{CANARY}\""), Format::Toml),
        ConfigBuilder::new().add_text("a.json", &format!("{{\"value\": \"{CANARY}\"}}"), Format::Json),
        ConfigBuilder::new().add_text("a.yaml", &format!("value: [{CANARY}]"), Format::Yaml),
        ConfigBuilder::new().add_text("a.yaml", &format!("value: {{x: {CANARY}}}"), Format::Yaml),
        Ok(ConfigBuilder::new().add_env_from("APP", [("APP_VALUE", CANARY)])),
        Ok(ConfigBuilder::new().set("value", CANARY)),
    ];
    for builder in builders {
        if let Err(error) = builder.and_then(|builder| builder.build::<Holder<T>>()) {
            check(error);
        }
    }
}

#[derive(Debug, Deserialize)]
enum Choice {
    #[allow(dead_code, reason = "never chosen")]
    A,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "never read")]
enum Untagged {
    Number(u8),
    Flag(bool),
}

#[derive(Debug)]
struct Chatty;

impl<'de> Deserialize<'de> for Chatty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Err(serde::de::Error::custom(format!("`{}` is not what I like", text.to_uppercase())))
    }
}

#[derive(Debug, Deserialize)]
struct Flat {
    #[serde(flatten)]
    _inner: Inner,
}

#[derive(Debug, Deserialize)]
struct Inner {
    #[serde(rename = "x")]
    _x: u8,
}

#[test]
fn no_type_leaks_the_value() {
    fn run<T: DeserializeOwned + Debug>() {
        leaks::<T>();
    }
    run::<u8>();
    run::<i128>();
    run::<f64>();
    run::<bool>();
    run::<char>();
    run::<SocketAddr>();
    run::<std::time::Duration>();
    run::<Choice>();
    run::<Option<Choice>>();
    run::<Untagged>();
    run::<Chatty>();
    run::<Vec<Chatty>>();
    run::<Flat>();
    run::<Vec<u8>>();
    run::<(u8, u8)>();
    run::<std::collections::BTreeMap<u8, u8>>();
    run::<()>();
    leaks::<Vec<Secret>>();
}

#[test]
fn numbers_do_not_leak_either() {
    for text in ["value: 77665544\n", "value: 7766.5544\n", "value: -77665544\n"] {
        let builder = ConfigBuilder::new().add_text("a.yaml", text, Format::Yaml).unwrap();
        for error in [
            builder.build::<Holder<String>>().err(),
            builder.build::<Holder<u8>>().err(),
            builder.build::<Holder<Choice>>().err(),
        ] {
            assert!(!error.unwrap().to_string().contains("7766"));
        }
    }
    let error = ConfigBuilder::new().add_env_from("APP", [("APP_VALUE", "77665544")]).build::<Holder<u8>>();
    assert!(!error.unwrap_err().to_string().contains("7766"));
}

#[test]
fn syntax_errors_do_not_leak() {
    for (text, format) in [
        (format!("value: \"{CANARY}\n"), Format::Yaml),
        (format!("value: {CANARY}: x\n"), Format::Yaml),
        (format!("value: [{CANARY}\n"), Format::Yaml),
        (format!("value: *{CANARY}\n"), Format::Yaml),
        (format!("value: &{CANARY} x\n"), Format::Yaml),
        (format!("value: !{CANARY} x\n"), Format::Yaml),
        (format!("value: {CANARY}\n value: {CANARY}\n"), Format::Yaml),
        (format!("value = {CANARY}\n"), Format::Toml),
        (format!("value = \"{CANARY}\n"), Format::Toml),
        (format!("value = \"{CANARY}\" {CANARY}\n"), Format::Toml),
        (format!("value = 1{CANARY}\n"), Format::Toml),
        (format!("{{\"value\": {CANARY}}}"), Format::Json),
        (format!("{{\"value\": \"{CANARY}}}"), Format::Json),
        (format!("{{\"value\": \"\\{CANARY}\"}}"), Format::Json),
    ] {
        match ConfigBuilder::new().add_text("a", &text, format) {
            Err(error) => check(error),
            Ok(_) => panic!("{text:?} was taken"),
        }
    }
}

#[test]
fn explanations_hold_no_values() {
    let builder = ConfigBuilder::new().add_env_from("APP", [("APP_TOKEN", CANARY)]).set("x", CANARY);
    let explanation = builder.explain().unwrap();
    assert!(!format!("{explanation} {explanation:?}").contains("hunter2"));
}

#[test]
fn harmless_messages_are_kept() {
    let error = ConfigBuilder::new().set("value", CANARY).build::<Holder<SocketAddr>>().unwrap_err();
    assert_eq!(error.to_string(), "command line: `value`: invalid socket address syntax");
    let error = ConfigBuilder::new().set("value", CANARY).build::<Holder<Chatty>>().unwrap_err();
    assert_eq!(error.to_string(), "command line: `value`: is not valid");
}
