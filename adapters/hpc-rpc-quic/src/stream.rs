//! Frames on one QUIC stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, WriteError};
use tokio::sync::watch;

use hpc_transport::{Frame, FrameDecoder, FrameKind, FrameSink, FrameSource, Result, TransportError};

use crate::limits::CHUNK_BYTES_MAX;

/// Reads frames; what was read of an unfinished one stays when the future is dropped.
pub(crate) struct FrameReader {
    recv: RecvStream,
    decoder: FrameDecoder,
}

impl FrameReader {
    pub(crate) fn new(recv: RecvStream) -> Self {
        Self { recv, decoder: FrameDecoder::new() }
    }

    /// The next frame, or `None` where the byte stream ends between frames. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some(frame));
            }
            match self.recv.read_chunk(CHUNK_BYTES_MAX, true).await.map_err(read_failed)? {
                Some(chunk) => self.decoder.push(&chunk.bytes),
                None if self.decoder.is_inside_frame() => {
                    return Err(TransportError::closed("the stream ends inside a frame"));
                }
                None => return Ok(None),
            }
        }
    }
}

/// Writes one frame; the payload is not copied.
pub(crate) async fn write(send: &mut SendStream, frame: Frame) -> Result<()> {
    let mut chunks = [Bytes::copy_from_slice(&frame.header()), frame.payload];
    send.write_all_chunks(&mut chunks).await.map_err(write_failed)
}

/// The sending half of a stream. Dropped before its end frame, the other end sees it cut.
pub(crate) struct QuicSink {
    send: SendStream,
    /// The server's half is ended by its handler's return, with an end frame or an error frame.
    ended_by_return: bool,
    finished: bool,
}

impl QuicSink {
    pub(crate) fn calling(send: SendStream) -> Self {
        Self { send, ended_by_return: false, finished: false }
    }

    pub(crate) fn serving(send: SendStream) -> Self {
        Self { send, ended_by_return: true, finished: false }
    }

    /// Ends the stream with `last` and gives the QUIC stream back.
    pub(crate) async fn end(mut self, last: Frame) -> Result<SendStream> {
        write(&mut self.send, last).await?;
        let _ = self.send.finish(); // fails only when the peer has stopped it
        Ok(self.send)
    }
}

#[async_trait]
impl FrameSink for QuicSink {
    async fn send(&mut self, payload: Bytes) -> Result<()> {
        if self.finished {
            return Err(TransportError::closed("the stream was already finished"));
        }
        write(&mut self.send, Frame::new(FrameKind::Data, payload)?).await
    }

    async fn finish(&mut self) -> Result<()> {
        if self.ended_by_return || self.finished {
            return Ok(());
        }
        self.finished = true;
        write(&mut self.send, Frame::end()).await?;
        let _ = self.send.finish(); // fails only when the peer has stopped it
        Ok(())
    }
}

/// The receiving half of a stream.
pub(crate) struct QuicSource {
    reader: FrameReader,
    draining: Option<watch::Receiver<bool>>,
    /// Set by a client that was told `GoingAway`: what comes next dials anew.
    retired: Option<Arc<AtomicBool>>,
    ended: bool,
}

impl QuicSource {
    pub(crate) fn calling(reader: FrameReader, retired: Arc<AtomicBool>) -> Self {
        Self { reader, draining: None, retired: Some(retired), ended: false }
    }

    pub(crate) fn serving(reader: FrameReader, draining: watch::Receiver<bool>) -> Self {
        Self { reader, draining: Some(draining), retired: None, ended: false }
    }
}

#[async_trait]
impl FrameSource for QuicSource {
    async fn receive(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let next = match &mut self.draining {
            None => self.reader.next().await,
            Some(draining) => tokio::select! {
                biased;
                next = self.reader.next() => next,
                _ = draining.wait_for(|draining| *draining) => {
                    self.ended = true;
                    return Ok(None);
                }
            },
        };
        match next {
            Ok(Some(Frame { kind: FrameKind::Data, payload })) => return Ok(Some(payload)),
            other => {
                self.ended = true;
                match other? {
                    Some(Frame { kind: FrameKind::End, .. }) => Ok(None),
                    Some(Frame { kind: FrameKind::Error, payload }) => {
                        let error = TransportError::decode(&payload);
                        if let (TransportError::GoingAway, Some(retired)) = (&error, &self.retired) {
                            retired.store(true, Ordering::Relaxed);
                        }
                        Err(error)
                    }
                    Some(_) => Err(TransportError::malformed("an opening inside a stream")),
                    None => Err(TransportError::closed("the stream was cut before its end")),
                }
            }
        }
    }
}

pub(crate) fn read_failed(error: ReadError) -> TransportError {
    match error {
        ReadError::ConnectionLost(error) => lost(&error),
        other => TransportError::closed(other.to_string()),
    }
}

pub(crate) fn write_failed(error: WriteError) -> TransportError {
    match error {
        WriteError::ConnectionLost(error) => lost(&error),
        WriteError::Stopped(_) => TransportError::closed("the other end has gone"),
        other => TransportError::closed(other.to_string()),
    }
}

/// TLS alerts travel as the transport codes 0x100 to 0x1ff.
fn is_tls(code: u64) -> bool {
    (0x100..0x200).contains(&code)
}

/// How a connection that stood was lost.
pub(crate) fn lost(error: &ConnectionError) -> TransportError {
    match error {
        ConnectionError::TransportError(inner) if is_tls(inner.code.into()) => {
            TransportError::unauthenticated(inner.to_string())
        }
        ConnectionError::ConnectionClosed(inner) if is_tls(inner.error_code.into()) => {
            TransportError::unauthenticated(inner.to_string())
        }
        other => TransportError::closed(other.to_string()),
    }
}

/// How a connection that never stood failed: nothing was sent.
pub(crate) fn not_made(error: &ConnectionError) -> TransportError {
    match lost(error) {
        TransportError::Closed { reason } => TransportError::Unreachable { reason },
        other => other,
    }
}
