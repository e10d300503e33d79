//! The `grpc-timeout` header: at most eight digits and a unit.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

pub(crate) const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The caller's budget, or `None` when it gave none or one that cannot be read.
pub(crate) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

/// Writes `budget`, rounded down to what eight digits can say.
pub(crate) fn write(budget: Duration) -> HeaderValue {
    const DIGITS_END: u128 = 100_000_000;
    let text = [(budget.as_nanos(), 'n'), (budget.as_micros(), 'u'), (budget.as_millis(), 'm')]
        .into_iter()
        .find(|(value, _)| *value < DIGITS_END)
        .map_or_else(
            || format!("{}S", budget.as_secs().min(99_999_999)),
            |(value, unit)| format!("{value}{unit}"),
        );
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("0n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_str(text).unwrap());
        read(&headers)
    }

    #[test]
    fn every_unit_is_read() {
        for (text, expected) in [
            ("3H", Duration::from_secs(10_800)),
            ("1M", Duration::from_secs(60)),
            ("42S", Duration::from_secs(42)),
            ("13m", Duration::from_millis(13)),
            ("2u", Duration::from_micros(2)),
            ("82n", Duration::from_nanos(82)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(read_text(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_timeout_is_ignored() {
        for text in ["", "S", "1", "1s", "123456789S", "-1S", "+1S", "1.5S", " 1S"] {
            assert_eq!(read_text(text), None, "{text}");
        }
        assert_eq!(read(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_written_is_read_back_never_longer() {
        for nanos in [0u64, 1, 99_999_999, 100_000_001, 5_000_000_123, 86_400_000_000_000] {
            let budget = Duration::from_nanos(nanos);
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, write(budget));
            let back = read(&headers).unwrap();
            assert!(back <= budget && budget - back < Duration::from_secs(1), "{budget:?} became {back:?}");
        }
    }
}
