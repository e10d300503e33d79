//! A plan: verdict with every rule, offers in the order of attempt, what is not offered and why, the money, what next.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hpc_broker::{DecisionRecord, PlanRecord, PlanState, Progress, RuleLine};
use hpc_error::codes;
use hpc_resources::{Attempt, Excluded, Exclusion, Plan, StockHint};

use crate::output::{BAD, GOOD, HEAD, WARN, paint};
use crate::table::Table;
use crate::text;

/// Offers in a table that is not wide.
const OFFERS_SHOWN: usize = 6;
/// Excluded offers of one reason in a table that is not wide.
const EXCLUDED_SHOWN: usize = 3;

/// The whole plan.
pub(crate) fn plan(record: &PlanRecord, wide: bool) -> String {
    let mut out = header(record);
    out.push('\n');
    out.push_str(&policy(&record.decision, wide));
    if !record.plan.attempts.is_empty() {
        let more = format!("hpc request show {} -o wide", record.plan.id);
        out.push_str(&offers(&record.plan, wide, &more));
    }
    out.push_str(&not_offered(&record.plan, wide));
    // Nothing will be held or run of a plan that cannot be applied.
    if !matches!(record.state, PlanState::Denied | PlanState::NoOffer | PlanState::Refused { .. }) {
        out.push_str(&money(record));
    }
    out.push_str(&next(record));
    out
}

/// What became of the plan as the exit code of the command that shows it.
pub(crate) fn exit_code(state: &PlanState) -> u8 {
    match state {
        PlanState::Open | PlanState::Approved { .. } | PlanState::Applied { .. } => 0,
        PlanState::Denied => codes::PLN_DENIED.exit_code,
        PlanState::Refused { .. } => codes::POL_APPROVAL_DENIED.exit_code,
        PlanState::AwaitingApproval { .. } => codes::POL_APPROVAL_NEEDED.exit_code,
        PlanState::NoOffer => codes::CAP_NO_OFFER.exit_code,
    }
}

/// The state in a word.
pub(crate) fn state(state: &PlanState) -> String {
    match state {
        PlanState::Open => "open".to_owned(),
        PlanState::Denied => "denied".to_owned(),
        PlanState::NoOffer => "no-offer".to_owned(),
        PlanState::AwaitingApproval { .. } => "awaiting-approval".to_owned(),
        PlanState::Approved { .. } => "approved".to_owned(),
        PlanState::Refused { .. } => "refused".to_owned(),
        PlanState::Applied { lease } => format!("applied, {lease}"),
    }
}

/// One line: what is bought for how much. For a question, and above one.
pub(crate) fn in_short(record: &PlanRecord) -> String {
    let what = match record.request.accelerators() {
        Some((model, count)) => format!("{count} x {}", model.as_str().to_uppercase()),
        None => record.request.name().to_owned(),
    };
    let kind = record.plan.attempts.first().map_or("", |attempt| attempt.offer.kind.as_str());
    format!("{what} {kind} for {}", text::duration(record.plan.duration_s))
}

fn header(record: &PlanRecord) -> String {
    let plan = &record.plan;
    let mut line = format!(
        "{}   valid until {}",
        paint(HEAD, &format!("Plan {}", plan.id)),
        text::clock_time(plan.expires_at)
    );
    if let Some(oldest) = plan.attempts.iter().map(|attempt| attempt.offer.as_of).min() {
        let _ = write!(line, "   prices {} old", text::between(oldest, plan.created_at));
    }
    let word = match &record.state {
        PlanState::Open => None,
        PlanState::Denied => Some(paint(BAD, "DENIED")),
        PlanState::NoOffer => Some(paint(BAD, "NO OFFER")),
        PlanState::AwaitingApproval { by } => Some(paint(WARN, &format!("AWAITS APPROVAL by {by}"))),
        PlanState::Approved { by, .. } => Some(paint(GOOD, &format!("APPROVED by {by}"))),
        PlanState::Refused { by } => Some(paint(BAD, &format!("REFUSED by {by}"))),
        PlanState::Applied { lease } => Some(paint(GOOD, &format!("APPLIED as {lease}"))),
    };
    for mark in word.into_iter().chain(plan.simulated.then(|| paint(WARN, "SIMULATED"))) {
        let _ = write!(line, "   {mark}");
    }
    let asked = format!("{}   {} asked, for team {}", in_short(record), record.principal, record.team);
    let mut out = format!("{line}\n{asked}\n");
    for priced in &record.price_sources {
        let list = super::provider::source(&priced.source, plan.created_at);
        let _ = writeln!(out, "Prices of {}: {list}", priced.provider);
    }
    out
}

/// The verdict, every rule, all reasons, what would be allowed.
pub(crate) fn policy(decision: &DecisionRecord, wide: bool) -> String {
    let verdict = if decision.allowed { paint(GOOD, "ALLOW") } else { paint(BAD, "DENY") };
    let digest: String = decision.policy_digest.chars().take(12).collect();
    let mut out =
        format!("{}  {verdict}   policy {digest}   decision {}\n", paint(HEAD, "Policy"), decision.id);
    let mut table = Table::plain().indent(2);
    for rule in &decision.rules {
        table.row([mark(rule), &rule.rule, if wide { &rule.result } else { "" }, &rule.detail]);
    }
    for (name, value) in &decision.obligations {
        table.row(["add", name, if wide { "obligation" } else { "" }, value]);
    }
    out.push_str(&table.render());
    if !decision.allowed {
        for reason in &decision.reasons {
            let _ = writeln!(out, "  {} {reason}", paint(BAD, "because"));
        }
        for (position, change) in decision.allowed_if.iter().enumerate() {
            let _ = writeln!(out, "  {} {change}", if position == 0 { "allowed if" } else { "        or" });
        }
    }
    out.push('\n');
    out
}

/// What a rule did, in four letters.
fn mark(rule: &RuleLine) -> &'static str {
    match (rule.effect.as_str(), rule.result.as_str()) {
        ("deny", "matched" | "error") => "DENY",
        ("deny", "condition-not-met") | ("allow", "matched") => "pass",
        ("allow", "condition-not-met") => "miss",
        ("allow", "error") => "err",
        _ => "-",
    }
}

/// What would be tried, in order; `more` is how to see the rest.
pub(crate) fn offers(plan: &Plan, wide: bool, more_by: &str) -> String {
    let shown = if wide { plan.attempts.len() } else { OFFERS_SHOWN };
    let currency =
        plan.attempts.first().map_or("USD".to_owned(), |attempt| attempt.hourly.currency().to_string());
    let (hourly, total) = (format!(">{currency}/h"), format!(">{}", text::duration(plan.duration_s)));
    let mut heads = vec![">#", "provider", "zone", "type", "kind", &hourly, &total, "start", "price age"];
    if wide {
        heads.extend([
            ">instances",
            ">each/h",
            ">score",
            ">=price",
            ">+wait",
            ">+reclaim",
            ">+stock",
            "stock",
            "region",
        ]);
    }
    let mut table = Table::new(&heads).indent(2);
    for (position, attempt) in plan.attempts.iter().take(shown).enumerate() {
        table.row(offer_row(plan, position, attempt, wide));
    }
    let mut out = format!("{}  (order of attempt)\n{}", paint(HEAD, "Offers"), table.render());
    let more = plan.attempts.len().saturating_sub(shown);
    if more > 0 {
        let _ = writeln!(out, "  {more} more: {more_by}");
    }
    for (position, attempt) in plan.attempts.iter().take(shown).enumerate() {
        if let Some(standing) = attempt.standing() {
            let _ = writeln!(out, "  {}: {}", position + 1, text::line(&standing));
        }
    }
    out.push('\n');
    out
}

fn offer_row(plan: &Plan, position: usize, attempt: &Attempt, wide: bool) -> Vec<String> {
    let offer = &attempt.offer;
    let mut row = vec![
        (position + 1).to_string(),
        offer.provider.to_string(),
        offer.zone.to_string(),
        offer.instance_type.to_string(),
        offer.kind.as_str().to_owned(),
        text::amount(attempt.hourly),
        text::amount(attempt.total),
        format!("~{}", text::duration(offer.start_delay_s.into())),
        text::between(offer.as_of, plan.created_at),
    ];
    if wide {
        let part =
            |nanos: i64| text::amount(hpc_resources::Money::from_nanos(nanos, attempt.hourly.currency()));
        let score = &attempt.score;
        row.extend([
            attempt.instances.to_string(),
            text::amount(attempt.price.0),
            part(score.total_nanos),
            part(score.price_nanos),
            part(score.wait_nanos),
            part(score.reclaim_nanos),
            part(score.stock_nanos),
            match offer.stock {
                StockHint::Likely => "likely",
                StockHint::Unlikely => "unlikely",
                StockHint::Unknown => "unknown",
            }
            .to_owned(),
            offer.region.to_string(),
        ]);
    }
    row
}

/// What was left out, and why.
pub(crate) fn not_offered(plan: &Plan, wide: bool) -> String {
    if plan.excluded_counts.is_empty() {
        return String::new();
    }
    let mut by_reason: BTreeMap<&str, Vec<&Excluded>> = BTreeMap::new();
    for excluded in &plan.excluded {
        by_reason.entry(excluded.why.name()).or_default().push(excluded);
    }
    let mut out = format!("{}\n", paint(HEAD, "Not offered"));
    for (reason, count) in &plan.excluded_counts {
        let spelt_out = by_reason.get(reason.as_str()).map_or(&[][..], Vec::as_slice);
        let knob = spelt_out
            .first()
            .map_or_else(String::new, |first| format!("   to include: {}", first.included_by));
        let _ = writeln!(out, "  {reason}: {}{knob}", text::count(*count, "offer", "offers"));
        // What the request itself leaves out, or what loses on rank, needs no list unless one asks.
        let quiet = matches!(reason.as_str(), "rank" | "region" | "provider" | "kind" | "other-accelerator");
        let shown = match (wide, quiet) {
            (true, _) => spelt_out.len(),
            (false, true) => 0,
            (false, false) => EXCLUDED_SHOWN,
        };
        let mut table = Table::plain().indent(4);
        for excluded in spelt_out.iter().take(shown) {
            let other_knob = Some(&excluded.included_by) != spelt_out.first().map(|first| &first.included_by);
            let knob =
                if other_knob { format!("to include: {}", excluded.included_by) } else { String::new() };
            table.row([excluded.offer.clone(), detail(&excluded.why), knob]);
        }
        out.push_str(&table.render());
    }
    out.push('\n');
    out
}

/// The numbers behind an exclusion.
fn detail(why: &Exclusion) -> String {
    match why {
        Exclusion::Policy { rule, message } => format!("{rule}: {message}"),
        Exclusion::Price { hourly, limit } => {
            format!("{}/h is over {}", text::money(*hourly), text::money(*limit))
        }
        Exclusion::PriceUnknown => "unknown, which is not free".to_owned(),
        Exclusion::Budget { total, limit } => {
            format!("{} is over {}", text::money(*total), text::money(*limit))
        }
        Exclusion::Budgets { message, .. } => message.clone(),
        Exclusion::Quota { family, need, free, limit } => {
            format!("needs {need} of {family}, {free} of {limit} free")
        }
        Exclusion::Stock { until, seen: None } => {
            format!("out of stock, next try at {}", text::clock_time(*until))
        }
        Exclusion::Stock { until, seen: Some(out) } => format!(
            "{} in the {} at {} (`{}`), next try at {}",
            out.reason.as_str(),
            out.place.scope().as_str(),
            text::clock_time(out.seen_at),
            out.code,
            text::clock_time(*until)
        ),
        Exclusion::ReservationFull { need, left } => format!("needs {need} instances, {left} left"),
        Exclusion::Window { opens_at: Some(at), .. } => format!("begins at {}", text::clock_time(*at)),
        Exclusion::Window { ends_at: Some(at), need_until, .. } => {
            format!("ends at {}, needed until {}", text::clock_time(*at), text::clock_time(*need_until))
        }
        Exclusion::Window { need_until, .. } => format!("needed until {}", text::clock_time(*need_until)),
        Exclusion::Shape { need } => need.clone(),
        Exclusion::ProviderDown { message } => message.clone(),
        Exclusion::Region | Exclusion::Provider | Exclusion::Kind | Exclusion::Rank => String::new(),
    }
}

fn money(record: &PlanRecord) -> String {
    let mut out = String::new();
    if let (Some(worst), Some(hold)) = (record.plan.worst_case, hold(record)) {
        let left = match record.team_left {
            Some(left) => format!("from team {} ({} left)", record.team, text::money(left)),
            None if record.budgets.is_empty() => format!("from team {}, which has no budget", record.team),
            None => format!("from team {}", record.team),
        };
        let (worst, hold, head) = (text::money(worst), text::money(hold), paint(HEAD, "Money"));
        let _ = writeln!(out, "{head}   hold {hold} {left}   worst case {worst}   hard stop {hold}");
        if !record.budgets.is_empty() {
            out.push_str(&crate::render::budget::table(&record.budgets).indent(2).render());
        }
    }
    if let Some(seconds) = record.request.hedge_s() {
        let _ = writeln!(
            out,
            "{}   the next offer beside one that has not answered after {}: both may cost money for a while",
            paint(HEAD, "Hedge"),
            text::duration(seconds)
        );
    }
    if let Some(seconds) = record.idle_release_s {
        let _ = writeln!(
            out,
            "{}    released after {} without work",
            paint(HEAD, "Idle"),
            text::duration(seconds)
        );
    }
    out
}

/// What an apply will hold; a daemon that does not say holds the worst case.
pub(crate) fn hold(record: &PlanRecord) -> Option<hpc_resources::Money> {
    record.hold.or(record.plan.worst_case)
}

fn next(record: &PlanRecord) -> String {
    let id = &record.plan.id;
    match &record.state {
        PlanState::Open | PlanState::Approved { .. } => {
            format!("{}   hpc request apply {id}\n", paint(HEAD, "Apply"))
        }
        PlanState::AwaitingApproval { by } => format!(
            "{}    {}\n{} by {by}, somebody else than you: hpc approval approve {id} --reason ...\n",
            paint(HEAD, "Hash"),
            record.hash,
            paint(HEAD, "Approve")
        ),
        PlanState::Denied | PlanState::Refused { .. } => {
            format!("{}     hpc request explain {id}\n", paint(HEAD, "Why"))
        }
        PlanState::NoOffer => format!("{}     hpc request show {id} -o wide\n", paint(HEAD, "Why")),
        PlanState::Applied { lease } => format!("{}   hpc lease show {lease}\n", paint(HEAD, "Lease")),
    }
}

/// One step of an apply, on a line.
pub(crate) fn progress(progress: &Progress) -> String {
    match progress {
        Progress::Held { lease, amount } => format!("  hold      {} for {lease}", text::money(*amount)),
        Progress::Trying { offer, .. } => format!("  try       {offer}"),
        Progress::Hedging { offer, beside, after_s, .. } => {
            format!("  beside    {offer}: {beside} has not answered for {}", text::duration(*after_s))
        }
        Progress::Overtaken { offer, .. } => {
            format!("  overtaken {offer}: another was faster; what it creates is being ended")
        }
        Progress::Failed { offer, why, nothing_created, .. } => {
            let certain =
                if *nothing_created { "nothing was created" } else { "what it created is being ended" };
            format!("  failed    {offer}: {why}; {certain}")
        }
        Progress::Repeating { offer, .. } => {
            format!("  repeat    {offer}: the answer was lost, same token again")
        }
        Progress::Skipped { offer, why } => format!("  skip      {offer}: {why}"),
        Progress::Created { offer, instances, hourly, .. } => {
            format!("  created   {offer}: {}, {}/h", instances.join(", "), text::money(*hourly))
        }
    }
}
