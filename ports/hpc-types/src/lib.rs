//! hpc-types
