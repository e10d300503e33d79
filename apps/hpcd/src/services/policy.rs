//! The policies in force.

use hpc_rpc::grpc::control::v1::policy_service_server::PolicyService;
use hpc_types::control::v1;
use serde::Serialize;
use tonic::{Request, Response, Status};

use super::{Api, caller, document};

#[tonic::async_trait]
impl PolicyService for Api {
    async fn show(&self, request: Request<v1::ShowPolicyRequest>) -> Result<Response<v1::Document>, Status> {
        let caller = caller(&request)?;
        self.may(&caller, "policy", "policy", "policy.read")?;
        let policies = self.broker().policies();
        let documents = &self.world.policy_documents;
        let shown = Shown {
            digest: policies.digest().to_owned(),
            built_in: self.world.policies_built_in,
            rules: policies.rule_count(),
            documents: documents.iter().map(|(name, text)| Text { name, text }).collect(),
        };
        Ok(Response::new(document("hpc.policy/v1", &shown)?))
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    digest: String,
    built_in: bool,
    rules: usize,
    documents: Vec<Text<'a>>,
}

#[derive(Serialize)]
struct Text<'a> {
    name: &'a str,
    text: &'a str,
}
