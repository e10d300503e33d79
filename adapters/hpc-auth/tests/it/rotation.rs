//! Identities and bundles that change while a configuration is in use.

use std::sync::Arc;
use std::time::Duration;

use hpc_auth::client::client_config_from_source;
use hpc_auth::server::{ClientAuth, server_config_from_source};
use hpc_auth::source::{RotatingIdentity, renew_at};
use hpc_auth::{AuthError, PeerPolicy};
use hpc_identity::{IdentityError, TrustBundle};
use proptest::prelude::*;
use rustls::{CertificateError, ClientConfig, ServerConfig, ServerConnection};

use crate::support::{At, HOUR, authority, connect, domain, id, issued, members, noon};

async fn configs(
    server: &RotatingIdentity,
    client: &RotatingIdentity,
    peers: PeerPolicy,
) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let mut server =
        server_config_from_source(Arc::new(server.clone()), peers.clone(), ClientAuth::Required, &[b"h2"])
            .await
            .unwrap();
    let mut client = client_config_from_source(Arc::new(client.clone()), peers, &[b"h2"]).await.unwrap();
    server.time_provider = Arc::new(At(noon()));
    client.time_provider = Arc::new(At(noon()));
    (Arc::new(server), Arc::new(client))
}

/// Yields to the refreshing tasks until `done`, with a limit.
async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the change was never seen");
}

fn client_serial(server: &ServerConnection) -> Vec<u8> {
    hpc_identity::lint_leaf(&server.peer_certificates().unwrap()[0]).unwrap().serial
}

#[tokio::test]
async fn a_hundred_rotations_lose_no_handshake_and_no_connection() {
    let ca = authority("hpc.internal");
    let server = RotatingIdentity::new(issued(&ca, "service/a"), [ca.bundle()]).unwrap();
    let client = RotatingIdentity::new(issued(&ca, "node/n"), [ca.bundle()]).unwrap();
    let (server_config, client_config) = configs(&server, &client, members(&ca)).await;
    let (mut open_server, mut open_client) = connect(&server_config, &client_config).unwrap();
    for _ in 0..100 {
        server.rotate(issued(&ca, "service/a")).unwrap();
        let next = issued(&ca, "node/n");
        let serial = next.serial().to_vec();
        client.rotate(next).unwrap();
        // Every handshake in between succeeds, with the old identity or the new one; soon it is the new one.
        until(|| client_serial(&connect(&server_config, &client_config).unwrap().0) == serial).await;
    }
    // The connection opened before the first rotation still carries data.
    use std::io::{Read as _, Write as _};
    open_client.writer().write_all(b"still here").unwrap();
    let mut bytes = Vec::new();
    open_client.write_tls(&mut bytes).unwrap();
    open_server.read_tls(&mut bytes.as_slice()).unwrap();
    open_server.process_new_packets().unwrap();
    let mut read = [0; 10];
    open_server.reader().read_exact(&mut read).unwrap();
    assert_eq!(&read, b"still here");
}

#[tokio::test]
async fn an_authority_is_replaced_without_an_outage() {
    let (old, new) = (authority("hpc.internal"), authority("hpc.internal"));
    let server = RotatingIdentity::new(issued(&old, "service/a"), [old.bundle()]).unwrap();
    let client = RotatingIdentity::new(issued(&old, "node/n"), [old.bundle()]).unwrap();
    let (server_config, client_config) = configs(&server, &client, members(&old)).await;
    connect(&server_config, &client_config).unwrap();

    // Prepare: everyone believes both. Activate: new identities. Withdraw: only the new authority is believed.
    let both =
        TrustBundle::new(domain("hpc.internal"), vec![old.cert_der().to_vec(), new.cert_der().to_vec()])
            .unwrap()
            .with_sequence(1);
    server.set_bundle(both.clone()).unwrap();
    client.set_bundle(both).unwrap();
    server.rotate(issued(&new, "service/a")).unwrap();
    until(|| connect(&server_config, &client_config).is_ok()).await;
    let only_new = new.bundle().with_sequence(2);
    server.set_bundle(only_new).unwrap();
    let unknown = ("server", CertificateError::UnknownIssuer.into());
    until(|| connect(&server_config, &client_config).is_err_and(|error| error == unknown)).await;
    let next = issued(&new, "node/n");
    client.rotate(next).unwrap();
    until(|| connect(&server_config, &client_config).is_ok()).await;
}

#[tokio::test]
async fn a_source_must_know_the_domains_of_the_expected_peers() {
    let ca = authority("hpc.internal");
    let source = Arc::new(RotatingIdentity::new(issued(&ca, "a"), [ca.bundle()]).unwrap());
    let peers = PeerPolicy::Exact(id("spiffe://elsewhere/x"));
    let made = client_config_from_source(source, peers, &[]).await;
    let unknown = IdentityError::UnknownTrustDomain(domain("elsewhere"));
    assert_eq!(made.map(drop), Err(AuthError::Identity(unknown)));
}

#[tokio::test]
async fn the_refreshing_task_ends_with_its_configuration() {
    let ca = authority("hpc.internal");
    let source = Arc::new(RotatingIdentity::new(issued(&ca, "a"), [ca.bundle()]).unwrap());
    let config = client_config_from_source(Arc::clone(&source) as _, members(&ca), &[]).await.unwrap();
    assert_eq!(Arc::strong_count(&source), 2);
    drop(config);
    until(|| Arc::strong_count(&source) == 1).await;
}

#[test]
fn following_a_source_needs_a_runtime() {
    let ca = authority("hpc.internal");
    let source = Arc::new(RotatingIdentity::new(issued(&ca, "a"), [ca.bundle()]).unwrap());
    let future = client_config_from_source(source, members(&ca), &[]);
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(made) = future.as_mut().poll(&mut context) else { panic!("it waits") };
    assert_eq!(made.map(drop), Err(AuthError::NoRuntime));
}

proptest! {
    #[test]
    fn renewal_is_near_half_life(jitter: u16) {
        let ca = authority("hpc.internal");
        let svid = issued(&ca, "a");
        let life = svid.not_after().duration_since(svid.not_before()).as_secs();
        let after = renew_at(&svid, jitter).duration_since(svid.not_before()).as_secs();
        prop_assert!(after * 10 >= life * 4 - 10 && after * 10 <= life * 6, "{after} of {life}");
        prop_assert!(life > HOUR.as_secs().cast_signed() - 60 && Duration::from_secs(1) < HOUR);
    }
}
