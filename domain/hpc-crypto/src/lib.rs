//! hpc-crypto
