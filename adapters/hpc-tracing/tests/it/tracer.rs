//! The suite of the port, seen through a subscriber that collects closed spans.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use hpc_conformance::tracer::{Seen, TracerUnderTest};
use hpc_tracer::{Field, Span, SpanId, Tracer, field};
use hpc_tracing::TracingTracer;
use tracing::field::Visit;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

#[derive(Clone, Default)]
struct Collect {
    closed: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Default)]
struct Values(HashMap<&'static str, String>);

impl Visit for Values {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Collect {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut values = Values::default();
        attributes.record(&mut values);
        let span = context.span(id).unwrap();
        // A parent may close first, so its number is kept by the child.
        let parent = span.parent().and_then(|parent| {
            parent.extensions().get::<Values>().and_then(|values| values.0.get("span_id").cloned())
        });
        if let Some(parent) = parent {
            values.0.insert("parent", parent);
        }
        span.extensions_mut().insert(values);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut extensions = span.extensions_mut();
        record.record(extensions.get_mut::<Values>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let mut extensions = span.extensions_mut();
        let mut values = extensions.remove::<Values>().unwrap().0;
        let fields = values.remove("fields").unwrap_or_else(|| "{}".to_owned());
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&fields).unwrap();
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        assert_eq!(values.contains_key("error"), values.contains_key("otel.status_code"));
        self.closed.lock().unwrap().push(Seen {
            name: values.remove("otel.name").unwrap(),
            id: values.remove("span_id").unwrap().parse().unwrap(),
            parent: values.remove("parent").map(|parent| parent.parse().unwrap()),
            fields: fields.into_iter().map(|(key, value)| (key, text(value))).collect(),
            failed: values.remove("error"),
        });
    }
}

/// Starts every span under one subscriber, whatever thread it is on.
struct Scoped {
    tracer: TracingTracer,
    dispatch: Dispatch,
    collect: Collect,
}

impl Scoped {
    fn new() -> Self {
        let collect = Collect::default();
        let dispatch = Dispatch::new(Registry::default().with(collect.clone()));
        Self { tracer: TracingTracer::new(), dispatch, collect }
    }
}

struct Within(TracingTracer, Dispatch);

impl Tracer for Within {
    fn start(&self, name: &'static str, parent: Option<SpanId>, fields: &[Field]) -> Span {
        tracing::dispatcher::with_default(&self.1, || self.0.start(name, parent, fields))
    }
}

impl TracerUnderTest for Scoped {
    fn tracer(&self) -> Arc<dyn Tracer> {
        Arc::new(Within(self.tracer.clone(), self.dispatch.clone()))
    }

    fn seen(&self) -> Vec<Seen> {
        self.collect.closed.lock().unwrap().clone()
    }
}

hpc_conformance::tracer!(Scoped::new());

#[test]
fn spans_without_a_subscriber_do_nothing() {
    let mut span = TracingTracer::new().start("quiet", None, &[field("a", 1u64)]);
    span.fail("x");
    span.end();
}

#[test]
fn the_number_of_open_spans_is_limited() {
    let tracer = TracingTracer::new();
    let mut open: Vec<_> = (0..10_000).map(|_| tracer.start("open", None, &[])).collect();
    assert_eq!(tracer.start("one more", None, &[]).id(), None);
    drop(open.pop());
    assert!(tracer.start("one more", None, &[]).id().is_some());
}
