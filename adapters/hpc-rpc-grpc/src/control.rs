//! Clients and servers of the control services, generated from `proto/hpc/control`. The messages are in `hpc_types::control`.

/// Version 1: `request_service_client`, `request_service_server` and so on, one pair of modules a service.
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    missing_docs,
    reason = "generated code"
)]
pub mod v1 {
    include!("gen/hpc.control.v1.rs");
}
