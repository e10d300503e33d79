//! C2SP cosignatures: a witness says that, at a time, a checkpoint was the latest of a log that only grew.
//!
//! Source: c2sp.org/tlog-cosignature v1.0.1, the Ed25519 type (0x04). A cosigner's key is of another type than a log's,
//! has another id and signs another message, so that neither signature passes for the other.
//! Times are POSIX seconds and come from the caller.

use std::fmt;
use std::str::FromStr;

use crate::CryptoError;
use crate::checkpoint::SignedCheckpoint;
use crate::note::{COSIGNED_FIRST_LINE, KeyKind, NamedKey, NoteSignature, SignedNote};
use crate::signing::{KeyPair, PublicKey, SIGNATURE_BYTES, Signature};

/// The latest time that a cosignature can bear, in POSIX seconds.
pub const COSIGNATURE_TIME_MAX: u64 = (1 << 63) - 1;

/// The public key of a cosigner, such as a witness, with its name. Its text form is `name+id+key`.
///
/// ```
/// use hpc_crypto::cosignature::{Cosigner, CosignerKey};
/// use hpc_crypto::signing::KeyPair;
/// # fn main() -> Result<(), hpc_crypto::CryptoError> {
/// let witness = Cosigner::new("witness.example/w1", KeyPair::from_seed([7; 32]))?;
/// let key: CosignerKey = witness.key().to_string().parse()?;
/// assert_eq!(key, *witness.key());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignerKey(NamedKey);

impl CosignerKey {
    /// Names a public key. Give every cosigner a key of its own: the signed message does not hold the name.
    ///
    /// # Errors
    /// Only [`CryptoError::InvalidKeyName`].
    pub fn new(name: &str, key: PublicKey) -> Result<Self, CryptoError> {
        Ok(Self(NamedKey::new(KeyKind::Cosignature, name, key)?))
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The first four bytes of the hash of name, type and key; tells keys apart, protects nothing.
    pub const fn id(&self) -> u32 {
        self.0.id()
    }

    /// The key itself.
    pub const fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    /// The time of this key's cosignature in `line` under a note's text; `None` for the line of another key.
    fn time_of(&self, text: &str, line: &NoteSignature) -> Option<Result<u64, CryptoError>> {
        line.claims(&self.0).then(|| {
            let bad = || CryptoError::BadSignature { name: self.name().to_owned() };
            let (time, signature) = line.bytes().split_first_chunk::<8>().ok_or_else(bad)?;
            let time_s = u64::from_be_bytes(*time);
            let signature = Signature::from_slice(signature).map_err(|_| bad())?;
            if self.public_key().verify(message(text, time_s)?.as_bytes(), &signature) {
                Ok(time_s)
            } else {
                Err(bad())
            }
        })
    }
}

impl fmt::Display for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CosignerKey {
    type Err = CryptoError;

    /// Reads `name+id+key`. Every other spelling of the same key is refused, and so is a key of another type.
    fn from_str(text: &str) -> Result<Self, CryptoError> {
        NamedKey::parse(KeyKind::Cosignature, text).map(Self)
    }
}

/// A cosigner's key pair with its name.
pub struct Cosigner {
    key: CosignerKey,
    pair: KeyPair,
}

impl Cosigner {
    /// Names a key pair. Use one pair for one purpose only.
    ///
    /// # Errors
    /// Only [`CryptoError::InvalidKeyName`].
    pub fn new(name: &str, pair: KeyPair) -> Result<Self, CryptoError> {
        Ok(Self { key: CosignerKey::new(name, pair.public_key())?, pair })
    }

    /// What others need to check this cosigner's lines.
    pub const fn key(&self) -> &CosignerKey {
        &self.key
    }

    /// Cosigns a checkpoint as of `time_s`, in POSIX seconds. The checkpoint stays as it is; the line is returned.
    ///
    /// Whether the checkpoint may be cosigned at all is decided by [`crate::witness::decide`].
    ///
    /// # Errors
    /// Only [`CryptoError::TimeOutOfRange`].
    pub fn cosign(&self, checkpoint: &SignedCheckpoint, time_s: u64) -> Result<NoteSignature, CryptoError> {
        let signature = self.pair.sign(message(checkpoint.note().text(), time_s)?.as_bytes());
        let mut bytes = Vec::with_capacity(8 + SIGNATURE_BYTES);
        bytes.extend_from_slice(&time_s.to_be_bytes());
        bytes.extend_from_slice(&signature.to_bytes());
        Ok(NoteSignature::new(&self.key.0, bytes))
    }
}

/// What a verifier takes for the present. Without one, no cosignature is too new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The time now, in POSIX seconds.
    pub now_s: u64,
    /// How far ahead of it a cosignature may be dated, in seconds: by how much clocks may differ.
    pub ahead_s_max: u64,
}

impl Clock {
    /// Whether a cosignature of `time_s` is not too far in the future.
    pub const fn admits(&self, time_s: u64) -> bool {
        time_s <= self.now_s.saturating_add(self.ahead_s_max)
    }
}

/// One checked cosignature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosignature<'k> {
    /// Whose it is.
    pub key: &'k CosignerKey,
    /// When it was made, by the cosigner's clock, in POSIX seconds.
    pub time_s: u64,
}

/// The cosignatures of trusted keys under a note, one for each key, in order of the note.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cosignatures<'k> {
    /// Those that count; the latest of a key that has several.
    pub counted: Vec<Cosignature<'k>>,
    /// Those of keys that have none but cosignatures from the future; they do not count. The earliest of a key.
    pub ahead: Vec<Cosignature<'k>>,
}

/// Checks the cosignatures under a note against the keys that the caller trusts. Lines of other keys are ignored.
///
/// A cosignature dated further ahead than `clock` admits does not count. One that does not fit spoils the whole note, as
/// it does for other signatures.
///
/// # Errors
/// [`CryptoError::BadSignature`] or [`CryptoError::TimeOutOfRange`], for a trusted key's line.
pub fn verify<'k>(
    note: &SignedNote,
    trusted: &'k [CosignerKey],
    clock: Option<Clock>,
) -> Result<Cosignatures<'k>, CryptoError> {
    verify_by(note, trusted.iter(), clock)
}

pub(crate) fn verify_by<'k>(
    note: &SignedNote,
    trusted: impl Iterator<Item = &'k CosignerKey> + Clone,
    clock: Option<Clock>,
) -> Result<Cosignatures<'k>, CryptoError> {
    let mut found = Cosignatures::default();
    for line in note.signatures() {
        let Some((key, time_s)) =
            trusted.clone().find_map(|key| key.time_of(note.text(), line).map(|time_s| (key, time_s)))
        else {
            continue;
        };
        let time_s = time_s?;
        let counts = clock.is_none_or(|clock| clock.admits(time_s));
        let list = if counts { &mut found.counted } else { &mut found.ahead };
        match list.iter_mut().find(|known| known.key == key) {
            Some(known) if counts => known.time_s = known.time_s.max(time_s),
            Some(known) => known.time_s = known.time_s.min(time_s),
            None => list.push(Cosignature { key, time_s }),
        }
    }
    let Cosignatures { counted, ahead } = &mut found;
    ahead.retain(|late| counted.iter().all(|known| known.key != late.key));
    Ok(found)
}

/// Adds the signature lines of a witness's reply to a checkpoint: those of `trusted` keys, each checked.
///
/// A key's older cosignature makes room for its newer one. Nothing is added unless everything holds. Returns what was in
/// the reply and counts.
///
/// # Errors
/// What is wrong with the lines, [`CryptoError::NoTrustedSignature`] when none counts,
/// [`CryptoError::InvalidNote`] when the note is full.
pub fn add_reply<'k>(
    checkpoint: &mut SignedCheckpoint,
    reply: &[u8],
    trusted: &'k [CosignerKey],
    clock: Option<Clock>,
) -> Result<Vec<Cosignature<'k>>, CryptoError> {
    let mut answered = SignedNote::unsigned(checkpoint.note().text())?;
    for line in NoteSignature::parse_lines(reply)? {
        answered.push(line)?;
    }
    let Cosignatures { counted, .. } = verify(&answered, trusted, clock)?;
    if counted.is_empty() {
        return Err(CryptoError::NoTrustedSignature);
    }
    let mut note = checkpoint.note().clone();
    for Cosignature { key, time_s } in &counted {
        let is_newest =
            |line: &NoteSignature| line.claims(&key.0) && line.bytes().starts_with(&time_s.to_be_bytes());
        let Some(newest) = answered.signatures().iter().find(|line| is_newest(line)) else { continue };
        // A line of the same key that is older, or that does not fit and would spoil the note.
        let held = |line: &NoteSignature| key.time_of(note.text(), line).and_then(Result::ok);
        if note.signatures().iter().filter_map(held).all(|time| time < *time_s) {
            note.remove(|line| line.claims(&key.0));
            note.push(newest.clone())?;
        }
    }
    checkpoint.replace_note(note);
    Ok(counted)
}

/// What a cosigner signs: a fixed first line, the time, the text of the checkpoint.
fn message(text: &str, time_s: u64) -> Result<String, CryptoError> {
    if time_s > COSIGNATURE_TIME_MAX {
        return Err(CryptoError::TimeOutOfRange { time_s });
    }
    Ok(format!("{COSIGNED_FIRST_LINE}time {time_s}\n{text}"))
}
