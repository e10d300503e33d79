//! hpc-policy
