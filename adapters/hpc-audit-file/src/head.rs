//! The newest checkpoint that nobody has published: signed from memory, once for each size that is asked for.

use std::sync::{Mutex, PoisonError};

use hpc_audit::{AuditError, Checkpoint, SignedCheckpoint};
use hpc_crypto::note::NoteSigner;

use crate::shared::Shared;

/// Signs heads, and keeps the last.
///
/// What the edge shows is durable in tail or tiles already, and opening keeps all of it: a head cannot contradict a
/// checkpoint that is published later.
pub(crate) struct Head {
    signer: NoteSigner,
    last: Mutex<Option<SignedCheckpoint>>,
}

impl Head {
    pub(crate) fn new(signer: NoteSigner) -> Self {
        Self { signer, last: Mutex::new(None) }
    }

    /// The checkpoint over everything that is acknowledged now.
    pub(crate) fn of(&self, shared: &Shared) -> Result<SignedCheckpoint, AuditError> {
        // Held while signing: of many callers at one size, one signs.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (size, root) = {
            let edge = shared.edge();
            let published = edge.checkpoint.checkpoint().size == edge.size();
            if published {
                return Ok(edge.checkpoint.clone());
            }
            (edge.size(), edge.range.root())
        };
        if let Some(last) = last.as_ref().filter(|last| last.checkpoint().size == size) {
            return Ok(last.clone());
        }
        let origin = self.signer.verifier_key().name().to_owned();
        let signed = Checkpoint { origin, size, root, extensions: Vec::new() }
            .sign(&self.signer)
            .map_err(|error| AuditError::Backend { name: "files", reason: error.to_string() })?;
        *last = Some(signed.clone());
        Ok(signed)
    }
}
