//! What a shape costs: said in words, so that nothing is free by accident.

use hpc_resources::{Money, MoneyError, PerInstanceHour};

/// What one instance of a shape costs for an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// This, above zero.
    Costs(PerInstanceHour),
    /// Nothing: somebody wrote `free`.
    Free,
    /// Nobody said: it is shown and never bought.
    Unknown,
}

/// Why a price was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Not above zero.
    #[error("a price of {0} is not above zero; write `free`, or `unknown`")]
    NotAbove(Money),
    /// No amount.
    #[error("{0}; or write `free`, or `unknown`")]
    NoAmount(MoneyError),
}

impl Price {
    /// Parses `free`, `unknown`, or an amount such as `8.00 USD`.
    ///
    /// # Errors
    /// [`PriceError`] for anything else, zero included.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        match text {
            "free" => Ok(Self::Free),
            "unknown" => Ok(Self::Unknown),
            amount => {
                let price: Money = amount.parse().map_err(PriceError::NoAmount)?;
                if price.nanos() <= 0 {
                    return Err(PriceError::NotAbove(price));
                }
                Ok(Self::Costs(PerInstanceHour(price)))
            }
        }
    }

    /// The price for an offer: zero only for what was called free, `None` for what is unknown.
    #[must_use]
    pub const fn to_offer(self) -> Option<PerInstanceHour> {
        match self {
            Self::Costs(price) => Some(price),
            Self::Free => Some(PerInstanceHour(Money::ZERO_USD)),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_free_by_accident() {
        assert_eq!(Price::parse("free").unwrap().to_offer(), Some(PerInstanceHour(Money::ZERO_USD)));
        assert_eq!(Price::parse("unknown").unwrap().to_offer(), None);
        assert_eq!(Price::parse("8.00 USD").unwrap().to_offer().unwrap().0.to_string(), "8.00 USD");
        for text in ["0", "0.00 USD", "-1 USD"] {
            assert!(
                matches!(Price::parse(text), Err(PriceError::NotAbove(_) | PriceError::NoAmount(_))),
                "{text}"
            );
        }
        for text in ["", "Free", "gratis", "NaN", "1e3 USD"] {
            assert!(matches!(Price::parse(text), Err(PriceError::NoAmount(_))), "{text}");
        }
    }
}
