//! Audit: search on the server, proofs to take away.

use hpc_audit::{AuditLog, SEARCH_LIMIT_MAX, Search, SearchPage, Selection, export};
use hpc_error::{HpcError, codes};
use hpc_resources::{LeaseId, RequestId};
use hpc_rpc::grpc::control::v1::audit_service_server::AuditService;
use hpc_types::control::v1;
use serde::Serialize;
use tonic::{Request, Response, Status};

use super::{Api, caller, document, id, status};

/// Most entries in one proof.
const PROOF_ENTRIES_MAX: usize = 1_000;

#[tonic::async_trait]
impl AuditService for Api {
    async fn search(
        &self,
        request: Request<v1::SearchRequest>,
    ) -> Result<Response<v1::SearchResponse>, Status> {
        let (caller, message) = self.open(request)?;
        self.may(&caller, "audit", "audit", "audit.read")?;
        let search = search_of(&message)?;
        let page = self.world.audit.search(&search).await.map_err(unreadable)?;
        let mut entries = Vec::with_capacity(page.hits.len());
        for recorded in &page.hits {
            entries.push(document("hpc.audit-entry/v1", &EntryDocument::from(recorded))?);
        }
        Ok(Response::new(v1::SearchResponse {
            entries,
            next_after_index: next(&page),
            tree_size: self.world.audit.size(),
        }))
    }

    async fn proof(&self, request: Request<v1::ProofRequest>) -> Result<Response<v1::Document>, Status> {
        let (caller, message) = self.open(request)?;
        self.may(&caller, "audit", "audit", "audit.read")?;
        let indices = match message.subject {
            Some(v1::proof_request::Subject::LeaseId(lease)) => {
                let lease = id(LeaseId::parse(lease))?;
                self.indices_of(lease.as_str()).await?
            }
            Some(v1::proof_request::Subject::RequestId(request)) => {
                let request = id(RequestId::parse(request))?;
                self.indices_of(request.as_str()).await?
            }
            Some(v1::proof_request::Subject::Indices(indices)) => indices.index,
            None => Vec::new(),
        };
        if indices.is_empty() || indices.len() > PROOF_ENTRIES_MAX {
            let message =
                format!("a proof is about 1 to {PROOF_ENTRIES_MAX} entries; these are {}", indices.len());
            return Err(status(HpcError::coded(&codes::AUD_UNKNOWN_ENTRY, message)));
        }
        let bundle =
            export(self.world.audit.as_ref(), Selection::Indices(indices)).await.map_err(unreadable)?;
        Ok(Response::new(document("hpc.audit-bundle/v1", &bundle)?))
    }

    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<v1::Document>, Status> {
        let caller = caller(&request)?;
        self.may(&caller, "audit", "audit", "audit.read")?;
        let checkpoint = self.world.audit.checkpoint().await.map_err(unreadable)?;
        let signed = CheckpointDocument {
            note: checkpoint.to_string(),
            verifier_key: self.world.audit.verifier_key().to_string(),
        };
        Ok(Response::new(document("hpc.audit-checkpoint/v1", &signed)?))
    }
}

impl Api {
    async fn indices_of(&self, subject: &str) -> Result<Vec<u64>, Status> {
        let mut indices = Vec::new();
        let limit = SEARCH_LIMIT_MAX;
        let mut search = Search { subject: Some(subject.to_owned()), limit, ..Search::default() };
        loop {
            let page = self.world.audit.search(&search).await.map_err(unreadable)?;
            indices.extend(page.hits.iter().map(|recorded| recorded.index));
            match next(&page) {
                Some(next) if indices.len() <= PROOF_ENTRIES_MAX => search.after = Some(next),
                _ => return Ok(indices),
            }
        }
    }
}

/// Where a search goes on; `None` when it has covered everything.
fn next(page: &SearchPage) -> Option<u64> {
    (!page.complete).then(|| page.covered.end.saturating_sub(1))
}

fn search_of(message: &v1::SearchRequest) -> Result<Search, Status> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let outcome = some(&message.outcome).map(|text| id(text.parse())).transpose()?;
    let moment = |at: Option<&prost_types::Timestamp>| at.map(hpc_types::time::from_proto).transpose();
    let limit = usize::try_from(message.limit).unwrap_or(usize::MAX);
    Ok(Search {
        principal: some(&message.principal),
        action: some(&message.action),
        subject: some(&message.subject),
        outcome,
        from: id(moment(message.from.as_ref()))?,
        until: id(moment(message.to.as_ref()))?,
        after: message.after_index,
        limit: if limit == 0 { 100 } else { limit.min(SEARCH_LIMIT_MAX) },
    })
}

fn unreadable(error: hpc_audit::AuditError) -> Status {
    status(HpcError::coded(&codes::AUD_UNKNOWN_ENTRY, format!("the audit log cannot answer: {error}")))
}

#[derive(Serialize)]
struct CheckpointDocument {
    note: String,
    verifier_key: String,
}

/// An entry as a document.
#[derive(Serialize)]
struct EntryDocument<'a> {
    index: u64,
    leaf_hash: String,
    id: &'a str,
    at: jiff::Timestamp,
    principal: &'a str,
    action: &'a str,
    outcome: hpc_audit::Outcome,
    subjects: &'a std::collections::BTreeMap<String, String>,
    data: &'a std::collections::BTreeMap<String, serde_json::Value>,
    dev: bool,
    simulated: bool,
}

impl<'a> From<&'a hpc_audit::Recorded> for EntryDocument<'a> {
    fn from(recorded: &'a hpc_audit::Recorded) -> Self {
        let entry = &recorded.entry;
        Self {
            index: recorded.index,
            leaf_hash: recorded.leaf_hash.to_base64(),
            id: &entry.id,
            at: entry.at,
            principal: &entry.principal,
            action: &entry.action,
            outcome: entry.outcome,
            subjects: &entry.subjects,
            data: &entry.data,
            dev: entry.dev,
            simulated: entry.simulated,
        }
    }
}
