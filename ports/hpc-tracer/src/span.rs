use std::fmt;
use std::num::NonZeroU64;

use crate::field::{FIELDS_MAX, Field, cut};

/// Starts spans: named stretches of work with fields.
///
/// The contract, sentence by sentence:
/// 1. A started span is open until it is ended or dropped, and is reported once.
/// 2. Fields given at the start and fields recorded later are reported; of two with one key the later wins.
/// 3. A span started with the id of another is reported as its child, and one started without has no parent.
/// 4. A span marked as failed is reported as failed with the reason, and one not marked is not.
/// 5. Fields over [`FIELDS_MAX`] are dropped, and the span is reported nevertheless.
/// 6. Spans may be started on one thread and ended on another, and many at the same time.
/// 7. A child may end after its parent.
pub trait Tracer: Send + Sync {
    /// Starts a span. `name` is the program's own word, never input.
    fn start(&self, name: &'static str, parent: Option<SpanId>, fields: &[Field]) -> Span;
}

impl<T: Tracer + ?Sized> Tracer for std::sync::Arc<T> {
    fn start(&self, name: &'static str, parent: Option<SpanId>, fields: &[Field]) -> Span {
        (**self).start(name, parent, fields)
    }
}

/// Names a span within its tracer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(NonZeroU64);

impl SpanId {
    /// The id with this number; 0 is none.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

/// What a tracer implements for one span. [`Span`] keeps the limits and calls `end` once.
pub trait SpanSink: Send {
    /// Adds a field, or replaces the one with its key.
    fn record(&mut self, field: Field);
    /// Marks the span as failed; a later reason replaces an earlier one.
    fn fail(&mut self, reason: String);
    /// Ends the span.
    fn end(self: Box<Self>);
}

/// An open span; dropping it ends it.
#[must_use = "a span that is dropped at once measures nothing"]
pub struct Span {
    id: Option<SpanId>,
    sink: Option<Box<dyn SpanSink>>,
    keys: Vec<&'static str>,
}

impl Span {
    /// A span for an implementation of [`Tracer`]: the fields go to the sink, up to the limit.
    pub fn open(id: SpanId, sink: Box<dyn SpanSink>, fields: &[Field]) -> Self {
        let mut span = Self { id: Some(id), sink: Some(sink), keys: Vec::new() };
        for field in fields {
            span.record(field.clone());
        }
        span
    }

    /// A span that records nothing.
    pub const fn none() -> Self {
        Self { id: None, sink: None, keys: Vec::new() }
    }

    /// The id to start children with; `None` when nothing is recorded.
    #[must_use]
    pub const fn id(&self) -> Option<SpanId> {
        self.id
    }

    /// Adds a field, or replaces the one with its key. Over [`FIELDS_MAX`] keys it is dropped.
    pub fn record(&mut self, field: Field) {
        let Some(sink) = &mut self.sink else { return };
        if !self.keys.contains(&field.key) {
            if self.keys.len() >= FIELDS_MAX {
                return;
            }
            self.keys.push(field.key);
        }
        sink.record(field);
    }

    /// Marks the span as failed. The reason is cut at [`TEXT_BYTES_MAX`](crate::TEXT_BYTES_MAX).
    pub fn fail(&mut self, reason: impl fmt::Display) {
        if let Some(sink) = &mut self.sink {
            sink.fail(cut(reason.to_string()));
        }
    }

    /// Marks the span as failed if the result is an error, and hands the result on.
    ///
    /// # Errors
    /// The error of the result.
    pub fn check<T, E: fmt::Display>(&mut self, result: Result<T, E>) -> Result<T, E> {
        if let Err(error) = &result {
            self.fail(error);
        }
        result
    }

    /// Ends the span now.
    pub fn end(self) {}
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            sink.end();
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Records nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopTracer;

impl Tracer for NoopTracer {
    fn start(&self, _name: &'static str, _parent: Option<SpanId>, _fields: &[Field]) -> Span {
        Span::none()
    }
}
