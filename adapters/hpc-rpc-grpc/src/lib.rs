//! gRPC with mutual TLS by default: server and client builders, a connection pool, limits, drain, and the port `Transport`.
//!
//! Never sends gRPC in plaintext unless a constructor named `insecure_plaintext_for_tests` was called, never trusts a host
//! name, never repeats a call that was not declared idempotent.
//!
//! ```
//! use hpc_auth::cert::{ServiceIdentity, generate_ca_cert, generate_signed_cert};
//! use hpc_rpc_grpc::{GrpcClientBuilder, GrpcServerBuilder};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ca = generate_ca_cert("Example CA")?;
//! let server = GrpcServerBuilder::new("127.0.0.1:0")
//!     .with_tls(generate_signed_cert(&ServiceIdentity::new("server"), &ca)?)?
//!     .with_client_auth(&ca)?
//!     .with_health()
//!     .build()?;
//! let uri = format!("https://{}", server.local_addr());
//! let serving = tokio::spawn(server.serve());
//!
//! let channel = GrpcClientBuilder::new(uri)
//!     .with_server_ca(&ca)
//!     .with_client_cert(generate_signed_cert(&ServiceIdentity::new("client"), &ca)?)
//!     .with_pool_size(5)
//!     .connect()
//!     .await?;
//! assert_eq!(channel.peer().ok_or("no peer")?.to_string(), "spiffe://hpc.internal/service/server");
//! # serving.abort();
//! # Ok(())
//! # }
//! ```
//!
//! | it does | how |
//! | --- | --- |
//! | identity of the caller | request extension [`PeerIdentity`], from the verified certificate |
//! | deadline | request extension [`hpc_transport::Deadline`]; DEADLINE_EXCEEDED when it passes |
//! | overload | UNAVAILABLE with a wait, nothing was run |
//! | message over the limit | RESOURCE_EXHAUSTED, both ways, before it is in memory |
//! | certificates | taken from an `IdentitySource`; a change is used from the next handshake on |
//!
//! [`control`] holds the generated clients and servers of the control services.
//!
//! Features: none.

mod accept;
mod body;
mod chance;
mod channel;
mod client;
mod codec;
pub mod control;
mod error;
mod gate;
mod handler;
mod limits;
mod listen;
mod map;
mod pool;
mod retry;
mod server;
mod status;
mod target;
mod timeout;
mod tls;
mod transport;

pub use hpc_auth::PeerPolicy;
pub use hpc_transport::PeerIdentity;

pub use self::channel::GrpcChannel;
pub use self::client::GrpcClientBuilder;
pub use self::error::GrpcError;
pub use self::limits::{
    ANONYMOUS_METHODS_MAX, ClientLimits, IDEMPOTENT_METHODS_MAX, MESSAGE_BYTES_MAX, POOL_SIZE_MAX,
    SERVICES_MAX, ServerLimits,
};
pub use self::listen::ListenAddress;
pub use self::server::{Drained, GrpcServer, GrpcServerBuilder};
pub use self::transport::GrpcTransport;
