//! In-memory fake of the `audit` port.
