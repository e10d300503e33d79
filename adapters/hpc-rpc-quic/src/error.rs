use std::net::SocketAddr;

/// Why a server or client could not be built, or stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuicError {
    /// Another process has the UDP port.
    #[error(
        "UDP address `{address}` is in use: stop what listens there, or choose another port (0 picks a free one)"
    )]
    AddressInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be used for another reason.
    #[error("cannot use UDP address `{address}`: {reason}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system says.
        reason: String,
    },
    /// A server has no certificate.
    #[error("the server has no certificate: call `with_tls` or `with_identity`")]
    NoServerIdentity,
    /// A server does not say whose client certificates it accepts.
    #[error("the server does not say whose clients it accepts: call `with_client_auth` or `with_identity`")]
    NoClientAuth,
    /// A server has nothing to serve.
    #[error("the server has no handler: call `with_handler`")]
    NoHandler,
    /// A client does not say whose server certificates it accepts.
    #[error("the client does not say which servers it trusts: call `with_server_ca` or `with_identity`")]
    NoServerCa,
    /// A client has no certificate.
    #[error("the client has no certificate: call `with_client_cert` or `with_identity`")]
    NoClientCert,
    /// Settings that exclude each other were both given.
    #[error("settings cannot be mixed: `with_identity` replaces the other TLS settings")]
    Mixed,
    /// A certificate or key cannot be used.
    #[error("TLS set-up failed: {reason}")]
    Tls {
        /// What is wrong.
        reason: String,
    },
    /// The server's address is not `host:port`.
    #[error("`{server}` is no server: write it as `host:port`")]
    InvalidServer {
        /// What was given.
        server: String,
    },
    /// A number is outside its range.
    #[error("{what} is {given}, allowed is {min} to {max}")]
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// The value given.
        given: usize,
        /// Smallest value allowed.
        min: usize,
        /// Largest value allowed.
        max: usize,
    },
    /// The connection could not be made.
    #[error("cannot connect to `{server}`: {source}")]
    Connect {
        /// The server.
        server: String,
        /// Why.
        source: hpc_transport::TransportError,
    },
    /// The socket failed while serving.
    #[error("serving stopped: {reason}")]
    Serve {
        /// What the operating system says.
        reason: String,
    },
}

impl QuicError {
    pub(crate) fn tls(error: &impl std::fmt::Display) -> Self {
        Self::Tls { reason: error.to_string() }
    }
}
