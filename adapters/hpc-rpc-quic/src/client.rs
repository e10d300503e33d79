//! The client builder.

use std::sync::Arc;

use hpc_auth::PeerPolicy;
use hpc_identity::{IdentitySource, SpiffeId, TrustBundle, X509Svid};

use crate::config::ALPN;
use crate::limits::ClientLimits;
use crate::link::QuicTransport;
use crate::{QuicError, config};

/// Longest `host:port`, in bytes.
const SERVER_BYTES_MAX: usize = 260;

/// Builds a [`QuicTransport`]; see the crate documentation for an example.
#[must_use = "a builder does nothing until `connect`"]
pub struct QuicClientBuilder {
    server: String,
    server_ca: Option<TrustBundle>,
    server_id: Option<SpiffeId>,
    certificate: Option<X509Svid>,
    source: Option<(Arc<dyn IdentitySource>, PeerPolicy)>,
    limits: ClientLimits,
}

impl QuicClientBuilder {
    /// A client of `host:port`. The name is looked up for each connection.
    ///
    /// The server is known by the SPIFFE ID in its certificate, never by its host name.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            server_ca: None,
            server_id: None,
            certificate: None,
            source: None,
            limits: ClientLimits::default(),
        }
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

    /// Replaces the limits.
    pub fn with_limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Connects; when this returns, the server has accepted this client.
    ///
    /// # Errors
    /// Any [`QuicError`] about settings, [`QuicError::Connect`].
    pub async fn connect(self) -> Result<QuicTransport, QuicError> {
        let server = self.server.clone();
        let link = self.connect_lazily().await?;
        link.ready().await.map_err(|source| QuicError::Connect { server, source })?;
        Ok(link)
    }

    /// Checks the settings and connects at the first use: for servers that may not be up yet.
    ///
    /// # Errors
    /// Any [`QuicError`] about settings.
    pub async fn connect_lazily(self) -> Result<QuicTransport, QuicError> {
        let valid = self.server.len() <= SERVER_BYTES_MAX
            && self
                .server
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !valid {
            return Err(QuicError::InvalidServer {
                server: self.server.chars().take(SERVER_BYTES_MAX).collect(),
            });
        }
        let fixed = self.server_ca.is_some() || self.certificate.is_some() || self.server_id.is_some();
        let tls = match self.source {
            Some(_) if fixed => return Err(QuicError::Mixed),
            Some((source, policy)) => {
                hpc_auth::client::client_config_from_source(source, policy, &[ALPN]).await
            }
            None => {
                let bundle = self.server_ca.ok_or(QuicError::NoServerCa)?;
                let certificate = self.certificate.ok_or(QuicError::NoClientCert)?;
                let policy = match self.server_id {
                    Some(id) => PeerPolicy::Exact(id),
                    None => PeerPolicy::TrustDomain(bundle.trust_domain().clone()),
                };
                hpc_auth::client::create_client_config(&certificate, &[bundle], policy, &[ALPN])
            }
        };
        let config = config::client(tls.map_err(|error| QuicError::tls(&error))?, &self.limits)?;
        Ok(QuicTransport::new(self.server, config, self.limits))
    }
}
