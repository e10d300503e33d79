//! Which of the newest ids are recorded already, and where. Those of published entries are in the index.

use std::collections::HashMap;

use crate::index::IdHash;

/// The ids of the entries that are not published yet, and a few that just were.
#[derive(Default)]
pub(crate) struct Ids(HashMap<IdHash, u64>);

impl Ids {
    /// For each id the index of the entry that has it.
    ///
    /// An entry is forgotten only after the index has it: who asks here first and then there misses nothing.
    pub(crate) fn find(&self, ids: &[IdHash]) -> Vec<Option<u64>> {
        ids.iter().map(|id| self.0.get(id).copied()).collect()
    }

    /// Notes the ids of entries that are recorded now.
    pub(crate) fn add(&mut self, first: u64, ids: impl IntoIterator<Item = IdHash>) {
        for (id, index) in ids.into_iter().zip(first..) {
            // The first entry of an id is the one that counts.
            self.0.entry(id).or_insert(index);
        }
    }

    /// Lets go of ids that the index has now.
    pub(crate) fn forget(&mut self, ids: impl IntoIterator<Item = IdHash>) {
        for id in ids {
            self.0.remove(&id);
        }
    }
}
