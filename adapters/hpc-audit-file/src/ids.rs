//! Which ids are recorded already, and where.

use std::collections::HashMap;

use hpc_crypto::hashing::hash;

/// Half of a 256-bit hash of an id: enough to tell ids apart, and small.
pub(crate) type IdHash = [u8; 16];

pub(crate) fn id_hash(id: &str) -> IdHash {
    hash(id.as_bytes()).as_bytes().first_chunk().copied().unwrap_or_default()
}

/// The index of every recorded id. An entry is in `recent` until it is in signed tiles, and then in `older`.
#[derive(Default)]
pub(crate) struct Ids {
    recent: HashMap<IdHash, u64>,
    older: Older,
}

impl Ids {
    /// For each id the index of the entry that has it.
    pub(crate) fn find(&self, ids: &[IdHash]) -> Vec<Option<u64>> {
        let older = self.older.find(ids);
        ids.iter().zip(older).map(|(id, older)| older.or_else(|| self.recent.get(id).copied())).collect()
    }

    /// Notes the ids of entries that are recorded now.
    pub(crate) fn add(&mut self, first: u64, ids: &[IdHash]) {
        for (id, index) in ids.iter().zip(first..) {
            self.recent.entry(*id).or_insert(index);
        }
    }

    /// Notes the ids of entries that are in signed tiles now.
    pub(crate) fn published(&mut self, first: u64, ids: &[IdHash]) {
        self.older.add(first, ids);
        for id in ids {
            self.recent.remove(id);
        }
    }
}

/// The ids of entries in signed tiles.
#[derive(Default)]
struct Older(HashMap<IdHash, u64>);

impl Older {
    fn find(&self, ids: &[IdHash]) -> Vec<Option<u64>> {
        ids.iter().map(|id| self.0.get(id).copied()).collect()
    }

    fn add(&mut self, first: u64, ids: &[IdHash]) {
        for (id, index) in ids.iter().zip(first..) {
            // The first entry of an id is the one that counts.
            self.0.entry(*id).or_insert(index);
        }
    }
}
