//! Rules of the messages, checked where they enter. What deeper code gets, it need not check again.

use std::fmt;

use crate::control::v1;
use crate::telemetry::v1::{GpuMetric, HostMetric, MetricBatch};
use crate::time::{self, TimeError};
use crate::{DOCUMENT_BYTES_MAX, GpuSample, HostSample};

/// Longest id or name.
pub const ID_BYTES_MAX: usize = 128;
/// Longest idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Most measurements of one batch, GPUs and hosts each.
pub const BATCH_METRICS_MAX: usize = 4096;
/// Largest page of a list or search.
pub const PAGE_SIZE_MAX: u32 = 1000;
/// Longest page token, filter and search field.
pub const QUERY_BYTES_MAX: usize = 512;
/// Longest justification of an approval.
pub const JUSTIFICATION_BYTES_MAX: usize = 1024;
/// Longest amount of money in text, in bytes.
pub const AMOUNT_BYTES_MAX: usize = 64;
/// Most limits named in one change.
pub const WINDOWS_MAX: usize = 3;
/// Most orphans named in one reap.
pub const REAPED_MAX: usize = 1_000;
/// Longest join token.
pub const TOKEN_BYTES_MAX: usize = 256;
/// Largest certificate signing request.
pub const CSR_BYTES_MAX: usize = 16 * 1024;
/// Longest life of a join token: a day.
pub const JOIN_TOKEN_SECONDS_MAX: u64 = 24 * 60 * 60;
/// Most indices of one proof request.
pub const PROOF_INDICES_MAX: usize = 1024;
/// Most entries of one export.
pub const EXPORT_ENTRIES_MAX: usize = 65_536;
/// Most documents of a set of policies.
pub const POLICY_DOCUMENTS_MAX: usize = 1024;
/// Longest name of a policy document.
pub const POLICY_NAME_BYTES_MAX: usize = 255;
/// Most violations that are listed; further ones are dropped.
pub const VIOLATIONS_MAX: usize = 32;

/// A message that knows its own rules.
pub trait Validate {
    /// Every rule the message breaks, at most [`VIOLATIONS_MAX`]; empty when it is valid.
    fn violations(&self) -> Vec<Violation>;

    /// The same as a result.
    ///
    /// # Errors
    /// [`Violations`], never empty.
    fn validate(&self) -> Result<(), Violations> {
        Violations::none_or(self.violations())
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field: `gpu[3].power_watts`.
    pub field: String,
    /// What it must be: `must lie between 0 and 1`. The value is not repeated.
    pub rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.rule)
    }
}

/// One or more broken rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// `Ok` when the list is empty.
    ///
    /// # Errors
    /// The list, when it is not.
    pub fn none_or(list: Vec<Violation>) -> Result<(), Self> {
        if list.is_empty() { Ok(()) } else { Err(Self(list)) }
    }

    pub(crate) fn unplaced() -> Self {
        Self(vec![Violation { field: "host_id".to_owned(), rule: "must be there".to_owned() }])
    }

    /// The broken rules, at least one.
    #[must_use]
    pub fn list(&self) -> &[Violation] {
        &self.0
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            write!(f, "{}{violation}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

/// Kind `InvalidInput`, code `HPC-USG-0011`; the first field is in the context as `field`.
impl From<Violations> for hpc_error::HpcError {
    fn from(violations: Violations) -> Self {
        let mut error = Self::coded(&hpc_error::codes::USG_OUT_OF_RANGE, violations.to_string());
        if let Some(first) = violations.0.first() {
            error = error.with("field", &first.field);
        }
        error.caused_by(violations)
    }
}

/// Collects violations while a message is read.
#[derive(Debug, Default)]
pub(crate) struct Check {
    list: Vec<Violation>,
}

impl Check {
    pub(crate) fn finish(self) -> Vec<Violation> {
        self.list
    }

    pub(crate) fn broken(&mut self, field: &str, rule: impl Into<String>) {
        if self.list.len() < VIOLATIONS_MAX {
            self.list.push(Violation { field: field.to_owned(), rule: rule.into() });
        }
    }

    /// An id: 1 to [`ID_BYTES_MAX`] of `A-Z a-z 0-9 . _ : / -`.
    pub(crate) fn id(&mut self, field: &str, value: &str) -> bool {
        let fits = !value.is_empty()
            && value.len() <= ID_BYTES_MAX
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte));
        if !fits {
            self.broken(field, format!("must be 1 to {ID_BYTES_MAX} of A-Z a-z 0-9 . _ : / -"));
        }
        fits
    }

    pub(crate) fn optional_id(&mut self, field: &str, value: &str) -> bool {
        value.is_empty() || self.id(field, value)
    }

    /// A measured number. Sentinels and NaN mean "not measured"; what lies outside `min..=max` is a violation.
    pub(crate) fn number(&mut self, field: &str, value: Option<f64>, min: f64, max: f64) -> Option<f64> {
        let value = value.filter(|value| !is_float_sentinel(*value))?;
        if (min..=max).contains(&value) {
            return Some(value);
        }
        self.broken(field, format!("must lie between {min} and {max}"));
        None
    }

    /// A measured count. Sentinels mean "not measured"; what is over `max` is a violation.
    pub(crate) fn count(&mut self, field: &str, value: Option<u64>, max: u64) -> Option<u64> {
        let value = value.filter(|value| !is_integer_sentinel(*value))?;
        if value <= max {
            return Some(value);
        }
        self.broken(field, format!("must be at most {max}"));
        None
    }

    pub(crate) fn time(
        &mut self,
        field: &str,
        value: Option<&prost_types::Timestamp>,
    ) -> Option<jiff::Timestamp> {
        match time::required(value) {
            Ok(time) => Some(time),
            Err(TimeError::Missing) => {
                self.broken(field, "must be there");
                None
            }
            Err(_) => {
                self.broken(field, "must be a time between the years 0001 and 9999");
                None
            }
        }
    }

    fn optional_time(
        &mut self,
        field: &str,
        value: Option<&prost_types::Timestamp>,
    ) -> Option<jiff::Timestamp> {
        value.and_then(|value| self.time(field, Some(value)))
    }

    fn duration(&mut self, field: &str, value: Option<&prost_types::Duration>) {
        match value.map(time::duration_from_proto) {
            None => self.broken(field, "must be there"),
            Some(Err(_)) => self.broken(field, "must be a length of time"),
            Some(Ok(_)) => {}
        }
    }

    fn length(&mut self, field: &str, bytes: usize, min: usize, max: usize) {
        if bytes < min || bytes > max {
            self.broken(field, format!("must have {min} to {max} bytes"));
        }
    }

    fn document(&mut self, field: &str, value: Option<&v1::Document>) {
        match value {
            None => self.broken(field, "must be there"),
            Some(document) => {
                self.id(&format!("{field}.schema"), &document.schema);
                self.length(&format!("{field}.json"), document.json.len(), 1, DOCUMENT_BYTES_MAX);
            }
        }
    }
}

/// NaN, and the values the vendor's library uses for "blank", "not found", "not supported" and "not permitted".
#[must_use]
pub fn is_float_sentinel(value: f64) -> bool {
    const BLANK: f64 = 140_737_488_355_328.0; // 2^47
    value.is_nan() || (BLANK..BLANK + 16.0).contains(&value)
}

/// The values the vendor's library uses for "blank" and its kin in 64 bits, and all bits set.
#[must_use]
pub const fn is_integer_sentinel(value: u64) -> bool {
    (value >= 0x7fff_ffff_ffff_fff0 && value <= 0x7fff_ffff_ffff_ffff) || value == u64::MAX
}

/// The same in 32 bits.
#[must_use]
pub const fn is_small_integer_sentinel(value: u32) -> bool {
    (value >= 0x7fff_fff0 && value <= 0x7fff_ffff) || value == u32::MAX
}

impl Validate for GpuMetric {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        let _ = GpuSample::read(self, "", &mut check);
        check.finish()
    }
}

impl Validate for HostMetric {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        let _ = HostSample::read(self, "", &mut check);
        check.finish()
    }
}

impl Validate for MetricBatch {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.id("node_id", &self.node_id);
        check.optional_id("lease_id", &self.lease_id);
        if self.sequence == 0 {
            check.broken("sequence", "must count from 1");
        }
        check.time("sent_at", self.sent_at.as_ref());
        for (field, count) in [("gpu", self.gpu.len()), ("host", self.host.len())] {
            if count > BATCH_METRICS_MAX {
                check.broken(field, format!("must have at most {BATCH_METRICS_MAX} entries"));
            }
        }
        for (index, metric) in self.gpu.iter().take(BATCH_METRICS_MAX).enumerate() {
            let _ = GpuSample::read(metric, &format!("gpu[{index}]."), &mut check);
        }
        for (index, metric) in self.host.iter().take(BATCH_METRICS_MAX).enumerate() {
            let _ = HostSample::read(metric, &format!("host[{index}]."), &mut check);
        }
        check.finish()
    }
}

impl Validate for v1::PlanRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.document("request", self.request.as_ref());
        check.length("idempotency_key", self.idempotency_key.len(), 1, IDEMPOTENCY_KEY_BYTES_MAX);
        if !self.idempotency_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            check.broken("idempotency_key", "must be visible ASCII");
        }
        check.finish()
    }
}

impl Validate for v1::ApplyRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.id("plan_id", &self.plan_id);
        check.optional_id("approval_id", &self.approval_id);
        check.finish()
    }
}

impl Validate for v1::ApproveRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.id("plan_id", &self.plan_id);
        check.length("justification", self.justification.len(), 1, JUSTIFICATION_BYTES_MAX);
        check.length("plan_hash", self.plan_hash.len(), 64, 64);
        check.finish()
    }
}

impl Validate for v1::ListRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.count("page_size", Some(self.page_size.into()), PAGE_SIZE_MAX.into());
        check.length("page_token", self.page_token.len(), 0, QUERY_BYTES_MAX);
        check.length("filter", self.filter.len(), 0, QUERY_BYTES_MAX);
        check.finish()
    }
}

impl Validate for v1::ShowRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.id("id", &self.id);
        check.finish()
    }
}

impl Validate for v1::ShowCostRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.optional_id("lease_id", &self.lease_id);
        check.finish()
    }
}

impl Validate for v1::ListChargesRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        for (field, text) in [("payer", &self.payer), ("provider", &self.provider), ("label", &self.label)] {
            check.length(field, text.len(), 0, QUERY_BYTES_MAX);
        }
        check.optional_id("lease_id", &self.lease_id);
        let from = check.optional_time("from", self.from.as_ref());
        let to = check.optional_time("to", self.to.as_ref());
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            check.broken("to", "must not lie before `from`");
        }
        check.finish()
    }
}

impl Validate for v1::ListBudgetsRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.length("payer", self.payer.len(), 0, QUERY_BYTES_MAX);
        check.finish()
    }
}

impl Validate for v1::SetBudgetRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.length("payer", self.payer.len(), 1, QUERY_BYTES_MAX);
        for (field, text) in [("total", &self.total), ("hourly", &self.hourly), ("monthly", &self.monthly)] {
            check.length(field, text.len(), 0, AMOUNT_BYTES_MAX);
        }
        if self.remove.len() > WINDOWS_MAX || self.remove.iter().any(|window| window.len() > AMOUNT_BYTES_MAX)
        {
            check.broken("remove", format!("must name at most {WINDOWS_MAX} limits"));
        }
        check.finish()
    }
}

impl Validate for v1::ExplainRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.id("plan_id", &self.plan_id);
        check.length("rule", self.rule.len(), 0, QUERY_BYTES_MAX);
        check.finish()
    }
}

impl Validate for v1::ReleaseRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.id("lease_id", &self.lease_id);
        check.finish()
    }
}

impl Validate for v1::RenewRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.id("lease_id", &self.lease_id);
        check.duration("by", self.by.as_ref());
        check.length("idempotency_key", self.idempotency_key.len(), 1, IDEMPOTENCY_KEY_BYTES_MAX);
        if !self.idempotency_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            check.broken("idempotency_key", "must be visible ASCII");
        }
        check.finish()
    }
}

impl Validate for v1::DrainRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.id("lease_id", &self.lease_id);
        if self.wait.is_some() {
            check.duration("wait", self.wait.as_ref());
        }
        check.finish()
    }
}

impl Validate for v1::OffersRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.document("request", self.request.as_ref());
        check.finish()
    }
}

impl Validate for v1::ListOrphansRequest {
    fn violations(&self) -> Vec<Violation> {
        Vec::new()
    }
}

impl Validate for v1::ReapRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        if self.names.len() > REAPED_MAX || self.names.iter().any(|name| name.len() > QUERY_BYTES_MAX) {
            check.broken(
                "names",
                format!("must be at most {REAPED_MAX} names of at most {QUERY_BYTES_MAX} bytes"),
            );
        }
        if self.all != self.names.is_empty() {
            check.broken("all", "must be true without names, and false with them");
        }
        check.finish()
    }
}

impl Validate for v1::ListProvidersRequest {
    fn violations(&self) -> Vec<Violation> {
        Vec::new()
    }
}

impl Validate for v1::WatchRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.id("lease_id", &self.lease_id);
        check.finish()
    }
}

impl Validate for v1::SetCandidateRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.length("documents", self.documents.len(), 0, POLICY_DOCUMENTS_MAX);
        for (position, document) in self.documents.iter().take(POLICY_DOCUMENTS_MAX).enumerate() {
            check.length(
                &format!("documents[{position}].name"),
                document.name.len(),
                1,
                POLICY_NAME_BYTES_MAX,
            );
        }
        if self.documents.is_empty() == self.bundle.is_empty() {
            check.broken("documents", "must be there, or `bundle`, and not both");
        }
        check.finish()
    }
}

impl Validate for v1::PromoteRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if self.digest.len() != 64 || !self.digest.bytes().all(hex) {
            check.broken("digest", "must be 64 hex digits in lower case");
        }
        check.finish()
    }
}

impl Validate for v1::SearchRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        for (field, value) in [
            ("principal", &self.principal),
            ("action", &self.action),
            ("subject", &self.subject),
            ("outcome", &self.outcome),
        ] {
            check.length(field, value.len(), 0, QUERY_BYTES_MAX);
        }
        let from = check.optional_time("from", self.from.as_ref());
        let to = check.optional_time("to", self.to.as_ref());
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            check.broken("to", "must not lie before `from`");
        }
        check.count("limit", Some(self.limit.into()), PAGE_SIZE_MAX.into());
        check.finish()
    }
}

impl Validate for v1::ProofRequest {
    fn violations(&self) -> Vec<Violation> {
        use v1::proof_request::Subject;
        let mut check = Check::default();
        match &self.subject {
            None => check.broken("subject", "must be there"),
            Some(Subject::LeaseId(id)) => drop(check.id("lease_id", id)),
            Some(Subject::RequestId(id)) => drop(check.id("request_id", id)),
            Some(Subject::Indices(indices)) => {
                if indices.index.is_empty() || indices.index.len() > PROOF_INDICES_MAX {
                    check.broken("indices", format!("must have 1 to {PROOF_INDICES_MAX} entries"));
                }
            }
        }
        check.finish()
    }
}

impl Validate for v1::ExportRequest {
    fn violations(&self) -> Vec<Violation> {
        use v1::export_request::Subject;
        let mut check = Check::default();
        match &self.subject {
            None => check.broken("subject", "must be there"),
            Some(Subject::Indices(v1::LeafIndices { index })) => {
                if index.is_empty() || index.len() > EXPORT_ENTRIES_MAX {
                    check.broken("indices", format!("must have 1 to {EXPORT_ENTRIES_MAX} entries"));
                }
                if !index.is_sorted_by(|a, b| a < b) {
                    check.broken("indices", "must rise");
                }
            }
            Some(Subject::Range(v1::LeafRange { start, end })) => {
                if start >= end || end - start > EXPORT_ENTRIES_MAX as u64 {
                    check.broken("range", format!("must hold 1 to {EXPORT_ENTRIES_MAX} entries"));
                }
            }
        }
        check.finish()
    }
}

impl Validate for v1::JoinRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.length("token", self.token.len(), 1, TOKEN_BYTES_MAX);
        check.id("node_name", &self.node_name);
        check.length("csr_der", self.csr_der.len(), 1, CSR_BYTES_MAX);
        check.finish()
    }
}

impl Validate for v1::JoinTokenRequest {
    fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.id("node_name", &self.node_name);
        if let Some(ttl) = &self.ttl {
            let fits = time::duration_from_proto(ttl)
                .is_ok_and(|ttl| !ttl.is_zero() && ttl.as_secs() <= JOIN_TOKEN_SECONDS_MAX);
            if !fits {
                check.broken(
                    "ttl",
                    format!("must be more than 0 and at most {JOIN_TOKEN_SECONDS_MAX} seconds"),
                );
            }
        }
        check.finish()
    }
}
