//! An authority and certificates in three calls, for tests, demos and small installations.

use std::time::Duration;

use hpc_identity::{SpiffeId, TrustDomain, X509Svid};
use jiff::Timestamp;

use crate::ca::{AUTHORITY_LIFETIME_DEFAULT, Authority};
use crate::{AuthError, clock};

/// The authority these calls make and use.
pub use crate::ca::Authority as CaCert;

/// The trust domain of an authority that was given none.
pub const DEFAULT_TRUST_DOMAIN: &str = "hpc.internal";
/// Lifetime of a certificate from [`generate_signed_cert`]: a day, because nothing renews it.
pub const SIGNED_CERT_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The identity a certificate is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceIdentity(Named);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    Service(String),
    Spiffe(SpiffeId),
}

impl ServiceIdentity {
    /// The service of this name: `spiffe://<trust domain of the authority>/service/<name>`.
    ///
    /// A name that no SPIFFE ID can hold is reported when the certificate is made.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(Named::Service(name.into()))
    }

    /// Exactly this ID.
    #[must_use]
    pub fn from_spiffe(id: SpiffeId) -> Self {
        Self(Named::Spiffe(id))
    }

    /// The ID this identity has in a certificate of an authority of `trust_domain`.
    ///
    /// # Errors
    /// [`AuthError::Identity`] when the name cannot be a path segment.
    pub fn spiffe_id(&self, trust_domain: &TrustDomain) -> Result<SpiffeId, AuthError> {
        match &self.0 {
            Named::Service(name) => Ok(SpiffeId::new(trust_domain, ["service", name])?),
            Named::Spiffe(id) => Ok(id.clone()),
        }
    }
}

impl From<SpiffeId> for ServiceIdentity {
    fn from(id: SpiffeId) -> Self {
        Self::from_spiffe(id)
    }
}

/// A new authority of the trust domain [`DEFAULT_TRUST_DOMAIN`], valid for a year from now.
///
/// # Errors
/// [`AuthError::CommonName`], or [`AuthError::Key`] without randomness.
pub fn generate_ca_cert(common_name: &str) -> Result<CaCert, AuthError> {
    let trust_domain = TrustDomain::parse(DEFAULT_TRUST_DOMAIN)?;
    generate_ca_cert_at(common_name, trust_domain, AUTHORITY_LIFETIME_DEFAULT, clock::now())
}

/// A new authority of `trust_domain`, valid from `now` for `lifetime`.
///
/// # Errors
/// As [`Authority::generate`].
pub fn generate_ca_cert_at(
    common_name: &str,
    trust_domain: TrustDomain,
    lifetime: Duration,
    now: Timestamp,
) -> Result<CaCert, AuthError> {
    Authority::generate(common_name, trust_domain, lifetime, now)
}

/// A certificate and a new key for `service`, valid for [`SIGNED_CERT_LIFETIME`] from now.
///
/// # Errors
/// As [`Authority::issue`], and [`AuthError::Identity`] for a name that cannot be an ID.
pub fn generate_signed_cert(service: &ServiceIdentity, ca: &CaCert) -> Result<X509Svid, AuthError> {
    generate_signed_cert_at(service, ca, SIGNED_CERT_LIFETIME, clock::now())
}

/// A certificate and a new key for `service`, valid from `now` for `lifetime`.
///
/// # Errors
/// As [`generate_signed_cert`].
pub fn generate_signed_cert_at(
    service: &ServiceIdentity,
    ca: &CaCert,
    lifetime: Duration,
    now: Timestamp,
) -> Result<X509Svid, AuthError> {
    ca.issue(&service.spiffe_id(ca.trust_domain())?, lifetime, now)
}
