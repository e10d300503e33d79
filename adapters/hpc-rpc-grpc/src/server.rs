//! The server builder and the server.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use http::{Request, Response};
use tokio::sync::{Semaphore, watch};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Service;

use hpc_auth::PeerPolicy;
use hpc_auth::server::ClientAuth;
use hpc_identity::{IdentitySource, TrustBundle, X509Svid};
use hpc_transport::{Handler, Method};

use crate::gate::{self, Gate, Route};
use crate::limits::{ANONYMOUS_METHODS_MAX, SERVICES_MAX, ServerLimits};
use crate::listen::{self, ListenAddress};
use crate::tls::ServerTls;
use crate::{GrpcError, accept};

/// Builds a [`GrpcServer`]. Mutual TLS is the default; see the crate documentation for an example.
#[must_use = "a builder does nothing until `build`"]
pub struct GrpcServerBuilder {
    address: ListenAddress,
    svid: Option<X509Svid>,
    clients: Option<TrustBundle>,
    source: Option<(Arc<dyn IdentitySource>, PeerPolicy)>,
    plaintext: bool,
    /// Set only by `plain_http`: no gRPC goes over it.
    http_only: bool,
    anonymous: HashSet<String>,
    routes: HashMap<&'static str, Route>,
    duplicate: Option<&'static str>,
    handler: Option<Arc<dyn Handler>>,
    fallback: Option<Route>,
    health: bool,
    limits: ServerLimits,
}

impl GrpcServerBuilder {
    /// A server that will listen on `address`: a `SocketAddr`, or text such as `"127.0.0.1:0"`.
    pub fn new(address: impl Into<ListenAddress>) -> Self {
        Self {
            address: address.into(),
            svid: None,
            clients: None,
            source: None,
            plaintext: false,
            http_only: false,
            anonymous: HashSet::new(),
            routes: HashMap::new(),
            duplicate: None,
            handler: None,
            fallback: None,
            health: false,
            limits: ServerLimits::default(),
        }
    }

    /// A server that encrypts nothing and asks nobody who he is. For tests and measurements on loopback only.
    pub fn insecure_plaintext_for_tests(address: impl Into<ListenAddress>) -> Self {
        Self { plaintext: true, ..Self::new(address) }
    }

    /// A server of plain HTTP that asks nobody who he is and serves nothing but [`Self::with_http_fallback`]: for what
    /// anybody may read and check by its signatures, on loopback or behind a proxy that speaks TLS.
    pub fn plain_http(address: impl Into<ListenAddress>) -> Self {
        Self { plaintext: true, http_only: true, ..Self::new(address) }
    }

    /// Uses this certificate and key. For identities that are renewed while the server runs, see [`Self::with_identity`].
    ///
    /// # Errors
    /// [`GrpcError::Mixed`].
    pub fn with_tls(mut self, certificate: impl Into<X509Svid>) -> Result<Self, GrpcError> {
        self.check_mix()?;
        self.svid = Some(certificate.into());
        Ok(self)
    }

    /// Accepts clients whose certificates these authorities vouch for, and no others.
    ///
    /// # Errors
    /// [`GrpcError::Mixed`].
    pub fn with_client_auth(mut self, authorities: impl Into<TrustBundle>) -> Result<Self, GrpcError> {
        self.check_mix()?;
        self.clients = Some(authorities.into());
        Ok(self)
    }

    /// Takes certificate and authorities from `source`, and follows its changes without dropping a connection.
    /// `policy` says which of the authenticated clients may connect.
    ///
    /// # Errors
    /// [`GrpcError::Mixed`] with [`Self::with_tls`], [`Self::with_client_auth`] or plaintext.
    pub fn with_identity(
        mut self,
        source: Arc<dyn IdentitySource>,
        policy: PeerPolicy,
    ) -> Result<Self, GrpcError> {
        if self.plaintext || self.svid.is_some() || self.clients.is_some() {
            return Err(GrpcError::Mixed {
                detail: "`with_identity` replaces `with_tls` and `with_client_auth`",
            });
        }
        self.source = Some((source, policy));
        Ok(self)
    }

    fn check_mix(&self) -> Result<(), GrpcError> {
        if self.plaintext {
            return Err(GrpcError::Mixed { detail: "this is an insecure plaintext server" });
        }
        if self.source.is_some() {
            return Err(GrpcError::Mixed { detail: "`with_identity` already gives the certificates" });
        }
        Ok(())
    }

    /// Opens these paths, and only these, to callers that present no certificate. Such a call carries no `PeerIdentity`.
    ///
    /// The handshake then asks for a client certificate without insisting; one that is presented must still be good.
    /// Every other path refuses such callers with UNAUTHENTICATED.
    ///
    /// # Errors
    /// [`GrpcError::InvalidMethod`], [`GrpcError::OutOfRange`] over [`ANONYMOUS_METHODS_MAX`].
    pub fn allow_anonymous_for(mut self, paths: &[&str]) -> Result<Self, GrpcError> {
        for path in paths {
            let method =
                Method::parse(path).map_err(|_| GrpcError::InvalidMethod { method: (*path).to_owned() })?;
            self.anonymous.insert(method.path().to_owned());
        }
        check_range("the number of anonymous methods", self.anonymous.len(), 0, ANONYMOUS_METHODS_MAX)?;
        Ok(self)
    }

    /// Serves a gRPC service: any server type that tonic generates.
    pub fn add_service<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        if self.routes.insert(S::NAME, gate::route(service)).is_some() {
            self.duplicate = Some(S::NAME);
        }
        self
    }

    /// Serves every gRPC method that no added service has, and streams, through a port handler.
    pub fn with_handler(mut self, handler: Arc<dyn Handler>) -> Self {
        self.handler = Some(handler);
        self
    }

    /// Serves requests that are not gRPC, HTTP/1.1 ones too, on the same port. The peer is in the request's extensions.
    ///
    /// The service bounds its own request bodies.
    pub fn with_http_fallback<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.fallback = Some(gate::route(service));
        self
    }

    /// Also serves `grpc.health.v1.Health`: SERVING for the server and each added service, NOT_SERVING from the first moment of a drain.
    pub fn with_health(mut self) -> Self {
        self.health = true;
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
    /// Any [`GrpcError`] but those of connecting; [`GrpcError::AddressInUse`] names the address.
    pub fn build(self) -> Result<GrpcServer, GrpcError> {
        if let Some(name) = self.duplicate {
            return Err(GrpcError::DuplicateService { name });
        }
        if self.http_only && (!self.routes.is_empty() || self.handler.is_some() || self.health) {
            return Err(GrpcError::Mixed { detail: "`plain_http` serves no gRPC; use a server with TLS" });
        }
        check_range("the number of services", self.routes.len(), 0, SERVICES_MAX)?;
        check_limits(&self.limits)?;
        let client_auth =
            if self.anonymous.is_empty() { ClientAuth::Required } else { ClientAuth::OptionalForJoining };
        let tls = match (self.plaintext, self.source, self.svid, self.clients) {
            (true, ..) => None,
            (_, Some((source, policy)), ..) => Some(ServerTls::Source { source, policy, client_auth }),
            (_, _, None, _) => return Err(GrpcError::NoServerIdentity),
            (_, _, Some(_), None) => return Err(GrpcError::NoClientAuth),
            (_, _, Some(svid), Some(clients)) => {
                Some(ServerTls::Fixed { svid: Box::new(svid), clients, client_auth })
            }
        };

        let mut routes = self.routes;
        let names: Vec<&'static str> = routes.keys().copied().collect();
        let health = self.health.then(|| {
            let (reporter, service) = tonic_health::server::health_reporter();
            routes.insert(named(&service), gate::route(service));
            Health { reporter, names }
        });
        let (drain, draining) = watch::channel(false);
        let accepts_http1 = self.fallback.is_some();
        let gate = Gate {
            routes,
            handler: self.handler,
            fallback: self.fallback,
            anonymous: self.anonymous,
            plaintext: self.plaintext,
            calls: Arc::new(Semaphore::new(self.limits.calls)),
            calls_max: self.limits.calls,
            message_bytes_max: self.limits.message_bytes,
            deadline: self.limits.deadline,
            draining,
        };
        let listener = listen::bind(&self.address)?;
        let address = listener.local_addr().map_err(|error| GrpcError::Bind {
            address: "the socket".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(GrpcServer {
            listener,
            address,
            tls,
            gate: Arc::new(gate),
            drain,
            health,
            accepts_http1,
            limits: self.limits,
        })
    }
}

/// A server that holds its port and waits to serve.
#[must_use = "a server does nothing until `serve` or `serve_with_shutdown`"]
pub struct GrpcServer {
    pub(crate) listener: TcpListener,
    address: SocketAddr,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) drain: watch::Sender<bool>,
    pub(crate) health: Option<Health>,
    pub(crate) accepts_http1: bool,
    pub(crate) limits: ServerLimits,
}

impl GrpcServer {
    /// The address it listens on, with the port that port 0 became.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the future is dropped, which cuts running calls; prefer [`Self::serve_with_shutdown`].
    ///
    /// # Errors
    /// See [`Self::serve_with_shutdown`].
    pub async fn serve(self) -> Result<(), GrpcError> {
        self.serve_with_shutdown(std::future::pending()).await.map(|_| ())
    }

    /// Serves until `signal` completes, then drains: health says NOT_SERVING, the port is closed, every connection is
    /// told to go away, running calls get [`ServerLimits::drain`] to finish, and what is left is cut.
    ///
    /// # Errors
    /// [`GrpcError::Tls`] when the identity cannot be used, [`GrpcError::Serve`] when the socket fails.
    pub async fn serve_with_shutdown(self, signal: impl Future<Output = ()>) -> Result<Drained, GrpcError> {
        accept::serve(self, signal).await
    }
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that ended by themselves within the grace.
    pub finished: usize,
    /// Connections that were cut because their calls outlived it.
    pub cut: usize,
}

pub(crate) struct Health {
    reporter: HealthReporter,
    names: Vec<&'static str>,
}

impl Health {
    pub(crate) async fn report(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in std::iter::once(&"").chain(&self.names) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

fn named<S: NamedService>(_service: &S) -> &'static str {
    S::NAME
}

fn check_limits(limits: &ServerLimits) -> Result<(), GrpcError> {
    check_range("connections", limits.connections, 1, 1 << 20)?;
    check_range("calls", limits.calls, 1, 1 << 20)?;
    check_range("message_bytes", limits.message_bytes, 1, 1 << 30)?;
    check_range("streams_per_connection", limits.streams_per_connection as usize, 1, 1 << 20)
}

pub(crate) fn check_range(what: &'static str, given: usize, min: usize, max: usize) -> Result<(), GrpcError> {
    if (min..=max).contains(&given) { Ok(()) } else { Err(GrpcError::OutOfRange { what, given, min, max }) }
}
