//! hpc-vault
