//! Quantities with their unit in the type: bytes, milli-CPUs, milli-GPUs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Largest amount of memory or storage that a request may name: 1 EiB.
pub const BYTES_MAX: u64 = 1 << 60;

/// Why a quantity was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a whole number with a unit.
    #[error("`{0}` is not a size; write a whole number and a unit such as `80 GiB` or `1 TB`")]
    Size(String),
    /// More than [`BYTES_MAX`].
    #[error("a size of more than 1 EiB cannot be asked for")]
    TooLarge,
}

/// The unit of a size. `KB` to `PB` are powers of 1000, `KiB` to `PiB` powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, clippy::upper_case_acronyms, reason = "the unit's own spelling is its documentation")]
pub enum ResourceUnit {
    B,
    KB,
    MB,
    GB,
    TB,
    PB,
    KiB,
    MiB,
    GiB,
    TiB,
    PiB,
}

impl ResourceUnit {
    const ALL: [(&'static str, Self, u64); 11] = [
        ("B", Self::B, 1),
        ("KB", Self::KB, 1_000),
        ("MB", Self::MB, 1_000_000),
        ("GB", Self::GB, 1_000_000_000),
        ("TB", Self::TB, 1_000_000_000_000),
        ("PB", Self::PB, 1_000_000_000_000_000),
        ("KiB", Self::KiB, 1 << 10),
        ("MiB", Self::MiB, 1 << 20),
        ("GiB", Self::GiB, 1 << 30),
        ("TiB", Self::TiB, 1 << 40),
        ("PiB", Self::PiB, 1 << 50),
    ];

    /// How many bytes one unit is.
    #[must_use]
    pub fn bytes(self) -> u64 {
        Self::ALL.iter().find(|(_, unit, _)| *unit == self).map_or(1, |(_, _, bytes)| *bytes)
    }
}

/// A size in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `amount` units.
    ///
    /// # Errors
    /// [`QuantityError::TooLarge`] above [`BYTES_MAX`].
    pub fn new(amount: u64, unit: ResourceUnit) -> Result<Self, QuantityError> {
        match amount.checked_mul(unit.bytes()) {
            Some(bytes) if bytes <= BYTES_MAX => Ok(Self(bytes)),
            _ => Err(QuantityError::TooLarge),
        }
    }

    /// `amount` mebibytes, saturating at [`BYTES_MAX`].
    #[must_use]
    pub fn from_mib(amount: u64) -> Self {
        Self(amount.saturating_mul(1 << 20).min(BYTES_MAX))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, _, bytes): &&(&str, ResourceUnit, u64)| self.0 != 0 && self.0.is_multiple_of(*bytes);
        // The largest unit that states the size exactly.
        match ResourceUnit::ALL.iter().filter(fits).max_by_key(|(_, _, bytes)| *bytes) {
            Some((name, _, bytes)) => write!(f, "{} {name}", self.0 / bytes),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl FromStr for Bytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bad = || QuantityError::Size(text.chars().take(40).collect());
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (digits, unit) = text.split_at_checked(end).ok_or_else(bad)?;
        let unit = unit.trim();
        let unit = ResourceUnit::ALL.iter().find(|(name, ..)| *name == unit).ok_or_else(bad)?.1;
        if digits.is_empty() {
            return Err(bad());
        }
        let amount = digits.parse().map_err(|_| QuantityError::TooLarge)?;
        Self::new(amount, unit)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Thousandths of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MilliCpu(pub u64);

impl MilliCpu {
    /// Whole CPUs.
    #[must_use]
    pub const fn whole(count: u32) -> Self {
        Self(count as u64 * 1_000)
    }
}

/// Thousandths of one accelerator. A share never spans devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MilliGpu(pub u32);

impl MilliGpu {
    /// One whole accelerator.
    pub const WHOLE: Self = Self(1_000);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gb_and_gib_differ() {
        assert_eq!(Bytes::new(1, ResourceUnit::GB), Ok(Bytes(1_000_000_000)));
        assert_eq!(Bytes::new(1, ResourceUnit::GiB), Ok(Bytes(1_073_741_824)));
    }

    #[test]
    fn text_round_trips() {
        for text in ["80 GiB", "1 TB", "7 B", "1536 MiB", "0 B"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
        assert_eq!("80GiB".parse::<Bytes>().unwrap(), Bytes(80 << 30));
    }

    #[test]
    fn nonsense_and_absurd_sizes_are_refused() {
        for text in ["", "80", "GiB", "1.5 GiB", "-1 GiB", "80 gib", "1 G", "0x1 B", "1 GiB GiB"] {
            assert!(matches!(text.parse::<Bytes>(), Err(QuantityError::Size(_))), "{text}");
        }
        assert_eq!("1025 PiB".parse::<Bytes>(), Err(QuantityError::TooLarge));
        assert_eq!("99999999999999999999 B".parse::<Bytes>(), Err(QuantityError::TooLarge));
        assert!("1024 PiB".parse::<Bytes>().is_ok());
    }
}
