//! The published audit log over HTTP, as an auditor with a few published formats and no code of ours would read it.

use std::io::Read as _;

use hpc_audit::{AuditLog, Entry, Outcome};
use hpc_auth::PeerPolicy;
use hpc_auth::client::create_client_config;
use hpc_crypto::checkpoint::SignedCheckpoint;
use hpc_crypto::hashing::sha256;
use hpc_identity::SpiffeId;
use hpcd::clock::wall_now;
use hpcd::daemon::{Daemon, Listen};
use hpcd::tiles::limits::BUNDLES_MAX;
use hpcd::world::World;

use crate::client::{Connection, Reply};
use crate::options;

/// A daemon that anybody may read, with `count` more entries in its log.
async fn daemon(count: u64) -> Daemon {
    let world = World::open(options(None)).await.unwrap();
    let listen = Listen { audit: Some("127.0.0.1:0".parse().unwrap()), ..Listen::free() };
    let daemon = Daemon::start(world, listen).await.unwrap();
    append(&daemon, 0, count).await;
    daemon
}

async fn append(daemon: &Daemon, from: u64, to: u64) {
    let entry = |n: u64| {
        let at = "2026-11-23T15:00:00Z".parse().unwrap();
        Entry::new(format!("tile {n}"), at, "alice", "lease.active", Outcome::Ok)
            .with("text", "x".repeat(200))
    };
    for chunk in (from..to).collect::<Vec<_>>().chunks(500) {
        daemon.world.audit.append(chunk.iter().map(|n| entry(*n)).collect()).await.unwrap();
    }
    daemon.world.audit.checkpoint().await.unwrap();
}

async fn member(daemon: &Daemon, who: [&str; 2]) -> Connection {
    let identity = &daemon.world.identity;
    let id = SpiffeId::new(identity.trust_domain(), who).unwrap();
    let svid = identity.issue(&id, wall_now()).unwrap();
    let server = PeerPolicy::Exact(identity.server_id().clone());
    let config = create_client_config(&svid, &[identity.bundle()], server, &[b"http/1.1"]).unwrap();
    Connection::open(daemon.api, config).await
}

async fn anybody(daemon: &Daemon) -> Connection {
    Connection::plain(daemon.audit.unwrap()).await
}

/// `/audit/tile/<level>/...` by the words of c2sp.org/tlog-tiles.
fn path(level: &str, index: u64, width: u64) -> String {
    assert!(index < 1000);
    let partial = if width == 256 { String::new() } else { format!(".p/{width}") };
    format!("/audit/tile/{level}/{index:03}{partial}")
}

fn node(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    *sha256(&[&[1][..], &left, &right].concat()).as_bytes()
}

/// RFC 6962, section 2.1, word for word.
fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [leaf] => *leaf,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            node(root(&leaves[..split]), root(&leaves[split..]))
        }
    }
}

fn entries(mut bundle: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while !bundle.is_empty() {
        let end = 2 + usize::from(u16::from_be_bytes([bundle[0], bundle[1]]));
        found.push(bundle[2..end].to_vec());
        bundle = &bundle[end..];
    }
    found
}

fn ok(reply: Reply) -> Vec<u8> {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    reply.body
}

/// Fetches everything, builds the tree anew from the entries alone, and compares hash tiles and root.
async fn audit(daemon: &Daemon, connection: &mut Connection) -> u64 {
    let note = ok(connection.get("/audit/checkpoint", &[]).await);
    let signed = SignedCheckpoint::open(&note, &daemon.world.audit.verifier_key()).unwrap();
    let text = String::from_utf8(note).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let size: u64 = lines[1].parse().unwrap();
    let (mut leaves, mut hashes) = (Vec::new(), Vec::new());
    for index in 0..size.div_ceil(256) {
        let width = (size - index * 256).min(256);
        let bundle = ok(connection.get(&path("entries", index, width), &[]).await);
        leaves.extend(entries(&bundle).iter().map(|entry| *sha256(&[&[0][..], entry].concat()).as_bytes()));
        hashes.extend(ok(connection.get(&path("0", index, width), &[]).await));
    }
    assert_eq!(leaves.len() as u64, size);
    assert_eq!(leaves.concat(), hashes);
    if size >= 256 {
        let rows: Vec<_> = leaves.chunks_exact(256).map(root).collect();
        let tile = ok(connection.get(&path("1", 0, rows.len() as u64), &[]).await);
        assert_eq!(rows.concat(), tile);
    }
    assert_eq!(root(&leaves), *signed.checkpoint().root.as_bytes());
    size
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_and_a_member_rebuild_the_tree_and_come_to_the_signed_root() {
    let daemon = daemon(700).await;
    let mut stranger = anybody(&daemon).await;
    let first = audit(&daemon, &mut stranger).await;
    assert!(first >= 700);
    // What the old checkpoint needs is there when the log has grown past it.
    let index = first / 256;
    let old = path("0", index, first % 256);
    let before = ok(stranger.get(&old, &[]).await);
    append(&daemon, 700, 1_000).await;
    assert_eq!(ok(stranger.get(&old, &[]).await), before);
    let mut lead = member(&daemon, ["user", "lead"]).await;
    assert_eq!(audit(&daemon, &mut lead).await, first + 300);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caches_are_told_what_they_may_keep() {
    let daemon = daemon(300).await;
    let mut connections =
        [("private", member(&daemon, ["user", "you"]).await), ("public", anybody(&daemon).await)];
    for (whose, connection) in &mut connections {
        let reply = connection.get("/audit/checkpoint", &[]).await;
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.header("cache-control").unwrap(), format!("{whose}, max-age=2"));
        for tile in ["/audit/tile/0/000", "/audit/tile/entries/000", "/audit/tile/0/001.p/9"] {
            let reply = connection.get(tile, &[]).await;
            assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/octet-stream")));
            let cache = reply.header("cache-control").unwrap();
            assert_eq!(cache, format!("{whose}, immutable, max-age=31536000"));
            let tag = reply.header("etag").unwrap().to_owned();
            // HEAD says the same and sends nothing; the next request on the connection is understood.
            let head = connection.head(tile).await;
            assert_eq!((head.status, head.header("etag")), (200, Some(tag.as_str())));
            assert_eq!(head.header("content-length").unwrap(), reply.body.len().to_string());
            let again = connection.get(tile, &[("if-none-match", &tag)]).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{tile}");
            assert_eq!(again.header("etag"), Some(tag.as_str()));
            assert_eq!(again.header("cache-control").unwrap(), cache);
            let other = connection.get(tile, &[("if-none-match", "\"x\"")]).await;
            assert_eq!(ok(other), reply.body);
        }
    }
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bundles_of_entries_are_compressed_where_that_is_asked_for() {
    let daemon = daemon(300).await;
    let mut connection = anybody(&daemon).await;
    let plain = connection.get("/audit/tile/entries/000", &[]).await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
    let packed = connection.get("/audit/tile/entries/000", &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(
        (packed.header("content-encoding"), packed.header("vary")),
        (Some("gzip"), Some("accept-encoding"))
    );
    assert_ne!(packed.header("etag"), plain.header("etag"), "two bodies are two things");
    assert!(packed.body.len() * 4 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    let hashes = connection.get("/audit/tile/0/000", &[("accept-encoding", "gzip")]).await;
    assert_eq!(
        (hashes.header("content-encoding"), hashes.body.len()),
        (None, 8192),
        "hashes cannot be compressed"
    );
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_the_published_log_is_behind_a_path() {
    let daemon = daemon(300).await;
    // Durable and not yet signed: not published.
    let late =
        Entry::new("late", "2026-11-23T15:00:00Z".parse().unwrap(), "alice", "lease.active", Outcome::Ok);
    daemon.world.audit.append(vec![late]).await.unwrap();
    let size = daemon.world.audit.size();
    let beyond = [path("0", 1, size - 256), path("entries", 1, size - 256), path("0", 2, 1), path("1", 0, 2)];
    for connection in [&mut member(&daemon, ["user", "you"]).await, &mut anybody(&daemon).await] {
        for path in beyond.iter().map(String::as_str).chain([
            "/audit/",
            "/audit/log.vkey",
            "/audit/tail",
            "/audit/lock",
            "/audit/checkpoint/",
            "/audit/checkpoint.tmp",
            "/audit/../hpcd.json",
            "/audit/tile/0/../../log.vkey",
            "/audit/tile/entries/..%2f..%2f..%2fvault.key",
            "/audit/tile/%30/000",
            "/audit//tile/0/000",
            "/audit/tile/0/000/",
            "/audit/tile/0/0",
            "/audit/tile/0/x000/000",
            "/audit/tile/0/000.p/0",
            "/audit/tile/0/000.p/256",
            "/audit/tile/0/000.p/+9",
            "/audit/tile/0/000.p/009",
            "/audit/tile/8/000",
            "/audit/tile/00/000",
            "/audit/tile/data/000",
            "/audit/tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ]) {
            let reply = connection.get(path, &[]).await;
            assert_eq!(reply.status, 404, "{path}");
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}: it may be there later");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let reply = connection.request(method, "/audit/checkpoint", &[], b"x").await;
            assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method}");
        }
        assert_eq!(connection.get("/audit/checkpoint", &[]).await.status, 200, "it goes on answering");
    }
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_need_the_permission_to_read_and_strangers_get_nothing_else() {
    let daemon = daemon(1).await;
    let mut node = member(&daemon, ["node", "node-7"]).await;
    let reply = node.get("/audit/checkpoint", &[]).await;
    assert_eq!(reply.status, 403, "{}", String::from_utf8_lossy(&reply.body));
    let reply = node.get("/audit/tile/entries/000.p/1", &[]).await;
    assert_eq!(reply.status, 403);
    let mut stranger = anybody(&daemon).await;
    for path in ["/", "/metrics", "/access/v1/evaluation", "/.well-known/authzen-configuration"] {
        assert_eq!(stranger.get(path, &[]).await.status, 404, "{path}");
    }
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    let reply = stranger.request("POST", "/hpc.control.v1.SystemService/Info", &grpc, b"").await;
    assert_eq!(reply.header("grpc-status"), Some("12"), "{reply:?}");
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_readers_than_places_are_all_answered() {
    let daemon = daemon(256).await;
    let mut waiting = Vec::new();
    for _ in 0..BUNDLES_MAX * 3 {
        let mut connection = anybody(&daemon).await;
        waiting.push(tokio::spawn(async move { ok(connection.get("/audit/tile/entries/000", &[]).await) }));
    }
    let mut bodies = Vec::new();
    for reader in waiting {
        bodies.push(reader.await.unwrap());
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    daemon.stop().await.unwrap();
}

#[tokio::test]
async fn the_public_listener_is_for_loopback() {
    let world = World::open(options(None)).await.unwrap();
    let listen = Listen { audit: Some("0.0.0.0:0".parse().unwrap()), ..Listen::free() };
    let error = Daemon::start(world, listen).await.err().unwrap();
    assert_eq!(error.code_text(), Some("HPC-DEV-0001"));
}
