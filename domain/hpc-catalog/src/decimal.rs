//! Decimal text without floats.

/// A plain decimal with more than nine decimals: the text up to the ninth, and whether anything but zeroes follows.
pub(crate) fn nine_places(text: &str) -> Option<(&str, bool)> {
    let (_, fraction) = text.split_once('.')?;
    let rest = fraction.get(9..).filter(|rest| !rest.is_empty())?;
    if !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = text.get(..text.len() - rest.len())?;
    Some((kept, rest.bytes().any(|byte| byte != b'0')))
}

/// A whole number, also when a list writes it as `8.0`.
pub(crate) fn whole(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.bytes().any(|byte| byte != b'0') {
        return None;
    }
    whole.parse().ok()
}

/// A decimal number times `scale`, rounded down; at most nine decimals count.
pub(crate) fn times(text: &str, scale: u64) -> Option<u64> {
    let text = nine_places(text).map_or(text, |(kept, _)| kept);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let billionths: u64 = format!("{fraction:0<9}").parse().ok()?;
    let parts = u128::from(billionths) * u128::from(scale) / 1_000_000_000;
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(u64::try_from(parts).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        assert_eq!(whole("8"), Some(8));
        assert_eq!(whole("8.0"), Some(8));
        for text in ["", "8.5", "-8", "+8", "8.", ".0", "8e0", "99999999999999999999", "\u{664}"] {
            assert_eq!(whole(text), None, "{text}");
        }
        assert_eq!(times("7.5", 1 << 30), Some(15 << 29));
        assert_eq!(times("0.125", 8), Some(1));
        assert_eq!(times("1.99999999999", 10), Some(19));
        for text in ["", ".", "1,5", "1e3", "-1", "99999999999999999999"] {
            assert_eq!(times(text, 1 << 30), None, "{text}");
        }
        assert_eq!(nine_places("1.0000000001"), Some(("1.000000000", true)));
        assert_eq!(nine_places("1.0000000000"), Some(("1.000000000", false)));
        assert_eq!(nine_places("1.000000000x"), None);
        assert_eq!(nine_places("1.12345678\u{20ac}9"), None);
    }
}
