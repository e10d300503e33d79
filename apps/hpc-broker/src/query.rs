//! What can be asked: lists and costs. Every list is paged and bounded.

use hpc_error::{HpcError, codes};
use hpc_resources::{LeaseId, Money, RequestId, TeamId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::broker::{Broker, sum};
use crate::environment::Caller;
use crate::fail;
use crate::gate;
use crate::reconcile::OrphanRecord;
use crate::records::{InstanceRecord, IntentRecord, LeaseRecord, LeaseState, RequestRecord};
use crate::store::key;

/// Most records in one page.
pub const PAGE_MAX: usize = 1_000;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listing<T> {
    /// The records.
    pub items: Vec<T>,
    /// The last id of the page, to go on after; `None` at the end.
    pub next: Option<String>,
}

/// What a lease costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The lease.
    pub lease: LeaseId,
    /// Who pays.
    pub team: TeamId,
    /// Its state.
    pub state: LeaseState,
    /// Its cost up to now, or in all once it has ended.
    pub accrued: Money,
    /// What it costs per hour now; zero once it has ended.
    pub hourly: Money,
    /// What it will have cost at its end, if nothing changes.
    pub projected: Money,
    /// What is held of the budget.
    pub hold: Money,
    /// As of when.
    pub as_of: Timestamp,
    /// Since when it costs money.
    pub since: Option<Timestamp>,
    /// Its instances.
    pub instances: Vec<InstanceRecord>,
    /// Whether it is simulated.
    pub simulated: bool,
}

impl Broker {
    /// Leases, oldest first.
    ///
    /// # Errors
    /// A ledger failure; `HPC-USG-0013` for a malformed `after`.
    pub async fn leases(&self, after: Option<&str>, limit: usize) -> Result<Listing<LeaseRecord>, HpcError> {
        self.listing("lease", after, limit).await
    }

    /// Every lease that is not final, oldest first.
    ///
    /// # Errors
    /// A ledger failure.
    pub async fn open_leases(&self) -> Result<Vec<LeaseRecord>, HpcError> {
        let mut leases = Vec::new();
        for place in self.store.open_keys("lease").await? {
            if let Some((lease, _)) = self.store.read(&place).await? {
                leases.push(lease);
            }
        }
        Ok(leases)
    }

    /// Requests, oldest first.
    ///
    /// # Errors
    /// As [`Broker::leases`].
    pub async fn requests(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<RequestRecord>, HpcError> {
        self.listing("request", after, limit).await
    }

    /// Intents, oldest first.
    ///
    /// # Errors
    /// As [`Broker::leases`].
    pub async fn intents(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<IntentRecord>, HpcError> {
        self.listing("intent", after, limit).await
    }

    /// Orphans that were reaped.
    ///
    /// # Errors
    /// As [`Broker::leases`].
    pub async fn orphans(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<OrphanRecord>, HpcError> {
        self.listing("orphan", after, limit).await
    }

    async fn listing<T: serde::de::DeserializeOwned>(
        &self,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<T>, HpcError> {
        let bad = |_| HpcError::coded(&codes::USG_BAD_ID, "the page token is not one that was given out");
        let after = after.map(|id| key(kind, id).map_err(bad)).transpose()?;
        let limit = limit.clamp(1, PAGE_MAX);
        let (records, more) = self.store.page(&format!("{kind}/"), after, limit).await?;
        let next = records.last().filter(|_| more).map(|(key, _)| key.name().to_owned());
        Ok(Listing { items: records.into_iter().map(|(_, record)| record).collect(), next })
    }

    /// Reads a request.
    ///
    /// # Errors
    /// `HPC-USG-0013` when there is none; a ledger failure.
    pub async fn request_by_id(&self, id: &RequestId) -> Result<RequestRecord, HpcError> {
        let found = self.store.read(&key("request", id.as_str())?).await?;
        found
            .map(|(record, _)| record)
            .ok_or_else(|| HpcError::coded(&codes::USG_BAD_ID, format!("there is no request `{id}`")))
    }

    /// Whether the caller may read this lease.
    ///
    /// # Errors
    /// `HPC-LSE-0005` with all reasons.
    pub fn may_read(&self, caller: &Caller, lease: &LeaseRecord) -> Result<(), HpcError> {
        gate::check_lease(&self.standing(), caller, lease, "lease.read", self.environment.now())
            .map(drop)
            .map_err(|refusal| refusal.error)
    }

    /// What a lease costs, as of now.
    ///
    /// # Errors
    /// `HPC-LSE-0001` unknown, `-0005` not yours; a ledger failure.
    pub async fn cost(&self, caller: &Caller, id: &LeaseId) -> Result<Cost, HpcError> {
        let lease = self.lease_by_id(id).await?;
        let now = self.environment.now();
        gate::check_lease(&self.standing(), caller, &lease, "cost.read", now)
            .map_err(|refusal| refusal.error)?;
        self.cost_of(&lease).await
    }

    /// What a lease costs, as of now, for a caller that has been checked.
    ///
    /// # Errors
    /// A ledger failure.
    pub async fn cost_of(&self, lease: &LeaseRecord) -> Result<Cost, HpcError> {
        let now = self.environment.now();
        let none = Money::from_nanos(0, lease.hold.currency());
        let mut instances = Vec::new();
        // Until when each is paid for, if nothing changes: what was set aside is being ended, what drains ends sooner.
        let mut ends = Vec::new();
        let of_lease = [lease.ends_at, lease.drain.map(|drain| drain.until)].into_iter().flatten().min();
        for intent in &lease.intents {
            if let Some(intent) = self.intent_by_id(intent).await? {
                let end = if intent.set_aside { now } else { of_lease.unwrap_or(now) };
                ends.extend(intent.instances.iter().map(|_| end));
                instances.extend(intent.instances);
            }
        }
        let running = |instance: &&InstanceRecord| instance.to.is_none();
        let hourly = sum(instances.iter().filter(running).map(|instance| instance.price.0), none)?;
        let mut accrued = Vec::new();
        let mut projected = Vec::new();
        for (instance, end) in instances.iter().zip(ends) {
            accrued.push(instance.cost(now).map_err(fail::money)?);
            let end = instance.to.unwrap_or_else(|| end.max(now));
            projected.push(instance.cost(end.max(instance.from)).map_err(fail::money)?);
        }
        Ok(Cost {
            lease: lease.id.clone(),
            team: lease.team.clone(),
            state: lease.state,
            accrued: sum(accrued, none)?,
            hourly,
            projected: sum(projected, none)?,
            hold: lease.hold,
            as_of: now,
            since: instances.iter().map(|instance| instance.from).min(),
            instances,
            simulated: lease.simulated,
        })
    }
}
