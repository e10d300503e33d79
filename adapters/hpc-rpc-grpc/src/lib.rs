//! hpc-rpc-grpc
