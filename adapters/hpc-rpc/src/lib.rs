//! hpc-rpc
