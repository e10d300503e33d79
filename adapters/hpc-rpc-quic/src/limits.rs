//! Every limit of both ends, in one place.

use std::time::Duration;

/// What a server grants its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// Connections at once; more are refused. From half of it on, a newcomer must first prove its address. Default 1,024.
    pub connections: usize,
    /// QUIC streams at once in one connection: calls and streams together. The peer waits for more. Default 128.
    pub streams_per_connection: u32,
    /// Calls at once over all connections; more are refused as `Overloaded`, unrun. Default 1,024.
    pub calls: usize,
    /// Streams at once over all connections; more are refused as `Overloaded`. Default 4,096.
    pub streams: usize,
    /// Bytes in flight of one stream (flow-control window). Default 1 MiB.
    pub stream_window_bytes: u32,
    /// Bytes in flight of one connection, each way. Default 8 MiB.
    pub connection_window_bytes: u32,
    /// Time for a handshake, and for the opening of a stream to arrive. Default 10 s.
    pub handshake: Duration,
    /// Longest time a handler has for a call, whatever the caller asks. Default 30 s.
    pub deadline: Duration,
    /// Silence after which a connection is given up. Default 30 s.
    pub idle: Duration,
    /// Time that running calls and streams have to finish in a drain. Default 30 s.
    pub drain: Duration,
    /// Whether a peer may move to another address, as an agent behind a changing address does. Default true.
    /// Identity never hangs on the address.
    pub migration: bool,
    /// Whether the kernel may cut and join UDP packets (GSO); off helps with some policers and drivers. Default true.
    pub segmentation_offload: bool,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            streams_per_connection: 128,
            calls: 1024,
            streams: 4096,
            stream_window_bytes: 1024 * 1024,
            connection_window_bytes: 8 * 1024 * 1024,
            handshake: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            migration: true,
            segmentation_offload: true,
        }
    }
}

/// What a client allows itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// Bytes in flight of one stream (flow-control window). Default 1 MiB.
    pub stream_window_bytes: u32,
    /// Bytes in flight of the connection, each way. Default 8 MiB.
    pub connection_window_bytes: u32,
    /// Time for a connection: address, handshake and the server's first answer. Default 10 s.
    pub connect: Duration,
    /// Silence after which the connection is given up. Default 30 s.
    pub idle: Duration,
    /// Silence after which the server is pinged. Default 10 s.
    pub keepalive: Duration,
    /// Whether the kernel may cut and join UDP packets (GSO). Default true.
    pub segmentation_offload: bool,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            stream_window_bytes: 1024 * 1024,
            connection_window_bytes: 8 * 1024 * 1024,
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            keepalive: Duration::from_secs(10),
            segmentation_offload: true,
        }
    }
}

/// Handshakes that may wait to be accepted.
pub(crate) const INCOMING_MAX: usize = 1024;
/// Bytes buffered for one handshake before it is accepted.
pub(crate) const INCOMING_BYTES_MAX: u64 = 64 * 1024;
/// Bytes buffered for all handshakes before they are accepted.
pub(crate) const INCOMING_BYTES_TOTAL_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of TLS handshake messages that may arrive out of order: certificates, mostly.
pub(crate) const CRYPTO_BYTES_MAX: usize = 64 * 1024;
/// Most bytes taken from a QUIC stream at once.
pub(crate) const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// Time the last bytes of a stream get to be acknowledged before the stream is let go.
pub(crate) const LINGER: Duration = Duration::from_secs(5);
