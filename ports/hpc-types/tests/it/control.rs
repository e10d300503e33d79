use hpc_error::HpcError;
use hpc_types::control::v1::{
    ApplyRequest, ApproveRequest, Document, ExplainRequest, JoinRequest, JoinTokenRequest, JoinTokenResponse,
    LeafIndices, ListRequest, PlanRequest, ProofRequest, ReleaseRequest, SearchRequest, ShowCostRequest,
    ShowRequest, proof_request::Subject,
};
use hpc_types::validate::{
    EXPORT_ENTRIES_MAX, ID_BYTES_MAX, PAGE_SIZE_MAX, PROOF_INDICES_MAX, TOKEN_BYTES_MAX,
};
use hpc_types::{DOCUMENT_BYTES_MAX, DocumentError, FILE_DESCRIPTOR_SET, Validate};
use prost::Message as _;

fn broken(message: &impl Validate) -> Vec<String> {
    message.violations().into_iter().map(|violation| violation.field).collect()
}

#[test]
fn documents_go_there_and_back() {
    let document = Document::write("hpc.plan/v1", &serde_json::json!({"id": "pln_1"})).unwrap();
    assert_eq!(&document.json[..], br#"{"id":"pln_1"}"#);
    let value: serde_json::Value = document.read("hpc.plan/v1").unwrap();
    assert_eq!(value["id"], "pln_1");
    assert_eq!(
        document.read::<serde_json::Value>("hpc.lease/v1"),
        Err(DocumentError::Schema { expected: "hpc.lease/v1".into(), found: "hpc.plan/v1".into() })
    );
}

#[test]
fn bad_documents_are_refused_without_repeating_them() {
    let document = |json: &[u8]| Document { schema: "s/v1".into(), json: json.to_vec().into() };
    let read = |json: &[u8]| document(json).read::<Vec<u32>>("s/v1").unwrap_err();
    assert_eq!(read(b"[1, \"hunter2\"]"), DocumentError::Json { schema: "s/v1".into(), line: 1, column: 13 });
    assert!(!HpcError::from(read(b"[\"hunter2\"]")).to_string().contains("hunter2"));
    assert!(matches!(read(b"[1] x"), DocumentError::Json { .. }));
    assert!(matches!(read(&[0xff]), DocumentError::Json { .. }));
    assert!(matches!(read("[".repeat(100_000).as_bytes()), DocumentError::Json { .. }));
    assert_eq!(
        read(&vec![b' '; DOCUMENT_BYTES_MAX + 1]),
        DocumentError::TooLarge { bytes: DOCUMENT_BYTES_MAX + 1 }
    );
    let text = "x".repeat(DOCUMENT_BYTES_MAX);
    assert!(matches!(Document::write("s/v1", &text), Err(DocumentError::TooLarge { .. })));
    let map = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert_eq!(Document::write("s/v1", &map), Err(DocumentError::Unwritable { schema: "s/v1".into() }));
}

#[test]
fn requests_are_checked() {
    let request = Some(Document { schema: "hpc.request/v1".into(), json: "{}".into() });
    let plan = PlanRequest { request, idempotency_key: "k-1".into() };
    assert_eq!(plan.validate(), Ok(()));
    assert_eq!(broken(&PlanRequest::default()), ["request", "idempotency_key"]);
    assert_eq!(broken(&PlanRequest { idempotency_key: "a b".into(), ..plan.clone() }), ["idempotency_key"]);
    assert_eq!(broken(&PlanRequest { idempotency_key: "k".repeat(129), ..plan }), ["idempotency_key"]);

    assert_eq!(broken(&ApplyRequest { plan_id: "pln_7QK4".into(), ..Default::default() }), [""; 0]);
    assert_eq!(
        broken(&ApplyRequest { plan_id: "x".repeat(ID_BYTES_MAX + 1), approval_id: " ".into() }),
        ["plan_id", "approval_id"]
    );
    assert_eq!(broken(&ApproveRequest::default()), ["plan_id", "justification", "plan_hash"]);
    assert_eq!(broken(&ShowRequest { id: "a;b".into() }), ["id"]);
    assert_eq!(broken(&ShowCostRequest::default()), [""; 0]);
    assert_eq!(broken(&ExplainRequest::default()), ["plan_id"]);
    assert_eq!(broken(&ReleaseRequest::default()), ["lease_id"]);
    assert_eq!(broken(&ListRequest { page_size: PAGE_SIZE_MAX, ..Default::default() }), [""; 0]);
    let list =
        ListRequest { page_size: PAGE_SIZE_MAX + 1, page_token: "t".repeat(600), filter: "f".repeat(600) };
    assert_eq!(broken(&list), ["page_size", "page_token", "filter"]);
}

#[test]
fn budgets_and_charges_are_checked() {
    use hpc_types::control::v1::{ListBudgetsRequest, ListChargesRequest, SetBudgetRequest};
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    assert_eq!(broken(&ListChargesRequest::default()), [""; 0]);
    let long = || "x".repeat(600);
    let all = ListChargesRequest {
        from: at(2),
        to: at(1),
        payer: long(),
        lease_id: " ".into(),
        provider: long(),
        label: long(),
    };
    assert_eq!(broken(&all), ["payer", "provider", "label", "lease_id", "to"]);
    assert_eq!(broken(&ListBudgetsRequest { payer: long() }), ["payer"]);
    let set = SetBudgetRequest { payer: "team:ml".into(), total: "1.00 USD".into(), ..Default::default() };
    assert_eq!(broken(&set), [""; 0]);
    assert_eq!(broken(&SetBudgetRequest::default()), ["payer"]);
    let windows = vec!["total".to_owned(); 4];
    assert_eq!(broken(&SetBudgetRequest { hourly: long(), remove: windows, ..set }), ["hourly", "remove"]);
}

#[test]
fn searches_and_proofs_are_checked() {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    assert_eq!(broken(&SearchRequest::default()), [""; 0]);
    assert_eq!(broken(&SearchRequest { from: at(2), to: at(1), ..Default::default() }), ["to"]);
    assert_eq!(
        broken(&SearchRequest { from: at(i64::MAX), limit: 5000, ..Default::default() }),
        ["from", "limit"]
    );
    let proof = |subject| ProofRequest { subject, old_size: 0 };
    assert_eq!(broken(&proof(None)), ["subject"]);
    assert_eq!(broken(&proof(Some(Subject::LeaseId("lse_1".into())))), [""; 0]);
    assert_eq!(broken(&proof(Some(Subject::RequestId(String::new())))), ["request_id"]);
    for (count, expected) in [(0, 1), (1, 0), (PROOF_INDICES_MAX, 0), (PROOF_INDICES_MAX + 1, 1)] {
        let indices = LeafIndices { index: vec![0; count] };
        assert_eq!(broken(&proof(Some(Subject::Indices(indices)))).len(), expected);
    }
}

#[test]
fn exports_are_checked() {
    use hpc_types::control::v1::export_request::Subject;
    use hpc_types::control::v1::{ExportRequest, LeafRange};
    let export = |subject| broken(&ExportRequest { subject, old_size: 0 });
    assert_eq!(export(None), ["subject"]);
    let indices = |index| export(Some(Subject::Indices(LeafIndices { index })));
    assert_eq!(indices((0..EXPORT_ENTRIES_MAX as u64).collect()), [""; 0]);
    for index in [vec![], (0..=EXPORT_ENTRIES_MAX as u64).collect(), vec![1, 1], vec![2, 1]] {
        assert_eq!(indices(index), ["indices"]);
    }
    let range = |start, end| export(Some(Subject::Range(LeafRange { start, end })));
    let most = EXPORT_ENTRIES_MAX as u64;
    assert_eq!(range(7, 7 + most), [""; 0]);
    for (start, end) in [(7, 7), (8, 7), (7, 8 + most), (0, u64::MAX), (u64::MAX, 0)] {
        assert_eq!(range(start, end), ["range"], "{start} {end}");
    }
}

#[test]
fn joining_is_checked_and_shows_no_token() {
    let join = JoinRequest { token: "hunter2".into(), node_name: "node-1".into(), csr_der: vec![1].into() };
    assert_eq!(join.validate(), Ok(()));
    assert!(!format!("{join:?}").contains("hunter2"));
    let token = JoinTokenResponse { token: "hunter2".into(), ..Default::default() };
    assert!(!format!("{token:?}").contains("hunter2"));
    assert_eq!(
        broken(&JoinRequest { token: "t".repeat(TOKEN_BYTES_MAX + 1), ..Default::default() }),
        ["token", "node_name", "csr_der"]
    );
    let ttl = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    for (seconds, fits) in [(-1, false), (0, false), (600, true), (86_400, true), (86_401, false)] {
        let request = JoinTokenRequest { node_name: "n".into(), ttl: ttl(seconds) };
        assert_eq!(request.violations().is_empty(), fits, "{seconds}");
    }
}

#[test]
fn the_descriptors_name_every_service() {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let services: Vec<_> =
        set.file.iter().flat_map(|file| &file.service).map(|service| service.name()).collect();
    assert_eq!(
        services,
        [
            "RequestService",
            "LeaseService",
            "CostService",
            "BudgetService",
            "AuditService",
            "PolicyService",
            "NodeService",
            "ProviderService",
            "OrphanService",
            "SystemService"
        ]
    );
    assert!(set.file.iter().any(|file| file.name() == "google/protobuf/timestamp.proto"), "imports included");
}
