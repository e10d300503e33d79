//! Where a server listens. Binding happens at `build`, so that a port in use is known before anything runs.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use crate::GrpcError;

/// An address to listen on: a `SocketAddr`, or text such as `127.0.0.1:7801` (port 0 picks a free one).
#[derive(Clone, Debug)]
pub struct ListenAddress(Result<SocketAddr, String>);

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self(Ok(address))
    }
}

impl From<&str> for ListenAddress {
    fn from(text: &str) -> Self {
        Self(text.parse().map_err(|_| text.chars().take(128).collect()))
    }
}

impl From<String> for ListenAddress {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&String> for ListenAddress {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

pub(crate) fn bind(address: &ListenAddress) -> Result<TcpListener, GrpcError> {
    let address = address.0.clone().map_err(|text| GrpcError::Bind {
        address: text,
        reason: "write it as an IP address and a port, such as `127.0.0.1:7801`".to_owned(),
    })?;
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AddrInUse => GrpcError::AddressInUse { address },
        _ => GrpcError::Bind { address: address.to_string(), reason: error.to_string() },
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}
