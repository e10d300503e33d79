//! In-memory fake of the `tracer` port: keeps what was traced, for a test to look at.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpc_tracer::{Field, Span, SpanId, SpanSink, Tracer};

/// Most spans that are kept; the oldest make room.
pub const SPANS_MAX: usize = 10_000;

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EndedSpan {
    /// Its name.
    pub name: &'static str,
    /// Its id; ids count from 1.
    pub id: SpanId,
    /// The span it was started within.
    pub parent: Option<SpanId>,
    /// Its fields in the order in which their keys first came.
    pub fields: Vec<Field>,
    /// Why it failed.
    pub failed: Option<String>,
}

/// Keeps the spans that have ended, at most [`SPANS_MAX`]. Clones share them.
///
/// ```
/// use hpc_memory::tracer::MemoryTracer;
/// use hpc_tracer::Tracer;
///
/// let tracer = MemoryTracer::new();
/// tracer.start("plan", None, &[]).end();
/// assert_eq!(tracer.ended()[0].name, "plan");
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryTracer {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    started: AtomicU64,
    ended: Mutex<VecDeque<EndedSpan>>,
}

impl Shared {
    fn ended(&self) -> MutexGuard<'_, VecDeque<EndedSpan>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryTracer {
    /// Nothing traced yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The spans that have ended, in order of their ends.
    #[must_use]
    pub fn ended(&self) -> Vec<EndedSpan> {
        self.shared.ended().iter().cloned().collect()
    }

    /// How many spans were started.
    #[must_use]
    pub fn started_count(&self) -> u64 {
        self.shared.started.load(Ordering::Relaxed)
    }
}

impl Tracer for MemoryTracer {
    fn start(&self, name: &'static str, parent: Option<SpanId>, fields: &[Field]) -> Span {
        let number = self.shared.started.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(id) = SpanId::new(number) else { return Span::none() };
        let span = EndedSpan { name, id, parent, fields: Vec::new(), failed: None };
        Span::open(id, Box::new(Sink { span, shared: Arc::clone(&self.shared) }), fields)
    }
}

struct Sink {
    span: EndedSpan,
    shared: Arc<Shared>,
}

impl SpanSink for Sink {
    fn record(&mut self, field: Field) {
        match self.span.fields.iter_mut().find(|known| known.key == field.key) {
            Some(known) => *known = field,
            None => self.span.fields.push(field),
        }
    }

    fn fail(&mut self, reason: String) {
        self.span.failed = Some(reason);
    }

    fn end(self: Box<Self>) {
        let mut ended = self.shared.ended();
        if ended.len() >= SPANS_MAX {
            ended.pop_front();
        }
        ended.push_back(self.span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hpc_conformance::tracer::{Seen, TracerUnderTest};

    impl TracerUnderTest for MemoryTracer {
        fn tracer(&self) -> Arc<dyn Tracer> {
            Arc::new(self.clone())
        }

        fn seen(&self) -> Vec<Seen> {
            let seen = |span: EndedSpan| Seen {
                name: span.name.to_owned(),
                id: span.id.get(),
                parent: span.parent.map(SpanId::get),
                fields: span
                    .fields
                    .iter()
                    .map(|field| (field.key.to_owned(), field.value.to_string()))
                    .collect(),
                failed: span.failed,
            };
            self.ended().into_iter().map(seen).collect()
        }
    }

    hpc_conformance::tracer!(MemoryTracer::new());

    #[test]
    fn the_oldest_spans_make_room() {
        let tracer = MemoryTracer::new();
        for _ in 0..SPANS_MAX + 5 {
            tracer.start("s", None, &[]).end();
        }
        let ended = tracer.ended();
        assert_eq!((ended.len(), ended.first().map(|span| span.id.get())), (SPANS_MAX, Some(6)));
    }
}
