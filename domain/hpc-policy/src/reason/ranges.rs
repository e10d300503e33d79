//! Sets of whole numbers as ranges.

/// Disjoint ranges, ends included, ascending. Other ordered things (instants, addresses, versions) are numbered first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(i128, i128)>);

impl Ranges {
    pub(crate) const EMPTY: Self = Self(Vec::new());

    pub(crate) fn between(first: i128, last: i128) -> Self {
        Self(if first <= last { vec![(first, last)] } else { Vec::new() })
    }

    /// The union of ranges in any order.
    pub(crate) fn union(ranges: impl IntoIterator<Item = (i128, i128)>) -> Self {
        let mut all: Vec<(i128, i128)> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        all.sort_unstable();
        let mut merged: Vec<(i128, i128)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, number: i128) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&number))
    }

    pub(crate) fn intersect(&mut self, other: &Self) {
        let (mut left, mut right) = (self.0.iter().copied().peekable(), other.0.iter().copied().peekable());
        let mut both = Vec::new();
        while let (Some(one), Some(two)) = (left.peek().copied(), right.peek().copied()) {
            let (first, last) = (one.0.max(two.0), one.1.min(two.1));
            if first <= last {
                both.push((first, last));
            }
            if one.1 <= two.1 {
                left.next()
            } else {
                right.next()
            };
        }
        self.0 = both;
    }

    /// Takes `other` out.
    pub(crate) fn subtract(&mut self, other: &Self) {
        let mut rest = Vec::new();
        for &(begin, last) in &self.0 {
            let (mut first, mut open) = (begin, true);
            for &(from, to) in other.0.iter().filter(|(from, to)| *from <= last && *to >= begin) {
                if from > first {
                    rest.push((first, from - 1));
                }
                match to.checked_add(1) {
                    Some(next) if next <= last => first = next,
                    _ => {
                        open = false;
                        break;
                    }
                }
            }
            if open && first <= last {
                rest.push((first, last));
            }
        }
        self.0 = rest;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i128, i128)> + '_ {
        self.0.iter().copied()
    }

    /// Some number in it, small ones first.
    pub(crate) fn sample(&self) -> Option<i128> {
        let nearest = |&(first, last): &(i128, i128)| if first > 0 { first } else { last.min(0) };
        self.0.iter().map(nearest).min_by_key(|number| number.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some() -> impl Strategy<Value = Vec<(i128, i128)>> {
        prop::collection::vec((-8..8_i128, -8..8_i128), 0..4)
    }

    proptest! {
        #[test]
        fn ranges_are_sets(left in some(), right in some()) {
            let within = |ranges: &[(i128, i128)], number| ranges.iter().any(|(first, last)| (*first..=*last).contains(&number));
            let (one, two) = (Ranges::union(left.clone()), Ranges::union(right.clone()));
            let (mut both, mut without) = (one.clone(), one.clone());
            both.intersect(&two);
            without.subtract(&two);
            for number in -9..9 {
                let (l, r) = (within(&left, number), within(&right, number));
                prop_assert_eq!(one.contains(number), l);
                prop_assert_eq!(both.contains(number), l && r);
                prop_assert_eq!(without.contains(number), l && !r);
            }
            prop_assert_eq!(without.is_empty(), without.sample().is_none());
            prop_assert!(without.sample().is_none_or(|number| without.contains(number)));
        }
    }

    #[test]
    fn the_whole_line_can_be_cut() {
        let mut all = Ranges::between(i128::MIN, i128::MAX);
        all.subtract(&Ranges::between(i128::MIN, -1));
        all.subtract(&Ranges::between(1, i128::MAX));
        assert_eq!(all, Ranges::between(0, 0));
        all.subtract(&Ranges::between(i128::MIN, i128::MAX));
        assert!(all.is_empty());
    }
}
