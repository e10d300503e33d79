//! hpc-ledger-redb
