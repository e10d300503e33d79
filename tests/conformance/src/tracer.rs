//! The contract of the `tracer` port, one case per sentence.
//!
//! ```ignore
//! hpc_conformance::tracer!(MyTracerUnderTest::new());
//! ```

use std::sync::Arc;

use hpc_tracer::{FIELDS_MAX, Field, FieldValue, Tracer, field};

/// A span as it was reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: u64,
    /// The id of its parent.
    pub parent: Option<u64>,
    /// Its fields, in any order, values as text.
    pub fields: Vec<(String, String)>,
    /// Why it failed.
    pub failed: Option<String>,
}

/// A tracer and what it has reported so far.
pub trait TracerUnderTest: Send + Sync {
    /// The tracer.
    fn tracer(&self) -> Arc<dyn Tracer>;
    /// Every ended span, in order of their ends.
    fn seen(&self) -> Vec<Seen>;
}

fn only(under_test: &dyn TracerUnderTest) -> Seen {
    let mut seen = under_test.seen();
    assert_eq!(seen.len(), 1, "exactly one span is reported: {seen:?}");
    seen.remove(0)
}

fn value<'s>(seen: &'s Seen, key: &str) -> Option<&'s str> {
    seen.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// A started span is open until it is ended or dropped, and is reported once.
pub fn a_span_is_reported_once_when_it_ends(under_test: &dyn TracerUnderTest) {
    let span = under_test.tracer().start("ended", None, &[]);
    assert!(under_test.seen().is_empty(), "an open span is not reported");
    span.end();
    assert_eq!(only(under_test).name, "ended");
    drop(under_test.tracer().start("dropped", None, &[]));
    let names: Vec<_> = under_test.seen().into_iter().map(|seen| seen.name).collect();
    assert_eq!(names, ["ended", "dropped"]);
}

/// Fields given at the start and fields recorded later are reported; of two with one key the later wins.
pub fn fields_are_reported_and_the_later_wins(under_test: &dyn TracerUnderTest) {
    let mut span = under_test.tracer().start("fields", None, &[field("zone", "a"), field("count", 1u64)]);
    span.record(field("zone", "b"));
    span.record(field("spot", true));
    span.record(field("text", "a=b, \"c\"\n\u{1b}[31m"));
    span.end();
    let seen = only(under_test);
    assert_eq!(value(&seen, "zone"), Some("b"));
    assert_eq!(value(&seen, "count"), Some("1"));
    assert_eq!(value(&seen, "spot"), Some("true"));
    assert_eq!(value(&seen, "text"), Some("a=b, \"c\"\n\u{1b}[31m"));
    assert_eq!(seen.fields.len(), 4, "{seen:?}");
}

/// A span started with the id of another is reported as its child, and one started without has no parent.
pub fn children_name_their_parent(under_test: &dyn TracerUnderTest) {
    let tracer = under_test.tracer();
    let parent = tracer.start("parent", None, &[]);
    let child = tracer.start("child", parent.id(), &[]);
    let other = tracer.start("other", None, &[]);
    assert_ne!(parent.id(), child.id());
    drop((child, other));
    drop(parent);
    let seen = under_test.seen();
    let find = |name: &str| seen.iter().find(|seen| seen.name == name).unwrap_or_else(|| absent(name));
    assert_eq!(find("child").parent, Some(find("parent").id));
    assert_eq!(find("parent").parent, None);
    assert_eq!(find("other").parent, None);
}

/// A span marked as failed is reported as failed with the reason, and one not marked is not.
pub fn failures_are_reported(under_test: &dyn TracerUnderTest) {
    let tracer = under_test.tracer();
    let mut span = tracer.start("failed", None, &[]);
    span.fail("first");
    let result: Result<(), &str> = span.check(Err("no capacity"));
    assert_eq!(result, Err("no capacity"));
    span.end();
    let mut span = tracer.start("fine", None, &[]);
    assert_eq!(span.check(Ok::<_, String>(1)), Ok(1));
    span.end();
    let failed: Vec<_> = under_test.seen().into_iter().map(|seen| seen.failed).collect();
    assert_eq!(failed, [Some("no capacity".to_owned()), None]);
}

/// Fields over the limit are dropped, and the span is reported nevertheless.
pub fn fields_over_the_limit_are_dropped(under_test: &dyn TracerUnderTest) {
    const KEYS: [&str; 40] = [
        "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "b0", "b1", "b2", "b3", "b4", "b5", "b6",
        "b7", "b8", "b9", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "d0", "d1", "d2", "d3",
        "d4", "d5", "d6", "d7", "d8", "d9",
    ];
    let fields: Vec<Field> = KEYS.iter().map(|key| Field { key, value: FieldValue::Unsigned(1) }).collect();
    let mut span = under_test.tracer().start("many", None, &fields);
    span.record(field("a0", 2u64));
    span.end();
    let seen = only(under_test);
    assert_eq!(seen.fields.len(), FIELDS_MAX);
    assert_eq!(value(&seen, "a0"), Some("2"), "a known key may still change");
}

/// Spans may be started on one thread and ended on another, and many at the same time.
pub fn spans_cross_threads(under_test: &dyn TracerUnderTest) {
    const THREADS: usize = 4;
    const SPANS: usize = 25;
    let tracer = under_test.tracer();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let spans: Vec<_> = (0..SPANS).map(|_| tracer.start("crossing", None, &[])).collect();
            scope.spawn(move || drop(spans));
        }
    });
    let mut ids: Vec<_> = under_test.seen().into_iter().map(|seen| seen.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), THREADS * SPANS, "every span is reported under an id of its own");
}

/// A child may end after its parent.
pub fn a_child_may_outlive_its_parent(under_test: &dyn TracerUnderTest) {
    let tracer = under_test.tracer();
    let parent = tracer.start("parent", None, &[]);
    let child = tracer.start("child", parent.id(), &[]);
    parent.end();
    child.end();
    let mut names: Vec<_> = under_test.seen().into_iter().map(|seen| seen.name).collect();
    names.sort();
    assert_eq!(names, ["child", "parent"]);
}

#[expect(clippy::panic, reason = "a conformance case fails by panicking")]
fn absent(name: &str) -> ! {
    panic!("no span `{name}` was reported")
}

/// Makes one test for each sentence of the contract; the expression gives a fresh [`TracerUnderTest`].
#[macro_export]
macro_rules! tracer {
    ($under_test:expr) => {
        $crate::tracer!(@cases $under_test;
            a_span_is_reported_once_when_it_ends
            fields_are_reported_and_the_later_wins
            children_name_their_parent
            failures_are_reported
            fields_over_the_limit_are_dropped
            spans_cross_threads
            a_child_may_outlive_its_parent
        );
    };
    (@cases $under_test:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::tracer::$case(&$under_test);
            }
        )*
    };
}
