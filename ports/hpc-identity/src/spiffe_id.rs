//! SPIFFE IDs and trust domain names, parsed by the letter of the standard and by nothing more general.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::SpiffeIdError;

/// Longest SPIFFE ID accepted, in bytes, scheme included.
pub const SPIFFE_ID_BYTES_MAX: usize = 2048;
/// Longest trust domain name accepted, in bytes.
pub const TRUST_DOMAIN_BYTES_MAX: usize = 255;

const SCHEME: &str = "spiffe://";

/// Name of a trust domain: 1 to 255 bytes of `a-z 0-9 . - _`, such as `hpc.internal`.
///
/// Cheap to clone. Serialised as a string; deserialising parses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Parses a bare name, without `spiffe://`.
    ///
    /// # Errors
    /// [`SpiffeIdError::EmptyTrustDomain`], [`SpiffeIdError::TrustDomainTooLong`], [`SpiffeIdError::TrustDomainCharacter`].
    pub fn parse(name: &str) -> Result<Self, SpiffeIdError> {
        if name.is_empty() {
            return Err(SpiffeIdError::EmptyTrustDomain);
        }
        if name.len() > TRUST_DOMAIN_BYTES_MAX {
            return Err(SpiffeIdError::TrustDomainTooLong { bytes: name.len() });
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
        match name.chars().find(|&c| !allowed(c)) {
            Some(character) => Err(SpiffeIdError::TrustDomainCharacter { character }),
            None => Ok(Self(name.into())),
        }
    }

    /// The name, such as `hpc.internal`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SPIFFE ID of the domain itself, which has no path: `spiffe://hpc.internal`.
    #[must_use]
    pub fn id(&self) -> SpiffeId {
        SpiffeId { uri: format!("{SCHEME}{self}").into(), trust_domain: self.clone() }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = SpiffeIdError;
    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = SpiffeIdError;
    fn try_from(text: String) -> Result<Self, SpiffeIdError> {
        Self::parse(&text)
    }
}

impl From<TrustDomain> for String {
    fn from(domain: TrustDomain) -> Self {
        domain.as_str().to_owned()
    }
}

/// A SPIFFE ID: `spiffe://<trust domain>` followed by an optional path, at most 2,048 bytes.
///
/// Ordered and compared by its text. Cheap to clone. Serialised as a string; deserialising parses.
///
/// Source: SPIFFE-ID, sections 2 and 2.3. No general URL parser is involved, because those normalise
/// `..`, letter case and percent escapes, and so accept what must be refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeId {
    uri: Arc<str>,
    trust_domain: TrustDomain,
}

impl SpiffeId {
    /// Parses the URI form. The scheme may have any letter case and is kept in lower case; all else is taken literally.
    ///
    /// # Errors
    /// The first rule of the standard that the text breaks, as a [`SpiffeIdError`].
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        if text.len() > SPIFFE_ID_BYTES_MAX {
            return Err(SpiffeIdError::TooLong { bytes: text.len() });
        }
        let rest = match text.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            _ => return Err(SpiffeIdError::Scheme),
        };
        let (domain, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let trust_domain = TrustDomain::parse(domain)?;
        check_path(path)?;
        Ok(Self { uri: format!("{SCHEME}{rest}").into(), trust_domain })
    }

    /// Joins a trust domain and path segments: `new(&domain, ["service", "broker"])`. No segments give the domain's own ID.
    ///
    /// # Errors
    /// A [`SpiffeIdError`] for an empty, dotted or otherwise forbidden segment, or a total over the limit.
    /// A segment cannot smuggle in a slash.
    pub fn new<S: AsRef<str>>(
        trust_domain: &TrustDomain,
        segments: impl IntoIterator<Item = S>,
    ) -> Result<Self, SpiffeIdError> {
        let mut uri = format!("{SCHEME}{trust_domain}");
        for segment in segments {
            check_segment(segment.as_ref())?;
            uri.push('/');
            uri.push_str(segment.as_ref());
            if uri.len() > SPIFFE_ID_BYTES_MAX {
                return Err(SpiffeIdError::TooLong { bytes: uri.len() });
            }
        }
        Ok(Self { uri: uri.into(), trust_domain: trust_domain.clone() })
    }

    /// The trust domain the ID belongs to.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The path with its leading slash, such as `/service/broker`; empty for the ID of a whole trust domain.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.get(SCHEME.len() + self.trust_domain.as_str().len()..).unwrap_or_default()
    }

    /// The segments of the path, in order; none for the ID of a whole trust domain.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path().split('/').skip(1)
    }

    /// The whole URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.uri
    }
}

fn check_path(path: &str) -> Result<(), SpiffeIdError> {
    let Some(inner) = path.strip_prefix('/') else {
        return Ok(()); // no path at all: the domain's own ID
    };
    if inner.is_empty() || inner.ends_with('/') {
        return Err(SpiffeIdError::TrailingSlash);
    }
    inner.split('/').try_for_each(check_segment)
}

fn check_segment(segment: &str) -> Result<(), SpiffeIdError> {
    if segment.is_empty() {
        return Err(SpiffeIdError::EmptySegment);
    }
    if segment == "." || segment == ".." {
        return Err(SpiffeIdError::DotSegment);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match segment.chars().find(|&c| !allowed(c)) {
        Some(character) => Err(SpiffeIdError::PathCharacter { character }),
        None => Ok(()),
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;
    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for SpiffeId {
    type Error = SpiffeIdError;
    fn try_from(text: String) -> Result<Self, SpiffeIdError> {
        Self::parse(&text)
    }
}

impl From<SpiffeId> for String {
    fn from(id: SpiffeId) -> Self {
        id.as_str().to_owned()
    }
}
