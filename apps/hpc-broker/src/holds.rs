//! What is held of a budget for a lease, as its record says.

use hpc_error::{HpcError, codes};

use crate::books::HoldError;
use crate::broker::Broker;
use crate::records::LeaseRecord;

impl Broker {
    /// Holds what a lease's record says, in place of what was held for it before, if the budget allows it; otherwise
    /// nothing changes. Commit that record next; if it cannot be, give back with [`Broker::keep_hold`] what the record
    /// before it says.
    pub(crate) fn take_hold(&self, lease: &LeaseRecord) -> Result<(), HpcError> {
        let (team, hold) = (&lease.team, lease.hold);
        self.books.hold(team, &lease.id, hold, lease.accelerators()).map_err(|error| match error {
            HoldError::Exceeded { left, limit } => HpcError::coded(
                &codes::BUD_EXCEEDED,
                format!("{hold} must be held, team `{team}` has {left} of {limit} left"),
            )
            .with("left", left)
            .with("need", hold),
            HoldError::Money(error) => HpcError::coded(&codes::BUD_CURRENCY, error.to_string()),
        })
    }

    /// Takes over what a lease's record says, whatever is left.
    pub(crate) fn keep_hold(&self, lease: &LeaseRecord) {
        self.books.restore_hold(&lease.team, &lease.id, lease.hold, lease.accelerators());
    }
}
