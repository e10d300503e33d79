//! Offers that are no plan: the verdict, what could be had in order, and why everything else could not.

use std::fmt::Write as _;

use hpc_broker::Offers;
use hpc_resources::{Plan, PlanId, RequestId};

use super::plan;
use crate::output::{HEAD, WARN, paint};
use crate::text;

/// The whole answer.
pub(crate) fn offers(offers: &Offers, wide: bool) -> String {
    let ranked = Plan {
        // What is shown of a plan is shown of offers, its id aside.
        id: PlanId::from_bits(0),
        request_id: RequestId::from_bits(0),
        created_at: offers.as_of,
        expires_at: offers.as_of,
        duration_s: offers.request.duration_s(),
        attempts: offers.attempts.clone(),
        excluded_counts: offers.excluded_counts.clone(),
        excluded: offers.excluded.clone(),
        worst_case: None,
        simulated: offers.simulated,
    };
    let mut out = format!("{}   as of {}", paint(HEAD, "Offers"), text::clock_time(offers.as_of));
    let _ = write!(out, ", for team {}, {}", offers.team, text::duration(ranked.duration_s));
    if offers.simulated {
        let _ = write!(out, "   {}", paint(WARN, "SIMULATED"));
    }
    out.push('\n');
    for kept in &offers.kept {
        let age = text::between(kept.asked_at, offers.as_of);
        let why = kept.trouble.as_ref().map(|trouble| format!("; nothing newer: {}", text::line(trouble)));
        let line = format!("{} was asked {age} ago{}", kept.provider, why.unwrap_or_default());
        let _ = writeln!(out, "{}", paint(WARN, &line));
    }
    out.push('\n');
    out.push_str(&plan::policy(&offers.decision, wide));
    if !ranked.attempts.is_empty() {
        out.push_str(&plan::offers(&ranked, wide, "-o wide"));
    }
    out.push_str(&plan::not_offered(&ranked, wide));
    if let Some(hold) = offers.hold {
        let _ =
            writeln!(out, "An apply would hold up to {}. To get one: hpc request plan", text::money(hold));
    }
    out
}
