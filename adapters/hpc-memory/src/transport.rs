//! In-memory fake of the `transport` port.
