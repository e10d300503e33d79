//! hpc-config
