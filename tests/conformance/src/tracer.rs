//! The contract of the `tracer` port, one case per sentence.
