//! Serves a port [`Handler`] over gRPC: any method as bytes, and streams under one service name.

use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Status, Streaming};

use hpc_transport::{
    CallContext, Deadline, Frame, FrameKind, FrameSink, FrameSource, Handler, Method, PeerIdentity,
    StreamContext, StreamName, TransportError,
};

use crate::codec::{BytesCodec, FrameCodec};
use crate::map;

/// The service under which streams are opened: `/hpc.transport.v1.Streams/<name>`.
pub(crate) const STREAMS_SERVICE: &str = "hpc.transport.v1.Streams";
/// Frames that wait in one direction of one stream before its sender has to.
pub(crate) const FRAMES_QUEUED_MAX: usize = 8;

pub(crate) async fn serve(
    handler: Arc<dyn Handler>,
    draining: watch::Receiver<bool>,
    request: Request<Body>,
) -> Response<Body> {
    let method = match Method::parse(request.uri().path()) {
        Ok(method) => method,
        Err(error) => return map::to_status(&error).into_http(),
    };
    if method.service() == STREAMS_SERVICE {
        let name = match StreamName::parse(method.name()) {
            Ok(name) => name,
            Err(error) => return map::to_status(&error).into_http(),
        };
        Grpc::new(FrameCodec)
            .max_decoding_message_size(usize::MAX) // the gate has measured it
            .streaming(StreamCall { handler, name, draining }, request)
            .await
    } else {
        Grpc::new(BytesCodec)
            .max_decoding_message_size(usize::MAX) // the gate has measured it
            .unary(UnaryCall { handler, method }, request)
            .await
    }
}

struct UnaryCall {
    handler: Arc<dyn Handler>,
    method: Method,
}

impl UnaryService<Bytes> for UnaryCall {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (handler, method) = (Arc::clone(&self.handler), self.method.clone());
        Box::pin(async move {
            let peer = request.extensions().get::<PeerIdentity>().cloned();
            let Some(deadline) = request.extensions().get::<Deadline>().copied() else {
                return Err(Status::internal("the request has no deadline"));
            };
            let context = CallContext::new(method, deadline, peer);
            match handler.call(context, request.into_inner()).await {
                Ok(reply) => Ok(tonic::Response::new(reply)),
                Err(error) => Err(map::to_status(&error)),
            }
        })
    }
}

struct StreamCall {
    handler: Arc<dyn Handler>,
    name: StreamName,
    draining: watch::Receiver<bool>,
}

impl StreamingService<Frame> for StreamCall {
    type Response = Frame;
    type ResponseStream = HandlerOutput;
    type Future = BoxFuture<'static, Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Frame>>) -> Self::Future {
        let (handler, name, draining) = (Arc::clone(&self.handler), self.name.clone(), self.draining.clone());
        Box::pin(async move {
            let peer = request.extensions().get::<PeerIdentity>().cloned();
            let (out, frames) = mpsc::channel(FRAMES_QUEUED_MAX);
            let source = Box::new(GrpcSource::serving(request.into_inner(), draining));
            let task = tokio::spawn(async move {
                let mut sink = GrpcSink { out };
                let ended = match handler.stream(StreamContext::new(name, peer), source, &mut sink).await {
                    Ok(()) => Frame::end(),
                    Err(error) => Frame::error(&error),
                };
                // A client that has gone does not hear how it ended.
                let _ = sink.out.send(ended).await;
            });
            Ok(tonic::Response::new(HandlerOutput {
                frames: ReceiverStream::new(frames),
                _task: AbortOnDropHandle::new(task),
            }))
        })
    }
}

/// What the handler sends; dropping it (the client has gone) ends the handler.
pub(crate) struct HandlerOutput {
    frames: ReceiverStream<Frame>,
    _task: AbortOnDropHandle<()>,
}

impl futures_core::Stream for HandlerOutput {
    type Item = Result<Frame, Status>;

    fn poll_next(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        std::pin::Pin::new(&mut self.get_mut().frames).poll_next(cx).map(|frame| frame.map(Ok))
    }
}

/// The sending half, towards the task that writes the HTTP/2 stream.
pub(crate) struct GrpcSink {
    pub(crate) out: mpsc::Sender<Frame>,
}

#[async_trait]
impl FrameSink for GrpcSink {
    async fn send(&mut self, payload: Bytes) -> hpc_transport::Result<()> {
        let frame = Frame::new(FrameKind::Data, payload)?;
        self.out.send(frame).await.map_err(|_| TransportError::closed("the other end has gone"))
    }

    /// The server's half is finished by its handler's return.
    async fn finish(&mut self) -> hpc_transport::Result<()> {
        Ok(())
    }
}

/// The receiving half, of either end.
pub(crate) struct GrpcSource {
    frames: Streaming<Frame>,
    draining: Option<watch::Receiver<bool>>,
    ended: bool,
}

impl GrpcSource {
    pub(crate) fn serving(frames: Streaming<Frame>, draining: watch::Receiver<bool>) -> Self {
        Self { frames, draining: Some(draining), ended: false }
    }

    pub(crate) fn calling(frames: Streaming<Frame>) -> Self {
        Self { frames, draining: None, ended: false }
    }
}

#[async_trait]
impl FrameSource for GrpcSource {
    async fn receive(&mut self) -> hpc_transport::Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let message = match &mut self.draining {
            None => self.frames.message().await,
            Some(draining) => tokio::select! {
                biased;
                message = self.frames.message() => message,
                _ = draining.wait_for(|draining| *draining) => {
                    self.ended = true;
                    return Ok(None);
                }
            },
        };
        match message {
            Ok(Some(frame)) => match frame.kind {
                FrameKind::Data => Ok(Some(frame.payload)),
                FrameKind::End => {
                    self.ended = true;
                    Ok(None)
                }
                FrameKind::Error => {
                    self.ended = true;
                    Err(TransportError::decode(&frame.payload))
                }
                FrameKind::Call | FrameKind::Stream => {
                    Err(TransportError::malformed("an opening inside a stream"))
                }
            },
            Ok(None) => {
                self.ended = true;
                Err(TransportError::closed("the stream was cut before its end"))
            }
            Err(status) => {
                self.ended = true;
                Err(map::from_status(&status))
            }
        }
    }
}
