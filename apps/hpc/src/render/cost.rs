//! Costs.

use std::fmt::Write as _;

use hpc_broker::Cost;
use hpc_resources::BudgetStanding;
use serde::Deserialize;

use crate::output::{HEAD, WARN, paint};
use crate::render::budget;
use crate::render::lease::state;
use crate::table::Table;
use crate::text;

/// What `hpc cost show` without a lease is about.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Overview {
    pub(crate) leases: Vec<Cost>,
    pub(crate) budgets: Vec<BudgetStanding>,
    /// Whether that is all there is.
    pub(crate) complete: bool,
}

/// One lease.
pub(crate) fn one(cost: &Cost) -> String {
    let mut out = format!(
        "{} {}   as of {}",
        paint(HEAD, cost.lease.as_str()),
        state(cost.state),
        text::moment(cost.as_of)
    );
    if cost.simulated {
        let _ = write!(out, "   {}", paint(WARN, "SIMULATED"));
    }
    let since = worked(cost).map(|time| format!(" ({time})")).unwrap_or_default();
    let _ = writeln!(
        out,
        "\naccrued {}{since}   now {}/h   projected {}   hold {}",
        text::money(cost.accrued),
        text::money(cost.hourly),
        text::money(cost.projected),
        text::money(cost.hold)
    );
    if cost.instances.is_empty() {
        return out;
    }
    let mut table = Table::new(&["instance", "provider", ">per hour", "from", "to", "note"]).indent(2);
    for instance in &cost.instances {
        table.row([
            instance.handle.id.clone(),
            instance.handle.provider.to_string(),
            text::money(instance.price.0),
            text::moment(instance.from),
            instance.to.map_or_else(|| "-".to_owned(), text::moment),
            if instance.reclaimed { "reclaimed" } else { "" }.to_owned(),
        ]);
    }
    out.push_str(&table.render());
    out
}

/// How long it has cost money, up to the end of its last instance.
fn worked(cost: &Cost) -> Option<String> {
    let since = cost.since?;
    let ended = cost.instances.iter().map(|instance| instance.to).max().flatten();
    Some(match ended.filter(|_| cost.state.is_final()) {
        Some(end) => text::between(since, end),
        None => format!("{} so far", text::between(since, cost.as_of)),
    })
}

/// All leases and budgets.
pub(crate) fn overview(overview: &Overview) -> String {
    let mut out = String::new();
    let mut leases = Table::new(&["lease", "state", "team", ">accrued", ">per hour", ">projected", ">hold"]);
    for cost in &overview.leases {
        leases.row([
            cost.lease.to_string(),
            state(cost.state).to_owned(),
            cost.team.to_string(),
            text::money(cost.accrued),
            text::money(cost.hourly),
            text::money(cost.projected),
            text::money(cost.hold),
        ]);
    }
    if !overview.leases.is_empty() {
        out.push_str(&leases.render());
        out.push('\n');
    }
    if !overview.budgets.is_empty() {
        out.push_str(&budget::table(&overview.budgets).render());
    }
    out
}
