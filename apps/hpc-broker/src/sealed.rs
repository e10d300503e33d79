//! Values that the audit log is only committed to: personal, or free text.
//!
//! The entry holds a commitment; salt and value are kept in the ledger, beside the record they belong to, in the same
//! transaction. Whoever may read the log can be shown the value with its proof; deleting the opening forgets it for good.

use std::collections::BTreeMap;

use hpc_audit::{Entry, Opening, SALT_BYTES};
use hpc_error::HpcError;
use hpc_resources::ResourceRequest;
use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::entry::say;
use crate::fail;
use crate::store::{Change, CommitError, key};

/// The openings of one entry's commitments, by the field of its data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Openings(BTreeMap<String, Opening>);

impl Openings {
    /// The opening of a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Opening> {
        self.0.get(field)
    }

    /// The fields, and what opens each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Opening)> {
        self.0.iter().map(|(field, opening)| (field.as_str(), opening))
    }

    /// Puts the commitments into an entry.
    pub(crate) fn put(&self, entry: &mut Entry) {
        for (field, opening) in &self.0 {
            say(entry, field, &opening.commitment(field).to_string());
        }
    }
}

impl Broker {
    /// Seals values, each under a salt of its own.
    pub(crate) fn seal(&self, values: impl IntoIterator<Item = (&'static str, String)>) -> Openings {
        let sealed = values.into_iter().map(|(field, value)| {
            let (high, low) = (self.environment.draw(), self.environment.draw());
            let mut salt = [0; SALT_BYTES];
            let bytes = high.to_be_bytes().into_iter().chain(low.to_be_bytes());
            salt.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            (field.to_owned(), Opening::new(salt, value))
        });
        Openings(sealed.collect())
    }

    /// Seals what a person wrote into a request: its name, purpose and labels.
    pub(crate) fn seal_request(&self, request: &ResourceRequest) -> Result<Openings, HpcError> {
        let mut values = vec![("request.name", request.name().to_owned())];
        if let Some(purpose) = request.purpose() {
            values.push(("request.purpose", purpose.to_owned()));
        }
        if !request.labels().is_empty() {
            let labels = serde_json::to_string(request.labels()).map_err(fail::bug)?;
            values.push(("request.labels", labels));
        }
        Ok(self.seal(values))
    }

    /// What opens the commitments of an audit entry, by the entry's id; `None` when it has none, or they were forgotten.
    ///
    /// It is for those who may read the audit log: the caller asks policy first.
    ///
    /// # Errors
    /// A ledger failure.
    pub async fn openings(&self, entry: &str) -> Result<Option<Openings>, HpcError> {
        let Ok(place) = key("opening", entry) else { return Ok(None) };
        Ok(self.store.read(&place).await?.map(|(openings, _)| openings))
    }

    /// Forgets what opens the commitments of an audit entry. The log stays as it is, and says nothing of the values any
    /// more; records of the ledger that hold the values themselves are deleted apart from this. Forgetting what is not
    /// there succeeds.
    ///
    /// # Errors
    /// A ledger failure.
    pub async fn forget_openings(&self, entry: &str) -> Result<(), HpcError> {
        let Ok(place) = key("opening", entry) else { return Ok(()) };
        self.store.commit(Change::new().delete(place)).await.map(drop).map_err(CommitError::into)
    }
}
