//! Authorities, identities and handshakes in memory.

use std::sync::Arc;
use std::time::Duration;

use hpc_auth::PeerPolicy;
use hpc_auth::ca::Authority;
use hpc_auth::client::create_client_config;
use hpc_auth::server::{ClientAuth, server_config};
use hpc_identity::{SpiffeId, TrustDomain, X509Svid};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose as Eku, IsCa, Issuer, KeyPair, KeyUsagePurpose as Ku, SanType,
};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, UnixTime};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The moment at which all of these tests take place.
pub(crate) fn noon() -> Timestamp {
    "2026-11-02T12:00:00Z".parse().unwrap()
}

pub(crate) fn later(by: Duration) -> Timestamp {
    noon() + SignedDuration::try_from(by).unwrap()
}

#[derive(Debug)]
pub(crate) struct At(pub Timestamp);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.as_second().try_into().ok()?)))
    }
}

pub(crate) fn domain(name: &str) -> TrustDomain {
    TrustDomain::parse(name).unwrap()
}

pub(crate) fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).unwrap()
}

pub(crate) fn authority(name: &str) -> Authority {
    Authority::generate("test authority", domain(name), 24 * HOUR, noon()).unwrap()
}

pub(crate) fn issued(ca: &Authority, path: &str) -> X509Svid {
    ca.issue(&id(&format!("spiffe://{}/{path}", ca.trust_domain())), HOUR, noon()).unwrap()
}

pub(crate) fn members(ca: &Authority) -> PeerPolicy {
    PeerPolicy::TrustDomain(ca.trust_domain().clone())
}

/// A server and a client of one trust domain, each accepting every member.
pub(crate) fn pair(ca: &Authority, server: &X509Svid, client: &X509Svid) -> (ServerConfig, ClientConfig) {
    let bundles = [ca.bundle()];
    (
        server_config(server, &bundles, members(ca), ClientAuth::Required, &[b"h2"]).unwrap(),
        create_client_config(client, &bundles, members(ca), &[b"h2"]).unwrap(),
    )
}

/// Both ends after a handshake in memory at the time `at`, or the first error with the side that met it.
pub(crate) fn handshake_at(
    mut server: ServerConfig,
    mut client: ClientConfig,
    at: Timestamp,
) -> Result<(ServerConnection, ClientConnection), (&'static str, rustls::Error)> {
    server.time_provider = Arc::new(At(at));
    client.time_provider = Arc::new(At(at));
    connect(&Arc::new(server), &Arc::new(client))
}

pub(crate) fn handshake(
    server: ServerConfig,
    client: ClientConfig,
) -> Result<(ServerConnection, ClientConnection), (&'static str, rustls::Error)> {
    handshake_at(server, client, noon())
}

pub(crate) fn connect(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
) -> Result<(ServerConnection, ClientConnection), (&'static str, rustls::Error)> {
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut client =
        ClientConnection::new(Arc::clone(client), "host-name.invalid".try_into().unwrap()).unwrap();
    for _ in 0..8 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets().map_err(|error| ("server", error))?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client.process_new_packets().map_err(|error| ("client", error))?;
        }
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    Ok((server, client))
}

/// A leaf that our own issuing would refuse to make, signed by `ca`'s key.
pub(crate) fn forged(
    ca: &Authority,
    change: impl FnOnce(&mut CertificateParams),
) -> (CertificateDer<'static>, KeyPair) {
    let key =
        KeyPair::from_pkcs8_der_and_sign_algo(&ca.key_der().into(), &rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let issuer = Issuer::from_ca_cert_der(&ca.cert_der().into(), key).unwrap();
    let mut params = CertificateParams::default();
    let at = |at: Timestamp| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(at.as_second().try_into().unwrap())
    };
    params.not_before = at(noon());
    params.not_after = at(later(HOUR));
    params.subject_alt_names = vec![uri(&format!("spiffe://{}/service/forged", ca.trust_domain()))];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![Ku::DigitalSignature];
    params.extended_key_usages = vec![Eku::ServerAuth, Eku::ClientAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &issuer).unwrap().der().clone(), key)
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}
