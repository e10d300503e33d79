//! A second opinion on `hpc-policy`; the comparison is in `tests/it`.
//!
//! Never holds code that a package needs.
