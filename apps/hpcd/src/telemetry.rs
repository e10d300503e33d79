//! Telemetry in: batches over QUIC, checked, stored, and only then acknowledged.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hpc_agent::points_from_batch;
use hpc_policy::Resource;
use hpc_timeseries::Durability;
use hpc_transport::{CallContext, FrameSink, FrameSource, Handler, Result, StreamContext, TransportError};
use hpc_types::telemetry::v1::{BatchAck, MetricBatch};
use prost::Message;

use crate::people;
use crate::world::World;

/// Takes telemetry from nodes that have joined.
pub(crate) struct Ingest {
    pub(crate) world: Arc<World>,
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
        hpc_broker::check(
            &self.world.broker.policies(),
            &caller,
            resource,
            "telemetry.write",
            self.world.now(),
        )
        .map_err(|error| TransportError::denied(error.to_string()))?;
        while let Some(frame) = source.receive().await? {
            let batch =
                MetricBatch::decode(frame).map_err(|error| TransportError::malformed(error.to_string()))?;
            if batch.node_id != node {
                return Err(TransportError::denied("a node reports for itself only"));
            }
            let ack = self.store(batch).await?;
            sink.send(Bytes::from(ack.encode_to_vec())).await?;
        }
        Ok(())
    }
}

impl Ingest {
    async fn store(&self, batch: MetricBatch) -> Result<BatchAck> {
        let found = points_from_batch(&batch);
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
        })
    }
}
