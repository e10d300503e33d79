//! Instances that their clouds show for the first time, or again: what the list says of them is taken over.
//!
//! After many applies at once there are as many of them in one round, so they share commits, and nothing is asked of the
//! clouds about them: the list has said everything.

use hpc_error::HpcError;
use hpc_resources::IntentId;
use jiff::Timestamp;

use super::clouds::{Cloud, Running};
use crate::activate::instance_record;
use crate::books::claim_name;
use crate::broker::Broker;
use crate::records::{InstanceRecord, IntentRecord, IntentState};
use crate::store::{Change, key};

/// Most intents in one commit, and most claimed at a time.
pub(super) const INTENTS_PER_COMMIT_MAX: usize = 128;

/// A running intent with what its cloud's list says of it; `None` unless all of it is listed as live.
pub(super) fn as_listed(intent: &IntentRecord, cloud: &Cloud) -> Option<IntentRecord> {
    if intent.state != IntentState::Acknowledged {
        return None;
    }
    let listed = cloud.get(&intent.spec.offer.provider)?;
    let taken = |instance: &InstanceRecord| {
        let state = listed.live(&instance.handle).filter(|_| instance.to.is_none())?;
        Some(InstanceRecord { to: None, ..instance_record(state, intent.spec.price) })
    };
    let instances = intent.instances.iter().map(taken).collect::<Option<_>>()?;
    Some(IntentRecord { instances, ..intent.clone() })
}

/// Whether a cloud may still hide an instance that it has not shown since it was created, `now`. Until then it is neither
/// asked for nor missed.
pub(super) fn may_be_hidden(instance: &InstanceRecord, consistency_ms: u64, now: Timestamp) -> bool {
    let age_ms = now.duration_since(instance.from).as_millis();
    instance.unseen && instance.to.is_none() && (0..i128::from(consistency_ms)).contains(&age_ms)
}

impl Broker {
    /// Takes over what the clouds' lists say of some intents, in one commit, and adds them to what is known to run.
    /// Those that somebody works on are left to the next round.
    pub(super) async fn take_over(
        &self,
        intents: &[IntentId],
        cloud: &Cloud,
        running: &mut Running,
    ) -> Result<(), HpcError> {
        let (mut change, mut taken, mut claims) = (Change::new(), Vec::new(), Vec::new());
        for id in intents {
            let Some(claim) = self.books.begin(&claim_name(id)) else { continue };
            let Some(intent) = self.intent_by_id(id).await? else { continue };
            // A lease that somebody is ending is theirs: what is learnt here could overwrite it.
            let Some(lease) = self.books.begin(&format!("lease/{}", intent.spec.lease)) else { continue };
            // It is read again: what was read before anybody held it may be old.
            if let Some(intent) = as_listed(&intent, cloud) {
                change = change.put(key("intent", id.as_str())?, &intent)?;
                taken.push(intent);
                claims.push((claim, lease));
            }
        }
        if !taken.is_empty() {
            self.store.commit_even_unaudited(change).await?;
        }
        for intent in &taken {
            running.takes(intent, cloud);
        }
        Ok(())
    }
}
