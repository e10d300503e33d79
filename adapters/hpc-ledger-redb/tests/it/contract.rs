//! The suite of the port.

use std::sync::Arc;

use async_trait::async_trait;
use hpc_conformance::ledger::LedgerFixture;
use hpc_ledger::Ledger;
use hpc_ledger_redb::{Options, RedbLedger};
use tempfile::TempDir;

struct OnFile {
    folder: TempDir,
    ledger: Option<Arc<RedbLedger>>,
}

impl OnFile {
    fn new() -> Self {
        let mut fixture = Self { folder: tempfile::tempdir().unwrap(), ledger: None };
        fixture.open();
        fixture
    }

    fn open(&mut self) {
        let path = self.folder.path().join("ledger.redb");
        self.ledger = Some(Arc::new(RedbLedger::open(path, Options::default()).unwrap()));
    }
}

#[async_trait]
impl LedgerFixture for OnFile {
    fn ledger(&self) -> Arc<dyn Ledger> {
        let ledger: Arc<RedbLedger> = Arc::clone(self.ledger.as_ref().unwrap());
        ledger
    }

    async fn reopen(&mut self) -> bool {
        let ledger = self.ledger.take().unwrap();
        drop(Arc::try_unwrap(ledger).expect("the case still holds the ledger"));
        self.open();
        true
    }
}

hpc_conformance::ledger!(OnFile::new());
