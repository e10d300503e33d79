//! `hpc approval`: approve or refuse a plan of somebody else, bound to the hash that was shown.

use hpc_broker::PlanRecord;
use hpc_error::{HpcError, codes};
use hpc_resources::PlanId;
use hpc_types::control::v1;

use crate::args::{Approval, Decide, Global};
use crate::command::{checked_id, receipts, request};
use crate::output::Screen;
use crate::render;
use crate::session::{Session, Surroundings, failure, present, read};

pub(super) async fn run(
    command: Approval,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let (decide, refuse) = match command {
        Approval::Approve(decide) => (decide, false),
        Approval::Deny(decide) => (decide, true),
    };
    let plan = checked_id(PlanId::parse(decide.plan.as_str()))?;
    if !decide.yes {
        screen.needs_person("--yes")?;
    }
    let session = Session::open(around, global).await?;
    let record: PlanRecord = read(&request::show(&session, plan.as_str()).await?, "hpc.plan/v1")?;
    check_hash(&record, &decide)?;
    if !decide.yes {
        screen.say(&render::plan::plan(&record, false));
        let verb = if refuse { "Refuse" } else { "Approve" };
        let question = format!("{verb} {} of {}?", render::plan::in_short(&record), record.principal);
        if !screen.confirm(&question, "--yes")? {
            screen.say("nothing was decided");
            return Ok(0);
        }
    }
    let message = v1::ApproveRequest {
        plan_id: plan.to_string(),
        justification: decide.reason,
        plan_hash: record.hash,
        refuse,
    };
    let answer = session.requests().approve(session.call(message)).await.map_err(failure)?.into_inner();
    let document = present(answer.approval)?;
    let receipts = receipts::take(&answer.receipts, &session, global, screen);
    if screen.format.is_json() {
        screen.document(&document)?;
    } else {
        let decided: PlanRecord = read(&document, "hpc.plan/v1")?;
        screen.text(&format!("{plan} {}\n", render::plan::state(&decided.state)))?;
        if !refuse {
            screen.say(&format!("whoever asked can go on: hpc request apply {plan}"));
        }
    }
    receipts.map(|()| 0)
}

/// What is decided on must be what was seen.
fn check_hash(record: &PlanRecord, decide: &Decide) -> Result<(), HpcError> {
    match &decide.hash {
        Some(seen) if !seen.eq_ignore_ascii_case(&record.hash) => {
            let message = format!("the plan's hash is `{}`, not the one given", record.hash);
            Err(HpcError::coded(&codes::POL_APPROVAL_MISMATCH, message))
        }
        _ => Ok(()),
    }
}
