use std::net::SocketAddr;

/// Why a server or client could not be built, or stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrpcError {
    /// Another process listens there.
    #[error(
        "address `{address}` is in use: stop what listens there, or choose another port (0 picks a free one)"
    )]
    AddressInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on `{address}`: {reason}")]
    Bind {
        /// The address as given.
        address: String,
        /// What the operating system says.
        reason: String,
    },
    /// A server has no certificate.
    #[error("the server has no certificate: call `with_tls` or `with_identity`")]
    NoServerIdentity,
    /// A server does not say whose client certificates it accepts.
    #[error("the server does not say whose clients it accepts: call `with_client_auth` or `with_identity`")]
    NoClientAuth,
    /// A client does not say whose server certificates it accepts.
    #[error("the client does not say which servers it trusts: call `with_server_ca` or `with_identity`")]
    NoServerCa,
    /// A client has no certificate.
    #[error("the client has no certificate: call `with_client_cert`, `with_identity` or `with_join_token`")]
    NoClientCert,
    /// Settings that exclude each other were both given.
    #[error("settings cannot be mixed: {detail}")]
    Mixed {
        /// Which two.
        detail: &'static str,
    },
    /// A certificate or key cannot be used.
    #[error("TLS set-up failed: {reason}")]
    Tls {
        /// What is wrong.
        reason: String,
    },
    /// The URI of a client is not `https://host:port`.
    #[error("cannot connect to `{uri}`: {reason}")]
    InvalidUri {
        /// The URI as given.
        uri: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A number is outside its range, or a list too long.
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
    /// Two services of one name were added.
    #[error("service `{name}` was added twice")]
    DuplicateService {
        /// The name.
        name: &'static str,
    },
    /// A method in a list is not written `/package.Service/Method`.
    #[error("`{method}` is no method: write it as `/package.Service/Method`")]
    InvalidMethod {
        /// What was given.
        method: String,
    },
    /// No connection could be made.
    #[error("cannot connect to `{uri}`: {reason}")]
    Connect {
        /// The URI.
        uri: String,
        /// How the attempt ended.
        reason: String,
    },
    /// The server's or client's certificate was not accepted, by either end.
    #[error("TLS handshake with `{uri}` failed: {reason}")]
    Handshake {
        /// The URI.
        uri: String,
        /// What was not accepted.
        reason: String,
    },
    /// The listening socket failed while serving.
    #[error("serving stopped: {reason}")]
    Serve {
        /// What the operating system says.
        reason: String,
    },
}

impl GrpcError {
    pub(crate) fn tls(error: &impl std::fmt::Display) -> Self {
        Self::Tls { reason: error.to_string() }
    }
}
