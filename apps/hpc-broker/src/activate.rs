//! A lease becomes active: by the answer of the call that created its instances, or because they were found by tag.

use hpc_audit::Outcome;
use hpc_error::HpcError;
use hpc_provider::{CapacityProvider, InstanceHandle, InstanceState, Observe, ProvisionSpec};
use hpc_resources::PerInstanceHour;
use jiff::{SignedDuration, Timestamp};

use crate::broker::Broker;
use crate::records::{InstanceRecord, IntentRecord, IntentState, LeaseRecord, LeaseState};
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
    /// the instances came to be known.
    pub(crate) fn activation(
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
        lease.activate(intent, now);
        Ok(self
            .stock
            .sold(Change::new(), &intent.spec.offer.key())?
            .put(key("intent", intent.spec.intent.as_str())?, intent)?
            .put(key("lease", lease.id.as_str())?, lease)?
            .say(self.scribe.intent(intent, &lease.principal, step, Outcome::Ok))
            .say(self.scribe.lease(lease, now, "active", Outcome::Ok)))
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
