//! The server builder and the server.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use hpc_auth::PeerPolicy;
use hpc_auth::server::ClientAuth;
use hpc_identity::{IdentitySource, TrustBundle, X509Svid};
use hpc_transport::Handler;

use crate::config::{ALPN, check_range};
use crate::limits::ServerLimits;
use crate::{QuicError, config, serve};

/// Builds a [`QuicServer`]; see the crate documentation for an example. There is no plaintext and no nameless client.
#[must_use = "a builder does nothing until `build`"]
pub struct QuicServerBuilder {
    address: SocketAddr,
    svid: Option<X509Svid>,
    clients: Option<TrustBundle>,
    source: Option<(Arc<dyn IdentitySource>, PeerPolicy)>,
    handler: Option<Arc<dyn Handler>>,
    limits: ServerLimits,
}

impl QuicServerBuilder {
    /// A server that will listen on this UDP address; port 0 picks a free one.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            svid: None,
            clients: None,
            source: None,
            handler: None,
            limits: ServerLimits::default(),
        }
    }

    /// Uses this certificate and key. For identities that are renewed while the server runs, see [`Self::with_identity`].
    ///
    /// # Errors
    /// [`QuicError::Mixed`].
    pub fn with_tls(mut self, certificate: impl Into<X509Svid>) -> Result<Self, QuicError> {
        if self.source.is_some() {
            return Err(QuicError::Mixed);
        }
        self.svid = Some(certificate.into());
        Ok(self)
    }

    /// Accepts clients whose certificates these authorities vouch for, and no others.
    ///
    /// # Errors
    /// [`QuicError::Mixed`].
    pub fn with_client_auth(mut self, authorities: impl Into<TrustBundle>) -> Result<Self, QuicError> {
        if self.source.is_some() {
            return Err(QuicError::Mixed);
        }
        self.clients = Some(authorities.into());
        Ok(self)
    }

    /// Takes certificate and authorities from `source`, and follows its changes without dropping a connection.
    /// `policy` says which of the authenticated clients may connect.
    ///
    /// # Errors
    /// [`QuicError::Mixed`] with [`Self::with_tls`] or [`Self::with_client_auth`].
    pub fn with_identity(
        mut self,
        source: Arc<dyn IdentitySource>,
        policy: PeerPolicy,
    ) -> Result<Self, QuicError> {
        if self.svid.is_some() || self.clients.is_some() {
            return Err(QuicError::Mixed);
        }
        self.source = Some((source, policy));
        Ok(self)
    }

    /// What answers calls and streams.
    pub fn with_handler(mut self, handler: Arc<dyn Handler>) -> Self {
        self.handler = Some(handler);
        self
    }

    /// Replaces the limits.
    pub fn with_limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Checks the settings and takes the port. Needs no runtime; nothing is accepted before `serve_with_shutdown`.
    ///
    /// # Errors
    /// Any [`QuicError`] but those of connecting; [`QuicError::AddressInUse`] names the address.
    pub fn build(self) -> Result<QuicServer, QuicError> {
        let handler = self.handler.ok_or(QuicError::NoHandler)?;
        let identity = match (self.source, self.svid, self.clients) {
            (Some((source, policy)), ..) => Identity::Source(source, policy),
            (None, None, _) => return Err(QuicError::NoServerIdentity),
            (None, Some(_), None) => return Err(QuicError::NoClientAuth),
            (None, Some(svid), Some(clients)) => Identity::Fixed(Box::new(svid), clients),
        };
        check_range("connections", self.limits.connections, 1, 1 << 20)?;
        check_range("streams_per_connection", self.limits.streams_per_connection as usize, 1, 1 << 20)?;
        check_range("calls", self.limits.calls, 1, 1 << 20)?;
        check_range("streams", self.limits.streams, 1, 1 << 20)?;
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::AddrInUse => QuicError::AddressInUse { address: self.address },
            _ => QuicError::Bind { address: self.address, reason: error.to_string() },
        };
        let socket = UdpSocket::bind(self.address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(QuicServer { socket, address, identity, handler, limits: self.limits })
    }
}

pub(crate) enum Identity {
    Fixed(Box<X509Svid>, TrustBundle),
    Source(Arc<dyn IdentitySource>, PeerPolicy),
}

/// A server that holds its port and waits to serve.
#[must_use = "a server does nothing until `serve` or `serve_with_shutdown`"]
pub struct QuicServer {
    pub(crate) socket: UdpSocket,
    address: SocketAddr,
    identity: Identity,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) limits: ServerLimits,
}

impl QuicServer {
    /// The UDP address it listens on, with the port that port 0 became.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the future is dropped, which cuts what runs; prefer [`Self::serve_with_shutdown`].
    ///
    /// # Errors
    /// See [`Self::serve_with_shutdown`].
    pub async fn serve(self) -> Result<(), QuicError> {
        self.serve_with_shutdown(std::future::pending()).await.map(|_| ())
    }

    /// Serves until `signal` completes, then drains: new connections are refused, new calls answered `GoingAway`,
    /// handlers of streams see the end of their source, and what runs after [`ServerLimits::drain`] is cut.
    ///
    /// # Errors
    /// [`QuicError::Tls`] when the identity cannot be used, [`QuicError::Serve`] when the socket fails.
    pub async fn serve_with_shutdown(self, signal: impl Future<Output = ()>) -> Result<Drained, QuicError> {
        let config = config::server(self.tls().await?, &self.limits)?;
        serve::serve(self, config, signal).await
    }

    async fn tls(&self) -> Result<rustls::ServerConfig, QuicError> {
        match &self.identity {
            Identity::Fixed(svid, clients) => {
                let policy = PeerPolicy::TrustDomain(clients.trust_domain().clone());
                hpc_auth::server::server_config(
                    svid,
                    std::slice::from_ref(clients),
                    policy,
                    ClientAuth::Required,
                    &[ALPN],
                )
            }
            Identity::Source(source, policy) => {
                let (source, policy) = (Arc::clone(source), policy.clone());
                hpc_auth::server::server_config_from_source(source, policy, ClientAuth::Required, &[ALPN])
                    .await
            }
        }
        .map_err(|error| QuicError::tls(&error))
    }
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections whose calls and streams all ended within the grace.
    pub finished: usize,
    /// Connections that were cut because something in them outlived it.
    pub cut: usize,
}
