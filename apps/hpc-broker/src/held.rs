//! Accelerators of open leases, summed by the team that pays: every plan and apply asks for a sum.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use hpc_resources::{LeaseId, TeamId};

#[derive(Default)]
pub(crate) struct HeldAccelerators {
    leases: HashMap<LeaseId, (TeamId, u32)>,
    /// No team with a sum of zero stays.
    sums: HashMap<TeamId, u64>,
}

impl HeldAccelerators {
    /// Counts a lease, or counts it otherwise than before.
    pub(crate) fn set(&mut self, lease: &LeaseId, (team, count): (TeamId, u32)) {
        self.end(lease);
        if count > 0 {
            let sum = self.sums.entry(team.clone()).or_default();
            *sum = sum.saturating_add(u64::from(count));
        }
        self.leases.insert(lease.clone(), (team, count));
    }

    /// Counts a lease no longer, if it was counted.
    pub(crate) fn end(&mut self, lease: &LeaseId) {
        let Some((team, count)) = self.leases.remove(lease) else { return };
        if let Entry::Occupied(mut sum) = self.sums.entry(team) {
            *sum.get_mut() = sum.get().saturating_sub(u64::from(count));
            if *sum.get() == 0 {
                sum.remove();
            }
        }
    }

    /// What a team's open leases have or wait for.
    pub(crate) fn of(&self, team: &TeamId) -> u64 {
        self.sums.get(team).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn sums_are_those_of_the_leases(steps in proptest::collection::vec((0..6_u8, 0..3_u8, 0..9_u32), 0..60)) {
            let mut held = HeldAccelerators::default();
            for (lease, team, count) in steps {
                let lease = LeaseId::parse(format!("lse_{lease:026}")).unwrap();
                if count == 8 {
                    held.end(&lease);
                } else {
                    held.set(&lease, (TeamId::parse(format!("t{team}")).unwrap(), count));
                }
                for team in (0..3).map(|team| TeamId::parse(format!("t{team}")).unwrap()) {
                    let mine = held.leases.values().filter(|(of, _)| *of == team);
                    let sum: u64 = mine.map(|(_, count)| u64::from(*count)).sum();
                    proptest::prop_assert_eq!(held.of(&team), sum);
                    proptest::prop_assert_eq!(held.sums.contains_key(&team), sum > 0);
                }
            }
        }
    }
}
