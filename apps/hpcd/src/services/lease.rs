//! Leases: list, show, release.

use hpc_resources::LeaseId;
use hpc_rpc::grpc::control::v1::lease_service_server::LeaseService;
use hpc_types::control::v1;
use tonic::{Request, Response, Status};

use super::{Api, document, id, page_size, page_token, status};

#[tonic::async_trait]
impl LeaseService for Api {
    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let (caller, message) = self.open(request)?;
        let after = page_token(&message.page_token);
        let page = self.broker().leases(after, page_size(message.page_size)).await.map_err(status)?;
        let mut items = Vec::with_capacity(page.items.len());
        for lease in &page.items {
            // What the caller may not read is not shown; the page token still moves on.
            if self.broker().may_read(&caller, lease).is_ok() {
                items.push(document("hpc.lease/v1", lease)?);
            }
        }
        Ok(Response::new(v1::ListResponse { items, next_page_token: page.next.unwrap_or_default() }))
    }

    async fn show(&self, request: Request<v1::ShowRequest>) -> Result<Response<v1::Document>, Status> {
        let (caller, message) = self.open(request)?;
        let lease = self.broker().lease_by_id(&id(LeaseId::parse(message.id))?).await.map_err(status)?;
        self.broker().may_read(&caller, &lease).map_err(status)?;
        Ok(Response::new(document("hpc.lease/v1", &lease)?))
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseResponse>, Status> {
        let (caller, message) = self.open(request)?;
        let lease = id(LeaseId::parse(message.lease_id))?;
        let broker = self.broker().clone();
        // A task of its own: a release that has begun goes on when the caller hangs up.
        let released = tokio::spawn(async move { broker.release(&caller, &lease).await })
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(status)?;
        Ok(Response::new(v1::ReleaseResponse {
            lease: Some(document("hpc.lease/v1", &released.lease)?),
            receipts: self.receipts(&released.receipts).await,
        }))
    }
}
