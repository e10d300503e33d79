//! Costs: of one lease, or of everything the caller may see.

use hpc_resources::LeaseId;
use hpc_rpc::grpc::control::v1::cost_service_server::CostService;
use hpc_types::control::v1;
use serde::Serialize;
use tonic::{Request, Response, Status};

use super::{Api, document, id, status};

/// Most leases in one cost overview.
const LEASES_MAX: usize = 1_000;

#[tonic::async_trait]
impl CostService for Api {
    async fn show(&self, request: Request<v1::ShowCostRequest>) -> Result<Response<v1::Document>, Status> {
        let (caller, message) = self.open(request)?;
        if !message.lease_id.is_empty() {
            let lease = id(LeaseId::parse(message.lease_id))?;
            let cost = self.broker().cost(&caller, &lease).await.map_err(status)?;
            return Ok(Response::new(document("hpc.cost/v1", &cost)?));
        }
        let page = self.broker().leases(None, LEASES_MAX).await.map_err(status)?;
        let mut leases = Vec::new();
        for lease in &page.items {
            if self.broker().may_read(&caller, lease).is_ok() {
                leases.push(self.broker().cost_of(lease).await.map_err(status)?);
            }
        }
        let mut budgets = Vec::new();
        for budget in self.broker().budgets().await.map_err(status)? {
            if self.may(&caller, "budget", &format!("budget/{}", budget.team), "budget.read").is_ok() {
                budgets.push(budget);
            }
        }
        let overview = Overview { leases, budgets, complete: page.next.is_none() };
        Ok(Response::new(document("hpc.cost-overview/v1", &overview)?))
    }
}

#[derive(Serialize)]
struct Overview {
    leases: Vec<hpc_broker::Cost>,
    budgets: Vec<hpc_broker::TeamBudget>,
    complete: bool,
}
