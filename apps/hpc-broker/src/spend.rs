//! Who may spend for a team: asked whenever money is to be held, with the caller and the policies as they are then.

use hpc_policy::Resource;
use hpc_resources::TeamId;
use jiff::Timestamp;

use crate::broker::Broker;
use crate::environment::Caller;
use crate::evidence::{Evidence, Refusal};
use crate::gate;
use crate::shadow::Standing;

impl Broker {
    /// Whether a caller may spend for a team: for one that they are in, or for another where policy allows
    /// `budget.spend`. The answer is the evidence where policy was asked.
    pub(crate) fn ask_to_spend(
        &self,
        standing: &Standing,
        caller: &Caller,
        team: &TeamId,
        now: Timestamp,
    ) -> Result<Option<Evidence>, Box<Refusal>> {
        if *team == caller.team || caller.principal.teams().iter().any(|have| have == team.as_str()) {
            return Ok(None);
        }
        let budget = Resource::new("budget", format!("budget/{team}"));
        let asked = gate::ask(standing, caller, budget, "budget.spend", now);
        asked.map(|judged| Some(judged.evidence())).map_err(Box::new)
    }
}
