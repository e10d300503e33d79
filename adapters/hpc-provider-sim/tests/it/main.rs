//! The simulated clouds from outside.
