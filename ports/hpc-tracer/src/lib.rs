//! hpc-tracer
