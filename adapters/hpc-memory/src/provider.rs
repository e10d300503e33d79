//! In-memory fake of the `provider` port.
