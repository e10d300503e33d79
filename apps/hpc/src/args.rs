//! The grammar of the command line: noun, verb, options. Parsing touches nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hpc_resources::parse_duration_s;

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
pub(crate) enum Request {
    /// Judge and price a request. Spends nothing
    #[command(before_help = "Examples:\n  hpc request plan --gpu h100:8 --spot --for 2h --max-hourly 30\n  \
        hpc request plan --file my.yaml\n  hpc request plan --gpu h200:16 --instances-max 2 -o json")]
    Plan(Box<PlanArgs>),
    /// Carry a plan out
    #[command(
        before_help = "Examples:\n  hpc request apply pln_...\n  hpc request apply pln_... --yes -o json"
    )]
    Apply {
        /// The plan
        plan: String,
        /// Spend the money without being asked
        #[arg(long, short)]
        yes: bool,
    },
    /// Requests, and what became of their plans
    #[command(before_help = "Examples:\n  hpc request list\n  hpc request list --limit 10 -o json")]
    List(Page),
    /// One plan
    #[command(before_help = "Examples:\n  hpc request show pln_...\n  hpc request show req_... -o wide")]
    Show {
        /// The plan or the request
        id: String,
    },
    /// Why a plan was judged as it was, rule by rule
    #[command(before_help = "Examples:\n  hpc request explain pln_...\n  \
        hpc request explain pln_... --rule gpu.team-quota")]
    Explain {
        /// The plan
        plan: String,
        /// One rule only
        #[arg(long)]
        rule: Option<String>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    /// Makes the call repeatable: the same key and request give the same plan
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

/// A request, from a file or from flags.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RequestArgs {
    /// A request document: .yaml, .toml or .json
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["gpu", "cpu", "memory", "spot", "on_demand", "kind",
        "duration", "max_hourly", "max_total", "regions", "providers", "instances_max", "team", "name", "purpose",
        "labels", "priority"])]
    pub(crate) file: Option<PathBuf>,
    /// GPU model and how many in all: h100:8
    #[arg(long, value_name = "MODEL[:N]", required_unless_present_any = ["file", "cpu", "memory"])]
    pub(crate) gpu: Option<String>,
    /// CPUs in all
    #[arg(long, value_name = "N")]
    pub(crate) cpu: Option<u32>,
    /// Memory in all: 512GiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Accept capacity that may be reclaimed
    #[arg(long)]
    pub(crate) spot: bool,
    /// Accept capacity at full price
    #[arg(long)]
    pub(crate) on_demand: bool,
    /// Accept this way of buying; several may be given, none means any
    #[arg(long, value_name = "KIND", value_parser = ["spot", "on-demand", "reserved", "owned"])]
    pub(crate) kind: Vec<String>,
    /// How long: 2h, 90m, 3d [default: 1h]
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) duration: Option<String>,
    /// The most it may cost per hour: 30 or '30.00 USD'
    #[arg(long, value_name = "MONEY")]
    pub(crate) max_hourly: Option<String>,
    /// The most it may cost in all
    #[arg(long, value_name = "MONEY")]
    pub(crate) max_total: Option<String>,
    /// Accept this region; several may be given, none means any
    #[arg(long = "region", value_name = "REGION", value_delimiter = ',')]
    pub(crate) regions: Vec<String>,
    /// Accept this provider; several may be given, none means any
    #[arg(long = "provider", value_name = "NAME", value_delimiter = ',')]
    pub(crate) providers: Vec<String>,
    /// Spread over at most so many instances [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) instances_max: Option<u32>,
    /// The team that pays
    #[arg(long, value_name = "TEAM")]
    pub(crate) team: Option<String>,
    /// Your name for it [default: the GPU asked for]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What it is for, for whoever approves
    #[arg(long, value_name = "TEXT")]
    pub(crate) purpose: Option<String>,
    /// A label; several may be given
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// How urgent it is
    #[arg(long, value_parser = ["low", "normal", "high", "critical"])]
    pub(crate) priority: Option<String>,
}

/// How much of a list.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Page {
    /// Most items to show
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Approval {
    /// Approve a plan of somebody else
    #[command(before_help = "Examples:\n  hpc approval approve pln_... --reason 'release training'\n  \
        hpc approval approve pln_... --reason ok --hash 3f... --yes")]
    Approve(Decide),
    /// Refuse a plan
    #[command(before_help = "Examples:\n  hpc approval deny pln_... --reason 'over budget'\n  \
        hpc approval deny pln_... --reason 'wrong team' --yes")]
    Deny(Decide),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Decide {
    /// The plan
    pub(crate) plan: String,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// The plan's hash as you saw it; the decision is refused if the plan has another one
    #[arg(long, value_name = "HEX")]
    pub(crate) hash: Option<String>,
    /// Decide without being asked
    #[arg(long, short)]
    pub(crate) yes: bool,
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
    /// Check a bundle, or the folder of a log, without a daemon or a network
    #[command(before_help = "Examples:\n  hpc audit verify proof.json\n  hpc audit verify hpc-dev/audit\n  \
        hpc audit verify proof.json --key hpcd-dev.audit+... --policy witnesses.policy")]
    Verify(VerifyArgs),
    /// Check every byte of the folder of a log, and say how far the check is
    #[command(before_help = "Examples:\n  hpc audit fsck hpc-dev/audit\n  \
        hpc audit fsck hpc-dev/audit --since old.checkpoint")]
    Fsck(VerifyArgs),
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct VerifyArgs {
    /// A bundle, or the folder of a log
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

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// The policies in force
    #[command(before_help = "Examples:\n  hpc policy show\n  hpc policy show -o json")]
    Show,
    /// Check policies and tables, and show every mistake where it stands, without a daemon
    #[command(before_help = "Examples:\n  hpc policy check policies/\n  \
        hpc policy check starter.yaml access.yaml -o json")]
    Check {
        /// Folders, or policies (*.yaml) and tables (*.test.yaml); all of them make one set
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Ask candidate policies what the audit log has recorded, and show every decision that would change
    #[command(before_help = "Examples:\n  hpc policy replay new/ --from 7d -o json\n  \
        hpc policy replay new/ --audit hpc-dev/audit\n  hpc policy replay new/ --decisions log.ndjson")]
    Replay(ReplayArgs),
    /// Try policies beside those in force: asked the same, compared, never obeyed
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc policy shadow set new/\n  hpc policy shadow show\n  hpc policy shadow clear"
    )]
    Shadow(Shadow),
    /// Put the candidate in force, if it is the one named; it stays until the daemon's policies change at their source
    #[command(before_help = "Examples:\n  hpc policy promote 5f0c...\n  hpc policy promote 5f0c... -o json")]
    Promote {
        /// The candidate's digest, from `hpc policy shadow show`
        digest: String,
    },
    /// Have the daemon read its policies again now; what was promoted ends
    #[command(before_help = "Examples:\n  hpc policy reload\n  hpc policy reload -o json")]
    Reload,
    /// Policies signed by their author: one file, checked as a whole
    #[command(
        subcommand,
        before_help = "Examples:\n  hpc policy bundle keygen policies.example.org --out author.key > author.pub\n  \
        hpc policy bundle create policies/ --key author.key --name production --sequence 1 --out 1.bundle\n  \
        hpc policy bundle verify 1.bundle --key author.pub"
    )]
    Bundle(BundleCommand),
    /// Find rules and conditions that do nothing, or not what they say, without a daemon
    #[command(before_help = "Examples:\n  hpc policy lint policies/\n  \
        hpc policy lint policies/ --level warning\n  hpc policy lint starter.yaml access.yaml -o json")]
    Lint {
        /// Folders, or policies (*.yaml); all of them make one set, and tables (*.test.yaml) are passed over
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Leave out what matters less
        #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Hint)]
        level: Level,
    },
    /// Run tables of cases against policies, without a daemon
    #[command(before_help = "Examples:\n  hpc policy test policies/\n  \
        hpc policy test starter.yaml starter.test.yaml")]
    Test {
        /// Folders, or policies (*.yaml) and tables (*.test.yaml)
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Which decisions new policies make otherwise than old ones, each with a request that shows it, without a daemon
    #[command(before_help = "Examples:\n  hpc policy diff policies/ candidate/\n  \
        hpc policy diff old.yaml new.yaml -o json")]
    Diff {
        /// The policies as they are: a folder, or one file
        old: PathBuf,
        /// The policies as they would be
        new: PathBuf,
    },
    /// Who can do something, under which conditions, and what stands against it
    #[command(before_help = "Examples:\n  hpc policy who-can capacity.request gpu gpu/h100\n  \
        hpc policy who-can capacity.request gpu gpu/h100 policies/ --attribute context.hours=8")]
    WhoCan {
        /// What would be done, such as `capacity.request`
        action: String,
        /// The type of the resource, such as `gpu`
        resource_type: String,
        /// The resource, such as `gpu/h100`
        resource_id: String,
        #[command(flatten)]
        known: PolicyKnown,
    },
    /// What a principal can do, under which conditions, and what stands against it
    #[command(before_help = "Examples:\n  hpc policy what-can user:alice --role gpu-user\n  \
        hpc policy what-can agent:planner policies/ --team ml --attribute context.hours=8")]
    WhatCan {
        /// `user:`, `service:` or `agent:` and the id
        #[arg(value_name = "KIND:ID")]
        principal: String,
        #[command(flatten)]
        known: PolicyKnown,
        /// A role that the principal has; give every one
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// A team that the principal is in; give every one
        #[arg(long = "team", value_name = "TEAM")]
        teams: Vec<String>,
        /// The principal's SPIFFE ID
        #[arg(long, value_name = "ID")]
        spiffe_id: Option<String>,
    },
}

/// Which policies are asked, and what is known.
#[derive(Debug, Args)]
pub(crate) struct PolicyKnown {
    /// Folders, or policies (*.yaml); those in force if left out, which needs a daemon
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// What is known: a path below `principal.`, `resource.`, `action.` or `context.` and a value, which is a number, `true`,
    /// `false`, JSON or else text; nothing is known of all others
    #[arg(long = "attribute", value_name = "PATH=VALUE")]
    pub(crate) attributes: Vec<String>,
}

/// How much a finding matters at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Everything
    Hint,
    /// Rules or parts of rules that do nothing, or not what they say
    Warning,
    /// Only rules that can never have their effect, for a reason in themselves
    Error,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Shadow {
    /// Begin to try policies; what was counted of the ones before is gone
    #[command(
        before_help = "Examples:\n  hpc policy shadow set new/\n  hpc policy shadow set --bundle 8.bundle -o json"
    )]
    Set {
        /// Folders, or policies (*.yaml)
        #[arg(required_unless_present = "bundle", value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// A signed bundle instead; where only signed policies may be in force, nothing else can be promoted
        #[arg(long, value_name = "FILE", conflicts_with = "paths")]
        bundle: Option<PathBuf>,
    },
    /// How the candidate compares so far, and the newest differences
    #[command(before_help = "Examples:\n  hpc policy shadow show\n  hpc policy shadow show -o json")]
    Show,
    /// End the trial
    #[command(before_help = "Examples:\n  hpc policy shadow clear\n  hpc policy shadow clear -o json")]
    Clear,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Make a key to sign with. The public key goes to standard output
    #[command(before_help = "Examples:\n  \
        hpc policy bundle keygen policies.example.org --out author.key > author.pub\n  \
        hpc policy bundle keygen policies.example.org --out author.key -o json")]
    Keygen {
        /// The key's name: who signs, without spaces and `+`
        name: String,
        /// The file to write the private key to; it must not exist, and only you can read it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check policies, then sign them into one file
    #[command(before_help = "Examples:\n  \
        hpc policy bundle create policies/ --key author.key --name production --sequence 1 --out 1.bundle\n  \
        hpc policy bundle create policies/ --key author.key --after 1.bundle --out 2.bundle")]
    Create(CreateBundle),
    /// Check a bundle against the keys of its authors, and say what is in it
    #[command(before_help = "Examples:\n  hpc policy bundle verify 1.bundle --key author.pub\n  \
        hpc policy bundle verify 2.bundle --key author.pub --after 1.bundle -o json")]
    Verify {
        /// The bundle
        file: PathBuf,
        /// Public keys that are trusted, one a line, got over a channel you trust
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The bundle it must be newer than
        #[arg(long, value_name = "FILE")]
        after: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["sequence", "after"]))]
pub(crate) struct CreateBundle {
    /// Folders, or policies (*.yaml); tables of cases are left out
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// The file with the private key, mode 0600
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Which policies these are; a daemon takes bundles of one name only
    #[arg(long, required_unless_present = "after")]
    pub(crate) name: Option<String>,
    /// Its number; of two bundles the higher is newer
    #[arg(long, value_name = "N")]
    pub(crate) sequence: Option<u64>,
    /// The bundle before this one, signed with the same key: name and number follow from it
    #[arg(long, value_name = "FILE")]
    pub(crate) after: Option<PathBuf>,
    /// The file to write; it must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReplayArgs {
    /// The candidate: folders, or policies (*.yaml)
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// A log's folder or a proof instead of the daemon's log; it is checked before anything of it is believed
    #[arg(long, value_name = "PATH")]
    pub(crate) audit: Option<PathBuf>,
    /// The public key of that log, got over a channel you trust
    #[arg(long, value_name = "VKEY", requires = "audit")]
    pub(crate) key: Option<String>,
    /// Entries from `hpc audit search -o ndjson` instead; nothing proves them
    #[arg(long, value_name = "FILE", conflicts_with = "audit")]
    pub(crate) decisions: Option<PathBuf>,
    /// Not before: 2026-11-23T15:00:00Z, or how long ago: 2h
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
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
