//! Approval: a different, authenticated person decides, bound to the plan's hash.

use hpc_audit::{Outcome, Receipt};
use hpc_error::{HpcError, codes};
use hpc_resources::{ApprovalId, PlanId};

use crate::broker::Broker;
use crate::entry::say;
use crate::environment::Caller;
use crate::gate;
use crate::records::{PlanRecord, PlanState};
use crate::store::{Change, key};

impl Broker {
    /// Approves or refuses a plan that waits for it.
    ///
    /// # Errors
    /// `HPC-PLN-0002` unknown; `HPC-POL-0003` one's own plan; `-0005` another hash, or nothing to approve; `-0001` not
    /// allowed; `HPC-PLN-0001` expired; ledger and audit failures.
    pub async fn approve(
        &self,
        caller: &Caller,
        id: &PlanId,
        hash: &str,
        yes: bool,
        note: &str,
    ) -> Result<(PlanRecord, Vec<Receipt>), HpcError> {
        let (plan, revision) = self.plan_with_revision(id).await?;
        if plan.principal == caller.name {
            let message = "nobody approves their own request; ask somebody else";
            return Err(HpcError::coded(&codes::POL_SELF_APPROVAL, message));
        }
        let PlanState::AwaitingApproval { by } = &plan.state else {
            let message = format!("plan `{id}` does not wait for an approval");
            return Err(HpcError::coded(&codes::POL_APPROVAL_MISMATCH, message));
        };
        if plan.hash != hash {
            let message = format!("plan `{id}` has the hash {}, not the one approved", plan.hash);
            return Err(HpcError::coded(&codes::POL_APPROVAL_MISMATCH, message));
        }
        self.store.check_audited().await?;
        let now = self.environment.now();
        if plan.plan.is_expired(now) {
            let message = format!("plan `{id}` expired at {}; a new one is needed", plan.plan.expires_at);
            return Err(HpcError::coded(&codes::PLN_EXPIRED, message));
        }
        let evidence = match gate::check_approver(&self.standing(), caller, &plan, by, now) {
            Ok(judged) => judged.evidence(),
            Err(refusal) => return Err(self.refused(caller, refusal).await),
        };
        let approval = ApprovalId::from_bits(self.fresh_bits());
        let state = if yes {
            PlanState::Approved { approval: approval.clone(), by: caller.name.clone() }
        } else {
            PlanState::Refused { by: caller.name.clone() }
        };
        let (step, outcome) = if yes { ("approved", Outcome::Ok) } else { ("refused", Outcome::Denied) };
        let action = format!("request.{step}");
        let mut entry = self.scribe.entry(format!("{approval}.{step}"), now, &caller.name, &action, outcome);
        entry.subjects.insert("plan".to_owned(), id.to_string());
        entry.subjects.insert("approval".to_owned(), approval.to_string());
        say(&mut entry, "plan_hash", hash);
        let openings = self.seal([("note", note.to_owned())]);
        openings.put(&mut entry);
        evidence.put(&mut entry);
        let plan = PlanRecord { state, ..plan };
        let place = key("plan", id.as_str())?;
        let change =
            Change::new().expect(place.clone(), revision).put(place, &plan)?.say_sealed(entry, &openings)?;
        let committed = self.store.commit(change).await?;
        Ok((plan, committed.receipts))
    }
}
