//! hpc-tests
