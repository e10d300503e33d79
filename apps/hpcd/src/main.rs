//! `hpcd`: the daemon of HPC Foundation.

mod secret_command;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::secret_command::SecretCommand;
use clap::{Args, Parser, Subcommand};
use hpc_error::HpcError;
use hpc_tracing::{MetricsServer, TracingConfig, TracingGuard};
use hpcd::banner;
use hpcd::clock::{Pace, SPEED_MAX, wall_now};
use hpcd::context::Contexts;
use hpcd::daemon::{Daemon, Listen};
use hpcd::demo::{self, DemoOptions, Ending, Voice};
use hpcd::witness::{self, RunningWitness, WitnessOptions};
use hpcd::world::{World, WorldOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long the rest of the work may take once the outcome is known.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
/// Exit code of a process that was interrupted: 128 and the number of SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

/// The daemon of HPC Foundation: ask for GPU capacity, get it under policy, with proof.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "Examples:\n  hpcd demo\n  hpcd demo --request my.yaml --policies my/ --seed 7 --data d\n  hpcd dev --data ./hpc-dev"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the whole journey of one request against SIMULATED clouds, check the proof, and exit.
    #[command(
        after_help = "Examples:\n  hpcd demo\n  hpcd demo --fail lost-answer\n  hpcd demo --request my.yaml --policies my/ --catalog prices.csv --json"
    )]
    Demo(DemoArgs),
    /// Serve the same world on loopback until Ctrl-C; `hpc` finds it by itself. NOT FOR PRODUCTION.
    #[command(
        after_help = "Examples:\n  hpcd dev\n  hpcd dev --data ./hpc-dev\n  hpcd dev --api-port 0 --telemetry-port 0\n  hpcd dev --audit-listen 127.0.0.1:7804"
    )]
    Dev(DevArgs),
    /// Cosign checkpoints of other logs after checking that they only grew (C2SP tlog-witness).
    #[command(
        subcommand,
        after_help = "Examples:\n  hpcd witness keygen witness.example.org/w1 --out w1.key > w1.vkey\n  hpcd witness run --key w1.key --data ./w1 --log VKEY\n  hpcd witness evidence --data ./w1"
    )]
    Witness(WitnessCommand),
    /// Credentials of providers, sealed in a data directory.
    #[command(
        subcommand,
        after_help = "Examples:\n  aws configure export-credentials | hpcd secret put aws/renting --data ./hpc-dev --create\n  hpcd secret list --data ./hpc-dev"
    )]
    Secret(SecretCommand),
}

#[derive(Subcommand)]
enum WitnessCommand {
    /// Serve until Ctrl-C. What was cosigned is durable before it is answered.
    Run(WitnessArgs),
    /// Draw a key: the private one into a new file with mode 0600, the public one to standard output.
    Keygen {
        /// Name of the key: a URL without its scheme, such as witness.example.org/w1. One key for one purpose.
        name: String,
        /// The file to write; it must not be there yet.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// List the contradictions of logs that a witness has kept, whether or not it runs. Exit code 1 if there are any.
    Evidence {
        /// Where the witness keeps its state.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// One JSON array instead of text.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct WitnessArgs {
    /// Public key of a log to watch, NAME+ID+KEY; may be given several times.
    #[arg(long, value_name = "VKEY", required_unless_present = "logs")]
    log: Vec<String>,
    /// Public keys of logs in a file, one a line; `#` begins a comment.
    #[arg(long, value_name = "FILE")]
    logs: Option<PathBuf>,
    /// The witness's own private key, from `hpcd witness keygen`. Mode 0600.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where state and evidence are kept. Never lose or reset it: a witness that forgot would cosign a second history.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where to listen, over plain HTTP: signatures protect what is said. Put a proxy with TLS in front.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7805")]
    listen: std::net::SocketAddr,
    /// A proxy with TLS is in front: allow an address that is not loopback.
    #[arg(long)]
    behind_proxy: bool,
    /// TCP port of /metrics (no secrets, plain HTTP, loopback); 0 switches it off.
    #[arg(long, value_name = "PORT", default_value_t = 7806)]
    metrics_port: u16,
    /// Level of the log on standard error.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log_level: String,
}

#[derive(Args)]
struct WorldArgs {
    /// Directory of policies (*.yaml), or a signed bundle, instead of the starter set.
    #[arg(long, value_name = "PATH")]
    policies: Option<PathBuf>,
    /// Public keys of policy authors, one a line: only bundles that one of them has signed are taken.
    #[arg(long, value_name = "FILE", requires = "policies")]
    policy_key: Option<PathBuf>,
    /// Catalog of `sim-aws`: a CSV with instance types, shapes and on-demand prices, instead of the built-in one.
    #[arg(long, value_name = "FILE.csv")]
    catalog: Option<PathBuf>,
    /// Seed of the simulated clouds: the same seed, the same story. [default: 42, or that of --data]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Keep state here; a second run continues it. Without it everything is temporary.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Args)]
struct DemoArgs {
    /// The request: a YAML, TOML or JSON file, instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    #[command(flatten)]
    world: WorldArgs,
    /// What goes wrong in the simulated clouds: none, stock-out, quota, lost-answer, spot-reclaim, reservation, or a file of
    /// rules and recordings (YAML, TOML or JSON).
    #[arg(long, value_name = "STORY|FILE", default_value = "stock-out")]
    fail: String,
    /// One JSON document a line instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct DevArgs {
    #[command(flatten)]
    world: WorldArgs,
    /// Which providers to ask: a YAML, TOML or JSON file, instead of all simulated clouds.
    #[arg(long, value_name = "FILE")]
    providers: Option<PathBuf>,
    /// What goes wrong in the simulated clouds: none, stock-out, quota, lost-answer, spot-reclaim, reservation, or a file of
    /// rules and recordings (YAML, TOML or JSON).
    #[arg(long, value_name = "STORY|FILE", default_value = "none")]
    fail: String,
    /// Let time pass N times as fast, up to 10,000: with simulated clouds alone. No real node can keep up.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(SPEED_MAX)))]
    speed: u32,
    /// Address to listen on; anything but loopback is refused.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    bind: std::net::IpAddr,
    /// TCP port of the control API (gRPC, mutual TLS); 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 7801)]
    api_port: u16,
    /// UDP port of telemetry (QUIC, mutual TLS); 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 7802)]
    telemetry_port: u16,
    /// TCP port of /metrics (no secrets, plain HTTP, loopback); 0 switches it off.
    #[arg(long, value_name = "PORT", default_value_t = 7803)]
    metrics_port: u16,
    /// Also serve the audit log's checkpoint and tiles here to ANYBODY who can connect, over plain HTTP, for auditors
    /// without a certificate. Entries name principals, leases and decisions. Loopback: put a proxy with TLS in front.
    #[arg(long, value_name = "ADDR")]
    audit_listen: Option<std::net::SocketAddr>,
    /// Witnesses to ask for cosignatures of the audit log's checkpoints, and the quorum (C2SP tlog-policy with URLs).
    #[arg(long, value_name = "FILE")]
    audit_policy: Option<PathBuf>,
    /// Where `hpc` looks for its contexts. [default: $HPC_HOME or ~/.config/hpc]
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Level of the log on standard error.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: String,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match cli.command {
        Command::Demo(args) => runtime.block_on(run_demo(args)),
        Command::Dev(args) => runtime.block_on(run_dev(args)),
        Command::Secret(command) => runtime.block_on(secret_command::run(command)),
        Command::Witness(WitnessCommand::Run(args)) => runtime.block_on(run_witness(args)),
        Command::Witness(WitnessCommand::Keygen { name, out }) => {
            witness::keys::generate(&name, &out).map(|key| {
                println!("{key}");
                0
            })
        }
        Command::Witness(WitnessCommand::Evidence { data, json }) => show_evidence(&data, json),
    };
    // Tasks hold the world, and the world its temporary directory: they go before the process does.
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => report(&error),
    }
}

async fn run_demo(args: DemoArgs) -> Result<u8, HpcError> {
    let mut signals = Signals::install()?;
    let WorldArgs { policies, policy_key, catalog, seed, data } = args.world;
    let voice = Voice::new(args.json);
    let options = DemoOptions {
        request: args.request,
        policies,
        policy_key,
        catalog,
        seed,
        data,
        story: args.fail,
        json: args.json,
    };
    let ended = tokio::select! {
        ended = demo::run(options, &voice) => ended?,
        () = signals.recv() => {
            eprintln!("\nstopped before the end of the story");
            return Ok(EXIT_INTERRUPTED);
        }
    };
    match ended {
        Ending::Whole => Ok(0),
        Ending::Refused(code) => {
            eprintln!("\nrefused ({}): {}", code.code, code.title);
            eprintln!("  try: {}", code.remedy);
            Ok(code.exit_code)
        }
    }
}

async fn run_dev(args: DevArgs) -> Result<u8, HpcError> {
    let _guard = logging(&args.log)?;
    // Before anything is made that must be cleared away.
    let mut signals = Signals::install()?;
    let WorldArgs { policies, policy_key, catalog, seed, data } = args.world;
    let listen = Listen {
        api: (args.bind, args.api_port).into(),
        telemetry: (args.bind, args.telemetry_port).into(),
        audit: args.audit_listen,
    };
    listen.check()?;
    let options = WorldOptions {
        data,
        seed,
        policies,
        policy_key,
        catalog,
        providers: args.providers,
        story: args.fail,
        pace: if args.speed == 1 { Pace::Wall } else { Pace::Times(args.speed) },
        start: wall_now(),
    };
    let world = tokio::select! {
        world = World::open(options) => world?,
        () = signals.recv() => {
            eprintln!("stopped before it served");
            return Ok(EXIT_INTERRUPTED);
        }
    };
    let metrics = serve_metrics((args.bind, args.metrics_port).into())?;
    let daemon = Daemon::start_witnessed(Arc::clone(&world), listen, args.audit_policy.as_deref()).await?;
    let home = match args.home {
        Some(home) => home,
        None => hpc::context::home_from_env()?,
    };
    let contexts = Contexts::write(&daemon, &home)?;
    print!("{}", banner::text(&daemon, &contexts, metrics.as_ref().map(|(_, address)| *address)));
    signals.recv().await;
    eprintln!("stopping");
    drop(contexts);
    tokio::select! {
        stopped = daemon.stop() => stopped?,
        () = signals.recv() => {
            eprintln!("stopped while calls were in flight; the next start settles them");
            return Ok(EXIT_INTERRUPTED);
        }
    }
    Ok(0)
}

async fn run_witness(args: WitnessArgs) -> Result<u8, HpcError> {
    let _guard = logging(&args.log_level)?;
    let mut signals = Signals::install()?;
    let mut logs = args.logs.as_deref().map(witness::keys::read_logs).transpose()?.unwrap_or_default();
    for log in &args.log {
        logs.push(log.parse().map_err(|error| {
            let message = format!("--log is no public key of a log (NAME+ID+KEY): {error}");
            HpcError::coded(&hpc_error::codes::USG_UNKNOWN_VALUE, message)
        })?);
    }
    let metrics = serve_metrics((std::net::Ipv4Addr::LOCALHOST, args.metrics_port).into())?;
    let options = WitnessOptions {
        logs,
        key: args.key,
        data: args.data,
        listen: args.listen,
        behind_proxy: args.behind_proxy,
    };
    let running = RunningWitness::start(options.clone()).await?;
    println!("hpcd witness {}", running.witness.key());
    println!("  answers     http://{}/add-checkpoint", running.address);
    if let Some((_, address)) = &metrics {
        println!("  metrics     http://{address}/metrics");
    }
    for log in &options.logs {
        println!("  log         {}, cosigned up to {}", log.name(), running.witness.size_of(log.name()));
    }
    signals.recv().await;
    eprintln!("stopping");
    tokio::select! {
        () = running.stop() => Ok(0),
        () = signals.recv() => Ok(EXIT_INTERRUPTED),
    }
}

fn show_evidence(data: &std::path::Path, json: bool) -> Result<u8, HpcError> {
    let found = witness::store::evidence(data)?;
    print!("{}", witness::evidence_text(&found, json));
    Ok(u8::from(!found.is_empty()))
}

fn logging(level: &str) -> Result<TracingGuard, HpcError> {
    let config =
        TracingConfig { service_name: "hpcd".to_owned(), log_level: level.to_owned(), otlp_endpoint: None };
    hpc_tracing::init(config)
        .map_err(|error| HpcError::coded(&hpc_error::codes::USG_UNKNOWN_VALUE, format!("--log: {error}")))
}

/// `/metrics` on its own listener; port 0 switches it off.
fn serve_metrics(
    address: std::net::SocketAddr,
) -> Result<Option<(MetricsServer, std::net::SocketAddr)>, HpcError> {
    if address.port() == 0 {
        return Ok(None);
    }
    let server = hpc_tracing::serve_metrics(address, hpc_tracing::metrics::registry()).map_err(|error| {
        HpcError::coded(
            &hpc_error::codes::NET_PORT_IN_USE,
            format!("cannot serve /metrics on {address}: {error}"),
        )
    })?;
    let bound = server.addr();
    Ok(Some((server, bound)))
}

/// Ctrl-C, a polite request to stop, and the terminal going away: all mean "stop, and leave nothing behind".
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` when the process was started to outlive its terminal (`nohup`).
    hangup: Option<Signal>,
}

impl Signals {
    /// From here on these signals no longer end the process at once.
    fn install() -> Result<Self, HpcError> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                HpcError::coded(&hpc_error::codes::INT_BUG, format!("signals cannot be received: {error}"))
            })
        };
        let hangup = if hangup_is_ignored() { None } else { Some(listen(SignalKind::hangup())?) };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup,
        })
    }

    /// Waits for the next one.
    async fn recv(&mut self) {
        let Self { interrupt, terminate, hangup } = self;
        let hung_up = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hung_up => {}
        }
    }
}

/// Whether SIGHUP was being ignored when the process began, as the system tells it; where it does not tell, no.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal n is bit n-1, and SIGHUP is 1.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// One clear message: what, where, what to do; and the exit code that belongs to it.
fn report(error: &HpcError) -> ExitCode {
    match error.registered() {
        Some(code) => {
            eprintln!("error ({}): {error}", code.code);
            eprintln!("  try: {}", code.remedy);
        }
        None => eprintln!("error: {error}"),
    }
    ExitCode::from(error.exit_code())
}
