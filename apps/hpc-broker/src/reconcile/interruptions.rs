//! Interruptions: what a provider says of capacity that it takes back, kept in the audit log.

use hpc_audit::{Entry, Outcome};
use hpc_error::HpcError;
use hpc_provider::Interruption;

use super::Reconciled;
use super::orphans::safe_name;
use crate::broker::Broker;
use crate::entry::say;
use crate::store::{Change, key};

/// Most interruptions written in one transaction.
const EVENTS_PER_COMMIT: usize = 256;

impl Broker {
    pub(super) async fn read_interruptions(&self, report: &mut Reconciled) -> Result<(), HpcError> {
        for (id, port) in &self.providers {
            if !port.describe().supports.interruptions {
                continue;
            }
            let place = key("cursor", id.as_str())?;
            let cursor = self.store.read::<String>(&place).await?.map(|(cursor, _)| cursor);
            let answer = port.interruptions(cursor.clone()).await;
            self.pulse.called(id, "interruptions", answer.as_ref().err(), self.environment.now());
            match answer {
                Ok(page) => {
                    if page.events.is_empty() && cursor.as_deref() == Some(page.cursor.as_str()) {
                        continue;
                    }
                    let simulated = port.describe().simulated;
                    for events in page.events.chunks(EVENTS_PER_COMMIT) {
                        let change = events.iter().fold(Change::new(), |change, event| {
                            change.say(self.interruption(event, simulated))
                        });
                        self.store.commit_even_unaudited(change).await?;
                    }
                    // The cursor moves on after the events are kept: at least once, never lost.
                    self.store.commit_even_unaudited(Change::new().put(place, &page.cursor)?).await?;
                    report.interruptions += page.events.len();
                }
                Err(error) => report.problems.push(format!("{id}: {error}")),
            }
        }
        Ok(())
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
