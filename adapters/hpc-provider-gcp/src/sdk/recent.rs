//! What was just created: lists know it only after a while, and a request id says nothing of other parameters.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use hpc_provider::{ProvisionSpec, Token};
use jiff::Timestamp;

/// Most creates that are remembered.
const RECENT_MAX: usize = 4_096;

#[derive(Debug)]
struct Created {
    token: Token,
    what: String,
    ids: Vec<String>,
    at: Timestamp,
}

/// The last creates of this process, by token and by instance.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Created>>);

/// The parameters of a create, in one text.
fn what(spec: &ProvisionSpec) -> String {
    let ProvisionSpec { offer, instances, tags, user_data_ref, .. } = spec;
    format!("{} {instances} {tags:?} {user_data_ref:?}", offer.key())
}

impl Recent {
    pub(crate) fn created(&self, spec: &ProvisionSpec, ids: Vec<String>, at: Timestamp) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(Created { token: spec.token.clone(), what: what(spec), ids, at });
    }

    /// Whether the token has created before: with these parameters, or with others.
    pub(crate) fn knows(&self, spec: &ProvisionSpec) -> Option<bool> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let created = recent.iter().rev().find(|created| created.token == spec.token)?;
        Some(created.what == what(spec))
    }

    /// Whether the instance is younger than this.
    pub(crate) fn is_younger(&self, id: &str, now: Timestamp, age_ms: u64) -> bool {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let created = recent.iter().rev().find(|created| created.ids.iter().any(|have| have == id));
        created.is_some_and(|created| {
            now.as_millisecond().saturating_sub(created.at.as_millisecond())
                < i64::try_from(age_ms).unwrap_or(i64::MAX)
        })
    }
}
