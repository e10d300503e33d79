//! The demo: the whole journey of one request, told as it happens, against SIMULATED clouds; then it checks its own proof.

mod show;
mod story;

use std::path::PathBuf;

use hpc_error::HpcError;
use hpc_resources::RequestDocument;
use jiff::Timestamp;

pub use show::{Told, Voice};
pub use story::{Ending, run};

/// How a demo is told.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// The request; a built-in one if `None`.
    pub request: Option<PathBuf>,
    /// Directory of policies; the starter set if `None`.
    pub policies: Option<PathBuf>,
    /// Public keys of policy authors: with it policies are a signed bundle.
    pub policy_key: Option<PathBuf>,
    /// Catalog of `sim-aws`; the built-in one if `None`.
    pub catalog: Option<PathBuf>,
    /// Seed of the simulated clouds.
    pub seed: Option<u64>,
    /// Where state is kept; a temporary directory if `None`.
    pub data: Option<PathBuf>,
    /// The story that the simulated clouds tell.
    pub story: String,
    /// One JSON document a line instead of text.
    pub json: bool,
}

/// Where virtual time begins in a new demo: fixed, so that one seed tells one story.
///
/// # Errors
/// None in practice: the text is a constant.
pub fn start() -> Result<Timestamp, HpcError> {
    "2026-11-02T09:00:00Z"
        .parse()
        .map_err(|error: jiff::Error| HpcError::coded(&hpc_error::codes::INT_BUG, error.to_string()))
}

/// The request of a demo that is given none.
#[must_use]
pub fn built_in_request() -> RequestDocument {
    RequestDocument {
        name: "finetune-run-12".to_owned(),
        gpu: Some(hpc_resources::GpuDocument { model: "h100".to_owned(), count: 8 }),
        cpu: None,
        memory: None,
        storage: None,
        network_bits_per_s: None,
        kinds: Vec::new(),
        regions: Vec::new(),
        providers: Vec::new(),
        duration: Some("2h".to_owned()),
        hedge: None,
        max_hourly: Some("60.00 USD".to_owned()),
        max_total: None,
        instances_max: None,
        priority: hpc_resources::RequestPriority::Normal,
        team: None,
        purpose: None,
        labels: std::collections::BTreeMap::new(),
        on_interruption: hpc_resources::OnInterruption::End,
    }
}
