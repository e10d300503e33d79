//! C2SP log policies: which logs and witnesses a verifier trusts, and how many witnesses make a checkpoint valid.
//!
//! Source: c2sp.org/tlog-policy. Names are opaque octets; witnesses are Ed25519 cosigners (0x04), logs Ed25519 keys (0x01).

mod evaluate;
mod parse;

use std::fmt;
use std::fmt::Write as _;

use crate::CryptoError;
use crate::cosignature::CosignerKey;
use crate::note::VerifierKey;

pub use evaluate::{Verdict, Witnessed};

/// The longest policy that is read, in bytes.
pub const POLICY_BYTES_MAX: usize = 1 << 20;
/// The most logs of a policy.
pub const POLICY_LOGS_MAX: usize = 32;
/// The most witnesses of a policy: their lines and the log's fit into one note.
pub const POLICY_WITNESSES_MAX: usize = 32;
/// The most groups of a policy.
pub const POLICY_GROUPS_MAX: usize = 32;
/// The longest name of a witness or group, in bytes.
pub const POLICY_NAME_BYTES_MAX: usize = 255;
/// The longest URL in a policy, in bytes.
pub const POLICY_URL_BYTES_MAX: usize = 2048;

/// A name or URL in a policy: octets without spaces, usually UTF-8. It prints with control characters
/// and what is no UTF-8 replaced.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Octets(Vec<u8>);

impl Octets {
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        String::from_utf8_lossy(&self.0).chars().map(shown).try_for_each(|c| f.write_char(c))
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.escape_ascii())
    }
}

/// A log that the policy trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    /// Its key; the name of the key is the log's origin.
    pub key: VerifierKey,
    /// Where it can be reached.
    pub url: Option<Octets>,
}

/// A witness that the policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// Its name within the policy.
    pub name: Octets,
    /// Its key.
    pub key: CosignerKey,
    /// Where it can be asked for a cosignature.
    pub url: Option<Octets>,
}

/// Whom to believe about a log. Its text form is canonical: the same policy always gives the same text.
///
/// ```
/// use hpc_crypto::cosignature::Cosigner;
/// use hpc_crypto::signing::KeyPair;
/// use hpc_crypto::tlog_policy::TlogPolicy;
/// # fn main() -> Result<(), hpc_crypto::CryptoError> {
/// let witness = Cosigner::new("witness.example/w1", KeyPair::from_seed([7; 32]))?;
/// let text = format!("# one of one\nwitness w1 {}\nquorum w1\n", witness.key());
/// let policy = TlogPolicy::parse(text.as_bytes())?;
/// assert_eq!(policy.witnesses().len(), 1);
/// assert_eq!(TlogPolicy::parse(policy.to_string().as_bytes())?, policy);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogPolicy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    // INVARIANT: a group's members are witnesses of this policy and groups before it, each in one group at most.
    groups: Vec<Group>,
    quorum: Option<Member>,
}

/// Witnessed when `needed` of `members` are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: Octets,
    needed: usize,
    members: Vec<Member>,
}

/// The position of a witness or of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

impl TlogPolicy {
    /// A policy that trusts one log and asks for no witness.
    pub fn of_log(key: VerifierKey) -> Self {
        let logs = vec![PolicyLog { key, url: None }];
        Self { logs, witnesses: Vec::new(), groups: Vec::new(), quorum: None }
    }

    /// Adds a log that is known from elsewhere; one with the same key and name is not repeated.
    ///
    /// # Errors
    /// [`CryptoError::InvalidTlogPolicy`] with line 0, when there are too many logs or the key has another name here.
    pub fn with_log(mut self, key: VerifierKey) -> Result<Self, CryptoError> {
        if self.logs.iter().any(|log| log.key == key) {
            return Ok(self);
        }
        let refused = |reason: String| CryptoError::InvalidTlogPolicy { line: 0, reason };
        if self.logs.iter().any(|log| log.key.public_key() == key.public_key()) {
            return Err(refused(format!("the key of the log `{}` is listed under another name", key.name())));
        }
        if self.logs.len() >= POLICY_LOGS_MAX {
            return Err(refused(format!("more than {POLICY_LOGS_MAX} logs")));
        }
        self.logs.push(PolicyLog { key, url: None });
        Ok(self)
    }

    /// The logs it trusts, in order.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses it knows, in order, whether the quorum counts them or not.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether any cosignature is asked for.
    pub const fn asks_for_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    /// The canonical text as octets: logs, witnesses, groups, the quorum. [`TlogPolicy::parse`] gives the same policy.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut line = |items: &[&[u8]]| {
            out.extend_from_slice(&items.join(&b' '));
            out.push(b'\n');
        };
        for PolicyLog { key, url } in &self.logs {
            let key = key.to_string();
            let url = url.as_ref().map(Octets::as_bytes);
            line(&[b"log".as_slice(), key.as_bytes()].into_iter().chain(url).collect::<Vec<_>>());
        }
        for PolicyWitness { name, key, url } in &self.witnesses {
            let key = key.to_string();
            let url = url.as_ref().map(Octets::as_bytes);
            line(&[b"witness", name.as_bytes(), key.as_bytes()].into_iter().chain(url).collect::<Vec<_>>());
        }
        for Group { name, needed, members } in &self.groups {
            let needed = match *needed {
                all if all == members.len() => "all".to_owned(),
                1 => "any".to_owned(),
                some => some.to_string(),
            };
            let head = [b"group", name.as_bytes(), needed.as_bytes()];
            line(
                &head
                    .into_iter()
                    .chain(members.iter().map(|member| self.name_of(*member)))
                    .collect::<Vec<_>>(),
            );
        }
        line(&[b"quorum", self.quorum.map_or(NONE, |member| self.name_of(member))]);
        out
    }

    fn name_of(&self, member: Member) -> &[u8] {
        let name = match member {
            Member::Witness(at) => self.witnesses.get(at).map(|witness| &witness.name),
            Member::Group(at) => self.groups.get(at).map(|group| &group.name),
        };
        name.map_or(NONE, Octets::as_bytes)
    }
}

/// The quorum that is always there.
const NONE: &[u8] = b"none";

impl fmt::Display for TlogPolicy {
    /// [`TlogPolicy::to_bytes`] as text; exact when all names and URLs are UTF-8.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}
