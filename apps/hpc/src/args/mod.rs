//! The grammar of the command line: noun, verb, options. Parsing touches nothing.

mod audit;
mod money;
mod policy;
mod request;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hpc_resources::parse_duration_s;

pub(crate) use audit::{Audit, CheckpointArgs, ExportArgs, ProofArgs, SearchArgs, VerifyArgs};
pub(crate) use money::{Bill, Budget, Charges, Cost, SetBudget};
pub(crate) use policy::{BundleCommand, CreateBundle, Level, Policy, ReplayArgs, Shadow};
pub(crate) use request::{Approval, Decide, Page, PlanArgs, Request, RequestArgs};

/// Heading of the options that every command takes.
const GLOBAL: &str = "Everywhere";

/// Ask for capacity, get it under policy, and prove what happened.
#[derive(Debug, Parser)]
#[command(
    name = "hpc",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    subcommand_required = true,
    before_help = "Examples:\n  hpc request plan --gpu h100:8 --spot --for 2h    what would it cost, and may I?\n  \
                   hpc request apply pln_...                        get it\n  \
                   hpc doctor                                       what is wrong?",
    after_help = "Exit codes: 0 ok, 2 usage, 3 denied, 4 approval pending, 5 no capacity, 6 quota, 7 certificate, \
                  8 price moved, 9 plan expired, 10 daemon unreachable, 11 audit log contradicts itself, 130 interrupted, 1 anything else."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// How results are written to standard output
    #[arg(short, long, global = true, help_heading = GLOBAL, value_enum, default_value_t = Format::Table, env = "HPC_OUTPUT")]
    pub(crate) output: Format,
    /// Which context to use instead of the current one
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "NAME", env = "HPC_CONTEXT")]
    pub(crate) context: Option<String>,
    /// How long to wait for an answer, for example 10s [default: 30s; none for `request apply`]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "TIME", value_parser = timeout)]
    pub(crate) timeout: Option<Duration>,
    /// Keep the receipts of what is recorded: DIR/INDEX.tlog-proof for each, checked first
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR")]
    pub(crate) receipts: Option<PathBuf>,
    /// Never ask a question; fail where one would be needed
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) no_input: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For people, with every column and row
    Wide,
    /// One JSON document, as the daemon sent it; a list is an array
    Json,
    /// One JSON document on each line
    Ndjson,
}

impl Format {
    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson)
    }
    pub(crate) fn is_wide(self) -> bool {
        self == Self::Wide
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask for capacity: plan, then apply
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc request plan --gpu a100-80gb:8 --for 4h --max-hourly 40\n  \
        hpc request apply pln_...\n  hpc request list"
    )]
    Request(Request),
    /// What could be had now, ranked, and why everything else could not. Keeps and spends nothing
    #[command(before_help = "Examples:\n  hpc offers --gpu h100:8 --for 2h\n  \
        hpc offers --gpu a100-80gb:8 --spot --region us-east-1 -o wide\n  hpc offers --file my.yaml -o json")]
    Offers(Box<RequestArgs>),
    /// Decide on plans that wait for a person
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc approval approve pln_... --reason 'release training'\n  \
        hpc approval deny pln_... --reason 'over budget'"
    )]
    Approval(Approval),
    /// Capacity that was granted
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc lease list\n  hpc lease renew lse_... --for 2h\n  hpc lease release lse_..."
    )]
    Lease(Lease),
    /// What things cost
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc cost show\n  hpc cost list --payer user:alice --from 7d\n  \
        hpc cost export --month 2026-11 --out november.csv"
    )]
    Cost(Cost),
    /// What teams, people and agents may spend
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc budget list\n  \
        hpc budget set agent:train-bot --hourly 30 --monthly '500.00 USD'\n  hpc budget remove agent:train-bot"
    )]
    Budget(Budget),
    /// Search what happened, and prove it
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc audit search --subject lse_...\n  \
        hpc audit proof --lease lse_... --out proof.json\n  hpc audit verify proof.json"
    )]
    Audit(Audit),
    /// The rules, and tests of rules
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc policy check policies/\n  hpc policy lint policies/\n  hpc policy diff policies/ candidate/"
    )]
    Policy(Policy),
    /// Price lists: what they say, and what in them cannot be meant
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc catalog check prices.csv\n  hpc catalog show prices.csv --type p5.48xlarge"
    )]
    Catalog(Catalog),
    /// Where capacity comes from, and how it is
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc provider list\n  hpc provider show sim-aws\n  hpc provider list -o json"
    )]
    Provider(Provider),
    /// Instances that nothing explains
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc orphan list\n  hpc orphan reap --all --dry-run\n  hpc orphan reap --all --yes"
    )]
    Orphan(Orphan),
    /// Let nodes in
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc node join-token node-7\n  hpc node join-token node-7 --ttl 5m -o json"
    )]
    Node(Node),
    /// Which daemon to talk to, and as whom
    #[command(subcommand, before_help = "Examples:\n  hpc context list\n  hpc context use dev-lead")]
    Context(ContextCommand),
    /// Check the way to the daemon, and the daemon
    #[command(before_help = "Examples:\n  hpc doctor\n  hpc doctor -o json\n  hpc --context dev-lead doctor")]
    Doctor,
    /// What an error code means, and what to do
    #[command(before_help = "Examples:\n  hpc explain HPC-CAP-0001\n  hpc explain        all codes")]
    Explain {
        /// The code; all of them if left out
        code: Option<String>,
    },
    /// Write a completion script for a shell to standard output
    #[command(
        before_help = "Examples:\n  hpc completions bash > ~/.local/share/bash-completion/completions/hpc\n  \
        hpc completions zsh > ~/.zfunc/_hpc"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages into a folder
    #[command(
        before_help = "Examples:\n  hpc man ~/.local/share/man/man1\n  hpc man /tmp/man && man -l /tmp/man/hpc.1"
    )]
    Man {
        /// The folder, which must exist
        directory: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lease {
    /// Leases you may see
    #[command(before_help = "Examples:\n  hpc lease list\n  hpc lease list --all\n  hpc lease list -o json")]
    List {
        #[command(flatten)]
        page: Page,
        /// Show ended leases too
        #[arg(long, short)]
        all: bool,
    },
    /// One lease
    #[command(before_help = "Examples:\n  hpc lease show lse_...\n  hpc lease show lse_... -o json")]
    Show {
        /// The lease
        lease: String,
    },
    /// Let a lease end later. Policy is asked again, and the money is held first
    #[command(before_help = "Examples:\n  hpc lease renew lse_... --for 2h\n  \
        hpc lease renew lse_... --for 90m --idempotency-key night-shift -o json")]
    Renew {
        /// The lease
        lease: String,
        /// By how much: 2h, 90m, 3d
        #[arg(long = "for", value_name = "TIME")]
        by: String,
        /// Makes the call repeatable: the same key renews the lease once
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// Take new work from a lease, and end it after a while. Draining it again can only bring the end nearer
    #[command(
        before_help = "Examples:\n  hpc lease drain lse_...\n  hpc lease drain lse_... --wait 30m -o json"
    )]
    Drain {
        /// The lease
        lease: String,
        /// After how long it ends, at most 24h
        #[arg(long, value_name = "TIME", default_value = "10m")]
        wait: String,
    },
    /// Follow a lease: a line now and after each change, until it has ended
    #[command(before_help = "Examples:\n  hpc lease watch lse_...\n  hpc lease watch lse_... -o ndjson")]
    Watch {
        /// The lease
        lease: String,
    },
    /// End a lease. Releasing it again changes nothing
    #[command(before_help = "Examples:\n  hpc lease release lse_...\n  hpc lease release lse_... -o json")]
    Release {
        /// The lease
        lease: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Provider {
    /// Every provider: health, offers, age of its prices, what it is out of
    #[command(before_help = "Examples:\n  hpc provider list\n  hpc provider list -o wide")]
    List,
    /// One provider: what it says of itself, its last error, its quotas, what it is out of
    #[command(before_help = "Examples:\n  hpc provider show sim-aws\n  hpc provider show sim-aws -o json")]
    Show {
        /// The provider
        provider: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Orphan {
    /// What carries this installation's tag and no open lease explains, without touching it
    #[command(before_help = "Examples:\n  hpc orphan list\n  hpc orphan list -o json")]
    List,
    /// End what nothing explains and is older than the grace. One that cannot be ended stops no other; exit code 1 then
    #[command(before_help = "Examples:\n  hpc orphan reap --all --dry-run\n  \
        hpc orphan reap sim-aws.i-0f3a... --yes\n  hpc orphan reap --all --yes -o json")]
    Reap {
        /// These alone, by their names in `hpc orphan list`
        #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
        names: Vec<String>,
        /// All of them
        #[arg(long)]
        all: bool,
        /// Only say what would be ended
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
        /// End it without being asked
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// Make a one-time token with which a node gets its certificate
    #[command(
        before_help = "Examples:\n  hpc node join-token node-7\n  hpc node join-token node-7 --ttl 5m > token"
    )]
    JoinToken {
        /// The node it is for
        name: String,
        /// How long it may be used [default: set by the daemon]
        #[arg(long, value_name = "TIME", value_parser = timeout)]
        ttl: Option<Duration>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// All contexts
    #[command(before_help = "Examples:\n  hpc context list\n  hpc context list -o json")]
    List,
    /// One context
    #[command(before_help = "Examples:\n  hpc context show\n  hpc context show dev-lead")]
    Show {
        /// The context; the one in use if left out
        name: Option<String>,
    },
    /// Choose the context that is used from now on
    #[command(before_help = "Examples:\n  hpc context use dev\n  hpc context use dev-lead")]
    Use {
        /// The context
        name: String,
    },
}

/// A length of time of at least a second and at most a day.
fn timeout(text: &str) -> Result<Duration, String> {
    const SECONDS_MAX: u64 = 24 * 3_600;
    let advice = || "write a time from 1s to 24h, such as `10s` or `5m`".to_owned();
    match parse_duration_s(text) {
        Ok(seconds @ 1..=SECONDS_MAX) => Ok(Duration::from_secs(seconds)),
        _ => Err(advice()),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Catalog {
    /// Every row of a price list that cannot be meant, by line and reason; exit code 1 if there is one
    #[command(before_help = "Examples:\n  hpc catalog check prices.csv\n  \
        hpc catalog check ec2-types.csv --region us-east-1 -o json")]
    Check {
        #[command(flatten)]
        list: PriceList,
    },
    /// What a price list says, as far as it can be used
    #[command(before_help = "Examples:\n  hpc catalog show prices.csv\n  \
        hpc catalog show prices.csv --type p5.48xlarge")]
    Show {
        #[command(flatten)]
        list: PriceList,
        /// This machine type alone
        #[arg(long = "type", value_name = "TYPE")]
        instance_type: Option<String>,
    },
}

/// A price list, and what it does not say itself.
#[derive(Debug, Clone, Args)]
pub(crate) struct PriceList {
    /// A CSV file with the columns of SkyPilot, gpuhunt or EC2's types
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Whose machines they are
    #[arg(long, value_name = "ID", default_value = "catalog")]
    pub(crate) provider: String,
    /// The region of a list without that column
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// What its prices are in
    #[arg(long, value_name = "CODE", default_value = "USD")]
    pub(crate) currency: String,
    /// Its names of zones are the same for everybody, as on GCP; otherwise zones are left open
    #[arg(long)]
    pub(crate) global_zones: bool,
}
