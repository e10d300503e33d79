//! Tags: what EC2 takes, checked before anything is sent.

use std::collections::BTreeMap;

use hpc_provider::{ProvisionSpec, TAG_INTENT, TAG_LEASE, TAG_OWNER, TAGS_MAX};

/// Longest tag key, in characters.
const KEY_CHARS_MAX: usize = 128;
/// Longest tag value, in characters.
const VALUE_CHARS_MAX: usize = 256;

/// Why tags were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// More than [`TAGS_MAX`].
    #[error("{0} tags, at most {TAGS_MAX} are set")]
    Many(usize),
    /// A tag by which the instance is found again is not there, or says something else than the intent.
    #[error("the tag `{0}` must name the intent's own; without it nobody would find the instance")]
    Missing(&'static str),
    /// A key that EC2 refuses.
    #[error("`{0}` cannot be a tag key: 1 to {KEY_CHARS_MAX} characters, not beginning with `aws:`")]
    Key(String),
    /// A value that EC2 refuses.
    #[error("the value of `{0}` is longer than {VALUE_CHARS_MAX} characters or has control characters")]
    Value(String),
}

/// Checks an intent's tags.
///
/// # Errors
/// [`TagError`]: too many, one that finds the instance again is missing, a key or value that EC2 refuses.
pub fn check(spec: &ProvisionSpec) -> Result<(), TagError> {
    check_texts(&spec.tags)?;
    let says = |key: &'static str, want: Option<&str>| match spec.tags.get(key) {
        Some(have) if want.is_none_or(|want| want == have) && !have.is_empty() => Ok(()),
        _ => Err(TagError::Missing(key)),
    };
    says(TAG_OWNER, None)?;
    says(TAG_INTENT, Some(spec.intent.as_str()))?;
    says(TAG_LEASE, Some(spec.lease.as_str()))
}

fn check_texts(tags: &BTreeMap<String, String>) -> Result<(), TagError> {
    if tags.len() > TAGS_MAX {
        return Err(TagError::Many(tags.len()));
    }
    for (key, value) in tags {
        let folded = key.to_ascii_lowercase();
        let chars = key.chars().count();
        if chars == 0
            || chars > KEY_CHARS_MAX
            || folded.starts_with("aws:")
            || key.chars().any(char::is_control)
        {
            return Err(TagError::Key(key.chars().filter(|c| !c.is_control()).take(40).collect()));
        }
        if value.chars().count() > VALUE_CHARS_MAX || value.chars().any(char::is_control) {
            return Err(TagError::Value(key.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: &str) -> Result<(), TagError> {
        check_texts(&BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn texts_are_taken_up_to_the_limit_and_no_further() {
        assert_eq!(one(&"ä".repeat(128), &"ö".repeat(256)), Ok(()));
        assert!(matches!(one(&"k".repeat(129), ""), Err(TagError::Key(_))));
        assert!(matches!(one("k", &"v".repeat(257)), Err(TagError::Value(_))));
        for key in ["", "aws:x", "AWS:x", "a\nb"] {
            assert!(matches!(one(key, "v"), Err(TagError::Key(_))), "{key:?}");
        }
        assert!(matches!(one("k", "a\0b"), Err(TagError::Value(_))));
    }

    #[test]
    fn as_many_as_the_port_allows() {
        let tags = |count: usize| (0..count).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(check_texts(&tags(TAGS_MAX)), Ok(()));
        assert_eq!(check_texts(&tags(TAGS_MAX + 1)), Err(TagError::Many(TAGS_MAX + 1)));
    }
}
