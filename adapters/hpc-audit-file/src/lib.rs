//! hpc-audit-file
