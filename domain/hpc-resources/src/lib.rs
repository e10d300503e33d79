//! hpc-resources
