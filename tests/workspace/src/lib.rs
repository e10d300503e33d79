//! Tests across packages; everything is in `tests/it`.
//!
//! Never holds code that a package needs.
