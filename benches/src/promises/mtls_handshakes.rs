//! Full mutual TLS handshakes in memory: the server's share of the work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hpc_auth::PeerPolicy;
use hpc_auth::cert::{ServiceIdentity, generate_ca_cert, generate_signed_cert};
use hpc_auth::client::create_client_config;
use hpc_auth::server::create_server_config_with_client_auth;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, Samples, count, rate, show};

pub(super) const PROMISE: Promise = Promise {
    name: "mtls_handshakes",
    about: "at least 3,000 full mutual TLS handshakes a second and core on the server's side",
    run,
};

fn run(bench: &Bench) -> Result<Report> {
    let ca = generate_ca_cert("Bench CA")?;
    let server = generate_signed_cert(&ServiceIdentity::new("server"), &ca)?;
    let client = generate_signed_cert(&ServiceIdentity::new("client"), &ca)?;
    let peers = PeerPolicy::TrustDomain(ca.trust_domain().clone());
    let ours = Arc::new(create_server_config_with_client_auth(&server, &ca)?);
    let client = Arc::new(create_client_config(&client, &[ca.bundle()], peers, &[])?);
    let bare = Arc::new(bare_server(&server, ca.cert_der())?);

    let rounds = bench.size(3_000, 5);
    let (mut our_time, mut bare_time) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        // In turns, so that both see the same machine.
        our_time.push(handshake(&ours, &client)?);
        bare_time.push(handshake(&bare, &client)?);
    }
    let (our_rate, bare_rate) = (rate(1, our_time.p50()), rate(1, bare_time.p50()));
    Ok(Report::new()
        .measured("per_s_core", count(our_rate))
        .measured("server_p50", show(our_time.p50()))
        .measured("p99", show(our_time.p99()))
        .rival("rustls_per_s_core", count(bare_rate))
        .ratio(our_rate / bare_rate)
        .goal("per_s_core>=3000", our_rate >= 3_000.0)
        .note("TLS 1.3, X25519MLKEM768, ECDSA P-256 both ways, no resumption; the rate is that of the median handshake"))
}

/// A server of plain rustls with the same provider, certificate and authorities.
fn bare_server(svid: &hpc_identity::X509Svid, authority: &[u8]) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.to_vec()))?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let chain = svid.cert_chain_der().iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(svid.private_key_der().to_vec()));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// One handshake through memory; the time that the server's side took.
fn handshake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<Duration> {
    let mut client = ClientConnection::new(Arc::clone(client), ServerName::try_from("server")?)?;
    let begun = Instant::now();
    let mut server = ServerConnection::new(Arc::clone(server))?;
    let mut spent = begun.elapsed();
    for _ in 0..10 {
        let mut to_server = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut to_server)?;
        }
        let begun = Instant::now();
        let mut bytes = to_server.as_slice();
        while !bytes.is_empty() {
            server.read_tls(&mut bytes)?;
            server.process_new_packets()?;
        }
        let mut to_client = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut to_client)?;
        }
        spent += begun.elapsed();
        let mut bytes = to_client.as_slice();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes)?;
            client.process_new_packets()?;
        }
        if !client.is_handshaking() && !server.is_handshaking() && !client.wants_write() {
            return Ok(spent);
        }
    }
    Err("the handshake did not end".into())
}
