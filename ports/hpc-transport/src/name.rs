use std::fmt;

use crate::{Result, TransportError};

/// Longest method path, in bytes.
pub const METHOD_BYTES_MAX: usize = 256;
/// Longest stream name, in bytes.
pub const STREAM_NAME_BYTES_MAX: usize = 64;

/// The name of a unary method, in the form gRPC gives it: `/package.Service/Method`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Method {
    path: String,
    slash: usize, // INVARIANT: the index of the second `/` in `path`; checked in Method::parse.
}

impl Method {
    /// Reads `/package.Service/Method`: letters, digits, `_`, `-` and `.`, at most [`METHOD_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`TransportError::InvalidName`].
    pub fn parse(path: &str) -> Result<Self> {
        let wrong = |reason| Err(TransportError::invalid_name("method", path, reason));
        if path.len() > METHOD_BYTES_MAX {
            return wrong("it is longer than 256 bytes");
        }
        let Some((service, method)) = path.strip_prefix('/').and_then(|rest| rest.split_once('/')) else {
            return wrong("write it as `/package.Service/Method`");
        };
        if service.is_empty() || method.is_empty() {
            return wrong("write it as `/package.Service/Method`");
        }
        if !service.bytes().chain(method.bytes()).all(is_name_byte) {
            return wrong("only letters, digits, `_`, `-` and `.` may be used");
        }
        Ok(Self { slash: service.len() + 1, path: path.to_owned() })
    }

    /// The whole path, `/package.Service/Method`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The service part, `package.Service`.
    #[must_use]
    pub fn service(&self) -> &str {
        self.path.get(1..self.slash).unwrap_or_default()
    }

    /// The method part.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.get(self.slash + 1..).unwrap_or_default()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

/// The name of a stream and its version, such as `telemetry.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(String);

impl StreamName {
    /// Reads a name of letters, digits, `_`, `-` and `.`: 1 to [`STREAM_NAME_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`TransportError::InvalidName`].
    pub fn parse(name: &str) -> Result<Self> {
        let wrong = |reason| Err(TransportError::invalid_name("stream name", name, reason));
        if name.is_empty() {
            return wrong("it is empty");
        }
        if name.len() > STREAM_NAME_BYTES_MAX {
            return wrong("it is longer than 64 bytes");
        }
        if !name.bytes().all(is_name_byte) {
            return wrong("only letters, digits, `_`, `-` and `.` may be used");
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_has_two_parts() {
        let method = Method::parse("/hpc.control.v1.NodeService/Join").unwrap();
        assert_eq!(method.path(), "/hpc.control.v1.NodeService/Join");
        assert_eq!((method.service(), method.name()), ("hpc.control.v1.NodeService", "Join"));
    }

    #[test]
    fn what_is_no_method_is_refused_by_name() {
        let long = format!("/a/{}", "b".repeat(METHOD_BYTES_MAX));
        for bad in ["", "/", "a/b", "/a", "/a/", "//b", "/a/b/c", "/a b/c", "/a/b?c", "/ä/b", &long] {
            let error = Method::parse(bad).unwrap_err();
            assert!(matches!(error, TransportError::InvalidName { what: "method", .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn a_stream_name_is_short_and_plain() {
        assert_eq!(StreamName::parse("telemetry.v1").unwrap().as_str(), "telemetry.v1");
        let long = "x".repeat(STREAM_NAME_BYTES_MAX + 1);
        for bad in ["", "a/b", "a b", "\n", &long] {
            assert!(StreamName::parse(bad).is_err(), "{bad}");
        }
    }
}
