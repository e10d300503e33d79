//! What a valid point looks like, and each way not to be one.

use hpc_timeseries::{
    FIELDS_MAX, NAME_BYTES_MAX, Point, Rejection, TAG_VALUE_BYTES_MAX, TAGS_MAX, TS_NS_MAX, TS_NS_MIN,
    check_name, check_tag_value,
};
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000_000_000_000;

fn good() -> Point {
    Point::new("gpu", NOW).tag("host", "a").field("power_watts", 1.5)
}

#[test]
fn a_plain_point_is_valid() {
    assert_eq!(good().validate(), Ok(()));
}

#[test]
fn every_fault_has_its_rejection() {
    type Check = fn(&Rejection) -> bool;
    let cases: Vec<(&str, Point, Check)> = vec![
        ("upper case", Point { measurement: "Gpu".into(), ..good() }, |r| {
            matches!(r, Rejection::Name { .. })
        }),
        ("newline in name", Point { measurement: "gpu\nx v=1".into(), ..good() }, |r| {
            matches!(r, Rejection::Name { .. })
        }),
        ("time is reserved", good().field("time", 1.0), |r| matches!(r, Rejection::Name { .. })),
        ("empty tag", good().tag("rack", ""), |r| matches!(r, Rejection::TagValue { .. })),
        ("newline", good().tag("rack", "a\ngpu v=1"), |r| matches!(r, Rejection::TagValue { .. })),
        ("backslash at the end", good().tag("rack", "a\\"), |r| matches!(r, Rejection::TagValue { .. })),
        ("next line U+0085", good().tag("rack", "a\u{85}b"), |r| matches!(r, Rejection::TagValue { .. })),
        ("tag twice", good().tag("host", "b"), |r| matches!(r, Rejection::DuplicateName { .. })),
        ("tag and field", good().field("host", 1.0), |r| matches!(r, Rejection::DuplicateName { .. })),
        ("nan", good().field("x", f64::NAN), |r| matches!(r, Rejection::NotFinite { .. })),
        ("inf", good().field("x", f64::NEG_INFINITY), |r| matches!(r, Rejection::NotFinite { .. })),
        ("no field", Point::new("gpu", NOW), |r| matches!(r, Rejection::FieldCount { count: 0 })),
        ("seconds", Point { ts_ns: 1_700_000_000, ..good() }, |r| matches!(r, Rejection::Time { .. })),
        ("milliseconds", Point { ts_ns: 1_700_000_000_000, ..good() }, |r| {
            matches!(r, Rejection::Time { .. })
        }),
        ("far future", Point { ts_ns: TS_NS_MAX, ..good() }, |r| matches!(r, Rejection::Time { .. })),
    ];
    for (name, point, is_right) in cases {
        let rejection = point.validate().expect_err(name);
        assert!(is_right(&rejection), "{name}: {rejection}");
        assert!(!rejection.to_string().contains('\n'), "{name}: messages stay on one line");
    }
}

#[test]
fn limits_hold_at_the_edge() {
    let mut point = Point::new("m", TS_NS_MIN);
    for index in 0..TAGS_MAX {
        point = point.tag(format!("t{index}"), "v".repeat(TAG_VALUE_BYTES_MAX));
    }
    for index in 0..FIELDS_MAX {
        point = point.field(format!("f{index}"), i64::MAX);
    }
    assert_eq!(point.validate(), Ok(()));
    assert_eq!(
        point.clone().tag("more", "v").validate(),
        Err(Rejection::TooManyTags { count: TAGS_MAX + 1 })
    );
    assert_eq!(point.field("more", 1).validate(), Err(Rejection::FieldCount { count: FIELDS_MAX + 1 }));
    assert!(check_name(&"a".repeat(NAME_BYTES_MAX)).is_ok());
    assert!(check_name(&"a".repeat(NAME_BYTES_MAX + 1)).is_err());
    assert!(check_tag_value("t", &"v".repeat(TAG_VALUE_BYTES_MAX + 1)).is_err());
}

#[test]
fn unknown_values_are_left_out() {
    let point = good().field_if("memory_bytes", None::<i64>).field_if("fan_ratio", Some(0.5));
    assert_eq!(point.fields.len(), 2);
}

proptest! {
    /// Whatever the input, validation answers and never panics, and what it accepts has no line break.
    #[test]
    fn no_accepted_text_can_start_a_new_line(name in ".{0,80}", value in "(?s).{0,300}", ts_ns: i64, number: f64) {
        let point = Point::new(name.clone(), ts_ns).tag("host", value.clone()).field("v", number);
        if point.validate().is_ok() {
            prop_assert!(!name.contains(['\n', '\r', '\\', ' ', ',', '"']));
            prop_assert!(!value.contains(['\n', '\r', '\0']) && !value.ends_with('\\'));
        }
    }
}
