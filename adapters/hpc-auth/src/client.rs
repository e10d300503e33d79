//! TLS configurations for clients: TLS 1.3, the server identified by its SPIFFE ID and not by its host name.
//!
//! Sessions are never resumed and no early data is sent. The results are plain rustls configurations, fit for QUIC as well.

use std::sync::Arc;

use hpc_identity::{IdentitySource, TrustBundle, X509Svid};
use rustls::ClientConfig;
use rustls::client::Resumption;

use crate::join::JoinToken;
use crate::tls::{Live, TlsState, provider};
use crate::verify::PeerVerifier;
use crate::{AuthError, PeerPolicy};

/// A client with a fixed identity and fixed bundles, which connects to servers that `peers` names.
///
/// # Errors
/// [`AuthError::Key`] when the key is not the certificate's; [`AuthError::Tls`].
pub fn create_client_config(
    svid: &X509Svid,
    bundles: &[TrustBundle],
    peers: PeerPolicy,
    alpn: &[&[u8]],
) -> Result<ClientConfig, AuthError> {
    build(Live::fixed(TlsState::new(svid, bundles, false)?), peers, alpn)
}

/// A client whose identity and bundles follow `source`: a change is used from the next handshake on.
///
/// Starts one task on the current tokio runtime, which ends when the configuration is dropped.
///
/// # Errors
/// As [`create_client_config`]; [`AuthError::Identity`] when the source cannot answer or lacks a bundle; [`AuthError::NoRuntime`].
pub async fn client_config_from_source(
    source: Arc<dyn IdentitySource>,
    peers: PeerPolicy,
    alpn: &[&[u8]],
) -> Result<ClientConfig, AuthError> {
    let live = Live::following(source, peers.trust_domains(), false).await?;
    build(live, peers, alpn)
}

/// A client without an identity, for a node that has nothing but a join token.
///
/// The server must be the one the token names, and be vouched for by the authority whose SHA-256 the token holds.
/// The server sends that authority along when it is configured with
/// [`ClientAuth::OptionalForJoining`](crate::server::ClientAuth::OptionalForJoining).
///
/// # Errors
/// [`AuthError::Tls`].
pub fn create_joining_client_config(token: &JoinToken, alpn: &[&[u8]]) -> Result<ClientConfig, AuthError> {
    let peers = PeerPolicy::Exact(token.server().clone());
    let verifier = PeerVerifier::pinned(*token.authority_sha256(), peers);
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // the verifier is ours: stricter about identity, silent about host names
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(finish(config, alpn))
}

fn build(live: Arc<Live>, peers: PeerPolicy, alpn: &[&[u8]]) -> Result<ClientConfig, AuthError> {
    peers.check()?;
    let verifier = PeerVerifier::new(Arc::clone(&live), peers, true);
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // the verifier is ours: stricter about identity, silent about host names
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(live);
    Ok(finish(config, alpn))
}

fn finish(mut config: ClientConfig, alpn: &[&[u8]]) -> ClientConfig {
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::disabled();
    config
}
