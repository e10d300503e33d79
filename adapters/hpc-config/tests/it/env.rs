use hpc_config::{ConfigBuilder, ConfigError, Format, Problem};
use serde::Deserialize;

#[derive(Debug, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    node_id: String,
    token: String,
    port: u16,
    offset: i64,
    ratio: f64,
    on: bool,
    hosts: Vec<String>,
    ports: Vec<u16>,
    level: Option<Level>,
    maybe: Option<u8>,
    tls: Tls,
}

#[derive(Debug, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tls {
    key_path: String,
    days: u32,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Info,
}

fn read<const N: usize>(variables: [(&str, &str); N]) -> Result<Config, ConfigError> {
    ConfigBuilder::new().add_env_from("APP", variables).build()
}

#[test]
fn text_becomes_what_the_field_asks_for() {
    let config = read([
        ("APP_NODE_ID", "007"),
        ("APP_TOKEN", "123456"),
        ("APP_PORT", " 80 "),
        ("APP_OFFSET", "-5"),
        ("APP_RATIO", "0.5"),
        ("APP_ON", "true"),
        ("APP_HOSTS", "a, b,c"),
        ("APP_PORTS", "1,2"),
        ("APP_LEVEL", "info"),
        ("APP_MAYBE", "7"),
        ("APP_TLS__KEY_PATH", "k.pem"),
        ("APP_TLS__DAYS", "9"),
    ])
    .unwrap();
    assert_eq!(
        config,
        Config {
            node_id: "007".into(),
            token: "123456".into(),
            port: 80,
            offset: -5,
            ratio: 0.5,
            on: true,
            hosts: vec!["a".into(), "b".into(), "c".into()],
            ports: vec![1, 2],
            level: Some(Level::Info),
            maybe: Some(7),
            tls: Tls { key_path: "k.pem".into(), days: 9 },
        }
    );
    assert_eq!(read([("APP_HOSTS", "")]).unwrap().hosts, Vec::<String>::new());
}

#[test]
fn texts_that_do_not_fit_are_refused() {
    for (name, text) in [
        ("APP_PORT", "65536"),
        ("APP_PORT", "-1"),
        ("APP_PORT", "80x"),
        ("APP_PORT", ""),
        ("APP_ON", "yes"),
        ("APP_ON", "1"),
        ("APP_RATIO", "NaN"),
        ("APP_RATIO", "inf"),
        ("APP_LEVEL", "loud"),
        ("APP_PORTS", "1,x"),
        ("APP_TLS", "{}"),
    ] {
        let error = read([(name, text)]).unwrap_err();
        assert!(error.to_string().contains(&format!("environment variable `{name}`")), "{error}");
    }
}

#[test]
fn one_underscore_belongs_to_the_name() {
    assert_eq!(read([("APP_NODE_ID", "n")]).unwrap().node_id, "n");
    assert_eq!(read([("app_node_id", "n"), ("APPS_NODE_ID", "n"), ("APP", "n")]).unwrap(), Config::default());
    assert_eq!(read([("APP__", "x"), ("APP___X", "x"), ("APP_X____Y", "x")]).unwrap(), Config::default());
}

#[test]
fn a_value_and_a_key_below_it_contradict() {
    let error = read([("APP_TLS", "x"), ("APP_TLS__KEY_PATH", "y")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "environment variable `APP_TLS__KEY_PATH`: `tls.key_path`: contradicts the environment variable `APP_TLS`, unset one"
    );
    let twice = read([("APP_PORT", "1"), ("APP_port", "2")]).unwrap_err();
    assert!(matches!(twice.problem(), Problem::Contradiction { .. }));
}

#[test]
fn stray_variables_are_warnings_and_stray_keys_errors() {
    let builder = ConfigBuilder::new()
        .add_env_from("APP", [("APP_NODEID", "n"), ("APP_TLS__KEY", "x"), ("APP_X__Y", "z")]);
    let (config, warnings): (Config, _) = builder.build_with_warnings().unwrap();
    assert_eq!(config, Config::default());
    let warnings: Vec<_> = warnings.iter().map(|key| (key.key.as_str(), key.source.as_str())).collect();
    assert_eq!(
        warnings,
        [
            ("nodeid", "environment variable `APP_NODEID`"),
            ("x", "environment APP_*"),
            ("tls.key", "environment variable `APP_TLS__KEY`"),
        ]
    );
    let file = ConfigBuilder::new().add_text("a.yaml", "nodeid: n\n", Format::Yaml).unwrap();
    assert!(matches!(file.build::<Config>().unwrap_err().problem(), Problem::UnknownField { .. }));
}

#[test]
fn the_variables_of_the_process_are_read() {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        #[serde(default)]
        major: Option<u8>,
    }
    // Cargo sets these for every test.
    let package: Package = ConfigBuilder::new()
        .add_text("a", "version: {}", Format::Yaml)
        .unwrap()
        .add_env_prefix("CARGO_MANIFEST_")
        .set("name", "x")
        .build()
        .unwrap();
    assert_eq!((package.name.as_str(), package.version.major), ("x", None));
    #[derive(Deserialize)]
    struct Manifest {
        dir: String,
    }
    let manifest: Manifest = ConfigBuilder::new().add_env_prefix("CARGO_MANIFEST").build().unwrap();
    assert!(manifest.dir.ends_with("hpc-config"));
}

#[test]
fn thousands_of_variables_are_refused() {
    let many: Vec<_> = (0..2000).map(|index| (format!("APP_V{index}"), "x")).collect();
    let error = ConfigBuilder::new().add_env_from("APP", many).build::<Config>().unwrap_err();
    assert_eq!(*error.problem(), Problem::TooMany);
    let deep = format!("APP_{}", vec!["a"; 100].join("__"));
    let error = ConfigBuilder::new().add_env_from("APP", [(deep, "x")]).build::<Config>().unwrap_err();
    assert_eq!(*error.problem(), Problem::TooDeep);
}
