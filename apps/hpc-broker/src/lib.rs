//! hpc-broker
