//! Handshakes: who is let in, who is not, and what the error says.

use std::sync::Arc;
use std::time::Duration;

use hpc_auth::client::create_client_config;
use hpc_auth::server::{ClientAuth, create_server_config_with_client_auth, server_config};
use hpc_auth::{AuthError, PeerPolicy, peer_spiffe_id};
use hpc_identity::{IdentityError, LintError, SpiffeIdError, TrustBundle};
use jiff::SignedDuration;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose as Eku, IsCa, KeyUsagePurpose as Ku,
};
use rustls::{CertificateError, ClientConfig, Error};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::{
    At, HOUR, authority, connect, domain, forged, handshake, handshake_at, id, issued, later, members, noon,
    pair, uri,
};

/// What our own verifier said, when it was it that refused.
fn ours(error: &Error) -> AuthError {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.downcast_ref::<AuthError>().cloned().unwrap_or_else(|| panic!("not ours: {error:?}"))
        }
        _ => panic!("not ours: {error:?}"),
    }
}

#[test]
fn both_sides_learn_who_the_other_is() {
    let ca = authority("hpc.internal");
    let (server, client) = pair(&ca, &issued(&ca, "service/a"), &issued(&ca, "node/n1"));
    let (server, client) = handshake(server, client).unwrap();
    assert_eq!(
        peer_spiffe_id(server.peer_certificates().unwrap()).unwrap(),
        id("spiffe://hpc.internal/node/n1")
    );
    assert_eq!(
        peer_spiffe_id(client.peer_certificates().unwrap()).unwrap(),
        id("spiffe://hpc.internal/service/a")
    );
    assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(server.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(
        server.negotiated_key_exchange_group().unwrap().name(),
        rustls::NamedGroup::X25519MLKEM768,
        "the hybrid post-quantum exchange is preferred"
    );
    assert_eq!(peer_spiffe_id(&[]), Err(AuthError::NoPeerCertificate));
}

#[test]
fn the_short_form_accepts_the_members_of_its_authority() {
    let (ca, other) = (authority("hpc.internal"), authority("hpc.internal"));
    let server = create_server_config_with_client_auth(&issued(&ca, "service/a"), &ca).unwrap();
    let client = |ca: &_| {
        create_client_config(
            &issued(ca, "b"),
            &[(&authority("x")).into(), TrustBundle::from(ca)],
            members(ca),
            &[],
        )
    };
    handshake(server.clone(), client(&ca).unwrap()).unwrap();
    let bundles = [TrustBundle::from(&ca)];
    let stranger = create_client_config(&issued(&other, "b"), &bundles, members(&ca), &[]).unwrap();
    assert_eq!(
        handshake(server, stranger).unwrap_err(),
        ("server", CertificateError::UnknownIssuer.into()),
        "the same trust domain name under another authority"
    );
}

#[test]
fn a_client_refuses_a_server_it_does_not_expect() {
    let ca = authority("hpc.internal");
    let (server_svid, client_svid) = (issued(&ca, "service/a"), issued(&ca, "node/n1"));
    let expecting = |peers| create_client_config(&client_svid, &[ca.bundle()], peers, &[b"h2"]).unwrap();
    let server = || pair(&ca, &server_svid, &client_svid).0;
    let b = id("spiffe://hpc.internal/service/b");
    let (side, error) = handshake(server(), expecting(PeerPolicy::Exact(b.clone()))).unwrap_err();
    assert_eq!((side, ours(&error)), ("client", AuthError::PeerNotExpected(server_svid.id().clone())));
    let (_, error) = handshake(server(), expecting(PeerPolicy::AnyOf([b.clone()].into()))).unwrap_err();
    assert_eq!(ours(&error), AuthError::PeerNotExpected(server_svid.id().clone()));
    handshake(server(), expecting(PeerPolicy::Exact(server_svid.id().clone()))).unwrap();
    handshake(server(), expecting(PeerPolicy::AnyOf([b, server_svid.id().clone()].into()))).unwrap();
}

#[test]
fn a_trust_domain_vouches_only_for_itself() {
    let (a, b) = (authority("a.example"), authority("b.example"));
    let both =
        PeerPolicy::AnyOf([id("spiffe://a.example/x"), id("spiffe://b.example/service/forged")].into());
    let server =
        server_config(&issued(&a, "s"), &[a.bundle(), b.bundle()], both, ClientAuth::Required, &[]).unwrap();
    // The authority of a.example signs an ID of b.example. Both authorities are trusted, each for its own domain.
    let (leaf, key) =
        forged(&a, |params| params.subject_alt_names = vec![uri("spiffe://b.example/service/forged")]);
    let client = raw_client(vec![leaf], key.serialize_der());
    assert_eq!(handshake(server, client).unwrap_err(), ("server", CertificateError::UnknownIssuer.into()));

    let server =
        server_config(&issued(&a, "s"), &[a.bundle()], members(&a), ClientAuth::Required, &[]).unwrap();
    let client = create_client_config(&issued(&b, "x"), &[a.bundle(), b.bundle()], members(&a), &[]).unwrap();
    let (side, error) = handshake(server, client).unwrap_err();
    assert_eq!((side, ours(&error)), ("server", AuthError::PeerNotExpected(id("spiffe://b.example/x"))));
}

#[test]
fn time_is_checked_at_both_ends() {
    let ca = authority("hpc.internal");
    let (server, client) = (issued(&ca, "service/a"), issued(&ca, "node/n1"));
    let at = |at| {
        let (server, client) = pair(&ca, &server, &client);
        handshake_at(server, client, at).map(drop)
    };
    let second = Duration::from_secs(1);
    assert_eq!(at(later(HOUR)), Ok(()));
    assert_eq!(at(later(HOUR + second)), Err(("client", CertificateError::Expired.into())));
    assert_eq!(at(noon() - SignedDuration::from_secs(30)), Ok(()));
    assert_eq!(
        at(noon() - SignedDuration::from_secs(31)),
        Err(("client", CertificateError::NotValidYet.into()))
    );
}

#[test]
fn an_expired_authority_vouches_for_nobody() {
    let ca = authority("hpc.internal");
    let day = rcgen::date_time_ymd(2030, 1, 1);
    let (leaf, key) = forged(&ca, |params| params.not_after = day);
    let (mut server, _) = pair(&ca, &issued(&ca, "s"), &issued(&ca, "c"));
    server.time_provider = Arc::new(At(later(25 * HOUR)));
    let mut client = raw_client(vec![leaf], key.serialize_der());
    // The client's own check would refuse the server first.
    client.time_provider = Arc::new(At(noon()));
    assert_eq!(
        connect(&server.into(), &client.into()).map(drop),
        Err(("server", CertificateError::UnknownIssuer.into()))
    );
}

#[test]
fn leaves_that_break_the_standard_are_refused() {
    type Change = fn(&mut CertificateParams);
    let cases: [(Change, LintError); 9] = [
        (|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)), LintError::LeafIsAuthority),
        (|p| p.subject_alt_names.push(uri("spiffe://hpc.internal/x")), LintError::UriCount { found: 2 }),
        (|p| p.subject_alt_names.clear(), LintError::UriCount { found: 0 }),
        (|p| p.subject_alt_names = vec![uri("spiffe://hpc.internal")], LintError::RootPath),
        (|p| p.subject_alt_names = vec![uri("https://hpc.internal/a")], LintError::Id(SpiffeIdError::Scheme)),
        (|p| p.key_usages.push(Ku::KeyCertSign), LintError::SigningUsage),
        (|p| p.key_usages.clear(), LintError::KeyUsageMissing),
        (|p| p.key_usages = vec![Ku::KeyEncipherment], LintError::NoDigitalSignature),
        (|p| p.extended_key_usages = vec![Eku::ServerAuth], LintError::ExtendedKeyUsage),
    ];
    let ca = authority("hpc.internal");
    for (change, expected) in cases {
        let (leaf, key) = forged(&ca, change);
        let (server, _) = pair(&ca, &issued(&ca, "s"), &issued(&ca, "c"));
        let (side, error) = handshake(server, raw_client(vec![leaf], key.serialize_der())).unwrap_err();
        assert_eq!((side, ours(&error)), ("server", AuthError::Identity(IdentityError::Lint(expected))));
    }
}

#[test]
fn the_common_name_counts_for_nothing() {
    let ca = authority("hpc.internal");
    let (leaf, key) = forged(&ca, |params| {
        params.subject_alt_names.clear();
        params.distinguished_name.push(rcgen::DnType::CommonName, "spiffe://hpc.internal/service/a");
    });
    let (server, _) = pair(&ca, &issued(&ca, "s"), &issued(&ca, "c"));
    assert!(handshake(server, raw_client(vec![leaf], key.serialize_der())).is_err());
}

#[test]
fn a_leaf_cannot_issue() {
    let ca = authority("hpc.internal");
    let middle = issued(&ca, "service/middle");
    let middle_key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
        &middle.private_key_der().into(),
        &rcgen::PKCS_ECDSA_P256_SHA256,
    )
    .unwrap();
    let issuer =
        rcgen::Issuer::from_ca_cert_der(&middle.cert_chain_der()[0].as_slice().into(), middle_key).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![uri("spiffe://hpc.internal/service/admin")];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![Ku::DigitalSignature];
    let key = rcgen::KeyPair::generate().unwrap();
    let Ok(leaf) = params.signed_by(&key, &issuer) else { return }; // the library may refuse by itself
    let chain = vec![leaf.der().clone(), middle.cert_chain_der()[0].clone().into()];
    let (server, _) = pair(&ca, &issued(&ca, "s"), &issued(&ca, "c"));
    assert!(handshake(server, raw_client(chain, key.serialize_der())).is_err());
}

#[test]
fn long_chains_are_refused_before_any_work() {
    let ca = authority("hpc.internal");
    let (leaf, key) = forged(&ca, |_| {});
    let chain = std::iter::once(leaf).chain((0..20).map(|_| ca.cert_der().to_vec().into())).collect();
    let (server, _) = pair(&ca, &issued(&ca, "s"), &issued(&ca, "c"));
    let (_, error) = handshake(server, raw_client(chain, key.serialize_der())).unwrap_err();
    assert_eq!(ours(&error), AuthError::Identity(IdentityError::ChainLength { certificates: 21 }));
}

#[test]
fn a_client_without_certificate_is_refused_unless_it_may_join() {
    let ca = authority("hpc.internal");
    let (server, _) = pair(&ca, &issued(&ca, "service/a"), &issued(&ca, "c"));
    let nameless = || {
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_no_client_auth()
    };
    assert_eq!(
        handshake(server, nameless()).map(drop).unwrap_err(),
        ("server", Error::NoCertificatesPresented)
    );
    let optional = |alpn| {
        let svid = issued(&ca, "service/a");
        server_config(&svid, &[ca.bundle()], members(&ca), ClientAuth::OptionalForJoining, alpn).unwrap()
    };
    let (server, _) = handshake(optional(&[]), nameless()).unwrap();
    assert!(server.peer_certificates().is_none());
    let (leaf, key) = forged(&authority("hpc.internal"), |_| {});
    assert_eq!(
        handshake(optional(&[]), raw_client(vec![leaf], key.serialize_der())).map(drop).unwrap_err(),
        ("server", CertificateError::UnknownIssuer.into()),
        "optional does not mean unchecked"
    );
}

#[test]
fn a_key_of_another_certificate_is_refused_early() {
    let ca = authority("hpc.internal");
    let (a, b) = (issued(&ca, "a"), issued(&ca, "b"));
    let mixed = hpc_identity::X509Svid::from_der(
        a.cert_chain_der().to_vec(),
        zeroize::Zeroizing::new(b.private_key_der().to_vec()),
    )
    .unwrap();
    let made = create_server_config_with_client_auth(&mixed, &ca);
    assert_eq!(made.map(drop), Err(AuthError::Key { reason: "it does not belong to the certificate" }));
}

#[test]
fn sessions_are_not_resumed() {
    let ca = authority("hpc.internal");
    let (mut server, mut client) = pair(&ca, &issued(&ca, "s"), &issued(&ca, "c"));
    server.time_provider = Arc::new(At(noon()));
    client.time_provider = Arc::new(At(noon()));
    let (server, client) = (Arc::new(server), Arc::new(client));
    for _ in 0..3 {
        let (server, _) = connect(&server, &client).unwrap();
        assert_eq!(server.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
    assert_eq!(server.max_early_data_size, 0);
}

#[test]
fn policies_have_a_limit() {
    let ca = authority("hpc.internal");
    let many = (0..1025).map(|n| id(&format!("spiffe://hpc.internal/{n}"))).collect();
    let made = create_client_config(&issued(&ca, "a"), &[ca.bundle()], PeerPolicy::AnyOf(many), &[]);
    assert_eq!(made.map(drop), Err(AuthError::TooMany { what: "expected peers", max: 1024 }));
    let policy = PeerPolicy::AnyOf([id("spiffe://a/x"), id("spiffe://b/y"), id("spiffe://a/z")].into());
    assert_eq!(policy.trust_domains(), [domain("a"), domain("b")].into());
}

/// A client that shows whatever it is given, and believes any server.
fn raw_client(chain: Vec<rustls_pki_types::CertificateDer<'static>>, key: Vec<u8>) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_client_auth_cert(chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))
        .unwrap()
}

/// A verifier that believes any server, for clients that only exist to be refused.
#[derive(Debug)]
struct Anyone;

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &[rustls_pki_types::CertificateDer<'_>],
        _: &rustls_pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
