//! Accelerator models: one canonical name each, and the many ways clouds spell it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// Who makes an accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GpuVendor {
    /// NVIDIA GPUs.
    Nvidia,
    /// AMD GPUs.
    Amd,
    /// Intel and Habana accelerators.
    Intel,
    /// Apple GPUs.
    Apple,
    /// Google TPUs.
    Google,
    /// AWS Trainium and Inferentia.
    Aws,
    /// Qualcomm inference cards.
    Qualcomm,
    /// AMD (Xilinx) media cards.
    Xilinx,
}

/// Why an accelerator name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Nothing known has this name.
    #[error("unknown accelerator `{name}`{}; known: {}", hint(.near), KNOWN_TEXT)]
    Unknown {
        /// The name as given.
        name: String,
        /// The closest known name, if one is close.
        near: Option<&'static str>,
    },
    /// The name stands for several different models.
    #[error("`{name}` is ambiguous: it can mean {}; name one of them", candidates.join(" or "))]
    Ambiguous {
        /// The name as given.
        name: String,
        /// The canonical names it can mean.
        candidates: Vec<&'static str>,
    },
}

fn hint(near: &Option<&'static str>) -> String {
    near.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

const KNOWN_TEXT: &str =
    "h100, h200, b200, b300, a100-80gb, a100-40gb, l4, l40s, a10g, t4, v100, ... (see the package's README)";

/// The canonical name of an accelerator model, for example `h100` or `a100-80gb`.
///
/// # Example
/// ```
/// use hpc_resources::AcceleratorModel;
///
/// assert_eq!(AcceleratorModel::parse("NVIDIA H100 80GB HBM3")?, AcceleratorModel::parse("h100-sxm")?);
/// assert!(AcceleratorModel::parse("A100").is_err(), "40 or 80 GB? a guess would cost money");
/// # Ok::<(), hpc_resources::ModelError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AcceleratorModel(&'static str);

/// Canonical name, vendor, and the other spellings (compared without case, spaces, dashes and underscores).
type Row = (&'static str, GpuVendor, &'static [&'static str]);

const TABLE: &[Row] = &[
    (
        "h100",
        GpuVendor::Nvidia,
        &[
            "h100sxm",
            "h100sxm5",
            "nvidiah100",
            "nvidiah10080gb",
            "nvidiah10080gbhbm3",
            "h10080gb",
            "h100mega",
            "nvidiah100mega80gb",
        ],
    ),
    ("h100-nvl", GpuVendor::Nvidia, &["nvidiah100nvl"]),
    ("h100-pcie", GpuVendor::Nvidia, &["nvidiah100pcie"]),
    ("h200", GpuVendor::Nvidia, &["h200sxm", "nvidiah200", "nvidiah200141gb", "h200141gb"]),
    ("gh200", GpuVendor::Nvidia, &["nvidiagh200"]),
    ("b200", GpuVendor::Nvidia, &["nvidiab200"]),
    ("b300", GpuVendor::Nvidia, &["nvidiab300"]),
    ("gb200", GpuVendor::Nvidia, &["nvidiagb200"]),
    ("a100-40gb", GpuVendor::Nvidia, &["a10040", "nvidiaa10040gb", "a100sxm440gb", "nvidiateslaa100"]),
    ("a100-80gb", GpuVendor::Nvidia, &["a10080", "nvidiaa10080gb", "a100sxm480gb"]),
    ("a10", GpuVendor::Nvidia, &["nvidiaa10"]),
    ("a10g", GpuVendor::Nvidia, &["nvidiaa10g"]),
    ("l4", GpuVendor::Nvidia, &["nvidial4"]),
    ("l40s", GpuVendor::Nvidia, &["nvidial40s"]),
    ("t4", GpuVendor::Nvidia, &["nvidiat4", "teslat4", "nvidiateslat4"]),
    ("t4g", GpuVendor::Nvidia, &["nvidiat4g"]),
    ("v100", GpuVendor::Nvidia, &["nvidiav100", "teslav100", "nvidiateslav100", "v100sxm2"]),
    ("m60", GpuVendor::Nvidia, &["teslam60", "nvidiateslam60"]),
    ("k80", GpuVendor::Nvidia, &["teslak80", "nvidiateslak80"]),
    ("p100", GpuVendor::Nvidia, &["teslap100", "nvidiateslap100"]),
    (
        "rtx-pro-6000",
        GpuVendor::Nvidia,
        &["rtxpro6000", "rtxproserver6000", "nvidiartxpro6000", "rtxpro6000blackwellserveredition"],
    ),
    ("rtx-6000-ada", GpuVendor::Nvidia, &["rtx6000ada", "nvidiartx6000ada"]),
    ("rtx-a6000", GpuVendor::Nvidia, &["rtxa6000", "a6000"]),
    ("mi300x", GpuVendor::Amd, &["amdmi300x", "instinctmi300x"]),
    ("mi325x", GpuVendor::Amd, &["amdmi325x"]),
    ("radeon-pro-v520", GpuVendor::Amd, &["radeonprov520", "v520"]),
    ("gaudi", GpuVendor::Intel, &["gaudihl205", "habanagaudi"]),
    ("gaudi2", GpuVendor::Intel, &["habanagaudi2"]),
    ("gaudi3", GpuVendor::Intel, &["intelgaudi3"]),
    ("m2-ultra", GpuVendor::Apple, &["applem2ultra"]),
    ("tpu-v5e", GpuVendor::Google, &["tpuv5litepod", "v5e"]),
    ("tpu-v5p", GpuVendor::Google, &["v5p"]),
    ("tpu-v6e", GpuVendor::Google, &["v6e", "trillium"]),
    ("trainium", GpuVendor::Aws, &["trn1", "awstrainium"]),
    ("trainium2", GpuVendor::Aws, &["trn2", "awstrainium2"]),
    ("inferentia", GpuVendor::Aws, &["inf1", "awsinferentia"]),
    ("inferentia2", GpuVendor::Aws, &["inf2", "awsinferentia2"]),
    ("ai100", GpuVendor::Qualcomm, &["qualcommai100"]),
    ("u30", GpuVendor::Xilinx, &["alveou30"]),
];

const AMBIGUOUS: &[(&str, &[&str])] = &[
    ("a100", &["a100-40gb", "a100-80gb"]),
    ("nvidiaa100", &["a100-40gb", "a100-80gb"]),
    ("rtx6000", &["rtx-6000-ada", "rtx-pro-6000"]),
    ("tpuv5", &["tpu-v5e", "tpu-v5p"]),
];

impl AcceleratorModel {
    /// NVIDIA H100, SXM, 80 GB.
    pub const H100: Self = Self("h100");

    /// Finds the canonical model for a name in any known spelling.
    ///
    /// # Errors
    /// [`ModelError::Unknown`] for a name that is not in the table, [`ModelError::Ambiguous`] for one that stands for
    /// several models: money is never spent on a guess.
    pub fn parse(name: &str) -> Result<Self, ModelError> {
        let folded: String = name
            .chars()
            .take(64)
            .filter(|c| !matches!(c, ' ' | '-' | '_'))
            .flat_map(char::to_lowercase)
            .collect();
        if let Some((_, candidates)) = AMBIGUOUS.iter().find(|(alias, _)| *alias == folded) {
            return Err(ModelError::Ambiguous { name: clip(name), candidates: candidates.to_vec() });
        }
        let canonical = |row: &&Row| row.0.replace('-', "") == folded;
        TABLE
            .iter()
            .find(|row| canonical(row) || row.2.contains(&folded.as_str()))
            .map(|row| Self(row.0))
            .ok_or_else(|| ModelError::Unknown { name: clip(name), near: nearest(&folded) })
    }

    /// The canonical name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Who makes it.
    #[must_use]
    pub fn vendor(self) -> GpuVendor {
        TABLE.iter().find(|row| row.0 == self.0).map_or(GpuVendor::Nvidia, |row| row.1)
    }

    /// All known models.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| Self(row.0))
    }
}

fn clip(name: &str) -> String {
    name.chars().take(40).collect()
}

fn nearest(folded: &str) -> Option<&'static str> {
    TABLE
        .iter()
        .map(|row| {
            let other_letter = row.0.chars().next() != folded.chars().next();
            // Of two that are equally close, the one with the same first letter is likelier meant.
            (distance(&row.0.replace('-', ""), folded), other_letter, row.0)
        })
        .filter(|(distance, _, name)| *distance <= 2 && *distance < name.len())
        .min()
        .map(|(.., name)| name)
}

/// Levenshtein distance; both texts are at most 64 characters here.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((j, right), pair) in b.iter().enumerate().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            let beside = next.get(j).copied().unwrap_or(usize::MAX - 1);
            next.push((diagonal + usize::from(left != *right)).min(above + 1).min(beside + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

impl fmt::Debug for AcceleratorModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for AcceleratorModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for AcceleratorModel {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for AcceleratorModel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_to_one_model() {
        for row in TABLE {
            assert_eq!(AcceleratorModel::parse(row.0).unwrap().as_str(), row.0);
            for alias in row.2 {
                assert_eq!(AcceleratorModel::parse(alias).unwrap().as_str(), row.0, "{alias}");
            }
        }
    }

    #[test]
    fn an_ambiguous_name_is_an_error_and_a_typo_gets_a_hint() {
        assert!(matches!(AcceleratorModel::parse("a100"), Err(ModelError::Ambiguous { .. })));
        let error = AcceleratorModel::parse("h1000").unwrap_err();
        assert!(error.to_string().contains("did you mean `h100`"), "{error}");
        assert!(AcceleratorModel::parse("").is_err());
        assert!(AcceleratorModel::parse(&"h".repeat(100_000)).is_err());
    }
}
