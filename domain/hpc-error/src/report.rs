use std::collections::BTreeMap;

use serde::Serialize;

use crate::HpcError;

/// An error as a JSON document: what `-o json` prints on failure. Sources are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorReport {
    /// Stable code (`HPC-CAP-0001`), if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Kind in snake case (`exhausted`).
    pub kind: String,
    /// What went wrong, for a person.
    pub message: String,
    /// Retry class in snake case (`with_backoff`).
    pub retry: String,
    /// Wait before the next try, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Context pairs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, String>,
    /// What to try, from the registry.
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Exit code of a process that ends with this error.
    pub exit_code: u8,
}

impl From<&HpcError> for ErrorReport {
    fn from(error: &HpcError) -> Self {
        let retry_after_ms = match error.retry() {
            crate::Retry::WithBackoff { after: Some(wait) } => {
                Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
            }
            _ => None,
        };
        Self {
            code: error.code_text().map(str::to_owned),
            kind: error.kind().name().to_owned(),
            message: error.message().to_owned(),
            retry: error.retry().name().to_owned(),
            retry_after_ms,
            context: error.context().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            remedy: error.registered().map(|code| code.remedy.to_owned()),
            exit_code: error.exit_code(),
        }
    }
}

impl Serialize for HpcError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ErrorReport::from(self).serialize(serializer)
    }
}
