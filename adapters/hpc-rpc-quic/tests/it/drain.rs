use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hpc_rpc_quic::{QuicServerBuilder, ServerLimits};
use hpc_transport::{
    CallContext, FrameSink, FrameSource, Handler, Result, StreamContext, StreamName, Transport,
    TransportError,
};

use crate::limits::{WAIT, call, waiting};
use crate::world::{self, ECHO};

#[tokio::test]
async fn running_calls_finish_and_new_ones_go_elsewhere() {
    let ca = world::ca();
    let (gate, mut runs, handler) = waiting();
    let mut running = world::start(world::builder(&ca).with_handler(handler).build().unwrap());
    let link = world::client(&running, &ca).connect().await.unwrap();
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let link = link.clone();
            tokio::spawn(async move { call(&link, WAIT, number.to_string()).await })
        })
        .collect();
    for _ in 0..20 {
        runs.recv().await.unwrap();
    }
    running.begin_drain();
    // A call in the drain is answered `GoingAway`; our client then tries a new connection, which is refused.
    loop {
        match call(&link, ECHO, "x").await {
            Ok(_) => {} // the drain has not begun yet
            Err(error) => {
                assert!(matches!(error, TransportError::Unreachable { .. }), "{error}");
                break;
            }
        }
    }
    gate.add_permits(20);
    for (number, outcome) in calls.into_iter().enumerate() {
        assert_eq!(outcome.await.unwrap().unwrap(), number.to_string(), "a running call failed in the drain");
    }
    assert_eq!(running.drained().await.cut, 0);
}

/// Acknowledges each frame.
struct Acking;

#[async_trait]
impl Handler for Acking {
    async fn call(&self, context: CallContext, _: Bytes) -> Result<Bytes> {
        Err(TransportError::unimplemented(context.method.to_string()))
    }

    async fn stream(
        &self,
        _: StreamContext,
        mut source: Box<dyn FrameSource>,
        sink: &mut dyn FrameSink,
    ) -> Result<()> {
        while let Some(frame) = source.receive().await? {
            sink.send(frame).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_stream_is_ended_in_good_order_and_resumed_elsewhere() {
    let ca = world::ca();
    let mut first = world::start(world::builder(&ca).with_handler(Arc::new(Acking)).build().unwrap());
    let address = first.address.clone();
    let link = world::client(&first, &ca).connect().await.unwrap();
    let name = StreamName::parse("telemetry.v1").unwrap();
    let mut frames = link.open(&name).await.unwrap();
    frames.sink.send("batch 1".into()).await.unwrap();
    assert_eq!(frames.source.receive().await.unwrap(), Some("batch 1".into()));
    first.begin_drain();
    // What was not acknowledged before the end is sent again on the next connection.
    assert_eq!(frames.source.receive().await.unwrap(), None);
    drop(frames);
    assert_eq!(first.drained().await.cut, 0);

    let second = QuicServerBuilder::new(address.parse().unwrap())
        .with_tls(world::svid("server", &ca))
        .unwrap()
        .with_client_auth(&ca)
        .unwrap()
        .with_handler(Arc::new(Acking))
        .build()
        .unwrap();
    let _second = world::start(second);
    let mut frames = link.open(&name).await.unwrap();
    frames.sink.send("batch 2".into()).await.unwrap();
    assert_eq!(frames.source.receive().await.unwrap(), Some("batch 2".into()));
}

#[tokio::test]
async fn what_outlives_the_grace_is_cut() {
    let ca = world::ca();
    let (_gate, mut runs, handler) = waiting();
    let mut limits = ServerLimits::default();
    limits.drain = Duration::from_millis(50);
    let server = world::builder(&ca).with_limits(limits).with_handler(handler).build().unwrap();
    let mut running = world::start(server);
    let link = world::client(&running, &ca).connect().await.unwrap();
    let held = tokio::spawn(async move { call(&link, WAIT, "").await });
    runs.recv().await.unwrap();
    running.begin_drain();
    assert_eq!(running.drained().await.cut, 1);
    let error = held.await.unwrap().unwrap_err();
    assert!(matches!(error, TransportError::Closed { .. }), "{error}");
}
