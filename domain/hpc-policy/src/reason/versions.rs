//! Which releases satisfy a version requirement.

use semver::{Comparator, Op, Version, VersionReq};

use super::ranges::Ranges;

const PART_BITS: u32 = 42;
/// Larger numbers count as this one. Requirements with numbers as large are not reasoned about.
const PART_MAX: u64 = (1 << PART_BITS) - 1;

/// Every release, numbered.
pub(super) fn all() -> Ranges {
    Ranges::between(0, number(PART_MAX, PART_MAX, PART_MAX))
}

/// A release as a number; order is kept.
pub(super) fn of(version: &Version) -> i128 {
    number(version.major, version.minor, version.patch)
}

fn number(major: u64, minor: u64, patch: u64) -> i128 {
    let part = |number: u64| i128::from(number.min(PART_MAX));
    (part(major) << (2 * PART_BITS)) | (part(minor) << PART_BITS) | part(patch)
}

/// The releases that satisfy `requirement`, and no pre-release does; `None` where that is not so, or not known.
pub(super) fn satisfying(requirement: &VersionReq) -> Option<Ranges> {
    let mut releases = all();
    for comparator in &requirement.comparators {
        releases.intersect(&Ranges::between(first(comparator)?, last(comparator)?));
    }
    Some(releases)
}

/// Number of the first release that satisfies `comparator`.
fn first(comparator: &Comparator) -> Option<i128> {
    let (major, minor, patch) = parts(comparator)?;
    let own = number(major, minor.unwrap_or(0), patch.unwrap_or(0));
    Some(match comparator.op {
        Op::Less | Op::LessEq => 0,
        Op::Greater => after(major, minor, patch),
        _ => own,
    })
}

/// Number of the last release that satisfies `comparator`; below zero if there is none.
fn last(comparator: &Comparator) -> Option<i128> {
    let (major, minor, patch) = parts(comparator)?;
    Some(match comparator.op {
        Op::Greater | Op::GreaterEq => number(PART_MAX, PART_MAX, PART_MAX),
        Op::Less => number(major, minor.unwrap_or(0), patch.unwrap_or(0)) - 1,
        Op::Exact | Op::Wildcard | Op::LessEq => after(major, minor, patch) - 1,
        Op::Tilde => after(major, minor, None) - 1,
        Op::Caret => match (minor, patch) {
            (None, _) => after(major, None, None) - 1,
            _ if major > 0 => after(major, None, None) - 1,
            (Some(minor), None) => after(major, Some(minor), None) - 1,
            (Some(minor), Some(_)) if minor > 0 => after(major, Some(minor), None) - 1,
            (minor, patch) => after(major, minor, patch) - 1,
        },
        _ => return None,
    })
}

/// The first release after all that begin with these parts.
fn after(major: u64, minor: Option<u64>, patch: Option<u64>) -> i128 {
    let base = number(major, minor.unwrap_or(0), patch.unwrap_or(0));
    match (minor, patch) {
        (None, _) => base + (1 << (2 * PART_BITS)),
        (Some(_), None) => base + (1 << PART_BITS),
        (Some(_), Some(_)) => base + 1,
    }
}

fn parts(comparator: &Comparator) -> Option<(u64, Option<u64>, Option<u64>)> {
    // A comparator with a pre-release lets some pre-releases in, by rules of their own.
    let small = |part: u64| part < PART_MAX;
    let known = comparator.pre.is_empty()
        && small(comparator.major)
        && comparator.minor.is_none_or(small)
        && comparator.patch.is_none_or(small);
    known.then_some((comparator.major, comparator.minor, comparator.patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn releases_are_those_that_match(
            comparators in prop::collection::vec(
                (prop::sample::select(vec!["=", ">", ">=", "<", "<=", "~", "^", ""]), "[0-2](\\.[0-2](\\.[0-2])?)?"),
                1..3,
            ),
            version in "[0-3]\\.[0-3]\\.[0-3]", pre in prop::option::of("-[ab0]"),
        ) {
            let text: Vec<String> = comparators.iter().map(|(op, version)| format!("{op}{version}")).collect();
            let requirement = VersionReq::parse(&text.join(", ")).unwrap();
            let releases = satisfying(&requirement).unwrap();
            let version = Version::parse(&format!("{version}{}", pre.unwrap_or_default())).unwrap();
            let expected = version.pre.is_empty() && releases.contains(of(&version));
            prop_assert_eq!(requirement.matches(&version), expected, "{} {}", requirement, version);
        }
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        assert_eq!(satisfying(&VersionReq::parse(">=1.0.0-rc.1").unwrap()), None);
        assert_eq!(satisfying(&VersionReq::parse("<9999999999999.0.0").unwrap()), None);
        assert_eq!(satisfying(&VersionReq::parse("*").unwrap()), Some(all()));
        assert!(satisfying(&VersionReq::parse("<0.0.0").unwrap()).unwrap().is_empty());
    }
}
