//! The surfaces together: a daemon on loopback, the command line against it over mutual TLS, and the demo.

mod bad_input;
mod damage;
mod demo;
mod flips;
mod journey;

use std::path::{Path, PathBuf};

use hpcd::clock::{Pace, wall_now};
use hpcd::context::Contexts;
use hpcd::daemon::{Daemon, Listen};
use hpcd::world::{World, WorldOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What came of one invocation of `hpc`.
#[derive(Debug)]
pub struct Said {
    pub code: u8,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Standard output as JSON, of an invocation that went well.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The invocation failed with this exit code and this error code.
    pub fn failed(&self, exit: u8, code: &str) {
        assert!(self.code == exit && self.err.contains(code), "wanted {exit} and {code}: {self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
    }
}

/// Runs `hpc` with a home of contexts, no terminal.
pub fn hpc(home: &Path, args: &[&str]) -> Said {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let around = hpc::Surroundings { home: Ok(home.to_owned()), now: hpc::now };
    let io = hpc::Io { out: &mut out, err: &mut err, input: None };
    let code = hpc::run(std::iter::once("hpc").chain(args.iter().copied()), &around, io);
    let [out, err] = [out, err].map(|bytes| String::from_utf8(bytes).unwrap());
    Said { code, out, err }
}

pub fn options(data: &Path) -> WorldOptions {
    WorldOptions {
        data: Some(data.to_owned()),
        seed: Some(7),
        policies: None,
        policy_key: None,
        catalog: None,
        providers: None,
        story: "none".to_owned(),
        pace: Pace::Wall,
        start: wall_now(),
    }
}

/// A development daemon on free ports, with contexts for `hpc`.
pub struct Running {
    folder: TempDir,
    runtime: Runtime,
    daemon: Option<Daemon>,
    contexts: Option<Contexts>,
}

impl Running {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let daemon = runtime.block_on(async {
            let world = World::open(options(&folder.path().join("data"))).await.unwrap();
            Daemon::start(world, Listen::free()).await.unwrap()
        });
        let contexts = Contexts::write(&daemon, &folder.path().join("home")).unwrap();
        Self { folder, runtime, daemon: Some(daemon), contexts: Some(contexts) }
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub fn audit(&self) -> PathBuf {
        self.folder.path().join("data/audit")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn hpc(&self, args: &[&str]) -> Said {
        hpc(&self.home(), args)
    }

    /// Stops in order. The contexts stay unless `tidy`.
    pub fn stop(&mut self, tidy: bool) {
        let contexts = self.contexts.take().unwrap();
        if tidy {
            drop(contexts)
        } else {
            std::mem::forget(contexts)
        }
        self.runtime.block_on(self.daemon.take().unwrap().stop()).unwrap();
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies a folder, with the rights of its folders.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
}
