//! hpc-tracing
