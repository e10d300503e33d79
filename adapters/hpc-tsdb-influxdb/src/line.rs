//! Line protocol, the way in.
//!
//! It cannot express a line end or a final backslash in a tag value. Escaping such a value in vain once let
//! other clients write forged points; here a point with one is rejected by [`Point::validate`] and never encoded.

use std::fmt::Write;

use hpc_timeseries::{Point, Rejection, Value};

/// Appends one line.
///
/// # Errors
/// What [`Point::validate`] finds; nothing has been appended then.
pub(crate) fn encode(out: &mut String, point: &Point) -> Result<(), Rejection> {
    point.validate()?;
    out.push_str(&point.measurement);
    let mut tags: Vec<(&str, &str)> =
        point.tags.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
    tags.sort_unstable();
    for (name, value) in tags {
        out.push(',');
        out.push_str(name);
        out.push('=');
        for character in value.chars() {
            if matches!(character, ',' | '=' | ' ') {
                out.push('\\');
            }
            out.push(character);
        }
    }
    let mut separator = ' ';
    for (name, value) in &point.fields {
        out.push(separator);
        separator = ',';
        out.push_str(name);
        // Writing into a string cannot fail.
        let _ = match value {
            // Debug form: the shortest digits that read back the same, with an exponent where plain digits would be long.
            Value::Float(value) => write!(out, "={value:?}"),
            Value::Integer(value) => write!(out, "={value}i"),
        };
    }
    let _ = writeln!(out, " {}", point.ts_ns);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_760_000_000_000_000_000;

    fn line(point: &Point) -> String {
        let mut out = String::new();
        encode(&mut out, point).unwrap();
        out
    }

    #[test]
    fn points_become_lines() {
        let point = Point::new("gpu", NOW)
            .tag("zone", "a b,c=d")
            .tag("host", "x\\y\"z'")
            .field("power_watts", 350.0)
            .field("memory_bytes", -3)
            .field("tiny", 1e-300);
        assert_eq!(
            line(&point),
            "gpu,host=x\\y\"z',zone=a\\ b\\,c\\=d power_watts=350.0,memory_bytes=-3i,tiny=1e-300 1760000000000000000\n"
        );
    }

    #[test]
    fn what_the_protocol_cannot_say_is_rejected() {
        for value in ["a\nforged,host=b power_watts=1", "a\r", "ends with \\", "", "a\0"] {
            let mut out = String::from("before\n");
            let point = Point::new("gpu", NOW).tag("host", value).field("v", 1);
            assert!(matches!(encode(&mut out, &point), Err(Rejection::TagValue { .. })), "{value:?}");
            assert_eq!(out, "before\n");
        }
        for name in ["gpu\n", "gpu forged", "gpu,host=a", "gpu\\"] {
            let mut out = String::new();
            assert!(encode(&mut out, &Point::new(name, NOW).field("v", 1)).is_err());
            assert!(encode(&mut out, &Point::new("gpu", NOW).field(name, 1)).is_err());
            assert!(encode(&mut out, &Point::new("gpu", NOW).field("v", f64::INFINITY)).is_err());
            assert_eq!(out, "");
        }
    }

    proptest! {
        /// One point is one line, and an unescaped separator never comes from a tag value.
        #[test]
        fn one_point_is_one_line(value in "(?s).{1,60}", number: f64) {
            let mut out = String::new();
            let point = Point::new("gpu", NOW).tag("host", value.clone()).field("v", number);
            if encode(&mut out, &point).is_ok() {
                prop_assert_eq!(out.matches('\n').count(), 1);
                let mut separators = 0;
                let mut escaped = false;
                for character in out.chars() {
                    separators += usize::from(!escaped && matches!(character, ' ' | ','));
                    escaped = character == '\\';
                }
                prop_assert_eq!(separators, 3, "{}", out);
                let unescaped = out.replace("\\,", ",").replace("\\=", "=").replace("\\ ", " ");
                if !value.contains('\\') {
                    prop_assert!(unescaped.contains(&value));
                }
            }
        }
    }
}
