//! One module per noun. A command ends with an exit code, or with an error that has one.

mod approval;
mod audit;
mod audit_checkpoint;
mod audit_export;
mod audit_receipt;
mod audit_verify;
mod budget;
mod catalog;
mod contexts;
mod cost;
mod cost_charges;
mod doctor;
mod lease;
mod node;
mod offers;
mod policy;
mod policy_bundle;
mod policy_check;
mod policy_diff;
mod policy_lint;
mod policy_replay;
mod policy_shadow;
mod policy_ways;
mod provider;
mod receipts;
mod reference;
mod request;

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use hpc_error::{HpcError, codes};
use hpc_types::control::v1;
use serde::Deserialize;

use crate::args::{Cli, Command, Global};
use crate::output::{Io, Screen};
use crate::session::{Session, Surroundings, read};

pub(crate) use audit_checkpoint::Witnessing;
pub(crate) use audit_receipt::CheckedReceipt;
pub(crate) use policy_replay::Replayed;

/// Exit code of a command line that cannot be understood.
const EXIT_USAGE: u8 = 2;

/// Runs one invocation, `args` with the program's name first, and says its exit code.
pub fn run<A: Into<OsString> + Clone>(
    args: impl IntoIterator<Item = A>,
    around: &Surroundings,
    io: Io<'_>,
) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, io),
    };
    let mut screen = Screen::new(io, cli.global.output, cli.global.no_input);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(dispatch(cli.command, &cli.global, around, &mut screen));
            // Nothing is worth waiting for: a name look-up or a read that hangs must not keep the process.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(HpcError::from(error)),
    };
    outcome.unwrap_or_else(|error| {
        screen.error(&error);
        error.exit_code()
    })
}

/// The grammar as data: for completions, manual pages and tests.
#[must_use]
pub fn command_tree() -> clap::Command {
    Cli::command()
}

async fn dispatch(
    command: Command,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    match command {
        Command::Request(command) => request::run(command, global, around, screen).await,
        Command::Offers(args) => offers::run(&args, global, around, screen).await,
        Command::Provider(command) => provider::run(command, global, around, screen).await,
        Command::Approval(command) => approval::run(command, global, around, screen).await,
        Command::Lease(command) => lease::run(command, global, around, screen).await,
        Command::Cost(command) => cost::run(command, global, around, screen).await,
        Command::Budget(command) => budget::run(command, global, around, screen).await,
        Command::Audit(command) => audit::run(command, global, around, screen).await,
        Command::Policy(command) => policy::run(command, global, around, screen).await,
        Command::Catalog(command) => catalog::run(command, (around.now)(), screen),
        Command::Node(command) => node::run(command, global, around, screen).await,
        Command::Context(command) => contexts::run(command, global, around, screen),
        Command::Doctor => doctor::run(global, around, screen).await,
        Command::Explain { code } => reference::explain(code.as_deref(), screen),
        Command::Completions { shell } => reference::completions(shell, screen),
        Command::Man { directory } => reference::man(&directory, screen),
    }
}

/// Help and version go to standard output and are no mistake.
fn usage(error: &clap::Error, io: Io<'_>) -> u8 {
    let mut text = error.render().ansi().to_string();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            drop(io.out.write_all(text.as_bytes()).and_then(|()| io.out.flush()));
            0
        }
        _ => {
            drop(io.err.write_all(text.as_bytes()).and_then(|()| io.err.flush()));
            EXIT_USAGE
        }
    }
}

/// What a daemon says of itself, as far as this client uses it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Info {
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) simulated: bool,
    pub(crate) now: jiff::Timestamp,
    #[serde(default)]
    pub(crate) you: String,
}

/// Asks the daemon what it is.
pub(crate) async fn info(session: &Session) -> Result<Info, HpcError> {
    let answer =
        session.system().info(session.call(v1::InfoRequest {})).await.map_err(crate::session::failure)?;
    read(&answer.into_inner(), "hpc.info/v1")
}

/// The daemon's time, which a simulated one keeps for itself; this machine's if it does not say.
pub(crate) async fn daemon_now(session: &Session, around: &Surroundings) -> jiff::Timestamp {
    info(session).await.map_or_else(|_| (around.now)(), |info| info.now)
}

/// Checks an id before anything is sent.
pub(crate) fn checked_id<T, E: std::fmt::Display>(parsed: Result<T, E>) -> Result<T, HpcError> {
    parsed.map_err(|error| HpcError::coded(&codes::USG_BAD_ID, error.to_string()))
}

/// A key nobody has used before.
pub(crate) fn random_key() -> Result<String, HpcError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| HpcError::internal(format!("the operating system gives no randomness: {error}")))?;
    Ok(bytes.iter().fold(String::from("cli-"), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    }))
}

/// Most items the daemon puts into one page.
const PAGE_MAX: u32 = 1_000;

/// Collects pages until `limit` items are there or no more come.
macro_rules! pages {
    ($session:expr, $client:expr, $limit:expr, $keep:expr) => {{
        let mut items: Vec<hpc_types::control::v1::Document> = Vec::new();
        let (mut page_token, mut left_out, mut more) = (String::new(), 0_u64, false);
        let limit = usize::try_from($limit).unwrap_or(usize::MAX);
        loop {
            let page_size = $limit.min($crate::command::PAGE_MAX);
            let filter = String::new();
            let message = hpc_types::control::v1::ListRequest { page_size, page_token, filter };
            let answer =
                $client.list($session.call(message)).await.map_err($crate::session::failure)?.into_inner();
            for item in answer.items {
                if !$keep(&item) {
                    left_out += 1;
                } else if items.len() < limit {
                    items.push(item);
                } else {
                    more = true;
                }
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() || items.len() >= limit {
                more |= !page_token.is_empty();
                break (items, left_out, more);
            }
        }
    }};
}
pub(crate) use pages;
