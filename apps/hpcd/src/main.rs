//! `hpcd`: the daemon of HPC Foundation.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use hpc_error::HpcError;
use hpc_tracing::{MetricsServer, TracingConfig, TracingGuard};
use hpcd::banner;
use hpcd::clock::{Pace, wall_now};
use hpcd::context::Contexts;
use hpcd::daemon::{Daemon, Listen};
use hpcd::demo::{self, DemoOptions, Ending, Voice};
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
        after_help = "Examples:\n  hpcd dev\n  hpcd dev --data ./hpc-dev\n  hpcd dev --api-port 0 --telemetry-port 0"
    )]
    Dev(DevArgs),
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
    /// What goes wrong in the simulated clouds.
    #[arg(long, value_name = "STORY", default_value = "stock-out", value_parser = hpc_provider_sim::STORIES)]
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
    /// What goes wrong in the simulated clouds.
    #[arg(long, value_name = "STORY", default_value = "none", value_parser = hpc_provider_sim::STORIES)]
    fail: String,
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
    let listen =
        Listen { api: (args.bind, args.api_port).into(), telemetry: (args.bind, args.telemetry_port).into() };
    listen.check()?;
    let options = WorldOptions {
        data,
        seed,
        policies,
        policy_key,
        catalog,
        providers: args.providers,
        story: args.fail,
        pace: Pace::Wall,
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
    let daemon = Daemon::start(Arc::clone(&world), listen).await?;
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
