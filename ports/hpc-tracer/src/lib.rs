//! The port for tracing: spans with fields, the W3C trace context, and the tracer that does nothing.
//!
//! Never reads the clock, never blocks, never fails: tracing must not change what a program does.
//!
//! ```
//! use hpc_tracer::{NoopTracer, Tracer, field};
//!
//! fn apply(tracer: &dyn Tracer, plan_id: &str) {
//!     let mut span = tracer.start("apply", None, &[field("plan_id", plan_id)]);
//!     let child = tracer.start("provision", span.id(), &[]);
//!     drop(child);
//!     span.record(field("attempts", 2u64));
//! } // the span ends here
//! apply(&NoopTracer, "pln_1");
//! ```
//!
//! No features.

mod context;
mod field;
mod span;

pub use context::{TraceParent, TraceParentError};
pub use field::{FIELDS_MAX, Field, FieldValue, TEXT_BYTES_MAX, field};
pub use span::{NoopTracer, Span, SpanId, SpanSink, Tracer};
