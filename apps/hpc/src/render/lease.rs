//! Leases.

use std::fmt::Write as _;

use hpc_broker::{
    DrainReason, HedgeEnd, HedgeRecord, LeaseRecord, LeaseState, ReplacementRecord, ReplacementState,
};
use jiff::Timestamp;

use crate::output::{BAD, GOOD, HEAD, WARN, paint};
use crate::table::Table;
use crate::text;

/// The state as it is written in documents.
pub(crate) fn state(state: LeaseState) -> &'static str {
    match state {
        LeaseState::Pending => "pending",
        LeaseState::Active => "active",
        LeaseState::Draining => "draining",
        LeaseState::Releasing => "releasing",
        LeaseState::Released => "released",
        LeaseState::Failed => "failed",
    }
}

/// Many leases.
pub(crate) fn list(leases: &[LeaseRecord], now: Timestamp, wide: bool) -> String {
    let mut heads =
        vec!["lease", "state", "provider", "zone", "type", "kind", ">n", ">per hour", "ends in", "team"];
    if wide {
        heads.extend(["plan", "principal", "created", ">hold", ">cost", "simulated"]);
    }
    let mut table = Table::new(&heads);
    for lease in leases {
        table.row(row(lease, now, wide));
    }
    table.render()
}

fn row(lease: &LeaseRecord, now: Timestamp, wide: bool) -> Vec<String> {
    let dash = || "-".to_owned();
    let offer = lease.offer.as_ref();
    let of = |get: fn(&hpc_resources::Offer) -> String| offer.map_or_else(dash, get);
    let ends = match (lease.state.is_final(), lease.ends_at) {
        (false, Some(end)) => text::between(now, end),
        _ => dash(),
    };
    let mut row = vec![
        lease.id.to_string(),
        state(lease.state).to_owned(),
        of(|offer| offer.provider.to_string()),
        of(|offer| offer.zone.to_string()),
        of(|offer| offer.instance_type.to_string()),
        of(|offer| offer.kind.as_str().to_owned()),
        lease.instances.to_string(),
        hourly(lease).unwrap_or_else(dash),
        ends,
        lease.team.to_string(),
    ];
    if wide {
        row.extend([
            lease.plan.to_string(),
            lease.principal.clone(),
            text::moment(lease.created_at),
            text::money(lease.hold),
            lease.cost.map_or_else(dash, text::money),
            if lease.simulated { "yes" } else { "no" }.to_owned(),
        ]);
    }
    row
}

/// What all instances cost per hour; only while the lease costs money.
fn hourly(lease: &LeaseRecord) -> Option<String> {
    let active = lease.state.is_running() || lease.state == LeaseState::Releasing;
    let price = lease.offer.as_ref().filter(|_| active)?.price?;
    price.0.checked_mul(u64::from(lease.instances)).ok().map(text::money)
}

/// One lease.
pub(crate) fn one(lease: &LeaseRecord, now: Timestamp) -> String {
    let style = match lease.state {
        LeaseState::Active => GOOD,
        LeaseState::Failed => BAD,
        LeaseState::Pending | LeaseState::Draining | LeaseState::Releasing | LeaseState::Released => WARN,
    };
    let mut out = format!("{} {}", paint(HEAD, lease.id.as_str()), paint(style, state(lease.state)));
    if let Some(hourly) = hourly(lease) {
        let _ = write!(out, "   {hourly}/h");
    }
    if let Some(end) = lease.ends_at.filter(|_| !lease.state.is_final()) {
        let _ = write!(out, "   ends {} (in {})", text::clock_time(end), text::between(now, end));
    }
    if lease.simulated {
        let _ = write!(out, "   {}", paint(WARN, "SIMULATED"));
    }
    out.push('\n');
    let mut table = Table::plain().indent(2);
    if let Some(offer) = &lease.offer {
        let what = format!("{} x {} {}", lease.instances, offer.instance_type, offer.kind.as_str());
        table.row(["where", &format!("{} {} {}", offer.provider, offer.region, offer.zone)]);
        table.row(["what", &what]);
        if let Some(reservation) = &offer.reservation {
            let paid = if reservation.paid { ", paid for already, used or not" } else { "" };
            table.row(["in", &format!("{}{paid}", reservation.id)]);
        }
    }
    table.row(["who", &format!("{}, team {}", lease.principal, lease.team)]);
    table.row(["from", &format!("{} (request {})", lease.plan, lease.request)]);
    table.row(["created", &text::moment(lease.created_at)]);
    if let Some(active) = lease.active_at {
        table.row(["active", &text::moment(active)]);
    }
    if let Some(ended) = lease.ended_at {
        let why = lease.end_reason.map(|reason| format!(", {}", end_reason(reason))).unwrap_or_default();
        table.row(["ended", &format!("{}{why}", text::moment(ended))]);
    }
    table.row(["hold", &text::money(lease.hold)]);
    if let Some(cost) = lease.cost {
        table.row(["cost", &text::money(cost)]);
    }
    if let Some(idle) = lease.idle_release_s {
        table.row(["idle", &format!("released after {} without work", text::duration(idle))]);
    }
    if let Some(drain) = lease.drain {
        let why = match drain.reason {
            hpc_broker::DrainReason::Asked => "somebody asked",
            hpc_broker::DrainReason::Interrupted => "the provider takes it back",
        };
        let until = text::moment(drain.until);
        table.row(["drains", &format!("since {}, until {until}: {why}", text::moment(drain.since))]);
    }
    if let Some(old) = &lease.replaces {
        table.row(["replaces", &format!("{old}, which the provider took back")]);
    }
    if let Some(replacement) = &lease.replacement {
        table.row(["replaced", &replaced(replacement)]);
    }
    for renewal in &lease.renewals {
        let (by, held) = (text::duration(renewal.by_s), text::money(renewal.held));
        table.row(["renewed", &format!("{} by {by}, {held} held on top", text::moment(renewal.at))]);
    }
    for hedge in &lease.hedges {
        table.row(["beside", &hedged(hedge)]);
    }
    for failure in &lease.failures {
        table.row(["failed", failure]);
    }
    out.push_str(&table.render());
    out
}

/// Two tries at the same time, and which of them was kept.
fn hedged(hedge: &HedgeRecord) -> String {
    let HedgeRecord { first, second, .. } = hedge;
    let end = match &hedge.end {
        None => "neither has answered".to_owned(),
        Some(HedgeEnd::Won { intent }) if *intent == first.intent => format!("{} was kept", first.offer),
        Some(HedgeEnd::Won { .. }) => format!("{} was kept", second.offer),
        Some(HedgeEnd::Failed { intent }) if *intent == first.intent => format!("{} failed", first.offer),
        Some(HedgeEnd::Failed { .. }) => format!("{} failed", second.offer),
    };
    let held = match hedge.held.nanos() {
        0 => String::new(),
        _ => format!(", {} held on top", text::money(hedge.held)),
    };
    let (at, after) = (text::moment(hedge.at), text::duration(hedge.after_s));
    format!("{at} {} after {after} beside {}: {end}{held}", second.offer, first.offer)
}

/// One step of a watched lease, on a line.
pub(crate) fn step(lease: &LeaseRecord, now: Timestamp) -> String {
    let mut out = format!("{} {} {}", text::clock_time(now), lease.id, state(lease.state));
    let end = lease.drain.map_or(lease.ends_at, |drain| Some(drain.until));
    if let Some(end) = end.filter(|_| !lease.state.is_final()) {
        let _ = write!(out, ", ends in {}", text::between(now, end));
    }
    if let Some(reason) = lease.end_reason {
        let _ = write!(out, ": {}", end_reason(reason));
    }
    if let Some(cost) = lease.cost {
        let _ = write!(out, ", cost {}", text::money(cost));
    }
    if lease.drain.is_some_and(|drain| drain.reason == DrainReason::Interrupted) && lease.end_reason.is_none()
    {
        out.push_str(": the provider takes it back");
    }
    if let Some(replacement) = &lease.replacement {
        let _ = write!(out, "; replacement {}", text::line(&replaced(replacement)));
    }
    out.push('\n');
    out
}

/// How far the replacement of a lease is. What a provider wrote may be in it.
fn replaced(replacement: &ReplacementRecord) -> String {
    let by = replacement.by.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut out = match (replacement.state, replacement.next_at) {
        (ReplacementState::Wanted, Some(at)) => format!("wanted, tried at {}", text::clock_time(at)),
        (ReplacementState::Wanted, None) => "wanted".to_owned(),
        (ReplacementState::Trying, _) => format!("by {by}, which is being created"),
        (ReplacementState::Replaced, _) => format!("by {by}"),
        (ReplacementState::GivenUp, _) => "by nothing, given up".to_owned(),
    };
    if replacement.tries > 1 && replacement.state != ReplacementState::Replaced {
        let _ = write!(out, ", {} tries", replacement.tries);
    }
    if let Some(problem) = &replacement.problem {
        let _ = write!(out, ": {problem}");
    }
    out
}

fn end_reason(reason: hpc_broker::EndReason) -> &'static str {
    use hpc_broker::EndReason;
    match reason {
        EndReason::Asked => "somebody released it",
        EndReason::Expired => "its time was over",
        EndReason::Drained => "it was drained",
        EndReason::HardStop => "its cost reached its hold",
        EndReason::Idle => "it was idle",
        EndReason::Reclaimed => "the provider took it back",
        EndReason::NoCapacity => "every offer failed",
        EndReason::Interrupted => "the daemon stopped before anything was created",
    }
}
