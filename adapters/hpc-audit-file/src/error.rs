use hpc_audit::{Checkpoint, SignedCheckpoint};
use hpc_crypto::CryptoError;

/// Why a folder cannot be opened as a log, or does not hold.
///
/// Files are named relative to the folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirError {
    /// The operating system refused.
    #[error("`{file}`: {reason}")]
    Io {
        /// The file.
        file: String,
        /// What the operating system said.
        reason: String,
    },
    /// Another process, or this one, has the log open.
    #[error("the log is in use: stop the program that writes it, or look at a copy")]
    InUse,
    /// A file that must be there is not.
    #[error("`{file}` is missing")]
    Missing {
        /// The file.
        file: String,
    },
    /// A file that has no business in the folder.
    #[error("`{file}` does not belong to the log")]
    Unexpected {
        /// The file.
        file: String,
    },
    /// A file whose bytes are not what they must be.
    #[error("`{file}` {}: {reason}", at(*.offset))]
    Damaged {
        /// The file.
        file: String,
        /// The first byte that is wrong, as closely as can be said; nothing when it is the file as a whole.
        offset: Option<u64>,
        /// What is wrong.
        reason: String,
    },
    /// The log belongs to another key than the one given.
    #[error("the log is of key `{got}`, expected `{want}`")]
    OtherKey {
        /// The key of the folder.
        got: String,
        /// The key given.
        want: String,
    },
    /// The log signs fewer entries than it once did: it was put back to an earlier state, or cut.
    ///
    /// The two notes together are evidence.
    #[error(
        "the log went back: it signs {}, but {} is remembered: put the later state back, and keep both checkpoints",
        shown(signed),
        shown(remembered)
    )]
    Rollback {
        /// What was given.
        remembered: Box<SignedCheckpoint>,
        /// What the folder has.
        signed: Box<SignedCheckpoint>,
    },
    /// The log signed two histories: the remembered one is not the beginning of this one.
    ///
    /// The two notes together are evidence against whoever holds the key.
    #[error(
        "the log shows two histories: it signs {}, which does not contain {}, signed by the same key: \
         keep both checkpoints and stop trusting the key",
        shown(signed),
        shown(remembered)
    )]
    SplitView {
        /// What was given.
        remembered: Box<SignedCheckpoint>,
        /// What the folder has.
        signed: Box<SignedCheckpoint>,
    },
    /// The checkpoint to compare with is not one that the log's key signed.
    #[error("the remembered checkpoint is not usable: {0}")]
    Remembered(CryptoError),
    /// The name or key given cannot be used.
    #[error("the given name or key is not usable: {0}")]
    Key(CryptoError),
}

fn at(offset: Option<u64>) -> String {
    offset.map_or_else(|| "is damaged".to_owned(), |offset| format!("is damaged at byte {offset}"))
}

fn shown(signed: &SignedCheckpoint) -> String {
    let Checkpoint { size, root, .. } = signed.checkpoint();
    format!("{size} entries with root `{root}`")
}
