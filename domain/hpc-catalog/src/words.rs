//! How price lists write prices and models.

use hpc_resources::{AcceleratorModel, Bytes, Currency, ModelError, Money, MoneyError};

/// Why a price was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceTextError {
    /// No amount.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// Below zero.
    #[error("the price {0} is below zero")]
    Negative(Money),
}

/// The amount in a price list. Empty and zero are both unknown (`None`): published lists have zeroes for machines that are
/// not free.
///
/// # Errors
/// [`PriceTextError`] for text that is no plain decimal number, or one below zero.
///
/// # Example: lists that went through floats
/// ```
/// use hpc_catalog::listed_price;
/// use hpc_resources::Currency;
///
/// let price = listed_price("0.34679999999999994", Currency::USD)?;
/// assert_eq!(price.unwrap().to_string(), "0.3468 USD"); // further decimals are rounded up
/// assert_eq!(listed_price("0.0", Currency::USD)?, None);
/// # Ok::<(), hpc_catalog::PriceTextError>(())
/// ```
pub fn listed_price(text: &str, currency: Currency) -> Result<Option<Money>, PriceTextError> {
    if text.is_empty() {
        return Ok(None);
    }
    let price = match crate::decimal::nine_places(text) {
        Some((kept, more)) => {
            let price = Money::parse_decimal(kept, currency)?;
            if more { price.checked_add(Money::from_nanos(1, currency))? } else { price }
        }
        None => Money::parse_decimal(text, currency)?,
    };
    if price.is_negative() || text.starts_with('-') {
        return Err(PriceTextError::Negative(price));
    }
    Ok((price.nanos() > 0).then_some(price))
}

/// The model of this name; one that stands for several (`A100`) is decided by the memory that the list states, if it does.
///
/// # Errors
/// [`ModelError`] for an unknown name, and for an ambiguous one that the memory does not decide.
pub fn model_with_memory(name: &str, memory_each: Option<Bytes>) -> Result<AcceleratorModel, ModelError> {
    match (AcceleratorModel::parse(name), memory_each) {
        (Err(ambiguous @ ModelError::Ambiguous { .. }), Some(memory)) => {
            let sized = format!("{name}-{}gb", memory.0 >> 30);
            AcceleratorModel::parse(&sized).map_err(|_| ambiguous)
        }
        (found, _) => found,
    }
}
