//! hpc-tsdb-embedded
