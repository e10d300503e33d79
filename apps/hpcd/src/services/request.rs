//! Requests: plan, apply, approve, list, show, explain.

use std::pin::Pin;

use hpc_broker::Progress;
use hpc_error::{HpcError, codes};
use hpc_policy::RuleSummary;
use hpc_resources::{PlanId, RequestDocument, RequestId, ResourceRequest};
use hpc_rpc::grpc::control::v1::request_service_server::RequestService;
use hpc_types::control::v1;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::people;

use super::{Api, document, id, page_size, page_token, status};

/// Progress events that may wait for a slow reader; more are dropped, the last one never is.
const PROGRESS_WAITING_MAX: usize = 256;
/// Longest request document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

type Events = Pin<Box<dyn Stream<Item = Result<v1::ApplyEvent, Status>> + Send>>;

#[tonic::async_trait]
impl RequestService for Api {
    async fn plan(&self, request: Request<v1::PlanRequest>) -> Result<Response<v1::PlanResponse>, Status> {
        let (caller, message) = self.begin(request)?;
        // Before anything is read or stored: a plan that policy denies is kept, and a node has no business with any.
        if people::is_node(&caller) {
            let message = "a node asks for no capacity";
            return Err(status(HpcError::coded(&codes::AUT_NOT_ALLOWED, message)));
        }
        let wanted = wanted(message.request)?;
        let (plan, proof) =
            self.broker().plan_once(&caller, wanted, &message.idempotency_key).await.map_err(status)?;
        Ok(Response::new(v1::PlanResponse {
            plan: Some(document("hpc.plan/v1", &plan)?),
            receipts: self.receipts(&proof).await,
        }))
    }

    type ApplyStream = Events;

    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Result<Response<Events>, Status> {
        let (caller, message) = self.begin(request)?;
        let plan = id(PlanId::parse(message.plan_id))?;
        let (sender, receiver) = mpsc::channel(PROGRESS_WAITING_MAX);
        let api = self.clone();
        // A task of its own: the caller may hang up, the apply goes on.
        tokio::spawn(async move {
            let progress = sender.clone();
            let sink = move |event: Progress| {
                if let Ok(event) = document("hpc.progress/v1", &event) {
                    let event = Some(v1::apply_event::Event::Progress(event));
                    drop(progress.try_send(Ok(v1::ApplyEvent { event, receipts: Vec::new() })));
                }
            };
            let last = match api.broker().apply(&caller, &plan, &sink).await {
                Ok(applied) => {
                    let receipts = api.receipts(&applied.receipts).await;
                    document("hpc.lease/v1", &applied.lease).map(|lease| v1::ApplyEvent {
                        event: Some(v1::apply_event::Event::Lease(lease)),
                        receipts,
                    })
                }
                Err(error) => Err(status(error)),
            };
            drop(sender.send(last).await);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn approve(
        &self,
        request: Request<v1::ApproveRequest>,
    ) -> Result<Response<v1::ApproveResponse>, Status> {
        let (caller, message) = self.begin(request)?;
        let plan = id(PlanId::parse(message.plan_id))?;
        let (plan, proof) = self
            .broker()
            .approve(&caller, &plan, &message.plan_hash, !message.refuse, &message.justification)
            .await
            .map_err(status)?;
        let approval = document("hpc.plan/v1", &plan)?;
        let receipts = self.receipts(&proof).await;
        Ok(Response::new(v1::ApproveResponse { approval: Some(approval), receipts }))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let (caller, message) = self.open(request)?;
        self.may(&caller, "plan", "plan/all", "plan.read")?;
        let after = page_token(&message.page_token);
        let page = self.broker().requests(after, page_size(message.page_size)).await.map_err(status)?;
        let mut items = Vec::with_capacity(page.items.len());
        for record in &page.items {
            // The state of its plan is what a reader of the list wants to know.
            let plan = self.broker().plan_by_id(&record.plan).await.map_err(status)?;
            items.push(document("hpc.request-row/v1", &RequestRow { record, plan: plan.state })?);
        }
        Ok(Response::new(v1::ListResponse { items, next_page_token: page.next.unwrap_or_default() }))
    }

    async fn show(&self, request: Request<v1::ShowRequest>) -> Result<Response<v1::Document>, Status> {
        let (caller, message) = self.open(request)?;
        self.may(&caller, "plan", &format!("plan/{}", message.id), "plan.read")?;
        let plan = if message.id.starts_with(RequestId::PREFIX) {
            let request = id(RequestId::parse(message.id))?;
            self.broker().request_by_id(&request).await.map_err(status)?.plan
        } else {
            id(PlanId::parse(message.id))?
        };
        let plan = self.broker().plan_by_id(&plan).await.map_err(status)?;
        Ok(Response::new(document("hpc.plan/v1", &plan)?))
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Result<Response<v1::Document>, Status> {
        let (caller, message) = self.open(request)?;
        self.may(&caller, "plan", &format!("plan/{}", message.plan_id), "plan.read")?;
        let plan = self.broker().plan_by_id(&id(PlanId::parse(message.plan_id))?).await.map_err(status)?;
        let asked = message.rule;
        let lines =
            plan.decision.rules.into_iter().filter(|line| asked.is_empty() || line.rule.ends_with(&asked));
        let policies = self.broker().policies();
        // Other policies than those that decided may have a rule of this name somewhere else.
        let decided = policies.digest() == plan.decision.policy_digest;
        let rules = lines
            .map(|line| {
                let named =
                    |rule: &RuleSummary<'_>| format!("{}/{}", rule.policy(), rule.name()) == line.rule;
                let known = policies.rules().filter(|_| decided).find(named);
                ExplainedRule {
                    place: known.as_ref().map(place),
                    owner: known.and_then(|rule| rule.owner().map(str::to_owned)),
                    line,
                }
            })
            .collect();
        let explained = Explained {
            plan: plan.plan.id.to_string(),
            decision: plan.decision.id.to_string(),
            allowed: plan.decision.allowed,
            policy_digest: plan.decision.policy_digest,
            reasons: plan.decision.reasons,
            allowed_if: plan.decision.allowed_if,
            rules,
        };
        if explained.rules.is_empty() && !asked.is_empty() {
            let message = format!("no rule `{asked}` was looked at for this plan");
            return Err(status(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)));
        }
        Ok(Response::new(document("hpc.explanation/v1", &explained)?))
    }
}

/// The request in a document.
pub(super) fn wanted(request: Option<v1::Document>) -> Result<ResourceRequest, Status> {
    let text = request.map(|document| document.json).unwrap_or_default();
    if text.len() > DOCUMENT_BYTES_MAX {
        let message = format!("a request document has at most {DOCUMENT_BYTES_MAX} bytes");
        return Err(status(HpcError::coded(&codes::USG_TOO_LARGE, message)));
    }
    let read: RequestDocument = serde_json::from_slice(&text).map_err(|error| {
        let message = format!("the request document cannot be read: {error}");
        status(HpcError::coded(&codes::USG_SYNTAX, message))
    })?;
    read.into_request().map_err(|error| status(HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string())))
}

/// `document:line`.
fn place(rule: &RuleSummary<'_>) -> String {
    match rule.document() {
        Some(document) => format!("{document}:{}", rule.line()),
        None => format!("line {}", rule.line()),
    }
}

#[derive(Serialize)]
struct RequestRow<'a> {
    #[serde(flatten)]
    record: &'a hpc_broker::RequestRecord,
    #[serde(flatten)]
    plan: hpc_broker::PlanState,
}

#[derive(Serialize)]
struct Explained {
    plan: String,
    decision: String,
    allowed: bool,
    policy_digest: String,
    reasons: Vec<String>,
    allowed_if: Vec<String>,
    rules: Vec<ExplainedRule>,
}

#[derive(Serialize)]
struct ExplainedRule {
    #[serde(flatten)]
    line: hpc_broker::RuleLine,
    place: Option<String>,
    owner: Option<String>,
}
