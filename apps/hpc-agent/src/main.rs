//! `hpc-agent`: joins a daemon with a one-time token and streams what this machine does.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use hpc_agent::{Collector, HostSource, JOIN_FOR_S_MAX, Patience, SimulatedGpus, Stream, join_within};
use hpc_auth::join::JoinToken;
use hpc_error::{HpcError, codes};
use jiff::Timestamp;

/// First wait before a broken stream is opened again; it doubles up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_secs(1);
/// Longest wait before a broken stream is opened again.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The node agent of HPC Foundation: measures this machine and streams it to the daemon, with mutual TLS.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "Examples:\n  hpc node join-token node-1 > token\n  hpc-agent run --token-file token --daemon https://127.0.0.1:7801\n  hpc-agent run --token-file token --join-for 1800\n  hpc-agent once"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Join with a one-time token, then stream until Ctrl-C.
    Run(RunArgs),
    /// Measure this machine once and print the batch as text. Needs no daemon.
    Once {
        /// Add this many SIMULATED GPUs.
        #[arg(long, value_name = "N", default_value_t = 0)]
        simulated_gpus: usize,
    },
}

#[derive(clap::Args)]
struct RunArgs {
    /// File that holds the token; `-` for standard input. A token on the command line would be seen by everybody.
    #[arg(long, value_name = "FILE")]
    token_file: String,
    /// The daemon's control API.
    #[arg(long, value_name = "URL", default_value = "https://127.0.0.1:7801")]
    daemon: String,
    /// How long to try to join while the daemon cannot be reached, in seconds; 0 for one attempt. A token that is refused is
    /// never tried again.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=JOIN_FOR_S_MAX))]
    join_for: u64,
    /// The lease this node works for.
    #[arg(long, value_name = "LEASE")]
    lease: Option<String>,
    /// Seconds between two batches.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Add this many SIMULATED GPUs, named so.
    #[arg(long, value_name = "N", default_value_t = 0)]
    simulated_gpus: usize,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Once { simulated_gpus } => once(simulated_gpus),
        Command::Run(args) => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))
            .and_then(|runtime| runtime.block_on(run(args))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match error.registered() {
                Some(code) => eprintln!("error ({}): {error}\n  try: {}", code.code, code.remedy),
                None => eprintln!("error: {error}"),
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Measures twice, because a processor's share is a difference, and prints the second batch.
fn once(simulated_gpus: usize) -> Result<(), HpcError> {
    let name = HostSource::default().host_name().unwrap_or_else(|_| "this-machine".to_owned());
    let mut collector = Collector::new(name).with_devices(SimulatedGpus::new(0, simulated_gpus));
    let first = collector.collect(now());
    let batch = collector.collect(now());
    let ratio = batch
        .host
        .iter()
        .find_map(|host| host.cpu_ratio)
        .or(first.host.iter().find_map(|host| host.cpu_ratio));
    for host in &batch.host {
        let shown = |value: Option<u64>| value.map_or_else(|| "n/a".to_owned(), |value| value.to_string());
        println!("host {}", host.host_id);
        println!(
            "  cpu_ratio               {}",
            ratio.map_or_else(|| "n/a".to_owned(), |ratio| format!("{ratio:.3}"))
        );
        println!("  memory_used_bytes       {}", shown(host.memory_used_bytes));
        println!("  memory_total_bytes      {}", shown(host.memory_total_bytes));
        println!("  network_received_bytes  {}", shown(host.network_received_bytes));
        println!("  network_sent_bytes      {}", shown(host.network_sent_bytes));
    }
    for gpu in &batch.gpu {
        let watts = gpu.power_watts.map_or_else(|| "n/a".to_owned(), |watts| format!("{watts:.0}"));
        println!("gpu {} (SIMULATED)  power_watts {watts}", gpu.gpu_id);
    }
    for fault in collector.faults() {
        eprintln!("not measured: {fault}");
    }
    Ok(())
}

async fn run(args: RunArgs) -> Result<(), HpcError> {
    let token = read_token(&args.token_file)?;
    let patience = Patience { within: Duration::from_secs(args.join_for), seed: drawn()? };
    let joined = join_within(&args.daemon, &token, patience, |error, wait| {
        eprintln!("{error}; trying again in {} s", wait.as_secs().max(1));
    })
    .await?;
    eprintln!("joined as {}; telemetry goes to {}", joined.id, joined.telemetry_addr);
    let mut collector = Collector::new(token.node().as_str());
    if args.simulated_gpus > 0 {
        collector = collector.with_devices(SimulatedGpus::new(0, args.simulated_gpus));
        eprintln!("{} GPUs are SIMULATED", args.simulated_gpus);
    }
    if let Some(lease) = &args.lease {
        collector = collector.with_lease(lease.as_str());
    }
    let streaming = async {
        let mut wait = WAIT_MIN;
        loop {
            match stream(&joined, &mut collector, Duration::from_secs(args.every)).await {
                Ok(never) => break never,
                Err(error) => eprintln!("{error}; trying again in {} s", wait.as_secs()),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    };
    tokio::select! {
        () = streaming => Ok(()),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))
        }
    }
}

/// Streams for ever; an error ends the stream and the caller opens another.
async fn stream(
    joined: &hpc_agent::Joined,
    collector: &mut Collector,
    every: Duration,
) -> Result<(), HpcError> {
    let mut stream = Stream::open(joined).await?;
    let mut draining = false;
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let batch = collector.collect(now());
        let measurements = u64::try_from(batch.gpu.len() + batch.host.len()).unwrap_or(u64::MAX);
        match stream.send(&batch).await {
            Ok(ack) => {
                if ack.rejected_count > 0 {
                    eprintln!("{} measurements refused: {}", ack.rejected_count, ack.reason);
                }
                let until = ack.drain_until.as_ref().and_then(|at| hpc_types::time::from_proto(at).ok());
                if let Some(until) = until.filter(|_| !draining) {
                    eprintln!("the lease drains: take no new work, it ends at {until}");
                }
                draining = until.is_some();
            }
            Err(error) => {
                collector.count_dropped(measurements);
                return Err(error);
            }
        }
    }
}

/// Longest token file, in bytes.
const TOKEN_BYTES_MAX: u64 = 8_192;

fn read_token(path: &str) -> Result<JoinToken, HpcError> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| {
        HpcError::coded(&codes::USG_FILE_MISSING, format!("cannot read the token from `{path}`: {error}"))
    };
    let mut text = String::new();
    if path == "-" {
        std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text))
            .map_err(failed)?;
    }
    JoinToken::parse(text.trim()).map_err(|error| {
        HpcError::coded(&codes::AUT_TOKEN_INVALID, format!("`{path}` holds no join token: {error}"))
    })
}

/// What the waits between attempts are drawn from.
fn drawn() -> Result<u64, HpcError> {
    getrandom::u64().map_err(|error| {
        HpcError::coded(&codes::INT_BUG, format!("the operating system gives no randomness: {error}"))
    })
}

fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the agent's one clock: the collector takes `now` as an argument"
    )]
    Timestamp::now()
}
