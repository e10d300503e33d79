//! What can go wrong around the simulated clouds themselves; a provider's own failures are `ProviderError`.

use std::path::PathBuf;

/// Why a world could not be opened, moved or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The catalog lacks columns.
    #[error("the catalog `{name}` lacks the columns {}; its first line must name all of {}", missing.join(", "), wanted)]
    CatalogColumns {
        /// The catalog's name.
        name: String,
        /// What is missing.
        missing: Vec<String>,
        /// All columns that are needed.
        wanted: &'static str,
    },
    /// The catalog is larger than allowed.
    #[error("the catalog `{name}` is larger than {limit}; split it or leave rows out")]
    CatalogTooLarge {
        /// The catalog's name.
        name: String,
        /// The limit, in words.
        limit: &'static str,
    },
    /// No row of the catalog can be used.
    #[error(
        "the catalog `{name}` has no usable row ({refused} refused, the first: {first}); correct it or leave it out"
    )]
    CatalogEmpty {
        /// The catalog's name.
        name: String,
        /// How many rows were refused.
        refused: u64,
        /// Why the first one was.
        first: String,
    },
    /// A script or trace that cannot be played.
    #[error("{what}")]
    Script {
        /// What is wrong and what to do.
        what: String,
    },
    /// A state file that was written with another seed.
    #[error("`{}` belongs to seed {file_seed}, not {asked}; use that seed, or another file", path.display())]
    Seed {
        /// The file.
        path: PathBuf,
        /// The seed in the file.
        file_seed: u64,
        /// The seed that was asked for.
        asked: u64,
    },
    /// A state file that another process holds.
    #[error("`{}` is in use by another process; stop it, or use another file", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A state file that cannot be trusted.
    #[error(
        "`{}` is damaged at byte {offset} ({what}); restore it from a copy, or move it away to begin with an empty simulated cloud",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// The file system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
}
