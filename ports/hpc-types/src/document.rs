use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::control::v1::{Document, Receipt, RecordedDocument};

/// Largest document that is written or read: 4 MiB, the usual limit of a gRPC message.
pub const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a document cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Over [`DOCUMENT_BYTES_MAX`].
    #[error("document of {bytes} bytes is over the limit of {DOCUMENT_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Another schema than the caller reads.
    #[error("expected a document of schema `{expected}`, found `{found}`")]
    Schema {
        /// What the caller reads.
        expected: String,
        /// What the document says it is.
        found: String,
    },
    /// Not JSON, or not of the caller's type. Values are not repeated.
    #[error("document of schema `{schema}` cannot be read at line {line}, column {column}")]
    Json {
        /// Its schema.
        schema: String,
        /// Line of the mistake, from 1.
        line: usize,
        /// Column of the mistake, from 1.
        column: usize,
    },
    /// The value cannot be written as JSON (a map whose keys are not text).
    #[error("value cannot be written as a document of schema `{schema}`")]
    Unwritable {
        /// The schema asked for.
        schema: String,
    },
}

impl From<DocumentError> for hpc_error::HpcError {
    fn from(error: DocumentError) -> Self {
        Self::invalid_input(error.to_string()).caused_by(error)
    }
}

impl Document {
    /// A document with the JSON of `value`.
    ///
    /// # Errors
    /// [`DocumentError::Unwritable`] and [`DocumentError::TooLarge`].
    pub fn write<T: Serialize + ?Sized>(schema: &str, value: &T) -> Result<Self, DocumentError> {
        let json =
            serde_json::to_vec(value).map_err(|_| DocumentError::Unwritable { schema: schema.to_owned() })?;
        if json.len() > DOCUMENT_BYTES_MAX {
            return Err(DocumentError::TooLarge { bytes: json.len() });
        }
        Ok(Self { schema: schema.to_owned(), json: json.into() })
    }

    /// The value of a document whose schema is exactly `schema`. Nesting ends at 128 levels.
    ///
    /// # Errors
    /// [`DocumentError::Schema`], [`DocumentError::TooLarge`] and [`DocumentError::Json`].
    pub fn read<T: DeserializeOwned>(&self, schema: &str) -> Result<T, DocumentError> {
        if self.schema != schema {
            let found = self.schema.chars().take(128).collect();
            return Err(DocumentError::Schema { expected: schema.to_owned(), found });
        }
        if self.json.len() > DOCUMENT_BYTES_MAX {
            return Err(DocumentError::TooLarge { bytes: self.json.len() });
        }
        serde_json::from_slice(&self.json).map_err(|error| DocumentError::Json {
            schema: schema.to_owned(),
            line: error.line(),
            column: error.column(),
        })
    }
}

impl RecordedDocument {
    /// A document with the proof of what was recorded on the way to it.
    #[must_use]
    pub fn new(document: Document, receipts: Vec<Receipt>) -> Self {
        Self { schema: document.schema, json: document.json, receipts }
    }

    /// The document, and the proof.
    #[must_use]
    pub fn into_parts(self) -> (Document, Vec<Receipt>) {
        (Document { schema: self.schema, json: self.json }, self.receipts)
    }
}
