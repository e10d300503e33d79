//! What things cost, and who may spend how much.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum Cost {
    /// What one lease costs, or all of them and the budgets
    #[command(before_help = "Examples:\n  hpc cost show\n  hpc cost show lse_...\n  hpc cost show -o json")]
    Show {
        /// The lease; all if left out
        lease: Option<String>,
    },
    /// Charges, one for each instance and month, and their sum
    #[command(before_help = "Examples:\n  hpc cost list --month 2026-11\n  \
        hpc cost list --payer agent:train-bot --label project=llm\n  hpc cost list --lease lse_... -o json")]
    List(Charges),
    /// Charges with the columns of FOCUS 1.2, for a tool that reads bills
    #[command(before_help = "Examples:\n  hpc cost export --month 2026-11 --out november.csv\n  \
        hpc cost export --as jsonl --payer team:ml > team.jsonl")]
    Export {
        #[command(flatten)]
        charges: Charges,
        /// How it is written
        #[arg(long = "as", value_name = "FORMAT", value_enum, default_value_t = Bill::Csv)]
        bill: Bill,
        /// The file to write, which must not be there yet; standard output if left out
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// How a bill is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bill {
    /// Comma-separated values with a head
    Csv,
    /// One JSON object on each line
    Jsonl,
}

/// Which charges.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Charges {
    /// Charges that begin in this month, UTC: 2026-11
    #[arg(long, value_name = "MONTH", conflicts_with_all = ["from", "to"])]
    pub(crate) month: Option<String>,
    /// Charges that begin at or after: 2026-11-23T15:00:00Z, or how long ago: 7d
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Charges that begin before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Only what this payer's budgets pay: team:ml, user:alice, agent:train-bot
    #[arg(long, value_name = "PAYER")]
    pub(crate) payer: Option<String>,
    /// Only this lease
    #[arg(long, value_name = "ID")]
    pub(crate) lease: Option<String>,
    /// Only this provider
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Only requests with this label: project=llm
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Budget {
    /// Every limit you may see, and where its payer stands
    #[command(before_help = "Examples:\n  hpc budget list\n  hpc budget list -o json")]
    List,
    /// The limits of one payer
    #[command(before_help = "Examples:\n  hpc budget show team:ml\n  hpc budget show user:alice -o json")]
    Show {
        /// team:NAME, user:NAME, agent:NAME or service:NAME
        payer: String,
    },
    /// Set limits of a payer; those that are not named stay. All limits hold together
    #[command(before_help = "Examples:\n  hpc budget set team:ml --total '10000.00 USD'\n  \
        hpc budget set agent:train-bot --hourly 30 --monthly 500")]
    Set(SetBudget),
    /// Remove limits of a payer, all of them unless some are named
    #[command(
        before_help = "Examples:\n  hpc budget remove agent:train-bot\n  hpc budget remove team:ml --window hourly"
    )]
    Remove {
        /// team:NAME, user:NAME, agent:NAME or service:NAME
        payer: String,
        /// Which limit; several may be given
        #[arg(long = "window", value_name = "LIMIT", value_parser = ["total", "hourly", "monthly"])]
        windows: Vec<String>,
    },
}

#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("limit").required(true).multiple(true).args(["total", "hourly", "monthly"]))]
pub(crate) struct SetBudget {
    /// team:NAME, user:NAME, agent:NAME or service:NAME
    pub(crate) payer: String,
    /// The most that may be spent and held in all: 1000 or '1000.00 USD'
    #[arg(long, value_name = "MONEY")]
    pub(crate) total: Option<String>,
    /// The most that everything that runs or is tried may cost per hour
    #[arg(long, value_name = "MONEY")]
    pub(crate) hourly: Option<String>,
    /// The most that may be spent and held in one calendar month, UTC
    #[arg(long, value_name = "MONEY")]
    pub(crate) monthly: Option<String>,
}
