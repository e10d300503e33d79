//! A certificate authority of one trust domain.

use std::fmt;
use std::time::Duration;

use hpc_identity::{
    AuthorityFacts, LeafFacts, SpiffeId, TrustBundle, TrustDomain, X509Svid, lint_authority, lint_leaf,
};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::csr::verified_public_key;
use crate::keys::{P256Key, serial};
use crate::{AuthError, pem};

/// How far a validity starts before "now", so that a peer whose clock is slightly slow still accepts it.
pub const BACKDATE: Duration = Duration::from_secs(30);
/// Shortest lifetime of an issued certificate.
pub const LEAF_LIFETIME_MIN: Duration = Duration::from_secs(5 * 60);
/// Usual lifetime of an issued certificate that something renews.
pub const LEAF_LIFETIME_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// Longest lifetime of an issued certificate.
pub const LEAF_LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Usual lifetime of an authority.
pub const AUTHORITY_LIFETIME_DEFAULT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Longest lifetime of an authority.
pub const AUTHORITY_LIFETIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Longest name of an authority, in bytes (`ub-common-name` of RFC 5280).
pub const COMMON_NAME_BYTES_MAX: usize = 64;

/// An authority: its self-signed certificate and its ECDSA P-256 key. The key is wiped on drop and never printed.
pub struct Authority {
    trust_domain: TrustDomain,
    cert_der: Vec<u8>,
    facts: AuthorityFacts,
    bundle: TrustBundle,
    issuer: Issuer<'static, P256Key>,
}

/// A certificate issued from a request: the requester holds the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// The certificates in DER, leaf first, root left out.
    pub chain_der: Vec<Vec<u8>>,
    /// What the leaf says: ID, validity, serial number.
    pub facts: LeafFacts,
}

impl Authority {
    /// Draws a key and makes a self-signed certificate for it, valid from `now` for `lifetime`.
    ///
    /// # Errors
    /// [`AuthError::CommonName`]; [`AuthError::Lifetime`] above [`AUTHORITY_LIFETIME_MAX`] or below [`LEAF_LIFETIME_MIN`];
    /// [`AuthError::Key`] without randomness.
    pub fn generate(
        common_name: &str,
        trust_domain: TrustDomain,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Self, AuthError> {
        let length_fits = (1..=COMMON_NAME_BYTES_MAX).contains(&common_name.len());
        if !length_fits || common_name.chars().any(char::is_control) {
            return Err(AuthError::CommonName);
        }
        if !(LEAF_LIFETIME_MIN..=AUTHORITY_LIFETIME_MAX).contains(&lifetime) {
            return Err(AuthError::Lifetime { reason: "an authority lives 5 minutes to 10 years" });
        }
        let key = P256Key::generate()?;
        let mut params = common_params(&trust_domain.id(), minus(now, BACKDATE)?, plus(now, lifetime)?)?;
        params.distinguished_name.push(DnType::CommonName, common_name);
        // Path length 0: an authority signs leaves, never another authority.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert_der = params.self_signed(&key)?.der().to_vec();
        Self::new(cert_der, key)
    }

    /// Takes up a stored authority: its certificate (DER) and key (PKCS#8 DER, ECDSA P-256).
    ///
    /// # Errors
    /// [`AuthError::Identity`] when the certificate is no authority or names no trust domain;
    /// [`AuthError::Key`] when the key is unusable or belongs to another certificate.
    pub fn from_der(cert_der: Vec<u8>, key_der: Zeroizing<Vec<u8>>) -> Result<Self, AuthError> {
        Self::new(cert_der, P256Key::from_pkcs8(key_der)?)
    }

    /// Takes up a stored authority from PEM: a `CERTIFICATE` and a `PRIVATE KEY`.
    ///
    /// # Errors
    /// As [`Authority::from_der`], and [`AuthError::Pem`].
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, AuthError> {
        let mut certs = pem::certificates_from_pem(cert_pem)?;
        match (certs.pop(), certs.is_empty()) {
            (Some(cert), true) => Self::from_der(cert, pem::private_key_from_pem(key_pem)?),
            _ => Err(AuthError::Pem { reason: "exactly one authority certificate is needed" }),
        }
    }

    fn new(cert_der: Vec<u8>, key: P256Key) -> Result<Self, AuthError> {
        let facts = lint_authority(&cert_der)?;
        let Some(id) = &facts.id else {
            return Err(AuthError::Key { reason: "the authority's certificate names no trust domain" });
        };
        let trust_domain = id.trust_domain().clone();
        if !crate::csr::certificate_has_point(&cert_der, key.public_point()) {
            return Err(AuthError::Key { reason: "the key belongs to another certificate" });
        }
        let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(cert_der.as_slice()), key)?;
        let bundle = TrustBundle::new(trust_domain.clone(), vec![cert_der.clone()])?;
        Ok(Self { trust_domain, cert_der, facts, bundle, issuer })
    }

    /// Draws a key and issues a certificate for it.
    ///
    /// The validity starts [`BACKDATE`] before `now` and ends `lifetime` after it, or with the authority's own, if that is sooner.
    ///
    /// # Errors
    /// [`AuthError::ForeignTrustDomain`]; [`AuthError::Lifetime`] outside [`LEAF_LIFETIME_MIN`] and [`LEAF_LIFETIME_MAX`];
    /// [`AuthError::AuthorityExpired`]; [`AuthError::Identity`] for an ID without a path; [`AuthError::Key`] without randomness.
    pub fn issue(&self, id: &SpiffeId, lifetime: Duration, now: Timestamp) -> Result<X509Svid, AuthError> {
        self.issue_for_hosts(id, &[], lifetime, now)
    }

    /// As [`Authority::issue`], for a server that strangers to SPIFFE reach by host: each of `hosts`, a DNS name or an IP
    /// address, is vouched for beside the ID. Peers that go by the ID do not look at it.
    ///
    /// # Errors
    /// As [`Authority::issue`]; [`AuthError::Host`] for what is neither a DNS name nor an IP address.
    pub fn issue_for_hosts(
        &self,
        id: &SpiffeId,
        hosts: &[&str],
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<X509Svid, AuthError> {
        let key = P256Key::generate()?;
        let leaf = self.sign(&key, id, hosts, lifetime, now)?;
        Ok(X509Svid::from_der(vec![leaf], key.into_pkcs8_der())?)
    }

    /// Issues a certificate for the key in a certificate signing request (PKCS#10 DER).
    ///
    /// Only the public key is taken from the request; every name, extension and attribute in it is ignored.
    /// The request must be signed by that key. ECDSA P-256 and P-384, Ed25519 and RSA of at least 2,048 bits are accepted.
    ///
    /// # Errors
    /// [`AuthError::Request`] for a request that breaks these rules, and as [`Authority::issue`].
    pub fn issue_from_csr(
        &self,
        csr_der: &[u8],
        id: &SpiffeId,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<IssuedCertificate, AuthError> {
        let leaf = self.sign(&verified_public_key(csr_der)?, id, &[], lifetime, now)?;
        let facts = lint_leaf(&leaf)?;
        Ok(IssuedCertificate { chain_der: vec![leaf], facts })
    }

    fn sign(
        &self,
        public_key: &impl PublicKeyData,
        id: &SpiffeId,
        hosts: &[&str],
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Vec<u8>, AuthError> {
        if id.trust_domain() != &self.trust_domain {
            return Err(AuthError::ForeignTrustDomain {
                expected: self.trust_domain.clone(),
                found: id.trust_domain().clone(),
            });
        }
        if !(LEAF_LIFETIME_MIN..=LEAF_LIFETIME_MAX).contains(&lifetime) {
            return Err(AuthError::Lifetime { reason: "an issued certificate lives 5 minutes to 30 days" });
        }
        if now < self.facts.not_before || plus(now, LEAF_LIFETIME_MIN)? > self.facts.not_after {
            return Err(AuthError::AuthorityExpired);
        }
        let not_before = minus(now, BACKDATE)?.max(self.facts.not_before);
        let not_after = plus(now, lifetime)?.min(self.facts.not_after);
        let mut params = common_params(id, not_before, not_after)?;
        for host in hosts {
            params.subject_alt_names.push(host_name(host)?);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(public_key, &self.issuer)?.der().to_vec();
        lint_leaf(&leaf)?; // nothing that breaks the standard leaves this function
        Ok(leaf)
    }

    /// The trust domain this authority vouches for.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The authority's certificate in DER.
    #[must_use]
    pub fn cert_der(&self) -> &[u8] {
        &self.cert_der
    }

    /// The authority's certificate in PEM.
    #[must_use]
    pub fn cert_pem(&self) -> String {
        pem::certificates_to_pem([&self.cert_der])
    }

    /// SHA-256 of the certificate's DER, by which a joining node pins it.
    #[must_use]
    pub fn cert_sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.cert_der).into()
    }

    /// The authority's key in PKCS#8 DER. Seal it before it is stored.
    #[must_use]
    pub fn key_der(&self) -> &[u8] {
        self.issuer.key().pkcs8_der()
    }

    /// The authority's key in PEM, wiped on drop. Seal it before it is stored.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        pem::private_key_to_pem(self.key_der())
    }

    /// Start of the authority's validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.facts.not_before
    }

    /// End of the authority's validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.facts.not_after
    }

    /// A trust bundle with this authority alone.
    #[must_use]
    pub fn bundle(&self) -> TrustBundle {
        self.bundle.clone()
    }
}

impl From<&Authority> for TrustBundle {
    fn from(authority: &Authority) -> Self {
        authority.bundle()
    }
}

impl From<Authority> for TrustBundle {
    fn from(authority: Authority) -> Self {
        authority.bundle
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("trust_domain", &self.trust_domain.as_str())
            .field("not_after", &self.facts.not_after)
            .finish_non_exhaustive()
    }
}

fn host_name(host: &str) -> Result<SanType, AuthError> {
    match ServerName::try_from(host) {
        Ok(ServerName::DnsName(name)) => Ok(SanType::DnsName(name.as_ref().try_into()?)),
        Ok(ServerName::IpAddress(address)) => Ok(SanType::IpAddress(address.into())),
        _ => Err(AuthError::Host { host: host.to_owned() }),
    }
}

fn common_params(
    id: &SpiffeId,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<CertificateParams, AuthError> {
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(not_before)?;
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(not_after)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "HPC Foundation");
    params.subject_alt_names = vec![SanType::URI(id.as_str().try_into()?)];
    Ok(params)
}

fn since_epoch(at: Timestamp) -> Result<Duration, AuthError> {
    let seconds = u64::try_from(at.as_second()).map_err(|_| OUT_OF_RANGE)?;
    Ok(Duration::from_secs(seconds))
}

const OUT_OF_RANGE: AuthError = AuthError::Lifetime { reason: "it leaves representable time" };

fn plus(at: Timestamp, by: Duration) -> Result<Timestamp, AuthError> {
    let by = SignedDuration::try_from(by).map_err(|_| OUT_OF_RANGE)?;
    at.checked_add(by).map_err(|_| OUT_OF_RANGE)
}

fn minus(at: Timestamp, by: Duration) -> Result<Timestamp, AuthError> {
    let by = SignedDuration::try_from(by).map_err(|_| OUT_OF_RANGE)?;
    at.checked_sub(by).map_err(|_| OUT_OF_RANGE)
}
