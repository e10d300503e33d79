//! hpc-benches
