//! A little randomness for spreading load: nothing secret hangs on it.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The next 64 bits (splitmix64 over a counter that starts anywhere).
pub(crate) fn bits() -> u64 {
    static STATE: OnceLock<AtomicU64> = OnceLock::new();
    let state = STATE.get_or_init(|| AtomicU64::new(RandomState::new().hash_one("hpc-rpc-grpc")));
    let mut z = state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number in `0.0..1.0`.
pub(crate) fn unit() -> f64 {
    (bits() >> 11) as f64 / (1u64 << 53) as f64
}

/// Two different indexes below `count`, or the same one twice when there is no other.
pub(crate) fn two_of(count: usize) -> (usize, usize) {
    if count < 2 {
        return (0, 0);
    }
    let bits = bits();
    let first = (bits >> 32) as usize % count;
    let step = 1 + (bits & 0xFFFF_FFFF) as usize % (count - 1);
    (first, (first + step) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_choices_differ_and_reach_everything() {
        let mut seen = [false; 5];
        for _ in 0..1000 {
            let (first, second) = two_of(5);
            assert_ne!(first, second);
            seen[first] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(two_of(1), (0, 0));
    }

    #[test]
    fn a_unit_is_below_one() {
        assert!((0..1000).all(|_| (0.0..1.0).contains(&unit())));
    }
}
