use std::time::Duration;

use hpc_types::time::{
    DURATION_SECONDS_MAX, TIMESTAMP_SECONDS_MAX, TIMESTAMP_SECONDS_MIN, TimeError, duration_from_proto,
    duration_to_proto, from_proto, required, to_proto,
};
use jiff::Timestamp;
use proptest::prelude::*;

#[test]
fn moments_before_1970_count_their_nanoseconds_forward() {
    let time: Timestamp = "1969-12-31T23:59:59.75Z".parse().unwrap();
    let proto = to_proto(time).unwrap();
    assert_eq!((proto.seconds, proto.nanos), (-1, 750_000_000));
    assert_eq!(from_proto(&proto), Ok(time));
}

#[test]
fn the_bounds_of_the_wire() {
    let first: Timestamp = "0001-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(to_proto(first).unwrap().seconds, TIMESTAMP_SECONDS_MIN);
    assert_eq!(to_proto("0000-12-31T23:59:59.999Z".parse().unwrap()), Err(TimeError::OutOfRange));
    assert!(to_proto(Timestamp::MAX).is_ok());
    let proto = |seconds, nanos| prost_types::Timestamp { seconds, nanos };
    for (time, error) in [
        (proto(TIMESTAMP_SECONDS_MIN - 1, 0), TimeError::OutOfRange),
        (proto(TIMESTAMP_SECONDS_MAX + 1, 0), TimeError::OutOfRange),
        (proto(i64::MAX, 0), TimeError::OutOfRange),
        (proto(0, -1), TimeError::Nanos),
        (proto(0, 1_000_000_000), TimeError::Nanos),
    ] {
        assert_eq!(from_proto(&time), Err(error));
    }
    assert_eq!(required(None), Err(TimeError::Missing));
}

#[test]
fn durations() {
    let proto = |seconds, nanos| prost_types::Duration { seconds, nanos };
    for (duration, error) in [
        (proto(-1, 0), TimeError::Negative),
        (proto(0, -1), TimeError::Negative),
        (proto(1, -1), TimeError::Nanos),
        (proto(DURATION_SECONDS_MAX + 1, 0), TimeError::OutOfRange),
    ] {
        assert_eq!(duration_from_proto(&duration), Err(error));
    }
    assert_eq!(duration_to_proto(Duration::MAX), Err(TimeError::OutOfRange));
}

proptest! {
    #[test]
    fn every_moment_survives(seconds in TIMESTAMP_SECONDS_MIN..253_402_207_200, nanos in 0i32..1_000_000_000) {
        let proto = prost_types::Timestamp { seconds, nanos };
        prop_assert_eq!(to_proto(from_proto(&proto).unwrap()).unwrap(), proto);
    }

    #[test]
    fn no_moment_panics(seconds in any::<i64>(), nanos in any::<i32>()) {
        let _ = from_proto(&prost_types::Timestamp { seconds, nanos });
        let _ = duration_from_proto(&prost_types::Duration { seconds, nanos });
    }

    #[test]
    fn every_duration_survives(seconds in 0..=DURATION_SECONDS_MAX.unsigned_abs(), nanos in 0u32..1_000_000_000) {
        let duration = Duration::new(seconds, nanos);
        prop_assert_eq!(duration_from_proto(&duration_to_proto(duration).unwrap()), Ok(duration));
    }
}
