//! What the clouds show: listed before the ledger is read, and what of it runs as it should.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use hpc_provider::{CapacityProvider, InstanceHandle, InstanceState};
use hpc_resources::{IntentId, LeaseId, Money, ProviderId};
use jiff::Timestamp;
use serde::Deserialize;

use crate::broker::{Broker, sum};
use crate::records::{InstanceRecord, IntentRecord, IntentState, LeaseRecord};

/// Most pages read from one provider in one round.
const PAGES_MAX: usize = 10_000;

/// What the providers listed.
pub(crate) type Cloud = HashMap<ProviderId, Listed>;

#[derive(Default)]
pub(crate) struct Listed {
    pub(crate) instances: Vec<InstanceState>,
    /// Why there may be more than that.
    pub(crate) problem: Option<String>,
    /// Where each is among them.
    places: HashMap<InstanceHandle, usize>,
}

impl Listed {
    /// What was listed of an instance.
    pub(super) fn get(&self, handle: &InstanceHandle) -> Option<&InstanceState> {
        self.places.get(handle).and_then(|at| self.instances.get(*at))
    }

    /// What was listed of a live instance.
    pub(super) fn live(&self, handle: &InstanceHandle) -> Option<&InstanceState> {
        self.get(handle).filter(|state| state.phase.is_live())
    }
}

/// What a round looks at of an intent, most of which run as they should: the part of [`IntentRecord`] that is read and kept
/// for it. The offer is the larger part of a record, and takes most of the time to read.
#[derive(Deserialize)]
pub(super) struct Glance {
    pub(super) spec: GlanceSpec,
    pub(super) state: IntentState,
    pub(super) instances: Vec<InstanceRecord>,
}

#[derive(Deserialize)]
pub(super) struct GlanceSpec {
    pub(super) intent: IntentId,
    pub(super) lease: LeaseId,
    pub(super) offer: GlanceOffer,
}

#[derive(Deserialize)]
pub(super) struct GlanceOffer {
    pub(super) provider: ProviderId,
}

impl From<IntentRecord> for Glance {
    fn from(record: IntentRecord) -> Self {
        let IntentRecord { spec, state, instances, .. } = record;
        let offer = GlanceOffer { provider: spec.offer.provider };
        Self { spec: GlanceSpec { intent: spec.intent, lease: spec.lease, offer }, state, instances }
    }
}

/// What is known to run as it should, so that nothing else has to be read about it: most of everything in most rounds.
#[derive(Default)]
pub(super) struct Running {
    /// Intents all of whose instances were listed as live.
    intents: HashMap<IntentId, Vec<InstanceRecord>>,
    pub(super) handles: HashSet<InstanceHandle>,
}

impl Running {
    /// Takes an intent in if the clouds show all of it, and gives it back otherwise. Doing nothing about it is safe although
    /// nobody holds it still.
    pub(super) fn take(&mut self, intent: Glance, cloud: &Cloud) -> Option<Glance> {
        let listed = cloud.get(&intent.spec.offer.provider);
        let is_live = |instance: &InstanceRecord| {
            instance.is_known_to_run() && listed.is_some_and(|listed| listed.live(&instance.handle).is_some())
        };
        if intent.state != IntentState::Acknowledged || !intent.instances.iter().all(is_live) {
            return Some(intent);
        }
        self.handles.extend(intent.instances.iter().map(|instance| instance.handle.clone()));
        self.intents.insert(intent.spec.intent, intent.instances);
        None
    }

    /// What a lease has cost up to now, when it has intents and all of them run.
    pub(super) fn cost(&self, lease: &LeaseRecord, now: Timestamp) -> Option<Money> {
        if lease.intents.is_empty() {
            return None;
        }
        let intents: Vec<_> = lease.intents.iter().map(|id| self.intents.get(id)).collect::<Option<_>>()?;
        let costs =
            intents.into_iter().flatten().map(|instance| instance.cost(now)).collect::<Result<Vec<_>, _>>();
        sum(costs.ok()?, Money::from_nanos(0, lease.hold.currency())).ok()
    }
}

impl Broker {
    /// Lists every provider at once: one that hangs delays nobody else's answer.
    pub(crate) async fn list_clouds(&self) -> Cloud {
        let lists = self.providers.iter().map(|(id, port)| async move {
            let lists = port.describe().supports.list_owned;
            if lists { Some((id.clone(), self.list_cloud(id, port.as_ref()).await)) } else { None }
        });
        join_all(lists).await.into_iter().flatten().collect()
    }

    async fn list_cloud(&self, id: &ProviderId, port: &dyn CapacityProvider) -> Listed {
        let mut listed = Listed::default();
        let mut page = None;
        for _ in 0..PAGES_MAX {
            let answer = port.list_owned(&self.settings.owner, page.take()).await;
            self.pulse.called(id, "list_owned", answer.as_ref().err(), self.environment.now());
            match answer {
                Ok(answer) => {
                    listed.instances.extend(answer.instances);
                    if !answer.complete {
                        listed.problem = Some("its list of instances is not complete".to_owned());
                    }
                    page = answer.next;
                    if page.is_none() {
                        break;
                    }
                }
                Err(error) => {
                    listed.problem = Some(error.to_string());
                    break;
                }
            }
        }
        if page.is_some() {
            listed.problem = Some(format!("its list of instances has more than {PAGES_MAX} pages"));
        }
        for (at, state) in listed.instances.iter().enumerate() {
            // Of two answers about one instance the one counts that says that it costs.
            if state.phase.is_live() || !listed.places.contains_key(&state.handle) {
                listed.places.insert(state.handle.clone(), at);
            }
        }
        listed
    }
}
