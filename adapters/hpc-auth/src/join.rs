//! One-time tokens with which a new node asks for its first certificate.
//!
//! The token names the node and the server and pins the server's authority, so the node can tell the right server
//! without trusting the first one it meets. The server keeps a [`JoinRecord`], from which the token cannot be made.
//! Pure: the caller gives randomness and the time, and keeps the record where one transaction can mark it used.
//!
//! ```
//! use hpc_auth::join::{JoinRecord, JoinToken, NodeName};
//! # use hpc_identity::SpiffeId;
//! # use std::time::Duration;
//! # let (random, authority_sha256) = ([7; 32], [9; 32]);
//! # let now = jiff::Timestamp::from_second(1_800_000_000)?;
//! let node = NodeName::parse("gpu-node-17")?;
//! let server = SpiffeId::parse("spiffe://hpc.internal/service/hpcd")?;
//! let token = JoinToken::new(random, node, server, authority_sha256);
//! let mut record = JoinRecord::new(&token, now, Duration::from_secs(600))?; // this is stored
//! let text = token.encode(); // this goes to the node
//!
//! let shown = JoinToken::parse(&text)?;
//! # let (csr_der, another_csr_der) = (b"one", b"two");
//! assert!(record.redeem(&shown, csr_der, now).is_ok());
//! assert!(record.redeem(&shown, csr_der, now).is_ok()); // the same node asks again: its answer was lost
//! assert!(record.redeem(&shown, another_csr_der, now).is_err()); // once
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpc_identity::{SpiffeId, SpiffeIdError, TrustDomain};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// How every token starts, so that scanners for leaked secrets can find it.
pub const JOIN_TOKEN_PREFIX: &str = "hpcjoin_";
/// Longest text read as a token.
pub const JOIN_TOKEN_BYTES_MAX: usize = 4096;
/// Longest name of a node, in bytes (a DNS label).
pub const NODE_NAME_BYTES_MAX: usize = 63;
/// Longest life of a token.
pub const JOIN_LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const VERSION: u8 = 1;
const CHECK_BYTES: usize = 4;
const HASH_CONTEXT: &[u8] = b"hpc-foundation/join-token/v1\0";

/// Why a join token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The text is no token; nothing of it is repeated here.
    #[error("not a join token: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A node's name is not 1 to 63 of `a-z 0-9 -`, or starts or ends with `-`.
    #[error("a node's name has 1 to 63 of a-z, 0-9 and `-`, and neither starts nor ends with `-`")]
    NodeName,
    /// The token's life is zero or longer than [`JOIN_LIFETIME_MAX`].
    #[error("a join token lives at most 24 hours")]
    Lifetime,
    /// The token is not the one this record was made for.
    #[error("the join token is not known")]
    Unknown,
    /// The token's time is over.
    #[error("the join token has expired; ask for a new one")]
    Expired,
    /// The token was used before, with another signing request.
    #[error("the join token was used before; ask for a new one")]
    AlreadyUsed,
}

/// Name of a node: a DNS label, 1 to 63 of `a-z 0-9 -`, neither starting nor ending with `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

impl NodeName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`JoinError::NodeName`].
    pub fn parse(text: &str) -> Result<Self, JoinError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=NODE_NAME_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(JoinError::NodeName)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ID the node gets: `spiffe://<trust domain>/node/<name>`.
    ///
    /// # Errors
    /// None for the limits of both parts as they are; the type says so because joining is checked.
    pub fn spiffe_id(&self, trust_domain: &TrustDomain) -> Result<SpiffeId, SpiffeIdError> {
        SpiffeId::new(trust_domain, ["node", self.as_str()])
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for NodeName {
    type Error = JoinError;
    fn try_from(text: String) -> Result<Self, JoinError> {
        Self::parse(&text)
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

/// A token: who may join, at which server, under which authority, and the secret that proves it.
///
/// The secret is wiped on drop; `Debug` shows the node and the server alone.
pub struct JoinToken {
    secret: Zeroizing<[u8; 32]>,
    node: NodeName,
    server: SpiffeId,
    authority_sha256: [u8; 32],
}

impl JoinToken {
    /// A token from 32 random bytes, for `node`, to be shown to `server`, whose authority's certificate has this SHA-256.
    #[must_use]
    pub fn new(random: [u8; 32], node: NodeName, server: SpiffeId, authority_sha256: [u8; 32]) -> Self {
        Self { secret: Zeroizing::new(random), node, server, authority_sha256 }
    }

    /// The text form: [`JOIN_TOKEN_PREFIX`] and unpadded base64url. Give it to the node in a file or on standard input.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        let body = self.body();
        let mut text = Zeroizing::new(String::with_capacity(JOIN_TOKEN_PREFIX.len() + body.len() * 2));
        text.push_str(JOIN_TOKEN_PREFIX);
        let mut checked = Zeroizing::new(Vec::with_capacity(body.len() + CHECK_BYTES));
        checked.extend_from_slice(&body);
        checked.extend(check(&body));
        URL_SAFE_NO_PAD.encode_string(&*checked, &mut text);
        text
    }

    /// Reads the text form. White space around it is passed over; a single mistyped character is noticed.
    ///
    /// # Errors
    /// [`JoinError::Malformed`], [`JoinError::NodeName`].
    pub fn parse(text: &str) -> Result<Self, JoinError> {
        let malformed = |reason| JoinError::Malformed { reason };
        let text = text.trim();
        if text.len() > JOIN_TOKEN_BYTES_MAX {
            return Err(malformed("longer than 4096 bytes"));
        }
        let body =
            text.strip_prefix(JOIN_TOKEN_PREFIX).ok_or(malformed("it does not start with `hpcjoin_`"))?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(body).map_err(|_| malformed("not base64url"))?);
        let (body, sum) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(malformed("too short"))?;
        if check(body) != *sum {
            return Err(malformed("it is cut short or mistyped"));
        }
        let (&[version, ..], rest) = body.split_first_chunk::<1>().ok_or(malformed("too short"))?;
        if version != VERSION {
            return Err(malformed("of another version"));
        }
        let (secret, rest) = rest.split_first_chunk::<32>().ok_or(malformed("too short"))?;
        let (authority_sha256, rest) = rest.split_first_chunk::<32>().ok_or(malformed("too short"))?;
        let (&[node_bytes], rest) = rest.split_first_chunk::<1>().ok_or(malformed("too short"))?;
        let (node, server) = rest.split_at_checked(usize::from(node_bytes)).ok_or(malformed("too short"))?;
        let utf8 = |bytes| std::str::from_utf8(bytes).map_err(|_| malformed("not UTF-8"));
        let server =
            SpiffeId::parse(utf8(server)?).map_err(|_| malformed("the server's ID is no SPIFFE ID"))?;
        Ok(Self::new(*secret, NodeName::parse(utf8(node)?)?, server, *authority_sha256))
    }

    /// The node that may join.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// The server to show the token to, and nobody else.
    #[must_use]
    pub fn server(&self) -> &SpiffeId {
        &self.server
    }

    /// SHA-256 of the certificate (DER) of the authority that vouches for the server.
    #[must_use]
    pub fn authority_sha256(&self) -> &[u8; 32] {
        &self.authority_sha256
    }

    /// Hash by which the server finds the record, in hexadecimal. Covers every field; the token cannot be made from it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let digest = Sha256::new().chain_update(HASH_CONTEXT).chain_update(&*self.body()).finalize();
        TokenHash(hexadecimal(&digest))
    }

    /// Version, secret, authority, length of the node's name, node's name, server's ID.
    fn body(&self) -> Zeroizing<Vec<u8>> {
        let (node, server) = (self.node.as_str(), self.server.as_str());
        let mut body = Zeroizing::new(Vec::with_capacity(66 + node.len() + server.len()));
        body.push(VERSION);
        body.extend_from_slice(&*self.secret);
        body.extend_from_slice(&self.authority_sha256);
        body.push(u8::try_from(node.len()).unwrap_or(u8::MAX)); // at most NODE_NAME_BYTES_MAX, so it fits
        body.extend_from_slice(node.as_bytes());
        body.extend_from_slice(server.as_bytes());
        body
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(body: &[u8]) -> [u8; CHECK_BYTES] {
    let digest: [u8; 32] = Sha256::digest(body).into();
    digest.first_chunk().copied().unwrap_or_default()
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("node", &self.node.as_str())
            .field("server", &self.server.as_str())
            .finish_non_exhaustive()
    }
}

/// Hash of a token in lower-case hexadecimal: the key of its record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

impl TokenHash {
    /// 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the server keeps of a token: enough to recognise it once, too little to make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRecord {
    token_hash: TokenHash,
    node: NodeName,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
    /// SHA-256 of the signing request that it was used with, in hexadecimal; none for what was used before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_for: Option<String>,
}

impl JoinRecord {
    /// The record of `token`, good from `now` for `lifetime`.
    ///
    /// # Errors
    /// [`JoinError::Lifetime`].
    pub fn new(token: &JoinToken, now: Timestamp, lifetime: Duration) -> Result<Self, JoinError> {
        if lifetime.is_zero() || lifetime > JOIN_LIFETIME_MAX {
            return Err(JoinError::Lifetime);
        }
        let lifetime = SignedDuration::try_from(lifetime).map_err(|_| JoinError::Lifetime)?;
        let expires_at = now.checked_add(lifetime).map_err(|_| JoinError::Lifetime)?;
        Ok(Self {
            token_hash: token.hash(),
            node: token.node.clone(),
            expires_at,
            used_at: None,
            used_for: None,
        })
    }

    /// Marks the token used with this signing request (PKCS#10 DER), and names the node that may now have a certificate.
    ///
    /// The same request again, in the token's time, is the same node, whose answer was lost: it may have a certificate
    /// again, for the key that it had asked for. Nobody gains by repeating it who does not have that key.
    ///
    /// Write the changed record in the transaction that also notes the certificate, before the certificate is sent.
    ///
    /// # Errors
    /// [`JoinError::Unknown`] for another token, compared in constant time; then [`JoinError::AlreadyUsed`], [`JoinError::Expired`].
    /// The record is unchanged then.
    pub fn redeem(
        &mut self,
        token: &JoinToken,
        csr_der: &[u8],
        now: Timestamp,
    ) -> Result<&NodeName, JoinError> {
        let shown = token.hash();
        if !bool::from(shown.as_str().as_bytes().ct_eq(self.token_hash.as_str().as_bytes())) {
            return Err(JoinError::Unknown);
        }
        let asked = hexadecimal(&Sha256::digest(csr_der));
        if self.used_at.is_some() && self.used_for.as_ref() != Some(&asked) {
            return Err(JoinError::AlreadyUsed);
        }
        if now >= self.expires_at {
            return Err(JoinError::Expired);
        }
        self.used_at.get_or_insert(now);
        self.used_for = Some(asked);
        Ok(&self.node)
    }

    /// The key to keep the record under.
    #[must_use]
    pub fn token_hash(&self) -> &TokenHash {
        &self.token_hash
    }

    /// The node the token is for.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// When the token stops being good.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// When the token was used, if it was.
    #[must_use]
    pub fn used_at(&self) -> Option<Timestamp> {
        self.used_at
    }
}
