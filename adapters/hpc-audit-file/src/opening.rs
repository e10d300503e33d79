use crate::index::IndexReport;

/// What was checked when a log was opened.
///
/// Key, signature of the checkpoint and tail are always checked whole, and so is that entries and tiles give the signed
/// root. In a log of more than [`crate::Config::opening_check_max`] signed entries, the tiles stand for the entries before
/// `checked_from`: a change to one of those is found when its block is read, and by [`crate::check_dir`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The entries from here on were read and compared with every file; 0 when the whole folder was checked.
    pub checked_from: u64,
    /// Number of entries found.
    pub entries: u64,
    /// What was done with the index.
    pub index: IndexReport,
}

impl Opening {
    /// Whether every byte of the folder was checked.
    pub const fn is_complete(&self) -> bool {
        self.checked_from == 0
    }
}
