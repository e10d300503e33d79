//! Drain: a lease takes no new work, and ends when the time for that is over.

use hpc_audit::{Entry, Outcome, Receipt};
use hpc_error::{HpcError, codes};
use hpc_resources::LeaseId;
use jiff::SignedDuration;

use crate::books::Begun;
use crate::broker::Broker;
use crate::entry::say;
use crate::environment::Caller;
use crate::gate;
use crate::records::{DrainReason, DrainRecord, LeaseRecord, LeaseState};
use crate::store::{Change, key};

/// Longest drain that can be asked for: a day, in seconds.
pub const DRAIN_S_MAX: u64 = 24 * 3_600;

/// What a drain came to.
#[derive(Debug)]
pub struct Drained {
    /// The lease; [`LeaseRecord::drain`] says until when.
    pub lease: LeaseRecord,
    /// Proof in the audit log.
    pub receipts: Vec<Receipt>,
    /// Whether it ended as early already: nothing was changed.
    pub repeated: bool,
}

impl Broker {
    /// Drains a lease: it takes no new work from now on, and is released after `for_s` seconds, or at its end if that comes
    /// first. Its node is told. Draining again can only bring the end nearer.
    ///
    /// # Errors
    /// `HPC-LSE-0001` unknown, `-0002` ended, `-0003` not active, `-0005` not yours, `-0007` being changed;
    /// `HPC-USG-0011` for more than [`DRAIN_S_MAX`]; `HPC-POL-0001`; ledger failures.
    pub async fn drain(&self, caller: &Caller, id: &LeaseId, for_s: u64) -> Result<Drained, HpcError> {
        if for_s > DRAIN_S_MAX {
            let message = format!("a drain lasts at most {DRAIN_S_MAX} s, not {for_s}");
            return Err(HpcError::coded(&codes::USG_OUT_OF_RANGE, message));
        }
        let lease = self.lease_by_id(id).await?;
        let asked =
            gate::check_lease(&self.standing(), caller, &lease, "lease.drain", self.environment.now());
        let evidence = match asked {
            Ok(judged) => judged.evidence(),
            Err(refusal) => return Err(self.refused(caller, refusal).await),
        };
        let _begun = self.begin_lease(&lease)?;
        let lease = self.lease_by_id(id).await?;
        if !lease.state.is_running() {
            return Err(not_running(&lease));
        }
        let now = self.environment.now();
        let wait = SignedDuration::from_secs(i64::try_from(for_s).unwrap_or(i64::MAX));
        let mut until = now.saturating_add(wait).unwrap_or(now);
        until = lease.ends_at.map_or(until, |end| end.min(until));
        if let Some(drain) = lease.drain.filter(|drain| drain.until <= until) {
            let receipts = self.store.receipts([entry_id(&lease, &drain)]).await?;
            return Ok(Drained { lease, receipts, repeated: true });
        }
        let drain = DrainRecord { reason: DrainReason::Asked, since: now, until };
        let (lease, mut entry) = self.draining(lease, drain);
        entry.principal.clone_from(&caller.name);
        evidence.put(&mut entry);
        let change = Change::new().put(key("lease", id.as_str())?, &lease)?.say(entry);
        let committed = self.store.commit_even_unaudited(change).await?;
        Ok(Drained { lease, receipts: committed.receipts, repeated: false })
    }

    /// The lease as it is when it drains, and the entry that says so.
    pub(crate) fn draining(&self, mut lease: LeaseRecord, drain: DrainRecord) -> (LeaseRecord, Entry) {
        let since = lease.drain.map_or(drain.since, |before| before.since);
        let drain = DrainRecord { since, ..drain };
        lease.state = LeaseState::Draining;
        lease.drain = Some(drain);
        let mut entry = self.scribe.lease(&lease, self.environment.now(), "draining", Outcome::Ok);
        entry.id = entry_id(&lease, &drain);
        say(&mut entry, "until", &drain.until.to_string());
        say(&mut entry, "why", &crate::text(&drain.reason));
        (lease, entry)
    }

    /// Claims a lease that no apply and no other call works on.
    pub(crate) fn begin_lease(&self, lease: &LeaseRecord) -> Result<Begun<'_>, HpcError> {
        let id = &lease.id;
        if self.books.is_begun(&format!("plan/{}", lease.plan)) {
            let message = format!("lease `{id}` is still being created; wait until that has ended");
            return Err(HpcError::coded(&codes::LSE_NOT_ACTIVE, message).with("lease", id));
        }
        self.books.begin(&format!("lease/{id}")).ok_or_else(|| busy(id))
    }
}

/// Another call works on the lease, and this one has changed nothing.
pub(crate) fn busy(id: &LeaseId) -> HpcError {
    let message = format!("another call works on lease `{id}`; try again");
    HpcError::coded(&codes::LSE_BUSY, message).with("lease", id)
}

/// Each end that a drain was given has its own entry.
fn entry_id(lease: &LeaseRecord, drain: &DrainRecord) -> String {
    format!("{}.draining.{}", lease.id, drain.until.as_millisecond())
}

/// Why nothing can be done to a lease that does not run.
pub(crate) fn not_running(lease: &LeaseRecord) -> HpcError {
    let (code, what) = match lease.state {
        LeaseState::Pending => (&codes::LSE_NOT_ACTIVE, "is still being created"),
        LeaseState::Releasing => (&codes::LSE_ALREADY_RELEASED, "is being ended"),
        _ => (&codes::LSE_ALREADY_RELEASED, "has ended"),
    };
    HpcError::coded(code, format!("lease `{}` {what}", lease.id)).with("lease", &lease.id)
}
