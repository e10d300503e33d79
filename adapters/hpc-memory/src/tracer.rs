//! In-memory fake of the `tracer` port.
