//! The contract of the `transport` port, one case per sentence.
