//! What a job's comment says: the tags, what must be the same when a token comes again, and which instances were released.
//!
//! `hpc1;f=<fingerprint>;s=<shape>;p=<nanos><currency>;r=<bits>;t=<key>=<value>;t=...`, percent-encoded where needed. It has
//! no blank, no line end and no `|`, so a listing of jobs stays one job a line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hpc_provider::ProvisionSpec;
use hpc_resources::{Currency, InstanceType, Money, PerInstanceHour};

/// Longest comment that Slurm 22.05 takes, in bytes.
pub const COMMENT_BYTES_MAX: usize = 1_024;

const VERSION: &str = "hpc1";

/// The comment of one job of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Of everything that must be the same when a token comes again.
    pub(crate) fingerprint: String,
    pub(crate) shape: InstanceType,
    /// What one instance costs for an hour, as it was at the create.
    pub(crate) price: PerInstanceHour,
    pub(crate) tags: BTreeMap<String, String>,
    /// Which instances the owner gave back, four a digit; of fixed length, so that a comment never grows.
    pub(crate) released: Released,
}

/// One bit for each instance of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Released(Vec<bool>);

impl Released {
    fn none(instances: u32) -> Self {
        Self((0..instances).map(|_| false).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn has(&self, index: usize) -> bool {
        self.0.get(index).copied().unwrap_or(false)
    }

    pub(crate) fn all(&self) -> bool {
        self.0.iter().all(|released| *released)
    }

    pub(crate) fn set(&mut self, index: usize) {
        if let Some(bit) = self.0.get_mut(index) {
            *bit = true;
        }
    }

    fn write(&self) -> String {
        let digit = |four: &[bool]| {
            let value = four.iter().rev().fold(0, |value, bit| (value << 1) | u32::from(*bit));
            char::from_digit(value, 16).unwrap_or('0')
        };
        let digits: String = self.0.chunks(4).map(digit).collect();
        format!("{}.{digits}", self.0.len())
    }

    fn read(text: &str) -> Option<Self> {
        let (count, digits) = text.split_once('.')?;
        let count: usize = count.parse().ok().filter(|count| (1..=4_096).contains(count))?;
        let mut bits = Vec::with_capacity(count);
        for digit in digits.chars() {
            let value = digit.to_digit(16)?;
            bits.extend((0..4).map(|bit| value & (1 << bit) != 0));
        }
        if digits.len() != count.div_ceil(4) || bits.iter().skip(count).any(|bit| *bit) {
            return None;
        }
        bits.truncate(count);
        Some(Self(bits))
    }
}

impl Note {
    pub(crate) fn new(spec: &ProvisionSpec, price: PerInstanceHour) -> Self {
        Self {
            fingerprint: fingerprint(spec),
            shape: spec.offer.instance_type.clone(),
            price,
            tags: spec.tags.clone(),
            released: Released::none(spec.instances),
        }
    }

    pub(crate) fn write(&self) -> String {
        let (nanos, currency) = (self.price.0.nanos(), self.price.0.currency());
        let (fingerprint, shape, released) = (&self.fingerprint, &self.shape, self.released.write());
        let mut text = format!("{VERSION};f={fingerprint};s={shape};p={nanos}{currency};r={released}");
        for (key, value) in &self.tags {
            text.push_str(";t=");
            encode(&mut text, key);
            text.push('=');
            encode(&mut text, value);
        }
        text
    }

    /// `None` for a comment that this adapter did not write.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        if parts.next() != Some(VERSION) || text.len() > COMMENT_BYTES_MAX {
            return None;
        }
        let mut field = |name: &str| parts.next()?.strip_prefix(name);
        let (fingerprint, shape, price, released) = (field("f=")?, field("s=")?, field("p=")?, field("r=")?);
        let split = price.len().checked_sub(3)?;
        let (nanos, currency) = price.split_at_checked(split)?;
        let price = Money::from_nanos(nanos.parse().ok()?, Currency::parse(currency).ok()?);
        let mut tags = BTreeMap::new();
        for part in parts {
            let (key, value) = part.strip_prefix("t=")?.split_once('=')?;
            tags.insert(decode(key)?, decode(value)?);
        }
        Some(Self {
            fingerprint: fingerprint.to_owned(),
            shape: InstanceType::parse(shape).ok()?,
            price: PerInstanceHour(price),
            tags,
            released: Released::read(released)?,
        })
    }
}

/// A fingerprint of everything that must be the same when a token is used again. The deadline and the age of the quote
/// are not in it: they differ when an intent is repeated after a crash.
pub(crate) fn fingerprint(spec: &ProvisionSpec) -> String {
    let all = (spec.offer.key(), spec.instances, &spec.tags, &spec.user_data_ref, spec.price_ceiling);
    let text = serde_json::to_vec(&all).unwrap_or_default();
    blake3::hash(&text).to_hex().chars().take(32).collect()
}

fn encode(into: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'@') {
            into.push(char::from(byte));
        } else {
            let _infallible = write!(into, "%{byte:02x}");
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(instances: u32) -> Note {
        let tags = [("hpc-owner", "hpcd-7"), ("purpose", "a | suite;\n=%\u{fc}")];
        Note {
            fingerprint: "00ff".to_owned(),
            shape: InstanceType::parse("h100-4").unwrap(),
            price: PerInstanceHour("8.00 USD".parse().unwrap()),
            tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            released: Released::none(instances),
        }
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_stays_one_field_of_one_line() {
        for instances in [1, 3, 4, 5, 256] {
            let mut note = note(instances);
            let before = note.write();
            assert!(before.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'|'), "{before}");
            assert_eq!(Note::read(&before), Some(note.clone()));
            let last = usize::try_from(instances).unwrap() - 1;
            note.released.set(last);
            let after = note.write();
            assert_eq!(after.len(), before.len(), "a release makes the comment no longer");
            let read = Note::read(&after).unwrap();
            assert!(read.released.has(last));
            assert_eq!(read.released.all(), instances == 1);
        }
    }

    #[test]
    fn comments_of_others_are_not_read() {
        let good = note(2).write();
        assert!(Note::read(&good).is_some());
        for text in [
            "",
            "(null)",
            "hpc2;f=1",
            "hpc1",
            "hpc1;f=1;s=x;p=1USD",
            "hpc1;f=1;s=x;p=USD;r=1.0",
            "hpc1;f=1;s=x;p=1usd;r=1.0",
            "hpc1;f=1;s=x;p=1USD;r=1.2",
            "hpc1;f=1;s=x;p=1USD;r=0.",
            "hpc1;f=1;s=x;p=1USD;r=99999999.0",
            "hpc1;f=1;s=a b;p=1USD;r=1.0",
            "hpc1;f=1;s=x;p=1USD;r=1.0;t=a",
            "hpc1;f=1;s=x;p=1USD;r=1.0;t=a=%4",
            "hpc1;f=1;s=x;p=1USD;r=1.0;t=a=%zz",
            "hpc1;f=1;s=x;p=1USD;r=1.0;t=a=%ff",
            "hpc1;f=1;s=x;p=\u{20ac}\u{20ac};r=1.0",
        ] {
            assert_eq!(Note::read(text), None, "{text}");
        }
        let long = format!("{good};t=a={}", "x".repeat(COMMENT_BYTES_MAX));
        assert_eq!(Note::read(&long), None);
    }
}
