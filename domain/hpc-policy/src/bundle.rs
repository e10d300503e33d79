//! Policies signed by their author: one file, checked as a whole before any of it is used.
//!
//! A bundle is text. It begins with a C2SP signed note that names what follows, and ends with the documents as they are:
//!
//! ```text
//! hpc.policy.bundle/v1
//! name production
//! sequence 7
//! created 2026-11-25T21:00:00Z
//! digest 5f0c...                      the digest of the policy set
//! document 1834 access.yaml           bytes and name, by name
//! document 912 starter.yaml
//!
//! — policies.example.org 1uyy...      Ed25519 over all lines above
//!
//! apiVersion: policy.horizon.dev/v1   1834 bytes, then 912 bytes, and nothing after
//! ...
//! ```
//!
//! There is one spelling of a bundle: any changed byte is found, wherever it is.

use std::fmt::Write as _;

use hpc_crypto::CryptoError;
use hpc_crypto::note::{NoteSigner, SignedNote, VerifierKey};
use jiff::Timestamp;

use crate::digest;
use crate::error::PolicyError;
use crate::identifier::name_problem;
use crate::limits::{BUNDLE_BYTES_MAX, BUNDLE_DOCUMENTS_MAX, BUNDLE_NAME_BYTES_MAX, DOCUMENT_BYTES_MAX};
use crate::set::PolicySet;

/// The first line of a bundle.
pub const BUNDLE_FORMAT: &str = "hpc.policy.bundle/v1";

/// What an author says of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleInfo {
    /// Which policies these are, such as `production`: of two bundles with one name the higher sequence is newer.
    pub name: String,
    /// Counts up with every bundle of this name.
    pub sequence: u64,
    /// When it was made.
    pub created: Timestamp,
}

/// A bundle whose signature, digest and documents were all found to be right.
#[derive(Debug, Clone)]
pub struct VerifiedBundle {
    /// What its author says.
    pub info: BundleInfo,
    /// The policies.
    pub set: PolicySet,
    /// Name and text of each document, by name.
    pub documents: Vec<(String, String)>,
    /// The key that signed.
    pub signer: VerifierKey,
}

/// The last bundle that was taken, to refuse an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its name.
    pub name: String,
    /// Its sequence number.
    pub sequence: u64,
    /// Its digest.
    pub digest: String,
}

/// Why there is no bundle, or why it is not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Not a bundle, or not as one is written.
    #[error("not a policy bundle: {reason}")]
    Malformed {
        /// What was found.
        reason: String,
    },
    /// A bundle of another version.
    #[error(
        "the bundle's format is not `hpc.policy.bundle/v1`; upgrade this program, or make the bundle anew"
    )]
    UnknownFormat,
    /// More than is read or written.
    #[error("a bundle has at most {max} {what}, this one has {got}; leave something out")]
    TooMuch {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// How much there is.
        got: usize,
        /// How much there may be.
        max: usize,
    },
    /// No trusted key signed it, or a signature does not fit.
    #[error(
        "the bundle's signature does not hold: {0}; get it from its author again, or trust the author's key"
    )]
    Signature(CryptoError),
    /// The documents are not those that were signed.
    #[error("the documents have the digest {got}, the bundle was signed for {want}")]
    DigestMismatch {
        /// Digest of the documents in it.
        got: String,
        /// Digest in the signed part.
        want: String,
    },
    /// A document is no policy, or they do not fit together.
    #[error("{}", joined(.0))]
    Policies(Vec<PolicyError>),
    /// Another bundle than the one that is configured here.
    #[error("the bundle is called `{got}`, the one in use here `{want}`")]
    OtherName {
        /// Its name.
        got: String,
        /// The name of the last one.
        want: String,
    },
    /// Older than the last one that was taken, or another one with the same number.
    #[error(
        "the bundle has the sequence number {got}, number {last} was taken already; make one with a higher number"
    )]
    Rollback {
        /// Its number.
        got: u64,
        /// The last number.
        last: u64,
    },
}

impl VerifiedBundle {
    /// What to remember of it once it is in use.
    #[must_use]
    pub fn accepted(&self) -> Accepted {
        let BundleInfo { name, sequence, .. } = &self.info;
        Accepted { name: name.clone(), sequence: *sequence, digest: self.set.digest().to_owned() }
    }

    /// Whether it may follow `last`: the same name, and a higher number or the very same bundle.
    ///
    /// # Errors
    /// [`BundleError::OtherName`] and [`BundleError::Rollback`].
    pub fn follows(&self, last: &Accepted) -> Result<(), BundleError> {
        if self.info.name != last.name {
            return Err(BundleError::OtherName { got: self.info.name.clone(), want: last.name.clone() });
        }
        let same = self.info.sequence == last.sequence && self.set.digest() == last.digest;
        if self.info.sequence > last.sequence || same {
            return Ok(());
        }
        Err(BundleError::Rollback { got: self.info.sequence, last: last.sequence })
    }
}

/// Writes and signs a bundle. The order of the documents makes no difference.
///
/// # Errors
/// [`BundleError::Policies`], [`BundleError::TooMuch`], and [`BundleError::Malformed`] for a name that is not one.
///
/// # Example
/// ```
/// use hpc_crypto::{note::NoteSigner, signing::KeyPair};
/// use hpc_policy::{BundleInfo, create_bundle, verify_bundle};
///
/// let policy = "
/// apiVersion: policy.horizon.dev/v1
/// kind: Policy
/// metadata: {name: read}
/// spec:
///   principals: [{type: any}]
///   resources: [{type: lease, pattern: '**'}]
///   actions: [lease.read]
///   effect: allow
/// ";
/// let signer = NoteSigner::new("policies.example.org", KeyPair::from_seed([7; 32])).unwrap();
/// let info = BundleInfo { name: "small".to_owned(), sequence: 1, created: "2026-11-25T21:00:00Z".parse().unwrap() };
/// let bundle = create_bundle([("read.yaml", policy)], &info, &signer)?;
/// let verified = verify_bundle(bundle.as_bytes(), &[signer.verifier_key().clone()])?;
/// assert_eq!((verified.set.rule_count(), verified.info.sequence), (1, 1));
/// # Ok::<(), hpc_policy::BundleError>(())
/// ```
pub fn create_bundle<N: AsRef<str>, T: AsRef<str>>(
    documents: impl IntoIterator<Item = (N, T)>,
    info: &BundleInfo,
    signer: &NoteSigner,
) -> Result<String, BundleError> {
    let mut documents: Vec<(N, T)> = documents.into_iter().collect();
    documents.sort_by(|one, other| one.0.as_ref().cmp(other.0.as_ref()));
    if documents.len() > BUNDLE_DOCUMENTS_MAX {
        let (what, got) = ("documents", documents.len());
        return Err(BundleError::TooMuch { what, got, max: BUNDLE_DOCUMENTS_MAX });
    }
    checked_name("the bundle's name", &info.name)?;
    let set = PolicySet::parse_documents(documents.iter().map(|(name, text)| (name.as_ref(), text.as_ref())))
        .map_err(BundleError::Policies)?;
    let mut head = head(info, set.digest());
    for (name, text) in &documents {
        checked_name("a document's name", name.as_ref())?;
        let _ = writeln!(head, "document {} {}", text.as_ref().len(), name.as_ref());
    }
    let note = signer.sign(&head).map_err(BundleError::Signature)?;
    let mut bundle = format!("{note}\n");
    for (_, text) in &documents {
        bundle.push_str(text.as_ref());
    }
    if bundle.len() > BUNDLE_BYTES_MAX {
        return Err(BundleError::TooMuch { what: "bytes", got: bundle.len(), max: BUNDLE_BYTES_MAX });
    }
    Ok(bundle)
}

/// Checks a bundle against the keys that the caller trusts, and only then reads its policies. All or nothing.
///
/// Whether it is newer than the last one is for [`VerifiedBundle::follows`].
///
/// # Errors
/// Every [`BundleError`] but [`BundleError::OtherName`] and [`BundleError::Rollback`].
pub fn verify_bundle(bytes: &[u8], trusted: &[VerifierKey]) -> Result<VerifiedBundle, BundleError> {
    if bytes.len() > BUNDLE_BYTES_MAX {
        return Err(BundleError::TooMuch { what: "bytes", got: bytes.len(), max: BUNDLE_BYTES_MAX });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
    if !text.strip_prefix(BUNDLE_FORMAT).is_some_and(|rest| rest.starts_with('\n')) {
        return Err(match text.starts_with("hpc.policy.bundle/") {
            true => BundleError::UnknownFormat,
            false => malformed("it does not begin with `hpc.policy.bundle/v1`"),
        });
    }
    // The first empty line ends the signed part, the second one the signatures.
    let (signed, rest) = text.split_once("\n\n").ok_or_else(|| malformed("it has no signature"))?;
    let (signatures, body) =
        rest.split_once("\n\n").ok_or_else(|| malformed("no empty line ends its signatures"))?;
    let written = format!("{signed}\n\n{signatures}\n");
    let note = SignedNote::parse(written.as_bytes()).map_err(BundleError::Signature)?;
    if note.to_string() != written {
        return Err(malformed("its signatures are not as they are written"));
    }
    let signers = note.verify(trusted).map_err(BundleError::Signature)?;
    if note.signatures().len() != signers.len() {
        // A line that nobody here can check could be changed unseen.
        return Err(malformed("it carries a signature of a key that is not trusted, or one twice"));
    }
    let signer = signers.first().ok_or(BundleError::Signature(CryptoError::NoTrustedSignature))?;
    let signer = VerifierKey::clone(signer);
    let (info, digest, lengths) = read_head(note.text())?;
    let documents = split(body, &lengths)?;
    // Before anything is parsed: what nobody signed is not worth a parser.
    let got = digest::of_set(documents.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    if *got != digest {
        return Err(BundleError::DigestMismatch { got: got.to_string(), want: digest });
    }
    let set = PolicySet::parse_documents(documents.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        .map_err(BundleError::Policies)?;
    Ok(VerifiedBundle { info, set, documents, signer })
}

fn head(info: &BundleInfo, digest: &str) -> String {
    let BundleInfo { name, sequence, created } = info;
    format!("{BUNDLE_FORMAT}\nname {name}\nsequence {sequence}\ncreated {created}\ndigest {digest}\n")
}

type Head = (BundleInfo, String, Vec<(usize, String)>);

/// Reads the signed lines. They are signed, and still not believed to be well formed.
fn read_head(text: &str) -> Result<Head, BundleError> {
    let mut lines = text.lines().skip(1);
    let mut field = |name: &'static str| {
        lines
            .next()
            .and_then(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .map(str::to_owned)
            .ok_or_else(|| malformed(format!("it has no line `{name} ...` where one belongs")))
    };
    let name = field("name")?;
    let sequence = field("sequence")?.parse().map_err(|_| malformed("its sequence is not a number"))?;
    let created = field("created")?.parse().map_err(|_| malformed("`created` is not a time"))?;
    let digest = field("digest")?;
    let info = BundleInfo { name, sequence, created };
    checked_name("the bundle's name", &info.name)?;
    let mut lengths: Vec<(usize, String)> = Vec::new();
    for line in lines {
        let document = line.strip_prefix("document ").and_then(|rest| rest.split_once(' '));
        let (length, name) = document.ok_or_else(|| malformed("a line is not `document BYTES NAME`"))?;
        let length: usize = length.parse().map_err(|_| malformed("a document's length is not a number"))?;
        checked_name("a document's name", name)?;
        if lengths.len() >= BUNDLE_DOCUMENTS_MAX {
            let (what, got) = ("documents", lengths.len().saturating_add(1));
            return Err(BundleError::TooMuch { what, got, max: BUNDLE_DOCUMENTS_MAX });
        }
        if length > DOCUMENT_BYTES_MAX {
            return Err(BundleError::TooMuch {
                what: "bytes in a document",
                got: length,
                max: DOCUMENT_BYTES_MAX,
            });
        }
        if lengths.last().is_some_and(|(_, last)| last.as_str() >= name) {
            return Err(malformed("its documents are not in the order of their names"));
        }
        lengths.push((length, name.to_owned()));
    }
    // One spelling: no sign before a number, no other form of the time.
    let mut again = head(&info, &digest);
    for (length, name) in &lengths {
        let _ = writeln!(again, "document {length} {name}");
    }
    if again != text {
        return Err(malformed("its first lines are not as they are written"));
    }
    Ok((info, digest, lengths))
}

/// Cuts the documents out of what follows the signatures; nothing may be left.
fn split(body: &str, lengths: &[(usize, String)]) -> Result<Vec<(String, String)>, BundleError> {
    let mut documents = Vec::with_capacity(lengths.len());
    let mut rest = body;
    for (length, name) in lengths {
        let (text, after) = rest
            .split_at_checked(*length)
            .ok_or_else(|| malformed(format!("it ends within the document `{name}`")))?;
        documents.push((name.clone(), text.to_owned()));
        rest = after;
    }
    if rest.is_empty() { Ok(documents) } else { Err(malformed("something follows its last document")) }
}

fn checked_name(what: &str, name: &str) -> Result<(), BundleError> {
    let problem = match name_problem(name) {
        None if name.len() > BUNDLE_NAME_BYTES_MAX => Some("is longer than 255 bytes"),
        problem => problem,
    };
    problem.map_or(Ok(()), |problem| Err(malformed(format!("{what} {problem}"))))
}

fn malformed(reason: impl Into<String>) -> BundleError {
    BundleError::Malformed { reason: reason.into() }
}

fn joined(errors: &[PolicyError]) -> String {
    let shown: Vec<String> = errors.iter().take(10).map(ToString::to_string).collect();
    let more = errors.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join("; "))
}
