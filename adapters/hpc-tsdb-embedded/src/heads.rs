//! Heads: the newest samples of each column, sorted, not yet compressed.

use crate::chunk::Raw;

/// Column, time, value bits.
pub(crate) type Raw3 = (u32, i64, u64);

#[derive(Default)]
pub(crate) struct Heads {
    columns: Vec<Vec<Raw>>,
    samples: usize,
}

impl Heads {
    /// Puts samples in; of two at one time the later call wins.
    pub(crate) fn insert(&mut self, samples: &[Raw3]) {
        for (column, ts_ns, bits) in samples {
            let column = *column as usize;
            if column >= self.columns.len() {
                self.columns.resize_with(column + 1, Vec::new);
            }
            let Some(head) = self.columns.get_mut(column) else { continue };
            if head.last().is_none_or(|(last, _)| last < ts_ns) {
                head.push((*ts_ns, *bits));
                self.samples += 1;
                continue;
            }
            match head.binary_search_by_key(ts_ns, |(ts_ns, _)| *ts_ns) {
                Ok(at) => {
                    if let Some(sample) = head.get_mut(at) {
                        sample.1 = *bits;
                    }
                }
                Err(at) => {
                    head.insert(at, (*ts_ns, *bits));
                    self.samples += 1;
                }
            }
        }
    }

    /// How many samples there are.
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// The samples of a column in `[start_ns, end_ns)`.
    pub(crate) fn range(&self, column: u32, start_ns: i64, end_ns: i64) -> &[Raw] {
        let head = self.columns.get(column as usize).map(Vec::as_slice).unwrap_or_default();
        let from = head.partition_point(|(ts_ns, _)| *ts_ns < start_ns);
        let to = head.partition_point(|(ts_ns, _)| *ts_ns < end_ns);
        head.get(from..to).unwrap_or_default()
    }

    /// The columns that have samples.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (u32, &[Raw])> {
        (0_u32..)
            .zip(&self.columns)
            .filter(|(_, head)| !head.is_empty())
            .map(|(id, head)| (id, head.as_slice()))
    }

    /// Forgets everything and gives the memory back.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stay_sorted_and_the_last_write_wins() {
        let mut heads = Heads::default();
        heads.insert(&[(1, 5, 50), (1, 3, 30), (1, 4, 40), (1, 3, 31), (1, 5, 51)]);
        assert_eq!(heads.range(1, i64::MIN, i64::MAX), [(3, 31), (4, 40), (5, 51)]);
        assert_eq!(heads.range(1, 4, 5), [(4, 40)]);
        assert_eq!(heads.range(9, 4, 5), []);
        assert_eq!(heads.samples(), 3);
        heads.clear();
        assert_eq!((heads.samples(), heads.filled().count()), (0, 0));
    }
}
