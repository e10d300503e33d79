//! A body that is watched: message sizes, the deadline, and whatever must live as long as it does.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;

use crate::status;

/// Bytes of the prefix of every gRPC message: a flag and a length.
const PREFIX_BYTES: usize = 5;

/// Reads the prefixes of the messages that pass and compares their lengths with the limit.
#[derive(Debug)]
struct MessageMeter {
    prefix: [u8; PREFIX_BYTES],
    prefix_len: usize,
    payload_left: usize,
    max: usize,
}

impl MessageMeter {
    fn new(max: usize) -> Self {
        Self { prefix: [0; PREFIX_BYTES], prefix_len: 0, payload_left: 0, max }
    }

    /// Takes the next bytes; fails at the prefix of a message over the limit.
    fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let taken = self.payload_left.min(bytes.len());
                self.payload_left -= taken;
                bytes = bytes.get(taken..).unwrap_or_default();
                continue;
            }
            let (byte, rest) = match bytes.split_first() {
                Some((byte, rest)) => (*byte, rest),
                None => break,
            };
            if let Some(slot) = self.prefix.get_mut(self.prefix_len) {
                *slot = byte;
            }
            self.prefix_len += 1;
            bytes = rest;
            if self.prefix_len == PREFIX_BYTES {
                self.prefix_len = 0;
                let [_, a, b, c, d] = self.prefix;
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                if length > self.max {
                    return Err(status::message_too_large(length, self.max));
                }
                self.payload_left = length;
            }
        }
        Ok(())
    }
}

/// How a failure of the watch reaches the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// As trailers with a status: the end of a response a server writes.
    Trailers,
    /// As a body error that is a [`Status`]: what tonic shows the code that reads a message.
    Error,
}

/// A body with a message limit, a deadline and a guard that is dropped with it.
pub(crate) struct WatchedBody<B, G> {
    inner: B,
    meter: Option<MessageMeter>,
    deadline: Option<Pin<Box<Sleep>>>,
    on_failure: OnFailure,
    done: bool,
    _guard: G,
}

impl<B, G> WatchedBody<B, G> {
    /// Watches gRPC messages of at most `message_bytes_max`; `deadline` ends the body when it comes first.
    pub(crate) fn grpc(
        inner: B,
        message_bytes_max: usize,
        deadline: Option<Instant>,
        on_failure: OnFailure,
        guard: G,
    ) -> Self {
        Self {
            inner,
            meter: Some(MessageMeter::new(message_bytes_max)),
            deadline: deadline.map(|at| Box::pin(tokio::time::sleep_until(at))),
            on_failure,
            done: false,
            _guard: guard,
        }
    }

    /// Passes a body that is not gRPC through; only the guard matters.
    pub(crate) fn plain(inner: B, guard: G) -> Self {
        Self { inner, meter: None, deadline: None, on_failure: OnFailure::Error, done: false, _guard: guard }
    }

    fn fail(&mut self, failure: Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.done = true;
        Poll::Ready(Some(match self.on_failure {
            OnFailure::Trailers => Ok(Frame::trailers(status::trailers(&failure))),
            OnFailure::Error => Err(failure),
        }))
    }
}

impl<B, G> Body for WatchedBody<B, G>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    G: Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Pending => {
                let passed =
                    this.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
                return if passed { this.fail(status::deadline_exceeded()) } else { Poll::Pending };
            }
            Poll::Ready(None) => {
                this.done = true;
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => {
                this.done = true;
                return Poll::Ready(Some(Err(Status::from_error(error.into()))));
            }
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        match frame.into_data() {
            Ok(data) => {
                if let Some(meter) = &mut this.meter
                    && let Err(failure) = meter.feed(&data)
                {
                    return this.fail(failure);
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Err(frame) => match frame.into_trailers() {
                Ok(mut trailers) => {
                    status::remap(&mut trailers);
                    Poll::Ready(Some(Ok(Frame::trailers(trailers))))
                }
                Err(frame) => Poll::Ready(Some(Ok(frame))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // A gRPC body may end early, in trailers: no promise about its size.
        if self.meter.is_some() { SizeHint::default() } else { self.inner.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend((length as u32).to_be_bytes());
        bytes.extend(vec![7; length]);
        bytes
    }

    #[test]
    fn messages_up_to_the_limit_pass_however_they_are_cut() {
        let bytes: Vec<u8> = [10, 0, 3, 10].into_iter().flat_map(message).collect();
        for step in 1..=bytes.len() {
            let mut meter = MessageMeter::new(10);
            for chunk in bytes.chunks(step) {
                meter.feed(chunk).unwrap();
            }
            assert_eq!((meter.prefix_len, meter.payload_left), (0, 0));
        }
    }

    #[test]
    fn one_byte_over_the_limit_fails_at_the_prefix() {
        let mut meter = MessageMeter::new(10);
        meter.feed(&message(10)).unwrap();
        let failure = meter.feed(&message(11)[..PREFIX_BYTES]).unwrap_err();
        assert_eq!(failure.code(), tonic::Code::ResourceExhausted);
    }
}
