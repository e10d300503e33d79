//! An open lease: ended when its time, its money or its capacity is over; and what it has cost so far.

use hpc_error::HpcError;
use hpc_resources::{LeaseId, Money};

use super::Reconciled;
use super::clouds::Running;
use crate::broker::{Broker, sum};
use crate::fail;
use crate::records::{DrainReason, DrainRecord, EndReason, LeaseRecord, LeaseState};
use crate::store::key;

impl Broker {
    /// Settles a lease, of which `seen` was read a while ago.
    pub(super) async fn settle_lease(
        &self,
        id: &LeaseId,
        seen: Option<LeaseRecord>,
        running: &Running,
        report: &mut Reconciled,
    ) -> Result<(), HpcError> {
        let lease = match seen {
            Some(lease) => lease,
            None => self.lease_by_id(id).await?,
        };
        let now = self.environment.now();
        let is_over = lease.ends_at.is_some_and(|end| end <= now);
        if lease.state == LeaseState::Active
            && !is_over
            && running.cost(&lease, now).is_some_and(|cost| !cost.exceeds(lease.hold))
        {
            return self.hold_as_recorded(&lease).await;
        }
        if self.books.is_begun(&format!("plan/{}", lease.plan)) {
            return Ok(());
        }
        // Read again: no apply writes it any more, and what was read before may be older than its last word.
        let lease = self.lease_by_id(id).await?;
        let now = self.environment.now();
        let ended = match lease.state {
            LeaseState::Pending if self.has_open_intents(&lease).await? => {
                report.pending += 1;
                return Ok(());
            }
            LeaseState::Pending => {
                // Only a restart leaves a lease like this: the apply that worked on it is gone.
                let Some(_begun) = self.books.begin(&format!("lease/{id}")) else { return Ok(()) };
                self.fail_lease(lease, EndReason::Interrupted).await?
            }
            LeaseState::Releasing => {
                let reason = lease.end_reason.unwrap_or(EndReason::Asked);
                self.end_lease(id, reason, None).await?.0
            }
            LeaseState::Active | LeaseState::Draining if lease.ends_at.is_some_and(|end| end <= now) => {
                self.end_lease(id, EndReason::Expired, None).await?.0
            }
            LeaseState::Draining if lease.drain.is_some_and(|drain| drain.until <= now) => {
                let interrupted = |drain: DrainRecord| drain.reason == DrainReason::Interrupted;
                let reclaimed = lease.drain.is_some_and(interrupted);
                let reason = if reclaimed { EndReason::Reclaimed } else { EndReason::Drained };
                self.end_lease(id, reason, None).await?.0
            }
            LeaseState::Active | LeaseState::Draining if !self.has_kept_intents(&lease).await? => {
                self.end_lease(id, EndReason::Reclaimed, None).await?.0
            }
            LeaseState::Active | LeaseState::Draining => {
                if self.lease_cost(&lease).await?.exceeds(lease.hold) {
                    self.end_lease(id, EndReason::HardStop, None).await?.0
                } else {
                    return self.hold_as_recorded(&lease).await;
                }
            }
            LeaseState::Released | LeaseState::Failed => lease,
        };
        if ended.state.is_final() {
            report.ended += 1;
        } else {
            report.pending += 1;
        }
        Ok(())
    }

    /// What a lease has cost up to now: the sum over all its instances.
    pub(crate) async fn lease_cost(&self, lease: &LeaseRecord) -> Result<Money, HpcError> {
        if let Some(cost) = lease.cost {
            return Ok(cost);
        }
        let now = self.environment.now();
        let mut costs = Vec::new();
        for id in &lease.intents {
            let Some(intent) = self.intent_by_id(id).await? else { continue };
            for instance in &intent.instances {
                costs.push(instance.cost(now).map_err(fail::money)?);
            }
        }
        sum(costs, Money::from_nanos(0, lease.hold.currency()))
    }

    /// Gives back holds whose lease the ledger does not have, or has ended: a commit that failed, or whose answer was lost.
    pub(super) async fn drop_lost_holds(&self, held: impl Iterator<Item = LeaseId>) -> Result<(), HpcError> {
        for lease in held {
            let marked = self.store.has(&key("open-lease", lease.as_str())?).await?;
            if !marked && !self.books.is_begun(&format!("lease/{lease}")) {
                // What it cost counts before what was held for it is given back: never neither.
                for payer in self.books.paid_by(&lease) {
                    self.recall_account(&payer).await?;
                }
                self.books.end_hold(&lease);
            }
        }
        Ok(())
    }
}
