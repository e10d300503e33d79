//! Certificates and mutual TLS: issues SPIFFE identity documents, builds every TLS configuration, and keeps it fresh.
//!
//! Never decides what a peer may do, only who it is; never opens a socket; never logs or prints a key.
//!
//! ```
//! use hpc_auth::cert::{ServiceIdentity, generate_ca_cert, generate_signed_cert};
//! use hpc_auth::server::create_server_config_with_client_auth;
//!
//! let ca = generate_ca_cert("StratoSwarm CA")?;
//! let service = ServiceIdentity::new("my-service");
//! let cert = generate_signed_cert(&service, &ca)?;
//! assert_eq!(cert.id().as_str(), "spiffe://hpc.internal/service/my-service");
//!
//! let mut server_config = create_server_config_with_client_auth(&cert, &ca)?;
//! server_config.alpn_protocols = vec![b"h2".to_vec()];
//! # Ok::<(), hpc_auth::AuthError>(())
//! ```
//!
//! - [`cert`]: a certificate authority and certificates in three calls
//! - [`ca`]: [`ca::Authority`], which issues from a certificate signing request and never sees the key
//! - [`csr`]: the other side of it, for a node whose key never leaves it
//! - [`server`], [`client`]: rustls configurations, TLS 1.3 only, both sides authenticated, hot reload
//! - [`source`]: [`source::StaticIdentity`] and [`source::RotatingIdentity`], the port's implementations
//! - [`pem`], [`files`]: text form, and a folder of `ca.pem`, `cert.pem` and `key.pem`
//! - [`join`]: one-time tokens with which a new node asks for its first certificate
//!
//! The convenience calls in [`cert`] read the clock; each has an `_at` form that takes the time instead.
//!
//! Features: none.

pub mod ca;
pub mod cert;
pub mod client;
mod clock;
pub mod csr;
mod error;
pub mod files;
pub mod join;
mod keys;
pub mod pem;
mod policy;
pub mod server;
pub mod source;
mod tls;
mod verify;

pub use error::AuthError;
pub use policy::{PEERS_MAX, PeerPolicy};
pub use verify::peer_spiffe_id;
