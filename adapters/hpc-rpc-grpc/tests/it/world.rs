//! An authority, two identities and servers on free ports.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hpc_auth::cert::{CaCert, ServiceIdentity, generate_ca_cert, generate_signed_cert};
use hpc_identity::X509Svid;
use hpc_rpc_grpc::{Drained, GrpcClientBuilder, GrpcServer, GrpcServerBuilder};
use hpc_transport::{CallContext, FrameSink, FrameSource, Handler, Result, StreamContext, TransportError};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
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
pub fn builder(ca: &CaCert) -> GrpcServerBuilder {
    builder_at(([127, 0, 0, 1], 0).into(), ca)
}

pub fn builder_at(address: std::net::SocketAddr, ca: &CaCert) -> GrpcServerBuilder {
    GrpcServerBuilder::new(address).with_tls(svid("server", ca)).unwrap().with_client_auth(ca).unwrap()
}

/// A client that `ca` vouches for.
pub fn client(running: &Running, ca: &CaCert) -> GrpcClientBuilder {
    GrpcClientBuilder::new(running.uri.clone()).with_server_ca(ca).with_client_cert(svid("client", ca))
}

/// A server that serves in the background until told to drain.
pub struct Running {
    pub uri: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::result::Result<Drained, hpc_rpc_grpc::GrpcError>>,
}

pub fn start(server: GrpcServer, scheme: &str) -> Running {
    let uri = format!("{scheme}://{}", server.local_addr());
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(server.serve_with_shutdown(async {
        // A test that ends without stopping its server drops the sender: that stops it too.
        let _ = stopped.await;
    }));
    Running { uri, stop: Some(stop), task }
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

/// A client without a certificate that believes any server: what a stranger could bring.
pub struct Stranger(hyper::client::conn::http2::SendRequest<Full<Bytes>>, String);

impl Stranger {
    /// Fails when the server will not talk to it.
    pub async fn connect(uri: &str, ca: &CaCert) -> std::result::Result<Self, String> {
        let _ = ca; // it could be pinned; a stranger does not care
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let address = uri.strip_prefix("https://").unwrap();
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = rustls_pki_types::ServerName::try_from("stranger.test").unwrap();
        let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
                .await
                .map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        let mut stranger = Self(sender, uri.to_owned());
        // In TLS 1.3 the server's verdict comes with its first bytes.
        stranger.try_call("/grpc.health.v1.Health/Check").await.map(|_| stranger)
    }

    /// The `grpc-status` of a call with an empty message.
    pub async fn call(&mut self, path: &str) -> String {
        self.try_call(path).await.unwrap()
    }

    async fn try_call(&mut self, path: &str) -> std::result::Result<String, String> {
        let request = http::Request::post(format!("{}{path}", self.1))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from_static(&[0, 0, 0, 0, 0])))
            .unwrap();
        let response = self.0.send_request(request).await.map_err(|e| e.to_string())?;
        let status =
            |headers: &http::HeaderMap| headers.get("grpc-status").map(|s| s.to_str().unwrap().to_owned());
        if let Some(status) = status(response.headers()) {
            return Ok(status);
        }
        let collected = response.into_body().collect().await.map_err(|e| e.to_string())?;
        Ok(collected.trailers().and_then(status).unwrap_or_default())
    }
}

#[derive(Debug)]
struct Credulous(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &[rustls_pki_types::CertificateDer<'_>],
        _: &rustls_pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> std::result::Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> std::result::Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> std::result::Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
