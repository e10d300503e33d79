//! In-memory fake of the `keystore` port.
