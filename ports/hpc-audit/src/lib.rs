//! hpc-audit
