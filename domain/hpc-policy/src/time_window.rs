//! Hours of the week at a fixed offset from UTC.

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::Offset;

const MINUTES_PER_DAY: u16 = 24 * 60;

/// `[from, to)` on given days; the days are those on which the window begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimeWindow {
    /// Bit 0 is Monday.
    pub(crate) days: u8,
    pub(crate) from_minute: u16,
    pub(crate) to_minute: u16,
    pub(crate) offset: Offset,
}

impl TimeWindow {
    pub(crate) fn contains(&self, at: Timestamp) -> bool {
        let local = self.offset.to_datetime(at);
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let today = local.weekday();
        if self.from_minute < self.to_minute {
            self.on(today) && (self.from_minute..self.to_minute).contains(&minute)
        } else {
            // Past midnight: the evening part belongs to today, the morning part to the day before.
            self.on(today) && minute >= self.from_minute
                || self.on(today.previous()) && minute < self.to_minute
        }
    }

    fn on(&self, day: Weekday) -> bool {
        self.days & (1 << day.to_monday_zero_offset()) != 0
    }
}

/// `mon` to `sun` as a bit.
pub(crate) fn day(text: &str) -> Option<u8> {
    let index = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().position(|name| *name == text)?;
    Some(1 << index)
}

/// `HH:MM` up to `24:00` as minutes since midnight.
pub(crate) fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = two_by_two(text)?;
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= MINUTES_PER_DAY).then_some(total)
}

/// `Z` or `+HH:MM`.
pub(crate) fn offset(text: &str) -> Option<Offset> {
    if text == "Z" {
        return Some(Offset::UTC);
    }
    let (sign, rest) = match text.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, text.strip_prefix('-')?),
    };
    let (hours, minutes) = two_by_two(rest)?;
    if hours > 14 || minutes >= 60 {
        return None;
    }
    Offset::from_seconds(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)).ok()
}

fn two_by_two(text: &str) -> Option<(u16, u16)> {
    let (left, right) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(left) || !two_digits(right) {
        return None;
    }
    Some((left.parse().ok()?, right.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[&str], from: &str, to: &str, at_offset: &str) -> TimeWindow {
        TimeWindow {
            days: days.iter().map(|name| day(name).unwrap()).sum(),
            from_minute: minute(from).unwrap(),
            to_minute: minute(to).unwrap(),
            offset: offset(at_offset).unwrap(),
        }
    }

    #[test]
    fn half_open_offsets_and_midnight() {
        // 2026-11-02 is a Monday.
        let office = window(&["mon"], "09:00", "17:00", "Z");
        let night = window(&["mon"], "22:00", "06:00", "Z");
        let kolkata = window(&["mon"], "09:00", "17:00", "+05:30");
        let whole = window(&["mon"], "00:00", "24:00", "Z");
        for (window, at, expected) in [
            (&office, "2026-11-02T09:00:00Z", true),
            (&office, "2026-11-02T08:59:59.999Z", false),
            (&office, "2026-11-02T16:59:59.999Z", true),
            (&office, "2026-11-02T17:00:00Z", false),
            (&office, "2026-11-03T10:00:00Z", false),
            (&night, "2026-11-02T22:00:00Z", true),
            (&night, "2026-11-03T05:59:00Z", true),
            (&night, "2026-11-03T06:00:00Z", false),
            (&night, "2026-11-02T03:00:00Z", false),
            (&night, "2026-11-03T23:00:00Z", false),
            (&kolkata, "2026-11-02T03:30:00Z", true),
            (&kolkata, "2026-11-02T11:30:00Z", false),
            (&whole, "2026-11-02T00:00:00Z", true),
            (&whole, "2026-11-02T23:59:59Z", true),
            (&whole, "2026-11-03T00:00:00Z", false),
            (&office, "1969-12-29T10:00:00Z", true),
        ] {
            assert_eq!(window.contains(at.parse().unwrap()), expected, "{at}");
        }
    }

    #[test]
    fn odd_spellings_are_refused() {
        for text in ["9:00", "24:01", "12:60", "25:00", "12", "ab:cd", "+1:00"] {
            assert_eq!(minute(text), None, "{text}");
        }
        for text in ["", "UTC", "+5:30", "05:30", "+15:00", "+05:60", "z"] {
            assert_eq!(offset(text), None, "{text}");
        }
        assert_eq!(day("Mon"), None);
    }
}
