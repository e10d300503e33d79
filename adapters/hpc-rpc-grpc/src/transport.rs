//! The port over a channel.

use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::client::Grpc;

use hpc_transport::{
    Deadline, Frame, FrameKind, FrameSink, Frames, MESSAGE_BYTES_MAX, Method, PeerIdentity, StreamName,
    Transport, TransportError,
};

use crate::channel::GrpcChannel;
use crate::codec::{BytesCodec, FrameCodec};
use crate::handler::{FRAMES_QUEUED_MAX, GrpcSource, STREAMS_SERVICE};
use crate::map;

/// The port [`Transport`] over a [`GrpcChannel`]: calls are unary methods, streams are methods of `hpc.transport.v1.Streams`.
#[derive(Clone, Debug)]
pub struct GrpcTransport {
    channel: GrpcChannel,
}

impl GrpcTransport {
    /// Speaks through this channel.
    #[must_use]
    pub fn new(channel: GrpcChannel) -> Self {
        Self { channel }
    }

    fn grpc(&self) -> Grpc<GrpcChannel> {
        // The channel measures messages itself, both ways.
        Grpc::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }
}

#[async_trait]
impl Transport for GrpcTransport {
    async fn call(
        &self,
        method: &Method,
        request: Bytes,
        deadline: Deadline,
    ) -> hpc_transport::Result<Bytes> {
        TransportError::check_size(request.len(), MESSAGE_BYTES_MAX)?;
        let left = deadline.remaining(Instant::now());
        if left.is_zero() {
            return Err(TransportError::DeadlineExceeded);
        }
        let mut request = Request::new(request);
        request.set_timeout(left);
        let outcome = self.grpc().unary(request, path(method.path().to_owned())?, BytesCodec).await;
        outcome.map(tonic::Response::into_inner).map_err(|status| map::from_status(&status))
    }

    async fn open(&self, name: &StreamName) -> hpc_transport::Result<Frames> {
        let (out, frames) = mpsc::channel(FRAMES_QUEUED_MAX);
        let path = path(format!("/{STREAMS_SERVICE}/{name}"))?;
        let request = Request::new(ReceiverStream::new(frames));
        let response = self
            .grpc()
            .streaming(request, path, FrameCodec)
            .await
            .map_err(|status| map::from_status(&status))?;
        Ok(Frames::new(
            Box::new(ClientSink { out: Some(out) }),
            Box::new(GrpcSource::calling(response.into_inner())),
        ))
    }

    fn peer(&self) -> Option<PeerIdentity> {
        self.channel.peer()
    }
}

fn path(text: String) -> hpc_transport::Result<PathAndQuery> {
    PathAndQuery::try_from(text).map_err(|error| TransportError::malformed(error.to_string()))
}

/// The client's sending half; dropped before `finish`, it leaves the stream without an end frame.
struct ClientSink {
    out: Option<mpsc::Sender<Frame>>,
}

impl ClientSink {
    async fn write(&mut self, frame: Frame) -> hpc_transport::Result<()> {
        let Some(out) = &self.out else {
            return Err(TransportError::closed("the stream was already finished"));
        };
        out.send(frame).await.map_err(|_| TransportError::closed("the other end has gone"))
    }
}

#[async_trait]
impl FrameSink for ClientSink {
    async fn send(&mut self, payload: Bytes) -> hpc_transport::Result<()> {
        // One byte is the kind: the message that carries the frame has the same limit.
        TransportError::check_size(payload.len(), MESSAGE_BYTES_MAX - 1)?;
        self.write(Frame::new(FrameKind::Data, payload)?).await
    }

    async fn finish(&mut self) -> hpc_transport::Result<()> {
        if self.out.is_none() {
            return Ok(());
        }
        let sent = self.write(Frame::end()).await;
        self.out = None;
        sent
    }
}
