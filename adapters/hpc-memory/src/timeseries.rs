//! In-memory fake of the `timeseries` port.
