use crate::merkle::LEAVES_MAX;
use crate::merkle::Profile;

/// Everything that can go wrong in this package, as data: no case carries a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The leaf asked for is not in a tree of this size.
    #[error("leaf index {index} is not below the tree size {size}")]
    IndexOutOfRange {
        /// The index asked for.
        index: u64,
        /// The number of leaves.
        size: u64,
    },
    /// Two sizes that no growing log can have; size 0 has no consistency proof because it proves nothing.
    #[error("sizes {old} and {new} are not two sizes of one growing log: take 1 <= old <= new")]
    SizesOutOfRange {
        /// The earlier size.
        old: u64,
        /// The later size.
        new: u64,
    },
    /// The range is not a node of the tree.
    #[error(
        "range {start}..{end} of a tree of {size} is no subtree: its start must be a multiple of the next power of two of its length"
    )]
    InvalidSubtree {
        /// First leaf of the range.
        start: u64,
        /// One past the last leaf.
        end: u64,
        /// The number of leaves of the whole tree.
        size: u64,
    },
    /// The tree is at its limit.
    #[error("a tree holds at most {LEAVES_MAX} leaves")]
    TooManyLeaves,
    /// A proof with hashes missing or left over.
    #[error("the proof has {got} hashes where {want} are needed")]
    WrongProofLength {
        /// Hashes in the proof.
        got: usize,
        /// Hashes that a proof of this shape has.
        want: usize,
    },
    /// A proof made for another hash profile.
    #[error("the proof is of profile `{got}`, the tree of profile `{want}`")]
    WrongProfile {
        /// Profile of the proof.
        got: Profile,
        /// Profile of the tree.
        want: Profile,
    },
    /// The arithmetic of the proof leads elsewhere.
    #[error("the proof leads to another root: the leaf, the proof or the root was changed")]
    RootMismatch,
    /// A fixed-size value of the wrong size.
    #[error("{what} is {want} bytes long, got {got}")]
    WrongLength {
        /// What was being read.
        what: &'static str,
        /// Bytes found.
        got: usize,
        /// Bytes needed.
        want: usize,
    },
    /// A value that is not the hexadecimal or Base64 it should be.
    #[error("{what} is not valid {encoding}")]
    BadEncoding {
        /// What was being read.
        what: &'static str,
        /// The encoding expected.
        encoding: &'static str,
    },
    /// Bytes that are no canonical point of the curve.
    #[error("the public key is not a canonical point of the curve")]
    InvalidPublicKey,
    /// A key of low order, under which one signature can fit many messages.
    #[error("the public key is of low order and would accept forged signatures")]
    WeakPublicKey,
    /// A key name that the note format cannot carry.
    #[error(
        "`{}` cannot name a key: use 1 to {max} bytes without spaces, control characters or `+`",
        shown(name),
        max = crate::note::KEY_NAME_BYTES_MAX
    )]
    InvalidKeyName {
        /// The name given.
        name: String,
    },
    /// A verifier key that cannot be read.
    #[error("not a verifier key: {reason}")]
    InvalidVerifierKey {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A signed note that cannot be read.
    #[error("not a signed note: {reason}")]
    InvalidNote {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// None of the signatures is by a key that the caller trusts.
    #[error("the note carries no signature of a trusted key")]
    NoTrustedSignature,
    /// A trusted key's signature that does not fit the text.
    #[error("the signature of `{name}` does not fit the text: one of the two was changed")]
    BadSignature {
        /// The key's name.
        name: String,
    },
    /// A cosignature later than the format can say.
    #[error("the time {time_s} of a cosignature is over 2^63 - 1 seconds")]
    TimeOutOfRange {
        /// POSIX seconds.
        time_s: u64,
    },
    /// A checkpoint that cannot be read.
    #[error("not a checkpoint: {reason}")]
    InvalidCheckpoint {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A checkpoint of another log.
    #[error("the checkpoint is of log `{}`, expected `{}`", shown(got), shown(want))]
    WrongOrigin {
        /// Origin in the checkpoint.
        got: String,
        /// Origin that the key stands for.
        want: String,
    },
    /// A checkpoint of a log whose key the caller does not have.
    #[error(
        "no key is known for the log `{}`: add its verifier key to the logs that are trusted",
        shown(origin)
    )]
    UnknownLog {
        /// Origin in the checkpoint.
        origin: String,
    },
    /// A C2SP policy that cannot be read.
    #[error("line {line} of the policy: {reason}")]
    InvalidTlogPolicy {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint without the cosignatures that a policy asks for.
    #[error("too few witnesses cosigned the checkpoint: {missing}")]
    QuorumMissed {
        /// What is missing.
        missing: String,
    },
    /// A request to a witness that cannot be read.
    #[error("not an add-checkpoint request: {reason}")]
    InvalidAddCheckpoint {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Evidence of a split view that cannot be read or shows none.
    #[error("no evidence of a split view: {reason}")]
    InvalidSplitView {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A tile or entry bundle that cannot be what it says.
    #[error("not a tile: {reason}")]
    InvalidTile {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An entry too long for the 16-bit length of an entry bundle.
    #[error("an entry is at most {max} bytes, got {got}: store its digest instead", max = crate::tile::ENTRY_BYTES_MAX)]
    EntryTooLong {
        /// Bytes of the entry.
        got: usize,
    },
    /// A proof text that cannot be read.
    #[error("not a log proof: {reason}")]
    InvalidProofText {
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// The beginning of a foreign text, for a message. Control characters could speak to a terminal and are replaced.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
