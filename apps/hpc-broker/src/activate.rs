//! A lease becomes active: by the answer of the call that created its instances, or because they were found by tag.

use hpc_audit::Outcome;
use hpc_error::HpcError;
use hpc_provider::{CapacityProvider, InstanceHandle, InstanceState, Observe, ProvisionSpec};
use hpc_resources::{IntentId, PerInstanceHour};
use jiff::{SignedDuration, Timestamp};

use crate::broker::Broker;
use crate::entry::say;
use crate::records::{HedgeEnd, InstanceRecord, IntentRecord, IntentState, LeaseRecord, LeaseState};
use crate::store::{Change, key};

impl LeaseRecord {
    /// Runs from `now` on what a try has created.
    fn activate(&mut self, intent: &IntentRecord, now: Timestamp) {
        self.state = LeaseState::Active;
        self.active_at = Some(now);
        let lasts = SignedDuration::from_secs(i64::try_from(self.duration_s).unwrap_or(i64::MAX));
        let wanted = now.saturating_add(lasts).unwrap_or(Timestamp::MAX);
        // With its time, or with its capacity, which began with its first instance.
        let begun = intent.instances.iter().map(|instance| instance.from).min();
        let end = intent.spec.offer.ends_by(begun.map_or(now, |first| first.min(now)));
        self.ends_at = Some(end.map_or(wanted, |end| end.min(wanted)));
        self.offer = Some(intent.spec.offer.clone());
        self.instances = intent.spec.instances;
        self.cost_per_hour(&intent.instances);
    }
}

impl Broker {
    /// Gives a lease what a try of it has created. The change says both, and that the offer is in stock; `step` is how
    /// the instances came to be known. Every other try of it that is open is set aside with the same change, and counted by
    /// itself from now on: of several tries one is kept, whatever the others create.
    pub(crate) async fn activation(
        &self,
        lease: &mut LeaseRecord,
        intent: &mut IntentRecord,
        instances: Vec<InstanceRecord>,
        step: &str,
    ) -> Result<Change, HpcError> {
        let now = self.environment.now();
        intent.instances = instances;
        intent.state = IntentState::Acknowledged;
        intent.updated_at = now;
        lease.end_hedge(HedgeEnd::Won { intent: intent.spec.intent.clone() }, false)?;
        lease.activate(intent, now);
        let change = self.overtake(Change::new(), lease, &intent.spec.intent).await?;
        Ok(self
            .stock
            .sold(change, &intent.spec.offer.key())?
            .put(key("intent", intent.spec.intent.as_str())?, intent)?
            .put(key("lease", lease.id.as_str())?, lease)?
            .say(self.scribe.intent(intent, &lease.principal, step, Outcome::Ok))
            .say(self.scribe.lease(lease, now, "active", Outcome::Ok)))
    }

    /// Sets every open try of a lease aside but the one that is kept.
    async fn overtake(
        &self,
        mut change: Change,
        lease: &LeaseRecord,
        kept: &IntentId,
    ) -> Result<Change, HpcError> {
        let mut strays = Vec::new();
        for id in lease.intents.iter().filter(|id| *id != kept) {
            let Some(mut other) = self.intent_by_id(id).await?.filter(|other| !other.state.is_final()) else {
                continue;
            };
            strays.push((id.clone(), other.hourly()?));
            if other.set_aside {
                continue;
            }
            other.set_aside = true;
            if other.state == IntentState::Recorded {
                other.state = IntentState::Unknown;
            }
            other.updated_at = self.environment.now();
            let mut entry = self.scribe.intent(&other, &lease.principal, "overtaken", Outcome::Unknown);
            say(&mut entry, "kept", kept.as_str());
            change = change.put(key("intent", id.as_str())?, &other)?.say(entry);
        }
        if !strays.is_empty() {
            self.keep_hold_beside(lease, &strays);
        }
        Ok(change)
    }
}

/// The instances behind the handles, as the provider bills them. One that cannot be seen yet is taken at the frozen price
/// from now on; reconciling puts it right.
pub(crate) async fn instances(
    port: &dyn CapacityProvider,
    spec: &ProvisionSpec,
    handles: Vec<InstanceHandle>,
    now: Timestamp,
) -> Vec<InstanceRecord> {
    let seen = port.observe(&Observe::Handles(handles.clone())).await.unwrap_or_default();
    handles
        .into_iter()
        .map(|handle| match seen.iter().find(|state| state.handle == handle) {
            Some(state) => instance_record(state, spec.price),
            None => InstanceRecord {
                handle,
                price: spec.price,
                from: now,
                to: None,
                reclaimed: false,
                missing_since: None,
                unseen: true,
            },
        })
        .collect()
}

/// What the provider says of an instance, as the ledger keeps it.
pub(crate) fn instance_record(state: &InstanceState, frozen: PerInstanceHour) -> InstanceRecord {
    InstanceRecord {
        handle: state.handle.clone(),
        price: state.price.unwrap_or(frozen),
        from: state.launched_at,
        to: state.ended_at,
        reclaimed: state.reclaimed,
        missing_since: None,
        unseen: false,
    }
}
