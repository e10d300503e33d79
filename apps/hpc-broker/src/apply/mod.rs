//! Apply: hold the money, journal the intent, call the cloud, fail over, and answer with a lease.

mod accept;
mod again;
mod attempt;
mod give_up;
mod hedge;
mod race;
mod walk;

use hpc_audit::Receipt;
use hpc_error::{HpcError, codes};
use hpc_resources::{LeaseId, PlanId};
use jiff::Timestamp;

pub(crate) use crate::apply::accept::Accepting;
use crate::apply::race::Race;
use crate::broker::Broker;
use crate::environment::Caller;
use crate::gate::Gate;
use crate::progress::{Progress, ProgressSink};
use crate::records::{LeaseRecord, LeaseState, PlanRecord, PlanState};
use crate::store::{Change, key};

/// A lease, and the receipts of what was written about it.
#[derive(Debug)]
pub struct Applied {
    /// The lease.
    pub lease: LeaseRecord,
    /// Proof in the audit log.
    pub receipts: Vec<Receipt>,
    /// Whether the plan had been applied before: nothing new was created.
    pub repeated: bool,
}

impl Broker {
    /// Applies a plan. The plan's id is the idempotency key: a second apply answers the same lease.
    ///
    /// # Errors
    /// `HPC-PLN-0001` expired, `-0002` unknown, `-0004` denied, `-0006` being applied; `HPC-POL-0001` denied now,
    /// `-0002` approval needed; `HPC-BUD-0001`; `HPC-PRC-0001` price moved; `HPC-CAP-0001` no capacity;
    /// `HPC-QUO-0002`; ledger and audit failures.
    pub async fn apply(
        &self,
        caller: &Caller,
        id: &PlanId,
        sink: &dyn ProgressSink,
    ) -> Result<Applied, HpcError> {
        let Some(_begun) = self.books.begin(&format!("plan/{id}")) else {
            let message = format!("plan `{id}` is being applied by another call");
            return Err(HpcError::coded(&codes::PLN_IN_PROGRESS, message));
        };
        let (plan, revision) = self.plan_with_revision(id).await?;
        if plan.principal != caller.name {
            let message = format!("plan `{id}` was made for somebody else; make your own plan");
            return Err(HpcError::coded(&codes::POL_DENIED, message));
        }
        if let PlanState::Applied { lease } = &plan.state {
            let lease = self.lease_by_id(lease).await?;
            if lease.state == LeaseState::Failed {
                let message =
                    format!("plan `{id}` was applied and got nothing: {}", lease.failures.join("; "));
                return Err(HpcError::coded(&codes::CAP_NO_CAPACITY, message).with("lease", &lease.id));
            }
            let said = ["accepted", "active"].map(|step| format!("{}.{step}", lease.id));
            let receipts = self.store.receipts(said).await?;
            return Ok(Applied { lease, receipts, repeated: true });
        }
        self.store.check_audited().await?;
        let now = self.environment.now();
        check_state(&plan, now)?;
        let standing = self.standing();
        let gate = Gate { standing: &standing, caller, team: &plan.team, request: &plan.request, now };
        let id = LeaseId::from_bits(self.fresh_bits());
        let change = Change::new().expect(key("plan", plan.plan.id.as_str())?, revision);
        let (lease, receipts) =
            self.accept(&gate, &plan, Accepting { id, change, replaces: None }, now).await?;
        self.carry_out(&gate, &plan, (lease, receipts), sink).await
    }

    /// Tries the offers of an accepted plan until one is had.
    pub(crate) async fn carry_out(
        &self,
        gate: &Gate<'_>,
        plan: &PlanRecord,
        (lease, receipts): (LeaseRecord, Vec<Receipt>),
        sink: &dyn ProgressSink,
    ) -> Result<Applied, HpcError> {
        sink.on(Progress::Held { lease: lease.id.clone(), amount: lease.hold });
        Race::new(self, gate, plan, sink, (lease, receipts)).run().await
    }
}

fn check_state(plan: &PlanRecord, now: Timestamp) -> Result<(), HpcError> {
    let id = &plan.plan.id;
    match &plan.state {
        PlanState::Denied => {
            let message = format!("plan `{id}` is denied: {}", plan.decision.reasons.join("; "));
            Err(HpcError::coded(&codes::PLN_DENIED, message).with("decision", &plan.decision.id))
        }
        PlanState::NoOffer => {
            let message = format!("plan `{id}` has no offer; see what was left out and why");
            Err(HpcError::coded(&codes::CAP_ALL_EXCLUDED, message).with("plan", id))
        }
        PlanState::AwaitingApproval { by } => {
            let message = format!("plan `{id}` waits for an approval by {by}");
            Err(HpcError::coded(&codes::POL_APPROVAL_NEEDED, message).with("plan", id))
        }
        PlanState::Refused { by } => {
            Err(HpcError::coded(&codes::POL_APPROVAL_DENIED, format!("plan `{id}` was refused by {by}")))
        }
        _ if plan.plan.is_expired(now) => {
            let message = format!("plan `{id}` expired at {}; make a new one", plan.plan.expires_at);
            Err(HpcError::coded(&codes::PLN_EXPIRED, message).with("plan", id))
        }
        PlanState::Open | PlanState::Approved { .. } | PlanState::Applied { .. } => Ok(()),
    }
}
