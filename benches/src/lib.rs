//! What the design promises in numbers, measured beside the rivals, and the inputs that the criterion benches share.
//!
//! Never part of a product: nothing depends on this package, and its rivals are built only with the feature `rivals`.
//!
//! ```no_run
//! use hpc_benches::harness::Bench;
//! use hpc_benches::promises;
//!
//! let bench = Bench::new(true)?; // tiny sizes
//! for promise in promises::ALL {
//!     println!("{}", (promise.run)(&bench)?.line(promise.name, true));
//! }
//! # Ok::<(), hpc_benches::Failure>(())
//! ```
//!
//! Features: `rivals` (off) builds `cedar-policy`, `rs_merkle`, `ct-merkle` and `aes-gcm` and measures beside them.
//!
//! The allocations of a thread can be counted, because `allocation-counter` puts its allocator under every binary here.

pub mod fixtures;
pub mod harness;
pub mod promises;
pub mod world;

/// Why something could not be measured. Anything at all: a bench has one caller, who reads the text.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The result of measuring.
pub type Result<T> = std::result::Result<T, Failure>;
