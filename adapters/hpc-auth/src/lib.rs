//! hpc-auth
