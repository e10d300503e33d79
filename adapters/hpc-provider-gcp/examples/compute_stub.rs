//! The stub of the Compute API that the tests use, on a port: for other clients (`tests/counterparts/gce.sh`).
//!
//! ```console
//! $ cargo run -p hpc-provider-gcp --example compute_stub -- 127.0.0.1:5002
//! ```
#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a server for tests, which panics like one and offers more than is used here"
)]

#[path = "../tests/it/stub/mod.rs"]
mod stub;

#[tokio::main]
async fn main() {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    assert!(address.starts_with("127.0.0.1:"), "it serves this machine only: 127.0.0.1:PORT");
    let stub = stub::Stub::start(&address).await;
    stub.cloud().reservations = vec![stub::cloud::Reserved {
        name: "training",
        zone: "us-central1-a",
        machine_type: "a2-ultragpu-8g",
        status: "READY",
        count: 1,
        hidden: 0,
        by_name: true,
        platform: None,
        ends_at: None,
    }];
    println!("{}", stub.url);
    // Its clock stands still otherwise, and new instances would never show up in lists.
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        stub.pass(std::time::Duration::from_secs(60));
    }
}
