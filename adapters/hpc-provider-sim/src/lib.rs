//! hpc-provider-sim
