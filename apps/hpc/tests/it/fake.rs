//! A daemon that answers what it was told to, and remembers what it was asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use hpc::context::{self, Context};
use hpc_audit::{Checkpoint, PROFILE};
use hpc_auth::cert::{
    CaCert, ServiceIdentity, generate_ca_cert, generate_signed_cert, generate_signed_cert_at,
};
use hpc_crypto::merkle::MerkleTree;
use hpc_crypto::note::NoteSigner;
use hpc_crypto::signing::KeyPair;
use hpc_crypto::tlog_proof;
use hpc_identity::SpiffeId;
use hpc_rpc::grpc::GrpcServerBuilder;
use hpc_rpc::grpc::control::v1 as rpc;
use hpc_types::control::v1::{self, Document};
use jiff::Timestamp;
use serde::Serialize;
use tonic::{Request, Response, Status};

/// What came of one invocation, styles stripped.
#[derive(Debug)]
pub struct Outcome {
    pub code: u8,
    pub out: String,
    pub err: String,
}

/// Runs `hpc` with the home of contexts `home` and no terminal.
pub fn hpc(home: &Path, args: &[&str]) -> Outcome {
    run(home, args, None)
}

/// Runs `hpc` with a person who types `answer`.
pub fn hpc_answering(home: &Path, args: &[&str], answer: &str) -> Outcome {
    run(home, args, Some(answer))
}

fn run(home: &Path, args: &[&str], answer: Option<&str>) -> Outcome {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut input = answer.map(str::as_bytes);
    let io = hpc::Io {
        out: &mut out,
        err: &mut err,
        input: input.as_mut().map(|input| input as &mut dyn std::io::BufRead),
    };
    let around = hpc::Surroundings { home: Ok(home.to_owned()), now: hpc::now };
    let code = hpc::run(std::iter::once("hpc").chain(args.iter().copied()), &around, io);
    let plain = |bytes: Vec<u8>| anstream::adapter::strip_str(&String::from_utf8(bytes).unwrap()).to_string();
    Outcome { code, out: plain(out), err: plain(err) }
}

/// What the daemon answers, by method.
#[derive(Default)]
pub struct Answers {
    documents: BTreeMap<&'static str, Result<Vec<Document>, Status>>,
    /// What is done to receipts before they are sent.
    forge: Option<fn(&mut v1::Receipt)>,
    events: Vec<Result<v1::ApplyEvent, Status>>,
    hang_after_events: bool,
}

impl Answers {
    pub fn with<T: Serialize>(mut self, method: &'static str, schema: &str, values: &[T]) -> Self {
        let documents = values.iter().map(|value| Document::write(schema, value).unwrap()).collect();
        self.documents.insert(method, Ok(documents));
        self
    }

    /// Documents of different schemas, one after the other.
    pub fn documents(mut self, method: &'static str, values: &[(&str, serde_json::Value)]) -> Self {
        let documents =
            values.iter().map(|(schema, value)| Document::write(schema, value).unwrap()).collect();
        self.documents.insert(method, Ok(documents));
        self
    }

    pub fn raw(mut self, method: &'static str, schema: &str, json: &str) -> Self {
        let document = Document { schema: schema.to_owned(), json: json.to_owned().into() };
        self.documents.insert(method, Ok(vec![document]));
        self
    }

    pub fn failing(mut self, method: &'static str, error: impl Into<Status>) -> Self {
        self.documents.insert(method, Err(error.into()));
        self
    }

    pub fn progress<T: Serialize>(mut self, value: &T) -> Self {
        let event =
            Some(v1::apply_event::Event::Progress(Document::write("hpc.progress/v1", value).unwrap()));
        self.events.push(Ok(v1::ApplyEvent { event, receipts: Vec::new() }));
        self
    }

    pub fn lease<T: Serialize>(mut self, value: &T) -> Self {
        let event = Some(v1::apply_event::Event::Lease(Document::write("hpc.lease/v1", value).unwrap()));
        self.events.push(Ok(v1::ApplyEvent { event, receipts: self.receipts() }));
        self
    }

    pub fn apply_failing(mut self, error: impl Into<Status>) -> Self {
        self.events.push(Err(error.into()));
        self
    }

    pub fn forging(mut self, forge: fn(&mut v1::Receipt)) -> Self {
        self.forge = Some(forge);
        self
    }

    fn receipts(&self) -> Vec<v1::Receipt> {
        let mut receipts = receipts();
        if let Some(forge) = self.forge {
            receipts.iter_mut().for_each(forge);
        }
        receipts
    }

    pub fn hanging(mut self) -> Self {
        self.hang_after_events = true;
        self
    }
}

/// The key of the log that the receipts are of.
pub fn audit_key() -> String {
    audit_signer().verifier_key().to_string()
}

fn audit_signer() -> NoteSigner {
    NoteSigner::new("test.example/audit", KeyPair::from_seed([7; 32])).unwrap()
}

/// The receipt of entry 41 of a log of 57, proved.
fn receipts() -> Vec<v1::Receipt> {
    let mut tree = MerkleTree::new(PROFILE);
    for leaf in 0..57_u8 {
        tree.append(&[leaf]).unwrap();
    }
    let origin = "test.example/audit".to_owned();
    let head = Checkpoint { origin, size: tree.len(), root: tree.root(), extensions: Vec::new() };
    let head = head.sign(&audit_signer()).unwrap();
    let proof = tlog_proof::write(&tree.prove_at(41, 57).unwrap(), &head).unwrap();
    let leaf_hash = PROFILE.leaf(&[41]).as_bytes().to_vec().into();
    vec![v1::Receipt { index: 41, leaf_hash, tree_size: 57, proof }]
}

/// A running daemon and the home of a context for it.
pub struct Daemon {
    pub home: tempfile::TempDir,
    pub context: Context,
    pub ca: CaCert,
    seen: Arc<Mutex<Vec<(&'static str, String)>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Daemon {
    pub fn start(answers: Answers) -> Self {
        let ca = generate_ca_cert("test authority").unwrap();
        let server = generate_signed_cert(&ServiceIdentity::new("hpcd"), &ca).unwrap();
        let server_id = server.id().clone();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let api = Api { answers: Arc::new(answers), seen: Arc::clone(&seen) };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address = runtime.block_on(async {
            let server = GrpcServerBuilder::new("127.0.0.1:0")
                .with_tls(server)
                .unwrap()
                .with_client_auth(&ca)
                .unwrap()
                .add_service(rpc::request_service_server::RequestServiceServer::new(api.clone()))
                .add_service(rpc::lease_service_server::LeaseServiceServer::new(api.clone()))
                .add_service(rpc::cost_service_server::CostServiceServer::new(api.clone()))
                .add_service(rpc::budget_service_server::BudgetServiceServer::new(api.clone()))
                .add_service(rpc::audit_service_server::AuditServiceServer::new(api.clone()))
                .add_service(rpc::policy_service_server::PolicyServiceServer::new(api.clone()))
                .add_service(rpc::node_service_server::NodeServiceServer::new(api.clone()))
                .add_service(rpc::provider_service_server::ProviderServiceServer::new(api.clone()))
                .add_service(rpc::orphan_service_server::OrphanServiceServer::new(api.clone()))
                .add_service(rpc::system_service_server::SystemServiceServer::new(api))
                .build()
                .unwrap();
            let address = server.local_addr();
            tokio::spawn(server.serve());
            address
        });
        let context = Context {
            name: "dev".to_owned(),
            endpoint: format!("https://{address}"),
            server_id,
            dev: true,
            written_at: hpc::now(),
            data: None,
            audit_key: None,
        };
        let home = tempfile::tempdir().unwrap();
        let daemon = Self { home, context, ca, seen, _runtime: runtime };
        daemon.write_context(&daemon.context);
        daemon
    }

    /// Writes a context for this daemon with a certificate of its authority.
    pub fn write_context(&self, context: &Context) {
        write_context(self.home.path(), context, &self.ca, hpc::now());
    }

    pub fn hpc(&self, args: &[&str]) -> Outcome {
        hpc(self.home.path(), args)
    }

    pub fn hpc_answering(&self, args: &[&str], answer: &str) -> Outcome {
        hpc_answering(self.home.path(), args, answer)
    }

    /// What was asked, in order.
    pub fn seen(&self) -> Vec<(&'static str, String)> {
        self.seen.lock().unwrap().clone()
    }
}

/// Writes a context with a certificate that is valid for a day from `from`.
pub fn write_context(home: &Path, context: &Context, ca: &CaCert, from: Timestamp) {
    let you = SpiffeId::new(ca.trust_domain(), ["user", "you"]).unwrap();
    let svid =
        generate_signed_cert_at(&you.into(), ca, std::time::Duration::from_secs(86_400), from).unwrap();
    context::write(home, context, &svid, &ca.bundle(), false).unwrap();
}

#[derive(Clone)]
struct Api {
    answers: Arc<Answers>,
    seen: Arc<Mutex<Vec<(&'static str, String)>>>,
}

impl Api {
    fn many<T: std::fmt::Debug>(
        &self,
        method: &'static str,
        request: &Request<T>,
    ) -> Result<Vec<Document>, Status> {
        self.seen.lock().unwrap().push((method, format!("{:?}", request.get_ref())));
        self.answers
            .documents
            .get(method)
            .cloned()
            .unwrap_or_else(|| Err(Status::unimplemented(format!("the test has no answer to {method}"))))
    }

    fn one<T: std::fmt::Debug>(
        &self,
        method: &'static str,
        request: &Request<T>,
    ) -> Result<Response<Document>, Status> {
        Ok(Response::new(self.many(method, request)?.remove(0)))
    }

    fn recorded<T: std::fmt::Debug>(
        &self,
        method: &'static str,
        request: &Request<T>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        let document = self.one(method, request)?.into_inner();
        Ok(Response::new(v1::RecordedDocument::new(document, self.answers.receipts())))
    }

    fn page(
        &self,
        method: &'static str,
        request: &Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let items = self.many(method, request)?;
        let asked = usize::try_from(request.get_ref().page_size).unwrap();
        let start: usize = request.get_ref().page_token.parse().unwrap_or(0);
        let end = items.len().min(start + asked);
        let next_page_token = if end < items.len() { end.to_string() } else { String::new() };
        Ok(Response::new(v1::ListResponse { items: items[start..end].to_vec(), next_page_token }))
    }
}

type Documents = Pin<Box<dyn tokio_stream::Stream<Item = Result<Document, Status>> + Send>>;
type Events = Pin<Box<dyn tokio_stream::Stream<Item = Result<v1::ApplyEvent, Status>> + Send>>;

#[tonic::async_trait]
impl rpc::request_service_server::RequestService for Api {
    type ApplyStream = Events;

    async fn plan(&self, request: Request<v1::PlanRequest>) -> Result<Response<v1::PlanResponse>, Status> {
        let plan = self.many("plan", &request)?.pop();
        let asked = request.into_inner().request.unwrap();
        self.seen.lock().unwrap().push(("plan.request", String::from_utf8(asked.json.to_vec()).unwrap()));
        Ok(Response::new(v1::PlanResponse { plan, receipts: self.answers.receipts() }))
    }
    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Result<Response<Events>, Status> {
        self.seen.lock().unwrap().push(("apply", request.into_inner().plan_id));
        let events = tokio_stream::iter(self.answers.events.clone());
        if self.answers.hang_after_events {
            return Ok(Response::new(Box::pin(tokio_stream::StreamExt::chain(
                events,
                tokio_stream::pending(),
            ))));
        }
        Ok(Response::new(Box::pin(events)))
    }
    async fn approve(
        &self,
        request: Request<v1::ApproveRequest>,
    ) -> Result<Response<v1::ApproveResponse>, Status> {
        let approval = self.many("approve", &request)?.pop();
        Ok(Response::new(v1::ApproveResponse { approval, receipts: self.answers.receipts() }))
    }
    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        self.page("requests", &request)
    }
    async fn show(&self, request: Request<v1::ShowRequest>) -> Result<Response<Document>, Status> {
        self.one("show", &request)
    }
    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Result<Response<Document>, Status> {
        self.one("explain", &request)
    }
}

#[tonic::async_trait]
impl rpc::lease_service_server::LeaseService for Api {
    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        self.page("leases", &request)
    }
    async fn show(&self, request: Request<v1::ShowRequest>) -> Result<Response<Document>, Status> {
        self.one("lease", &request)
    }
    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseResponse>, Status> {
        let lease = self.many("release", &request)?.pop();
        Ok(Response::new(v1::ReleaseResponse { lease, receipts: self.answers.receipts() }))
    }
    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let lease = self.many("renew", &request)?.pop();
        let repeated = request.get_ref().idempotency_key == "again";
        Ok(Response::new(v1::RenewResponse { lease, receipts: self.answers.receipts(), repeated }))
    }
    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        let lease = self.many("drain", &request)?.pop();
        Ok(Response::new(v1::DrainResponse { lease, receipts: self.answers.receipts(), repeated: false }))
    }
    type WatchStream = Documents;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Documents>, Status> {
        let steps = self.many("watch", &request)?;
        Ok(Response::new(Box::pin(tokio_stream::iter(steps.into_iter().map(Ok)))))
    }
}

#[tonic::async_trait]
impl rpc::provider_service_server::ProviderService for Api {
    async fn offers(&self, request: Request<v1::OffersRequest>) -> Result<Response<Document>, Status> {
        self.one("offers", &request)
    }
    async fn list(
        &self,
        request: Request<v1::ListProvidersRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let items = self.many("providers", &request)?;
        Ok(Response::new(v1::ListResponse { items, next_page_token: String::new() }))
    }
    async fn show(&self, request: Request<v1::ShowRequest>) -> Result<Response<Document>, Status> {
        self.one("provider", &request)
    }
}

#[tonic::async_trait]
impl rpc::orphan_service_server::OrphanService for Api {
    async fn list(&self, request: Request<v1::ListOrphansRequest>) -> Result<Response<Document>, Status> {
        self.one("orphans", &request)
    }
    async fn reap(
        &self,
        request: Request<v1::ReapRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        if request.get_ref().dry_run {
            let document = self.one("reap", &request)?.into_inner();
            return Ok(Response::new(v1::RecordedDocument::new(document, Vec::new())));
        }
        self.recorded("reap", &request)
    }
}

#[tonic::async_trait]
impl rpc::cost_service_server::CostService for Api {
    async fn show(&self, request: Request<v1::ShowCostRequest>) -> Result<Response<Document>, Status> {
        self.one("cost", &request)
    }
    type ChargesStream = Documents;

    async fn charges(&self, request: Request<v1::ListChargesRequest>) -> Result<Response<Documents>, Status> {
        let charges = self.many("charges", &request)?;
        Ok(Response::new(Box::pin(tokio_stream::iter(charges.into_iter().map(Ok)))))
    }
}

#[tonic::async_trait]
impl rpc::budget_service_server::BudgetService for Api {
    async fn list(&self, request: Request<v1::ListBudgetsRequest>) -> Result<Response<Document>, Status> {
        self.one("budgets", &request)
    }
    async fn set(
        &self,
        request: Request<v1::SetBudgetRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        self.recorded("set_budget", &request)
    }
}

#[tonic::async_trait]
impl rpc::audit_service_server::AuditService for Api {
    async fn search(
        &self,
        request: Request<v1::SearchRequest>,
    ) -> Result<Response<v1::SearchResponse>, Status> {
        let entries = self.many("search", &request)?;
        let asked = request.into_inner();
        // The entries stand at the indices 0, 1, 2 ...
        let start = asked.after_index.map_or(0, |after| usize::try_from(after).unwrap() + 1);
        // Two at a time, so that paging is seen.
        let end = entries.len().min(start + usize::try_from(asked.limit).unwrap().min(2));
        let next_after_index = (end < entries.len()).then(|| u64::try_from(end).unwrap() - 1);
        let tree_size = u64::try_from(entries.len()).unwrap();
        Ok(Response::new(v1::SearchResponse {
            entries: entries[start..end].to_vec(),
            next_after_index,
            tree_size,
        }))
    }
    async fn proof(&self, request: Request<v1::ProofRequest>) -> Result<Response<Document>, Status> {
        self.one("proof", &request)
    }
    type ExportStream = Documents;

    async fn export(&self, request: Request<v1::ExportRequest>) -> Result<Response<Documents>, Status> {
        let parts = self.many("export", &request)?;
        Ok(Response::new(Box::pin(tokio_stream::iter(parts.into_iter().map(Ok)))))
    }
    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<Document>, Status> {
        self.one("checkpoint", &request)
    }
}

#[tonic::async_trait]
impl rpc::policy_service_server::PolicyService for Api {
    async fn show(&self, request: Request<v1::ShowPolicyRequest>) -> Result<Response<Document>, Status> {
        self.one("policy", &request)
    }
    async fn reload(
        &self,
        request: Request<v1::ReloadPolicyRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        self.recorded("reload", &request)
    }
    async fn set_candidate(
        &self,
        request: Request<v1::SetCandidateRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        self.recorded("set_candidate", &request)
    }
    async fn show_candidate(
        &self,
        request: Request<v1::ShowCandidateRequest>,
    ) -> Result<Response<Document>, Status> {
        self.one("show_candidate", &request)
    }
    async fn clear_candidate(
        &self,
        request: Request<v1::ClearCandidateRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        self.recorded("clear_candidate", &request)
    }
    async fn promote(
        &self,
        request: Request<v1::PromoteRequest>,
    ) -> Result<Response<v1::RecordedDocument>, Status> {
        self.recorded("promote", &request)
    }
}

#[tonic::async_trait]
impl rpc::node_service_server::NodeService for Api {
    async fn join(&self, _: Request<v1::JoinRequest>) -> Result<Response<v1::JoinResponse>, Status> {
        Err(Status::unimplemented("the client never joins"))
    }
    async fn join_token(
        &self,
        request: Request<v1::JoinTokenRequest>,
    ) -> Result<Response<v1::JoinTokenResponse>, Status> {
        self.seen.lock().unwrap().push(("join_token", request.into_inner().node_name));
        let expires_at = Some(prost_types::Timestamp { seconds: 1_795_446_000, nanos: 0 });
        Ok(Response::new(v1::JoinTokenResponse {
            token: "hpcjoin1secret".to_owned(),
            expires_at,
            receipts: self.answers.receipts(),
        }))
    }
}

#[tonic::async_trait]
impl rpc::system_service_server::SystemService for Api {
    async fn info(&self, request: Request<v1::InfoRequest>) -> Result<Response<Document>, Status> {
        self.one("info", &request)
    }
    async fn health(&self, _: Request<v1::HealthRequest>) -> Result<Response<v1::HealthResponse>, Status> {
        let reason = match self.answers.documents.get("health") {
            Some(Err(status)) => status.message().to_owned(),
            _ => String::new(),
        };
        Ok(Response::new(v1::HealthResponse { serving: reason.is_empty(), reason }))
    }
}
