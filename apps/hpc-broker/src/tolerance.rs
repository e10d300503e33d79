//! By how much a price may rise between a plan and its apply.

use hpc_resources::{Money, MoneyError};

/// One hundred percent, in hundredths of a percent.
const WHOLE_BP: i64 = 10_000;

/// An amount and its tolerance, rounded up.
pub(crate) fn with_tolerance(amount: Money, tolerance_bp: u32) -> Result<Money, MoneyError> {
    let nanos = i128::from(amount.nanos()) * i128::from(WHOLE_BP + i64::from(tolerance_bp));
    let whole = i128::from(WHOLE_BP);
    let up = nanos.div_euclid(whole) + i128::from(nanos.rem_euclid(whole) > 0);
    let nanos = i64::try_from(up).map_err(|_| MoneyError::Overflow)?;
    Ok(Money::from_nanos(nanos, amount.currency()))
}
