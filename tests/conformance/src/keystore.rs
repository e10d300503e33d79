//! The contract of the `keystore` port, one case per sentence.
