//! Every limit of both ends, in one place.

use std::time::Duration;

/// Largest message of either direction, in bytes after the five-byte gRPC prefix: 4 MiB.
pub const MESSAGE_BYTES_MAX: usize = hpc_transport::MESSAGE_BYTES_MAX;

/// What a server grants its callers. The defaults are right for a control plane; each is a hard limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// Connections at once; more wait in the kernel's queue. Default 1,024.
    pub connections: usize,
    /// Streams at once in one connection, told to the peer in SETTINGS. Default 200.
    pub streams_per_connection: u32,
    /// Calls at once over all connections; more are refused with UNAVAILABLE and a wait, unrun. Default 1,024.
    pub calls: usize,
    /// Streams a peer may open and reset before they are accepted (rapid reset). Default 20.
    pub pending_accept_resets: usize,
    /// Streams this end may have to reset for the peer's errors before it gives the connection up. Default 64.
    pub local_error_resets: usize,
    /// Bytes of one request's headers. Default 16 KiB.
    pub header_list_bytes: u32,
    /// Bytes of one message, both ways. Default [`MESSAGE_BYTES_MAX`].
    ///
    /// A generated service has a limit of 4 MiB of its own for what it decodes: raise both.
    pub message_bytes: usize,
    /// Bytes in flight of one stream (flow-control window). Default 1 MiB.
    pub stream_window_bytes: u32,
    /// Bytes in flight of one connection (flow-control window). Default 4 MiB.
    pub connection_window_bytes: u32,
    /// Time for the TLS handshake, and for the headers of an HTTP/1 request. Default 10 s.
    pub handshake: Duration,
    /// Time a handler has for its response head when the caller gives none, and at most. Default 30 s.
    ///
    /// Response streams are bounded only by the caller's own `grpc-timeout`: a watch may last.
    pub deadline: Duration,
    /// Silence after which the peer is pinged. Default 20 s.
    pub keepalive_interval: Duration,
    /// Silence after a ping after which the connection is dropped. Default 10 s.
    pub keepalive_timeout: Duration,
    /// Age at which a connection is told to go away, so that the peer shows its newest certificate. Default 1 h; spread by up to a tenth.
    pub connection_age: Duration,
    /// Time that running calls have to finish in a drain, and in a connection told to go away. Default 30 s.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            streams_per_connection: 200,
            calls: 1024,
            pending_accept_resets: 20,
            local_error_resets: 64,
            header_list_bytes: 16 * 1024,
            message_bytes: MESSAGE_BYTES_MAX,
            stream_window_bytes: 1024 * 1024,
            connection_window_bytes: 4 * 1024 * 1024,
            handshake: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            connection_age: Duration::from_secs(60 * 60),
            drain: Duration::from_secs(30),
        }
    }
}

/// What a client allows itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// Bytes of one message, both ways. Default [`MESSAGE_BYTES_MAX`].
    pub message_bytes: usize,
    /// Calls at once in one connection; more are refused here with RESOURCE_EXHAUSTED. Default 1,024.
    pub calls_per_connection: usize,
    /// Bytes of one response's headers. Default 16 KiB.
    pub header_list_bytes: u32,
    /// Bytes in flight of one stream (flow-control window). Default 1 MiB.
    pub stream_window_bytes: u32,
    /// Bytes in flight of one connection (flow-control window). Default 4 MiB.
    pub connection_window_bytes: u32,
    /// Time for one connection: address, TCP, TLS, HTTP/2. Default 10 s.
    pub connect: Duration,
    /// Time for the response head when the call itself sets no `grpc-timeout`. Default 30 s.
    pub deadline: Duration,
    /// Silence after which the server is pinged. Default 20 s.
    pub keepalive_interval: Duration,
    /// Silence after a ping after which the connection is dropped. Default 10 s.
    pub keepalive_timeout: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            message_bytes: MESSAGE_BYTES_MAX,
            calls_per_connection: 1024,
            header_list_bytes: 16 * 1024,
            stream_window_bytes: 1024 * 1024,
            connection_window_bytes: 4 * 1024 * 1024,
            connect: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
        }
    }
}

/// Most connections one client pool may have.
pub const POOL_SIZE_MAX: usize = 64;
/// Most services one server may have.
pub const SERVICES_MAX: usize = 256;
/// Most methods one server opens to callers without a certificate.
pub const ANONYMOUS_METHODS_MAX: usize = 64;
/// Most methods one client declares idempotent.
pub const IDEMPOTENT_METHODS_MAX: usize = 1024;
