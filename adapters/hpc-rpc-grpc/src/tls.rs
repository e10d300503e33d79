//! TLS of both ends. `hpc-auth` makes every configuration; this file only runs the handshakes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use hpc_auth::join::JoinToken;
use hpc_auth::server::ClientAuth;
use hpc_auth::{PeerPolicy, peer_spiffe_id};
use hpc_identity::{IdentitySource, TrustBundle, X509Svid};
use hpc_transport::PeerIdentity;

use crate::GrpcError;

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What a server needs for its handshakes, before there is a runtime.
pub(crate) enum ServerTls {
    Fixed { svid: Box<X509Svid>, clients: TrustBundle, client_auth: ClientAuth },
    Source { source: Arc<dyn IdentitySource>, policy: PeerPolicy, client_auth: ClientAuth },
}

impl ServerTls {
    pub(crate) async fn into_acceptor(self, accepts_http1: bool) -> Result<Acceptor, GrpcError> {
        let alpn: &[&[u8]] = if accepts_http1 { &[HTTP2, HTTP1] } else { &[HTTP2] };
        let config = match self {
            Self::Fixed { svid, clients, client_auth } => {
                let policy = PeerPolicy::TrustDomain(clients.trust_domain().clone());
                hpc_auth::server::server_config(&svid, &[clients], policy, client_auth, alpn)
            }
            Self::Source { source, policy, client_auth } => {
                hpc_auth::server::server_config_from_source(source, policy, client_auth, alpn).await
            }
        };
        Ok(Acceptor(TlsAcceptor::from(Arc::new(config.map_err(|error| GrpcError::tls(&error))?))))
    }
}

/// The server's side of handshakes.
#[derive(Clone)]
pub(crate) struct Acceptor(TlsAcceptor);

impl Acceptor {
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(server::TlsStream<TcpStream>, Option<PeerIdentity>)> {
        let stream = self.0.accept(stream).await?;
        let peer = peer_of(stream.get_ref().1.peer_certificates()).map_err(io::Error::other)?;
        Ok((stream, peer))
    }
}

/// The client's side of handshakes.
pub(crate) struct Connector(TlsConnector);

impl Connector {
    pub(crate) fn fixed(bundle: TrustBundle, svid: &X509Svid, policy: PeerPolicy) -> Result<Self, GrpcError> {
        Self::new(hpc_auth::client::create_client_config(svid, &[bundle], policy, &[HTTP2]))
    }

    pub(crate) async fn from_source(
        source: Arc<dyn IdentitySource>,
        policy: PeerPolicy,
    ) -> Result<Self, GrpcError> {
        Self::new(hpc_auth::client::client_config_from_source(source, policy, &[HTTP2]).await)
    }

    pub(crate) fn joining(token: &JoinToken) -> Result<Self, GrpcError> {
        Self::new(hpc_auth::client::create_joining_client_config(token, &[HTTP2]))
    }

    fn new(config: Result<rustls::ClientConfig, hpc_auth::AuthError>) -> Result<Self, GrpcError> {
        Ok(Self(TlsConnector::from(Arc::new(config.map_err(|error| GrpcError::tls(&error))?))))
    }

    /// Shakes hands with `host`; the host name goes into SNI and is not otherwise believed.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<(client::TlsStream<TcpStream>, Option<PeerIdentity>), String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is no host name"))?;
        let stream = self.0.connect(name, stream).await.map_err(|error| error.to_string())?;
        let connection = stream.get_ref().1;
        if connection.alpn_protocol() != Some(HTTP2) {
            return Err("the server does not speak HTTP/2".to_owned());
        }
        let peer = peer_of(connection.peer_certificates()).map_err(|error| error.to_string())?;
        Ok((stream, peer))
    }
}

fn peer_of(chain: Option<&[CertificateDer<'_>]>) -> Result<Option<PeerIdentity>, hpc_auth::AuthError> {
    chain.map(|chain| peer_spiffe_id(chain).map(PeerIdentity)).transpose()
}

/// Tells when the first byte has come, or why none did.
///
/// In TLS 1.3 a client has finished its handshake before the server has judged its certificate.
/// Only the server's first byte says that it was accepted.
pub(crate) struct FirstByte<S> {
    inner: S,
    heard: Option<oneshot::Sender<Result<(), String>>>,
}

impl<S> FirstByte<S> {
    pub(crate) fn new(inner: S) -> (Self, oneshot::Receiver<Result<(), String>>) {
        let (heard, hears) = oneshot::channel();
        (Self { inner, heard: Some(heard) }, hears)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstByte<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let read = ready!(Pin::new(&mut this.inner).poll_read(cx, into));
        if let Some(heard) = this.heard.take() {
            let outcome = match &read {
                Ok(()) if into.filled().len() > before => Ok(()),
                Ok(()) => Err("the server closed the connection".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            let _ = heard.send(outcome); // whoever asked may have given up
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstByte<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
