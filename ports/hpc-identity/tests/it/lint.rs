//! X509-SVID standard: one malformed certificate per rule.

use hpc_identity::{LintError, SpiffeIdError, lint_authority, lint_leaf};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose as Eku, IsCa, KeyPair,
    KeyUsagePurpose as Ku, SanType,
};

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.to_owned().try_into().unwrap())
}

pub(crate) fn leaf() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![uri("spiffe://hpc.internal/service/a")];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![Ku::DigitalSignature];
    params.extended_key_usages = vec![Eku::ServerAuth, Eku::ClientAuth];
    params
}

pub(crate) fn authority(id: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = id.map(uri).into_iter().collect();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![Ku::KeyCertSign, Ku::CrlSign];
    params
}

pub(crate) fn der(params: CertificateParams) -> Vec<u8> {
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn judged(change: impl FnOnce(&mut CertificateParams)) -> Result<String, LintError> {
    let mut params = leaf();
    change(&mut params);
    lint_leaf(&der(params)).map(|facts| facts.id.to_string())
}

#[test]
fn a_proper_leaf_passes() {
    assert_eq!(judged(|_| {}), Ok("spiffe://hpc.internal/service/a".to_owned()));
    assert!(judged(|p| p.extended_key_usages.clear()).is_ok(), "extended key usage is optional");
    assert!(judged(|p| p.subject_alt_names.push(SanType::DnsName("a.example".try_into().unwrap()))).is_ok());
}

#[test]
fn exactly_one_uri() {
    assert_eq!(judged(|p| p.subject_alt_names.clear()), Err(LintError::UriCount { found: 0 }));
    assert_eq!(
        judged(|p| p.subject_alt_names.push(uri("spiffe://hpc.internal/service/b"))),
        Err(LintError::UriCount { found: 2 })
    );
    assert_eq!(
        judged(|p| p.subject_alt_names.push(uri("https://example.com"))),
        Err(LintError::UriCount { found: 2 }),
        "one of them being no SPIFFE ID does not help"
    );
}

#[test]
fn the_uri_is_a_spiffe_id_with_a_path() {
    assert_eq!(
        judged(|p| p.subject_alt_names = vec![uri("spiffe://hpc.internal")]),
        Err(LintError::RootPath)
    );
    assert_eq!(
        judged(|p| p.subject_alt_names = vec![uri("https://hpc.internal/a")]),
        Err(LintError::Id(SpiffeIdError::Scheme))
    );
}

#[test]
fn a_leaf_signs_no_certificates() {
    assert_eq!(
        judged(|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
        Err(LintError::LeafIsAuthority)
    );
    assert_eq!(judged(|p| p.key_usages.push(Ku::KeyCertSign)), Err(LintError::SigningUsage));
    assert_eq!(judged(|p| p.key_usages.push(Ku::CrlSign)), Err(LintError::SigningUsage));
}

#[test]
fn key_usage_is_critical_and_has_digital_signature() {
    assert_eq!(judged(|p| p.key_usages.clear()), Err(LintError::KeyUsageMissing));
    assert_eq!(judged(|p| p.key_usages = vec![Ku::KeyEncipherment]), Err(LintError::NoDigitalSignature));
    let not_critical = |p: &mut CertificateParams| {
        p.key_usages.clear();
        p.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![3, 2, 7, 0x80]));
    };
    assert_eq!(judged(not_critical), Err(LintError::KeyUsageMissing));
}

#[test]
fn extended_key_usage_has_both_sides_or_is_absent() {
    assert_eq!(judged(|p| p.extended_key_usages = vec![Eku::ServerAuth]), Err(LintError::ExtendedKeyUsage));
    assert_eq!(judged(|p| p.extended_key_usages = vec![Eku::ClientAuth]), Err(LintError::ExtendedKeyUsage));
}

#[test]
fn a_repeated_extension_is_refused() {
    let twice = |p: &mut CertificateParams| {
        p.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![3, 2, 7, 0x80]));
    };
    assert!(matches!(judged(twice), Err(LintError::Malformed { .. })));
}

#[test]
fn curves_other_than_p256_and_p384_are_refused() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let certificate = leaf().self_signed(&key).unwrap();
    assert_eq!(lint_leaf(certificate.der()), Err(LintError::WeakKey));
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        assert!(lint_leaf(leaf().self_signed(&key).unwrap().der()).is_ok());
    }
}

#[test]
fn bytes_that_are_no_certificate_are_refused() {
    for bytes in [&b""[..], b"\x30", b"\x30\x03\x02\x01\x01", &[0xff; 64]] {
        assert!(matches!(lint_leaf(bytes), Err(LintError::Malformed { .. })));
    }
    assert_eq!(lint_leaf(&vec![0x30; 65 * 1024]), Err(LintError::TooLong { bytes: 65 * 1024 }));
    let mut trailing = der(leaf());
    trailing.push(0);
    assert_eq!(lint_leaf(&trailing), Err(LintError::Malformed { reason: "bytes after the certificate" }));
}

#[test]
fn an_empty_validity_is_refused() {
    assert_eq!(judged(|p| p.not_after = p.not_before), Err(LintError::Validity));
}

#[test]
fn authorities() {
    assert!(lint_authority(&der(authority(Some("spiffe://hpc.internal")))).unwrap().id.is_some());
    assert_eq!(lint_authority(&der(authority(None))).unwrap().id, None);
    assert_eq!(lint_authority(&der(leaf())), Err(LintError::NotAuthority));
    let mut params = authority(None);
    params.key_usages = vec![Ku::DigitalSignature];
    assert_eq!(lint_authority(&der(params)), Err(LintError::NoCertSign));
    let mut params = authority(Some("spiffe://a"));
    params.subject_alt_names.push(uri("spiffe://b"));
    assert_eq!(lint_authority(&der(params)), Err(LintError::UriCount { found: 2 }));
}
