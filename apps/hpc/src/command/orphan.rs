//! `hpc orphan`: list, reap.

use hpc_broker::{NotReaped, Orphans, ReapReport, Unlisted};
use hpc_error::{HpcError, codes};
use hpc_types::control::v1::{self, Document, Receipt};

use crate::args::{Global, Orphan};
use crate::command::{daemon_now, receipts};
use crate::output::{BAD, Screen, WARN, paint};
use crate::render;
use crate::session::{Session, Surroundings, failure, read};
use crate::text;

pub(super) async fn run(
    command: Orphan,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    match command {
        Orphan::List => list(global, around, screen).await,
        Orphan::Reap { names, all, dry_run, yes } => {
            if !dry_run && !yes {
                screen.needs_person("--yes")?;
            }
            let session = Session::open(around, global).await?;
            let asked = v1::ReapRequest { names, all, dry_run: true };
            if dry_run {
                let (document, _) = reap(&session, asked).await?;
                let report = show(&document, &session, around, screen).await?;
                screen.say("a dry run: nothing was ended; to end them, leave `--dry-run` out");
                return Ok(code(&report.not_reaped, &report.unlisted));
            }
            if !yes && !agreed(&session, asked.clone(), around, screen).await? {
                screen.say("nothing was ended");
                return Ok(0);
            }
            let (document, recorded) = reap(&session, v1::ReapRequest { dry_run: false, ..asked }).await?;
            let receipts = receipts::take(&recorded, &session, global, screen);
            let report = show(&document, &session, around, screen).await?;
            receipts.map(|()| code(&report.not_reaped, &report.unlisted))
        }
    }
}

async fn list(global: &Global, around: &Surroundings, screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    let session = Session::open(around, global).await?;
    let message = v1::ListOrphansRequest {};
    let document = session.orphans().list(session.call(message)).await.map_err(failure)?.into_inner();
    let orphans: Orphans = read(&document, "hpc.orphans/v1")?;
    if screen.format.is_json() {
        screen.document(&document)?;
    } else if orphans.orphans.is_empty() {
        screen.say("no orphans");
    } else {
        let now = daemon_now(&session, around).await;
        screen.text(&render::orphan::list(&orphans.orphans, now, screen.format.is_wide()))?;
    }
    tell(orphans.more, &[], &orphans.unlisted, screen);
    Ok(code(&[], &orphans.unlisted))
}

/// Shows what would be ended, and asks.
async fn agreed(
    session: &Session,
    asked: v1::ReapRequest,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<bool, HpcError> {
    let (document, _) = reap(session, asked).await?;
    let report: ReapReport = read(&document, "hpc.reap/v1")?;
    let count = u64::try_from(report.orphans.len()).unwrap_or(u64::MAX);
    if count == 0 {
        tell(report.more, &report.not_reaped, &report.unlisted, screen);
        screen.say("nothing to reap");
        return Ok(false);
    }
    let now = daemon_now(session, around).await;
    // Talk, not the result: that comes once they are ended.
    screen.say(render::orphan::list(&report.orphans, now, screen.format.is_wide()).trim_end());
    screen.confirm(&format!("End {}?", text::count(count, "instance", "instances")), "--yes")
}

/// A reap waits for every provider that it asks.
async fn reap(session: &Session, message: v1::ReapRequest) -> Result<(Document, Vec<Receipt>), HpcError> {
    let answer = session.orphans().reap(session.long_call(message)).await.map_err(failure)?;
    Ok(answer.into_inner().into_parts())
}

async fn show(
    document: &Document,
    session: &Session,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<ReapReport, HpcError> {
    let report: ReapReport = read(document, "hpc.reap/v1")?;
    if screen.format.is_json() {
        screen.document(document)?;
    } else if report.orphans.is_empty() {
        screen.say("nothing to reap");
    } else {
        let now = daemon_now(session, around).await;
        screen.text(&render::orphan::list(&report.orphans, now, screen.format.is_wide()))?;
    }
    tell(report.more, &report.not_reaped, &report.unlisted, screen);
    Ok(report)
}

fn tell(more: u64, not_reaped: &[NotReaped], unlisted: &[Unlisted], screen: &mut Screen<'_>) {
    for left in not_reaped {
        screen.say(&paint(BAD, &format!("{}: not ended: {}", text::line(&left.name), text::line(&left.why))));
    }
    for blind in unlisted {
        let why = text::line(&blind.why);
        screen.say(&paint(WARN, &format!("{}: may have others: {why}", blind.provider)));
    }
    if more > 0 {
        screen.say(&format!("{} more", text::count(more, "orphan", "orphans")));
    }
}

/// What was asked for and is not done, or not known, is a failure.
fn code(not_reaped: &[NotReaped], unlisted: &[Unlisted]) -> u8 {
    let whole = not_reaped.is_empty() && unlisted.is_empty();
    if whole { 0 } else { codes::PRV_UNAVAILABLE.exit_code }
}
