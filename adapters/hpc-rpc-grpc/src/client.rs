//! The client builder.

use std::sync::Arc;

use hpc_auth::PeerPolicy;
use hpc_auth::join::JoinToken;
use hpc_identity::{IdentitySource, SpiffeId, TrustBundle, X509Svid};
use hpc_transport::Method;

use crate::GrpcError;
use crate::channel::{GrpcChannel, Shared};
use crate::limits::{ClientLimits, IDEMPOTENT_METHODS_MAX, POOL_SIZE_MAX};
use crate::pool::{Dialler, Pool};
use crate::retry::{Idempotent, RetryBudget};
use crate::server::check_range;
use crate::target::Target;
use crate::tls::Connector;

/// Builds a [`GrpcChannel`]; see the crate documentation for an example.
#[must_use = "a builder does nothing until `connect`"]
pub struct GrpcClientBuilder {
    uri: String,
    plaintext: bool,
    server_ca: Option<TrustBundle>,
    server_id: Option<SpiffeId>,
    certificate: Option<X509Svid>,
    source: Option<(Arc<dyn IdentitySource>, PeerPolicy)>,
    joining: Option<Result<Connector, GrpcError>>,
    pool_size: usize,
    idempotent: Vec<String>,
    limits: ClientLimits,
}

impl GrpcClientBuilder {
    /// A client of `https://host:port`.
    ///
    /// The server is known by the SPIFFE ID in its certificate, never by its host name.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            plaintext: false,
            server_ca: None,
            server_id: None,
            certificate: None,
            source: None,
            joining: None,
            pool_size: 1,
            idempotent: Vec::new(),
            limits: ClientLimits::default(),
        }
    }

    /// A client of `http://host:port` that encrypts nothing. For tests and measurements on loopback only.
    pub fn insecure_plaintext_for_tests(uri: impl Into<String>) -> Self {
        Self { plaintext: true, ..Self::new(uri) }
    }

    /// Accepts servers that these authorities vouch for, any member of their trust domain; see [`Self::with_server_id`].
    pub fn with_server_ca(mut self, authorities: impl Into<TrustBundle>) -> Self {
        self.server_ca = Some(authorities.into());
        self
    }

    /// Accepts this one server and no other member of its trust domain.
    pub fn with_server_id(mut self, id: SpiffeId) -> Self {
        self.server_id = Some(id);
        self
    }

    /// Presents this certificate.
    pub fn with_client_cert(mut self, certificate: impl Into<X509Svid>) -> Self {
        self.certificate = Some(certificate.into());
        self
    }

    /// Takes certificate and authorities from `source`; each new connection uses what is current then.
    /// `policy` says which servers are accepted.
    pub fn with_identity(mut self, source: Arc<dyn IdentitySource>, policy: PeerPolicy) -> Self {
        self.source = Some((source, policy));
        self
    }

    /// Presents no certificate, for a node that has only this token: the server must be the one the token names.
    /// Only methods that the server opened with `allow_anonymous_for` can then be called.
    pub fn with_join_token(mut self, token: &JoinToken) -> Self {
        self.joining = Some(Connector::joining(token));
        self
    }

    /// How many connections to hold: 1 to [`POOL_SIZE_MAX`]. Default 1.
    pub fn with_pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// Declares methods that may be sent twice: up to three attempts when the server is UNAVAILABLE, within a retry budget.
    pub fn with_idempotent(mut self, paths: &[&str]) -> Self {
        self.idempotent.extend(paths.iter().map(|path| (*path).to_owned()));
        self
    }

    /// Replaces the limits.
    pub fn with_limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Connects; at least one connection stands when this returns.
    ///
    /// # Errors
    /// Any [`GrpcError`] about settings, [`GrpcError::Connect`], [`GrpcError::Handshake`].
    pub async fn connect(self) -> Result<GrpcChannel, GrpcError> {
        let channel_parts = self.prepare().await?;
        channel_parts.pool.connect().await?;
        Ok(GrpcChannel::new(channel_parts))
    }

    /// Checks the settings and connects at the first call: for servers that may not be up yet.
    ///
    /// # Errors
    /// Any [`GrpcError`] about settings.
    pub async fn connect_lazily(self) -> Result<GrpcChannel, GrpcError> {
        Ok(GrpcChannel::new(self.prepare().await?))
    }

    async fn prepare(self) -> Result<Shared, GrpcError> {
        let target = Target::parse(&self.uri, self.plaintext)?;
        check_range("pool size", self.pool_size, 1, POOL_SIZE_MAX)?;
        check_range("the number of idempotent methods", self.idempotent.len(), 0, IDEMPOTENT_METHODS_MAX)?;
        check_range("message_bytes", self.limits.message_bytes, 1, 1 << 30)?;
        check_range("calls_per_connection", self.limits.calls_per_connection, 1, 1 << 20)?;
        for path in &self.idempotent {
            Method::parse(path).map_err(|_| GrpcError::InvalidMethod { method: path.clone() })?;
        }
        let mixed = |detail| Err(GrpcError::Mixed { detail });
        let fixed = self.server_ca.is_some() || self.certificate.is_some() || self.server_id.is_some();
        let tls = match (self.plaintext, self.source, self.joining) {
            (true, None, None) if !fixed => None,
            (true, ..) => return mixed("this is an insecure plaintext client"),
            (_, Some(_), Some(_)) => return mixed("`with_identity` and `with_join_token`"),
            (_, Some(_), _) if fixed => return mixed("`with_identity` replaces the other TLS settings"),
            (_, _, Some(_)) if fixed => return mixed("`with_join_token` replaces the other TLS settings"),
            (_, Some((source, policy)), None) => Some(Connector::from_source(source, policy).await?),
            (_, None, Some(joining)) => Some(joining?),
            (_, None, None) => {
                let bundle = self.server_ca.ok_or(GrpcError::NoServerCa)?;
                let certificate = self.certificate.ok_or(GrpcError::NoClientCert)?;
                let policy = match self.server_id {
                    Some(id) => PeerPolicy::Exact(id),
                    None => PeerPolicy::TrustDomain(bundle.trust_domain().clone()),
                };
                Some(Connector::fixed(bundle, &certificate, policy)?)
            }
        };
        let pool = Pool::new(self.pool_size, Dialler { target, tls, limits: self.limits });
        let idempotent = Idempotent(self.idempotent.into_iter().collect());
        Ok(Shared { pool, idempotent, budget: RetryBudget::new() })
    }
}
