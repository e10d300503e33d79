//! Replace: other capacity for a lease whose own the provider took back, if its request wants that.
//!
//! That it is wanted is durable in the transaction that notes the interruption. A try asks policy and budgets anew and accepts
//! a new lease in one transaction with the old one, which then says which it is: whatever a crash leaves behind, the old
//! lease names the one try that there may be, and nothing else is begun before that one has ended with nothing.

mod accept;
mod want;

use futures_util::future::join_all;
use hpc_audit::Outcome;
use hpc_error::HpcError;
use hpc_resources::LeaseId;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::entry::{say, say_number};
use crate::records::{LeaseRecord, ReplacementRecord, ReplacementState};
use crate::store::{Change, key};

/// Most leases that replace one another in a row.
pub const REPLACEMENTS_MAX: u32 = 16;
/// Most tries of one replacement, each later than the one before.
pub const REPLACEMENT_TRIES_MAX: u32 = 16;
/// After how many seconds the second try follows; each wait is twice the one before.
const WAIT_S_FIRST: u64 = 15;
/// The longest wait between two tries, in seconds.
const WAIT_S_MOST: u64 = 1_800;
/// Most replacements that are tried at once.
const AT_ONCE_MAX: usize = 16;
/// Longest reason that is kept, in characters.
const PROBLEM_CHARS_MAX: usize = 512;

/// What one round of replacing did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacements {
    /// Leases whose replacement has its capacity now.
    pub replaced: usize,
    /// Tries that came to nothing and are repeated later.
    pub refused: usize,
    /// Replacements that were given up.
    pub given_up: usize,
    /// Replacements that are not yet due, or being worked on.
    pub waiting: usize,
    /// What could not be done, in words; the next round tries again.
    pub problems: Vec<String>,
}

/// How a step of a replacement ended.
enum Step {
    Replaced,
    Refused,
    GivenUp,
    Waiting,
}

impl Broker {
    /// One round: tries what is wanted and due, and follows what was tried. Apart from [`Broker::reconcile`], so that a cloud
    /// that takes its time delays no lease's end.
    ///
    /// # Errors
    /// Only ledger failures; what one replacement meets is a problem in the report.
    pub async fn replace_interrupted(&self) -> Result<Replacements, HpcError> {
        let mut report = Replacements::default();
        let open: Vec<LeaseId> = self
            .store
            .keys("open-replacement/")
            .await?
            .iter()
            .flat_map(|marker| LeaseId::parse(marker.name()))
            .collect();
        for some in open.chunks(AT_ONCE_MAX) {
            let steps = join_all(some.iter().map(|id| self.replace(id))).await;
            for (id, step) in some.iter().zip(steps) {
                match step {
                    Ok(Step::Replaced) => report.replaced += 1,
                    Ok(Step::Refused) => report.refused += 1,
                    Ok(Step::GivenUp) => report.given_up += 1,
                    Ok(Step::Waiting) => report.waiting += 1,
                    Err(error) => {
                        report.waiting += 1;
                        report.problems.push(format!("replacing {id}: {error}"));
                    }
                }
            }
        }
        Ok(report)
    }

    async fn replace(&self, id: &LeaseId) -> Result<Step, HpcError> {
        let Some(_begun) = self.books.begin(&format!("replace/{id}")) else { return Ok(Step::Waiting) };
        let lease = self.lease_by_id(id).await?;
        let now = self.environment.now();
        match &lease.replacement {
            Some(wanted) if wanted.state == ReplacementState::Wanted => {
                if wanted.next_at.is_some_and(|at| at > now) {
                    return Ok(Step::Waiting);
                }
                self.try_replacement(lease).await
            }
            Some(tried) if tried.state == ReplacementState::Trying => self.follow(&lease).await,
            // Nothing is open; only the mark is left.
            _ => {
                let change = Change::new().delete(key("open-replacement", id.as_str())?);
                self.store.commit_even_unaudited(change).await?;
                Ok(Step::Waiting)
            }
        }
    }

    /// What became of the lease that was accepted.
    async fn follow(&self, old: &LeaseRecord) -> Result<Step, HpcError> {
        let Some(by) = old.replacement.as_ref().and_then(|tried| tried.by.clone()) else {
            return self.refuse(&old.id, "the lease that was tried is not known").await;
        };
        let new = self.lease_by_id(&by).await?;
        if new.active_at.is_some() {
            let done = self.change_replacement(&old.id, ReplacementState::Trying, |record| {
                record.state = ReplacementState::Replaced;
                record.problem = None;
            });
            return Ok(if done.await? { Step::Replaced } else { Step::Waiting });
        }
        if !new.state.is_final() {
            // What it set aside is not settled, or a restart has just found it: reconciling works on it.
            return Ok(Step::Waiting);
        }
        let why = match (new.failures.is_empty(), new.end_reason) {
            (false, _) => new.failures.join("; "),
            (true, Some(reason)) => crate::text(&reason),
            (true, None) => "it got nothing".to_owned(),
        };
        self.refuse(&old.id, &format!("{by}: {why}")).await
    }

    /// A try came to nothing: it is repeated later, or given up after too many.
    async fn refuse(&self, id: &LeaseId, why: &str) -> Result<Step, HpcError> {
        let now = self.environment.now();
        let mut gave_up = false;
        let done = self.change_replacement(id, ReplacementState::Trying, |record| {
            // A lease that was accepted has counted its try already.
            if record.state == ReplacementState::Wanted {
                record.tries = record.tries.saturating_add(1);
            }
            gave_up = record.tries >= REPLACEMENT_TRIES_MAX;
            record.problem = Some(short(why));
            if gave_up {
                (record.state, record.next_at) = (ReplacementState::GivenUp, None);
            } else {
                record.state = ReplacementState::Wanted;
                record.next_at = Some(now.saturating_add(wait(record.tries)).unwrap_or(now));
            }
        });
        let done = done.await?;
        Ok(if !done {
            Step::Waiting
        } else if gave_up {
            Step::GivenUp
        } else {
            Step::Refused
        })
    }

    async fn give_up_replacement(&self, id: &LeaseId, why: &str) -> Result<Step, HpcError> {
        let done = self.change_replacement(id, ReplacementState::Wanted, |record| {
            (record.state, record.next_at) = (ReplacementState::GivenUp, None);
            record.problem = Some(short(why));
        });
        Ok(if done.await? { Step::GivenUp } else { Step::Waiting })
    }

    /// Changes what a lease says of its replacement, up to the state `last` that it may be in. Answers whether it did: not
    /// while another call works on the lease, nor when the replacement is further than that.
    async fn change_replacement(
        &self,
        id: &LeaseId,
        last: ReplacementState,
        how: impl FnOnce(&mut ReplacementRecord),
    ) -> Result<bool, HpcError> {
        let Some(_begun) = self.books.begin(&format!("lease/{id}")) else { return Ok(false) };
        let mut lease = self.lease_by_id(id).await?;
        let Some(record) = lease.replacement.as_mut() else { return Ok(false) };
        let may = match record.state {
            ReplacementState::Wanted => true,
            ReplacementState::Trying => last == ReplacementState::Trying,
            ReplacementState::Replaced | ReplacementState::GivenUp => false,
        };
        if !may {
            return Ok(false);
        }
        how(record);
        let change = self.say_replacement(Change::new(), &lease)?;
        self.store.commit_even_unaudited(change.put(key("lease", id.as_str())?, &lease)?).await?;
        Ok(true)
    }

    /// The entry of a replacement as it is now, and the mark that it is open, or that it no longer is.
    fn say_replacement(&self, change: Change, lease: &LeaseRecord) -> Result<Change, HpcError> {
        let Some(record) = &lease.replacement else { return Ok(change) };
        let state = crate::text(&record.state);
        let outcome = match record.state {
            ReplacementState::GivenUp => Outcome::Failed,
            _ => Outcome::Ok,
        };
        let mut entry = self.scribe.lease(lease, self.environment.now(), "replacement", outcome);
        entry.id = format!("{}.replacement.{}.{state}", lease.id, record.tries);
        "system".clone_into(&mut entry.principal);
        say(&mut entry, "state", &state);
        say_number(&mut entry, "tries", u64::from(record.tries));
        if let Some(by) = &record.by {
            say(&mut entry, "by", by.as_str());
        }
        if let Some(problem) = &record.problem {
            say(&mut entry, "problem", problem);
        }
        let mark = key("open-replacement", lease.id.as_str())?;
        let change = change.say(entry);
        Ok(if record.state.is_final() { change.delete(mark) } else { change.mark(mark) })
    }
}

/// How long to wait after so many tries.
fn wait(tries: u32) -> SignedDuration {
    let doubled = 1_u64.checked_shl(tries.saturating_sub(1)).unwrap_or(u64::MAX);
    let seconds = WAIT_S_FIRST.saturating_mul(doubled).min(WAIT_S_MOST);
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// A reason as it is kept: what a provider wrote may be in it.
fn short(why: &str) -> String {
    why.chars().filter(|c| !c.is_control()).take(PROBLEM_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_are_bounded() {
        let waits: Vec<i64> = [0, 1, 2, 3, 7, 8, 16, u32::MAX].map(|tries| wait(tries).as_secs()).to_vec();
        assert_eq!(waits, [15, 15, 30, 60, 960, 1_800, 1_800, 1_800]);
    }

    #[test]
    fn a_reason_is_short_and_has_no_control_characters() {
        let kept = short(&format!("\u{1b}[2J{}", "x".repeat(10_000)));
        assert_eq!((kept.chars().count(), kept.chars().any(char::is_control)), (PROBLEM_CHARS_MAX, false));
    }
}
