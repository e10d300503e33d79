//! The daemon asks witnesses: a quorum, one that is silent, a log that went back, and what clients see of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hpc_audit::{AuditLog, Entry, Outcome, TileSource as _};
use hpc_crypto::cosignature::CosignerKey;
use hpc_crypto::note::VerifierKey;
use hpc_crypto::tlog_policy::TlogPolicy;
use hpcd::clock::wall_now;
use hpcd::context::Contexts;
use hpcd::cosigning::limits::QUORUM_LATE_MAX;
use hpcd::daemon::{Daemon, Listen};
use hpcd::witness::{RunningWitness, WitnessOptions, keys};
use hpcd::world::World;

use crate::client::Connection;
use crate::options;

/// A witness of one log in a folder of its own.
async fn witness(folder: &Path, name: &str, log: VerifierKey) -> (RunningWitness, CosignerKey) {
    let data = folder.join(name);
    let key = folder.join(format!("{name}.key"));
    let public = keys::generate(&format!("{name}.example"), &key).unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let options = WitnessOptions { logs: vec![log], key, data, listen, behind_proxy: false };
    (RunningWitness::start(options).await.unwrap(), public)
}

fn policy(folder: &Path, quorum: u32, witnesses: &[(&str, &CosignerKey, String)]) -> PathBuf {
    let mut text = String::new();
    for (name, key, url) in witnesses {
        text.push_str(&format!("witness {name} {key} {url}\n"));
    }
    let names: Vec<&str> = witnesses.iter().map(|(name, ..)| *name).collect();
    text.push_str(&format!("group all-of-them {quorum} {}\nquorum all-of-them\n", names.join(" ")));
    let path = folder.join("witnesses.policy");
    std::fs::write(&path, text).unwrap();
    path
}

async fn append(world: &World, n: u64) {
    let at = "2026-11-23T15:00:00Z".parse().unwrap();
    let entry = Entry::new(format!("cosigned {n}"), at, "alice", "lease.active", Outcome::Ok);
    world.audit.append(vec![entry]).await.unwrap();
    world.audit.checkpoint().await.unwrap();
}

async fn served(daemon: &Daemon) -> Vec<u8> {
    let mut connection = Connection::plain(daemon.audit.unwrap()).await;
    connection.get("/audit/checkpoint", &[]).await.body
}

fn listen() -> Listen {
    Listen { audit: Some("127.0.0.1:0".parse().unwrap()), ..Listen::free() }
}

/// Runs `hpc` beside the runtime that it would block.
async fn hpc(home: &Path, args: &[&str]) -> (u8, String, String) {
    let home = home.to_owned();
    let args: Vec<String> = std::iter::once("hpc").chain(args.iter().copied()).map(str::to_owned).collect();
    tokio::task::spawn_blocking(move || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let io = hpc::Io { out: &mut out, err: &mut err, input: None };
        let around = hpc::Surroundings { home: Ok(home), now: hpc::now };
        let code = hpc::run(args, &around, io);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_cosigns_though_one_witness_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(options(Some(&folder.path().join("data")))).await.unwrap();
    let key = world.audit.verifier_key();
    let (one, one_key) = witness(folder.path(), "w1", key.clone()).await;
    let (two, two_key) = witness(folder.path(), "w2", key.clone()).await;
    let silent = keys::generate("w3.example", &folder.path().join("w3.key")).unwrap();
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = policy(
        folder.path(),
        2,
        &[
            ("w1", &one_key, format!("http://{}", one.address)),
            ("w2", &two_key, format!("http://{}/", two.address)),
            ("w3", &silent, format!("http://{gone}")),
        ],
    );
    let daemon = Daemon::start_witnessed(Arc::clone(&world), listen(), Some(&text)).await.unwrap();
    let home = folder.path().join("home");
    let _contexts = Contexts::write(&daemon, &home).unwrap();
    let cosigning = daemon.cosigning.clone().unwrap();
    let rules = TlogPolicy::parse(&std::fs::read(&text).unwrap()).unwrap().with_log(key).unwrap();
    for n in 0..3 {
        append(&world, n).await;
        let size = world.audit.published().checkpoint().size;
        cosigning.round(&world.audit, wall_now()).await;
        let state = cosigning.state();
        assert_eq!((state.size, &state.missing), (size, &None), "{state:?}");
        assert_eq!((one.witness.size_of("hpcd-dev.audit"), state.witnesses[1].size), (size, size));
        assert!(state.witnesses[2].problem.as_ref().unwrap().contains("cannot be reached"), "{state:?}");
        let verdict = rules.evaluate(&served(&daemon).await, None).unwrap();
        assert!(verdict.holds() && verdict.witnessed().len() == 2, "{:?}", verdict.missing());
    }
    // Entries go on while nobody has cosigned them yet; what is served stays the newest with its quorum.
    let cosigned = served(&daemon).await;
    append(&world, 9).await;
    assert_eq!(served(&daemon).await, cosigned);
    let words = text.to_str().unwrap();
    let (code, out, err) = hpc(&home, &["audit", "checkpoint", "--policy", words]).await;
    assert!(code == 0 && out.contains("w1 at ") && out.contains("w3: it cannot be reached"), "{out} {err}");
    let (code, out, err) = hpc(&home, &["doctor"]).await;
    assert!(code == 0 && out.contains("witnesses"), "{out} {err}");

    // The quorum is lost: the alarm comes after a while, and nothing else stops.
    one.stop().await;
    let before = wall_now();
    cosigning.round(&world.audit, before).await;
    let state = cosigning.state();
    assert!(state.missing.as_ref().unwrap().contains("1 of 2"), "{state:?}");
    assert!(
        !state.is_late(before)
            && state.is_late(before + QUORUM_LATE_MAX + jiff::SignedDuration::from_secs(1))
    );
    daemon.stop().await.unwrap();
    drop(world);

    // A new run begins with what was cosigned, and learns from the witness where it is.
    let world = World::open(options(Some(&folder.path().join("data")))).await.unwrap();
    let daemon = Daemon::start_witnessed(Arc::clone(&world), listen(), Some(&text)).await.unwrap();
    assert_eq!(served(&daemon).await, cosigned);
    append(&world, 10).await;
    let cosigning = daemon.cosigning.clone().unwrap();
    cosigning.round(&world.audit, wall_now()).await;
    assert_eq!(two.witness.size_of("hpcd-dev.audit"), world.audit.published().checkpoint().size);
    daemon.stop().await.unwrap();
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_put_back_is_told_by_its_witness() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let world = World::open(options(Some(&data))).await.unwrap();
    let (running, key) = witness(folder.path(), "w1", world.audit.verifier_key()).await;
    let text = policy(folder.path(), 1, &[("w1", &key, format!("http://{}", running.address))]);
    world.audit.close().await.unwrap();
    drop(world);
    let backup = folder.path().join("backup");
    let copied = std::process::Command::new("cp").arg("-a").arg(&data).arg(&backup).status().unwrap();
    assert!(copied.success());
    for (at, growth) in [(&data, 5), (&backup, 1)] {
        let world = World::open(options(Some(at))).await.unwrap();
        let daemon = Daemon::start_witnessed(Arc::clone(&world), listen(), Some(&text)).await.unwrap();
        for n in 0..growth {
            append(&world, n).await;
        }
        let cosigning = daemon.cosigning.clone().unwrap();
        cosigning.round(&world.audit, wall_now()).await;
        let state = cosigning.state();
        if growth == 5 {
            assert_eq!(state.missing, None, "{state:?}");
        } else {
            let problem = state.witnesses[0].problem.clone().unwrap();
            assert!(problem.contains("the log went back"), "{problem}");
            assert_eq!(state.size, 0);
        }
        daemon.stop().await.unwrap();
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_cannot_be_used_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(options(None)).await.unwrap();
    let key = keys::generate("w1.example", &folder.path().join("w1.key")).unwrap();
    let file = folder.path().join("policy");
    let other =
        hpc_crypto::note::NoteSigner::new("other", hpc_crypto::signing::KeyPair::from_seed([1; 32])).unwrap();
    for (text, word) in [
        (format!("witness w1 {key}\nquorum w1\n"), "no witness with a URL"),
        (format!("witness w1 {key} ftp://x\nquorum w1\n"), "https://"),
        (format!("log {}\nwitness w1 {key} https://x\nquorum w1\n", other.verifier_key()), "other logs"),
        ("quorum x\n".to_owned(), "line 1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let started = Daemon::start_witnessed(Arc::clone(&world), Listen::free(), Some(&file)).await;
        let error = started.err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_holds_more_than_one_answer() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(options(None)).await.unwrap();
    let daemon = Daemon::start(Arc::clone(&world), Listen::free()).await.unwrap();
    let home = folder.path().join("home");
    let _contexts = Contexts::write(&daemon, &home).unwrap();
    // Six megabytes: more than a message may have.
    let at = "2026-11-23T15:00:00Z".parse().unwrap();
    for chunk in 0..3_u64 {
        let entry = |n: u64| {
            Entry::new(format!("big {chunk} {n}"), at, "alice", "lease.active", Outcome::Ok)
                .subject("lease", "lse_7")
                .with("text", "\"x".repeat(20_000))
        };
        world.audit.append((0..32).map(entry).collect()).await.unwrap();
    }
    let size = world.audit.size();
    let all = folder.path().join("all.json");
    let range = format!("0..{size}");
    let (code, _, err) =
        hpc(&home, &["audit", "export", "--range", &range, "--out", all.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{err}");
    let (code, out, err) = hpc(&home, &["audit", "verify", all.to_str().unwrap(), "-o", "json"]).await;
    assert!(code == 0 && out.contains(&format!("\"entries\":{size}")), "{out} {err}");
    let lease = folder.path().join("lease.json");
    let args = ["audit", "export", "--lease", "lse_7", "--out", lease.to_str().unwrap()];
    let (code, _, err) = hpc(&home, &args).await;
    assert!(code == 0 && err.contains("96 records"), "{err}");
    let beyond = format!("0..{}", size + 5);
    let (code, _, err) = hpc(&home, &["audit", "export", "--range", &beyond, "--out", "/nowhere/x"]).await;
    assert!(code == 1 && err.contains("HPC-AUD-0003"), "{err}");
    daemon.stop().await.unwrap();
}
