#![cfg(unix)]

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hpc_config::{ConfigBuilder, ConfigError, Format, Problem, SECRET_BYTES_MAX, Secret};
use serde::Deserialize;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    database: Option<Database>,
    #[serde(default)]
    token: Option<Secret>,
}

#[derive(Deserialize)]
struct Database {
    password: Secret,
}

fn file(folder: &Path, name: &str, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn through_env(path: &Path) -> Result<Config, ConfigError> {
    ConfigBuilder::new()
        .add_env_from("APP", [("APP_DATABASE__PASSWORD__FILE", path.display().to_string())])
        .build()
}

fn refused(path: &Path) -> String {
    let Err(error) = through_env(path) else { panic!("{} was taken", path.display()) };
    assert!(matches!(error.problem(), Problem::SecretFile { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("APP_DATABASE__PASSWORD__FILE"), "{text}");
    text
}

#[test]
fn a_secret_is_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for (mode, text) in [(0o600, "hunter2\n"), (0o400, "hunter2"), (0o600, "hunter2\r\n")] {
        let path = file(folder.path(), &format!("s{mode}{}", text.len()), text, mode);
        let config = through_env(&path).unwrap();
        assert_eq!(config.database.unwrap().password.expose(), "hunter2");
    }
    let path = file(folder.path(), "lines", " a\nb\n\n", 0o600);
    assert_eq!(through_env(&path).unwrap().database.unwrap().password.expose(), " a\nb\n");
}

#[test]
fn a_reference_in_a_file_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "db", "hunter2\n", 0o600);
    let yaml = format!("token: secret://file{}\n", path.display());
    let config: Config =
        ConfigBuilder::new().add_text("a.yaml", &yaml, Format::Yaml).unwrap().build().unwrap();
    assert_eq!(config.token.unwrap().expose(), "hunter2");

    let by_name = ConfigBuilder::new()
        .add_text("a.yaml", "token: secret://credential/db\n", Format::Yaml)
        .unwrap()
        .credentials_directory(folder.path());
    assert_eq!(by_name.build::<Config>().unwrap().token.unwrap().expose(), "hunter2");
}

#[test]
fn bad_references_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    for reference in [
        "secret://vault/x",
        "secret://",
        "secret://credential/",
        "secret://credential/../x",
        "secret://credential/..",
    ] {
        let yaml = format!("\ntoken: \"{reference}\"\n");
        let builder = ConfigBuilder::new().add_text("a.yaml", &yaml, Format::Yaml).unwrap();
        let error = builder.credentials_directory(folder.path()).build::<Config>().err().unwrap();
        assert_eq!(*error.problem(), Problem::SecretReference, "{reference}");
        assert_eq!((error.place().line, error.place().key.as_str()), (Some(2), "token"));
    }
    let missing =
        ConfigBuilder::new().add_text("a.yaml", "token: secret://file/nowhere/x\n", Format::Yaml).unwrap();
    let error = missing.build::<Config>().err().unwrap().to_string();
    assert_eq!(error, "a.yaml, line 1, column 1: `token`: secret file `/nowhere/x` does not exist");
}

#[test]
fn files_that_others_may_use_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o644, 0o640, 0o604, 0o620, 0o601, 0o660, 0o777] {
        let path = file(folder.path(), &format!("m{mode:o}"), "hunter2", mode);
        assert!(refused(&path).contains(&format!("mode {mode:04o}")));
    }
}

#[test]
fn links_out_of_the_directory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let outside = file(folder.path(), "outside", "hunter2", 0o600);
    symlink(&outside, inside.join("link")).unwrap();
    assert!(refused(&inside.join("link")).contains("a link out of its directory"));

    // As Kubernetes mounts secrets: name -> ..data/name, ..data -> ..2026.
    std::fs::create_dir(inside.join("..2026")).unwrap();
    file(&inside.join("..2026"), "password", "hunter2", 0o600);
    symlink("..2026", inside.join("..data")).unwrap();
    symlink("..data/password", inside.join("password")).unwrap();
    assert_eq!(through_env(&inside.join("password")).unwrap().database.unwrap().password.expose(), "hunter2");
}

#[test]
fn everything_else_that_is_no_secret_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refused(&folder.path().join("none")).contains("does not exist"));
    assert!(refused(Path::new("relative")).contains("absolute"));
    assert!(refused(folder.path()).contains("not a regular file"));
    assert!(refused(Path::new("/dev/zero")).contains("not a regular file"));
    assert!(refused(&file(folder.path(), "empty", "\n", 0o600)).contains("is empty"));
    assert!(refused(&file(folder.path(), "bytes", [0xff, 0xfe], 0o600)).contains("UTF-8"));
    let limit = file(folder.path(), "limit", "x".repeat(SECRET_BYTES_MAX), 0o600);
    assert!(through_env(&limit).is_ok());
    assert!(
        refused(&file(folder.path(), "large", "x".repeat(SECRET_BYTES_MAX + 1), 0o600))
            .contains("larger than")
    );
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o600), 0)
        .unwrap();
    assert!(refused(&pipe).contains("not a regular file"), "and does not wait for a writer");
}

#[test]
fn a_number_is_no_secret_in_a_file_and_one_in_the_environment() {
    let file = ConfigBuilder::new().add_text("a.yaml", "token: 123456\n", Format::Yaml).unwrap();
    let error = file.build::<Config>().err().unwrap().to_string();
    assert_eq!(error, "a.yaml, line 1, column 1: `token`: expected a secret text, found a number");
    let env = ConfigBuilder::new().add_env_from("APP", [("APP_TOKEN", "123456")]);
    assert_eq!(env.build::<Config>().unwrap().token.unwrap().expose(), "123456");
}
