//! The policies in force, a candidate beside them, and how one becomes the other.

use std::sync::Arc;

use hpc_audit::Receipt;
use hpc_error::{HpcError, codes};
use hpc_rpc::grpc::control::v1::policy_service_server::PolicyService;
use hpc_types::control::v1;
use serde::Serialize;
use tonic::{Request, Response, Status};

use super::{Api, caller, document, status};
use crate::policies::keeper;
use crate::policies::kept::Given;
use crate::world::World;

/// Schema of what is in force.
const POLICY: &str = "hpc.policy/v1";
/// Schema of how a candidate compares.
const CANDIDATE: &str = "hpc.policy-candidate/v1";

#[tonic::async_trait]
impl PolicyService for Api {
    async fn show(&self, request: Request<v1::ShowPolicyRequest>) -> Result<Response<v1::Document>, Status> {
        let caller = caller(&request)?;
        self.may(&caller, "policy", "policy", "policy.read")?;
        let (status, documents) = self.world.policies.status_and_documents();
        let texts = documents.iter().filter(|_| !request.get_ref().without_documents);
        let shown =
            Shown { status: &status, documents: texts.map(|(name, text)| Text { name, text }).collect() };
        Ok(Response::new(document(POLICY, &shown)?))
    }

    async fn reload(
        &self,
        request: Request<v1::ReloadPolicyRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        let caller = caller(&request)?;
        let now = self.to_the_end(move |world| async move { world.policies.reload(&caller).await }).await?;
        self.in_force(now).await
    }

    async fn set_candidate(
        &self,
        request: Request<v1::SetCandidateRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        let (caller, message) = self.begin(request)?;
        let given = if message.bundle.is_empty() {
            let mut documents: Vec<(String, String)> =
                message.documents.into_iter().map(|document| (document.name, document.text)).collect();
            documents.sort();
            Given::Documents(documents)
        } else {
            Given::Bundle(super::id(String::from_utf8(message.bundle.to_vec()))?)
        };
        let (report, recorded) = self
            .to_the_end(move |world| async move { world.policies.set_candidate(&caller, given).await })
            .await?;
        self.recorded(document(CANDIDATE, &report)?, &recorded).await
    }

    async fn show_candidate(
        &self,
        request: Request<v1::ShowCandidateRequest>,
    ) -> Result<Response<v1::Document>, Status> {
        let caller = caller(&request)?;
        self.may(&caller, "policy", "policy", "policy.read")?;
        // A difference is a question that somebody asked, as an audit entry is.
        self.may(&caller, "audit", "audit", "audit.read")?;
        let report = self.broker().candidate().ok_or_else(|| status(keeper::none()))?;
        Ok(Response::new(document(CANDIDATE, &report)?))
    }

    async fn clear_candidate(
        &self,
        request: Request<v1::ClearCandidateRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        let caller = caller(&request)?;
        let (report, recorded) = self
            .to_the_end(move |world| async move { world.policies.clear_candidate(&caller).await })
            .await?;
        self.recorded(document(CANDIDATE, &report)?, &recorded).await
    }

    async fn promote(
        &self,
        request: Request<v1::PromoteRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        let (caller, message) = self.open(request)?;
        let digest = message.digest;
        let now = self
            .to_the_end(move |world| async move { world.policies.promote(&caller, &digest).await })
            .await?;
        self.in_force(now).await
    }
}

impl Api {
    /// A change goes on to its end even when its caller goes away: half of one would be neither undone nor recorded.
    async fn to_the_end<T: Send + 'static, F: Future<Output = Result<T, HpcError>> + Send + 'static>(
        &self,
        change: impl FnOnce(Arc<World>) -> F + Send + 'static,
    ) -> Result<T, Status> {
        let world = Arc::clone(&self.world);
        tokio::spawn(change(world))
            .await
            .map_err(|error| {
                status(HpcError::coded(&codes::INT_BUG, format!("a change of policies ended early: {error}")))
            })?
            .map_err(status)
    }

    async fn in_force(
        &self,
        (status, recorded): (keeper::Status, Vec<Receipt>),
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        let shown = document(POLICY, &Shown { status: &status, documents: Vec::new() })?;
        self.recorded(shown, &recorded).await
    }

    async fn recorded(
        &self,
        document: v1::Document,
        recorded: &[Receipt],
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        Ok(Response::new(v1::RecordedDocument::new(document, self.receipts(recorded).await)))
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    status: &'a keeper::Status,
    documents: Vec<Text<'a>>,
}

#[derive(Serialize)]
struct Text<'a> {
    name: &'a str,
    text: &'a str,
}
