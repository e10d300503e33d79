//! QUIC settings from our limits. Every number quinn has a default for is set here.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{IdleTimeout, TransportConfig, VarInt};

use crate::QuicError;
use crate::limits::{
    CRYPTO_BYTES_MAX, ClientLimits, INCOMING_BYTES_MAX, INCOMING_BYTES_TOTAL_MAX, INCOMING_MAX, ServerLimits,
};

/// The application protocol: our frames, version 1. A peer that offers another is refused in the handshake.
pub const ALPN: &[u8] = b"hpc/1";

pub(crate) fn server(
    tls: rustls::ServerConfig,
    limits: &ServerLimits,
) -> Result<quinn::ServerConfig, QuicError> {
    let mut transport = common(limits.stream_window_bytes, limits.connection_window_bytes, limits.idle)?;
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams_per_connection))
        .enable_segmentation_offload(limits.segmentation_offload)
        .keep_alive_interval(None); // the client keeps the link alive, or lets it end
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| QuicError::tls(&error))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport))
        .migration(limits.migration)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL_MAX)
        .retry_token_lifetime(Duration::from_secs(15));
    Ok(config)
}

pub(crate) fn client(
    tls: rustls::ClientConfig,
    limits: &ClientLimits,
) -> Result<quinn::ClientConfig, QuicError> {
    let mut transport = common(limits.stream_window_bytes, limits.connection_window_bytes, limits.idle)?;
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0)) // a server opens no streams to us
        .enable_segmentation_offload(limits.segmentation_offload)
        .keep_alive_interval(Some(limits.keepalive));
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| QuicError::tls(&error))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

fn common(stream_window: u32, connection_window: u32, idle: Duration) -> Result<TransportConfig, QuicError> {
    let idle = IdleTimeout::try_from(idle).map_err(|error| QuicError::tls(&error))?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0)) // our protocol has none
        .datagram_receive_buffer_size(None) // nor datagrams
        .datagram_send_buffer_size(0)
        .max_idle_timeout(Some(idle))
        .stream_receive_window(VarInt::from_u32(stream_window))
        .receive_window(VarInt::from_u32(connection_window))
        .send_window(u64::from(connection_window))
        .send_fairness(true)
        .crypto_buffer_size(CRYPTO_BYTES_MAX);
    Ok(transport)
}

pub(crate) fn check_range(what: &'static str, given: usize, min: usize, max: usize) -> Result<(), QuicError> {
    if (min..=max).contains(&given) { Ok(()) } else { Err(QuicError::OutOfRange { what, given, min, max }) }
}
