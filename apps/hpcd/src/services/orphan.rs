//! Orphans: shown, and ended by hand.

use hpc_rpc::grpc::control::v1::orphan_service_server::OrphanService;
use hpc_types::control::v1;
use tonic::{Request, Response, Status};

use super::{Api, document, status};

#[tonic::async_trait]
impl OrphanService for Api {
    async fn list(&self, request: Request<v1::ListOrphansRequest>) -> Result<Response<v1::Document>, Status> {
        let (caller, _) = self.open(request)?;
        self.may(&caller, "orphan", "orphan/all", "orphan.read")?;
        let orphans = self.broker().find_orphans().await.map_err(status)?;
        Ok(Response::new(document("hpc.orphans/v1", &orphans)?))
    }

    async fn reap(
        &self,
        request: Request<v1::ReapRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        let (caller, message) = self.open(request)?;
        let broker = self.broker().clone();
        // A task of its own: what has begun goes on when the caller hangs up.
        let reaping = tokio::spawn(async move {
            let names = (!message.all).then_some(message.names.as_slice());
            broker.reap(&caller, names, message.dry_run).await
        });
        let reaped = reaping.await.map_err(|error| Status::internal(error.to_string()))?.map_err(status)?;
        let report = document("hpc.reap/v1", &reaped.report)?;
        Ok(Response::new(v1::RecordedDocument::new(report, self.receipts(&reaped.receipts).await)))
    }
}
