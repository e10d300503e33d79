//! hpc-rpc-quic
