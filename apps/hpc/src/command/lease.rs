//! `hpc lease`: list, show, release.

use hpc_broker::LeaseRecord;
use hpc_error::HpcError;
use hpc_resources::LeaseId;
use hpc_types::control::v1::{self, Document};

use crate::args::{Global, Lease};
use crate::command::{checked_id, daemon_now, pages, receipts};
use crate::output::Screen;
use crate::render;
use crate::session::{Session, Surroundings, failure, present, read};
use crate::text;

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
