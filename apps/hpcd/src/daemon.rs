//! The daemon: servers on loopback, mutual TLS on all of them, and the loop that keeps everything in step.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hpc_audit::{AuditLog, TileSource};
use hpc_auth::PeerPolicy;
use hpc_error::{HpcError, codes};
use hpc_rpc::grpc::{GrpcError, GrpcServer, GrpcServerBuilder};
use hpc_rpc::quic::{QuicError, QuicServerBuilder};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::authzen::AuthZen;
use crate::clock::{Pace, wall_now};
use crate::cosigning::{self, Cosigning};
use crate::metrics::Metrics;
use crate::problems::in_short;
use crate::services::{Api, JOIN_PATH};
use crate::telemetry::Ingest;
use crate::tiles::Tiles;
use crate::web;
use crate::world::World;

/// How often the daemon reconciles, and looks for changed policies.
const ROUND: Duration = Duration::from_secs(2);
/// The same where time passes faster than this machine's.
const SHORTEST_ROUND: Duration = Duration::from_millis(100);

/// Where a daemon listens.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// The control API, gRPC, and AuthZEN, HTTPS: both with mutual TLS.
    pub api: SocketAddr,
    /// Telemetry: QUIC with mutual TLS.
    pub telemetry: SocketAddr,
    /// The published audit log for anybody: plain HTTP, checkpoint and tiles alone. `None` leaves it out.
    pub audit: Option<SocketAddr>,
}

impl Listen {
    /// The usual ports on loopback.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            api: SocketAddr::from(([127, 0, 0, 1], 7801)),
            telemetry: SocketAddr::from(([127, 0, 0, 1], 7802)),
            audit: None,
        }
    }

    /// Any free ports on loopback.
    #[must_use]
    pub fn free() -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { api: free, telemetry: free, audit: None }
    }

    /// Refuses anything that is not loopback: a development daemon has a throwaway authority.
    ///
    /// # Errors
    /// `HPC-DEV-0001`.
    pub fn check(&self) -> Result<(), HpcError> {
        for address in [self.api, self.telemetry].into_iter().chain(self.audit) {
            if !address.ip().is_loopback() {
                let message = format!(
                    "refused to listen on {address}: dev mode has a throwaway CA and may only listen on loopback"
                );
                return Err(HpcError::coded(&codes::DEV_NON_LOOPBACK, message));
            }
        }
        Ok(())
    }
}

/// A serving daemon.
pub struct Daemon {
    /// Its world.
    pub world: Arc<World>,
    /// Where the control API listens.
    pub api: SocketAddr,
    /// Where telemetry listens.
    pub telemetry: SocketAddr,
    /// Where anybody reads the published audit log, if anywhere.
    pub audit: Option<SocketAddr>,
    /// How its checkpoints are cosigned, if witnesses are asked.
    pub cosigning: Option<Arc<Cosigning>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Daemon {
    /// Binds and serves.
    ///
    /// # Errors
    /// `HPC-NET-0002` for a port in use, `-0007` for an address that cannot be used, `HPC-DEV-0001` beyond loopback.
    pub async fn start(world: Arc<World>, listen: Listen) -> Result<Self, HpcError> {
        Self::start_witnessed(world, listen, None).await
    }

    /// As [`Daemon::start`], and asks the witnesses of a policy to cosign the audit log's checkpoints.
    ///
    /// # Errors
    /// As [`Daemon::start`], and what [`Cosigning::open`] gives.
    pub async fn start_witnessed(
        world: Arc<World>,
        listen: Listen,
        policy: Option<&Path>,
    ) -> Result<Self, HpcError> {
        listen.check()?;
        let cosigning = policy.map(|policy| {
            Cosigning::open(policy, world.data.at("cosigned.checkpoint"), &world.audit.verifier_key())
                .map(Arc::new)
        });
        let cosigning = cosigning.transpose()?;
        let (stop, stopped) = watch::channel(false);
        let members = PeerPolicy::TrustDomain(world.identity.trust_domain().clone());
        let api = Api::new(Arc::clone(&world), cosigning.clone());
        let authzen = AuthZen::new(Arc::clone(&world))?;
        let tiles = Tiles::for_members(Arc::clone(&world), cosigning.clone());
        let server = GrpcServerBuilder::new(listen.api)
            .with_identity(world.identity.source(), members.clone())
            .and_then(|server| server.allow_anonymous_for(&[JOIN_PATH]))
            .and_then(|server| {
                web::serve_on(api.serve_on(server), authzen.clone(), tiles).with_health().build()
            })
            .map_err(|error| grpc(listen.api, error))?;
        let audit =
            listen.audit.map(|address| audit_server(&world, cosigning.clone(), address)).transpose()?;
        let telemetry = QuicServerBuilder::new(listen.telemetry)
            .with_identity(world.identity.source(), members)
            .and_then(|server| server.with_handler(Arc::new(Ingest { world: Arc::clone(&world) })).build())
            .map_err(|error| quic(listen.telemetry, error))?;
        let (api_addr, telemetry_addr) = (server.local_addr(), telemetry.local_addr());
        authzen.set_address(api_addr);
        world.set_telemetry_addr(telemetry_addr.to_string());
        let api_stop = wait(stopped.clone());
        let telemetry_stop = wait(stopped.clone());
        let mut tasks = vec![
            tokio::spawn(async move {
                if let Err(error) = server.serve_with_shutdown(api_stop).await {
                    tracing::error!(%error, "the control API stopped");
                }
            }),
            tokio::spawn(async move {
                if let Err(error) = telemetry.serve_with_shutdown(telemetry_stop).await {
                    tracing::error!(%error, "telemetry stopped");
                }
            }),
        ];
        let audit_addr = audit.as_ref().map(GrpcServer::local_addr);
        if let Some(audit) = audit {
            let stop = wait(stopped.clone());
            tasks.push(tokio::spawn(async move {
                if let Err(error) = audit.serve_with_shutdown(stop).await {
                    tracing::error!(%error, "serving the audit log stopped");
                }
            }));
        }
        if world.pace().passes() {
            // Where time passes only when told to, whoever tells it reconciles as well: one seed, one story.
            let metrics = Metrics::registered()?;
            tasks.push(tokio::spawn(keep_policies(Arc::clone(&world), stopped.clone())));
            if let Some(cosigning) = &cosigning {
                tasks.push(tokio::spawn(keep_cosigned(
                    Arc::clone(&world),
                    Arc::clone(cosigning),
                    stopped.clone(),
                )));
            }
            tasks.push(tokio::spawn(keep_replaced(Arc::clone(&world), stopped.clone())));
            tasks.push(tokio::spawn(keep_in_step(Arc::clone(&world), cosigning.clone(), metrics, stopped)));
        }
        Ok(Self {
            world,
            api: api_addr,
            telemetry: telemetry_addr,
            audit: audit_addr,
            cosigning,
            stop,
            tasks,
        })
    }

    /// The address that clients use.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.api)
    }

    /// Stops accepting, lets calls in flight end, and signs the audit log's last entries.
    ///
    /// # Errors
    /// `HPC-AUD-0001` when the audit log cannot be closed in order; its entries are durable all the same.
    pub async fn stop(self) -> Result<(), HpcError> {
        self.stop.send_replace(true);
        for task in self.tasks {
            drop(task.await);
        }
        self.world.audit.close().await.map_err(|error| {
            HpcError::coded(
                &codes::AUD_NOT_WRITABLE,
                format!("the audit log was not closed in order: {error}"),
            )
        })
    }
}

/// The published audit log for anybody.
fn audit_server(
    world: &World,
    cosigning: Option<Arc<Cosigning>>,
    address: SocketAddr,
) -> Result<GrpcServer, HpcError> {
    let source = Arc::clone(&world.audit) as Arc<dyn TileSource>;
    web::serve_tiles_on(GrpcServerBuilder::plain_http(address), Tiles::for_anybody(source, cosigning))
        .build()
        .map_err(|error| grpc(address, error))
}

/// Where time passes faster rounds come more often, as far as this machine keeps up.
fn round_at(pace: Pace) -> Duration {
    match pace {
        Pace::Times(times) => (ROUND / times.max(1)).max(SHORTEST_ROUND),
        Pace::Told | Pace::Wall => ROUND,
    }
}

async fn wait(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means the daemon is: stop as well.
    drop(stopped.wait_for(|stop| *stop).await);
}

/// Looks for changed policies, until told to stop. Apart from the rest: a file system that hangs must keep no lease open.
async fn keep_policies(world: Arc<World>, mut stopped: watch::Receiver<bool>) {
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        tokio::select! {
            () = world.policies.round() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// Asks witnesses, until told to stop. Apart from the rest: one that hangs must keep nothing waiting.
async fn keep_cosigned(world: Arc<World>, cosigning: Arc<Cosigning>, mut stopped: watch::Receiver<bool>) {
    let mut rounds = tokio::time::interval(cosigning::limits::ROUND);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        tokio::select! {
            () = cosigning.round(&world.audit, wall_now()) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// Replaces what providers take back, until told to stop. Apart from the rest: a cloud that takes its time to create must keep
/// no lease from its end. What is under way at the stop is in the journal, as after a crash.
async fn keep_replaced(world: Arc<World>, mut stopped: watch::Receiver<bool>) {
    let mut rounds = tokio::time::interval(round_at(world.pace()));
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        let round = tokio::select! {
            round = world.replace() => round,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match round {
            Ok(report) if report.problems.is_empty() => {}
            Ok(report) => {
                let (count, problems) = (report.problems.len(), in_short(&report.problems));
                tracing::warn!(count, %problems, "replacing is incomplete");
            }
            Err(error) => tracing::error!(%error, "replacing failed"),
        }
    }
}

/// Reconciles, ends idle leases and renews the certificate, until told to stop.
async fn keep_in_step(
    world: Arc<World>,
    cosigning: Option<Arc<Cosigning>>,
    metrics: Metrics,
    mut stopped: watch::Receiver<bool>,
) {
    let mut rounds = tokio::time::interval(round_at(world.pace()));
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut signed = 0;
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        match world.reconcile().await {
            Ok(report) if report.problems.is_empty() => {}
            Ok(report) => {
                let (count, problems) = (report.problems.len(), in_short(&report.problems));
                tracing::warn!(count, %problems, "reconciling is incomplete");
            }
            Err(error) => tracing::error!(%error, "reconciling failed"),
        }
        match crate::idle::end_idle_leases(&world, wall_now()).await {
            Ok(failed) => {
                for (lease, error) in failed {
                    tracing::warn!(%lease, %error, "a lease could not be judged or ended for idleness");
                }
            }
            Err(error) => tracing::warn!(%error, "idle leases could not be listed"),
        }
        if let Err(error) = world.identity.renew_if_due(wall_now()).await {
            tracing::error!(%error, "the daemon's certificate could not be renewed");
        }
        // Entries are durable when they are appended; a checkpoint at most one round later proves them to others.
        let size = world.audit.size();
        if size > signed {
            match world.audit.checkpoint().await {
                Ok(checkpoint) => signed = checkpoint.checkpoint().size,
                Err(error) => tracing::error!(%error, "the audit log could not be signed"),
            }
        }
        if let Err(error) = metrics.observe(&world, cosigning.as_deref()).await {
            tracing::warn!(%error, "metrics are behind");
        }
    }
}

pub(crate) fn grpc(address: SocketAddr, error: GrpcError) -> HpcError {
    match error {
        GrpcError::AddressInUse { .. } => {
            let message = format!("{address} is in use by another program");
            HpcError::coded(&codes::NET_PORT_IN_USE, message).with("address", address)
        }
        error => HpcError::coded(&codes::NET_BIND, format!("cannot serve on {address}: {error}")),
    }
}

fn quic(address: SocketAddr, error: QuicError) -> HpcError {
    match error {
        QuicError::AddressInUse { .. } => {
            let message = format!("{address}/udp is in use by another program");
            HpcError::coded(&codes::NET_PORT_IN_USE, message).with("address", address)
        }
        error => HpcError::coded(&codes::NET_BIND, format!("cannot serve on {address}/udp: {error}")),
    }
}
