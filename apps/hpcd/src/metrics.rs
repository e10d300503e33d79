//! What `/metrics` says of the daemon. Labels come from closed sets, never from input.

use hpc_audit::AuditLog;
use hpc_broker::LeaseState;
use hpc_error::{HpcError, codes};
use hpc_tracing::metrics::{Gauge, MetricsError, registry};

use crate::clock::wall_now;
use crate::world::World;

/// The daemon's gauges.
pub(crate) struct Metrics {
    active: Gauge,
    releasing: Gauge,
    instances: Gauge,
    audit: Gauge,
    trouble: Gauge,
    authority: Gauge,
    certificate: Gauge,
}

impl Metrics {
    /// Registers the gauges with the process's registry, or finds them there.
    pub(crate) fn registered() -> Result<Self, HpcError> {
        let gauge = |name, help| {
            registry()
                .gauge(name, help)
                .map_err(|error: MetricsError| HpcError::coded(&codes::INT_BUG, error.to_string()))
        };
        Ok(Self {
            active: gauge("hpc_leases_active", "Leases that are active")?,
            releasing: gauge("hpc_leases_releasing", "Leases that are being ended")?,
            instances: gauge("hpc_simulated_instances", "Instances that exist in the simulated clouds")?,
            audit: gauge("hpc_audit_entries", "Entries of the audit log")?,
            trouble: gauge("hpc_reconcile_trouble", "1 while the last round of reconciling was incomplete")?,
            authority: gauge(
                "hpc_authority_expires_seconds",
                "Seconds until the certificate authority expires",
            )?,
            certificate: gauge(
                "hpc_certificate_expires_seconds",
                "Seconds until the daemon's certificate expires",
            )?,
        })
    }

    /// Takes one look at the world.
    pub(crate) async fn observe(&self, world: &World) -> Result<(), HpcError> {
        let leases = world.broker.open_leases().await?;
        let count = |state: LeaseState| number(leases.iter().filter(|lease| lease.state == state).count());
        self.active.set(count(LeaseState::Active));
        self.releasing.set(count(LeaseState::Releasing));
        self.instances.set(number(world.sim.live_instances().len()));
        self.audit.set(number(usize::try_from(world.audit.size()).unwrap_or(usize::MAX)));
        self.trouble.set(if world.trouble().is_some() { 1.0 } else { 0.0 });
        let lasts = world.identity.lasts_s(wall_now()).await?;
        let seconds =
            |name: &str| lasts.get(name).map_or(0.0, |left| number(usize::try_from(*left).unwrap_or(0)));
        self.authority.set(seconds("authority"));
        self.certificate.set(seconds("daemon"));
        Ok(())
    }
}

fn number(count: usize) -> f64 {
    // Beyond 2^32 a gauge need not be exact.
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
