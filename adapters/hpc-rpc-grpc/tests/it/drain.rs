use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hpc_rpc_grpc::{GrpcTransport, ServerLimits};
use hpc_transport::{CallContext, TransportError};
use tokio::sync::{Semaphore, mpsc};

use crate::limits::call;
use crate::world::{self, Answering, ECHO};

const WAIT: &str = "/hpc.test.v1.Test/Wait";

#[tokio::test]
async fn running_calls_finish_and_new_connections_are_refused() {
    let ca = world::ca();
    let gate = Arc::new(Semaphore::new(0));
    let (running_send, mut runs) = mpsc::channel(64);
    let handler = {
        let gate = Arc::clone(&gate);
        Answering(move |_: CallContext, request: Bytes| {
            let (gate, running) = (Arc::clone(&gate), running_send.clone());
            async move {
                running.send(()).await.unwrap();
                gate.acquire().await.unwrap().forget();
                Ok(request)
            }
        })
    };
    let mut running =
        world::start(world::builder(&ca).with_handler(Arc::new(handler)).build().unwrap(), "https");
    let link = GrpcTransport::new(world::client(&running, &ca).connect().await.unwrap());
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let link = link.clone();
            tokio::spawn(async move { call(&link, WAIT, number.to_string()).await })
        })
        .collect();
    for _ in 0..20 {
        runs.recv().await.unwrap();
    }
    let late = world::client(&running, &ca);
    running.begin_drain();
    // The listener is closed once the drain has begun; until then a connection may still be made.
    loop {
        let refused = world::client(&running, &ca).connect().await;
        if refused.is_err() {
            break;
        }
    }
    assert!(late.connect().await.is_err());
    gate.add_permits(20);
    for (number, outcome) in calls.into_iter().enumerate() {
        assert_eq!(outcome.await.unwrap().unwrap(), number.to_string(), "a running call failed in the drain");
    }
    assert_eq!(running.drained().await.cut, 0);
}

#[tokio::test]
async fn a_draining_connection_is_replaced_while_a_call_still_runs_on_it() {
    let ca = world::ca();
    let gate = Arc::new(Semaphore::new(0));
    let (running_send, mut runs) = mpsc::channel(1);
    let handler = {
        let gate = Arc::clone(&gate);
        Answering(move |_: CallContext, request: Bytes| {
            let (gate, running) = (Arc::clone(&gate), running_send.clone());
            async move {
                running.send(()).await.unwrap();
                gate.acquire().await.unwrap().forget();
                Ok(request)
            }
        })
    };
    let server = world::builder(&ca).with_handler(Arc::new(handler)).build().unwrap();
    let address = server.local_addr();
    let mut running = world::start(server, "https");
    let link = GrpcTransport::new(world::client(&running, &ca).connect().await.unwrap());
    let held = {
        let link = link.clone();
        tokio::spawn(async move { call(&link, WAIT, "held").await })
    };
    runs.recv().await.unwrap();
    running.begin_drain();
    // `Echo` is not declared idempotent: only what provably never left may be sent again.
    loop {
        match call(&link, ECHO, "x").await {
            Ok(_) => {} // the drain has not begun yet
            Err(error) => {
                assert!(matches!(error, TransportError::Unreachable { .. }), "{error}");
                break;
            }
        }
    }
    let _second =
        world::start(world::builder_at(address, &ca).with_handler(world::echo()).build().unwrap(), "https");
    assert_eq!(call(&link, ECHO, "second").await.unwrap(), "second");
    gate.add_permits(1);
    assert_eq!(held.await.unwrap().unwrap(), "held");
    assert_eq!(running.drained().await.cut, 0);
}

#[tokio::test]
async fn a_call_that_outlives_the_grace_is_cut() {
    let ca = world::ca();
    let (running_send, mut runs) = mpsc::channel(1);
    let handler = Answering(move |_: CallContext, _| {
        let running = running_send.clone();
        async move {
            running.send(()).await.unwrap();
            std::future::pending::<hpc_transport::Result<Bytes>>().await
        }
    });
    let mut limits = ServerLimits::default();
    limits.drain = Duration::from_millis(50);
    let server = world::builder(&ca).with_limits(limits).with_handler(Arc::new(handler)).build().unwrap();
    let mut running = world::start(server, "https");
    let link = GrpcTransport::new(world::client(&running, &ca).connect().await.unwrap());
    let held = tokio::spawn(async move { call(&link, WAIT, "").await });
    runs.recv().await.unwrap();
    running.begin_drain();
    let drained = running.drained().await;
    assert_eq!(drained.finished + drained.cut, 1);
    let error = held.await.unwrap().unwrap_err();
    assert!(matches!(error, TransportError::Closed { .. }), "{error}");
    assert_eq!(error.sent(), hpc_transport::Sent::Maybe);
}

#[tokio::test]
async fn a_restart_under_load_fails_no_call() {
    let ca = world::ca();
    let first = world::builder(&ca).with_handler(world::echo()).build().unwrap();
    let address = first.local_addr();
    let mut running = world::start(first, "https");
    // The calls are idempotent, so one that met a closed door is sent again.
    let channel =
        world::client(&running, &ca).with_pool_size(2).with_idempotent(&[ECHO]).connect().await.unwrap();
    let link = GrpcTransport::new(channel);
    let (enough_send, mut enough) = mpsc::channel(1);
    let load = tokio::spawn(async move {
        for number in 0..300u32 {
            if number == 100 {
                enough_send.send(()).await.unwrap();
            }
            assert_eq!(call(&link, ECHO, number.to_string()).await.unwrap(), number.to_string());
        }
    });
    enough.recv().await.unwrap();
    running.begin_drain();
    let second = loop {
        // The address is free as soon as the first server has closed its listener.
        let rebuilt = world::builder_at(address, &ca).with_handler(world::echo()).build();
        match rebuilt {
            Ok(server) => break server,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let _second = world::start(second, "https");
    load.await.unwrap();
    assert_eq!(running.drained().await.cut, 0);
}
