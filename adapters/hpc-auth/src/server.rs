//! TLS configurations for servers: TLS 1.3, clients authenticated by their SPIFFE ID.
//!
//! Sessions are never resumed and no early data is taken, so that no connection is opened on an identity
//! that has expired or been replaced since. The results are plain rustls configurations, fit for QUIC as well.

use std::sync::Arc;

use hpc_identity::{IdentitySource, TrustBundle, X509Svid};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;

use crate::tls::{Live, TlsState, provider};
use crate::verify::PeerVerifier;
use crate::{AuthError, PeerPolicy};

/// Whether a client may stay nameless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// Every client shows a certificate that verifies.
    #[default]
    Required,
    /// A client without a certificate is let in nameless, so that a new node can present its join token;
    /// a certificate that is shown must still verify. The server sends its authorities along, to be pinned.
    /// The application must let a nameless peer do nothing but join.
    OptionalForJoining,
}

/// A server with the identity `svid` that accepts every member of the trust domain of `ca`, and nobody else.
///
/// `ca` is an authority or a [`TrustBundle`]. No application protocol is set; set `alpn_protocols` on the result.
///
/// # Errors
/// [`AuthError::Key`] when the key is not the certificate's; [`AuthError::Tls`].
pub fn create_server_config_with_client_auth(
    svid: &X509Svid,
    ca: impl Into<TrustBundle>,
) -> Result<ServerConfig, AuthError> {
    let bundle = ca.into();
    let peers = PeerPolicy::TrustDomain(bundle.trust_domain().clone());
    server_config(svid, &[bundle], peers, ClientAuth::Required, &[])
}

/// A server with a fixed identity and fixed bundles. `alpn` lists the application protocols, best first.
///
/// # Errors
/// As [`create_server_config_with_client_auth`].
pub fn server_config(
    svid: &X509Svid,
    bundles: &[TrustBundle],
    peers: PeerPolicy,
    client_auth: ClientAuth,
    alpn: &[&[u8]],
) -> Result<ServerConfig, AuthError> {
    let state = TlsState::new(svid, bundles, client_auth == ClientAuth::OptionalForJoining)?;
    build(Live::fixed(state), peers, client_auth, alpn)
}

/// A server whose identity and bundles follow `source`: a change is used from the next handshake on,
/// and connections already open stay open.
///
/// Starts one task on the current tokio runtime, which ends when the configuration is dropped.
///
/// # Errors
/// As [`server_config`]; [`AuthError::Identity`] when the source cannot answer or lacks a bundle; [`AuthError::NoRuntime`].
pub async fn server_config_from_source(
    source: Arc<dyn IdentitySource>,
    peers: PeerPolicy,
    client_auth: ClientAuth,
    alpn: &[&[u8]],
) -> Result<ServerConfig, AuthError> {
    let show_authorities = client_auth == ClientAuth::OptionalForJoining;
    let live = Live::following(source, peers.trust_domains(), show_authorities).await?;
    build(live, peers, client_auth, alpn)
}

fn build(
    live: Arc<Live>,
    peers: PeerPolicy,
    client_auth: ClientAuth,
    alpn: &[&[u8]],
) -> Result<ServerConfig, AuthError> {
    peers.check()?;
    let verifier = PeerVerifier::new(Arc::clone(&live), peers, client_auth == ClientAuth::Required);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(live);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
