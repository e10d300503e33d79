//! An open intent: adopted, looked after, or ended.

use super::Reconciled;
use super::clouds::Cloud;
use super::shown::may_be_hidden;
use crate::broker::Broker;
use crate::records::{InstanceRecord, IntentRecord, IntentState, LeaseRecord, LeaseState};
use crate::store::{Change, key};
use hpc_error::HpcError;

impl Broker {
    pub(super) async fn settle_intent(
        &self,
        intent: IntentRecord,
        cloud: &Cloud,
        report: &mut Reconciled,
    ) -> Result<(), HpcError> {
        // A lease that somebody is ending is theirs: what is learnt here could overwrite it.
        let Some(_lease) = self.books.begin(&format!("lease/{}", intent.spec.lease)) else { return Ok(()) };
        let Some(intent) = self.intent_by_id(&intent.spec.intent).await? else { return Ok(()) };
        let lease = self.lease_by_id(&intent.spec.lease).await?;
        let settled = match intent.state {
            IntentState::Recorded | IntentState::Unknown => self.resolve(intent, lease, report).await?,
            IntentState::Acknowledged => self.look_after(intent, lease, cloud).await?,
            IntentState::Releasing => self.end_intent(intent, &lease.principal).await?.0,
            IntentState::Released | IntentState::Failed => intent,
        };
        if settled.state.is_final() {
            report.closed += 1;
        } else if settled.state != IntentState::Acknowledged {
            report.pending += 1;
        }
        Ok(())
    }

    /// An intent whose outcome nobody knows: adopt what it created if the lease still waits for it, end it otherwise.
    async fn resolve(
        &self,
        mut intent: IntentRecord,
        mut lease: LeaseRecord,
        report: &mut Reconciled,
    ) -> Result<IntentRecord, HpcError> {
        let wanted = lease.state == LeaseState::Pending && !intent.set_aside;
        if !wanted {
            return Ok(self.end_intent(intent, &lease.principal).await?.0);
        }
        let port = self.provider(&intent.spec.offer.provider)?.clone();
        let Some(found) = self.find_by_tag(port.as_ref(), &intent).await? else { return Ok(intent) };
        let live = found.iter().filter(|instance| instance.to.is_none()).count();
        let complete = u32::try_from(live) == Ok(intent.spec.instances);
        if !complete {
            // Nothing, or only a part: a gang that is not whole is of no use to anybody.
            intent.set_aside = true;
            return Ok(self.end_intent(intent, &lease.principal).await?.0);
        }
        let change = self.activation(&mut lease, &mut intent, found, "adopted").await?;
        self.store.commit_even_unaudited(change).await?;
        self.books.end_stray(&intent.spec.intent);
        self.keep_hold(&lease);
        report.adopted += 1;
        Ok(intent)
    }

    /// An intent that runs: has the provider ended any of it?
    async fn look_after(
        &self,
        mut intent: IntentRecord,
        lease: LeaseRecord,
        cloud: &Cloud,
    ) -> Result<IntentRecord, HpcError> {
        let Some(listed) = cloud.get(&intent.spec.offer.provider) else { return Ok(intent) };
        let port = self.provider(&intent.spec.offer.provider)?.clone();
        let (bound_ms, now) = (port.describe().consistency_ms, self.environment.now());
        let is_hidden = |instance: &InstanceRecord| {
            may_be_hidden(instance, bound_ms, now) && listed.get(&instance.handle).is_none()
        };
        let needs_no_look = |instance: &InstanceRecord| {
            is_hidden(instance) || (instance.is_known_to_run() && listed.live(&instance.handle).is_some())
        };
        if intent.instances.iter().all(needs_no_look) {
            return Ok(intent);
        }
        let before = intent.clone();
        let hidden: Vec<_> = before.instances.iter().filter(|instance| is_hidden(instance)).collect();
        let mut missing = self.refresh(port.as_ref(), &mut intent).await;
        missing.retain(|handle| !hidden.iter().any(|instance| instance.handle == *handle));
        self.note_missing(port.as_ref(), &mut intent.instances, &missing);
        let ended = intent.instances.iter().filter(|instance| instance.to.is_some()).count();
        if ended == 0 {
            if intent != before {
                let change = Change::new().put(key("intent", intent.spec.intent.as_str())?, &intent)?;
                self.store.commit_even_unaudited(change).await?;
            }
            return Ok(intent);
        }
        if ended == intent.instances.len() {
            return Ok(self.close_if_ended(intent, &lease.principal).await?.0);
        }
        // A part of a gang is gone: the rest is ended too.
        Ok(self.end_intent(intent, &lease.principal).await?.0)
    }
}
