//! The rules, and tests of rules.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
