//! The contract of the `provider` port, one case per sentence.
