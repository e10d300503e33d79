//! Numbers, times and foreign words as people read them.

use hpc_resources::Money;
use jiff::Timestamp;

/// Nano-units in the last decimal that a table shows: 0.0001.
const SHOWN_NANOS: i64 = 100_000;

/// An amount with its currency, with two or four decimals; more are rounded up.
pub(crate) fn money(amount: Money) -> String {
    let nanos = amount.nanos();
    let over = nanos.rem_euclid(SHOWN_NANOS);
    let up = if over == 0 { 0 } else { SHOWN_NANOS - over };
    let Some(nanos) = nanos.checked_add(up) else { return amount.to_string() };
    let text = Money::from_nanos(nanos, amount.currency()).to_string();
    // Three decimals would not line up with the others.
    match text.split_once(' ') {
        Some((number, currency))
            if number.split_once('.').is_some_and(|(_, decimals)| decimals.len() == 3) =>
        {
            format!("{number}0 {currency}")
        }
        _ => text,
    }
}

/// An amount without its currency, for a column that names it.
pub(crate) fn amount(amount: Money) -> String {
    let text = money(amount);
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// A length of time in its two largest units: `2 h`, `1 h 30 m`, `3 d`, `45 s`.
pub(crate) fn duration(seconds: u64) -> String {
    let parts = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut words = Vec::new();
    for (size, unit) in parts {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            words.push(format!("{count} {unit}"));
        } else if !words.is_empty() {
            break;
        }
        if words.len() == 2 {
            break;
        }
    }
    if words.is_empty() { "0 s".to_owned() } else { words.join(" ") }
}

/// The time between two moments; `0 s` if they are the other way round.
pub(crate) fn between(earlier: Timestamp, later: Timestamp) -> String {
    duration(u64::try_from(later.duration_since(earlier).as_secs()).unwrap_or(0))
}

/// A moment: `2026-11-23 15:04:05 UTC`.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The time of day: `15:04:05 UTC`.
pub(crate) fn clock_time(at: Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

/// `1 entry`, `2 entries`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Foreign text on one line: nothing in it can move the cursor, change colours or begin a line.
pub(crate) fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_direction(c) { ' ' } else { c }).collect()
}

/// Foreign text on several lines.
pub(crate) fn block(text: &str) -> String {
    let keep = |c: char| c == '\n' || c == '\t' || !(c.is_control() || is_direction(c));
    text.chars().filter(|c| keep(*c)).collect()
}

/// Characters that turn the direction of writing, and so can make a text look like another.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (45, "45 s"),
            (120, "2 m"),
            (7_200, "2 h"),
            (5_400, "1 h 30 m"),
            (3_601, "1 h"),
            (259_200, "3 d"),
            (90_061, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn amounts_are_rounded_up_to_four_decimals() {
        let usd = |text: &str| money(text.parse().unwrap());
        assert_eq!(usd("24.1"), "24.10 USD");
        assert_eq!(usd("24.100000001"), "24.1001 USD");
        assert_eq!(usd("0.0067"), "0.0067 USD");
        assert_eq!(usd("-1.125"), "-1.1250 USD");
        assert_eq!(amount("3".parse().unwrap()), "3.00");
    }

    #[test]
    fn foreign_text_cannot_play_with_the_terminal() {
        assert_eq!(line("a\u{1b}[2Jb\nc\u{202e}d"), "a [2Jb c d");
        assert_eq!(block("a\u{1b}[2Jb\n\tc"), "a[2Jb\n\tc");
    }
}
