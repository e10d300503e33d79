//! hpc-tsdb
