//! Reconcile: after a crash, and for ever: instances = leases, every intent ends in one final state, no orphan stays.
//!
//! The cloud is listed before the ledger is read. Whatever the list shows was created by an intent that was durable before
//! it, so the ledger read afterwards explains it, or nothing does.

mod clouds;
mod intents;
mod interruptions;
mod leases;
mod orphans;
mod shown;

use std::collections::BTreeSet;

use hpc_error::HpcError;
use hpc_resources::{IntentId, LeaseId};
use serde::{Deserialize, Serialize};

use self::clouds::{Cloud, Glance, Running};
pub(crate) use self::orphans::{Explained, OrphanEnd, safe_name};
pub use self::orphans::{OrphanRecord, OrphanWhy};
use self::shown::{Shown, is_listed};
use crate::books::claim_name;
use crate::broker::Broker;
use crate::records::LeaseRecord;
use crate::store::PAGE;

/// What one round of reconciling did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// Audit entries that a crash had left behind.
    pub audited: usize,
    /// Intents whose instances were found and kept.
    pub adopted: usize,
    /// Intents that came to an end.
    pub closed: usize,
    /// Leases that came to an end.
    pub ended: usize,
    /// Instances that nothing explained, and that were ended.
    pub reaped: usize,
    /// Interruptions seen.
    pub interruptions: usize,
    /// Intents and leases that are still open and need another round.
    pub pending: usize,
    /// What could not be done, in words; the next round tries again.
    pub problems: Vec<String>,
}

impl Broker {
    /// Runs one round: drains the audit outbox, settles open intents and leases, ends what is over, reaps orphans.
    ///
    /// # Errors
    /// Only ledger failures; a provider that does not answer is a problem in the report.
    pub async fn reconcile(&self) -> Result<Reconciled, HpcError> {
        let mut report = Reconciled::default();
        match self.store.drain().await {
            Ok(audited) => report.audited = audited,
            Err(error) => report.problems.push(error.to_string()),
        }
        if let Err(error) = self.forget_stock().await {
            report.problems.push(error.to_string());
        }
        self.read_interruptions(&mut report).await;
        let (held, strays) = (self.books.held(), self.books.strays());
        let listed_at = self.environment.now();
        let cloud = self.list_clouds().await;
        for (id, listed) in &cloud {
            report.problems.extend(listed.problem.iter().map(|problem| format!("{id}: {problem}")));
        }
        let running = self.settle_intents(&cloud, &mut report).await?;
        let open = self.settle_leases(&running, &mut report).await?;
        self.note_orphans(&cloud, &running, listed_at, &mut report).await?;
        self.end_noted_orphans(&mut report).await?;
        // A lease that had its mark after the holds were read has its hold by right, or has just given it back.
        self.drop_lost_holds(held.into_iter().filter(|lease| !open.contains(lease))).await?;
        self.drop_ended_strays(strays).await?;
        self.warn_of_budgets().await?;
        Ok(report)
    }

    /// Settles every open intent. Most of them run as their clouds say, so they are read many at a time and left alone.
    async fn settle_intents(&self, cloud: &Cloud, report: &mut Reconciled) -> Result<Running, HpcError> {
        let (mut running, mut shown) = (Running::default(), Vec::new());
        for part in self.store.open_keys("intent").await?.chunks(PAGE) {
            let intents: Vec<Option<Glance>> = self.store.read_many(part).await?;
            for (place, intent) in part.iter().zip(intents) {
                let Ok(id) = IntentId::parse(place.name()) else { continue };
                if let Some(intent) = intent {
                    let Some(intent) = running.take(intent, cloud) else { continue };
                    if is_listed(&intent, cloud) {
                        shown.push(Shown::from(intent));
                        continue;
                    }
                }
                self.settle_alone(&id, cloud, report).await;
            }
        }
        for id in self.take_over(&shown, cloud, &mut running).await {
            self.settle_alone(&id, cloud, report).await;
        }
        Ok(running)
    }

    /// Settles an intent that takes a look of its own.
    async fn settle_alone(&self, id: &IntentId, cloud: &Cloud, report: &mut Reconciled) {
        let Some(_claim) = self.books.begin(&claim_name(id)) else { return };
        // Read again: what was read before anybody held it may be old.
        let settled = match self.intent_by_id(id).await {
            Ok(Some(intent)) => self.settle_intent(intent, cloud, report).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = settled {
            report.problems.push(format!("{id}: {error}"));
        }
    }

    /// Settles every open lease, and says which were open. They are read as intents are.
    async fn settle_leases(
        &self,
        running: &Running,
        report: &mut Reconciled,
    ) -> Result<BTreeSet<LeaseId>, HpcError> {
        let mut open = BTreeSet::new();
        for part in self.store.open_keys("lease").await?.chunks(PAGE) {
            let leases: Vec<Option<LeaseRecord>> = self.store.read_many(part).await?;
            for (place, lease) in part.iter().zip(leases) {
                let Ok(id) = LeaseId::parse(place.name()) else { continue };
                if let Err(error) = self.settle_lease(&id, lease, running, report).await {
                    report.problems.push(format!("{id}: {error}"));
                }
                open.insert(id);
            }
        }
        Ok(open)
    }
}
