//! Bad input: one clear error with a code and the right exit code, no panic, nothing lost.

use std::fs;
use std::path::{Path, PathBuf};

use hpcd::daemon::{Daemon, Listen};
use hpcd::world::World;
use tempfile::TempDir;

use super::demo::{Given, MY_REQUEST, Story};
use super::{Running, options};

fn demo_with(text: &str, name: &str) -> Story {
    let folder = tempfile::tempdir().unwrap();
    let request = folder.path().join(name);
    fs::write(&request, text).unwrap();
    Story::tell(&Given { request: Some(&request), ..Given::default() })
}

#[test]
fn requests_that_are_none() {
    let deep = format!("name: x\nlabels: {}1{}\n", "[".repeat(10_000), "]".repeat(10_000));
    let deep_json = format!("{}1{}", r#"{"labels":"#.repeat(5_000), "}".repeat(5_000));
    let huge = format!("{MY_REQUEST}# {}\n", "x".repeat(10 << 20));
    let many = format!(
        "name: x\n{}",
        (0..40_000).map(|n| format!("a{n}: &a{n} [*a{}]\n", n.max(1) - 1)).collect::<String>()
    );
    for (name, text, code, word) in [
        ("unknown.yaml", "name: x\ngpus: 8\n", "HPC-USG-0001", "gpus"),
        ("inner.yaml", "name: x\ngpu: {model: h100, count: 8, speed: 1}\n", "HPC-USG-0001", "speed"),
        ("type.yaml", "name: x\ngpu: {model: h100, count: eight}\n", "HPC-USG-0002", "count"),
        ("type.toml", "name = \"x\"\ncpu = \"many\"\n", "HPC-USG-0002", "cpu"),
        ("type.json", r#"{"name": "x", "gpu": [1, 2]}"#, "HPC-USG-0002", "gpu"),
        ("list.yaml", "- name: x\n", "HPC-USG-0002", ""),
        ("missing.yaml", "gpu: {model: h100, count: 8}\n", "HPC-USG-0010", "name"),
        ("huge.yaml", &huge, "HPC-USG-0003", "huge.yaml"),
        ("deep.yaml", &deep, "HPC-USG-0004", "deep.yaml"),
        ("deep.json", &deep_json, "HPC-USG-0004", "deep.json"),
        ("many.yaml", &many, "", "many.yaml"),
        ("torn.json", r#"{"name": "x", "#, "HPC-USG-0008", "torn.json"),
        ("torn.toml", "name = \n", "HPC-USG-0008", "torn.toml"),
        ("twice.yaml", "name: x\nname: y\n", "HPC-USG-0009", "line 2"),
        ("negative.yaml", "name: x\ngpu: {model: h100, count: -8}\n", "", "count"),
        ("none.yaml", "name: x\ngpu: {model: h100, count: 0}\n", "HPC-USG-0011", "none.yaml"),
        ("absurd.yaml", "name: x\ngpu: {model: h100, count: 4000000000}\n", "HPC-USG-0011", "absurd.yaml"),
        ("beyond.yaml", "name: x\ngpu: {model: h100, count: 5000000000}\n", "", "count"),
        (
            "money.yaml",
            "name: x\ngpu: {model: h100, count: 8}\nmax_hourly: -5.00 USD\n",
            "HPC-USG-0011",
            "money.yaml",
        ),
        (
            "much.yaml",
            "name: x\ngpu: {model: h100, count: 8}\nmax_total: 99999999999999999999 USD\n",
            "HPC-USG-0011",
            "much.yaml",
        ),
        (
            "long.yaml",
            "name: x\ngpu: {model: h100, count: 8}\nduration: 9999999d\n",
            "HPC-USG-0011",
            "long.yaml",
        ),
        ("back.yaml", "name: x\ngpu: {model: h100, count: 8}\nduration: -2h\n", "HPC-USG-0011", "back.yaml"),
        ("empty.yaml", "", "", "empty.yaml"),
        ("format.ini", "name=x\n", "HPC-USG-0015", "format.ini"),
    ] {
        let told = demo_with(text, name);
        let end = told.end();
        let (exit, got, message) =
            (&end["exit"], end["code"].as_str().unwrap(), end["message"].as_str().unwrap());
        assert!(
            *exit == 2 && got.starts_with("HPC-USG-") && (code.is_empty() || got == code),
            "{name}: wanted {code}: {end}"
        );
        assert!(message.contains(word) && message.len() < 1_000, "{name}: wanted `{word}`: {end}");
        assert!(told.steps("policy").is_empty(), "{name}: nothing was asked");
    }
    let binary = tempfile::tempdir().unwrap();
    let request = binary.path().join("bytes.yaml");
    fs::write(&request, [0xff, 0xfe, 0x00, 0x01]).unwrap();
    Story::tell(&Given { request: Some(&request), ..Given::default() }).ended(
        2,
        "HPC-USG-0018",
        "bytes.yaml",
    );
}

#[test]
fn places_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "x").unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir(at("photos")).unwrap();
    fs::write(at("photos/cat.jpg"), "x").unwrap();
    let (gone, file, empty, photos, inside) =
        (at("gone.yaml"), at("file"), at("empty"), at("photos"), at("file/data"));
    let request = |path| Given { request: Some(path), ..Given::default() };
    let policies = |path| Given { policies: Some(path), ..Given::default() };
    let catalog = |path| Given { catalog: Some(path), ..Given::default() };
    let data = |path| Given { data: Some(path), ..Given::default() };
    let mut wrong = Vec::new();
    for (given, exit, code, word) in [
        (request(&gone), 2, "HPC-USG-0005", "gone.yaml"),
        (policies(&gone), 2, "HPC-USG-0005", "gone.yaml"),
        (policies(&file), 2, "HPC-USG-0005", "file"),
        (policies(&empty), 2, "HPC-USG-0005", "empty"),
        (catalog(&file), 2, "HPC-USG-", "file"),
        // A file where a directory should be, and a directory below a file.
        (data(&file), 1, "HPC-DAT-0004", "file"),
        (data(&inside), 1, "HPC-DAT-0004", "file"),
        // Somebody's photographs are left alone.
        (data(&photos), 1, "HPC-DAT-0001", "photos"),
    ] {
        let told = Story::tell(&given);
        let (end, message) = (told.end(), told.end()["message"].as_str().unwrap());
        let right =
            end["exit"] == exit && end["code"].as_str().unwrap().starts_with(code) && message.contains(word);
        if !right {
            wrong.push(format!("wanted {exit} {code} and `{word}`: {end}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert_eq!(fs::read_dir(&photos).unwrap().count(), 1);
}

#[test]
fn a_catalog_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone.csv");
    Story::tell(&Given { catalog: Some(&gone), ..Given::default() }).ended(2, "HPC-USG-0005", "gone.csv");
}

/// A directory without permission. Whoever may do everything finds nothing forbidden.
#[test]
fn a_directory_without_permission() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let shut = folder.path().join("shut");
    fs::create_dir(&shut).unwrap();
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(shut.join("probe"), "").is_ok() {
        println!("skipped: this user may write everywhere");
        return;
    }
    let data = shut.join("data");
    Story::tell(&Given { data: Some(&data), ..Given::default() }).ended(1, "HPC-DAT-0004", "shut");
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn policies_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("bad.yaml");
    for (text, word) in [
        (
            "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: a}\nspec:\n  effect: maybe\n",
            "bad.yaml",
        ),
        ("kind: Policy\n", "bad.yaml"),
        ("{{{{", "bad.yaml"),
    ] {
        fs::write(&policy, text).unwrap();
        Story::tell(&Given { policies: Some(folder.path()), ..Given::default() }).ended(
            2,
            "HPC-POL-0004",
            word,
        );
    }
    fs::write(&policy, format!("# {}\n", "x".repeat(10 << 20))).unwrap();
    Story::tell(&Given { policies: Some(folder.path()), ..Given::default() }).ended(
        2,
        "HPC-USG-0003",
        "bad.yaml",
    );
}

#[test]
fn a_request_nobody_may_have_is_refused_and_proved() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let request = folder.path().join("big.yaml");
    fs::write(&request, "name: big\ngpu: {model: h100, count: 72}\ninstances_max: 9\n").unwrap();
    let told = Story::tell(&Given { request: Some(&request), data: Some(&data), ..Given::default() });
    told.ended(3, "HPC-POL-0001", "");
    assert_eq!(told.steps("policy")[0]["decision"]["allowed"], false);
    assert!(told.steps("lease").is_empty() && told.steps("audit")[0]["verified"] == true);
}

#[test]
fn a_seed_that_is_not_the_directorys() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let told = |seed| Story::tell(&Given { data: Some(&data), seed: Some(seed), ..Given::default() });
    assert_eq!(told(7).end()["exit"], 0);
    told(8).ended(2, "HPC-USG-0012", "seed 7");
    assert_eq!(told(7).end()["exit"], 0);
}

#[test]
fn a_port_in_use_and_a_directory_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let world = World::open(options(&folder.path().join("data"))).await.unwrap();
        for listen in [
            Listen { api: taken.local_addr().unwrap(), ..Listen::free() },
            Listen { telemetry: taken_udp.local_addr().unwrap(), ..Listen::free() },
        ] {
            let error = Daemon::start(world.clone(), listen).await.err().unwrap();
            assert_eq!((error.code_text(), error.exit_code()), (Some("HPC-NET-0002"), 1), "{error}");
        }
        let outside = Listen { api: "0.0.0.0:0".parse().unwrap(), ..Listen::free() };
        let error = Daemon::start(world.clone(), outside).await.err().unwrap();
        assert_eq!((error.code_text(), error.exit_code()), (Some("HPC-DEV-0001"), 2), "{error}");
        // A second daemon over the same directory.
        let error = World::open(options(&folder.path().join("data"))).await.err().unwrap();
        assert_eq!((error.code_text(), error.exit_code()), (Some("HPC-DAT-0002"), 1), "{error}");
        // None of it hurt: the world still serves.
        Daemon::start(world, Listen::free()).await.unwrap().stop().await.unwrap();
    });
}

/// The command line reads request files as the demo does.
#[test]
fn the_command_line_refuses_the_same() {
    let daemon = Running::start();
    let folder: TempDir = tempfile::tempdir().unwrap();
    let plan = |name: &str, text: &str| {
        let path: PathBuf = folder.path().join(name);
        fs::write(&path, text).unwrap();
        daemon.hpc(&["request", "plan", "--file", Path::to_str(&path).unwrap()])
    };
    plan("unknown.yaml", "name: x\ngpus: 8\n").failed(2, "HPC-USG-0001");
    plan("huge.yaml", &format!("{MY_REQUEST}# {}\n", "x".repeat(10 << 20))).failed(2, "HPC-USG-0003");
    plan("negative.yaml", "name: x\ngpu: {model: h100, count: 8}\nmax_hourly: -5.00 USD\n")
        .failed(2, "HPC-USG-");
    assert_eq!(plan("mine.yaml", MY_REQUEST).code, 0);
}
