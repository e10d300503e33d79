//! hpc-tsdb-influxdb
