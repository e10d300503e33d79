//! hpc-ledger
