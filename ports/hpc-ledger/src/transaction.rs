//! What is written: comparisons, and writes that happen only if all of them hold.

use std::collections::BTreeMap;

use crate::{Key, LedgerError, Revision};

/// Most comparisons and writes together in one transaction.
pub const COMPARISONS_AND_WRITES_MAX: usize = 1024;

/// Most bytes in one value.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// Most bytes of keys and values together in one transaction.
pub const TRANSACTION_BYTES_MAX: usize = 4 << 20;

/// Comparisons, and writes that are made together if every comparison holds.
///
/// The same key written twice keeps the last write. Limits are checked by [`check`](Self::check), which every
/// ledger calls first.
///
/// ```
/// # use hpc_ledger::{Key, Transaction};
/// # fn main() -> Result<(), hpc_ledger::LedgerError> {
/// let (budget, hold) = (Key::parse("budget/team-a")?, Key::parse("hold/req_1")?);
/// let transaction = Transaction::new()
///     .expect_version(&budget, 41)
///     .expect_absent(&hold)
///     .put(&budget, b"{\"held\":120}")
///     .put(&hold, b"{}");
/// assert_eq!(transaction.len(), 4);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    comparisons: Vec<Comparison>,
    writes: BTreeMap<Key, Write>,
}

/// One comparison of a [`Transaction`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The key compared.
    pub key: Key,
    /// What must hold for it.
    pub expect: Expect,
}

/// What a [`Comparison`] asks of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key has no value.
    Absent,
    /// The key has a value, and the last write to it was this revision.
    Version(Revision),
}

impl Expect {
    /// Whether a key whose last write was `version` (`None`: it has no value) is as expected.
    #[must_use]
    pub fn holds(self, version: Option<Revision>) -> bool {
        match self {
            Self::Absent => version.is_none(),
            Self::Version(expected) => version == Some(expected),
        }
    }
}

/// One write of a [`Transaction`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Give the key this value.
    Put(Vec<u8>),
    /// Leave the key without a value.
    Delete,
}

impl Transaction {
    /// A transaction that asks nothing and writes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds if `key` has no value.
    #[must_use]
    pub fn expect_absent(mut self, key: impl Into<Key>) -> Self {
        self.comparisons.push(Comparison { key: key.into(), expect: Expect::Absent });
        self
    }

    /// Holds if `key` has a value that was last written by `version`.
    #[must_use]
    pub fn expect_version(mut self, key: impl Into<Key>, version: Revision) -> Self {
        self.comparisons.push(Comparison { key: key.into(), expect: Expect::Version(version) });
        self
    }

    /// Holds if `key` is as a read found it: absent for `None`, else of that version.
    #[must_use]
    pub fn expect_unchanged(self, key: impl Into<Key>, read: Option<&crate::Versioned>) -> Self {
        match read {
            None => self.expect_absent(key),
            Some(versioned) => self.expect_version(key, versioned.version),
        }
    }

    /// Gives `key` the value `value`.
    #[must_use]
    pub fn put(mut self, key: impl Into<Key>, value: impl Into<Vec<u8>>) -> Self {
        self.writes.insert(key.into(), Write::Put(value.into()));
        self
    }

    /// Leaves `key` without a value; deleting an absent key is fine and is no change.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Key>) -> Self {
        self.writes.insert(key.into(), Write::Delete);
        self
    }

    /// Adds the comparisons and writes of `other`; for a key both write, `other` wins.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.comparisons.extend(other.comparisons);
        self.writes.extend(other.writes);
        self
    }

    /// The comparisons, in the order they were given.
    #[must_use]
    pub fn comparisons(&self) -> &[Comparison] {
        &self.comparisons
    }

    /// The writes, in key order.
    pub fn writes(&self) -> impl ExactSizeIterator<Item = (&Key, &Write)> {
        self.writes.iter()
    }

    /// Number of comparisons and writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.comparisons.len().saturating_add(self.writes.len())
    }

    /// Whether it has neither comparisons nor writes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let compared: usize = self.comparisons.iter().map(|comparison| comparison.key.as_str().len()).sum();
        let written: usize = self
            .writes
            .iter()
            .map(|(key, write)| {
                key.as_str().len()
                    + match write {
                        Write::Put(value) => value.len(),
                        Write::Delete => 0,
                    }
            })
            .sum();
        compared.saturating_add(written)
    }

    /// Checks the limits of this port.
    ///
    /// # Errors
    /// Only [`LedgerError::TooLarge`].
    pub fn check(&self) -> Result<(), LedgerError> {
        let check = |what, actual: usize, limit: usize| {
            if actual > limit {
                return Err(LedgerError::TooLarge { what, actual: actual as u64, limit: limit as u64 });
            }
            Ok(())
        };
        check("number of comparisons and writes", self.len(), COMPARISONS_AND_WRITES_MAX)?;
        for write in self.writes.values() {
            if let Write::Put(value) = write {
                check("value size in bytes", value.len(), VALUE_BYTES_MAX)?;
            }
        }
        check("transaction size in bytes", self.bytes(), TRANSACTION_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Versioned;

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    #[test]
    fn the_last_write_to_a_key_wins() {
        let transaction = Transaction::new().put(key("a"), b"1").delete(key("a")).put(key("b"), b"2");
        let writes: Vec<_> = transaction.writes().map(|(key, write)| (key.as_str(), write.clone())).collect();
        assert_eq!(writes, [("a", Write::Delete), ("b", Write::Put(b"2".to_vec()))]);
    }

    #[test]
    fn expect_unchanged_is_what_was_read() {
        let read = Versioned { value: vec![], version: 9 };
        assert_eq!(
            Transaction::new().expect_unchanged(key("a"), Some(&read)),
            Transaction::new().expect_version(key("a"), 9)
        );
        assert_eq!(
            Transaction::new().expect_unchanged(key("a"), None),
            Transaction::new().expect_absent(key("a"))
        );
    }

    #[test]
    fn expectations_hold_or_not() {
        assert!(Expect::Absent.holds(None) && !Expect::Absent.holds(Some(1)));
        assert!(Expect::Version(1).holds(Some(1)) && !Expect::Version(1).holds(Some(2)));
        assert!(!Expect::Version(0).holds(None));
    }

    #[test]
    fn limits_are_exact() {
        let mut full = Transaction::new();
        for index in 0..COMPARISONS_AND_WRITES_MAX {
            full = full.put(key(&format!("k/{index}")), b"");
        }
        assert_eq!(full.check(), Ok(()));
        let too_many = full.expect_absent(key("one/more"));
        assert!(matches!(too_many.check(), Err(LedgerError::TooLarge { actual: 1025, limit: 1024, .. })));

        assert_eq!(Transaction::new().put(key("a"), vec![0; VALUE_BYTES_MAX]).check(), Ok(()));
        let value = Transaction::new().put(key("a"), vec![0; VALUE_BYTES_MAX + 1]);
        assert!(matches!(value.check(), Err(LedgerError::TooLarge { what: "value size in bytes", .. })));

        let mut heavy = Transaction::new();
        for index in 0..4 {
            heavy = heavy.put(key(&format!("k{index}")), vec![0; VALUE_BYTES_MAX]);
        }
        assert!(matches!(
            heavy.check(),
            Err(LedgerError::TooLarge { what: "transaction size in bytes", .. })
        ));
    }

    proptest::proptest! {
        #[test]
        fn size_is_the_sum_of_its_parts(values in proptest::collection::vec(0usize..300, 0..40)) {
            let mut transaction = Transaction::new();
            for (index, len) in values.iter().enumerate() {
                transaction = transaction.put(key(&format!("k{index:03}")), vec![7; *len]);
            }
            proptest::prop_assert_eq!(transaction.bytes(), values.iter().sum::<usize>() + 4 * values.len());
            proptest::prop_assert_eq!(transaction.len(), values.len());
        }
    }
}
