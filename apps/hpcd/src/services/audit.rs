//! Audit: search on the server, proofs to take away.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use hpc_audit::{
    AuditError, AuditLog, BundleConsistency, Checkpoint, SEARCH_LIMIT_MAX, Search, SearchPage, Selection,
    begin, export, prove_entry,
};
use hpc_error::{HpcError, codes};
use hpc_resources::{LeaseId, RequestId};
use hpc_rpc::grpc::control::v1::audit_service_server::AuditService;
use hpc_types::control::v1;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Api, caller, document, id, status};
use crate::cosigning::CosignState;

/// Most bytes of entries in one page of a search; the longest entry alone is far shorter.
const SEARCH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Most entries in one proof.
const PROOF_ENTRIES_MAX: usize = 1_000;
/// Bytes of entries from which on a part of an export is sent. With the longest entry and the proofs it stays far below
/// what one message holds.
const PART_BYTES: usize = 512 * 1024;
/// Most entries of one part.
const PART_ENTRIES_MAX: usize = 256;
/// Parts that wait for a slow reader.
const PARTS_WAITING_MAX: usize = 2;

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
        let (mut bytes, mut next_after_index) = (0, next(&page));
        let mut last = None;
        for recorded in &page.hits {
            let entry = document("hpc.audit-entry/v1", &EntryDocument::from(recorded))?;
            bytes += entry.json.len();
            // Long entries fill a message before they fill a page; the next page goes on from there.
            if bytes > SEARCH_BYTES_MAX && last.is_some() {
                next_after_index = last;
                break;
            }
            last = Some(recorded.index);
            entries.push(entry);
        }
        Ok(Response::new(v1::SearchResponse {
            entries,
            next_after_index,
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
        let log = self.world.audit.as_ref();
        let mut bundle = export(log, Selection::Indices(indices)).await.map_err(unreadable)?;
        let signed = Checkpoint::parse(signed_text(&bundle.checkpoint)).map_err(|error| bug(&error))?;
        bundle.consistency = consistency(log, message.old_size, signed.size).await?;
        Ok(Response::new(document("hpc.audit-bundle/v1", &bundle)?))
    }

    type ExportStream = Parts;

    async fn export(&self, request: Request<v1::ExportRequest>) -> Result<Response<Parts>, Status> {
        let (caller, message) = self.open(request)?;
        self.may(&caller, "audit", "audit", "audit.read")?;
        let selection = match message.subject {
            Some(v1::export_request::Subject::Indices(indices)) => Selection::Indices(indices.index),
            Some(v1::export_request::Subject::Range(range)) => {
                Selection::Range { start: range.start, end: range.end }
            }
            None => Selection::Indices(Vec::new()),
        };
        let log = Arc::clone(&self.world.audit);
        let checkpoint = log.checkpoint().await.map_err(unreadable)?;
        let size = checkpoint.checkpoint().size;
        let last = match &selection {
            Selection::Range { end, .. } => end.checked_sub(1),
            Selection::Indices(indices) => indices.last().copied(),
        };
        if last.is_none_or(|last| last >= size) {
            let message = format!("the log has {size} entries; these are not all among them");
            return Err(status(HpcError::coded(&codes::AUD_UNKNOWN_ENTRY, message)));
        }
        let mut first = begin(log.as_ref(), &checkpoint, selection.clone());
        first.consistency = consistency(log.as_ref(), message.old_size, size).await?;
        let first = document("hpc.audit-bundle/v1", &first)?;
        let (sender, receiver) = mpsc::channel(PARTS_WAITING_MAX);
        // Ends when the caller hangs up: the next part cannot be sent.
        tokio::spawn(async move {
            if sender.send(Ok(first)).await.is_ok()
                && let Err(error) = send_parts(log.as_ref(), &selection, size, &sender).await
            {
                drop(sender.send(Err(error)).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<v1::Document>, Status> {
        let caller = caller(&request)?;
        self.may(&caller, "audit", "audit", "audit.read")?;
        let log = self.world.audit.as_ref();
        let checkpoint = log.checkpoint().await.map_err(unreadable)?;
        let old_size = request.into_inner().old_size;
        let signed = CheckpointDocument {
            note: checkpoint.to_string(),
            verifier_key: log.verifier_key().to_string(),
            consistency: consistency(log, old_size, checkpoint.checkpoint().size).await?,
            witnessed: self
                .cosigning
                .as_ref()
                .map(|cosigning| Witnessed::of(cosigning.state(), self.world.now())),
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

/// The parts of an export: the bundle without entries, then lists of entries.
type Parts = Pin<Box<dyn Stream<Item = Result<v1::Document, Status>> + Send>>;

/// The proof that the log only grew from a size that the caller remembers; none for a size it does not have, so that the
/// caller sees for himself that the log is smaller.
async fn consistency(
    log: &dyn AuditLog,
    old_size: u64,
    size: u64,
) -> Result<Option<BundleConsistency>, Status> {
    if old_size == 0 || old_size > size {
        return Ok(None);
    }
    let proof = log.consistency(old_size, size).await.map_err(unreadable)?;
    Ok(Some(BundleConsistency::from(&proof)))
}

/// Sends the entries of an export, in parts of [`PART_BYTES`] at least, but for the last.
async fn send_parts(
    log: &dyn AuditLog,
    selection: &Selection,
    size: u64,
    sender: &mpsc::Sender<Result<v1::Document, Status>>,
) -> Result<(), Status> {
    let runs: Vec<Range<u64>> = match selection {
        Selection::Range { start, end } => std::iter::once(*start..*end).collect(),
        Selection::Indices(indices) => runs(indices),
    };
    let (mut part, mut bytes) = (Vec::new(), 0);
    for run in runs {
        let mut next = run.start;
        while next < run.end {
            let limit = PART_ENTRIES_MAX.min(usize::try_from(run.end - next).unwrap_or(usize::MAX));
            let page = log.entries(next, limit).await.map_err(unreadable)?;
            if page.is_empty() {
                let message = format!("the log gives no entry {next}");
                return Err(status(HpcError::coded(&codes::AUD_UNKNOWN_ENTRY, message)));
            }
            for recorded in page {
                next = recorded.index.saturating_add(1);
                let proved = prove_entry(log, recorded, size).await.map_err(unreadable)?;
                bytes += proved.entry.len();
                part.push(proved);
                if bytes >= PART_BYTES || part.len() >= PART_ENTRIES_MAX {
                    if sender.send(document("hpc.audit-entries/v1", &part)).await.is_err() {
                        return Ok(());
                    }
                    (part, bytes) = (Vec::new(), 0);
                }
            }
        }
    }
    if !part.is_empty() {
        drop(sender.send(document("hpc.audit-entries/v1", &part)).await);
    }
    Ok(())
}

/// Neighbouring indices are read together.
fn runs(indices: &[u64]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for index in indices {
        match runs.last_mut() {
            Some(run) if run.end == *index => run.end = index.saturating_add(1),
            _ => runs.push(*index..index.saturating_add(1)),
        }
    }
    runs
}

/// The text of a signed note, without its signatures.
fn signed_text(note: &str) -> &str {
    note.rfind("\n\n").and_then(|at| note.get(..=at)).unwrap_or(note)
}

fn bug(error: &hpc_crypto::CryptoError) -> Status {
    status(HpcError::coded(&codes::INT_BUG, format!("the log's own checkpoint cannot be read: {error}")))
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

fn unreadable(error: AuditError) -> Status {
    let code = match &error {
        AuditError::Unwritable { .. } | AuditError::Unknown { .. } | AuditError::Closed => {
            &codes::AUD_NOT_WRITABLE
        }
        AuditError::Damaged { .. } => &codes::AUD_VERIFICATION_FAILED,
        AuditError::Backend { .. } => &codes::INT_STORE,
        _ => &codes::AUD_UNKNOWN_ENTRY,
    };
    status(HpcError::coded(code, format!("the audit log cannot answer: {error}")))
}

#[derive(Serialize)]
struct CheckpointDocument {
    note: String,
    verifier_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistency: Option<BundleConsistency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witnessed: Option<Witnessed>,
}

/// How the checkpoints are cosigned.
#[derive(Serialize)]
struct Witnessed {
    /// Whether the quorum has been missed for too long.
    late: bool,
    #[serde(flatten)]
    state: CosignState,
}

impl Witnessed {
    fn of(state: CosignState, now: jiff::Timestamp) -> Self {
        Self { late: state.is_late(now), state }
    }
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
