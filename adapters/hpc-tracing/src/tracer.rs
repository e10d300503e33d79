use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpc_tracer::{Field, FieldValue, Span, SpanId, SpanSink, Tracer};
use serde_json::{Map, Value};
use tracing::field::Empty;

/// Most spans open at one time; further ones are not recorded.
const OPEN_SPANS_MAX: usize = 10_000;

/// The port [`Tracer`] over the `tracing` subscriber of the process.
///
/// Each span is a `tracing` span `op` with the port's name in `otel.name`, the fields as one JSON object in
/// `fields`, and the reason of a failure in `error` with `otel.status_code` set to `ERROR`.
#[derive(Debug, Clone, Default)]
pub struct TracingTracer {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    started: AtomicU64,
    /// Open spans, so that a child finds its parent and the parent stays until its children have been made.
    open: Mutex<HashMap<u64, tracing::Span>>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, tracing::Span>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TracingTracer {
    /// A tracer; all of a process may share one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Tracer for TracingTracer {
    fn start(&self, name: &'static str, parent: Option<SpanId>, fields: &[Field]) -> Span {
        let number = self.shared.started.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(id) = SpanId::new(number) else { return Span::none() };
        let mut open = self.shared.open();
        if open.len() >= OPEN_SPANS_MAX {
            return Span::none();
        }
        let parent = parent.and_then(|parent| open.get(&parent.get())).and_then(tracing::Span::id);
        let span = tracing::info_span!(
            parent: parent,
            "op",
            otel.name = name,
            span_id = number,
            fields = Empty,
            error = Empty,
            otel.status_code = Empty,
        );
        open.insert(number, span.clone());
        drop(open);
        let sink = Sink { span, number, fields: Map::new(), shared: Arc::clone(&self.shared) };
        Span::open(id, Box::new(sink), fields)
    }
}

struct Sink {
    span: tracing::Span,
    number: u64,
    fields: Map<String, Value>,
    shared: Arc<Shared>,
}

impl SpanSink for Sink {
    fn record(&mut self, field: Field) {
        let value = match field.value {
            FieldValue::Text(text) => Value::from(text),
            FieldValue::Unsigned(number) => Value::from(number),
            FieldValue::Signed(number) => Value::from(number),
            FieldValue::Float(number) => Value::from(number),
            FieldValue::Flag(flag) => Value::from(flag),
            other => Value::from(other.to_string()),
        };
        self.fields.insert(field.key.to_owned(), value);
    }

    fn fail(&mut self, reason: String) {
        self.span.record("error", reason.as_str());
        self.span.record("otel.status_code", "ERROR");
    }

    fn end(self: Box<Self>) {
        let Self { span, number, fields, shared } = *self;
        if !fields.is_empty() {
            span.record("fields", Value::Object(fields).to_string().as_str());
        }
        let subscriber = span.with_subscriber(|(_, subscriber)| subscriber.clone());
        let close = move || {
            let removed = shared.open().remove(&number);
            drop((removed, span));
        };
        // The registry closes a parent through the thread's subscriber, which need not be the one that knows it.
        match subscriber {
            Some(subscriber) => tracing::dispatcher::with_default(&subscriber, close),
            None => close(),
        }
    }
}
