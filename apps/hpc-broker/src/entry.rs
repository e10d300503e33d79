//! What the audit log says of each step.

use hpc_audit::{Entry, Outcome};
use hpc_provider::ProvisionSpec;
use jiff::Timestamp;
use serde_json::Value;

use crate::evidence::Evidence;
use crate::records::{IntentRecord, LeaseRecord, PlanRecord, PricedBy};
use crate::sealed::Openings;

/// Builds entries that carry the installation's marks.
#[derive(Clone, Debug)]
pub(crate) struct Scribe {
    pub(crate) dev: bool,
}

impl Scribe {
    /// An entry; its id makes appending it twice harmless.
    pub(crate) fn entry(
        &self,
        id: String,
        at: Timestamp,
        principal: &str,
        action: &str,
        outcome: Outcome,
    ) -> Entry {
        Entry::new(id, at, principal, action, outcome).dev(self.dev)
    }

    /// The entry of a plan, with the decision about it and, where another team pays, the one about its budget.
    pub(crate) fn planned(
        &self,
        record: &PlanRecord,
        openings: &Openings,
        evidence: &Evidence,
        spends: Option<&Evidence>,
    ) -> Entry {
        let plan = &record.plan;
        let outcome = if record.decision.allowed { Outcome::Ok } else { Outcome::Denied };
        let id = format!("{}.planned", plan.id);
        let mut entry = self.entry(id, plan.created_at, &record.principal, "request.planned", outcome);
        entry.subjects.insert("plan".to_owned(), plan.id.to_string());
        entry.subjects.insert("request".to_owned(), plan.request_id.to_string());
        entry.subjects.insert("decision".to_owned(), record.decision.id.to_string());
        entry.simulated = plan.simulated;
        say(&mut entry, "plan_hash", &record.hash);
        say(&mut entry, "team", record.team.as_str());
        say_number(&mut entry, "offers", u64::try_from(plan.attempts.len()).unwrap_or(u64::MAX));
        say_number(
            &mut entry,
            "excluded",
            plan.excluded_counts.values().copied().fold(0, u64::saturating_add),
        );
        if let Some(worst_case) = plan.worst_case {
            say(&mut entry, "worst_case", &worst_case.to_string());
        }
        if !record.price_sources.is_empty() {
            let said = record.price_sources.iter().take(64).map(|PricedBy { provider, source }| {
                format!("{provider} {} {} {}", source.hash, source.as_of, source.name)
            });
            say(&mut entry, "price_sources", &said.collect::<Vec<_>>().join("; "));
        }
        let matched = record.decision.rules.iter().filter(|line| line.result == "matched").take(32);
        let rules: Vec<String> = matched.map(|line| format!("{} {}", line.effect, line.rule)).collect();
        say(&mut entry, "rules", &rules.join(", "));
        // What a person wrote is committed to beside this, and not stored.
        if let Ok(Value::Object(mut request)) = serde_json::to_value(&record.request) {
            request.retain(|field, _| !["name", "purpose", "labels"].contains(&field.as_str()));
            say(&mut entry, "request", &Value::Object(request).to_string());
        }
        openings.put(&mut entry);
        evidence.put(&mut entry);
        if let Some(spends) = spends {
            spends.put_beside(&mut entry, "budget");
        }
        entry
    }

    pub(crate) fn lease(&self, lease: &LeaseRecord, at: Timestamp, step: &str, outcome: Outcome) -> Entry {
        let id = format!("{}.{step}", lease.id);
        let mut entry = self.entry(id, at, &lease.principal, &format!("lease.{step}"), outcome);
        entry.subjects.insert("lease".to_owned(), lease.id.to_string());
        entry.subjects.insert("plan".to_owned(), lease.plan.to_string());
        entry.subjects.insert("request".to_owned(), lease.request.to_string());
        entry.simulated = lease.simulated;
        say(&mut entry, "team", lease.team.as_str());
        say(&mut entry, "hold", &lease.hold.to_string());
        if let Some(cost) = lease.cost {
            say(&mut entry, "cost", &cost.to_string());
        }
        if let Some(reason) = lease.end_reason
            && let Ok(reason) = serde_json::to_value(reason)
        {
            entry.data.insert("reason".to_owned(), reason);
        }
        entry
    }

    pub(crate) fn intent(
        &self,
        intent: &IntentRecord,
        principal: &str,
        step: &str,
        outcome: Outcome,
    ) -> Entry {
        let ProvisionSpec { intent: id, lease, offer, token, .. } = &intent.spec;
        let mut entry = self.entry(
            format!("{id}.{step}"),
            intent.updated_at,
            principal,
            &format!("intent.{step}"),
            outcome,
        );
        entry.subjects.insert("intent".to_owned(), id.to_string());
        entry.subjects.insert("lease".to_owned(), lease.to_string());
        entry.simulated = offer.simulated;
        say(&mut entry, "offer", &offer.key().to_string());
        say(&mut entry, "token", token.as_str());
        say(&mut entry, "price", &intent.spec.price.0.to_string());
        say_number(&mut entry, "instances", u64::from(intent.spec.instances));
        if let Some(error) = &intent.error {
            say(&mut entry, "error", &error.to_string());
        }
        if !intent.instances.is_empty() {
            let handles: Vec<&str> =
                intent.instances.iter().map(|instance| instance.handle.id.as_str()).collect();
            let shown = handles.iter().take(64).copied().collect::<Vec<_>>().join(", ");
            say(&mut entry, "handles", &shown);
        }
        entry
    }
}

pub(crate) fn say(entry: &mut Entry, name: &str, value: &str) {
    entry.data.insert(name.to_owned(), Value::String(value.to_owned()));
}

pub(crate) fn say_number(entry: &mut Entry, name: &str, value: u64) {
    entry.data.insert(name.to_owned(), Value::Number(value.into()));
}
