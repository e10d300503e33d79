//! The port between processes: one unary call, and one stream of frames each way, with a deadline, hard limits and the identity of the other end.
//!
//! Never opens a socket, reads a clock or knows a runtime: the caller passes "now", and the adapters
//! (`hpc-rpc-grpc`, `hpc-rpc-quic`, the fake in `hpc-memory`) carry the bytes.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use hpc_transport::{Deadline, Frame, FrameDecoder, FrameKind, Method};
//!
//! let method = Method::parse("/hpc.control.v1.NodeService/Join")?;
//! assert_eq!(method.service(), "hpc.control.v1.NodeService");
//!
//! let now = Instant::now();
//! let deadline = Deadline::after(now, Duration::from_secs(2));
//! assert_eq!(deadline.remaining(now + Duration::from_secs(3)), Duration::ZERO);
//!
//! let mut decoder = FrameDecoder::new();
//! decoder.push(&Frame::new(FrameKind::Data, "hello")?.encode());
//! assert_eq!(decoder.next_frame()?.map(|frame| frame.payload), Some("hello".into()));
//! # Ok::<(), hpc_transport::TransportError>(())
//! ```
//!
//! Features: none.

mod deadline;
mod error;
mod frame;
mod handler;
mod name;
mod transport;

pub use hpc_identity::PeerIdentity;

pub use self::deadline::{BUDGET_MAX, Deadline};
pub use self::error::{REASON_BYTES_MAX, Sent, TransportError};
pub use self::frame::{
    FRAME_HEADER_BYTES, FRAME_PAYLOAD_BYTES_MAX, FRAME_VERSION, Frame, FrameDecoder, FrameKind, Opening,
};
pub use self::handler::{CallContext, Handler, StreamContext};
pub use self::name::{METHOD_BYTES_MAX, Method, STREAM_NAME_BYTES_MAX, StreamName};
pub use self::transport::{FrameSink, FrameSource, Frames, MESSAGE_BYTES_MAX, Transport};

/// What every fallible function of this package returns.
pub type Result<T> = std::result::Result<T, TransportError>;
