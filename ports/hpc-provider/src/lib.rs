//! hpc-provider
