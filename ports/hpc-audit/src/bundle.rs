use std::ops::Range;

use hpc_crypto::CryptoError;
use hpc_crypto::checkpoint::{Checkpoint, SignedCheckpoint};
use hpc_crypto::hashing::Hash;
use hpc_crypto::merkle::{ConsistencyProof, InclusionProof, PROOF_HASHES_MAX};
use hpc_crypto::note::VerifierKey;
use serde::{Deserialize, Serialize};

use crate::{AuditError, AuditLog, ENTRIES_LIMIT_MAX, Entry, EntryError, PROFILE, Recorded};

/// The most entries of one bundle.
pub const BUNDLE_ENTRIES_MAX: usize = 65_536;
/// The longest bundle that is read, in bytes.
pub const BUNDLE_BYTES_MAX: usize = 512 << 20;

const FORMAT: &str = "hpc-audit-bundle/v1";

/// Exported entries with everything needed to check them without the log.
///
/// As a file it is JSON. Each entry stands there as the exact text that was hashed:
/// leaf hash = SHA-256(0x00 || text), then the hashes of `proof` lead to the root in `checkpoint` as in RFC 6962.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Always `hpc-audit-bundle/v1`.
    pub format: String,
    /// The hash profile: `rfc6962-sha256`.
    pub profile: String,
    /// The log's public key, as a C2SP verifier key.
    pub vkey: String,
    /// The checkpoint, as a C2SP signed note.
    pub checkpoint: String,
    /// What the entries are: a range without gaps, or a choice.
    pub selection: Selection,
    /// The entries by index.
    pub entries: Vec<BundleEntry>,
    /// That the log only grew to the checkpoint from an earlier size, which whoever asked for the bundle remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<BundleConsistency>,
}

/// The consistency proof of a [`Bundle`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleConsistency {
    /// The earlier size, at least 1.
    pub old_size: u64,
    /// Base64 hashes, in the order of RFC 6962.
    pub proof: Vec<String>,
}

impl From<&ConsistencyProof> for BundleConsistency {
    fn from(proof: &ConsistencyProof) -> Self {
        Self { old_size: proof.old_size, proof: proof.hashes.iter().map(Hash::to_base64).collect() }
    }
}

impl BundleConsistency {
    /// The proof up to a checkpoint of `new_size`. It is not checked: that takes the earlier root.
    ///
    /// # Errors
    /// [`BundleError::Consistency`] for hashes that are none, [`BundleError::TooMuch`].
    pub fn to_proof(&self, new_size: u64) -> Result<ConsistencyProof, BundleError> {
        if self.proof.len() > PROOF_HASHES_MAX {
            let (got, max) = (self.proof.len(), PROOF_HASHES_MAX);
            return Err(BundleError::TooMuch { what: "consistency proof hashes", got, max });
        }
        let hashes = self.proof.iter().map(|text| Hash::from_base64(text)).collect::<Result<Vec<_>, _>>();
        let hashes = hashes.map_err(BundleError::Consistency)?;
        Ok(ConsistencyProof { profile: PROFILE, old_size: self.old_size, new_size, hashes })
    }
}

/// One entry of a [`Bundle`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleEntry {
    /// Its index in the log.
    pub index: u64,
    /// Its canonical encoding.
    pub entry: String,
    /// Its inclusion proof: Base64 hashes, the leaf's sibling first.
    pub proof: Vec<String>,
}

/// Which entries to export, and what a bundle claims about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Selection {
    /// Every entry from `start` up to and without `end`.
    Range {
        /// First index.
        start: u64,
        /// One past the last index.
        end: u64,
    },
    /// Just these indices; others between them exist and were left out.
    Indices(Vec<u64>),
}

impl From<Range<u64>> for Selection {
    fn from(range: Range<u64>) -> Self {
        Self::Range { start: range.start, end: range.end }
    }
}

impl From<Vec<u64>> for Selection {
    fn from(indices: Vec<u64>) -> Self {
        Self::Indices(indices)
    }
}

/// What a checked bundle shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The key that signed the checkpoint.
    pub key: VerifierKey,
    /// Whether that is the key the caller trusts, or merely the one in the bundle.
    pub key_trusted: bool,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The same as its log signed it, with the lines of witnesses that came along; those are not checked here.
    pub signed: SignedCheckpoint,
    /// The proof that came along, that the log only grew to the checkpoint from an earlier size. Not checked here.
    pub consistency: Option<ConsistencyProof>,
    /// What the entries are.
    pub selection: Selection,
    /// The entries, each proved to be in the log.
    pub entries: Vec<Recorded>,
}

/// Why a bundle does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Not a bundle, or one of a version that is not known.
    #[error("not an audit bundle: {reason}")]
    Malformed {
        /// What was found.
        reason: String,
    },
    /// The text means a bundle but is not spelt as one is written.
    #[error("the text of the bundle was changed at byte {offset}: it is not as it was written")]
    NotCanonical {
        /// The first byte that differs.
        offset: usize,
    },
    /// More than is read.
    #[error("the bundle has {got} {what}, at most {max} are read")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        got: usize,
        /// How much there may be.
        max: usize,
    },
    /// The public key in the bundle cannot be read.
    #[error("the public key in the bundle is not usable: {0}")]
    Key(CryptoError),
    /// The bundle is signed by another log than the one trusted.
    #[error("the bundle is of `{got}`, the trusted key is `{want}`")]
    OtherKey {
        /// Key in the bundle.
        got: String,
        /// Key trusted.
        want: String,
    },
    /// The checkpoint does not hold.
    #[error("the checkpoint does not hold: {0}")]
    Checkpoint(CryptoError),
    /// The consistency proof cannot be read.
    #[error("the consistency proof does not hold: {0}")]
    Consistency(CryptoError),
    /// An entry is not one.
    #[error("entry {index} is not readable: {source}")]
    Entry {
        /// Its index.
        index: u64,
        /// Why.
        source: EntryError,
    },
    /// An entry is not in the log that was signed.
    #[error("entry {index} is not in the signed log: {source}")]
    Inclusion {
        /// Its index.
        index: u64,
        /// Why.
        source: CryptoError,
    },
    /// An entry that the bundle says it has is not there, or one is there that it does not list.
    #[error("expected entry {expected} next, found {found}")]
    Order {
        /// The index that should come next; `none` at the end.
        expected: String,
        /// The index that comes; `none` at the end.
        found: String,
    },
}

impl Bundle {
    /// The bundle as the text of a file. The same bundle always gives the same text.
    ///
    /// # Errors
    /// Only [`BundleError::Malformed`], which no bundle made by [`export`] gives.
    pub fn to_json(&self) -> Result<String, BundleError> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| BundleError::Malformed { reason: error.to_string() })?;
        text.push('\n');
        Ok(text)
    }

    /// Reads the text of a file, which must be exactly as [`Bundle::to_json`] wrote it.
    ///
    /// # Errors
    /// [`BundleError::TooMuch`], [`BundleError::Malformed`] or [`BundleError::NotCanonical`].
    pub fn from_json(text: &[u8]) -> Result<Self, BundleError> {
        if text.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooMuch { what: "bytes", got: text.len(), max: BUNDLE_BYTES_MAX });
        }
        let bundle: Self = serde_json::from_slice(text)
            .map_err(|error| BundleError::Malformed { reason: error.to_string() })?;
        let written = bundle.to_json()?;
        if written.as_bytes() == text {
            return Ok(bundle);
        }
        let same = written.bytes().zip(text).take_while(|(a, b)| a == *b).count();
        Err(BundleError::NotCanonical { offset: same })
    }
}

/// Exports entries with their proofs under a fresh checkpoint.
///
/// # Errors
/// [`AuditError::OutOfRange`] for indices that are not in the log or not in rising order, [`AuditError::TooMuch`] for
/// more than [`BUNDLE_ENTRIES_MAX`] of them, and what the log says.
pub async fn export(
    log: &dyn AuditLog,
    selection: impl Into<Selection> + Send,
) -> Result<Bundle, AuditError> {
    let selection = selection.into();
    let checkpoint = log.checkpoint().await?;
    let size = checkpoint.checkpoint().size;
    let wanted = match &selection {
        Selection::Range { start, end } => end.saturating_sub(*start),
        Selection::Indices(indices) => indices.len() as u64,
    };
    if wanted > BUNDLE_ENTRIES_MAX as u64 {
        let got = usize::try_from(wanted).unwrap_or(usize::MAX);
        return Err(AuditError::TooMuch { what: "exported entries", got, max: BUNDLE_ENTRIES_MAX });
    }
    let outside = |what, got| AuditError::OutOfRange { what, got, min: 0, max: size };
    let mut recorded = Vec::new();
    match &selection {
        Selection::Range { start, end } => {
            if start > end || *end > size {
                return Err(outside("end of the exported range", *end));
            }
            let mut next = *start;
            while next < *end {
                let limit = ENTRIES_LIMIT_MAX.min(usize::try_from(end - next).unwrap_or(usize::MAX));
                let page = log.entries(next, limit).await?;
                next += page.len() as u64;
                if page.is_empty() {
                    return Err(damaged(next, "the log gave no entry for an index below its size"));
                }
                recorded.extend(page);
            }
        }
        Selection::Indices(indices) => {
            let mut previous = None;
            for &index in indices {
                if index >= size || previous.is_some_and(|previous| previous >= index) {
                    return Err(outside("exported index", index));
                }
                previous = Some(index);
                recorded.extend(log.entries(index, 1).await?);
            }
        }
    }
    let mut entries = Vec::with_capacity(recorded.len());
    for recorded in recorded {
        entries.push(prove_entry(log, recorded, size).await?);
    }
    Ok(Bundle { entries, ..begin(log, &checkpoint, selection) })
}

/// A bundle about `selection` without its entries yet, for an export in parts.
pub fn begin(log: &dyn AuditLog, checkpoint: &SignedCheckpoint, selection: Selection) -> Bundle {
    Bundle {
        format: FORMAT.to_owned(),
        profile: PROFILE.name().to_owned(),
        vkey: log.verifier_key().to_string(),
        checkpoint: checkpoint.to_string(),
        selection,
        entries: Vec::new(),
        consistency: None,
    }
}

/// One entry of a bundle whose checkpoint has this `size`.
///
/// # Errors
/// What the log says.
pub async fn prove_entry(
    log: &dyn AuditLog,
    recorded: Recorded,
    size: u64,
) -> Result<BundleEntry, AuditError> {
    let Recorded { index, entry, .. } = recorded;
    let proof = log.inclusion(index, size).await?;
    let bytes = entry.encode().map_err(|error| damaged(index, &error.to_string()))?;
    let entry = String::from_utf8(bytes).map_err(|error| damaged(index, &error.to_string()))?;
    Ok(BundleEntry { index, entry, proof: proof.hashes.iter().map(Hash::to_base64).collect() })
}

/// Checks a bundle completely: the signature of its checkpoint, each entry's proof, their order, and that none is
/// missing from what the bundle says it contains.
///
/// Without a trusted key the bundle is only shown to agree with itself: [`Verified::key_trusted`] is false.
///
/// # Errors
/// The first [`BundleError`] found.
pub fn verify_bundle(bundle: &Bundle, trusted_key: Option<&VerifierKey>) -> Result<Verified, BundleError> {
    let malformed = |reason: &str| BundleError::Malformed { reason: reason.to_owned() };
    if bundle.format != FORMAT {
        return Err(malformed("the format is not `hpc-audit-bundle/v1`"));
    }
    if bundle.profile != PROFILE.name() {
        return Err(malformed("the hash profile is not `rfc6962-sha256`"));
    }
    if bundle.entries.len() > BUNDLE_ENTRIES_MAX {
        return Err(BundleError::TooMuch {
            what: "entries",
            got: bundle.entries.len(),
            max: BUNDLE_ENTRIES_MAX,
        });
    }
    let key: VerifierKey = bundle.vkey.parse().map_err(BundleError::Key)?;
    if let Some(trusted) = trusted_key
        && *trusted != key
    {
        return Err(BundleError::OtherKey { got: key.to_string(), want: trusted.to_string() });
    }
    let signed =
        SignedCheckpoint::open(bundle.checkpoint.as_bytes(), &key).map_err(BundleError::Checkpoint)?;
    let checkpoint = signed.checkpoint().clone();
    check_order(bundle)?;
    let mut entries = Vec::with_capacity(bundle.entries.len());
    for BundleEntry { index, entry, proof } in &bundle.entries {
        let inclusion = |source| BundleError::Inclusion { index: *index, source };
        if proof.len() > PROOF_HASHES_MAX {
            return Err(BundleError::TooMuch {
                what: "proof hashes",
                got: proof.len(),
                max: PROOF_HASHES_MAX,
            });
        }
        let leaf_hash = Entry::leaf_hash(entry.as_bytes());
        let hashes = proof
            .iter()
            .map(|text| Hash::from_base64(text))
            .collect::<Result<Vec<_>, _>>()
            .map_err(inclusion)?;
        // Size and root come from the signed checkpoint, never from beside the proof.
        InclusionProof { profile: PROFILE, leaf_index: *index, tree_size: checkpoint.size, hashes }
            .verify(&leaf_hash, &checkpoint.root)
            .map_err(inclusion)?;
        let entry =
            Entry::decode(entry.as_bytes()).map_err(|source| BundleError::Entry { index: *index, source })?;
        entries.push(Recorded { index: *index, leaf_hash, entry });
    }
    let consistency = bundle.consistency.as_ref().map(|proof| proof.to_proof(checkpoint.size)).transpose()?;
    let selection = bundle.selection.clone();
    Ok(Verified {
        key,
        key_trusted: trusted_key.is_some(),
        checkpoint,
        signed,
        consistency,
        selection,
        entries,
    })
}

/// The entries must be exactly those that the selection names, in rising order.
fn check_order(bundle: &Bundle) -> Result<(), BundleError> {
    let mut found = bundle.entries.iter().map(|entry| entry.index);
    let mut compare = |expected: Option<u64>| match (expected, found.next()) {
        (expected, found) if expected == found => Ok(()),
        (expected, found) => {
            let name =
                |index: Option<u64>| index.map_or_else(|| "none".to_owned(), |index| index.to_string());
            Err(BundleError::Order { expected: name(expected), found: name(found) })
        }
    };
    match &bundle.selection {
        Selection::Range { start, end } => {
            if start > end {
                return Err(BundleError::Malformed { reason: "the range ends before it begins".to_owned() });
            }
            (*start..*end).try_for_each(|index| compare(Some(index)))?;
        }
        Selection::Indices(indices) => {
            if !indices.iter().zip(indices.iter().skip(1)).all(|(a, b)| a < b) {
                return Err(BundleError::Malformed { reason: "the chosen indices do not rise".to_owned() });
            }
            indices.iter().try_for_each(|index| compare(Some(*index)))?;
        }
    }
    compare(None)
}

fn damaged(index: u64, reason: &str) -> AuditError {
    AuditError::Damaged { place: format!("entry {index}"), reason: reason.to_owned() }
}
