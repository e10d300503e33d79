//! Where capacity comes from: offers without a plan, providers and how they are.

use hpc_error::{HpcError, codes};
use hpc_resources::ProviderId;
use hpc_rpc::grpc::control::v1::provider_service_server::ProviderService;
use hpc_types::control::v1;
use tonic::{Request, Response, Status};

use super::request::wanted;
use super::{Api, document, id, status};
use crate::people;

#[tonic::async_trait]
impl ProviderService for Api {
    async fn offers(&self, request: Request<v1::OffersRequest>) -> Result<Response<v1::Document>, Status> {
        let (caller, message) = self.open(request)?;
        if people::is_node(&caller) {
            let message = "a node asks for no capacity";
            return Err(status(HpcError::coded(&codes::AUT_NOT_ALLOWED, message)));
        }
        let offers = self.broker().offers(&caller, wanted(message.request)?).await.map_err(status)?;
        Ok(Response::new(document("hpc.offers/v1", &offers)?))
    }

    async fn list(
        &self,
        request: Request<v1::ListProvidersRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let (caller, _) = self.open(request)?;
        let mut items = Vec::new();
        for provider in self.broker().provider_statuses() {
            let place = format!("provider/{}", provider.description.provider);
            // What the caller may not read is not shown.
            if self.may(&caller, "provider", &place, "provider.read").is_ok() {
                items.push(document("hpc.provider/v1", &provider)?);
            }
        }
        Ok(Response::new(v1::ListResponse { items, next_page_token: String::new() }))
    }

    async fn show(&self, request: Request<v1::ShowRequest>) -> Result<Response<v1::Document>, Status> {
        let (caller, message) = self.open(request)?;
        let provider = id(ProviderId::parse(message.id))?;
        self.may(&caller, "provider", &format!("provider/{provider}"), "provider.read")?;
        let provider = self.broker().provider_status(&provider).await.map_err(status)?;
        Ok(Response::new(document("hpc.provider/v1", &provider)?))
    }
}
