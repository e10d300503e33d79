//! Tags as labels: what Compute Engine takes, checked before anything is sent.
//!
//! A label has 63 characters of `a-z`, `0-9`, `-` and `_`. Ids of ours are such texts and stay as they are; any other
//! character of a value is written as `__` and two hex digits for each byte, so that every tag comes back as it was.

use std::collections::BTreeMap;

use hpc_provider::{ProvisionSpec, TAG_INTENT, TAG_LEASE, TAG_OWNER, TAGS_MAX};

/// Longest key or value of a label.
pub const LABEL_CHARS_MAX: usize = 63;
/// What begins labels that Google sets itself.
const GOOGLES: &str = "goog-";

/// Why tags were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// More than [`TAGS_MAX`].
    #[error("{0} tags, at most {TAGS_MAX} are set")]
    Many(usize),
    /// A tag by which the instance is found again is not there, or says something else than the intent.
    #[error("the tag `{0}` must name the intent's own; without it nobody would find the instance")]
    Missing(&'static str),
    /// A key that cannot be one.
    #[error(
        "`{0}` cannot be a label's key: 1 to {LABEL_CHARS_MAX} of a-z, 0-9, - and _, a letter first, not beginning with `goog-`"
    )]
    Key(String),
    /// A value that is too long, as it would be written.
    #[error(
        "the value of `{0}` takes more than {LABEL_CHARS_MAX} characters as a label; characters outside a-z, 0-9, - take four"
    )]
    Value(String),
}

/// An intent's tags as labels.
///
/// # Errors
/// [`LabelError`]: too many, one that finds the instance again is missing, a key or value that Compute Engine refuses.
pub fn of_spec(spec: &ProvisionSpec) -> Result<BTreeMap<String, String>, LabelError> {
    let says = |key: &'static str, want: Option<&str>| match spec.tags.get(key) {
        Some(have) if want.is_none_or(|want| want == have) && !have.is_empty() => Ok(()),
        _ => Err(LabelError::Missing(key)),
    };
    let labels = of_tags(&spec.tags)?;
    says(TAG_OWNER, None)?;
    says(TAG_INTENT, Some(spec.intent.as_str()))?;
    says(TAG_LEASE, Some(spec.lease.as_str()))?;
    Ok(labels)
}

fn of_tags(tags: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, LabelError> {
    if tags.len() > TAGS_MAX {
        return Err(LabelError::Many(tags.len()));
    }
    let label = |(key, text): (&String, &String)| {
        if !is_key(key) {
            return Err(LabelError::Key(key.chars().filter(|c| !c.is_control()).take(40).collect()));
        }
        let written = value(text).ok_or_else(|| LabelError::Value(key.clone()))?;
        Ok((key.clone(), written))
    };
    tags.iter().map(label).collect()
}

/// Whether the text can be the key of a label of ours.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    text.len() <= LABEL_CHARS_MAX
        && !text.starts_with(GOOGLES)
        && text.bytes().all(fine)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
}

/// A tag's value as a label's; `None` if that is longer than a label.
///
/// # Example
/// ```
/// use hpc_provider_gcp::labels;
///
/// assert_eq!(labels::value("int_0123").as_deref(), Some("int_0123"));
/// assert_eq!(labels::value("a suite").as_deref(), Some("a__20suite"));
/// assert_eq!(labels::tag("a__20suite"), "a suite");
/// ```
#[must_use]
pub fn value(tag: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let mut written = String::new();
    let mut bytes = tag.bytes().peekable();
    while let Some(byte) = bytes.next() {
        // An underscore stands for itself where the next character does: then `__` is always the start of a hex pair.
        let alone = byte == b'_' && bytes.peek().is_none_or(|next| plain(*next));
        if plain(byte) || alone {
            written.push(char::from(byte));
        } else {
            written.push_str(&format!("__{byte:02x}"));
        }
        if written.len() > LABEL_CHARS_MAX {
            return None;
        }
    }
    Some(written)
}

/// A label's value as a tag's. What was not written by [`value`] stays as it is.
#[must_use]
pub fn tag(label: &str) -> String {
    let mut bytes = Vec::with_capacity(label.len());
    let mut rest = label;
    while let Some(at) = rest.find("__") {
        let (before, from) = rest.split_at(at);
        let hex = from
            .get(2..4)
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) else {
            return label.to_owned();
        };
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(byte);
        rest = from.get(4..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| label.to_owned())
}

/// Labels as tags, without those that Google sets itself.
pub fn to_tags<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> BTreeMap<String, String> {
    let ours = labels.into_iter().filter(|(key, _)| !key.starts_with(GOOGLES));
    ours.map(|(key, value)| (key.clone(), tag(value))).collect()
}

/// The filter that finds what has this tag; `None` for a tag that no label can be.
#[must_use]
pub fn filter(key: &str, tag: &str) -> Option<String> {
    // Neither part can hold a quote, a blank or an operator: there is nothing to escape.
    let value = value(tag).filter(|_| is_key(key))?;
    Some(format!("labels.{key} = \"{value}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_readable_and_everything_comes_back() {
        for (text, want) in [
            ("int_00000000000000000000000001", "int_00000000000000000000000001"),
            ("hpcd-prod", "hpcd-prod"),
            ("", ""),
            ("a suite", "a__20suite"),
            ("_", "_"),
            ("a__b", "a__5f_b"),
            ("a_B", "a__5f__42"),
            ("__20", "__5f_20"),
            ("ü", "__c3__bc"),
        ] {
            let written = value(text).unwrap();
            assert_eq!((written.as_str(), tag(&written).as_str()), (want, text));
            assert!(
                written
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            );
        }
    }

    /// Every text of up to four of the characters that matter: two texts are never written alike.
    #[test]
    fn no_two_texts_share_a_label() {
        let letters = ['_', 'a', '2', '0', 'X', 'ü', '-'];
        let mut all = vec![String::new()];
        for _ in 0..5 {
            let longer = all.iter().flat_map(|text| letters.map(|letter| format!("{text}{letter}")));
            all.extend(longer.collect::<Vec<_>>());
        }
        all.sort_unstable();
        all.dedup();
        let mut written = std::collections::BTreeMap::new();
        for text in all {
            let label = value(&text).unwrap();
            assert_eq!(tag(&label), text);
            let before = written.insert(label, text.clone());
            assert_eq!(before, None, "{text}");
        }
    }

    #[test]
    fn as_long_as_a_label_and_no_longer() {
        assert_eq!(value(&"a".repeat(63)).map(|label| label.len()), Some(63));
        assert_eq!(value(&"a".repeat(64)), None);
        assert_eq!(value(&"A".repeat(15)).map(|label| label.len()), Some(60));
        assert_eq!(value(&"A".repeat(16)), None);
        assert_eq!(value(&"x".repeat(1 << 20)), None);
        assert!(is_key(&"k".repeat(63)) && !is_key(&"k".repeat(64)));
        for key in ["", "K", "1a", "-a", "_a", "a b", "a.b", "ä", "goog-x", "a\"b"] {
            assert!(!is_key(key), "{key}");
        }
    }

    #[test]
    fn labels_of_others_stay_as_they_are() {
        for label in ["a__zz", "__", "__4", "a__ff", "___", "x__C3"] {
            assert_eq!(tag(label), label);
        }
        let labels = BTreeMap::from([
            ("goog-managed".to_owned(), "x".to_owned()),
            ("purpose".to_owned(), "a__20suite".to_owned()),
        ]);
        assert_eq!(to_tags(&labels), BTreeMap::from([("purpose".to_owned(), "a suite".to_owned())]));
    }

    #[test]
    fn as_many_as_the_port_allows() {
        let tags = |count: usize| (0..count).map(|n| (format!("k{n}"), String::new())).collect();
        assert!(of_tags(&tags(TAGS_MAX)).is_ok());
        assert_eq!(of_tags(&tags(TAGS_MAX + 1)), Err(LabelError::Many(TAGS_MAX + 1)));
    }

    #[test]
    fn a_filter_holds_no_more_than_was_meant() {
        assert_eq!(filter("hpc-owner", "a").as_deref(), Some("labels.hpc-owner = \"a\""));
        assert_eq!(
            filter("hpc-owner", "a\" OR x").as_deref(),
            Some("labels.hpc-owner = \"a__22__20__4f__52__20x\"")
        );
        assert_eq!(filter("a OR b", "a"), None);
    }
}
