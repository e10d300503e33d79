//! An authority, two identities and servers on free ports.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hpc_auth::cert::{CaCert, ServiceIdentity, generate_ca_cert, generate_signed_cert};
use hpc_identity::X509Svid;
use hpc_rpc_quic::{Drained, QuicClientBuilder, QuicError, QuicServer, QuicServerBuilder};
use hpc_transport::{CallContext, FrameSink, FrameSource, Handler, Result, StreamContext, TransportError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const ECHO: &str = "/hpc.test.v1.Test/Echo";

pub fn ca() -> CaCert {
    generate_ca_cert("Test CA").unwrap()
}

pub fn svid(name: &str, ca: &CaCert) -> X509Svid {
    generate_signed_cert(&ServiceIdentity::new(name), ca).unwrap()
}

/// A server that trusts `ca`, on a free port.
pub fn builder(ca: &CaCert) -> QuicServerBuilder {
    QuicServerBuilder::new("127.0.0.1:0".parse().unwrap())
        .with_tls(svid("server", ca))
        .unwrap()
        .with_client_auth(ca)
        .unwrap()
}

/// A client that `ca` vouches for.
pub fn client(running: &Running, ca: &CaCert) -> QuicClientBuilder {
    QuicClientBuilder::new(running.address.clone()).with_server_ca(ca).with_client_cert(svid("client", ca))
}

/// A server that serves in the background until told to drain.
pub struct Running {
    pub address: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::result::Result<Drained, QuicError>>,
}

pub fn start(server: QuicServer) -> Running {
    let address = server.local_addr().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(server.serve_with_shutdown(async {
        // A test that ends without stopping its server drops the sender: that stops it too.
        let _ = stopped.await;
    }));
    Running { address, stop: Some(stop), task }
}

impl Running {
    pub fn begin_drain(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub async fn drained(self) -> Drained {
        self.task.await.unwrap().unwrap()
    }
}

/// Answers `/hpc.test.v1.Test/Echo` and what a closure says about the rest.
pub struct Answering<F>(pub F);

#[async_trait]
impl<F, A> Handler for Answering<F>
where
    F: Fn(CallContext, Bytes) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Bytes>> + Send + 'static,
{
    async fn call(&self, context: CallContext, request: Bytes) -> Result<Bytes> {
        if context.method.path() == ECHO { Ok(request) } else { (self.0)(context, request).await }
    }

    async fn stream(
        &self,
        context: StreamContext,
        _: Box<dyn FrameSource>,
        _: &mut dyn FrameSink,
    ) -> Result<()> {
        Err(TransportError::unimplemented(context.name.to_string()))
    }
}

pub fn echo() -> Arc<dyn Handler> {
    Arc::new(Answering(|context: CallContext, _| async move {
        Err(TransportError::unimplemented(context.method.to_string()))
    }))
}
