//! One release at a time in one job, and as many at once as there are jobs.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The turns of jobs, by what their handles begin with. There are as many entries as releases are on their way.
#[derive(Debug, Default)]
pub(crate) struct Turns(std::sync::Mutex<BTreeMap<String, Arc<Mutex<()>>>>);

impl Turns {
    /// Waits until no other release in the job of this handle is on its way.
    pub(crate) async fn of(&self, handle: &str) -> OwnedMutexGuard<()> {
        let job = handle.split('.').next().unwrap_or_default();
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Who waits or works holds one more.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(job.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_job_has_one_turn_and_others_do_not_wait_for_it() {
        let turns = Turns::default();
        let first = turns.of("7.ab.0").await;
        let second = timeout(Duration::from_secs(1), turns.of("7.ab.1")).await;
        assert!(second.is_err(), "the same job");
        let other = timeout(Duration::from_secs(1), turns.of("8.cd.0")).await.unwrap();
        drop(first);
        drop(timeout(Duration::from_secs(1), turns.of("7.ab.1")).await.unwrap());
        drop(other);
        drop(turns.of("9.ef.0").await);
        assert_eq!(turns.0.lock().unwrap().len(), 1, "what nobody waits for is forgotten");
    }
}
