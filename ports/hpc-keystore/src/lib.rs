//! hpc-keystore
