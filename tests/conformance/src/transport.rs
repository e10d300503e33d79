//! The contract of the `transport` port, one case per sentence.
//!
//! ```ignore
//! async fn connect(handler: Arc<dyn Handler>) -> Link { .. }
//! hpc_conformance::transport!(connect);
//! ```
//! The function is called once per case and gives a link to a server that serves the handler.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a case fails by panicking"
)]

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use hpc_transport::{
    CallContext, Deadline, FRAME_PAYLOAD_BYTES_MAX, FrameSink, FrameSource, Handler, MESSAGE_BYTES_MAX,
    Method, PeerIdentity, Result, Sent, StreamContext, StreamName, Transport, TransportError,
};
use tokio::sync::{Notify, mpsc};

/// A transport under test, and what the two ends are called.
pub struct Link {
    /// The calling end.
    pub transport: Arc<dyn Transport>,
    /// Who the server must see; `None` on a plaintext link.
    pub client: Option<PeerIdentity>,
    /// Who the client must see; `None` on a plaintext link.
    pub server: Option<PeerIdentity>,
    /// Whatever keeps the server running.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// What the server under test serves.
#[derive(Debug, Default)]
pub struct SuiteHandler {
    calls: AtomicUsize,
    reading: Notify,
    endings: std::sync::Mutex<Option<mpsc::Sender<String>>>,
}

impl SuiteHandler {
    /// A handler that has served nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How the streams of this handler ended for it, in order.
    fn endings(&self) -> mpsc::Receiver<String> {
        let (send, receive) = mpsc::channel(8);
        *self.endings.lock().unwrap() = Some(send);
        receive
    }
}

const ECHO: &str = "/hpc.conformance.v1.Suite/Echo";
const WHO: &str = "/hpc.conformance.v1.Suite/Who";
const LEFT: &str = "/hpc.conformance.v1.Suite/Left";
const HANG: &str = "/hpc.conformance.v1.Suite/Hang";
const FAIL: &str = "/hpc.conformance.v1.Suite/Fail";
const BIG: &str = "/hpc.conformance.v1.Suite/Big";

#[async_trait]
impl Handler for SuiteHandler {
    async fn call(&self, context: CallContext, request: Bytes) -> Result<Bytes> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match context.method.path() {
            ECHO => Ok(request),
            WHO => Ok(context.peer.map(|peer| peer.to_string()).unwrap_or_default().into()),
            LEFT => {
                let left = context.deadline.remaining(Instant::now());
                Ok(left.as_micros().to_string().into())
            }
            HANG => std::future::pending().await,
            FAIL => Err(TransportError::decode(&request)),
            BIG => Ok(vec![0; MESSAGE_BYTES_MAX + 1].into()),
            other => Err(TransportError::unimplemented(other)),
        }
    }

    async fn stream(
        &self,
        context: StreamContext,
        mut source: Box<dyn FrameSource>,
        sink: &mut dyn FrameSink,
    ) -> Result<()> {
        match context.name.as_str() {
            "echo.v1" => {
                while let Some(frame) = source.receive().await? {
                    sink.send(frame).await?;
                }
                Ok(())
            }
            "two.v1" => {
                sink.send("one".into()).await?;
                sink.send("two".into()).await
            }
            "fail.v1" => {
                sink.send("before".into()).await?;
                Err(TransportError::rejected("the third frame is odd"))
            }
            "ending.v1" => {
                sink.send("ready".into()).await?;
                let ending = loop {
                    match source.receive().await {
                        Ok(Some(_)) => {}
                        Ok(None) => break "end".to_owned(),
                        Err(TransportError::Closed { .. }) => break "closed".to_owned(),
                        Err(error) => break error.to_string(),
                    }
                };
                let report = self.endings.lock().unwrap().clone();
                if let Some(report) = report {
                    report.send(ending).await.unwrap();
                }
                Ok(())
            }
            "slow.v1" => {
                sink.send("ready".into()).await?;
                self.reading.notified().await;
                while source.receive().await?.is_some() {}
                Ok(())
            }
            "who.v1" => sink.send(context.peer.map(|peer| peer.to_string()).unwrap_or_default().into()).await,
            other => Err(TransportError::unimplemented(other)),
        }
    }
}

fn method(path: &str) -> Method {
    Method::parse(path).unwrap()
}

fn stream(name: &str) -> StreamName {
    StreamName::parse(name).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Instant::now(), Duration::from_secs(20))
}

async fn call(link: &Link, path: &str, request: impl Into<Bytes>) -> Result<Bytes> {
    link.transport.call(&method(path), request.into(), soon()).await
}

/// A reply is the handler's bytes, unchanged.
pub async fn a_reply_is_the_handlers_bytes(link: Link, _: Arc<SuiteHandler>) {
    let request: Bytes = (0..=255u8).cycle().take(100_000).collect::<Vec<_>>().into();
    assert_eq!(call(&link, ECHO, request.clone()).await.unwrap(), request);
}

/// Empty requests and replies are legal.
pub async fn empty_is_legal(link: Link, _: Arc<SuiteHandler>) {
    assert_eq!(call(&link, ECHO, "").await.unwrap(), Bytes::new());
}

/// A request of the largest size passes, and so does its reply.
pub async fn the_largest_message_passes(link: Link, _: Arc<SuiteHandler>) {
    let request = vec![7u8; MESSAGE_BYTES_MAX];
    assert_eq!(call(&link, ECHO, request).await.unwrap().len(), MESSAGE_BYTES_MAX);
}

/// A call whose deadline has passed fails and the handler never runs.
pub async fn a_passed_deadline_runs_nothing(link: Link, handler: Arc<SuiteHandler>) {
    let past = Deadline::after(Instant::now(), Duration::ZERO);
    let error = link.transport.call(&method(ECHO), "x".into(), past).await.unwrap_err();
    assert_eq!(error, TransportError::DeadlineExceeded);
    assert_eq!(handler.calls(), 0);
}

/// A handler that is not done by the deadline gives `DeadlineExceeded`, and the link stays usable.
pub async fn a_late_handler_is_cut_off(link: Link, _: Arc<SuiteHandler>) {
    let near = Deadline::after(Instant::now(), Duration::from_millis(100));
    let error = link.transport.call(&method(HANG), "x".into(), near).await.unwrap_err();
    assert_eq!(error, TransportError::DeadlineExceeded);
    assert_eq!(error.sent(), Sent::Maybe);
    assert_eq!(call(&link, ECHO, "still here").await.unwrap(), "still here");
}

/// The handler sees the caller's deadline, never a later one.
pub async fn the_handler_sees_the_deadline(link: Link, _: Arc<SuiteHandler>) {
    let budget = Duration::from_secs(7);
    let deadline = Deadline::after(Instant::now(), budget);
    let reply = link.transport.call(&method(LEFT), "".into(), deadline).await.unwrap();
    let left = Duration::from_micros(std::str::from_utf8(&reply).unwrap().parse().unwrap());
    assert!(left <= budget, "{left:?} is more than was given");
    assert!(left > Duration::ZERO);
}

/// A method the handler does not know gives `Unimplemented`.
pub async fn an_unknown_method_is_unimplemented(link: Link, _: Arc<SuiteHandler>) {
    let error = call(&link, "/hpc.conformance.v1.Suite/Nothing", "").await.unwrap_err();
    assert_eq!(error, TransportError::unimplemented("/hpc.conformance.v1.Suite/Nothing"));
    assert_eq!(error.sent(), Sent::Nothing);
}

/// The handler's error arrives as the same case.
pub async fn a_handlers_error_arrives_as_it_is(link: Link, _: Arc<SuiteHandler>) {
    for error in [
        TransportError::rejected("zone `eu-wst-1` is unknown"),
        TransportError::denied("not your lease"),
        TransportError::failed("the disk is full"),
        TransportError::Overloaded { retry_after: Duration::from_millis(250) },
        TransportError::GoingAway,
    ] {
        assert_eq!(call(&link, FAIL, error.encode()).await.unwrap_err(), error);
    }
}

/// A request over the limit is `TooLarge` before anything leaves.
pub async fn a_request_over_the_limit_never_leaves(link: Link, handler: Arc<SuiteHandler>) {
    let error = call(&link, ECHO, vec![0; MESSAGE_BYTES_MAX + 1]).await.unwrap_err();
    let expected =
        TransportError::TooLarge { bytes: MESSAGE_BYTES_MAX as u64 + 1, max: MESSAGE_BYTES_MAX as u64 };
    assert_eq!(error, expected);
    assert_eq!(handler.calls(), 0);
}

/// A reply over the limit is `TooLarge`, and the link stays usable.
pub async fn a_reply_over_the_limit_is_too_large(link: Link, _: Arc<SuiteHandler>) {
    let error = call(&link, BIG, "").await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { .. }), "{error}");
    assert_eq!(call(&link, ECHO, "still here").await.unwrap(), "still here");
}

/// Calls run concurrently and each gets its own reply.
pub async fn a_hundred_calls_run_beside_each_other(link: Link, handler: Arc<SuiteHandler>) {
    let calls = (0..100).map(|number| {
        let link = &link;
        async move { (number, call(link, ECHO, format!("call {number}")).await) }
    });
    for (number, reply) in futures_util::future::join_all(calls).await {
        assert_eq!(reply.unwrap(), format!("call {number}"));
    }
    assert_eq!(handler.calls(), 100);
}

/// The handler sees who calls, in calls and in streams.
pub async fn the_handler_sees_who_calls(link: Link, _: Arc<SuiteHandler>) {
    let expected = link.client.as_ref().map(ToString::to_string).unwrap_or_default();
    assert_eq!(call(&link, WHO, "").await.unwrap(), expected);
    let mut frames = link.transport.open(&stream("who.v1")).await.unwrap();
    assert_eq!(frames.source.receive().await.unwrap(), Some(expected.into()));
}

/// The caller sees who answers.
pub async fn the_caller_sees_who_answers(link: Link, _: Arc<SuiteHandler>) {
    call(&link, ECHO, "").await.unwrap();
    assert_eq!(link.transport.peer(), link.server);
}

/// Frames arrive in the order sent, whole, and replies come back beside them.
pub async fn frames_keep_their_order(link: Link, _: Arc<SuiteHandler>) {
    let mut frames = link.transport.open(&stream("echo.v1")).await.unwrap();
    let sent: Vec<Bytes> = (0..200usize).map(|number| vec![number as u8; number * 37].into()).collect();
    let (mut sink, mut source) = (frames.sink, frames.source);
    let out = sent.clone();
    let sending = tokio::spawn(async move {
        for frame in out {
            sink.send(frame).await.unwrap();
        }
        sink.finish().await.unwrap();
        sink.finish().await.unwrap(); // twice succeeds
        sink
    });
    for frame in sent {
        assert_eq!(source.receive().await.unwrap(), Some(frame));
    }
    assert_eq!(source.receive().await.unwrap(), None);
    assert_eq!(source.receive().await.unwrap(), None); // and again
    sending.await.unwrap();
    frames = link.transport.open(&stream("echo.v1")).await.unwrap();
    frames.sink.finish().await.unwrap();
    assert_eq!(frames.source.receive().await.unwrap(), None);
}

/// The handler's return ends the stream, also when the client has not finished.
pub async fn the_handlers_return_ends_the_stream(link: Link, _: Arc<SuiteHandler>) {
    let mut frames = link.transport.open(&stream("two.v1")).await.unwrap();
    assert_eq!(frames.source.receive().await.unwrap(), Some("one".into()));
    assert_eq!(frames.source.receive().await.unwrap(), Some("two".into()));
    assert_eq!(frames.source.receive().await.unwrap(), None);
}

/// The handler's error arrives as the same case, after the frames it sent before.
pub async fn a_streams_error_follows_its_frames(link: Link, _: Arc<SuiteHandler>) {
    let mut frames = link.transport.open(&stream("fail.v1")).await.unwrap();
    assert_eq!(frames.source.receive().await.unwrap(), Some("before".into()));
    let error = frames.source.receive().await.unwrap_err();
    assert_eq!(error, TransportError::rejected("the third frame is odd"));
}

/// An unknown stream is `Unimplemented`, at open or at the first receive.
pub async fn an_unknown_stream_is_unimplemented(link: Link, _: Arc<SuiteHandler>) {
    let error = match link.transport.open(&stream("nothing.v1")).await {
        Ok(mut frames) => frames.source.receive().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error, TransportError::unimplemented("nothing.v1"));
}

/// A frame over the limit is `TooLarge`, and the stream stays usable.
pub async fn a_frame_over_the_limit_is_refused(link: Link, _: Arc<SuiteHandler>) {
    let mut frames = link.transport.open(&stream("echo.v1")).await.unwrap();
    let error = frames.sink.send(vec![0; FRAME_PAYLOAD_BYTES_MAX + 1].into()).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { .. }), "{error}");
    frames.sink.send("small".into()).await.unwrap();
    assert_eq!(frames.source.receive().await.unwrap(), Some("small".into()));
}

/// After `finish` the other end sees the good end.
pub async fn a_finished_sink_is_a_good_end(link: Link, handler: Arc<SuiteHandler>) {
    let mut endings = handler.endings();
    let mut frames = link.transport.open(&stream("ending.v1")).await.unwrap();
    assert_eq!(frames.source.receive().await.unwrap(), Some("ready".into()));
    frames.sink.send("x".into()).await.unwrap();
    frames.sink.finish().await.unwrap();
    assert_eq!(endings.recv().await.unwrap(), "end");
}

/// A sink dropped without `finish` is seen as `Closed`, never as a good end.
pub async fn a_dropped_sink_is_no_good_end(link: Link, handler: Arc<SuiteHandler>) {
    let mut endings = handler.endings();
    let mut frames = link.transport.open(&stream("ending.v1")).await.unwrap();
    assert_eq!(frames.source.receive().await.unwrap(), Some("ready".into()));
    frames.sink.send("x".into()).await.unwrap();
    drop(frames.sink);
    assert_eq!(endings.recv().await.unwrap(), "closed");
}

/// `receive` is cancel-safe: no frame is lost when its future is dropped.
pub async fn a_dropped_receive_loses_nothing(link: Link, _: Arc<SuiteHandler>) {
    let mut frames = link.transport.open(&stream("echo.v1")).await.unwrap();
    for number in 0..20u8 {
        // Polled at least once, and dropped while nothing has come.
        let _ = tokio::time::timeout(Duration::ZERO, frames.source.receive()).await;
        frames.sink.send(vec![number].into()).await.unwrap();
        assert_eq!(frames.source.receive().await.unwrap(), Some(vec![number].into()));
    }
}

/// `send` waits while the other end is slow: what is in flight is bounded.
pub async fn a_slow_reader_holds_the_sender(link: Link, handler: Arc<SuiteHandler>) {
    const FRAME_BYTES: usize = 1024 * 1024;
    const FRAMES: usize = 64;
    let mut frames = link.transport.open(&stream("slow.v1")).await.unwrap();
    assert_eq!(frames.source.receive().await.unwrap(), Some("ready".into()));
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let mut sink = frames.sink;
    let mut sending = tokio::spawn(async move {
        for _ in 0..FRAMES {
            sink.send(vec![0; FRAME_BYTES].into()).await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
        }
        sink.finish().await.unwrap();
    });
    let stuck = tokio::time::timeout(Duration::from_millis(500), &mut sending).await;
    assert!(stuck.is_err(), "64 MiB left although nobody read");
    assert!(sent.load(Ordering::SeqCst) < FRAMES);
    handler.reading.notify_one();
    sending.await.unwrap();
    assert_eq!(frames.source.receive().await.unwrap(), None);
}

/// Runs the suite: one test per sentence of the contract. The argument is an `async fn(Arc<dyn Handler>) -> Link`.
#[macro_export]
macro_rules! transport {
    ($connect:expr) => {
        $crate::__transport_cases! {
            $connect;
            a_reply_is_the_handlers_bytes,
            empty_is_legal,
            the_largest_message_passes,
            a_passed_deadline_runs_nothing,
            a_late_handler_is_cut_off,
            the_handler_sees_the_deadline,
            an_unknown_method_is_unimplemented,
            a_handlers_error_arrives_as_it_is,
            a_request_over_the_limit_never_leaves,
            a_reply_over_the_limit_is_too_large,
            a_hundred_calls_run_beside_each_other,
            the_handler_sees_who_calls,
            the_caller_sees_who_answers,
            frames_keep_their_order,
            the_handlers_return_ends_the_stream,
            a_streams_error_follows_its_frames,
            an_unknown_stream_is_unimplemented,
            a_frame_over_the_limit_is_refused,
            a_finished_sink_is_a_good_end,
            a_dropped_sink_is_no_good_end,
            a_dropped_receive_loses_nothing,
            a_slow_reader_holds_the_sender,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __transport_cases {
    ($connect:expr; $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let handler = $crate::transport::SuiteHandler::new();
                let link = $connect(::std::sync::Arc::clone(&handler) as _).await;
                $crate::transport::$case(link, handler).await;
            }
        )*
    };
}
