//! What `/metrics` says of the daemon. Labels come from closed sets, never from input.

use hpc_audit::AuditLog;
use hpc_broker::{LeaseState, ShadowReport};
use hpc_error::{HpcError, codes};
use hpc_tracing::metrics::{Counter, Gauge, GaugeFamily, Label, MetricsError, registry};

use crate::budget_metrics::BudgetMetrics;
use crate::clock::wall_now;
use crate::cosigning::Cosigning;
use crate::world::World;

/// The daemon's gauges.
pub(crate) struct Metrics {
    active: Gauge,
    releasing: Gauge,
    instances: Gauge,
    audit: Gauge,
    cosigned: Gauge,
    witnessed: Gauge,
    trouble: Gauge,
    authority: Gauge,
    certificate: Gauge,
    policy_rules: Gauge,
    policy_in_step: Gauge,
    policy_failures: Counter,
    policy_candidate: GaugeFamily,
    refusals_suppressed: Counter,
    budgets: BudgetMetrics,
}

/// How a candidate's answer compares with the one that was given.
const COMPARED: [Label; 1] = [Label {
    name: "compared",
    values: &["same", "allow_to_deny", "deny_to_allow", "obligations", "failed"],
}];

impl Metrics {
    /// Registers the gauges with the process's registry, or finds them there.
    pub(crate) fn registered() -> Result<Self, HpcError> {
        let gauge = |name, help| {
            registry()
                .gauge(name, help)
                .map_err(|error: MetricsError| HpcError::coded(&codes::INT_BUG, error.to_string()))
        };
        Ok(Self {
            budgets: BudgetMetrics::registered()?,
            active: gauge("hpc_leases_active", "Leases that are active")?,
            releasing: gauge("hpc_leases_releasing", "Leases that are being ended")?,
            instances: gauge("hpc_simulated_instances", "Instances that exist in the simulated clouds")?,
            audit: gauge("hpc_audit_entries", "Entries of the audit log")?,
            cosigned: gauge(
                "hpc_audit_cosigned_entries",
                "Entries under the newest checkpoint with its quorum",
            )?,
            witnessed: gauge(
                "hpc_audit_witnessed",
                "0 while the audit log's checkpoints lack their quorum for too long; 1 without witnesses too",
            )?,
            trouble: gauge("hpc_reconcile_trouble", "1 while the last round of reconciling was incomplete")?,
            authority: gauge(
                "hpc_authority_expires_seconds",
                "Seconds until the certificate authority expires",
            )?,
            certificate: gauge(
                "hpc_certificate_expires_seconds",
                "Seconds until the daemon's certificate expires",
            )?,
            policy_rules: gauge("hpc_policy_rules", "Rules of the policies in force")?,
            policy_in_step: gauge(
                "hpc_policy_last_reload_successful",
                "0 while the policies at their source are refused and older ones stay in force",
            )?,
            policy_failures: registry()
                .counter("hpc_policy_reload_failures", "How often new policies were refused")
                .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?,
            refusals_suppressed: registry()
                .counter(
                    "hpc_audit_refusals_suppressed",
                    "Refusals that are not in the audit log, because their caller had too many",
                )
                .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?,
            policy_candidate: registry()
                .gauge_with(
                    "hpc_policy_candidate_decisions",
                    "Decisions that the candidate was asked for as well; 0 without one",
                    &COMPARED,
                )
                .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?,
        })
    }

    /// Takes one look at the world.
    pub(crate) async fn observe(&self, world: &World, cosigning: Option<&Cosigning>) -> Result<(), HpcError> {
        let state = cosigning.map(Cosigning::state).unwrap_or_default();
        self.cosigned.set(number(usize::try_from(state.size).unwrap_or(usize::MAX)));
        self.witnessed.set(if state.is_late(wall_now()) { 0.0 } else { 1.0 });
        let leases = world.broker.open_leases().await?;
        let count = |state: LeaseState| number(leases.iter().filter(|lease| lease.state == state).count());
        self.active.set(count(LeaseState::Active) + count(LeaseState::Draining));
        self.releasing.set(count(LeaseState::Releasing));
        self.instances.set(number(world.sim.live_instances().len()));
        self.audit.set(number(usize::try_from(world.audit.size()).unwrap_or(usize::MAX)));
        self.trouble.set(if world.trouble().is_some() { 1.0 } else { 0.0 });
        self.observe_policies(world);
        self.budgets.observe(&world.broker);
        let lasts = world.identity.lasts_s(wall_now()).await?;
        let seconds =
            |name: &str| lasts.get(name).map_or(0.0, |left| number(usize::try_from(*left).unwrap_or(0)));
        self.authority.set(seconds("authority"));
        self.certificate.set(seconds("daemon"));
        Ok(())
    }
}

impl Metrics {
    fn observe_policies(&self, world: &World) {
        let status = world.policies.status();
        self.policy_rules.set(number(status.rules));
        self.policy_in_step.set(if status.failure.is_none() { 1.0 } else { 0.0 });
        self.policy_failures.add(status.failures.saturating_sub(self.policy_failures.value()));
        let suppressed = world.broker.refusals_suppressed();
        self.refusals_suppressed.add(suppressed.saturating_sub(self.refusals_suppressed.value()));
        let report = world.broker.candidate();
        let count = |of: fn(&ShadowReport) -> u64| {
            report.as_ref().map_or(0.0, |report| number(usize::try_from(of(report)).unwrap_or(usize::MAX)))
        };
        for (compared, value) in [
            ("same", count(ShadowReport::same)),
            ("allow_to_deny", count(|report| report.allow_to_deny)),
            ("deny_to_allow", count(|report| report.deny_to_allow)),
            ("obligations", count(|report| report.obligations)),
            ("failed", count(|report| report.failures)),
        ] {
            self.policy_candidate.with(&[compared]).set(value);
        }
    }
}

fn number(count: usize) -> f64 {
    // Beyond 2^32 a gauge need not be exact.
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
