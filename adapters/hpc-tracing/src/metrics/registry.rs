use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::{counter, family, gauge, histogram};
use prometheus_client::registry::Registry;

/// Most instruments of one registry.
pub const INSTRUMENTS_MAX: usize = 500;
/// Most series of one instrument: the product of its labels' values, [`OTHER`] included.
pub const SERIES_MAX: usize = 1000;
/// What a label value that is not on the list is counted as.
pub const OTHER: &str = "_OTHER";
/// Buckets for calls between ten microseconds and ten seconds.
pub const LATENCY_BUCKETS_SECONDS: &[f64] =
    &[0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
const NAME_BYTES_MAX: usize = 128;
const BUCKETS_MAX: usize = 64;

/// A label and every value it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name, in snake case.
    pub name: &'static str,
    /// Its values.
    pub values: &'static [&'static str],
}

/// Why an instrument cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// Not of the form `[a-z][a-z0-9_]*`, too long, or with a suffix the format adds itself.
    #[error(
        "metric or label name `{0}` must match [a-z][a-z0-9_]* and not end in _total, _bucket, _count or _sum"
    )]
    InvalidName(String),
    /// Another instrument has the name.
    #[error("metric `{0}` is registered with another kind, help text, labels or buckets")]
    Taken(String),
    /// Over [`SERIES_MAX`].
    #[error("metric `{0}` would have more than {SERIES_MAX} series")]
    TooManySeries(String),
    /// Over [`INSTRUMENTS_MAX`].
    #[error("more than {INSTRUMENTS_MAX} metrics")]
    TooManyInstruments,
    /// Buckets are empty, too many, not finite or not in ascending order.
    #[error("buckets of metric `{0}` must be 1 to {BUCKETS_MAX} finite numbers in ascending order")]
    InvalidBuckets(String),
}

type Labels = Vec<(&'static str, &'static str)>;

#[derive(Clone)]
struct BucketsOf(&'static [f64]);

impl family::MetricConstructor<histogram::Histogram> for BucketsOf {
    fn new_metric(&self) -> histogram::Histogram {
        histogram::Histogram::new(self.0.iter().copied())
    }
}

type CounterMap = family::Family<Labels, counter::Counter>;
type GaugeMap = family::Family<Labels, gauge::Gauge<f64, AtomicU64>>;
type HistogramMap = family::Family<Labels, histogram::Histogram, BucketsOf>;

/// Counts up.
#[derive(Debug, Clone)]
pub struct Counter(counter::Counter);

impl Counter {
    /// Adds 1.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// Adds a number.
    pub fn add(&self, count: u64) {
        self.0.inc_by(count);
    }

    /// The count so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.get()
    }
}

/// Goes up and down.
#[derive(Debug, Clone)]
pub struct Gauge(gauge::Gauge<f64, AtomicU64>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Adds a number, which may be negative.
    pub fn add(&self, value: f64) {
        self.0.inc_by(value);
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.0.get()
    }
}

/// Sorts values into buckets.
#[derive(Debug, Clone)]
pub struct Histogram(histogram::Histogram);

impl Histogram {
    /// Counts a value; one that is not finite is left out.
    pub fn observe(&self, value: f64) {
        if value.is_finite() {
            self.0.observe(value);
        }
    }

    /// Counts a duration, in seconds.
    pub fn observe_duration(&self, duration: std::time::Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

macro_rules! families {
    ($($(#[$doc:meta])* $family:ident, $map:ident, $handle:ident;)+) => { $(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $family {
            map: $map,
            labels: Arc<[Label]>,
        }

        impl $family {
            /// The series with these label values, in the order of the labels. A value that is missing or not on
            /// the list counts as [`OTHER`]. Look a series up once and keep it.
            #[must_use]
            pub fn with(&self, values: &[&str]) -> $handle {
                let labels = listed(&self.labels, values);
                $handle(self.map.get_or_create(&labels).clone())
            }
        }

        impl fmt::Debug for $family {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($family)).field("labels", &self.labels).finish_non_exhaustive()
            }
        }
    )+ };
}

families! {
    /// Counters that differ in their labels.
    CounterFamily, CounterMap, Counter;
    /// Gauges that differ in their labels.
    GaugeFamily, GaugeMap, Gauge;
    /// Histograms that differ in their labels.
    HistogramFamily, HistogramMap, Histogram;
}

fn listed(labels: &[Label], values: &[&str]) -> Labels {
    let value = |index: usize, label: &Label| {
        let given = values.get(index).copied().unwrap_or_default();
        label.values.iter().copied().find(|value| *value == given).unwrap_or(OTHER)
    };
    labels.iter().enumerate().map(|(index, label)| (label.name, value(index, label))).collect()
}

/// The instruments of a process or a test. Clones share them.
#[derive(Clone, Default)]
pub struct MetricsRegistry {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    registry: Registry,
    instruments: BTreeMap<&'static str, (Definition, Instrument)>,
}

#[derive(PartialEq)]
struct Definition {
    help: &'static str,
    labels: Vec<Label>,
    buckets: &'static [f64],
}

#[derive(Clone)]
enum Instrument {
    OneCounter(Counter),
    OneGauge(Gauge),
    OneHistogram(Histogram),
    Counter(CounterMap),
    Gauge(GaugeMap),
    Histogram(HistogramMap),
}

/// The registry of the process, which [`init_metrics`](crate::init_metrics) serves.
#[must_use]
pub fn registry() -> MetricsRegistry {
    static REGISTRY: OnceLock<MetricsRegistry> = OnceLock::new();
    REGISTRY.get_or_init(MetricsRegistry::new).clone()
}

impl MetricsRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A counter; the format adds `_total` to its name. The same definition gives the same counter again.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn counter(&self, name: &'static str, help: &'static str) -> Result<Counter, MetricsError> {
        let definition = Definition { help, labels: Vec::new(), buckets: &[] };
        match self
            .instrument(name, definition, || Instrument::OneCounter(Counter(counter::Counter::default())))?
        {
            Instrument::OneCounter(counter) => Ok(counter),
            _ => Err(MetricsError::Taken(name.to_owned())),
        }
    }

    /// Counters with labels.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn counter_with(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[Label],
    ) -> Result<CounterFamily, MetricsError> {
        let definition = Definition { help, labels: labels.to_vec(), buckets: &[] };
        match self.instrument(name, definition, || Instrument::Counter(CounterMap::default()))? {
            Instrument::Counter(map) => Ok(CounterFamily { map, labels: labels.into() }),
            _ => Err(MetricsError::Taken(name.to_owned())),
        }
    }

    /// A gauge.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Result<Gauge, MetricsError> {
        let definition = Definition { help, labels: Vec::new(), buckets: &[] };
        match self.instrument(name, definition, || Instrument::OneGauge(Gauge(gauge::Gauge::default())))? {
            Instrument::OneGauge(gauge) => Ok(gauge),
            _ => Err(MetricsError::Taken(name.to_owned())),
        }
    }

    /// Gauges with labels.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn gauge_with(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[Label],
    ) -> Result<GaugeFamily, MetricsError> {
        let definition = Definition { help, labels: labels.to_vec(), buckets: &[] };
        match self.instrument(name, definition, || Instrument::Gauge(GaugeMap::default()))? {
            Instrument::Gauge(map) => Ok(GaugeFamily { map, labels: labels.into() }),
            _ => Err(MetricsError::Taken(name.to_owned())),
        }
    }

    /// A histogram with these upper bounds, such as [`LATENCY_BUCKETS_SECONDS`].
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        buckets: &'static [f64],
    ) -> Result<Histogram, MetricsError> {
        check_buckets(name, buckets)?;
        let definition = Definition { help, labels: Vec::new(), buckets };
        let new = || Instrument::OneHistogram(Histogram(histogram::Histogram::new(buckets.iter().copied())));
        match self.instrument(name, definition, new)? {
            Instrument::OneHistogram(histogram) => Ok(histogram),
            _ => Err(MetricsError::Taken(name.to_owned())),
        }
    }

    /// Histograms with labels.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn histogram_with(
        &self,
        name: &'static str,
        help: &'static str,
        buckets: &'static [f64],
        labels: &[Label],
    ) -> Result<HistogramFamily, MetricsError> {
        check_buckets(name, buckets)?;
        let definition = Definition { help, labels: labels.to_vec(), buckets };
        let new = || Instrument::Histogram(HistogramMap::new_with_constructor(BucketsOf(buckets)));
        match self.instrument(name, definition, new)? {
            Instrument::Histogram(map) => Ok(HistogramFamily { map, labels: labels.into() }),
            _ => Err(MetricsError::Taken(name.to_owned())),
        }
    }

    /// Every instrument in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail; were it to, an incomplete answer must not look complete.
        if encode(&mut text, &self.inner().registry).is_err() {
            text.clear();
        }
        text
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn instrument(
        &self,
        name: &'static str,
        definition: Definition,
        new: impl FnOnce() -> Instrument,
    ) -> Result<Instrument, MetricsError> {
        check_name(name)?;
        let mut series = 1usize;
        for label in &definition.labels {
            check_name(label.name)?;
            series = series.saturating_mul(label.values.len() + 1);
        }
        if series > SERIES_MAX {
            return Err(MetricsError::TooManySeries(name.to_owned()));
        }
        let mut inner = self.inner();
        if let Some((known, instrument)) = inner.instruments.get(name) {
            return if *known == definition {
                Ok(instrument.clone())
            } else {
                Err(MetricsError::Taken(name.to_owned()))
            };
        }
        if inner.instruments.len() >= INSTRUMENTS_MAX {
            return Err(MetricsError::TooManyInstruments);
        }
        let instrument = new();
        match &instrument {
            Instrument::OneCounter(one) => inner.registry.register(name, definition.help, one.0.clone()),
            Instrument::OneGauge(one) => inner.registry.register(name, definition.help, one.0.clone()),
            Instrument::OneHistogram(one) => inner.registry.register(name, definition.help, one.0.clone()),
            Instrument::Counter(map) => inner.registry.register(name, definition.help, map.clone()),
            Instrument::Gauge(map) => inner.registry.register(name, definition.help, map.clone()),
            Instrument::Histogram(map) => inner.registry.register(name, definition.help, map.clone()),
        }
        inner.instruments.insert(name, (definition, instrument.clone()));
        Ok(instrument)
    }
}

impl fmt::Debug for MetricsRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsRegistry").field("instruments", &self.inner().instruments.len()).finish()
    }
}

fn check_buckets(name: &str, buckets: &[f64]) -> Result<(), MetricsError> {
    let ascending = buckets.windows(2).all(|pair| matches!(pair, [low, high] if low < high));
    let finite = buckets.iter().all(|bucket| bucket.is_finite());
    if ascending && finite && !buckets.is_empty() && buckets.len() <= BUCKETS_MAX {
        Ok(())
    } else {
        Err(MetricsError::InvalidBuckets(name.to_owned()))
    }
}

fn check_name(name: &str) -> Result<(), MetricsError> {
    let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !["_total", "_bucket", "_count", "_sum", "_created"].iter().any(|suffix| name.ends_with(suffix));
    if fits { Ok(()) } else { Err(MetricsError::InvalidName(name.chars().take(NAME_BYTES_MAX).collect())) }
}
