use hpc_audit::{Entry, Outcome, Search};
use hpc_crypto::hashing::{Hasher, hash};
use smallvec::{SmallVec, smallvec};

/// Terms of an entry that need no memory of their own; most have no more.
const TERMS_INLINE: usize = 8;

/// Half of a 256-bit hash of an id: enough to tell ids apart, and small.
pub(crate) type IdHash = [u8; 16];

pub(crate) fn id_hash(id: &str) -> IdHash {
    hash(id.as_bytes()).as_bytes().first_chunk().copied().unwrap_or_default()
}

/// What the index keeps of an entry. Made where the entry is encoded, outside the threads that write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) id: IdHash,
    pub(super) span: Span,
    pub(super) terms: SmallVec<[u64; TERMS_INLINE]>,
}

impl Marks {
    pub(crate) fn of(entry: &Entry) -> Self {
        let mut terms = smallvec![term(b'p', &entry.principal), term(b'a', &entry.action)];
        // Every `x.*` that the action is found by.
        terms.extend(
            entry
                .action
                .match_indices('.')
                .filter_map(|(at, _)| entry.action.get(..=at))
                .map(|prefix| term(b'x', prefix)),
        );
        terms.extend(entry.subjects.values().map(|id| term(b's', id)));
        let at = entry.at.as_nanosecond();
        let span = Span { from: at, to: at, outcomes: bit_of(entry.outcome) };
        Self { id: id_hash(&entry.id), span, terms }
    }
}

/// When the entries of a block happened, in nanoseconds since 1970, and how they ended, one bit for each outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: i128,
    pub(super) to: i128,
    pub(super) outcomes: u32,
}

impl Span {
    /// Of no entry.
    pub(super) const EMPTY: Self = Self { from: i128::MAX, to: i128::MIN, outcomes: 0 };

    pub(super) fn join(&mut self, other: &Self) {
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
        self.outcomes |= other.outcomes;
    }
}

/// A search in the words of the index.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Each must be among the terms of a hit.
    pub(super) terms: Vec<u64>,
    outcomes: u32,
    from: i128,
    /// The first moment that is too late.
    until: i128,
}

impl Wanted {
    pub(super) fn of(search: &Search) -> Self {
        let action = |wanted: &String| match wanted.strip_suffix('*') {
            Some(prefix) if prefix.ends_with('.') => term(b'x', prefix),
            _ => term(b'a', wanted),
        };
        let principal = search.principal.iter().map(|wanted| term(b'p', wanted));
        let subject = search.subject.iter().map(|wanted| term(b's', wanted));
        Self {
            terms: principal.chain(search.action.iter().map(action)).chain(subject).collect(),
            outcomes: search.outcome.map_or(u32::MAX, bit_of),
            from: search.from.map_or(i128::MIN, |from| from.as_nanosecond()),
            until: search.until.map_or(i128::MAX, |until| until.as_nanosecond()),
        }
    }

    /// Whether entries of this span can be hits, as far as time and outcome go.
    pub(super) fn meets(&self, span: &Span) -> bool {
        span.outcomes & self.outcomes != 0 && span.to >= self.from && span.from < self.until
    }
}

const fn bit_of(outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Ok => 1,
        Outcome::Denied => 2,
        Outcome::Failed => 4,
        Outcome::Unknown => 8,
    }
}

fn term(kind: u8, text: &str) -> u64 {
    let hash = Hasher::blake3().update(&[kind]).update(text.as_bytes()).finalize();
    hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
