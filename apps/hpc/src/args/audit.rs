//! The log: searching, proving, exporting, verifying.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Entries that match, oldest first
    #[command(before_help = "Examples:\n  hpc audit search --subject lse_...\n  \
        hpc audit search --outcome denied --from 24h\n  hpc audit search --action lease.active -o ndjson")]
    Search(SearchArgs),
    /// A bundle that proves entries without the daemon
    #[command(before_help = "Examples:\n  hpc audit proof --lease lse_... --out proof.json\n  \
        hpc audit proof --request req_... > proof.json\n  hpc audit proof --index 3 --index 4 --out proof.json")]
    Proof(ProofArgs),
    /// One entry in full, proved to be in the log
    #[command(before_help = "Examples:\n  hpc audit show 41\n  hpc audit show 41 -o json")]
    Show {
        /// The entry's index
        index: u64,
    },
    /// A bundle of many entries, for others to check without the daemon
    #[command(before_help = "Examples:\n  hpc audit export --range 0..1000 --out all.json\n  \
        hpc audit export --from 24h --outcome denied --out denied.json\n  \
        hpc audit export --subject lse_... --out lease.json")]
    Export(ExportArgs),
    /// The newest checkpoint, held against what was seen before; who cosigned it
    #[command(
        before_help = "Examples:\n  hpc audit checkpoint\n  hpc audit checkpoint --policy witnesses.policy -o json"
    )]
    Checkpoint(CheckpointArgs),
    /// Check a bundle, a receipt, or the folder of a log, without a daemon or a network
    #[command(before_help = "Examples:\n  hpc audit verify hpc-dev/audit\n  \
        hpc audit verify receipts/41.tlog-proof\n  \
        hpc audit verify proof.json --key hpcd-dev.audit+... --policy witnesses.policy")]
    Verify(VerifyArgs),
    /// Check every byte of the folder of a log, and say how far the check is
    #[command(before_help = "Examples:\n  hpc audit fsck hpc-dev/audit\n  \
        hpc audit fsck hpc-dev/audit --since old.checkpoint")]
    Fsck(VerifyArgs),
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct VerifyArgs {
    /// A bundle, a receipt, or the folder of a log
    pub(crate) path: PathBuf,
    /// The log's public key, got over a channel you trust
    #[arg(long, value_name = "VKEY")]
    pub(crate) key: Option<String>,
    /// Logs and witnesses to trust (C2SP tlog-policy); the checkpoint must have its quorum
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// An earlier checkpoint to hold it against, instead of the one that was seen last
    #[arg(long, value_name = "CHECKPOINT")]
    pub(crate) since: Option<PathBuf>,
    /// Do not hold it against the checkpoint that was seen last, and remember nothing: for an old copy
    #[arg(long)]
    pub(crate) no_remember: bool,
    /// Which entry a receipt is of, if it does not say so itself: the leaf as `hpc audit show` has it
    #[arg(long, value_name = "HASH")]
    pub(crate) leaf_hash: Option<String>,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CheckpointArgs {
    /// Logs and witnesses to trust (C2SP tlog-policy); the checkpoint must have its quorum
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["range", "index", "principal", "action", "subject", "outcome", "from", "to"]))]
pub(crate) struct ExportArgs {
    /// Every entry from START up to and without END, so that nothing can be missing: 0..1000
    #[arg(long, value_name = "START..END", value_parser = range, conflicts_with_all = ["index", "principal", "action", "subject", "outcome", "from", "to"])]
    pub(crate) range: Option<std::ops::Range<u64>>,
    /// These entries
    #[arg(long, value_name = "INDEX", value_delimiter = ',', conflicts_with_all = ["principal", "action", "subject", "outcome", "from", "to"])]
    pub(crate) index: Vec<u64>,
    /// Entries of this principal
    #[arg(long, value_name = "ID")]
    pub(crate) principal: Option<String>,
    /// Entries about this action: lease.active
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Entries about this plan, request or lease
    #[arg(long, value_name = "ID", visible_aliases = ["lease", "request"])]
    pub(crate) subject: Option<String>,
    /// Entries that ended so
    #[arg(long, value_parser = ["ok", "denied", "failed", "unknown"])]
    pub(crate) outcome: Option<String>,
    /// Not before: 2026-11-23T15:00:00Z, or how long ago: 2h
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// The file to write; it must not be there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// `START..END`, not empty.
fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let bad = || "expected START..END, for example 0..1000".to_owned();
    let (start, end) = text.split_once("..").ok_or_else(bad)?;
    let range = start.parse().map_err(|_| bad())?..end.parse().map_err(|_| bad())?;
    if range.is_empty() { Err("the range is empty".to_owned()) } else { Ok(range) }
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SearchArgs {
    /// Who did it
    #[arg(long, value_name = "ID")]
    pub(crate) principal: Option<String>,
    /// What was done: lease.active
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// What it was done to: the id of a plan, a request, a lease
    #[arg(long, value_name = "ID")]
    pub(crate) subject: Option<String>,
    /// How it ended
    #[arg(long, value_parser = ["ok", "denied", "failed", "unknown"])]
    pub(crate) outcome: Option<String>,
    /// Not before: 2026-11-23T15:00:00Z, or how long ago: 2h
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Only entries after this index
    #[arg(long, value_name = "INDEX")]
    pub(crate) after: Option<u64>,
    /// Most entries
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}

#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["lease", "request", "index"]))]
pub(crate) struct ProofArgs {
    /// Everything about this lease
    #[arg(long)]
    pub(crate) lease: Option<String>,
    /// Everything about this request
    #[arg(long)]
    pub(crate) request: Option<String>,
    /// This entry; several may be given
    #[arg(long, value_name = "INDEX", value_delimiter = ',')]
    pub(crate) index: Vec<u64>,
    /// The file to write; standard output if left out
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
