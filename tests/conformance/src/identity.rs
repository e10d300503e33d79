//! The contract of the `identity` port, one case per sentence.
