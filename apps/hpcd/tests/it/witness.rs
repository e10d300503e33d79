//! The witness: over HTTP, under a race, after `kill -9`, and with a log that contradicts itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use hpc_crypto::checkpoint::{Checkpoint, SignedCheckpoint};
use hpc_crypto::cosignature::{self, CosignerKey};
use hpc_crypto::merkle::{MerkleTree, Profile};
use hpc_crypto::note::{NoteSigner, VerifierKey};
use hpc_crypto::signing::KeyPair;
use hpc_crypto::witness::{ADD_CHECKPOINT_BYTES_MAX, AddCheckpoint};
use hpcd::clock::wall_now;
use hpcd::witness::limits::{COSIGN_BURST, COSIGN_EVERY};
use hpcd::witness::{Answer, RunningWitness, Witness, WitnessOptions, keys, store};

use crate::client::{Connection, Reply};

const ORIGIN: &str = "log.example/one";

/// A log that can be taken back and grown differently.
#[derive(Clone)]
struct Log {
    signer: Arc<NoteSigner>,
    leaves: Vec<Vec<u8>>,
}

impl Log {
    fn new(origin: &str, seed: u8) -> Self {
        let signer = NoteSigner::new(origin, KeyPair::from_seed([seed; 32])).unwrap();
        Self { signer: Arc::new(signer), leaves: Vec::new() }
    }

    fn one() -> Self {
        Self::new(ORIGIN, 1)
    }

    fn key(&self) -> VerifierKey {
        self.signer.verifier_key().clone()
    }

    fn grow(&mut self, to: usize, story: &str) {
        while self.leaves.len() < to {
            self.leaves.push(format!("{story} {}", self.leaves.len()).into_bytes());
        }
    }

    fn tree(&self) -> MerkleTree {
        let mut tree = MerkleTree::new(Profile::Rfc6962Sha256);
        for leaf in &self.leaves {
            tree.append(leaf).unwrap();
        }
        tree
    }

    fn checkpoint(&self) -> SignedCheckpoint {
        let tree = self.tree();
        let origin = self.signer.verifier_key().name().to_owned();
        Checkpoint { origin, size: tree.len(), root: tree.root(), extensions: Vec::new() }
            .sign(&self.signer)
            .unwrap()
    }

    /// The request of an honest log whose witness is at `old`.
    fn request(&self, old: u64) -> String {
        let tree = self.tree();
        let proof = match old {
            0 => Vec::new(),
            old if old == tree.len() => Vec::new(),
            old => tree.prove_consistency(old, tree.len()).unwrap().hashes,
        };
        AddCheckpoint::new(old, proof, &self.checkpoint()).unwrap().to_string()
    }
}

fn key_file(folder: &Path) -> (PathBuf, CosignerKey) {
    let path = folder.join("witness.key");
    let key = keys::generate("witness.example/w1", &path).unwrap();
    (path, key)
}

async fn start(folder: &Path, key: &Path, logs: Vec<VerifierKey>) -> RunningWitness {
    let listen = "127.0.0.1:0".parse().unwrap();
    let options =
        WitnessOptions { logs, key: key.to_owned(), data: folder.join("data"), listen, behind_proxy: false };
    RunningWitness::start(options).await.unwrap()
}

async fn add(connection: &mut Connection, body: &str) -> Reply {
    connection.request("POST", "/add-checkpoint", &[], body.as_bytes()).await
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

/// The reply is the witness's cosignature of this checkpoint.
fn cosigned(reply: &Reply, log: &Log, key: &CosignerKey) {
    assert_eq!(reply.status, 200, "{}", text(reply));
    let mut checkpoint = log.checkpoint();
    let added =
        cosignature::add_reply(&mut checkpoint, &reply.body, std::slice::from_ref(key), None).unwrap().len();
    assert_eq!(added, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_status_of_the_protocol_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = key_file(folder.path());
    let mut log = Log::one();
    let running = start(folder.path(), &path, vec![log.key()]).await;
    let mut connection = Connection::plain(running.address).await;

    log.grow(5, "true");
    cosigned(&add(&mut connection, &log.request(0)).await, &log, &key);
    // The same again is fine; it is where the witness is.
    cosigned(&add(&mut connection, &log.request(5)).await, &log, &key);
    // A client that does not know where the witness is learns it.
    let mut grown = log.clone();
    grown.grow(9, "true");
    let reply = add(&mut connection, &grown.request(0)).await;
    assert_eq!((reply.status, text(&reply).as_str()), (409, "5\n"));
    assert_eq!(reply.header("content-type"), Some("text/x.tlog.size"));
    cosigned(&add(&mut connection, &grown.request(5)).await, &grown, &key);
    assert_eq!(running.witness.size_of(ORIGIN), 9);

    // Going back is refused, and so is another tree of the same size.
    let reply = add(&mut connection, &log.request(5)).await;
    assert_eq!((reply.status, text(&reply).as_str()), (409, "9\n"));
    let mut forked = log.clone();
    forked.grow(9, "other");
    let reply =
        add(&mut connection, &AddCheckpoint::new(9, vec![], &forked.checkpoint()).unwrap().to_string()).await;
    assert_eq!((reply.status, text(&reply).as_str()), (409, "9\n"));
    // A longer one whose proof does not begin where the witness is.
    forked.grow(12, "other");
    assert_eq!(add(&mut connection, &forked.request(9)).await.status, 422);
    // Strangers, forgers and nonsense.
    let mut stranger = Log::new("log.example/two", 2);
    stranger.grow(1, "x");
    assert_eq!(add(&mut connection, &stranger.request(0)).await.status, 404);
    let mut forger = Log::new(ORIGIN, 3);
    forger.grow(10, "x");
    assert_eq!(add(&mut connection, &forger.request(9)).await.status, 403);
    for body in
        ["", "old 9", "old 09\n\n", "old x\n\nx", "\n\n", &grown.request(9).replace("old 9", "old 10")]
    {
        let reply = add(&mut connection, body).await;
        assert_eq!(reply.status, 400, "{body:?}: {}", text(&reply));
    }
    assert_eq!(connection.get("/add-checkpoint", &[]).await.status, 405);
    assert_eq!(connection.request("POST", "/", &[], b"").await.status, 404);
    assert_eq!(connection.request("POST", "/add-checkpoint/", &[], b"").await.status, 404);
    assert_eq!(running.witness.size_of(ORIGIN), 9, "nothing of that moved it");
    // At the limit of the body, and beyond.
    for (bytes, status) in [(ADD_CHECKPOINT_BYTES_MAX, 400), (ADD_CHECKPOINT_BYTES_MAX + 1, 413)] {
        let mut connection = Connection::plain(running.address).await;
        assert_eq!(add(&mut connection, &"x".repeat(bytes)).await.status, status, "{bytes}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contradiction_is_kept_listed_and_can_be_checked_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = key_file(folder.path());
    let mut log = Log::one();
    let running = start(folder.path(), &path, vec![log.key()]).await;
    let mut connection = Connection::plain(running.address).await;
    log.grow(5, "true");
    assert_eq!(add(&mut connection, &log.request(0)).await.status, 200);
    assert!(store::evidence(&folder.path().join("data")).unwrap().is_empty());
    let mut forked = Log::one();
    forked.grow(5, "other");
    let body = forked.request(5);
    for _ in 0..3 {
        assert_eq!(add(&mut connection, &body).await.status, 409);
    }
    // The same two with ever other proofs are kept once.
    forked.grow(7, "other");
    for hashes in 1..4 {
        let proof = forked.checkpoint().checkpoint().root;
        let request = AddCheckpoint::new(5, vec![proof; hashes], &forked.checkpoint()).unwrap();
        assert_eq!(add(&mut connection, &request.to_string()).await.status, 422);
    }
    let kept = store::evidence(&folder.path().join("data")).unwrap();
    assert_eq!(kept.len(), 2, "{kept:?}");
    for evidence in &kept {
        evidence.split.verify(&[log.key()]).unwrap();
        let stranger = Log::new("log.example/two", 2);
        assert!(evidence.split.verify(&[stranger.key()]).is_err());
    }
    let listed = hpcd::witness::evidence_text(&kept, false);
    assert!(listed.contains("conclusive  log.example/one  sizes 5 and 5"), "{listed}");
    assert!(listed.contains("suspected   log.example/one  sizes 5 and 7"), "{listed}");
    let json = hpcd::witness::evidence_text(&kept, true);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap().as_array().unwrap().len(), 2);
    running.stop().await;
}

/// Of many requests at once that go on from one size in two directions, those that were cosigned are of one history.
#[test]
fn a_race_leaves_one_history() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = key_file(folder.path());
    let mut base = Log::one();
    base.grow(3, "base");
    let data = folder.path().join("data");
    let witness = Witness::open(&data, keys::read_private(&path).unwrap(), vec![base.key()]).unwrap();
    let instant = Instant::now();
    let mut round_base = base.clone();
    assert!(matches!(
        witness.answer(round_base.request(0).as_bytes(), wall_now(), instant),
        Answer::Cosigned(_)
    ));
    for round in 0..8_u32 {
        let size = round_base.leaves.len();
        let branches: Vec<Log> = (0..8)
            .map(|branch| {
                let mut log = round_base.clone();
                log.grow(size + 1 + branch % 3, &format!("round {round} branch {branch}"));
                log
            })
            .collect();
        let start = Barrier::new(branches.len());
        // Far enough apart that the rate does not matter.
        let instant = instant + COSIGN_EVERY * 1_000 * (round + 1);
        let won: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = branches
                .iter()
                .map(|log| {
                    let (start, witness) = (&start, &witness);
                    scope.spawn(move || {
                        let body = log.request(size as u64);
                        start.wait();
                        matches!(witness.answer(body.as_bytes(), wall_now(), instant), Answer::Cosigned(_))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "round {round}: {won:?}");
        let at = won.iter().position(|won| *won).unwrap();
        round_base = branches[at].clone();
        assert_eq!(witness.size_of(ORIGIN), round_base.leaves.len() as u64);
    }
    drop(witness);
    // What is on disk is what was answered last.
    let witness = Witness::open(&data, keys::read_private(&path).unwrap(), vec![base.key()]).unwrap();
    assert_eq!(witness.size_of(ORIGIN), round_base.leaves.len() as u64);
    let size = round_base.leaves.len() as u64;
    assert!(matches!(
        witness.answer(round_base.request(size).as_bytes(), wall_now(), instant),
        Answer::Cosigned(_)
    ));
}

#[test]
fn what_cannot_be_stored_is_not_signed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = key_file(folder.path());
    let mut log = Log::one();
    log.grow(2, "true");
    let data = folder.path().join("data");
    let witness = Witness::open(&data, keys::read_private(&path).unwrap(), vec![log.key()]).unwrap();
    std::fs::rename(data.join("logs"), data.join("away")).unwrap();
    let answer = witness.answer(log.request(0).as_bytes(), wall_now(), Instant::now());
    assert!(matches!(answer, Answer::Unstored), "{answer:?}");
    assert_eq!(witness.size_of(ORIGIN), 0);
    std::fs::rename(data.join("away"), data.join("logs")).unwrap();
    let answer = witness.answer(log.request(0).as_bytes(), wall_now(), Instant::now());
    assert!(matches!(answer, Answer::Cosigned(_)), "{answer:?}");
}

#[test]
fn a_log_is_cosigned_so_often_and_then_evenly() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = key_file(folder.path());
    let (mut one, mut two) = (Log::one(), Log::new("log.example/two", 2));
    one.grow(1, "x");
    two.grow(1, "x");
    let data = folder.path().join("data");
    let witness =
        Witness::open(&data, keys::read_private(&path).unwrap(), vec![one.key(), two.key()]).unwrap();
    let start = Instant::now();
    let ask = |log: &Log, at: Duration| {
        let old = witness.size_of(log.signer.verifier_key().name());
        matches!(witness.answer(log.request(old).as_bytes(), wall_now(), start + at), Answer::Cosigned(_))
    };
    for time in 0..COSIGN_BURST {
        assert!(ask(&one, Duration::ZERO), "{time}");
    }
    assert!(!ask(&one, Duration::ZERO), "one more than at once");
    assert!(ask(&two, Duration::ZERO), "another log is not kept waiting");
    assert!(!ask(&one, COSIGN_EVERY - Duration::from_millis(1)));
    assert!(ask(&one, COSIGN_EVERY));
    assert!(!ask(&one, COSIGN_EVERY));
    assert!(ask(&one, COSIGN_EVERY * 2));
}

#[test]
fn state_that_is_in_use_or_damaged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = key_file(folder.path());
    let mut log = Log::one();
    log.grow(2, "true");
    let data = folder.path().join("data");
    let open = || Witness::open(&data, keys::read_private(&path).unwrap(), vec![log.key()]);
    let witness = open().unwrap();
    assert_eq!(open().err().unwrap().code_text(), Some("HPC-DAT-0002"));
    assert!(matches!(
        witness.answer(log.request(0).as_bytes(), wall_now(), Instant::now()),
        Answer::Cosigned(_)
    ));
    drop(witness);
    let file = std::fs::read_dir(data.join("logs")).unwrap().next().unwrap().unwrap().path();
    let stored = std::fs::read(&file).unwrap();
    for damage in [&stored[..stored.len() / 2], b"", b"x", &vec![b'x'; 2 << 20]] {
        std::fs::write(&file, damage).unwrap();
        let error = open().err().unwrap();
        assert_eq!(error.code_text(), Some("HPC-DAT-0001"), "{error}");
    }
    // That of another log in its place.
    let mut other = Log::new("log.example/two", 2);
    other.grow(1, "x");
    std::fs::write(&file, other.checkpoint().to_string()).unwrap();
    assert!(open().err().unwrap().to_string().contains("another log"));
    std::fs::write(&file, stored).unwrap();
    assert_eq!(open().unwrap().size_of(ORIGIN), 2);
}

#[test]
fn keys_are_for_their_owner_and_their_purpose() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = key_file(folder.path());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(keys::read_private(&path).unwrap().key(), &key);
    assert!(keys::generate("again", &path).is_err(), "nothing is written over");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(keys::read_private(&path).err().unwrap().code_text(), Some("HPC-USG-0006"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    // Base64 may have a `+` of its own.
    let secret = text.trim().splitn(5, '+').nth(4).unwrap();
    for damaged in
        [text.replace("PRIVATE", "PUBLIC"), text.replace("w1", "w2"), text[..40].to_owned(), String::new()]
    {
        std::fs::write(&path, damaged).unwrap();
        let error = keys::read_private(&path).err().unwrap();
        assert_eq!(error.code_text(), Some("HPC-USG-0012"), "{error}");
        assert!(!error.to_string().contains(secret), "no key in an error");
    }
    std::fs::write(&path, &text).unwrap();
    let log = Log::one();
    let twice = Witness::open(folder.path(), keys::read_private(&path).unwrap(), vec![log.key(), log.key()]);
    assert!(twice.err().unwrap().to_string().contains("twice"));
    let none = Witness::open(folder.path(), keys::read_private(&path).unwrap(), vec![]);
    assert_eq!(none.err().unwrap().code_text(), Some("HPC-USG-0003"));
}

#[tokio::test]
async fn beyond_loopback_needs_a_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let (key, _) = key_file(folder.path());
    let listen = "0.0.0.0:0".parse().unwrap();
    let data = folder.path().join("data");
    let options = WitnessOptions { logs: vec![Log::one().key()], key, data, listen, behind_proxy: false };
    let error = RunningWitness::start(options).await.err().unwrap();
    assert!(error.to_string().contains("--behind-proxy"), "{error}");
}

/// What was cosigned outlives `kill -9`: the next run goes on from there, and cosigns no other history.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = key_file(folder.path());
    let mut log = Log::one();
    let mut size = 0;
    for round in 0..5_usize {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hpcd"))
            .args([
                "witness",
                "run",
                "--listen",
                "127.0.0.1:0",
                "--metrics-port",
                "0",
                "--log",
                &log.key().to_string(),
            ])
            .arg("--key")
            .arg(&path)
            .arg("--data")
            .arg(folder.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let address = lines
            .by_ref()
            .find_map(|line| Some(line.unwrap().split_once("http://")?.1.split('/').next()?.parse().unwrap()))
            .unwrap();
        let mut connection = Connection::plain(address).await;
        // Another history from the size before the kill is not cosigned.
        if size > 0 {
            let mut forked = Log::one();
            forked.grow(size + 1, "other");
            let reply = add(&mut connection, &forked.request(size as u64)).await;
            assert_eq!(reply.status, 422, "{}", text(&reply));
        }
        for step in 1..=3 {
            log.grow(size + step, "true");
            let reply = add(&mut connection, &log.request((size + step - 1) as u64)).await;
            cosigned(&reply, &log, &key);
        }
        size += 3;
        // One more is asked for, and whether it is answered before the end does not matter.
        let mut more = log.clone();
        more.grow(size + 1, "true");
        let body = more.request(size as u64);
        let head = format!(
            "POST /add-checkpoint HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.send(head.as_bytes()).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let data = folder.path().join("data");
        let witness = Witness::open(&data, keys::read_private(&path).unwrap(), vec![log.key()]).unwrap();
        let found = witness.size_of(ORIGIN);
        assert!(found == size as u64 || found == size as u64 + 1, "round {round}: {found} after {size}");
        if found > size as u64 {
            (log, size) = (more, size + 1);
        }
    }
}
