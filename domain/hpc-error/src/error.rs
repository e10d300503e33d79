use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::codes::{self, ErrorCode};
use crate::{ErrorKind, Retry};

/// `Result` with [`HpcError`].
pub type Result<T, E = HpcError> = std::result::Result<T, E>;

/// Longest message kept by an error that carries details; the rest is cut off and marked with `...`.
pub const MESSAGE_BYTES_MAX: usize = 1024;
/// Most context pairs of one error.
pub const CONTEXT_PAIRS_MAX: usize = 16;
/// Longest context key.
pub const CONTEXT_KEY_BYTES_MAX: usize = 63; // AIP-193 allows 64
/// Longest context value; the rest is cut off and marked with `...`.
pub const CONTEXT_VALUE_BYTES_MAX: usize = 512;
/// All context keys and values of one error together. Keeps the encoded details under 4 KiB,
/// because header lists of common proxies end at 8 KiB.
pub const CONTEXT_BYTES_MAX: usize = 2048;

macro_rules! variants {
    ($( $(#[$doc:meta])* $variant:ident, $constructor:ident; )+) => {
        /// The error of every package boundary: a kind, a message and, on demand, details.
        ///
        /// The plain variants are for quick construction. Adding anything (context, a code, a retry class,
        /// a source) turns the error into [`HpcError::Detailed`]; [`HpcError::kind`] stays the same,
        /// so match on the kind, not on the variant.
        ///
        /// Two errors are equal when kind, message, code, retry class and context are equal; sources are not compared.
        #[derive(Debug)]
        #[non_exhaustive]
        pub enum HpcError {
            $( $(#[$doc])* $variant(String), )+
            /// An error with context, a code, a retry class or a source.
            Detailed(Box<Detail>),
        }

        impl HpcError {
            $(
                $(#[$doc])*
                pub fn $constructor(message: impl Into<String>) -> Self { Self::$variant(message.into()) }
            )+

            /// An error of this kind.
            pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
                match kind { $( ErrorKind::$variant => Self::$variant(message.into()), )+ }
            }

            /// What went wrong.
            #[must_use]
            pub fn kind(&self) -> ErrorKind {
                match self { $( Self::$variant(_) => ErrorKind::$variant, )+ Self::Detailed(detail) => detail.kind }
            }

            /// What went wrong, for a person. No stable format: never parse it.
            #[must_use]
            pub fn message(&self) -> &str {
                match self { $( Self::$variant(message) )|+ => message, Self::Detailed(detail) => &detail.message }
            }

            fn into_detail(self) -> Box<Detail> {
                let kind = self.kind();
                match self {
                    Self::Detailed(detail) => detail,
                    $( Self::$variant(message) )|+ => Box::new(Detail::new(kind, message)),
                }
            }
        }
    };
}

variants! {
    /// The request is malformed or breaks a rule that does not depend on state.
    InvalidInput, invalid_input;
    /// The configuration of this process is malformed or incomplete.
    Config, config;
    /// A value lies outside the range that exists at present.
    OutOfRange, out_of_range;
    /// The caller could not be identified.
    Unauthenticated, unauthenticated;
    /// The caller is known and may not do this.
    Denied, denied;
    /// The thing named does not exist.
    NotFound, not_found;
    /// The thing to be created exists.
    AlreadyExists, already_exists;
    /// The state does not allow the operation until somebody changes it.
    Precondition, precondition;
    /// Somebody else changed the state in between.
    Conflict, conflict;
    /// A quota, a budget, the stock or a size limit is used up.
    Exhausted, exhausted;
    /// The service cannot answer now and did not start the work.
    Unavailable, unavailable;
    /// No connection could be made or it broke before the request was taken.
    Network, network;
    /// The deadline passed; whether the work was done is unknown.
    Timeout, timeout;
    /// The caller gave up.
    Cancelled, cancelled;
    /// This backend or version cannot do it.
    Unsupported, unsupported;
    /// Stored data is missing or damaged.
    DataLoss, data_loss;
    /// The state store failed.
    Database, database;
    /// A file or a device failed.
    Io, io;
    /// A cloud answered with an error that fits no other kind.
    Provider, provider;
    /// A mistake in this program.
    Internal, internal;
    /// A foreign error about which nothing is known.
    Unknown, unknown;
}

/// What an [`HpcError::Detailed`] carries; read it through the methods of [`HpcError`].
#[derive(Debug)]
pub struct Detail {
    kind: ErrorKind,
    message: String,
    code: Option<Cow<'static, str>>,
    retry: Option<Retry>,
    context: BTreeMap<Cow<'static, str>, String>,
    context_dropped: u32,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Detail {
    fn new(kind: ErrorKind, message: String) -> Self {
        Self {
            kind,
            message: cut(message, MESSAGE_BYTES_MAX),
            code: None,
            retry: None,
            context: BTreeMap::new(),
            context_dropped: 0,
            source: None,
        }
    }
}

impl HpcError {
    /// An error with a code of the registry; kind and exit code come from there.
    pub fn coded(code: &'static ErrorCode, message: impl Into<String>) -> Self {
        Self::new(code.kind, message).code(code)
    }

    /// Attaches a code of the registry. The kind becomes that of the code, so that code and kind never disagree.
    #[must_use]
    pub fn code(self, code: &'static ErrorCode) -> Self {
        self.change(|detail| {
            detail.code = Some(Cow::Borrowed(code.code));
            detail.kind = code.kind;
        })
    }

    /// Adds a context pair; an earlier pair of the same key is replaced.
    ///
    /// Keys are lower-case words (`region`, `request_id`). Other characters become `_`; a key that does not
    /// start with a letter, or starts with the reserved `hpc_`, gets the prefix `x_`.
    /// Values are cut at [`CONTEXT_VALUE_BYTES_MAX`]. A pair over [`CONTEXT_PAIRS_MAX`] or [`CONTEXT_BYTES_MAX`]
    /// is dropped and counted in [`HpcError::context_dropped`]. Never pass a secret.
    #[must_use]
    pub fn with(self, key: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        let key = context_key(key.into());
        let value = cut(value.to_string(), CONTEXT_VALUE_BYTES_MAX);
        self.change(|detail| {
            detail.context.remove(&key);
            let used: usize = detail.context.iter().map(|(key, value)| key.len() + value.len()).sum();
            if detail.context.len() >= CONTEXT_PAIRS_MAX || used + key.len() + value.len() > CONTEXT_BYTES_MAX
            {
                detail.context_dropped = detail.context_dropped.saturating_add(1);
            } else {
                detail.context.insert(key, value);
            }
        })
    }

    /// Says when to try again: the class becomes [`Retry::WithBackoff`] with this wait.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        self.retry_class(Retry::WithBackoff { after: Some(wait) })
    }

    /// Replaces the retry class that follows from the kind.
    #[must_use]
    pub fn retry_class(self, retry: Retry) -> Self {
        self.change(|detail| detail.retry = Some(retry))
    }

    /// Keeps the error that led here. It is shown by a chain printer in this process and never leaves it.
    #[must_use]
    pub fn caused_by(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = source.into();
        self.change(|detail| detail.source = Some(source))
    }

    /// The stable code (`HPC-CAP-0001`), if any. It may be unknown to this version when it came over a wire.
    #[must_use]
    pub fn code_text(&self) -> Option<&str> {
        self.detail().and_then(|detail| detail.code.as_deref())
    }

    /// The registry entry of the stable code.
    #[must_use]
    pub fn registered(&self) -> Option<&'static ErrorCode> {
        self.code_text().and_then(codes::find)
    }

    /// Whether and how to try again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.detail().and_then(|detail| detail.retry).unwrap_or_else(|| self.kind().default_retry())
    }

    /// True when the unchanged request may be sent again without a person; see [`Retry::is_retriable`].
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.retry().is_retriable()
    }

    /// Context pairs in order of their keys.
    pub fn context(&self) -> impl Iterator<Item = (&str, &str)> {
        self.detail()
            .into_iter()
            .flat_map(|d| d.context.iter().map(|(key, value)| (key.as_ref(), value.as_str())))
    }

    /// The value of one context key.
    #[must_use]
    pub fn context_value(&self, key: &str) -> Option<&str> {
        self.detail()?.context.get(key).map(String::as_str)
    }

    /// How many context pairs did not fit.
    #[must_use]
    pub fn context_dropped(&self) -> u32 {
        self.detail().map_or(0, |detail| detail.context_dropped)
    }

    /// Exit code of a process that ends with this error: of the registered code, else of the kind.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.registered().map_or_else(|| self.kind().exit_code(), |code| code.exit_code)
    }

    fn detail(&self) -> Option<&Detail> {
        match self {
            Self::Detailed(detail) => Some(detail),
            _ => None,
        }
    }

    fn change(self, change: impl FnOnce(&mut Detail)) -> Self {
        let mut detail = self.into_detail();
        change(&mut detail);
        Self::Detailed(detail)
    }

    /// Takes over a code that came over a wire. A code this version knows also sets the kind.
    #[cfg(feature = "tonic")]
    pub(crate) fn with_foreign_code(self, code: String) -> Self {
        if let Some(known) = codes::find(&code) {
            return self.code(known);
        }
        self.change(|detail| detail.code = Some(Cow::Owned(code)))
    }
}

/// The message alone; `{:#}` adds the code and the context.
impl fmt::Display for HpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        if f.alternate() {
            if let Some(code) = self.code_text() {
                write!(f, " [{code}]")?;
            }
            for (index, (key, value)) in self.context().enumerate() {
                write!(f, "{}{key}: `{value}`", if index == 0 { " (" } else { ", " })?;
            }
            if self.context().next().is_some() {
                f.write_str(")")?;
            }
        }
        Ok(())
    }
}

impl StdError for HpcError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.detail()?.source.as_ref() {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

impl PartialEq for HpcError {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind()
            && self.message() == other.message()
            && self.code_text() == other.code_text()
            && self.retry() == other.retry()
            && self.context_dropped() == other.context_dropped()
            && self.context().eq(other.context())
    }
}

/// A bare file error: kind [`ErrorKind::Io`], with the operating system's own text and the error as source.
impl From<std::io::Error> for HpcError {
    fn from(error: std::io::Error) -> Self {
        Self::io(error.to_string()).caused_by(error)
    }
}

/// Cuts at a character boundary and marks the cut.
fn cut(mut text: String, bytes_max: usize) -> String {
    const MARK: &str = "...";
    if text.len() > bytes_max {
        let mut end = bytes_max - MARK.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(MARK);
    }
    text
}

fn context_key(key: Cow<'static, str>) -> Cow<'static, str> {
    let fits = |key: &str| {
        key.len() <= CONTEXT_KEY_BYTES_MAX
            && key.starts_with(|first: char| first.is_ascii_lowercase())
            && !key.starts_with("hpc_")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if fits(&key) {
        return key;
    }
    let clean: String = key
        .chars()
        .take(CONTEXT_KEY_BYTES_MAX - 2)
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
        .collect();
    if fits(&clean) { Cow::Owned(clean) } else { Cow::Owned(format!("x_{clean}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_cleaned() {
        for (given, kept) in [
            ("region", "region"),
            ("Request-Id", "request_id"),
            ("7up", "x_7up"),
            ("hpc_retry", "x_hpc_retry"),
            ("", "x_"),
            ("ключ", "x_____"),
        ] {
            assert_eq!(context_key(Cow::Borrowed(given)), kept);
        }
        assert!(context_key(Cow::Owned("K".repeat(500))).len() <= CONTEXT_KEY_BYTES_MAX);
    }

    #[test]
    fn cuts_fall_on_characters() {
        let text = cut("é".repeat(600), MESSAGE_BYTES_MAX);
        assert!(text.len() <= MESSAGE_BYTES_MAX && text.ends_with("..."));
        assert_eq!(cut("short".into(), 5), "short");
    }

    #[test]
    fn an_error_is_small() {
        assert!(std::mem::size_of::<HpcError>() <= 32);
    }
}
