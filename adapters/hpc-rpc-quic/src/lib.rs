//! The transport port over QUIC: calls and framed streams, each on a QUIC stream of its own, with mutual TLS always.
//!
//! Never sends early (0-RTT) data, never falls back to another transport, never authorises by address:
//! a peer may move to another address in the middle of a stream and stays who its certificate says.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//! use async_trait::async_trait;
//! use bytes::Bytes;
//! use hpc_auth::cert::{ServiceIdentity, generate_ca_cert, generate_signed_cert};
//! use hpc_rpc_quic::{QuicClientBuilder, QuicServerBuilder};
//! use hpc_transport::*;
//!
//! struct Echo;
//! #[async_trait]
//! impl Handler for Echo {
//!     async fn call(&self, _: CallContext, request: Bytes) -> hpc_transport::Result<Bytes> {
//!         Ok(request)
//!     }
//!     async fn stream(
//!         &self, _: StreamContext, mut source: Box<dyn FrameSource>, sink: &mut dyn FrameSink,
//!     ) -> hpc_transport::Result<()> {
//!         while let Some(frame) = source.receive().await? {
//!             sink.send(frame).await?; // an acknowledgement
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let ca = generate_ca_cert("Example CA")?;
//! let server = QuicServerBuilder::new("127.0.0.1:0".parse()?)
//!     .with_tls(generate_signed_cert(&ServiceIdentity::new("server"), &ca)?)?
//!     .with_client_auth(&ca)?
//!     .with_handler(Arc::new(Echo))
//!     .build()?;
//! let address = server.local_addr().to_string();
//! let serving = tokio::spawn(server.serve());
//!
//! let link = QuicClientBuilder::new(address)
//!     .with_server_ca(&ca)
//!     .with_client_cert(generate_signed_cert(&ServiceIdentity::new("agent"), &ca)?)
//!     .connect()
//!     .await?;
//! let deadline = Deadline::after(Instant::now(), Duration::from_secs(5));
//! assert_eq!(link.call(&Method::parse("/a.B/C")?, "hello".into(), deadline).await?, "hello");
//!
//! let mut telemetry = link.open(&StreamName::parse("telemetry.v1")?).await?;
//! telemetry.sink.send("batch 1".into()).await?;
//! assert_eq!(telemetry.source.receive().await?, Some("batch 1".into()));
//! # serving.abort();
//! # Ok(())
//! # }
//! ```
//!
//! Features: none.

mod client;
mod config;
mod error;
mod limits;
mod link;
mod serve;
mod server;
mod stream;

pub use hpc_auth::PeerPolicy;
pub use hpc_transport::PeerIdentity;

pub use self::client::QuicClientBuilder;
pub use self::config::ALPN;
pub use self::error::QuicError;
pub use self::limits::{ClientLimits, ServerLimits};
pub use self::link::QuicTransport;
pub use self::server::{Drained, QuicServer, QuicServerBuilder};
