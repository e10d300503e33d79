//! Contexts on disk: what is written is read, nobody else can read it, and what is broken says so.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hpc::context::{self, Context, ContextError};
use hpc_auth::cert::{CaCert, generate_ca_cert};
use hpc_identity::SpiffeId;

use crate::fake::{hpc, write_context};
use crate::fixtures::now;

fn context(name: &str) -> Context {
    Context {
        name: name.to_owned(),
        endpoint: "https://127.0.0.1:1".to_owned(),
        server_id: SpiffeId::parse("spiffe://hpc.internal/service/hpcd").unwrap(),
        dev: true,
        written_at: now(),
        data: Some("/var/lib/hpcd".into()),
        audit_key: None,
    }
}

fn home() -> (tempfile::TempDir, CaCert) {
    (tempfile::tempdir().unwrap(), generate_ca_cert("test").unwrap())
}

fn write(home: &Path, name: &str, ca: &CaCert) {
    write_context(home, &context(name), ca, hpc::now());
}

#[test]
fn what_is_written_is_read_and_is_private() {
    let (folder, ca) = home();
    let home = folder.path().join("made/on/demand");
    write(&home, "dev", &ca);
    write(&home, "dev", &ca);
    assert_eq!(context::read(&home, "dev").unwrap(), context("dev"));
    assert_eq!(context::identity(&home, "dev").unwrap().0.id().as_str(), "spiffe://hpc.internal/user/you");
    assert_eq!(context::list(&home).unwrap(), ["dev"]);
    let mode = |path: &str| std::fs::metadata(home.join(path)).unwrap().permissions().mode() & 0o777;
    for folder in ["", "contexts", "contexts/dev"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    for file in ["context.json", "key.pem", "cert.pem", "ca.pem"] {
        assert_eq!(mode(&format!("contexts/dev/{file}")), 0o600, "{file}");
    }
    let left: Vec<_> =
        std::fs::read_dir(home.join("contexts")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["dev"], "nothing half made stays behind");
}

#[test]
fn leftovers_of_a_crash_are_no_contexts_and_do_not_stand_in_the_way() {
    let (home, ca) = home();
    let contexts = home.path().join("contexts");
    for leftover in [".dev.new", ".dev.old", "half"] {
        std::fs::create_dir_all(contexts.join(leftover)).unwrap();
        std::fs::write(contexts.join(leftover).join("key.pem"), "x").unwrap();
    }
    assert!(context::list(home.path()).unwrap().is_empty());
    write(home.path(), "dev", &ca);
    assert_eq!(context::list(home.path()).unwrap(), ["dev"]);
}

#[test]
fn the_one_in_use_is_the_chosen_one_the_only_one_or_dev() {
    let (home, ca) = home();
    let home = home.path();
    assert!(matches!(context::in_use(home), Err(ContextError::NoneChosen { some: false })));
    write(home, "b", &ca);
    assert_eq!(context::in_use(home).unwrap(), "b");
    write(home, "c", &ca);
    assert!(matches!(context::in_use(home), Err(ContextError::NoneChosen { some: true })));
    write(home, "dev", &ca);
    assert_eq!(context::in_use(home).unwrap(), "dev");
    context::choose(home, "c").unwrap();
    context::choose(home, "b").unwrap();
    assert_eq!(context::in_use(home).unwrap(), "b");
    context::remove(home, "b").unwrap();
    context::remove(home, "b").unwrap();
    assert_eq!((context::current(home).unwrap(), context::in_use(home).unwrap()), (None, "dev".to_owned()));
    for name in ["gone", "b"] {
        assert!(matches!(context::choose(home, name), Err(ContextError::Unknown { .. })));
    }
    for damaged in ["gone\n", "../c\n", "", "\u{1b}[2J"] {
        std::fs::write(home.join("current"), damaged).unwrap();
        assert_eq!(context::current(home).unwrap(), None);
    }
}

#[test]
fn a_daemon_removes_only_its_own() {
    let (home, ca) = home();
    write(home.path(), "dev", &ca);
    let mut mine = context("dev");
    mine.endpoint = "https://127.0.0.1:2".to_owned();
    assert!(!context::remove_if_same(home.path(), &mine).unwrap());
    assert!(context::remove_if_same(home.path(), &context("dev")).unwrap());
    assert!(!context::remove_if_same(home.path(), &context("dev")).unwrap());
    assert!(context::list(home.path()).unwrap().is_empty());
}

#[test]
fn names_cannot_leave_the_folder() {
    let (home, ca) = home();
    let long = "x".repeat(65);
    for name in ["", ".", "..", "../x", "a/b", "A", "-x", "a b", "a\0b", "ü", &long] {
        assert!(matches!(context::read(home.path(), name), Err(ContextError::Name { .. })), "{name:?}");
        assert!(matches!(context::remove(home.path(), name), Err(ContextError::Name { .. })), "{name:?}");
        let svid =
            hpc_auth::cert::generate_signed_cert(&hpc_auth::cert::ServiceIdentity::new("x"), &ca).unwrap();
        let written = context::write(home.path(), &context(name), &svid, &ca.bundle(), true);
        assert!(matches!(written, Err(ContextError::Name { .. })), "{name:?}");
    }
    assert!(std::fs::read_dir(home.path()).unwrap().next().is_none());
}

#[test]
fn a_damaged_context_says_which_file() {
    let (home, ca) = home();
    write(home.path(), "dev", &ca);
    let path = home.path().join("contexts/dev/context.json");
    let original = std::fs::read_to_string(&path).unwrap();
    let newer = original.replacen('{', "{\"from_the_future\": 1,", 1);
    std::fs::write(&path, newer).unwrap();
    assert_eq!(context::read(home.path(), "dev").unwrap(), context("dev"), "unknown fields are passed over");
    let other_name = original.replace("\"name\": \"dev\"", "\"name\": \"prod\"");
    let too_long = format!("{original}{}", " ".repeat(70_000));
    for text in ["", "{", &original[..original.len() / 2], &other_name, &too_long] {
        std::fs::write(&path, text).unwrap();
        let outcome = hpc(home.path(), &["context", "show", "dev"]);
        assert!(outcome.code == 2 && outcome.err.contains("context.json"), "{}", outcome.err);
        assert_eq!(hpc(home.path(), &["context", "list"]).code, 0, "a list shows the others");
    }
}

#[test]
fn the_commands_list_show_and_choose() {
    let (home, ca) = home();
    write(home.path(), "dev", &ca);
    write(home.path(), "dev-lead", &ca);
    let list = hpc(home.path(), &["context", "list"]);
    let want = "   context   endpoint             daemon                              mode  written
*  dev       https://127.0.0.1:1  spiffe://hpc.internal/service/hpcd  dev   2026-11-23 20:41:10 UTC
   dev-lead  https://127.0.0.1:1  spiffe://hpc.internal/service/hpcd  dev   2026-11-23 20:41:10 UTC
";
    assert_eq!((list.code, list.out.as_str()), (0, want));
    assert_eq!(hpc(home.path(), &["context", "use", "dev-lead"]).code, 0);
    let shown = hpc(home.path(), &["context", "show"]);
    assert!(shown.out.starts_with("context   dev-lead\n"), "{}", shown.out);
    let json = hpc(home.path(), &["context", "list", "-o", "json"]);
    let read: Vec<serde_json::Value> = serde_json::from_str(&json.out).unwrap();
    assert_eq!(read.iter().map(|c| c["in_use"].as_bool().unwrap()).collect::<Vec<_>>(), [false, true]);
    let gone = hpc(home.path(), &["context", "use", "prod"]);
    assert!(gone.code == 2 && gone.err.contains("hpc context list"), "{}", gone.err);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(hpc(empty.path(), &["context", "list", "-o", "json"]).out, "[]\n");
}
