//! How a demo is told: to people in lines, to programs in one JSON document a line.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hpc_audit::Recorded;
use hpc_broker::{Cost, DecisionRecord, EndReason, LeaseRecord, PlanRecord, Progress};
use hpc_provider_sim::CatalogReport;
use hpc_resources::{BudgetStanding, Money, OfferKind, ProviderId, ResourceRequest};
use hpc_timeseries::SeriesSet;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Most offers, exclusions and GPUs shown in lines.
const LINES_MAX: usize = 8;

/// The reasons for leaving an offer out that a reader can do something about, the most telling first.
const REASONS_SHOWN: [&str; 10] = [
    "provider-down",
    "policy",
    "quota",
    "price",
    "price-unknown",
    "budget",
    "stock",
    "region",
    "kind",
    "shape",
];

/// One thing to tell.
pub enum Told<'a> {
    /// The opening.
    Opening {
        /// Of hpcd.
        version: &'a str,
        /// Of the simulated clouds.
        seed: u64,
        /// Over this data directory.
        run: u64,
        /// What the simulated clouds will do.
        story: &'a str,
        /// What the catalogs held.
        catalog: &'a [(ProviderId, CatalogReport)],
        /// Virtual time.
        now: Timestamp,
    },
    /// Who asks.
    Identity {
        /// As the daemon sees them.
        you: &'a str,
        /// Who pays.
        team: &'a str,
        /// What they may be.
        roles: &'a [&'a str],
        /// Where the daemon is.
        endpoint: &'a str,
    },
    /// What is asked for.
    Request {
        /// The request.
        request: &'a ResourceRequest,
    },
    /// What policy says.
    Policy {
        /// The decision.
        decision: &'a DecisionRecord,
    },
    /// What is offered, and what is not.
    Quotes {
        /// The plan.
        plan: &'a PlanRecord,
        /// How long planning took.
        took: Duration,
    },
    /// A person approved.
    Approval {
        /// Who had to.
        by: &'a str,
        /// Who did.
        who: &'a str,
        /// The plan's hash.
        hash: &'a str,
    },
    /// A step of the apply.
    Provision {
        /// The step.
        progress: &'a Progress,
    },
    /// The lease.
    Lease {
        /// It.
        lease: &'a LeaseRecord,
    },
    /// What the node sent.
    Telemetry {
        /// The node.
        who: &'a str,
        /// How many batches.
        batches: u32,
        /// Points stored.
        accepted: u64,
        /// Points refused.
        rejected: u64,
        /// Until the first acknowledgement.
        first: Option<Duration>,
        /// The newest GPU values.
        gpu: &'a SeriesSet,
        /// The newest host values.
        host: &'a SeriesSet,
    },
    /// What it cost.
    Cost(CostTold<'a>),
    /// The proof.
    Audit(AuditTold<'a>),
}

/// What it cost.
pub struct CostTold<'a> {
    /// While it ran.
    pub running: &'a Cost,
    /// At its end.
    pub lease: &'a LeaseRecord,
    /// Interruptions that the simulated clouds announced.
    pub interruptions: usize,
    /// By the simulated cloud.
    pub billed: Money,
    /// Where the team stands under its first limit afterwards.
    pub budget: Option<&'a BudgetStanding>,
}

/// The proof.
pub struct AuditTold<'a> {
    /// Entries in the log.
    pub entries: u64,
    /// Entries of this lease, each with a proof.
    pub proven: Vec<Recorded>,
    /// The key that signed.
    pub key: &'a str,
    /// The log's folder, if it stays.
    pub folder: Option<&'a Path>,
    /// What happened to this lease.
    pub trail: &'a [Recorded],
}

/// Speaks on standard output, or wherever it is told to.
pub struct Voice {
    json: bool,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Voice {
    /// To people, or to programs.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self::to(json, std::io::stdout())
    }

    /// As [`Voice::new`], into `out`.
    pub fn to(json: bool, out: impl Write + Send + 'static) -> Self {
        Self { json, out: Mutex::new(Box::new(out)) }
    }

    /// Tells one thing, at once. A reader that has gone is no failure of the story.
    pub fn tell(&self, told: &Told<'_>) {
        let text = if self.json { format!("{}\n", told.json()) } else { told.text() };
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    }
}

fn head(number: u8, title: &str, rest: &str) -> String {
    format!("\n {number} {title:<10} {rest}\n")
}

impl Told<'_> {
    fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        self.write_text(&mut out).unwrap_or_default();
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        match self {
            Self::Opening { version, seed, run, story, catalog, now } => {
                writeln!(
                    out,
                    "hpcd demo {version}   SIMULATED: no cloud is called and no money is spent   seed {seed}"
                )?;
                writeln!(out, "virtual time {now}   story `{story}`   run {run} over this data")?;
                for (provider, report) in *catalog {
                    let CatalogReport { name, rows_used, prices_unknown, rows_refused, .. } = report;
                    write!(out, "catalog of {provider}: {name}, {rows_used} rows")?;
                    if *prices_unknown > 0 {
                        write!(out, ", {prices_unknown} without a price (not offered: unknown is not free)")?;
                    }
                    writeln!(
                        out,
                        "{}",
                        if *rows_refused > 0 { format!(", {rows_refused} refused:") } else { String::new() }
                    )?;
                    for row in report.refused.iter().take(LINES_MAX) {
                        writeln!(out, "   line {}: {}", row.line, row.why)?;
                    }
                }
                Ok(())
            }
            Self::Identity { you, team, roles, endpoint } => {
                out.push_str(&head(1, "identity", &format!("{you}, team {team}, {}", roles.join(", "))));
                writeln!(out, "              throwaway CA made; mutual TLS to {endpoint}")
            }
            Self::Request { request } => {
                let what = request.accelerators().map_or_else(
                    || "no accelerator".to_owned(),
                    |(model, count)| format!("{count} x {model} ({:?})", model.vendor()),
                );
                let hours = duration(request.duration_s());
                let limit =
                    request.max_hourly().map_or_else(String::new, |limit| format!(", at most {limit}/h"));
                let kinds: Vec<&str> = request.kinds().iter().map(|kind| kind.as_str()).collect();
                let kinds = if kinds.is_empty() { "any kind".to_owned() } else { kinds.join(" or ") };
                out.push_str(&head(
                    2,
                    "request",
                    &format!("`{}`: {what}, {kinds}, {hours}{limit}", request.name()),
                ));
                Ok(())
            }
            Self::Policy { decision } => policy_text(out, decision),
            Self::Quotes { plan, took } => quotes_text(out, plan, *took),
            Self::Approval { by, who, hash } => {
                writeln!(out, "   approval   policy wants {by}: {who} approved plan {}...", short(hash))
            }
            Self::Provision { progress } => provision_text(out, progress),
            Self::Lease { lease } => {
                let offer = lease.offer.as_ref().map(|offer| offer.key().to_string()).unwrap_or_default();
                let end = lease.ends_at.map(|end| format!(", ends {end}")).unwrap_or_default();
                out.push_str(&head(6, "lease", &format!("{} active{end}", lease.id)));
                writeln!(out, "              {} instance(s) of {offer}   SIMULATED", lease.instances)?;
                writeln!(out, "              hold {} of team {}'s budget", lease.hold, lease.team)
            }
            Self::Telemetry { who, batches, accepted, rejected, first, gpu, host } => {
                let first = first
                    .map(|time| format!(", first acknowledged after {} ms", time.as_millis()))
                    .unwrap_or_default();
                out.push_str(&head(7, "telemetry", who));
                writeln!(
                    out,
                    "              joined with a one-time token; {batches} batches over QUIC{first}"
                )?;
                writeln!(out, "              {accepted} points stored, {rejected} refused")?;
                telemetry_text(out, gpu, host)
            }
            Self::Cost(told) => cost_text(out, told),
            Self::Audit(told) => audit_text(out, told),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Opening { version, seed, run, story, catalog, now } => {
                let catalog: Vec<Value> = catalog
                    .iter()
                    .map(|(provider, report)| json!({"provider": provider, "name": report.name, "rows_used": report.rows_used,
                        "prices_unknown": report.prices_unknown, "rows_refused": report.rows_refused, "refused": report.refused}))
                    .collect();
                json!({"step": "opening", "version": version, "seed": seed, "run": run, "story": story,
                    "virtual_time": now, "simulated": true, "catalogs": catalog})
            }
            Self::Identity { you, team, roles, .. } => {
                json!({"step": "identity", "you": you, "team": team, "roles": roles})
            }
            Self::Request { request } => json!({"step": "request", "request": request}),
            Self::Policy { decision } => json!({"step": "policy", "decision": decision}),
            Self::Quotes { plan, .. } => {
                json!({"step": "quotes", "plan": plan, "simulated": plan.plan.simulated})
            }
            Self::Approval { by, who, hash } => {
                json!({"step": "approval", "needed": by, "by": who, "plan_hash": hash})
            }
            Self::Provision { progress } => {
                json!({"step": "provision", "progress": progress, "simulated": true})
            }
            Self::Lease { lease } => json!({"step": "lease", "lease": lease, "simulated": lease.simulated}),
            Self::Telemetry { who, batches, accepted, rejected, gpu, host, .. } => {
                json!({"step": "telemetry", "node": who,
                "batches": batches, "points_stored": accepted, "points_refused": rejected,
                "gpus": newest(gpu), "gpus_simulated": true, "host": newest(host), "host_simulated": false})
            }
            Self::Cost(told) => {
                json!({"step": "cost", "running": told.running, "end_reason": told.lease.end_reason,
                "interruptions": told.interruptions, "settled": told.lease.cost,
                "billed_by_the_simulated_cloud": told.billed, "budget": told.budget, "simulated": true})
            }
            Self::Audit(told) => {
                json!({"step": "audit", "entries": told.entries, "proven": told.proven.len(),
                "verified": true, "key": told.key, "folder": told.folder})
            }
        }
    }
}

fn policy_text(out: &mut String, decision: &DecisionRecord) -> std::fmt::Result {
    let verdict = if decision.allowed { "ALLOW" } else { "DENY" };
    let digest = short(&decision.policy_digest);
    out.push_str(&head(3, "policy", &format!("{verdict}   decision {}   policies {digest}", decision.id)));
    for line in &decision.rules {
        let mark = match (line.result.as_str(), line.effect.as_str()) {
            ("matched", "allow") => "allows",
            ("matched", _) => "DENIES",
            ("error", _) => "ERROR",
            ("condition-not-met", "deny") => "passed",
            ("condition-not-met", _) => "misses",
            _ => "n/a",
        };
        writeln!(out, "              {mark:<7} {:<28} {}", line.rule, line.detail)?;
    }
    for (name, value) in &decision.obligations {
        writeln!(out, "              adds    {name} = {value}")?;
    }
    if !decision.allowed {
        for reason in &decision.reasons {
            writeln!(out, "              because {reason}")?;
        }
        for way in &decision.allowed_if {
            writeln!(out, "              allowed if {way}")?;
        }
    }
    Ok(())
}

fn quotes_text(out: &mut String, record: &PlanRecord, took: Duration) -> std::fmt::Result {
    let plan = &record.plan;
    let left: u64 = plan.excluded_counts.values().sum();
    let providers: std::collections::BTreeSet<&ProviderId> =
        plan.attempts.iter().map(|a| &a.offer.provider).collect();
    let rest = format!(
        "{} offers from {} providers, {left} not offered, in {} ms   plan {}",
        plan.attempts.len(),
        providers.len(),
        took.as_millis(),
        plan.id
    );
    out.push_str(&head(4, "quotes", &rest));
    if !plan.attempts.is_empty() {
        writeln!(
            out,
            "              #  provider  zone             type              kind       per hour      in all        start"
        )?;
    }
    for (number, attempt) in plan.attempts.iter().enumerate().take(LINES_MAX) {
        let offer = &attempt.offer;
        let owned = match offer.kind {
            OfferKind::Owned => " (own rate)",
            _ if offer.is_paid() => " (paid for already)",
            _ => "",
        };
        writeln!(
            out,
            "              {:<2} {:<9} {:<16} {:<17} {:<10} {:<13} {:<13} ~{}{owned}",
            number + 1,
            offer.provider.as_str(),
            offer.zone.as_str(),
            offer.instance_type.as_str(),
            offer.kind.as_str(),
            attempt.hourly.to_string(),
            attempt.total.to_string(),
            duration(u64::from(offer.start_delay_s)),
        )?;
    }
    if plan.attempts.len() > LINES_MAX {
        writeln!(out, "              {} more", plan.attempts.len() - LINES_MAX)?;
    }
    if left > 0 {
        let counts: Vec<String> =
            plan.excluded_counts.iter().map(|(why, count)| format!("{count} {why}")).collect();
        writeln!(out, "              not offered: {}", counts.join(", "))?;
    }
    for reason in REASONS_SHOWN {
        // One of each reason is enough to see what would include the others.
        if let Some(excluded) = plan.excluded.iter().find(|excluded| excluded.why.name() == reason) {
            writeln!(out, "              - {reason}: {}", excluded.offer)?;
            writeln!(out, "                included by {}", excluded.included_by)?;
        }
    }
    if let Some(worst_case) = plan.worst_case {
        let left = record.team_left.map_or_else(|| "no budget".to_owned(), |left| format!("{left} left"));
        writeln!(out, "              worst case {worst_case}; team {}: {left}", record.team)?;
    }
    Ok(())
}

fn provision_text(out: &mut String, progress: &Progress) -> std::fmt::Result {
    match progress {
        Progress::Held { amount, .. } => {
            out.push_str(&head(5, "provision", &format!("{amount} held")));
            Ok(())
        }
        Progress::Trying { offer, .. } => writeln!(out, "              {offer}: intent journaled, calling"),
        Progress::Hedging { offer, beside, after_s, .. } => {
            writeln!(out, "              {offer}: tried beside {beside}, silent for {after_s} s")
        }
        Progress::Overtaken { offer, .. } => {
            writeln!(out, "              {offer}: overtaken; what it creates will be ended")
        }
        Progress::Repeating { offer, .. } => {
            writeln!(out, "              {offer}: the answer was lost; the same token again")
        }
        Progress::Failed { why, nothing_created, .. } => {
            let sure =
                if *nothing_created { "nothing was created" } else { "what was created will be ended" };
            writeln!(out, "              failed: {why}; {sure}; next offer")
        }
        Progress::Skipped { offer, why } => writeln!(out, "              {offer}: passed over, {why}"),
        Progress::Created { instances, hourly, .. } => {
            writeln!(out, "              created {} at {hourly}/h   SIMULATED", instances.join(", "))
        }
    }
}

fn telemetry_text(out: &mut String, gpu: &SeriesSet, host: &SeriesSet) -> std::fmt::Result {
    let value = |set: &SeriesSet, gpu: Option<&str>, field: &str| -> Option<f64> {
        let series = set.series.iter().find(|series| series.field == field && series.tag("gpu") == gpu)?;
        series.samples.last()?.as_f64()
    };
    let mut gpus: Vec<&str> = gpu.series.iter().filter_map(|series| series.tag("gpu")).collect();
    gpus.sort_unstable();
    gpus.dedup();
    if !gpus.is_empty() {
        writeln!(out, "              GPU (SIMULATED)   SM active   memory GiB      power W   temp C")?;
    }
    let gib = |bytes: f64| bytes / 1_073_741_824.0;
    let shown = |value: Option<f64>, decimals: usize| {
        value.map_or_else(|| "n/a".to_owned(), |v| format!("{v:.decimals$}"))
    };
    for name in gpus.iter().take(LINES_MAX) {
        let of = |field: &str| value(gpu, Some(name), field);
        writeln!(
            out,
            "              {name:<17} {:>7} %   {:>5} / {:<7} {:>7}   {:>6}",
            shown(of("sm_activity_ratio").map(|ratio| ratio * 100.0), 0),
            shown(of("memory_used_bytes").map(gib), 1),
            shown(of("memory_total_bytes").map(gib), 0),
            shown(of("power_watts"), 0),
            shown(of("temperature_celsius"), 0),
        )?;
    }
    let of = |field: &str| value(host, None, field);
    writeln!(
        out,
        "              this machine (real): CPU {} %, memory {} of {} GiB, network {} MB in, {} MB out since boot",
        shown(of("cpu_ratio").map(|ratio| ratio * 100.0), 0),
        shown(of("memory_used_bytes").map(gib), 1),
        shown(of("memory_total_bytes").map(gib), 1),
        shown(of("network_received_bytes").map(|bytes| bytes / 1e6), 1),
        shown(of("network_sent_bytes").map(|bytes| bytes / 1e6), 1),
    )
}

fn cost_text(out: &mut String, told: &CostTold<'_>) -> std::fmt::Result {
    let CostTold { running, lease, interruptions, billed, budget } = told;
    let since = running.since.map_or(0, |since| running.as_of.duration_since(since).as_secs());
    let minutes = duration(u64::try_from(since).unwrap_or(0));
    let rest = format!("{} accrued in {minutes} of virtual time at {}/h", running.accrued, running.hourly);
    out.push_str(&head(8, "cost", &rest));
    let settled = lease.cost.map_or_else(|| "unsettled".to_owned(), |cost| cost.to_string());
    if lease.end_reason == Some(EndReason::Reclaimed) {
        writeln!(
            out,
            "              {interruptions} interruption(s) announced; the provider took the instances back"
        )?;
    }
    writeln!(out, "              projected {}; ended: settled {settled}", running.projected)?;
    writeln!(out, "              the simulated cloud bills {billed}: the same to the last nano-unit")?;
    if let Some(budget) = budget {
        writeln!(
            out,
            "              {}: {} spent, {} held, {} left",
            budget.payer, budget.spent, budget.held, budget.left
        )?;
    }
    Ok(())
}

fn audit_text(out: &mut String, told: &AuditTold<'_>) -> std::fmt::Result {
    let rest = format!("{} entries, every byte checked, checkpoint signature valid", told.entries);
    out.push_str(&head(9, "audit", &rest));
    for recorded in told.trail {
        let entry = &recorded.entry;
        writeln!(
            out,
            "              {:>4} {:<22} {:<8} {}",
            recorded.index,
            entry.action,
            entry.outcome.as_str(),
            entry.principal
        )?;
    }
    writeln!(
        out,
        "              {} of them exported as a proof and verified without the log",
        told.proven.len()
    )?;
    writeln!(out, "              key {}", told.key)?;
    match told.folder {
        Some(folder) => {
            let folder = folder.display();
            writeln!(out, "              check it yourself: hpc audit verify {folder} --key {}", told.key)
        }
        None => writeln!(
            out,
            "              keep it next time with --data DIR, and check it with `hpc audit verify DIR/audit`"
        ),
    }?;
    writeln!(out, "\nKeep it running and look around:   cargo run --release -p hpcd -- dev")
}

fn newest(set: &SeriesSet) -> Vec<Value> {
    set.series
        .iter()
        .map(|series| {
            let tags: serde_json::Map<String, Value> =
                series.tags.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            let value = series.samples.last().and_then(hpc_timeseries::Sample::as_f64);
            json!({"tags": tags, "field": series.field, "value": value})
        })
        .collect()
}

/// Seconds as people say them: `2 h`, `15 min`, `30 s`.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        _ if seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}
