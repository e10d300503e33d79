use std::sync::Arc;

use hpc_audit::AuditLog;

use crate::world::open;

hpc_conformance::audit_log!(async {
    let dir = tempfile::tempdir().unwrap();
    let log: Arc<dyn AuditLog> = Arc::new(open(dir.path()).unwrap());
    (log, dir)
});

/// The same contract on a log that was opened again after a crash that left it empty.
mod opened_again {
    use super::*;

    hpc_conformance::audit_log!(async {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        let log: Arc<dyn AuditLog> = Arc::new(open(dir.path()).unwrap());
        (log, dir)
    });
}

hpc_conformance::tile_source!(async {
    let dir = tempfile::tempdir().unwrap();
    (Arc::new(open(dir.path()).unwrap()), dir)
});
