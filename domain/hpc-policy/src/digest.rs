//! Content digests: which exact text a decision was made by.

use std::fmt::Write as _;
use std::sync::Arc;

const POLICY: &str = "hpc-policy 2026 policy document digest v1";
const SET: &str = "hpc-policy 2026 policy set digest v1";

pub(crate) fn of_policy(text: &str) -> Arc<str> {
    let mut hasher = blake3::Hasher::new_derive_key(POLICY);
    hasher.update(text.as_bytes());
    hex(&hasher)
}

/// Over (name, text) pairs that are already sorted by name, so that the order of files does not matter.
pub(crate) fn of_set<'a>(documents: impl Iterator<Item = (&'a str, &'a str)>) -> Arc<str> {
    let mut hasher = blake3::Hasher::new_derive_key(SET);
    for (name, text) in documents {
        for part in [name, text] {
            // The length keeps ("a", "bc") and ("ab", "c") apart.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hex(&hasher)
}

fn hex(hasher: &blake3::Hasher) -> Arc<str> {
    let mut text = String::with_capacity(64);
    for byte in hasher.finalize().as_bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}
