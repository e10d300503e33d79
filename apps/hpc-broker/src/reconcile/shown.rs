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

use super::clouds::{Cloud, Glance, Listed, Running};
use crate::activate::instance_record;
use crate::books::claim_name;
use crate::broker::Broker;
use crate::records::{InstanceRecord, IntentRecord, IntentState};
use crate::store::{Change, key};

/// Most intents in one commit.
const INTENTS_PER_COMMIT_MAX: usize = 128;
/// Instances after which a commit takes no further intent: the ledger bounds the bytes of a commit.
const INSTANCES_PER_COMMIT_MAX: usize = 2_048;
/// Most commits under way.
const COMMITS_AT_ONCE: usize = 8;

/// An intent that [`is_listed`], and what has to be known to claim it.
pub(super) struct Shown {
    intent: IntentId,
    lease: LeaseId,
    instances: usize,
}

impl From<Glance> for Shown {
    fn from(Glance { spec, instances, .. }: Glance) -> Self {
        Self { intent: spec.intent, lease: spec.lease, instances: instances.len() }
    }
}

/// Those that share the next commit, one at least, and the others.
fn next_commit(shown: &[Shown]) -> Option<(&[Shown], &[Shown])> {
    let (mut taken, mut instances) = (0, 0_usize);
    for one in shown.iter().take(INTENTS_PER_COMMIT_MAX) {
        instances = instances.saturating_add(one.instances);
        if taken > 0 && instances > INSTANCES_PER_COMMIT_MAX {
            break;
        }
        taken += 1;
    }
    shown.split_at_checked(taken).filter(|(next, _)| !next.is_empty())
}

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
    /// Takes over what the clouds' lists say of some intents, in few commits, and adds them to what is known to run. Those that
    /// somebody works on are left to the next round.
    ///
    /// Gives those that could not be taken over together with others, whatever the reason: each is to be settled alone.
    pub(super) async fn take_over(
        &self,
        mut shown: &[Shown],
        cloud: &Cloud,
        running: &mut Running,
    ) -> Vec<IntentId> {
        let mut alone = Vec::new();
        // While one waits for the disk the next ones are read.
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < COMMITS_AT_ONCE
                && let Some((next, rest)) = next_commit(shown)
            {
                shown = rest;
                under_way.push(self.take_over_at_once(next, cloud));
            }
            let Some((taken, others)) = under_way.next().await else { return alone };
            for intent in taken {
                running.take(intent.into(), cloud);
            }
            alone.extend(others);
        }
    }

    /// Gives those that were taken over, and those that could not be.
    async fn take_over_at_once(&self, shown: &[Shown], cloud: &Cloud) -> (Vec<IntentRecord>, Vec<IntentId>) {
        // A lease that somebody is ending is theirs: what is learnt here could overwrite it.
        let claim = |Shown { intent, lease, .. }: &Shown| {
            let claims =
                (self.books.begin(&claim_name(intent))?, self.books.begin(&format!("lease/{lease}"))?);
            Some((intent.clone(), claims))
        };
        let (ids, _claims): (Vec<_>, Vec<_>) = shown.iter().filter_map(claim).unzip();
        match self.commit_listed(&ids, cloud).await {
            Ok(taken) => taken,
            Err(_) => (Vec::new(), ids),
        }
    }

    async fn commit_listed(
        &self,
        ids: &[IntentId],
        cloud: &Cloud,
    ) -> Result<(Vec<IntentRecord>, Vec<IntentId>), HpcError> {
        let keys = ids.iter().map(|id| key("intent", id.as_str())).collect::<Result<Vec<Key>, _>>()?;
        // Read again: what was read before anybody held it may be old.
        let intents: Vec<Option<IntentRecord>> = self.store.read_many(&keys).await?;
        let (mut change, mut taken, mut alone) = (Change::new(), Vec::new(), Vec::new());
        for ((id, key), intent) in ids.iter().zip(keys).zip(intents) {
            match intent.and_then(|intent| as_listed(intent, cloud)) {
                Some(intent) => {
                    change = change.put(key, &intent)?;
                    taken.push(intent);
                }
                None => alone.push(id.clone()),
            }
        }
        if !taken.is_empty() {
            self.store.commit_even_unaudited(change).await?;
        }
        Ok((taken, alone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(instances: &[usize]) -> Vec<Shown> {
        let lease = LeaseId::from_bits(1);
        let one = |(at, instances): (usize, &usize)| Shown {
            intent: IntentId::from_bits(at as u128),
            lease: lease.clone(),
            instances: *instances,
        };
        instances.iter().enumerate().map(one).collect()
    }

    fn commits(instances: &[usize]) -> Vec<usize> {
        let (all, mut lengths) = (shown(instances), Vec::new());
        let mut left = all.as_slice();
        while let Some((next, rest)) = next_commit(left) {
            lengths.push(next.len());
            left = rest;
        }
        lengths
    }

    #[test]
    fn commits_are_bounded_by_intents_and_by_instances() {
        assert_eq!(commits(&[]), Vec::<usize>::new());
        assert_eq!(commits(&[1; 300]), [128, 128, 44]);
        assert_eq!(commits(&[1_024, 1_024, 1, 2_047, 1]), [2, 2, 1]);
        assert_eq!(commits(&[4_096, 4_096, 0]), [1, 1, 1], "one is never too much");
    }
}
