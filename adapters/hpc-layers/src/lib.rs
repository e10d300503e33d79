//! Wrappers over the port `CapacityProvider`.
//!
//! A backend makes one attempt and says exactly what became of it; what to do about slow and failing calls is decided
//! here, once for all backends. [`Deadline`] ends a call that takes too long and says what is then known; [`Retrying`]
//! repeats a call where that cannot do harm. [`Paced`] makes calls wait for their turn, [`Metered`] tells somebody of each, and
//! [`Cached`] keeps what was offered for those who only look.
//!
//! Never repeats a create without its token, never gives an old price where something is bought, and never reports "nothing happened" when nobody can know.
//!
//! # Example: outermost first, retries inside one deadline each
//! ```
//! use std::sync::Arc;
//!
//! use hpc_layers::{Deadline, Limits, RetryPolicy, Retrying};
//! use hpc_provider::CapacityProvider;
//!
//! fn wrapped(backend: Arc<dyn CapacityProvider>, seed: u64) -> impl CapacityProvider {
//!     Retrying::new(Deadline::new(backend, Limits::default()), RetryPolicy::default(), seed)
//! }
//! ```

mod cached;
mod deadline;
mod metered;
mod paced;
mod retrying;

pub use cached::{Answered, Cached, CatalogMeter, Keep};
pub use deadline::{Deadline, Limits};
pub use metered::{Failure, Meter, Metered, Verb};
pub use paced::{Pace, Paced, Paces};
pub use retrying::{ATTEMPTS_MAX, RetryPolicy, Retrying};
