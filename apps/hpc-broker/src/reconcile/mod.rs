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

use self::clouds::Running;
pub(crate) use self::orphans::{Explained, OrphanEnd, safe_name};
pub use self::orphans::{OrphanRecord, OrphanWhy};
use self::shown::{INTENTS_PER_COMMIT_MAX, as_listed};
use crate::books::claim_name;
use crate::broker::Broker;

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
        let (mut running, mut shown) = (Running::default(), Vec::new());
        for marker in self.store.keys("open-intent/").await? {
            let Ok(id) = IntentId::parse(marker.name()) else { continue };
            if let Some(intent) = self.intent_by_id(&id).await? {
                if running.takes(&intent, &cloud) {
                    continue;
                }
                if as_listed(&intent, &cloud).is_some() {
                    shown.push(id);
                    continue;
                }
            }
            let Some(_claim) = self.books.begin(&claim_name(&id)) else { continue };
            if let Some(intent) = self.intent_by_id(&id).await?
                && let Err(error) = self.settle_intent(intent, &cloud, &mut report).await
            {
                report.problems.push(format!("{id}: {error}"));
            }
        }
        for intents in shown.chunks(INTENTS_PER_COMMIT_MAX) {
            if let Err(error) = self.take_over(intents, &cloud, &mut running).await {
                report.problems.push(error.to_string());
            }
        }
        let open: BTreeSet<LeaseId> = self
            .store
            .keys("open-lease/")
            .await?
            .iter()
            .flat_map(|marker| LeaseId::parse(marker.name()))
            .collect();
        for id in &open {
            if let Err(error) = self.settle_lease(id, &running, &mut report).await {
                report.problems.push(format!("{id}: {error}"));
            }
        }
        self.note_orphans(&cloud, &running, listed_at, &mut report).await?;
        self.end_noted_orphans(&mut report).await?;
        // A lease that had its mark after the holds were read has its hold by right, or has just given it back.
        self.drop_lost_holds(held.into_iter().filter(|lease| !open.contains(lease))).await?;
        self.drop_ended_strays(strays).await?;
        self.warn_of_budgets().await?;
        Ok(report)
    }
}
