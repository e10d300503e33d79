//! In-memory fake of the `ledger` port.
