//! The contract of the `timeseries` port, one case per sentence.
