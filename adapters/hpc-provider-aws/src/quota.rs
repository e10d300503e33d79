//! Quotas: vCPUs by family of types, spot and on-demand apart, in each region.

/// One quota of EC2: how many vCPUs of a family may run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its code in Service Quotas, for example `L-417A185B`.
    pub code: &'static str,
    /// The letters before the generation of the types it counts: `p`, `g`, `vt`.
    prefixes: &'static [&'static str],
    /// The generations it counts; empty for all that no other row of the same letters names.
    generations: &'static [&'static str],
    /// Whether it counts spot instances.
    pub spot: bool,
}

const fn row(
    code: &'static str,
    prefixes: &'static [&'static str],
    generations: &'static [&'static str],
    spot: bool,
) -> Family {
    Family { code, prefixes, generations, spot }
}

/// The families, the more exact row first.
///
/// P is one family on demand; spot counts P5 apart from P4, P3 and P2, and public tables contradict each other about P6,
/// which is left out here. P3 belongs to P, not to G as one of them has it. So a quota's name is checked when it is read
/// ([`Family::name_agrees`]).
///
/// Source: "Amazon EC2 service quotas" of the AWS documentation.
pub const FAMILIES: &[Family] = &[
    row("L-417A185B", &["p"], &[], false),
    row("L-C4BD4855", &["p"], &["5"], true),
    row("L-7212CCBC", &["p"], &["2", "3", "4"], true),
    row("L-DB2E81BA", &["g", "vt"], &[], false),
    row("L-3819A6DF", &["g", "vt"], &[], true),
    row("L-6E869C2A", &["dl"], &[], false),
    row("L-85EED4F7", &["dl"], &[], true),
    row("L-2C3B7624", &["trn"], &[], false),
    row("L-6B0D517C", &["trn"], &[], true),
    row("L-1945791B", &["inf"], &[], false),
    row("L-B5D1601B", &["inf"], &[], true),
    row("L-74FC7D96", &["f"], &[], false),
    row("L-88CF9481", &["f"], &[], true),
    row("L-1216C47A", &["a", "c", "d", "h", "i", "m", "r", "t", "z"], &[], false),
    row("L-34B43A08", &["a", "c", "d", "h", "i", "m", "r", "t", "z"], &[], true),
];

/// The family that counts a type bought this way; `None` for a type that no row covers, which has a quota nobody here
/// knows.
#[must_use]
pub fn family(instance_type: &str, spot: bool) -> Option<&'static Family> {
    let (letters, generation) = series(instance_type)?;
    FAMILIES.iter().find(|family| {
        family.spot == spot
            && family.prefixes.contains(&letters)
            && (family.generations.is_empty() || family.generations.contains(&generation))
    })
}

/// The row of a quota's code.
#[must_use]
pub fn by_code(code: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.code == code)
}

impl Family {
    /// Whether the name that Service Quotas gives the code speaks of this family: spot or not, and its first letters.
    ///
    /// A table of codes is never trusted alone: a quota whose name disagrees is left out.
    #[must_use]
    pub fn name_agrees(&self, name: &str) -> bool {
        let folded = name.to_ascii_lowercase();
        let words = || folded.split(|c: char| !c.is_ascii_alphanumeric());
        let named = words().any(|word| {
            self.prefixes.iter().any(|prefix| {
                let rest = word.strip_prefix(prefix);
                rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
            })
        });
        named && words().any(|word| word == "spot") == self.spot
    }
}

/// The letters and the generation of a type: `p` and `5` of `p5.48xlarge`, `g` and `6` of `g6f.large`, `u` is `u-6tb1`'s.
fn series(instance_type: &str) -> Option<(&str, &str)> {
    let (name, _) = instance_type.split_once('.')?;
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    let (letters, rest) = name.split_at_checked(digits)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let generation = rest.get(..end)?;
    (!letters.is_empty()).then_some((letters, generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_counted_by_the_right_code() {
        for (instance_type, on_demand, spot) in [
            ("p5.48xlarge", "L-417A185B", Some("L-C4BD4855")),
            ("p5en.48xlarge", "L-417A185B", Some("L-C4BD4855")),
            ("p4d.24xlarge", "L-417A185B", Some("L-7212CCBC")),
            // P, and not G as a public table has it.
            ("p3.2xlarge", "L-417A185B", Some("L-7212CCBC")),
            ("p2.xlarge", "L-417A185B", Some("L-7212CCBC")),
            // Which spot quota counts P6 is not known here: none is better than a wrong one.
            ("p6-b200.48xlarge", "L-417A185B", None),
            ("g6f.large", "L-DB2E81BA", Some("L-3819A6DF")),
            ("g5.xlarge", "L-DB2E81BA", Some("L-3819A6DF")),
            ("vt1.3xlarge", "L-DB2E81BA", Some("L-3819A6DF")),
            ("dl1.24xlarge", "L-6E869C2A", Some("L-85EED4F7")),
            ("trn1.32xlarge", "L-2C3B7624", Some("L-6B0D517C")),
            ("inf2.48xlarge", "L-1945791B", Some("L-B5D1601B")),
            ("m7i.large", "L-1216C47A", Some("L-34B43A08")),
        ] {
            assert_eq!(
                family(instance_type, false).map(|family| family.code),
                Some(on_demand),
                "{instance_type}"
            );
            assert_eq!(family(instance_type, true).map(|family| family.code), spot, "{instance_type}");
        }
    }

    #[test]
    fn a_type_that_is_none_has_no_family() {
        for text in ["", ".", "p5", "5.large", "x2idn.metal", "u-6tb1.metal", "🦀.large"] {
            assert_eq!(family(text, false), None, "{text}");
        }
    }

    #[test]
    fn each_code_stands_once() {
        let mut codes: Vec<_> = FAMILIES.iter().map(|family| family.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), FAMILIES.len());
        assert_eq!(by_code("L-417A185B"), FAMILIES.first());
        assert_eq!(by_code("L-00000000"), None);
    }

    #[test]
    fn a_name_that_speaks_of_another_family_does_not_agree() {
        let p = by_code("L-417A185B").unwrap();
        assert!(p.name_agrees("Running On-Demand P instances"));
        assert!(!p.name_agrees("All P4, P3 and P2 Spot Instance Requests"), "spot");
        assert!(!p.name_agrees("Running On-Demand G and VT instances"));
        assert!(by_code("L-7212CCBC").unwrap().name_agrees("All P4, P3 and P2 Spot Instance Requests"));
        assert!(by_code("L-3819A6DF").unwrap().name_agrees("All G and VT Spot Instance Requests"));
        let standard = by_code("L-1216C47A").unwrap();
        assert!(standard.name_agrees("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"));
        assert!(!standard.name_agrees(""));
    }
}
