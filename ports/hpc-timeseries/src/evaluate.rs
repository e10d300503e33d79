//! Pure evaluation, shared by backends that hold the samples themselves.
//!
//! A backend streams the samples of each column of one group into a [`Fold`], in any order, and takes the answer out.

use crate::point::Value;
use crate::query::{Aggregation, Fill, Grouping, Order, Select};
use crate::series::Sample;

/// The tags a series shows in the answer: all of them, or those grouped by.
pub fn shown_tags(grouping: &Grouping, tags: &[(String, String)]) -> Vec<(String, String)> {
    match grouping {
        Grouping::EachSeries => tags.to_vec(),
        Grouping::ByTags(names) => tags.iter().filter(|(name, _)| names.contains(name)).cloned().collect(),
    }
}

/// Orders and cuts stored samples as the query asks; they come sorted by time. The flag says whether any was cut.
pub fn arrange(select: &Select, mut samples: Vec<Sample>) -> (Vec<Sample>, bool) {
    if select.order() == Order::NewestFirst {
        samples.reverse();
    }
    let cut = samples.len() > select.limit();
    samples.truncate(select.limit());
    (samples, cut)
}

/// Folds samples into windows aligned to 1970.
#[derive(Debug)]
pub struct Fold {
    aggregation: Aggregation,
    window_ns: i64,
    start_ns: i64,
    end_ns: i64,
    first_window: i64,
    cells: Vec<Option<Cell>>,
}

impl Fold {
    /// A fold for an aggregation over `[start_ns, end_ns)`.
    ///
    /// Memory is one cell per window, so at most [`crate::WINDOWS_MAX`] for a valid query.
    pub fn new(aggregation: Aggregation, window_ns: i64, start_ns: i64, end_ns: i64) -> Self {
        let window_ns = window_ns.max(1);
        let first_window = start_ns.div_euclid(window_ns);
        let windows = if end_ns > start_ns {
            (end_ns - 1).div_euclid(window_ns).saturating_sub(first_window).saturating_add(1)
        } else {
            0
        };
        let windows = usize::try_from(windows.min(crate::query::WINDOWS_MAX)).unwrap_or(0);
        Self { aggregation, window_ns, start_ns, end_ns, first_window, cells: vec![None; windows] }
    }

    /// Adds one sample; one outside the range does not count.
    pub fn push(&mut self, ts_ns: i64, value: Value) {
        if ts_ns < self.start_ns || ts_ns >= self.end_ns {
            return;
        }
        let index = ts_ns.div_euclid(self.window_ns) - self.first_window;
        if let Some(cell) = usize::try_from(index).ok().and_then(|index| self.cells.get_mut(index)) {
            match cell {
                Some(cell) => cell.add(ts_ns, value),
                None => *cell = Some(Cell::new(ts_ns, value)),
            }
        }
    }

    /// The windows in the order of the query, cut to its limit; empty if no sample came. The flag says whether any was cut.
    pub fn finish(self, fill: Fill, order: Order, limit: usize) -> (Vec<Sample>, bool) {
        if self.cells.iter().all(Option::is_none) {
            return (Vec::new(), false);
        }
        let (aggregation, window_ns, first_window) = (self.aggregation, self.window_ns, self.first_window);
        let mut samples: Vec<Sample> = (first_window..)
            .zip(self.cells)
            .filter_map(|(window, cell)| {
                let value = match (cell, fill) {
                    (Some(cell), _) => Some(cell.value(aggregation)),
                    (None, Fill::None) => return None,
                    (None, Fill::Null) => (aggregation == Aggregation::Count).then_some(Value::Integer(0)),
                };
                Some(Sample { ts_ns: window * window_ns, value })
            })
            .collect();
        if order == Order::NewestFirst {
            samples.reverse();
        }
        let cut = samples.len() > limit;
        samples.truncate(limit);
        (samples, cut)
    }
}

#[derive(Debug, Clone)]
struct Cell {
    count: i64,
    sum: Sum,
    min: Value,
    max: Value,
    first: (i64, Value),
    last: (i64, Value),
}

#[derive(Debug, Clone, Copy)]
enum Sum {
    Float(f64),
    Integer(i128),
}

impl Cell {
    fn new(ts_ns: i64, value: Value) -> Self {
        let sum = match value {
            Value::Float(value) => Sum::Float(value),
            Value::Integer(value) => Sum::Integer(i128::from(value)),
        };
        Self { count: 1, sum, min: value, max: value, first: (ts_ns, value), last: (ts_ns, value) }
    }

    fn add(&mut self, ts_ns: i64, value: Value) {
        self.count += 1;
        self.sum = match (self.sum, value) {
            (Sum::Integer(sum), Value::Integer(value)) => Sum::Integer(sum.saturating_add(i128::from(value))),
            (sum, value) => Sum::Float(sum.as_f64() + value.as_f64()),
        };
        if greater(self.min, value) {
            self.min = value;
        }
        if greater(value, self.max) {
            self.max = value;
        }
        let (first_ns, first) = self.first;
        if ts_ns < first_ns || (ts_ns == first_ns && greater(value, first)) {
            self.first = (ts_ns, value);
        }
        let (last_ns, last) = self.last;
        if ts_ns > last_ns || (ts_ns == last_ns && greater(value, last)) {
            self.last = (ts_ns, value);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a mean is a float; counts stay far below 2^53")]
    fn value(&self, aggregation: Aggregation) -> Value {
        match aggregation {
            Aggregation::Mean => Value::Float(self.sum.as_f64() / self.count as f64),
            Aggregation::Sum => match self.sum {
                Sum::Float(sum) => Value::Float(sum),
                Sum::Integer(sum) => {
                    Value::Integer(i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX }))
                }
            },
            Aggregation::Min => self.min,
            Aggregation::Max => self.max,
            Aggregation::Count => Value::Integer(self.count),
            Aggregation::First => self.first.1,
            Aggregation::Last => self.last.1,
        }
    }
}

impl Sum {
    #[expect(clippy::cast_precision_loss, reason = "only for means and mixed kinds, which are floats")]
    fn as_f64(self) -> f64 {
        match self {
            Self::Float(sum) => sum,
            Self::Integer(sum) => sum as f64,
        }
    }
}

/// Integers compare exactly; a field holds one kind, so mixed values only meet when series of odd backends are folded.
fn greater(left: Value, right: Value) -> bool {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => left > right,
        (left, right) => left.as_f64() > right.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(aggregation: Aggregation, samples: &[(i64, Value)]) -> Vec<Sample> {
        let mut fold = Fold::new(aggregation, 10, -15, 25);
        for (ts_ns, value) in samples {
            fold.push(*ts_ns, *value);
        }
        fold.finish(Fill::None, Order::OldestFirst, 100).0
    }

    fn at(ts_ns: i64, value: impl Into<Value>) -> Sample {
        Sample { ts_ns, value: Some(value.into()) }
    }

    #[test]
    fn windows_align_to_1970_also_before_it() {
        let counts = fold(
            Aggregation::Count,
            &[
                (-16, 1.0.into()),
                (-15, 1.0.into()),
                (-1, 1.0.into()),
                (0, 1.0.into()),
                (24, 1.0.into()),
                (25, 1.0.into()),
            ],
        );
        assert_eq!(counts, [at(-20, 1), at(-10, 1), at(0, 1), at(20, 1)]);
    }

    #[test]
    fn integers_stay_exact_and_saturate() {
        let big = i64::MAX - 1;
        assert_eq!(fold(Aggregation::Max, &[(0, big.into()), (1, i64::MAX.into())]), [at(0, i64::MAX)]);
        assert_eq!(fold(Aggregation::Sum, &[(0, big.into()), (1, i64::MAX.into())]), [at(0, i64::MAX)]);
        assert_eq!(fold(Aggregation::Mean, &[(0, 1.into()), (1, 2.into())]), [at(0, 1.5)]);
    }

    #[test]
    fn ties_take_the_greatest() {
        assert_eq!(
            fold(Aggregation::First, &[(1, 2.0.into()), (1, 5.0.into()), (1, 3.0.into())]),
            [at(0, 5.0)]
        );
        assert_eq!(fold(Aggregation::Last, &[(1, 5.0.into()), (1, 2.0.into())]), [at(0, 5.0)]);
    }

    #[test]
    fn empty_windows_fill_as_asked() {
        let mut nulls = Fold::new(Aggregation::Mean, 10, 0, 30);
        nulls.push(10, 1.0.into());
        let (samples, cut) = nulls.finish(Fill::Null, Order::NewestFirst, 2);
        assert_eq!(samples, [Sample { ts_ns: 20, value: None }, at(10, 1.0)]);
        assert!(cut);
        let mut zeros = Fold::new(Aggregation::Count, 10, 0, 20);
        zeros.push(10, 1.0.into());
        assert_eq!(zeros.finish(Fill::Null, Order::OldestFirst, 9).0, [at(0, 0), at(10, 1)]);
        let empty = Fold::new(Aggregation::Count, 10, 0, 20);
        assert_eq!(empty.finish(Fill::Null, Order::OldestFirst, 9).0, []);
    }

    #[test]
    fn an_empty_range_has_no_windows() {
        let mut fold = Fold::new(Aggregation::Count, 10, 7, 7);
        fold.push(7, 1.0.into());
        assert_eq!(fold.finish(Fill::Null, Order::OldestFirst, 9).0, []);
    }
}
