//! `hpc lease`: list, show, renew, drain, watch, release.

use hpc_broker::LeaseRecord;
use hpc_error::{HpcError, codes};
use hpc_resources::{LeaseId, parse_duration_s};
use hpc_types::control::v1::{self, Document};

use crate::args::{Global, Lease};
use crate::command::{checked_id, daemon_now, pages, random_key, receipts};
use crate::output::Screen;
use crate::render;
use crate::session::{Session, Surroundings, failure, present, read};
use crate::text;

/// A length of time as the daemon is told it.
macro_rules! to_proto {
    ($length:expr) => {
        hpc_types::time::duration_to_proto($length)
            .map_err(|error| HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string()))
    };
}

/// Exit code after Ctrl-C.
const EXIT_INTERRUPTED: u8 = 130;

pub(super) async fn run(
    command: Lease,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    match command {
        Lease::List { page, all } => {
            let session = Session::open(around, global).await?;
            list(&session, page.limit, all, around, screen).await
        }
        Lease::Show { lease } => {
            let lease = checked_id(LeaseId::parse(lease))?;
            let session = Session::open(around, global).await?;
            let message = v1::ShowRequest { id: lease.to_string() };
            let document = session.leases().show(session.call(message)).await.map_err(failure)?.into_inner();
            print(&document, &session, around, screen).await
        }
        Lease::Renew { lease, by, idempotency_key } => {
            let lease_id = checked_id(LeaseId::parse(lease))?.to_string();
            let by = Some(to_proto!(length("--for", &by)?)?);
            let idempotency_key = idempotency_key.map_or_else(random_key, Ok)?;
            let session = Session::open(around, global).await?;
            let message = v1::RenewRequest { lease_id, by, idempotency_key };
            let answer = session.leases().renew(session.call(message)).await.map_err(failure)?.into_inner();
            let receipts = receipts::take(&answer.receipts, &session, global, screen);
            if answer.repeated {
                screen.say("renewed with this key before; nothing was changed");
            }
            let code = print(&present(answer.lease)?, &session, around, screen).await?;
            receipts.map(|()| code)
        }
        Lease::Drain { lease, wait } => {
            let lease_id = checked_id(LeaseId::parse(lease))?.to_string();
            let wait = Some(to_proto!(length("--wait", &wait)?)?);
            let session = Session::open(around, global).await?;
            let message = v1::DrainRequest { lease_id, wait };
            let answer = session.leases().drain(session.call(message)).await.map_err(failure)?.into_inner();
            let receipts = receipts::take(&answer.receipts, &session, global, screen);
            if answer.repeated {
                screen.say("it was to end as early before; nothing was changed");
            }
            let code = print(&present(answer.lease)?, &session, around, screen).await?;
            receipts.map(|()| code)
        }
        Lease::Watch { lease } => {
            let lease = checked_id(LeaseId::parse(lease))?;
            let session = Session::open(around, global).await?;
            watch(&lease, &session, around, screen).await
        }
        Lease::Release { lease } => {
            let lease = checked_id(LeaseId::parse(lease))?;
            let session = Session::open(around, global).await?;
            let message = v1::ReleaseRequest { lease_id: lease.to_string() };
            let answer = session.leases().release(session.call(message)).await.map_err(failure)?.into_inner();
            let receipts = receipts::take(&answer.receipts, &session, global, screen);
            let code = print(&present(answer.lease)?, &session, around, screen).await?;
            receipts.map(|()| code)
        }
    }
}

async fn print(
    document: &Document,
    session: &Session,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    if screen.format.is_json() {
        screen.document(document)?;
    } else {
        let record: LeaseRecord = read(document, "hpc.lease/v1")?;
        let now = daemon_now(session, around).await;
        screen.text(&render::lease::one(&record, now))?;
    }
    Ok(0)
}

/// A length of time on the command line.
fn length(flag: &str, text: &str) -> Result<std::time::Duration, HpcError> {
    let seconds = parse_duration_s(text)
        .map_err(|error| HpcError::coded(&codes::USG_OUT_OF_RANGE, format!("`{flag}`: {error}")))?;
    Ok(std::time::Duration::from_secs(seconds))
}

/// Follows a lease until it has ended, or until Ctrl-C. Each step is data.
async fn watch(
    lease: &LeaseId,
    session: &Session,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let message = v1::WatchRequest { lease_id: lease.to_string() };
    let mut steps = session.leases().watch(session.long_call(message)).await.map_err(failure)?.into_inner();
    let mut ended = false;
    loop {
        let step = tokio::select! {
            step = steps.message() => step.map_err(failure)?,
            _ = tokio::signal::ctrl_c() => {
                screen.say(&format!("\nno longer watched; it goes on. Look: hpc lease show {lease}"));
                return Ok(EXIT_INTERRUPTED);
            }
        };
        let Some(document) = step else { break };
        let record: LeaseRecord = read(&document, "hpc.lease/v1")?;
        ended = record.state.is_final();
        if screen.format.is_json() {
            screen.document(&document)?;
        } else {
            let now = daemon_now(session, around).await;
            screen.text(&render::lease::step(&record, now))?;
        }
    }
    if ended {
        return Ok(0);
    }
    let message = format!("the daemon stopped telling of `{lease}` before it ended");
    Err(HpcError::coded(&codes::NET_DAEMON_UNREACHABLE, message).with("lease", lease))
}

async fn list(
    session: &Session,
    limit: u32,
    all: bool,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let mut client = session.leases();
    // A lease that this client cannot read is kept: better a clear error below than a list that hides it.
    let keep = |item: &Document| {
        all || read::<LeaseRecord>(item, "hpc.lease/v1").map_or(true, |l| !l.state.is_final())
    };
    let (items, ended, more) = pages!(session, client, limit, keep);
    if screen.format.is_json() {
        screen.documents(&items)?;
    } else if items.is_empty() {
        screen.say("no leases; get one: hpc request plan, then hpc request apply");
    } else {
        let leases: Vec<LeaseRecord> =
            items.iter().map(|item| read(item, "hpc.lease/v1")).collect::<Result<_, _>>()?;
        let now = daemon_now(session, around).await;
        screen.text(&render::lease::list(&leases, now, screen.format.is_wide()))?;
    }
    if ended > 0 {
        screen.say(&format!("{} not shown: --all", text::count(ended, "ended lease", "ended leases")));
    }
    if more {
        screen.say("there are more: --limit N");
    }
    Ok(0)
}
