//! The suite of the port: in memory, on a file, and with heads so small that everything is sealed at once.

use crate::support::{NOW, clock};

mod memory {
    use std::sync::Arc;

    use hpc_conformance::timeseries::Subject;
    use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};

    use super::*;

    hpc_conformance::time_series_store!(async {
        let store = EmbeddedTsdb::in_memory(EmbeddedConfig::default(), clock()).unwrap();
        Some(Subject::new(Arc::new(store), NOW))
    });
}

mod file {
    use std::sync::Arc;

    use hpc_conformance::timeseries::Subject;
    use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};

    use super::*;

    hpc_conformance::time_series_store!(async {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig::default();
        let store = EmbeddedTsdb::open(folder.path().join("tsdb.redb"), config, clock()).unwrap();
        Some(Subject::new(Arc::new(store), NOW).keeping(folder))
    });
}

mod sealed {
    use std::sync::Arc;

    use hpc_conformance::timeseries::Subject;
    use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};

    use super::*;

    hpc_conformance::time_series_store!(async {
        let config = EmbeddedConfig { head_samples_max: 1, ..EmbeddedConfig::default() };
        let store = EmbeddedTsdb::in_memory(config, clock()).unwrap();
        Some(Subject::new(Arc::new(store), NOW))
    });
}
