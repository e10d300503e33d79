//! hpc-timeseries
