//! The policies in force: the starter set, every `.yaml` and `.yml` file of a directory, or a signed bundle. All or
//! nothing.
//!
//! - [`source`]: where they come from, and what is there now
//! - [`kept`]: what must outlive the process, above all which bundle was taken last
//! - [`keeper`]: takes new ones while the daemon runs, tries candidates and promotes them

pub mod keeper;
pub mod kept;
pub mod source;

use std::path::Path;

use hpc_error::{HpcError, codes};
use hpc_policy::{PolicyError, PolicySet, VerifiedBundle};
use serde::Serialize;

pub use source::{FILES_MAX, STARTER, Source};

/// Policies and the documents they came from.
pub struct Loaded {
    /// The compiled set.
    pub set: PolicySet,
    /// Name and text of each document.
    pub documents: Vec<(String, String)>,
    /// Whether these are the built-in ones.
    pub built_in: bool,
    /// The bundle they came in, if they did.
    pub bundle: Option<VerifiedBundle>,
    /// What was read, as a hash: equal, if nothing changed.
    pub fingerprint: String,
}

/// Where policies come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    /// The starter set.
    BuiltIn,
    /// The files of a directory, or documents that were tried as a candidate.
    Documents,
    /// A signed bundle.
    Bundle {
        /// Its name.
        name: String,
        /// Its number.
        sequence: u64,
        /// The key that signed it.
        signer: String,
    },
}

impl Loaded {
    /// Where they come from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match &self.bundle {
            Some(bundle) => Origin::Bundle {
                name: bundle.info.name.clone(),
                sequence: bundle.info.sequence,
                signer: bundle.signer.to_string(),
            },
            None if self.built_in => Origin::BuiltIn,
            None => Origin::Documents,
        }
    }
}

/// Loads the policies of a directory, or the starter set.
///
/// # Errors
/// `HPC-USG-0005` or `-0006` for a directory that cannot be read; `HPC-POL-0004` with every mistake, its file and line;
/// `HPC-USG-0003` for too many or too large files.
pub fn load(directory: Option<&Path>) -> Result<Loaded, HpcError> {
    Source::new(directory, Vec::new())?.load()
}

/// Compiles documents.
pub(crate) fn compile(documents: &[(String, String)]) -> Result<PolicySet, HpcError> {
    PolicySet::parse_documents(documents.iter().map(|(name, text)| (name, text)))
        .map_err(|mistakes| invalid(&mistakes))
}

fn invalid(mistakes: &[PolicyError]) -> HpcError {
    let shown: Vec<String> = mistakes.iter().take(10).map(ToString::to_string).collect();
    let more = mistakes.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    HpcError::coded(&codes::POL_INVALID, format!("{}{rest}", shown.join("; ")))
}
