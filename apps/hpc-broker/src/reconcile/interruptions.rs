//! Interruptions: what a provider says of capacity that it takes back, kept in the audit log, and answered: a lease that
//! is given notice drains until then.
//!
//! A provider's cursor moves on once all it told is kept and answered. So every notice is answered at least once: told twice,
//! late, never, or about an instance that nobody knows, it does no harm.

use std::collections::HashMap;

use hpc_audit::{Entry, Outcome};
use hpc_error::HpcError;
use hpc_provider::{CapacityProvider, InstanceHandle, Interruption, InterruptionKind};
use hpc_resources::{LeaseId, ProviderId};

use super::Reconciled;
use super::orphans::safe_name;
use crate::broker::Broker;
use crate::entry::{say, say_number};
use crate::records::{DrainReason, DrainRecord, IntentRecord, LeaseState};
use crate::store::{Change, PAGE, key};

/// Most interruptions written in one transaction.
const EVENTS_PER_COMMIT: usize = 256;

impl Broker {
    /// Reads what each provider tells since its cursor, and answers it. What is wrong with one keeps no other waiting.
    pub(super) async fn read_interruptions(&self, report: &mut Reconciled) {
        for (id, port) in &self.providers {
            if port.describe().supports.interruptions
                && let Err(error) = self.read_interruptions_of(id, port.as_ref(), report).await
            {
                report.problems.push(format!("{id}: {error}"));
            }
        }
    }

    async fn read_interruptions_of(
        &self,
        id: &ProviderId,
        port: &dyn CapacityProvider,
        report: &mut Reconciled,
    ) -> Result<(), HpcError> {
        let place = key("cursor", id.as_str())?;
        let cursor = self.store.read::<String>(&place).await?.map(|(cursor, _)| cursor);
        let answer = port.interruptions(cursor.clone()).await;
        self.pulse.called(id, "interruptions", answer.as_ref().err(), self.environment.now());
        let page = match answer {
            Ok(page) => page,
            Err(error) => {
                report.problems.push(format!("{id}: {error}"));
                return Ok(());
            }
        };
        if page.events.is_empty() && cursor.as_deref() == Some(page.cursor.as_str()) {
            return Ok(());
        }
        let simulated = port.describe().simulated;
        for events in page.events.chunks(EVENTS_PER_COMMIT) {
            let say = |change: Change, event| change.say(self.interruption(event, simulated));
            self.store.commit_even_unaudited(events.iter().fold(Change::new(), say)).await?;
        }
        report.interruptions += page.events.len();
        if self.answer_notices(id, &page.events, report).await? {
            self.store.commit_even_unaudited(Change::new().put(place, &page.cursor)?).await?;
        } else {
            // Somebody works on a lease of these: all of it is read again in the next round.
            report.pending += 1;
        }
        Ok(())
    }

    /// Drains every lease that is given notice. Answers whether none has to be asked again.
    async fn answer_notices(
        &self,
        provider: &ProviderId,
        events: &[Interruption],
        report: &mut Reconciled,
    ) -> Result<bool, HpcError> {
        // Nobody is believed about the instances of others.
        let is_notice = |event: &&Interruption| {
            event.kind == InterruptionKind::Notice && event.handle.provider == *provider
        };
        let notices: Vec<&Interruption> = events.iter().filter(is_notice).collect();
        if notices.is_empty() {
            return Ok(true);
        }
        let holders = self.holders(provider).await?;
        let mut all = true;
        for event in notices {
            // An instance that nobody knows, or that has ended, needs no answer.
            let Some(lease) = holders.get(&event.handle) else { continue };
            match self.drain_interrupted(lease, event).await {
                Ok(answered) => all &= answered,
                Err(error) => {
                    all = false;
                    report.problems.push(format!("{lease}: {error}"));
                }
            }
        }
        Ok(all)
    }

    /// The lease of each of a provider's instances that has not ended.
    async fn holders(&self, provider: &ProviderId) -> Result<HashMap<InstanceHandle, LeaseId>, HpcError> {
        let mut holders = HashMap::new();
        for part in self.store.open_keys("intent").await?.chunks(PAGE) {
            // One that cannot be read is told of when it is settled, and keeps no notice from the others.
            let intents: Vec<Option<IntentRecord>> = self.store.read_many(part).await?;
            for intent in intents.into_iter().flatten() {
                // A try that was overtaken is being ended: what becomes of it is no interruption of its lease.
                if intent.spec.offer.provider != *provider || intent.set_aside {
                    continue;
                }
                for instance in intent.instances.into_iter().filter(|instance| instance.to.is_none()) {
                    holders.insert(instance.handle, intent.spec.lease.clone());
                }
            }
        }
        Ok(holders)
    }

    /// Answers whether it is answered; not while another call works on the lease.
    async fn drain_interrupted(&self, id: &LeaseId, event: &Interruption) -> Result<bool, HpcError> {
        let lease = self.lease_by_id(id).await?;
        let Ok(_begun) = self.begin_lease(&lease) else { return Ok(false) };
        let lease = self.lease_by_id(id).await?;
        // What takes nothing away is no interruption: a block that ends with its lease, a drain that ends sooner.
        let end = lease.drain.map(|drain| drain.until).or(lease.ends_at);
        if !lease.state.is_running() || end.is_some_and(|end| end <= event.deadline) {
            return Ok(true);
        }
        let now = self.environment.now();
        // Whoever had it drained wants no more of it.
        let goes_on = lease.state == LeaseState::Active;
        let until = event.deadline;
        let reason = if goes_on {
            DrainReason::Interrupted
        } else {
            lease.drain.map_or(DrainReason::Interrupted, |drain| drain.reason)
        };
        let drain = DrainRecord { reason, since: now, until };
        let (mut lease, mut entry) = self.draining(lease, drain);
        "system".clone_into(&mut entry.principal);
        say(&mut entry, "instance", &safe_name(&event.handle));
        // How long it took from the provider's word to ours.
        let reacted = now.duration_since(event.seen_at).as_millis();
        say_number(&mut entry, "reacted_ms", u64::try_from(reacted).unwrap_or(0));
        let mut change = Change::new().say(entry);
        if goes_on {
            change = self.reclaimed(change, &mut lease).await?;
        }
        self.store.commit_even_unaudited(change.put(key("lease", id.as_str())?, &lease)?).await?;
        Ok(true)
    }

    fn interruption(&self, event: &Interruption, simulated: bool) -> Entry {
        let kind = crate::text(&event.kind);
        let id = format!("{}.{kind}.{}", safe_name(&event.handle), event.seen_at.as_millisecond());
        let action = format!("instance.{kind}");
        let mut entry = self.scribe.entry(id, self.environment.now(), "system", &action, Outcome::Ok);
        entry.simulated = simulated;
        entry.subjects.insert("instance".to_owned(), safe_name(&event.handle));
        say(&mut entry, "provider", event.handle.provider.as_str());
        say(&mut entry, "deadline", &event.deadline.to_string());
        entry
    }
}
