use std::net::SocketAddr;

/// Why logs, spans or metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracingError {
    /// The process has a subscriber, or a metrics listener, already.
    #[error("{0} are set up already, a process does it once")]
    AlreadyInitialised(&'static str),
    /// `log_level` is no level and no list of directives.
    #[error(
        "log level `{0}` is not one of off, error, warn, info, debug, trace or a list like `info,hyper=warn`"
    )]
    InvalidLevel(String),
    /// The service's name is empty or longer than 128 bytes.
    #[error("service name must have 1 to 128 bytes")]
    InvalidServiceName,
    /// The endpoint is no plain `http://host:port`.
    #[error("OTLP endpoint must have the form `http://host:port`, without user and password: {0}")]
    InvalidEndpoint(&'static str),
    /// An endpoint is set and the feature is off.
    #[error("an OTLP endpoint is set, but this program was built without the feature `otlp`")]
    OtlpNotBuilt,
    /// The exporter cannot be made.
    #[error("OTLP exporter cannot be made: {0}")]
    Exporter(String),
    /// The address cannot be listened on.
    #[error("metrics cannot be served on `{addr}`: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// A thread or runtime cannot be made.
    #[error("background thread cannot be made: {0}")]
    Thread(std::io::Error),
}
