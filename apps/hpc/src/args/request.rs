//! Asking for capacity: requests, plans, approvals.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
        "duration", "hedge", "max_hourly", "max_total", "regions", "providers", "instances_max", "team", "name", "purpose",
        "labels", "priority", "replace"])]
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
    #[arg(long, value_name = "KIND", value_parser = ["spot", "on-demand", "reserved", "owned", "block", "flex"])]
    pub(crate) kind: Vec<String>,
    /// How long: 2h, 90m, 3d [default: 1h]
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) duration: Option<String>,
    /// When the provider takes it back, get other capacity for the rest of the time: policy and budget decide anew
    #[arg(long)]
    pub(crate) replace: bool,
    /// Try the next offer beside the first when that has not answered after so long: 20s; both may cost money for a while
    #[arg(long, value_name = "TIME")]
    pub(crate) hedge: Option<String>,
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
