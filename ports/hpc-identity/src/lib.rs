//! hpc-identity
