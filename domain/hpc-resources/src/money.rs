//! Money as integers: nano-units of one currency, decimal text at the edge.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Nano-units in one unit of a currency.
pub const NANOS_PER_UNIT: i64 = 1_000_000_000;

/// Seconds in the hour that prices are stated for.
pub const SECONDS_PER_HOUR: u64 = 3_600;

/// An ISO 4217 currency code: three upper-case ASCII letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// United States dollar.
    pub const USD: Self = Self(*b"USD");

    /// Parses a three-letter upper-case code.
    ///
    /// # Errors
    /// [`MoneyError::Currency`] for anything else.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        match text.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(MoneyError::Currency(clip(text))),
        }
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An exact amount of one currency, in nano-units (10⁻⁹ of a unit).
///
/// The range is ±9.2 billion units; every operation that could leave it is checked.
/// Never made from a float. An unknown amount is `Option::None`, never zero.
///
/// # Example
/// ```
/// use hpc_resources::{Currency, Money};
///
/// let price: Money = "24.10 USD".parse()?;
/// assert_eq!(price.nanos(), 24_100_000_000);
/// assert_eq!(price.to_string(), "24.10 USD");
/// assert_eq!(price.checked_add(Money::from_nanos(1, Currency::USD))?.to_string(), "24.100000001 USD");
/// # Ok::<(), hpc_resources::MoneyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    nanos: i64,
    currency: Currency,
}

/// Why an amount was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not a plain decimal number with at most nine decimals.
    #[error("`{0}` is not an amount; write a plain decimal such as `24.10 USD`")]
    Amount(String),
    /// The currency is not three upper-case letters.
    #[error("`{0}` is not a currency code; write three upper-case letters such as `USD`")]
    Currency(String),
    /// The result does not fit.
    #[error("the amount is larger than 9.2 billion units, which no request can mean")]
    Overflow,
    /// Two currencies met in one sum.
    #[error("cannot combine {0} and {1}; ask for prices in one currency")]
    Mixed(Currency, Currency),
}

impl Money {
    /// Nothing, in US dollars.
    pub const ZERO_USD: Self = Self { nanos: 0, currency: Currency::USD };

    /// An amount of `nanos` nano-units of `currency`.
    #[must_use]
    pub const fn from_nanos(nanos: i64, currency: Currency) -> Self {
        Self { nanos, currency }
    }

    /// Parses decimal text such as `24.1` in `currency`: digits, at most one dot, at most nine decimals, an optional minus.
    ///
    /// # Errors
    /// [`MoneyError::Amount`] when it is not such text (exponents, separators and signs other than `-` included),
    /// [`MoneyError::Overflow`] when it does not fit.
    pub fn parse_decimal(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let bad = || MoneyError::Amount(clip(text));
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let only_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !only_digits(whole) || !only_digits(fraction) || fraction.len() > 9 {
            return Err(bad());
        }
        if digits.ends_with('.') {
            return Err(bad());
        }
        let units: i64 = whole.parse().map_err(|_| MoneyError::Overflow)?;
        let parts: i64 = format!("{fraction:0<9}").parse().map_err(|_| bad())?;
        let nanos = units
            .checked_mul(NANOS_PER_UNIT)
            .and_then(|nanos| nanos.checked_add(parts))
            .ok_or(MoneyError::Overflow)?;
        Ok(Self { nanos: if negative { -nanos } else { nanos }, currency })
    }

    /// The amount in nano-units.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.nanos
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The amount in micro-units, rounded up: what policies compare (they know integers only).
    #[must_use]
    pub const fn micros_rounded_up(self) -> i64 {
        let whole = self.nanos.div_euclid(1_000);
        if self.nanos.rem_euclid(1_000) == 0 { whole } else { whole + 1 }
    }

    /// The amount in hundredths of a unit, rounded half to even: for the sum of a bill, once, and never for its lines.
    ///
    /// # Example
    /// ```
    /// use hpc_resources::Money;
    ///
    /// let cents = |text: &str| text.parse::<Money>().map(|amount| amount.cents_half_even().to_string());
    /// assert_eq!(cents("1.005 USD")?, "1.00 USD");
    /// assert_eq!(cents("1.015 USD")?, "1.02 USD");
    /// assert_eq!(cents("-1.0051 USD")?, "-1.01 USD");
    /// # Ok::<(), hpc_resources::MoneyError>(())
    /// ```
    #[must_use]
    pub const fn cents_half_even(self) -> Self {
        const CENT: i64 = NANOS_PER_UNIT / 100;
        let (cents, rest) = (self.nanos.div_euclid(CENT), self.nanos.rem_euclid(CENT));
        let up = rest > CENT / 2 || (rest == CENT / 2 && cents % 2 != 0);
        // At the ends of the range there is no whole cent further out: the nearer one within it is taken.
        let cents = if up { cents + 1 } else { cents };
        let nanos = match cents.checked_mul(CENT) {
            Some(nanos) => nanos,
            None => self.nanos - self.nanos % CENT,
        };
        Self { nanos, currency: self.currency }
    }

    /// Whether the amount is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] for two currencies, [`MoneyError::Overflow`] when it does not fit.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        let nanos = self.nanos.checked_add(other.nanos).ok_or(MoneyError::Overflow)?;
        Ok(Self { nanos, ..self })
    }

    /// The difference.
    ///
    /// # Errors
    /// As [`Money::checked_add`].
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        let nanos = self.nanos.checked_sub(other.nanos).ok_or(MoneyError::Overflow)?;
        Ok(Self { nanos, ..self })
    }

    /// The amount `count` times.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] when it does not fit.
    pub fn checked_mul(self, count: u64) -> Result<Self, MoneyError> {
        let nanos = i128::from(self.nanos) * i128::from(count);
        Ok(Self { nanos: i64::try_from(nanos).map_err(|_| MoneyError::Overflow)?, ..self })
    }

    /// Compares two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] for two currencies.
    pub fn checked_cmp(self, other: Self) -> Result<std::cmp::Ordering, MoneyError> {
        self.same(other)?;
        Ok(self.nanos.cmp(&other.nanos))
    }

    /// Whether this is more than `limit`; two currencies count as more, so that a cap never lets an unlike price pass.
    #[must_use]
    pub fn exceeds(self, limit: Self) -> bool {
        self.currency != limit.currency || self.nanos > limit.nanos
    }

    fn same(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::Mixed(self.currency, other.currency))
        }
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.nanos.unsigned_abs();
        let scale = NANOS_PER_UNIT.unsigned_abs();
        let mut decimals = format!("{:09}", magnitude % scale);
        while decimals.len() > 2 && decimals.ends_with('0') {
            decimals.pop();
        }
        let sign = if self.nanos < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{decimals} {}", magnitude / scale, self.currency)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    /// Parses `<decimal> <currency>`, for example `30.00 USD`; the currency may be left out for US dollars.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let text = text.trim();
        match text.split_once(' ') {
            Some((amount, code)) => Self::parse_decimal(amount, Currency::parse(code.trim())?),
            None => Self::parse_decimal(text, Currency::USD),
        }
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The price of one whole instance for one hour. Not interchangeable with [`PerGpuHour`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerInstanceHour(pub Money);

/// The price of one accelerator for one hour. Not interchangeable with [`PerInstanceHour`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerGpuHour(pub Money);

impl PerInstanceHour {
    /// What `instances` instances cost for `seconds` seconds, rounded half to even at one nano-unit.
    ///
    /// Meters use this: the ledger and the provider's bill must agree to the last nano-unit.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] when it does not fit.
    pub fn cost_half_even(self, instances: u32, seconds: u64) -> Result<Money, MoneyError> {
        self.cost(instances, seconds, |quotient, remainder| {
            let twice = remainder * 2;
            let hour = i128::from(SECONDS_PER_HOUR);
            quotient + i128::from(twice > hour || (twice == hour && quotient % 2 != 0))
        })
    }

    /// What `instances` instances cost for `seconds` seconds, rounded up: what a budget must hold.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] when it does not fit.
    pub fn cost_rounded_up(self, instances: u32, seconds: u64) -> Result<Money, MoneyError> {
        self.cost(instances, seconds, |quotient, remainder| quotient + i128::from(remainder > 0))
    }

    fn cost(self, instances: u32, seconds: u64, round: fn(i128, i128) -> i128) -> Result<Money, MoneyError> {
        let total = i128::from(self.0.nanos)
            .checked_mul(i128::from(instances))
            .and_then(|nanos| nanos.checked_mul(i128::from(seconds)))
            .ok_or(MoneyError::Overflow)?;
        let hour = i128::from(SECONDS_PER_HOUR);
        let nanos = round(total.div_euclid(hour), total.rem_euclid(hour));
        Ok(Money {
            nanos: i64::try_from(nanos).map_err(|_| MoneyError::Overflow)?,
            currency: self.0.currency,
        })
    }

    /// The share of one of `gpus` accelerators, rounded up; `None` when there are none.
    #[must_use]
    pub fn per_gpu_rounded_up(self, gpus: u32) -> Option<PerGpuHour> {
        let count = i64::from(gpus);
        let nanos = self.0.nanos.checked_div(count)?;
        let up = i64::from(self.0.nanos.checked_rem(count)? > 0);
        Some(PerGpuHour(Money { nanos: nanos + up, ..self.0 }))
    }
}

/// The first characters of an untrusted text, for an error message.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Money {
        Money::parse_decimal(text, Currency::USD).unwrap()
    }

    #[test]
    fn decimal_text_is_exact() {
        for (text, nanos) in
            [("0", 0), ("55.04", 55_040_000_000), ("-1.5", -1_500_000_000), ("0.000000001", 1)]
        {
            assert_eq!(usd(text).nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn other_number_notations_are_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "1e3",
            "+1",
            "1_000",
            "1,5",
            "0x1",
            "1.0000000001",
            "NaN",
            "inf",
            "--1",
            "١",
        ] {
            assert!(
                matches!(Money::parse_decimal(text, Currency::USD), Err(MoneyError::Amount(_))),
                "{text}"
            );
        }
        assert_eq!(Money::parse_decimal("9300000000", Currency::USD), Err(MoneyError::Overflow));
        assert_eq!("1 usd".parse::<Money>(), Err(MoneyError::Currency("usd".to_owned())));
    }

    #[test]
    fn currencies_do_not_mix() {
        let euro = Money::from_nanos(1, Currency::parse("EUR").unwrap());
        assert!(matches!(usd("1").checked_add(euro), Err(MoneyError::Mixed(..))));
        assert!(euro.exceeds(usd("1000")), "an unlike currency never passes a cap");
    }

    #[test]
    fn an_hour_costs_the_price_and_a_second_its_share() {
        let price = PerInstanceHour(usd("3.6"));
        assert_eq!(price.cost_half_even(1, 3_600).unwrap(), usd("3.6"));
        assert_eq!(price.cost_half_even(2, 1).unwrap(), usd("0.002"));
        let odd = PerInstanceHour(Money::from_nanos(1, Currency::USD));
        assert_eq!(odd.cost_half_even(1, 1_800).unwrap().nanos(), 0, "half goes to even");
        assert_eq!(odd.cost_half_even(3, 1_800).unwrap().nanos(), 2, "half goes to even");
        assert_eq!(odd.cost_rounded_up(1, 1).unwrap().nanos(), 1);
        assert_eq!(price.cost_half_even(u32::MAX, u64::MAX), Err(MoneyError::Overflow));
    }

    #[test]
    fn per_gpu_and_per_instance_differ() {
        assert_eq!(PerInstanceHour(usd("10.24")).per_gpu_rounded_up(8), Some(PerGpuHour(usd("1.28"))));
        assert_eq!(PerInstanceHour(usd("1")).per_gpu_rounded_up(0), None);
    }

    #[test]
    fn micros_round_up() {
        assert_eq!(Money::from_nanos(1_001, Currency::USD).micros_rounded_up(), 2);
        assert_eq!(Money::from_nanos(-1_001, Currency::USD).micros_rounded_up(), -1);
    }
}
