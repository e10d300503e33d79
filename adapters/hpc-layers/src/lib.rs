//! hpc-layers
