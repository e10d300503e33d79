//! Issuing: lifetimes, names, and requests that cannot be trusted.

use std::time::Duration;

use hpc_auth::AuthError;
use hpc_auth::ca::{Authority, LEAF_LIFETIME_MAX, LEAF_LIFETIME_MIN};
use hpc_auth::cert::{ServiceIdentity, generate_ca_cert, generate_signed_cert, generate_signed_cert_at};
use hpc_auth::csr::CsrRequest;
use hpc_identity::{IdentityError, LintError, SpiffeId, SpiffeIdError, lint_authority};
use jiff::SignedDuration;
use rcgen::{CertificateParams, IsCa, KeyPair};
use zeroize::Zeroizing;

use crate::support::{HOUR, authority, domain, id, issued, later, noon, uri};

#[test]
fn three_calls_make_a_certificate() {
    let ca = generate_ca_cert("StratoSwarm CA").unwrap();
    let cert = generate_signed_cert(&ServiceIdentity::new("my-service"), &ca).unwrap();
    assert_eq!(cert.id().as_str(), "spiffe://hpc.internal/service/my-service");
    let named = ServiceIdentity::from_spiffe(id("spiffe://hpc.internal/node/n1"));
    assert_eq!(generate_signed_cert(&named, &ca).unwrap().id().path(), "/node/n1");
    assert!(format!("{ca:?}").starts_with("Authority { trust_domain: \"hpc.internal\""));
}

#[test]
fn a_name_that_is_no_path_segment_is_refused() {
    let ca = authority("hpc.internal");
    for (name, error) in [
        ("", SpiffeIdError::EmptySegment),
        ("..", SpiffeIdError::DotSegment),
        ("a/b", SpiffeIdError::PathCharacter { character: '/' }),
        ("my service", SpiffeIdError::PathCharacter { character: ' ' }),
    ] {
        let made = generate_signed_cert_at(&ServiceIdentity::new(name), &ca, HOUR, noon());
        assert_eq!(made.map(drop), Err(AuthError::Identity(IdentityError::Id(error))));
    }
}

#[test]
fn hosts_are_vouched_for_beside_the_id() {
    let ca = authority("hpc.internal");
    let server = id("spiffe://hpc.internal/service/hpcd");
    let hosts = ["localhost", "127.0.0.1", "::1"];
    let svid = ca.issue_for_hosts(&server, &hosts, HOUR, noon()).unwrap();
    assert_eq!(*svid.id(), server, "the one URI is still the ID");
    let leaf = svid.cert_chain_der().first().unwrap().as_slice().into();
    let leaf = webpki::EndEntityCert::try_from(&leaf).unwrap();
    let valid_for = |host: &str| {
        leaf.verify_is_valid_for_subject_name(&rustls_pki_types::ServerName::try_from(host).unwrap()).is_ok()
    };
    for host in hosts {
        assert!(valid_for(host), "{host}");
    }
    for host in ["example.org", "sub.localhost", "127.0.0.2"] {
        assert!(!valid_for(host), "{host}");
    }
    for host in ["", "no host", "https://localhost", "localhost:7801"] {
        let refused = ca.issue_for_hosts(&server, &[host], HOUR, noon()).map(drop);
        assert_eq!(refused, Err(AuthError::Host { host: host.to_owned() }));
    }
}

#[test]
fn validity_is_backdated_and_ends_with_the_authority() {
    let ca = authority("hpc.internal");
    let leaf = issued(&ca, "service/a");
    assert_eq!(leaf.not_before(), noon() - SignedDuration::from_secs(30));
    assert_eq!(leaf.not_after(), later(HOUR));
    let last = ca.issue(leaf.id(), 10 * HOUR, later(20 * HOUR)).unwrap();
    assert_eq!(last.not_after(), ca.not_after());
    assert_ne!(leaf.serial(), last.serial());
    assert_eq!(leaf.serial().len(), 16);
}

#[test]
fn lifetimes_and_domains_have_limits() {
    let ca = authority("hpc.internal");
    let a = id("spiffe://hpc.internal/a");
    let issue = |id: &SpiffeId, lifetime, now| ca.issue(id, lifetime, now).map(drop);
    let second = Duration::from_secs(1);
    assert!(matches!(issue(&a, LEAF_LIFETIME_MIN - second, noon()), Err(AuthError::Lifetime { .. })));
    assert!(matches!(issue(&a, LEAF_LIFETIME_MAX + second, noon()), Err(AuthError::Lifetime { .. })));
    assert_eq!(issue(&a, LEAF_LIFETIME_MAX, noon()), Ok(()));
    assert_eq!(issue(&a, HOUR, later(24 * HOUR)), Err(AuthError::AuthorityExpired));
    assert_eq!(issue(&a, HOUR, noon() - SignedDuration::from_hours(1)), Err(AuthError::AuthorityExpired));
    assert_eq!(
        issue(&id("spiffe://elsewhere/a"), HOUR, noon()),
        Err(AuthError::ForeignTrustDomain { expected: domain("hpc.internal"), found: domain("elsewhere") })
    );
    assert_eq!(
        issue(&id("spiffe://hpc.internal"), HOUR, noon()),
        Err(AuthError::Identity(IdentityError::Lint(LintError::RootPath)))
    );
}

#[test]
fn authorities_have_proper_names_and_lives() {
    let generate = |name: &str, life| Authority::generate(name, domain("d"), life, noon()).map(drop);
    for name in ["", "a\nb", &"x".repeat(65)] {
        assert_eq!(generate(name, HOUR), Err(AuthError::CommonName));
    }
    assert!(matches!(generate("x", Duration::from_secs(1)), Err(AuthError::Lifetime { .. })));
    assert!(matches!(generate("x", 11 * 365 * 24 * HOUR), Err(AuthError::Lifetime { .. })));
    let ca = authority("d");
    assert_eq!(lint_authority(ca.cert_der()).unwrap().id, Some(domain("d").id()));
}

#[test]
fn an_authority_survives_being_stored() {
    let ca = authority("hpc.internal");
    let again = Authority::from_pem(&ca.cert_pem(), &ca.key_pem()).unwrap();
    assert_eq!(again.cert_sha256(), ca.cert_sha256());
    let leaf = again.issue(&id("spiffe://hpc.internal/a"), HOUR, noon()).unwrap();
    let (server, client) = crate::support::pair(&ca, &leaf, &issued(&ca, "b"));
    crate::support::handshake(server, client).unwrap();
    let stranger = authority("hpc.internal");
    assert_eq!(
        Authority::from_pem(&ca.cert_pem(), &stranger.key_pem()).map(drop),
        Err(AuthError::Key { reason: "the key belongs to another certificate" })
    );
    assert!(Authority::from_pem("", &ca.key_pem()).is_err());
    assert!(Authority::from_der(ca.cert_der().to_vec(), Zeroizing::new(vec![1, 2, 3])).is_err());
}

#[test]
fn a_request_gives_its_key_and_nothing_else() {
    let ca = authority("hpc.internal");
    let key = KeyPair::generate().unwrap();
    let mut greedy = CertificateParams::default();
    greedy.subject_alt_names = vec![uri("spiffe://hpc.internal/service/admin")];
    greedy.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    greedy.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let csr = greedy.serialize_request(&key).unwrap();
    let issued = ca.issue_from_csr(csr.der(), &id("spiffe://hpc.internal/node/n1"), HOUR, noon()).unwrap();
    assert_eq!(issued.facts.id.path(), "/node/n1");
    assert_eq!(issued.chain_der.len(), 1);
}

#[test]
fn the_requester_keeps_the_key() {
    let ca = authority("hpc.internal");
    let node = id("spiffe://hpc.internal/node/n1");
    let request = CsrRequest::generate().unwrap();
    let chain = ca.issue_from_csr(request.csr_der(), &node, HOUR, noon()).unwrap().chain_der;
    let svid = request.finish(chain.clone()).unwrap();
    assert_eq!(svid.id(), &node);
    let (server, client) = crate::support::pair(&ca, &issued(&ca, "service/a"), &svid);
    crate::support::handshake(server, client).unwrap();
    let other = CsrRequest::generate().unwrap();
    assert!(matches!(other.finish(chain).map(drop), Err(AuthError::Key { .. })));
    assert!(matches!(CsrRequest::generate().unwrap().finish(vec![]).map(drop), Err(AuthError::Key { .. })));
}

#[test]
fn keys_of_other_accepted_kinds_are_issued_for() {
    let ca = authority("hpc.internal");
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let mut keys = vec![rsa];
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        keys.push(KeyPair::generate_for(algorithm).unwrap());
    }
    for key in keys {
        let csr = CertificateParams::default().serialize_request(&key).unwrap();
        assert!(ca.issue_from_csr(csr.der(), &id("spiffe://hpc.internal/a"), HOUR, noon()).is_ok());
    }
}

#[test]
fn bad_requests_are_refused() {
    let ca = authority("hpc.internal");
    let refuse = |csr: &[u8]| {
        let made = ca.issue_from_csr(csr, &id("spiffe://hpc.internal/a"), HOUR, noon());
        assert!(matches!(made, Err(AuthError::Request { .. })), "{made:?}");
    };
    let request = CsrRequest::generate().unwrap();
    let good = request.csr_der().to_vec();
    refuse(b"");
    refuse(&vec![0x30; 17 * 1024]);
    refuse(&[&good[..], b"\0"].concat());
    let mut accepted = Vec::new();
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        if let Ok(issued) = ca.issue_from_csr(&bad, &id("spiffe://hpc.internal/a"), HOUR, noon()) {
            accepted.push((index, issued.chain_der));
        }
    }
    // What is signed and the signature itself bear no change. The one byte that does is the type of the signature
    // algorithm's identifier, which the parser does not look at; the certificate is still for the key that signed.
    assert!(accepted.len() <= 1, "{:?}", accepted.iter().map(|(index, _)| index).collect::<Vec<_>>());
    if let Some((_, chain)) = accepted.pop() {
        request.finish(chain).unwrap();
    }
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    refuse(CertificateParams::default().serialize_request(&p521).unwrap().der());
    refuse(include_bytes!("../data/rsa1024.csr.der"));
}
