//! In-memory fake of the `identity` port.
