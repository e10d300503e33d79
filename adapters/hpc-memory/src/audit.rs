//! In-memory fake of the `audit` port: the same proofs and the same signed checkpoints, kept until dropped.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hpc_audit::{
    APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, AuditError, AuditLog, ConsistencyProof, ENTRIES_LIMIT_MAX, Entry,
    InclusionProof, PROFILE, Receipt, Recorded, SEARCH_SCAN_MAX, Search, SearchPage, SignedCheckpoint,
    VerifierKey,
};
use hpc_crypto::CryptoError;
use hpc_crypto::checkpoint::Checkpoint;
use hpc_crypto::merkle::MerkleTree;
use hpc_crypto::note::NoteSigner;
use hpc_crypto::signing::KeyPair;

/// The most entries a [`MemoryAuditLog`] takes, about 1 KiB each.
pub const MEMORY_ENTRIES_MAX: u64 = 1 << 20;

/// An audit log in memory.
///
/// ```
/// use hpc_audit::{AuditLog, Entry, Outcome};
/// use hpc_crypto::signing::KeyPair;
/// use hpc_memory::audit::MemoryAuditLog;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = MemoryAuditLog::new("test.example/audit", KeyPair::from_seed([1; 32]))?;
/// let entry = Entry::new("id", "2026-11-23T15:00:00Z".parse()?, "alice", "lease.active", Outcome::Ok);
/// assert_eq!(log.append(vec![entry]).await?[0].index, 0);
/// # Ok(())
/// # }
/// ```
pub struct MemoryAuditLog {
    signer: NoteSigner,
    state: Mutex<State>,
}

pub(crate) struct State {
    tree: MerkleTree,
    pub(crate) entries: Vec<Recorded>,
    pub(crate) published: SignedCheckpoint,
    by_id: HashMap<String, u64>,
    writable: bool,
    faults: Option<Faults>,
}

/// Faults that come from a seed, so that a failing run can be repeated.
struct Faults {
    state: u64,
    per_thousand: u64,
}

impl Faults {
    /// The next number of a splitmix64 row.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn strikes(&mut self) -> bool {
        self.next() % 1000 < self.per_thousand
    }
}

impl MemoryAuditLog {
    /// An empty log named `origin` that signs with `keys`.
    ///
    /// # Errors
    /// [`CryptoError::InvalidKeyName`] when `origin` cannot name a key.
    pub fn new(origin: &str, keys: KeyPair) -> Result<Self, CryptoError> {
        let signer = NoteSigner::new(origin, keys)?;
        let tree = MerkleTree::new(PROFILE);
        let state = State {
            published: checkpoint_of(&tree, &signer)?,
            tree,
            entries: Vec::new(),
            by_id: HashMap::new(),
            writable: true,
            faults: None,
        };
        Ok(Self { signer, state: Mutex::new(state) })
    }

    /// Lets appends fail by chance from `seed`, `per_thousand` of them; half of these record nothing, in the other half
    /// the entries are recorded and only the answer is lost.
    #[must_use]
    pub fn with_faults(self, seed: u64, per_thousand: u64) -> Self {
        self.state().faults = Some(Faults { state: seed, per_thousand });
        self
    }

    /// From now on appends and checkpoints are refused (`false`) or taken again (`true`); reading always works.
    pub fn set_writable(&self, writable: bool) {
        self.state().writable = writable;
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, and if it did, every change is made whole or not at all.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receipt(&self, recorded: &Recorded, repeated: bool) -> Receipt {
        Receipt {
            log: self.signer.verifier_key().name().to_owned(),
            id: recorded.entry.id.clone(),
            index: recorded.index,
            leaf_hash: recorded.leaf_hash,
            size_at_least: recorded.index + 1,
            repeated,
        }
    }
}

#[async_trait]
impl AuditLog for MemoryAuditLog {
    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Receipt>, AuditError> {
        let got = entries.len();
        if got > APPEND_ENTRIES_MAX {
            return Err(AuditError::TooMuch { what: "entries", got, max: APPEND_ENTRIES_MAX });
        }
        let mut encoded = Vec::with_capacity(got);
        for entry in entries {
            let bytes = entry.encode().map_err(|source| AuditError::InvalidEntry {
                id: entry.id.chars().take(64).collect(),
                source,
            })?;
            encoded.push((entry, bytes));
        }
        let bytes = encoded.iter().map(|(_, bytes)| bytes.len()).sum();
        if bytes > APPEND_BYTES_MAX {
            return Err(AuditError::TooMuch { what: "bytes", got: bytes, max: APPEND_BYTES_MAX });
        }
        let mut state = self.state();
        if !state.writable {
            return Err(AuditError::Unwritable { reason: "switched off".to_owned() });
        }
        if state.tree.len() + got as u64 > MEMORY_ENTRIES_MAX {
            return Err(AuditError::Unwritable { reason: "the log in memory is full".to_owned() });
        }
        let struck = state.faults.as_mut().is_some_and(Faults::strikes);
        let lost = struck && state.faults.as_mut().is_some_and(|faults| faults.next() & 1 == 0);
        if struck && !lost {
            return Err(AuditError::Unwritable { reason: "injected fault before the write".to_owned() });
        }
        let mut receipts = Vec::with_capacity(got);
        for (entry, bytes) in encoded {
            if let Some(old) = state.by_id.get(&entry.id).and_then(|index| usize::try_from(*index).ok()) {
                receipts.extend(state.entries.get(old).map(|recorded| self.receipt(recorded, true)));
                continue;
            }
            let leaf_hash = Entry::leaf_hash(&bytes);
            let index = state.tree.append_hash(leaf_hash).map_err(damaged)?;
            let recorded = Recorded { index, leaf_hash, entry };
            receipts.push(self.receipt(&recorded, false));
            state.by_id.insert(recorded.entry.id.clone(), index);
            state.entries.push(recorded);
        }
        if lost {
            return Err(AuditError::Unknown { reason: "injected fault: the answer was lost".to_owned() });
        }
        Ok(receipts)
    }

    async fn checkpoint(&self) -> Result<SignedCheckpoint, AuditError> {
        let mut state = self.state();
        if !state.writable {
            return Err(AuditError::Unwritable { reason: "switched off".to_owned() });
        }
        state.published = checkpoint_of(&state.tree, &self.signer).map_err(damaged)?;
        Ok(state.published.clone())
    }

    async fn head(&self) -> Result<SignedCheckpoint, AuditError> {
        checkpoint_of(&self.state().tree, &self.signer).map_err(damaged)
    }

    async fn entries(&self, start: u64, limit: usize) -> Result<Vec<Recorded>, AuditError> {
        let state = self.state();
        let size = state.tree.len();
        if start > size {
            return Err(AuditError::OutOfRange { what: "start", got: start, min: 0, max: size });
        }
        if limit == 0 || limit > ENTRIES_LIMIT_MAX {
            let (got, max) = (limit as u64, ENTRIES_LIMIT_MAX as u64);
            return Err(AuditError::OutOfRange { what: "limit", got, min: 1, max });
        }
        Ok(state
            .entries
            .iter()
            .skip(usize::try_from(start).unwrap_or(usize::MAX))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn receipts(&self, ids: &[String]) -> Result<Vec<Option<Receipt>>, AuditError> {
        if ids.len() > APPEND_ENTRIES_MAX {
            return Err(AuditError::TooMuch { what: "ids", got: ids.len(), max: APPEND_ENTRIES_MAX });
        }
        let state = self.state();
        let recorded = |id| state.entries.get(usize::try_from(*state.by_id.get(id)?).ok()?);
        Ok(ids.iter().map(|id| recorded(id).map(|recorded| self.receipt(recorded, true))).collect())
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<InclusionProof, AuditError> {
        self.state().tree.prove_at(index, size).map_err(out_of_range)
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<ConsistencyProof, AuditError> {
        self.state().tree.prove_consistency(old, new).map_err(out_of_range)
    }

    async fn search(&self, search: &Search) -> Result<SearchPage, AuditError> {
        let state = self.state();
        let size = state.tree.len();
        let range = search.range(size)?;
        let mut page = SearchPage { hits: Vec::new(), covered: range.start..range.start, complete: false };
        let skipped = usize::try_from(range.start).unwrap_or(usize::MAX);
        let in_range = state.entries.iter().skip(skipped).take(SEARCH_SCAN_MAX as usize);
        for recorded in in_range {
            if page.hits.len() == search.limit {
                break;
            }
            page.covered.end = recorded.index + 1;
            if search.matches(&recorded.entry) {
                page.hits.push(recorded.clone());
            }
        }
        page.complete = page.covered.end == size;
        Ok(page)
    }

    fn size(&self) -> u64 {
        self.state().tree.len()
    }

    fn verifier_key(&self) -> VerifierKey {
        self.signer.verifier_key().clone()
    }
}

fn checkpoint_of(tree: &MerkleTree, signer: &NoteSigner) -> Result<SignedCheckpoint, CryptoError> {
    let origin = signer.verifier_key().name().to_owned();
    Checkpoint { origin, size: tree.len(), root: tree.root(), extensions: Vec::new() }.sign(signer)
}

pub(crate) fn damaged(error: CryptoError) -> AuditError {
    AuditError::Damaged { place: "memory".to_owned(), reason: error.to_string() }
}

fn out_of_range(error: CryptoError) -> AuditError {
    match error {
        CryptoError::IndexOutOfRange { index, size } => {
            AuditError::OutOfRange { what: "index", got: index, min: 0, max: size.saturating_sub(1) }
        }
        CryptoError::SizesOutOfRange { old, new } => {
            AuditError::OutOfRange { what: "size", got: old, min: 1, max: new }
        }
        other => damaged(other),
    }
}

#[cfg(test)]
mod tests {
    use hpc_audit::Outcome;

    use super::*;

    fn entry(id: u64) -> Entry {
        let at = "2026-11-23T15:00:00Z".parse().unwrap();
        Entry::new(format!("id {id}"), at, "alice", "lease.active", Outcome::Ok)
    }

    fn log() -> MemoryAuditLog {
        MemoryAuditLog::new("test.example/audit", KeyPair::from_seed([1; 32])).unwrap()
    }

    #[tokio::test]
    async fn faults_come_from_the_seed_and_repeating_recovers() {
        let mut rows = Vec::new();
        for _ in 0..2 {
            let log = log().with_faults(7, 400);
            let mut row = Vec::new();
            for id in 0..50 {
                loop {
                    match log.append(vec![entry(id)]).await {
                        Ok(receipts) => break row.push((receipts[0].index, receipts[0].repeated)),
                        Err(AuditError::Unwritable { .. } | AuditError::Unknown { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            assert_eq!(row.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
            assert!(row.iter().any(|(_, repeated)| *repeated));
            rows.push(row);
        }
        assert_eq!(rows[0], rows[1]);
    }

    #[tokio::test]
    async fn switched_off_it_still_reads() {
        let log = log();
        log.append(vec![entry(1)]).await.unwrap();
        log.set_writable(false);
        assert!(matches!(log.append(vec![entry(2)]).await, Err(AuditError::Unwritable { .. })));
        assert!(matches!(log.checkpoint().await, Err(AuditError::Unwritable { .. })));
        assert_eq!(log.entries(0, 10).await.unwrap().len(), 1);
        assert_eq!(log.head().await.unwrap().checkpoint().size, 1);
        log.set_writable(true);
        assert_eq!(log.append(vec![entry(2)]).await.unwrap()[0].index, 1);
    }

    hpc_conformance::audit_log!(async {
        let log: std::sync::Arc<dyn AuditLog> = std::sync::Arc::new(log());
        (log, ())
    });
}
