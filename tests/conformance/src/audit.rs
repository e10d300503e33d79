//! The contract of the `audit` port, one case per sentence.
