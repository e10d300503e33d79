//! Telemetry in: batches over QUIC, checked, stored, and only then acknowledged.
//!
//! A lease can be ended for what is stored here, so a node is believed about itself alone: see [`Reporter`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hpc_agent::{BatchPoints, points_from_batch};
use hpc_broker::LeaseRecord;
use hpc_error::codes;
use hpc_policy::Resource;
use hpc_resources::LeaseId;
use hpc_timeseries::Durability;
use hpc_transport::{CallContext, FrameSink, FrameSource, Handler, Result, StreamContext, TransportError};
use hpc_types::telemetry::v1::{BatchAck, MetricBatch};
use hpc_types::time::to_proto;
use jiff::Timestamp;
use prost::Message;

use crate::clock::wall_now;
use crate::people;
use crate::world::World;

/// How far back from the opening of its stream a node may report.
const BACKLOG_MAX: Duration = Duration::from_secs(60);
/// How the name of a node begins that works for one lease alone: `node-`, the lease's id with `-` for `_`, and `-` with a
/// number where the lease has several.
const OF_ONE_LEASE: &str = "node-lse-";

/// Takes telemetry from nodes that have joined.
pub(crate) struct Ingest {
    pub(crate) world: Arc<World>,
}

/// A node at the other end of a stream, and what it is believed about.
struct Reporter {
    node: String,
    /// Who invited it; a node without a record works for no lease.
    invited_by: Option<String>,
    /// Older measurements are refused.
    oldest_ns: i64,
}

impl Reporter {
    fn new(node: String, invited_by: Option<String>, opened: Timestamp) -> Self {
        let backlog_ns = i64::try_from(BACKLOG_MAX.as_nanos()).unwrap_or(i64::MAX);
        let opened_ns = i64::try_from(opened.as_nanosecond()).unwrap_or(i64::MAX);
        Self { node, invited_by, oldest_ns: opened_ns.saturating_sub(backlog_ns) }
    }

    /// A node works for running leases of whoever invited it; one that is named for a lease, for that one alone.
    fn works_for(&self, lease: &LeaseRecord) -> bool {
        let named = !self.node.starts_with(OF_ONE_LEASE) || is_named_for(&self.node, &lease.id);
        let invited = self.invited_by.as_deref() == Some(lease.principal.as_str());
        lease.state.is_running() && named && invited
    }
}

/// Whether a node's name is `node-<lease>` or, where a lease has several, `node-<lease>-<number>`.
fn is_named_for(node: &str, lease: &LeaseId) -> bool {
    let of_lease = lease.as_str().replace('_', "-");
    let rest = node.strip_prefix("node-").and_then(|rest| rest.strip_prefix(of_lease.as_str()));
    match rest.map(|rest| rest.strip_prefix('-').ok_or(rest)) {
        Some(Ok(number)) => !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()),
        Some(Err(rest)) => rest.is_empty(),
        None => false,
    }
}

#[async_trait]
impl Handler for Ingest {
    async fn call(&self, context: CallContext, _request: Bytes) -> Result<Bytes> {
        Err(TransportError::unimplemented(context.method.path()))
    }

    async fn stream(
        &self,
        context: StreamContext,
        mut source: Box<dyn FrameSource>,
        sink: &mut dyn FrameSink,
    ) -> Result<()> {
        if context.name.as_str() != hpc_agent::STREAM {
            return Err(TransportError::unimplemented(context.name.as_str()));
        }
        let peer =
            context.peer.ok_or_else(|| TransportError::unauthenticated("a node shows its certificate"))?;
        let caller = people::caller(peer.id()).map_err(|error| TransportError::denied(error.to_string()))?;
        let node = peer.id().segments().last().unwrap_or_default().to_owned();
        let resource = Resource::new("telemetry", format!("telemetry/{node}"));
        self.world
            .broker
            .may(&caller, resource, "telemetry.write")
            .map_err(|error| TransportError::denied(error.to_string()))?;
        let invited_by = self
            .world
            .nodes
            .inviter(&node)
            .await
            .map_err(|error| TransportError::failed(error.to_string()))?;
        let reporter = Reporter::new(node, invited_by, wall_now());
        while let Some(frame) = source.receive().await? {
            let batch =
                MetricBatch::decode(frame).map_err(|error| TransportError::malformed(error.to_string()))?;
            if batch.node_id != reporter.node {
                return Err(TransportError::denied("a node reports for itself only"));
            }
            let ack = self.store(&reporter, batch).await?;
            sink.send(Bytes::from(ack.encode_to_vec())).await?;
        }
        Ok(())
    }
}

impl Ingest {
    async fn store(&self, reporter: &Reporter, batch: MetricBatch) -> Result<BatchAck> {
        let lease = match self.lease_of(reporter, &batch.lease_id).await? {
            Ok(lease) => lease,
            Err(reason) => return Ok(refused(&batch, reason)),
        };
        let drain_until = lease.and_then(|lease| lease.drain).and_then(|drain| to_proto(drain.until).ok());
        let mut found = points_from_batch(&batch);
        refuse_backdated(&mut found, reporter.oldest_ns);
        let sent = u64::try_from(found.points.len()).unwrap_or(u64::MAX);
        let report = self
            .world
            .telemetry
            .write(found.points, Durability::Group)
            .await
            .map_err(|error| TransportError::failed(error.to_string()))?;
        let refused = u64::try_from(report.rejected.len()).unwrap_or(u64::MAX);
        let reason = report.rejected.first().map(|rejected| rejected.why.to_string()).or(found.reason);
        Ok(BatchAck {
            sequence: batch.sequence,
            accepted_count: sent.saturating_sub(refused),
            rejected_count: found.rejected.saturating_add(refused),
            reason: reason.unwrap_or_default(),
            // Told with every batch, so that a node that was away hears of it, too.
            drain_until,
        })
    }

    /// The lease that a batch is about, if it names one; or why it is refused. Whether a lease of somebody else exists is
    /// not told.
    async fn lease_of(
        &self,
        reporter: &Reporter,
        lease: &str,
    ) -> Result<std::result::Result<Option<LeaseRecord>, String>> {
        if lease.is_empty() {
            return Ok(Ok(None));
        }
        let Ok(id) = LeaseId::parse(lease) else {
            return Ok(Err("`lease_id` is no lease's id".to_owned()));
        };
        match self.world.broker.lease_by_id(&id).await {
            Ok(lease) if reporter.works_for(&lease) => return Ok(Ok(Some(lease))),
            Ok(_) => {}
            Err(error) if error.registered() == Some(&codes::LSE_UNKNOWN) => {}
            Err(error) => return Err(TransportError::failed(error.to_string())),
        }
        Ok(Err(format!("`{id}` is no active lease that this node works for")))
    }
}

/// Nothing of a batch is believed.
fn refused(batch: &MetricBatch, reason: String) -> BatchAck {
    let sent = batch.gpu.len().saturating_add(batch.host.len());
    let rejected_count = u64::try_from(sent).unwrap_or(u64::MAX);
    BatchAck { sequence: batch.sequence, accepted_count: 0, rejected_count, reason, drain_until: None }
}

/// What was measured before the node connected cannot be told from what was made up since.
fn refuse_backdated(found: &mut BatchPoints, oldest_ns: i64) {
    let before = found.points.len();
    found.points.retain(|point| point.ts_ns >= oldest_ns);
    let refused = before.saturating_sub(found.points.len());
    if refused > 0 {
        found.rejected = found.rejected.saturating_add(u64::try_from(refused).unwrap_or(u64::MAX));
        found.reason.get_or_insert_with(|| {
            format!("`observed_at` is more than {} s before the stream was opened", BACKLOG_MAX.as_secs())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_name_is_that_of_its_lease_with_or_without_a_number() {
        let lease = LeaseId::from_bits(7);
        let of_lease = format!("node-{}", lease.as_str().replace('_', "-"));
        for name in [of_lease.clone(), format!("{of_lease}-0"), format!("{of_lease}-63")] {
            assert!(is_named_for(&name, &lease), "{name}");
            assert!(!is_named_for(&name, &LeaseId::from_bits(8)), "{name}");
        }
        for name in
            [format!("{of_lease}-"), format!("{of_lease}-x"), format!("{of_lease}0"), "node-lse-".to_owned()]
        {
            assert!(!is_named_for(&name, &lease), "{name}");
        }
    }
}
