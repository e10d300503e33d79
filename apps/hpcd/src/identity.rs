//! The daemon's authority and its own certificate, renewed before it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hpc_auth::ca::{Authority, IssuedCertificate};
use hpc_auth::join::NodeName;
use hpc_auth::source::RotatingIdentity;
use hpc_error::{HpcError, codes};
use hpc_identity::{IdentitySource, SpiffeId, TrustBundle, TrustDomain, X509Svid};
use jiff::Timestamp;

/// Trust domain of a development daemon.
pub const DEV_TRUST_DOMAIN: &str = "dev.hpc.internal";
/// Life of the throwaway authority of a development daemon.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// Life of the daemon's own certificate and of a person's.
pub const LEAF_LIFE: Duration = Duration::from_secs(12 * 3_600);

/// Where a development daemon is reached by those who go by hosts, such as AuthZEN enforcement points.
pub const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Who the daemon is, and what it vouches for.
pub struct HostIdentity {
    authority: Authority,
    server: SpiffeId,
    source: RotatingIdentity,
}

impl HostIdentity {
    /// Makes a throwaway authority and the daemon's certificate.
    ///
    /// # Errors
    /// `HPC-INT-0001` when the operating system gives no randomness.
    pub fn throwaway(now: Timestamp) -> Result<Self, HpcError> {
        let domain = TrustDomain::parse(DEV_TRUST_DOMAIN).map_err(bug)?;
        let authority =
            Authority::generate("hpcd development authority", domain.clone(), AUTHORITY_LIFE, now)
                .map_err(bug)?;
        let server = SpiffeId::new(&domain, ["service", "hpcd"]).map_err(bug)?;
        let svid = authority.issue_for_hosts(&server, &HOSTS, LEAF_LIFE, now).map_err(bug)?;
        let source = RotatingIdentity::new(svid, [authority.bundle()]).map_err(bug)?;
        Ok(Self { authority, server, source })
    }

    /// The daemon's own identity.
    #[must_use]
    pub fn server_id(&self) -> &SpiffeId {
        &self.server
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        self.authority.trust_domain()
    }

    /// SHA-256 of the authority's certificate: what a join token pins.
    #[must_use]
    pub fn authority_sha256(&self) -> [u8; 32] {
        self.authority.cert_sha256()
    }

    /// What to verify this trust domain's certificates with.
    #[must_use]
    pub fn bundle(&self) -> TrustBundle {
        self.authority.bundle()
    }

    /// The source that servers follow.
    #[must_use]
    pub fn source(&self) -> Arc<dyn IdentitySource> {
        Arc::new(self.source.clone())
    }

    /// Issues a certificate and its key for a person of the development world.
    ///
    /// # Errors
    /// `HPC-INT-0001`.
    pub fn issue(&self, id: &SpiffeId, now: Timestamp) -> Result<X509Svid, HpcError> {
        self.authority.issue(id, LEAF_LIFE, now).map_err(bug)
    }

    /// Signs a node's key. Nothing of the request is believed but the key.
    ///
    /// # Errors
    /// `HPC-AUT-0004` for a request that does not prove possession of an acceptable key.
    pub fn issue_node(
        &self,
        node: &NodeName,
        csr: &[u8],
        life: Duration,
        now: Timestamp,
    ) -> Result<IssuedCertificate, HpcError> {
        let id = node.spiffe_id(self.trust_domain()).map_err(bug)?;
        self.authority.issue_from_csr(csr, &id, life, now).map_err(|error| {
            HpcError::coded(&codes::AUT_UNTRUSTED, format!("the signing request is refused: {error}"))
        })
    }

    /// Renews the daemon's certificate when half its life is over. Open connections are not disturbed.
    ///
    /// # Errors
    /// `HPC-INT-0001`.
    pub async fn renew_if_due(&self, now: Timestamp) -> Result<bool, HpcError> {
        let current = self.source.svid().await.map_err(bug)?;
        if now < hpc_auth::source::renew_at(&current, 0) {
            return Ok(false);
        }
        let svid = self.authority.issue_for_hosts(&self.server, &HOSTS, LEAF_LIFE, now).map_err(bug)?;
        self.source.rotate(svid).map_err(bug)?;
        Ok(true)
    }

    /// How long the authority and the daemon's certificate still last, in seconds, by name.
    ///
    /// # Errors
    /// `HPC-INT-0001`.
    pub async fn lasts_s(&self, now: Timestamp) -> Result<BTreeMap<&'static str, i64>, HpcError> {
        let own = self.source.svid().await.map_err(bug)?;
        let left = |end: Timestamp| end.duration_since(now).as_secs();
        Ok(BTreeMap::from([
            ("authority", left(self.authority.not_after())),
            ("daemon", left(own.not_after())),
        ]))
    }
}

fn bug(error: impl std::fmt::Display) -> HpcError {
    HpcError::coded(&codes::INT_BUG, error.to_string())
}
