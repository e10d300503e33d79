//! The contract of the `ledger` port, one case per sentence.
