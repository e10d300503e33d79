//! Issuing certificates, beside bare rcgen.

use std::time::Duration;

use hpc_auth::ca::LEAF_LIFETIME_DEFAULT;
use hpc_auth::cert::{ServiceIdentity, generate_ca_cert_at};
use hpc_auth::csr::CsrRequest;
use hpc_identity::TrustDomain;
use rcgen::{CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

use super::Promise;
use crate::harness::{Bench, Report, count, rate, sample, show};
use crate::{Result, fixtures};

pub(super) const PROMISE: Promise = Promise {
    name: "issue_certificates",
    about: "at least 5,000 certificates issued a second and core",
    run,
};

fn run(bench: &Bench) -> Result<Report> {
    let calls = bench.size(20_000, 20);
    let now = fixtures::start()?;
    let domain = TrustDomain::parse("hpc.internal")?;
    let ca = generate_ca_cert_at("Bench CA", domain, Duration::from_secs(86_400 * 365), now)?;
    let id = ServiceIdentity::new("node-1").spiffe_id(ca.trust_domain())?;
    let request = CsrRequest::generate()?;
    ca.issue_from_csr(request.csr_der(), &id, LEAF_LIFETIME_DEFAULT, now)?;
    let from_csr = sample(calls, |_| ca.issue_from_csr(request.csr_der(), &id, LEAF_LIFETIME_DEFAULT, now));
    let with_key = sample(calls, |_| ca.issue(&id, LEAF_LIFETIME_DEFAULT, now));

    let issuer = issuer()?;
    let key = KeyPair::generate()?;
    let bare = sample(calls, |_| leaf(id.as_str())?.signed_by(&key, &issuer));
    let (ours, theirs) = (rate(1, from_csr.p50()), rate(1, bare.p50()));
    Ok(Report::new()
        .measured("per_s_core", count(ours))
        .measured("p50", show(from_csr.p50()))
        .measured("p99", show(from_csr.p99()))
        .rival("rcgen_per_s_core", count(theirs))
        .ratio(ours / theirs)
        .goal("per_s_core>=5000", ours >= 5_000.0)
        .note(format!(
            "from a signing request, which is verified first, and the result is linted twice; rcgen only signs; \
             drawing the key as well: {} a second",
            count(rate(1, with_key.p50()))
        )))
}

fn issuer() -> Result<Issuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(Issuer::new(params, KeyPair::generate()?))
}

fn leaf(id: &str) -> std::result::Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(id.try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
