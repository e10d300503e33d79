//! hpc-error
