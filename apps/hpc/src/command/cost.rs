//! `hpc cost`: show, list, export.

use hpc_broker::Cost as CostRecord;
use hpc_error::HpcError;
use hpc_resources::LeaseId;
use hpc_types::control::v1;

use crate::args::{Cost, Global};
use crate::command::{checked_id, cost_charges};
use crate::output::Screen;
use crate::render::cost::{Overview, one, overview};
use crate::session::{Session, Surroundings, failure, read};

pub(super) async fn run(
    command: Cost,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let lease = match command {
        Cost::Show { lease } => lease,
        Cost::List(charges) => return cost_charges::list(&charges, global, around, screen).await,
        Cost::Export { charges, bill, out } => {
            return cost_charges::export(&charges, bill, out.as_deref(), global, around, screen).await;
        }
    };
    let lease = lease.map(|lease| checked_id(LeaseId::parse(lease))).transpose()?;
    let session = Session::open(around, global).await?;
    let message =
        v1::ShowCostRequest { lease_id: lease.as_ref().map(ToString::to_string).unwrap_or_default() };
    let document = session.costs().show(session.call(message)).await.map_err(failure)?.into_inner();
    if screen.format.is_json() {
        screen.document(&document)?;
    } else if lease.is_some() {
        let cost: CostRecord = read(&document, "hpc.cost/v1")?;
        screen.text(&one(&cost))?;
    } else {
        let costs: Overview = read(&document, "hpc.cost-overview/v2")?;
        screen.text(&overview(&costs))?;
        if costs.leases.is_empty() {
            screen.say("no lease has cost anything yet");
        }
        if !costs.complete {
            screen.say("there are more leases than are shown; ask for one: hpc cost show LEASE");
        }
    }
    Ok(0)
}
