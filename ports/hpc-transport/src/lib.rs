//! hpc-transport
