//! Who is speaking: SPIFFE identities, X.509 identity documents, trust bundles, and the port [`IdentitySource`].
//!
//! Never draws a key, reads the clock, opens a socket or verifies a signature: the rules here are pure,
//! so that everything which issues, presents or checks a certificate applies the same ones.
//!
//! ```
//! use hpc_identity::{SpiffeId, TrustDomain};
//!
//! let id = SpiffeId::parse("spiffe://hpc.internal/service/broker")?;
//! assert_eq!(id.trust_domain(), &TrustDomain::parse("hpc.internal")?);
//! assert_eq!(id.path(), "/service/broker");
//! assert_eq!(id, SpiffeId::new(id.trust_domain(), ["service", "broker"])?);
//! assert!(SpiffeId::parse("spiffe://hpc.internal/../admin").is_err());
//! # Ok::<(), hpc_identity::SpiffeIdError>(())
//! ```
//!
//! The pure rules parse certificates with `x509-parser` (safe Rust, no cryptography, no clock); its types appear
//! in no public signature.
//!
//! Features: `mock` adds `MockIdentitySource` (mockall) for downstream tests.

mod bundle;
mod error;
mod lint;
mod source;
mod spiffe_id;
mod svid;

pub use bundle::{AUTHORITIES_MAX, TrustBundle};
pub use error::{IdentityError, LintError, SpiffeIdError};
pub use lint::{AuthorityFacts, CERTIFICATE_BYTES_MAX, LeafFacts, RSA_BITS_MIN, lint_authority, lint_leaf};
#[cfg(feature = "mock")]
pub use source::MockIdentitySource;
pub use source::{IdentitySource, PeerIdentity};
pub use spiffe_id::{SPIFFE_ID_BYTES_MAX, SpiffeId, TRUST_DOMAIN_BYTES_MAX, TrustDomain};
pub use svid::{CHAIN_CERTIFICATES_MAX, PRIVATE_KEY_BYTES_MAX, X509Svid};
