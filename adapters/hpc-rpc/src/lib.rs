//! Remote calls and streams with mutual TLS: the port from `hpc-transport`, and its adapters on gRPC and QUIC.
//!
//! Never holds logic of its own: everything here is a re-export. An app chooses a transport, nothing falls back to another.
//!
//! ```no_run
//! # async fn example(
//! #     server_cert: hpc_rpc_example::Svid, client_cert: hpc_rpc_example::Svid, ca: hpc_rpc_example::Ca,
//! # ) -> Result<(), hpc_rpc::grpc::GrpcError> {
//! # let (addr, my_service) = ("127.0.0.1:50051", hpc_rpc_example::my_service());
//! use hpc_rpc::grpc::{GrpcClientBuilder, GrpcServerBuilder};
//!
//! let server = GrpcServerBuilder::new(addr)
//!     .with_tls(server_cert)?
//!     .with_client_auth(ca.clone())?
//!     .add_service(my_service)
//!     .build()?;
//!
//! let channel = GrpcClientBuilder::new("https://server:50051")
//!     .with_server_ca(ca)
//!     .with_client_cert(client_cert)
//!     .with_pool_size(5)
//!     .connect()
//!     .await?;
//! # Ok(())
//! # }
//! # mod hpc_rpc_example {
//! #     pub type Svid = hpc_identity::X509Svid;
//! #     pub type Ca = hpc_identity::TrustBundle;
//! #     pub fn my_service() -> tonic_health::pb::health_server::HealthServer<tonic_health::server::HealthService> {
//! #         tonic_health::pb::health_server::HealthServer::new(
//! #             tonic_health::server::HealthService::from_health_reporter(tonic_health::server::HealthReporter::new()))
//! #     }
//! # }
//! ```
//!
//! # Features
//! - `grpc` (on): [`grpc`]
//! - `quic` (on): [`quic`]

pub use hpc_transport::*;

#[cfg(feature = "grpc")]
pub use hpc_rpc_grpc as grpc;
#[cfg(feature = "quic")]
pub use hpc_rpc_quic as quic;
