//! What this daemon is, and whether it serves.

use hpc_rpc::grpc::control::v1::system_service_server::SystemService;
use hpc_types::control::v1;
use tonic::{Request, Response, Status};

use super::{Api, caller, document};

#[tonic::async_trait]
impl SystemService for Api {
    async fn info(&self, request: Request<v1::InfoRequest>) -> Result<Response<v1::Document>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(document("hpc.info/v1", &self.world.info(&caller.name))?))
    }

    async fn health(
        &self,
        request: Request<v1::HealthRequest>,
    ) -> Result<Response<v1::HealthResponse>, Status> {
        caller(&request)?;
        let trouble = self.world.trouble();
        Ok(Response::new(v1::HealthResponse {
            serving: trouble.is_none(),
            reason: trouble.unwrap_or_default(),
        }))
    }
}
