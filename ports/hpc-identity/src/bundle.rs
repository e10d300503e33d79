//! The authorities of one trust domain.

use std::time::Duration;

use crate::lint::lint_authority;
use crate::{IdentityError, TrustDomain};

/// Most authorities in one bundle: a rotation needs two or three.
pub const AUTHORITIES_MAX: usize = 64;

/// The certificates that may vouch for members of one trust domain. Bundles of different domains are never merged.
///
/// Every authority has passed [`lint_authority`], and none names another trust domain.
/// A bundle without authorities is valid and vouches for nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    authorities: Vec<Vec<u8>>,
    sequence: u64,
    refresh_hint: Option<Duration>,
}

impl TrustBundle {
    /// A bundle of DER certificates with sequence number 0 and no refresh hint.
    ///
    /// # Errors
    /// [`IdentityError::TooManyAuthorities`], [`IdentityError::Lint`], [`IdentityError::ForeignAuthority`].
    pub fn new(trust_domain: TrustDomain, authorities: Vec<Vec<u8>>) -> Result<Self, IdentityError> {
        if authorities.len() > AUTHORITIES_MAX {
            return Err(IdentityError::TooManyAuthorities { authorities: authorities.len() });
        }
        for der in &authorities {
            if let Some(id) = lint_authority(der)?.id
                && id.trust_domain() != &trust_domain
            {
                return Err(IdentityError::ForeignAuthority {
                    expected: trust_domain,
                    found: id.trust_domain().clone(),
                });
            }
        }
        Ok(Self { trust_domain, authorities, sequence: 0, refresh_hint: None })
    }

    /// The same bundle with this sequence number, which grows with every change of the bundle.
    #[must_use]
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.sequence = sequence;
        self
    }

    /// The same bundle with a hint how often to look for a newer one.
    #[must_use]
    pub fn with_refresh_hint(mut self, refresh_hint: Duration) -> Self {
        self.refresh_hint = Some(refresh_hint);
        self
    }

    /// The domain whose members these authorities vouch for.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The authorities' certificates in DER.
    #[must_use]
    pub fn authorities(&self) -> &[Vec<u8>] {
        &self.authorities
    }

    /// Sequence number; a higher one replaces a lower one.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How often to look for a newer bundle, if the domain says.
    #[must_use]
    pub fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }
}
