//! What this daemon is, and whether it serves.

use hpc_rpc::grpc::control::v1::system_service_server::SystemService;
use hpc_types::control::v1;
use tonic::{Request, Response, Status};

use super::{Api, caller, document};
use crate::people;

#[tonic::async_trait]
impl SystemService for Api {
    async fn info(&self, request: Request<v1::InfoRequest>) -> Result<Response<v1::Document>, Status> {
        let caller = caller(&request)?;
        let mut info = self.world.info(&caller.name);
        if people::is_node(&caller) {
            // Where state is kept and what the world is made from is nothing to a machine that reports.
            (info.data, info.seed) = (None, None);
        }
        Ok(Response::new(document("hpc.info/v1", &info)?))
    }

    async fn health(
        &self,
        request: Request<v1::HealthRequest>,
    ) -> Result<Response<v1::HealthResponse>, Status> {
        let caller = caller(&request)?;
        let trouble = self.world.trouble();
        let serving = trouble.is_none();
        // The reason names providers and leases: not for nodes.
        let reason = trouble.filter(|_| !people::is_node(&caller)).unwrap_or_default();
        Ok(Response::new(v1::HealthResponse { serving, reason }))
    }
}
