//! Budgets: where payers stand, and their limits set by whoever may.

use hpc_broker::{LimitsEdit, budget_resource};
use hpc_error::{HpcError, codes};
use hpc_resources::{BudgetStanding, BudgetWindow, Limits, Money, Payer};
use hpc_rpc::grpc::control::v1::budget_service_server::BudgetService;
use hpc_types::control::v1;
use serde::Serialize;
use tonic::{Request, Response, Status};

use super::{Api, document, id, status};

const BUDGETS: &str = "hpc.budgets/v1";

#[tonic::async_trait]
impl BudgetService for Api {
    async fn list(&self, request: Request<v1::ListBudgetsRequest>) -> Result<Response<v1::Document>, Status> {
        let (caller, message) = self.open(request)?;
        let budgets = if message.payer.is_empty() {
            let mut budgets = self.broker().budgets();
            // What the caller may not read is not shown.
            budgets.retain(|budget| {
                self.broker().may(&caller, budget_resource(&budget.payer, &caller), "budget.read").is_ok()
            });
            budgets
        } else {
            let payer: Payer = id(message.payer.parse())?;
            self.broker().may(&caller, budget_resource(&payer, &caller), "budget.read").map_err(status)?;
            self.broker().budgets_of(&payer)
        };
        Ok(Response::new(document(BUDGETS, &Budgets { budgets, repeated: None })?))
    }

    async fn set(
        &self,
        request: Request<v1::SetBudgetRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        let (caller, message) = self.open(request)?;
        let payer: Payer = id(message.payer.parse())?;
        let edit = edit(&message).map_err(status)?;
        let broker = self.broker().clone();
        // A task of its own: a change that has begun goes on when the caller hangs up.
        let edited = tokio::spawn(async move { broker.edit_budget(&caller, &payer, &edit).await })
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(status)?;
        let shown = Budgets { budgets: edited.budgets, repeated: Some(edited.repeated) };
        let receipts = self.receipts(&edited.receipts).await;
        Ok(Response::new(v1::RecordedDocument::new(document(BUDGETS, &shown)?, receipts)))
    }
}

/// What a message asks to change.
fn edit(message: &v1::SetBudgetRequest) -> Result<LimitsEdit, HpcError> {
    let amount = |text: &str| -> Result<Option<Money>, HpcError> {
        if text.is_empty() {
            return Ok(None);
        }
        let bad =
            |error: hpc_resources::MoneyError| HpcError::coded(&codes::USG_BAD_AMOUNT, error.to_string());
        text.parse().map(Some).map_err(bad)
    };
    let set = Limits {
        total: amount(&message.total)?,
        hourly: amount(&message.hourly)?,
        monthly: amount(&message.monthly)?,
    };
    let window = |name: &String| {
        BudgetWindow::ALL.into_iter().find(|window| window.as_str() == name).ok_or_else(|| {
            let message = format!("`{name}` is no limit; write total, hourly or monthly");
            HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)
        })
    };
    let remove = message.remove.iter().map(window).collect::<Result<Vec<_>, _>>()?;
    if set.is_empty() && remove.is_empty() {
        let message = "nothing to change: name a limit to set or to remove";
        return Err(HpcError::coded(&codes::USG_MISSING_FIELD, message));
    }
    Ok(LimitsEdit { set, remove })
}

#[derive(Serialize)]
struct Budgets {
    budgets: Vec<BudgetStanding>,
    /// Whether a change had been made before.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeated: Option<bool>,
}
