//! The words on the wire: messages generated from `proto/`, builders, validation and conversions.
//!
//! Never opens a socket, never reads the clock, never invents a value: what was not measured is absent, not zero.
//!
//! ```
//! use hpc_types::telemetry_helpers::GpuMetricBuilder;
//!
//! let metric = GpuMetricBuilder::new("host-001", "gpu-0")
//!     .utilization(87.5)
//!     .memory(64.5, 80.0)
//!     .temperature(68.5)
//!     .power(350.0)
//!     .build();
//! assert_eq!(metric.utilization_ratio, Some(0.875));
//! assert_eq!(metric.memory_total_bytes, Some(80_000_000_000));
//! ```
//!
//! No features.

mod document;
mod redact;
pub mod sample;
pub mod telemetry_helpers;
pub mod time;
pub mod validate;

pub use document::{DOCUMENT_BYTES_MAX, DocumentError};
pub use sample::{GpuSample, HostSample};
pub use validate::{Validate, Violation, Violations};

/// Telemetry of nodes (`proto/hpc/telemetry`).
pub mod telemetry {
    /// Version 1.
    #[allow(clippy::all, clippy::pedantic, missing_docs, reason = "generated code")]
    pub mod v1 {
        include!("gen/hpc.telemetry.v1.rs");
    }
}

/// The control surface of the daemon (`proto/hpc/control`). Service stubs live in the gRPC adapter.
pub mod control {
    /// Version 1.
    #[allow(clippy::all, clippy::pedantic, missing_docs, reason = "generated code")]
    pub mod v1 {
        include!("gen/hpc.control.v1.rs");
    }
}

/// An encoded `google.protobuf.FileDescriptorSet` with every message and service above and what they import,
/// for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptors.bin");
