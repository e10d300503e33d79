//! Instances that their clouds show for the first time, or again: what the list says of them is taken over.
//!
//! After many applies at once there are as many of them in one round, so they share commits, and nothing is asked of the
//! clouds about them: the list has said everything.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hpc_error::HpcError;
use hpc_ledger::Key;
use hpc_provider::InstanceState;
use hpc_resources::{IntentId, LeaseId};
use jiff::Timestamp;

use super::Reconciled;
use super::clouds::{Cloud, Glance, Listed, Running};
use crate::activate::instance_record;
use crate::books::claim_name;
use crate::broker::Broker;
use crate::records::{InstanceRecord, IntentRecord, IntentState};
use crate::store::{Change, key};

/// Most intents in one commit.
const INTENTS_PER_COMMIT_MAX: usize = 128;
/// Most commits under way.
const COMMITS_AT_ONCE: usize = 8;

/// Whether an intent runs, and its cloud lists all of it as live.
pub(super) fn is_listed(intent: &Glance, cloud: &Cloud) -> bool {
    let listed = cloud.get(&intent.spec.offer.provider);
    intent.state == IntentState::Acknowledged
        && listed
            .is_some_and(|listed| intent.instances.iter().all(|instance| live(listed, instance).is_some()))
}

/// An intent with what its cloud's list says of it; `None` unless [`is_listed`].
fn as_listed(mut intent: IntentRecord, cloud: &Cloud) -> Option<IntentRecord> {
    let listed = cloud.get(&intent.spec.offer.provider)?;
    if intent.state != IntentState::Acknowledged {
        return None;
    }
    for instance in &mut intent.instances {
        *instance =
            InstanceRecord { to: None, ..instance_record(live(listed, instance)?, intent.spec.price) };
    }
    Some(intent)
}

/// What is listed of a live instance that has not ended in the books.
fn live<'a>(listed: &'a Listed, instance: &InstanceRecord) -> Option<&'a InstanceState> {
    listed.live(&instance.handle).filter(|_| instance.to.is_none())
}

/// Whether a cloud may still hide an instance that it has not shown since it was created, `now`. Until then it is neither
/// asked for nor missed.
pub(super) fn may_be_hidden(instance: &InstanceRecord, consistency_ms: u64, now: Timestamp) -> bool {
    let age_ms = now.duration_since(instance.from).as_millis();
    instance.unseen && instance.to.is_none() && (0..i128::from(consistency_ms)).contains(&age_ms)
}

impl Broker {
    /// Takes over what the clouds' lists say of some intents, each with its lease, in few commits, and adds them to what is
    /// known to run. Those that somebody works on are left to the next round.
    pub(super) async fn take_over(
        &self,
        shown: &[(IntentId, LeaseId)],
        cloud: &Cloud,
        running: &mut Running,
        report: &mut Reconciled,
    ) {
        let mut chunks = shown.chunks(INTENTS_PER_COMMIT_MAX);
        // While one waits for the disk the next ones are read.
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < COMMITS_AT_ONCE
                && let Some(chunk) = chunks.next()
            {
                under_way.push(self.take_over_at_once(chunk, cloud));
            }
            match under_way.next().await {
                None => return,
                Some(Err(error)) => report.problems.push(error.to_string()),
                Some(Ok(taken)) => {
                    for intent in taken {
                        running.take(intent.into(), cloud);
                    }
                }
            }
        }
    }

    /// Gives those that were taken over.
    async fn take_over_at_once(
        &self,
        shown: &[(IntentId, LeaseId)],
        cloud: &Cloud,
    ) -> Result<Vec<IntentRecord>, HpcError> {
        // A lease that somebody is ending is theirs: what is learnt here could overwrite it.
        let claim = |(intent, lease): &(IntentId, LeaseId)| {
            let claims =
                (self.books.begin(&claim_name(intent))?, self.books.begin(&format!("lease/{lease}"))?);
            Some((key("intent", intent.as_str()), claims))
        };
        let (keys, _claims): (Vec<_>, Vec<_>) = shown.iter().filter_map(claim).unzip();
        let keys = keys.into_iter().collect::<Result<Vec<Key>, _>>()?;
        // Read again: what was read before anybody held it may be old.
        let intents: Vec<Option<IntentRecord>> = self.store.read_many(&keys).await?;
        let (mut change, mut taken) = (Change::new(), Vec::new());
        for (key, intent) in keys.into_iter().zip(intents) {
            if let Some(intent) = intent.and_then(|intent| as_listed(intent, cloud)) {
                change = change.put(key, &intent)?;
                taken.push(intent);
            }
        }
        if !taken.is_empty() {
            self.store.commit_even_unaudited(change).await?;
        }
        Ok(taken)
    }
}
