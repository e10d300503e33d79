//! Telemetry on its way: batches out, acknowledgements back, over one QUIC stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hpc_auth::PeerPolicy;
use hpc_error::{HpcError, codes};
use hpc_rpc::quic::{QuicClientBuilder, QuicTransport};
use hpc_transport::{Frames, StreamName, Transport, TransportError};
use hpc_types::telemetry::v1::{BatchAck, MetricBatch};
use prost::Message;

use crate::join::Joined;

/// The name of the stream.
pub const STREAM: &str = "telemetry.v1";
/// How long a batch waits for its acknowledgement.
pub const ACK_WAIT: Duration = Duration::from_secs(10);

/// An open stream of batches to the daemon.
pub struct Stream {
    link: QuicTransport,
    frames: Frames,
}

impl Stream {
    /// Connects with the node's certificate and opens the stream.
    ///
    /// # Errors
    /// `HPC-NET-0001` when the daemon does not answer, `HPC-AUT-0004` when it is not who it must be.
    pub async fn open(joined: &Joined) -> Result<Self, HpcError> {
        let unreachable = |error: String| {
            let message = format!("cannot send telemetry to `{}`: {error}", joined.telemetry_addr);
            HpcError::coded(&codes::NET_DAEMON_UNREACHABLE, message)
        };
        let link = QuicClientBuilder::new(joined.telemetry_addr.as_str())
            .with_identity(Arc::clone(&joined.identity), PeerPolicy::Exact(joined.daemon.clone()))
            .connect()
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        let name =
            StreamName::parse(STREAM).map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?;
        let frames = link.open(&name).await.map_err(|error| unreachable(error.to_string()))?;
        Ok(Self { link, frames })
    }

    /// Sends a batch and waits until the daemon has stored it.
    ///
    /// # Errors
    /// `HPC-NET-0003` without an answer in [`ACK_WAIT`], `HPC-NET-0001` when the stream has ended.
    pub async fn send(&mut self, batch: &MetricBatch) -> Result<BatchAck, HpcError> {
        let exchange = async {
            self.frames.sink.send(Bytes::from(batch.encode_to_vec())).await?;
            self.frames.source.receive().await
        };
        let ended = |error: TransportError| {
            HpcError::coded(&codes::NET_DAEMON_UNREACHABLE, format!("the telemetry stream ended: {error}"))
        };
        match tokio::time::timeout(ACK_WAIT, exchange).await {
            Err(_) => Err(HpcError::coded(&codes::NET_TIMEOUT, "the daemon did not acknowledge a batch")),
            Ok(Err(error)) => Err(ended(error)),
            Ok(Ok(None)) => {
                Err(HpcError::coded(&codes::NET_DAEMON_UNREACHABLE, "the daemon closed the telemetry stream"))
            }
            Ok(Ok(Some(frame))) => {
                BatchAck::decode(frame).map_err(|error| ended(TransportError::malformed(error.to_string())))
            }
        }
    }

    /// Ends the stream in order.
    pub async fn close(mut self) {
        drop(self.frames.sink.finish().await);
        self.link.close().await;
    }
}
