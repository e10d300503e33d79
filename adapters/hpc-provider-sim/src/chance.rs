//! Chance without state: every draw is a function of the seed and of what it is for.

/// One step of SplitMix64, which passes the usual statistical tests and needs no table.
const fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// 64 bits drawn for `what` (any texts) and `number`.
pub(crate) fn draw(seed: u64, what: &[&str], number: u64) -> u64 {
    let mut state = mix(seed ^ 0x6870_6320_7369_6d31);
    for text in what {
        for byte in text.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        state = mix(state ^ 0x1_0000); // a mark between texts, which no byte is
    }
    mix(state ^ mix(number))
}

/// A draw below `bound`; 0 when `bound` is 0.
pub(crate) fn below(seed: u64, what: &[&str], number: u64, bound: u64) -> u64 {
    draw(seed, what, number).checked_rem(bound).unwrap_or(0)
}

/// Whether something with a chance of `hundredths` hundredths of a percent happens.
pub(crate) fn happens(seed: u64, what: &[&str], number: u64, hundredths: u32) -> bool {
    hundredths > 0 && below(seed, what, number, 10_000) < u64::from(hundredths)
}

/// A number that is different for every `count` (a bijection on 48 bits), and looks arbitrary.
pub(crate) const fn distinct_48(seed: u64, count: u64) -> u64 {
    const MASK: u64 = (1 << 48) - 1;
    (count.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ mix(seed)) & MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_everything_and_repeat() {
        let base = draw(7, &["a", "b"], 1);
        assert_eq!(base, draw(7, &["a", "b"], 1));
        assert!(
            [draw(8, &["a", "b"], 1), draw(7, &["ab"], 1), draw(7, &["a", "b"], 2)]
                .iter()
                .all(|d| *d != base)
        );
        let heads = (0..10_000).filter(|n| happens(7, &["coin"], *n, 5_000)).count();
        assert!((4_800..5_200).contains(&heads), "{heads}");
    }

    #[test]
    fn ids_never_meet() {
        let ids: std::collections::HashSet<u64> = (0..50_000).map(|count| distinct_48(7, count)).collect();
        assert_eq!(ids.len(), 50_000);
    }
}
