//! Signatures, hashing, Merkle trees, signed notes, checkpoints and tiles: pure functions that prove what happened.
//!
//! Never reads a file, a socket or the clock; the one draw of chance is [`signing::KeyPair::generate`].
//!
//! ```
//! use hpc_crypto::merkle::MerkleTree;
//! use hpc_crypto::signing::KeyPair;
//!
//! # fn main() -> Result<(), hpc_crypto::CryptoError> {
//! let keypair = KeyPair::generate();
//! let signature = keypair.sign(b"message");
//! assert!(keypair.verify(b"message", &signature));
//!
//! let tree = MerkleTree::from_leaves(&[b"tx1", b"tx2", b"tx3"]);
//! let proof = tree.prove(1)?;
//! assert!(tree.verify(&proof, b"tx2"));
//! # Ok(())
//! # }
//! ```
//!
//! - [`signing`]: Ed25519 with strict verification; weak keys are refused, secrets wiped.
//! - [`hashing`]: BLAKE3 (plain, keyed, derived, streaming) and SHA-256.
//! - [`merkle`]: trees over a hash [`merkle::Profile`], inclusion, consistency and subtree proofs, the compact range.
//! - [`note`]: C2SP signed notes and verifier keys. [`checkpoint`]: C2SP log checkpoints.
//! - [`cosignature`]: what witnesses sign. [`witness`]: when one signs, and what two checkpoints say of a log.
//! - [`tlog_policy`]: which logs and witnesses a verifier trusts, and whether a checkpoint has its quorum.
//! - [`tile`]: C2SP tile paths, which tiles a proof needs, entry bundles. [`tlog_proof`]: one proof as text.
//!
//! There are no optional features.

pub mod checkpoint;
pub mod cosignature;
mod error;
pub mod hashing;
pub mod merkle;
pub mod note;
pub mod signing;
pub mod tile;
pub mod tlog_policy;
pub mod tlog_proof;
pub mod witness;

pub use error::CryptoError;
