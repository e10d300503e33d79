//! The server a client talks to: `https://host:port`, nothing more.

use http::uri::{Authority, Scheme};
use http::{Request, Uri};

use crate::GrpcError;

/// A checked URI.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    uri: String,
    scheme: Scheme,
    authority: Authority,
    host: String,
    port: u16,
}

impl Target {
    pub(crate) fn parse(text: &str, plaintext: bool) -> Result<Self, GrpcError> {
        let shown: String = text.chars().take(256).collect();
        let wrong = |reason| GrpcError::InvalidUri { uri: shown.clone(), reason };
        let uri: Uri = text.parse().map_err(|_| wrong("write it as `https://host:port`"))?;
        let scheme = uri.scheme().cloned().ok_or_else(|| wrong("write it as `https://host:port`"))?;
        match (scheme.as_str(), plaintext) {
            ("https", false) | ("http", true) => {}
            ("http", false) => return Err(wrong("plaintext is refused; use `https`")),
            _ => {
                return Err(wrong("the scheme does not fit: TLS is `https`, a plaintext test client `http`"));
            }
        }
        let authority = uri.authority().cloned().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it must not carry a user name or password"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("it must not carry a path; methods bring their own"));
        }
        // `Authority::port` says `None` for a port over 65535 as well: the text decides.
        let port = match authority.as_str().get(authority.host().len()..).unwrap_or_default() {
            "" if plaintext => 80,
            "" => 443,
            text => text
                .strip_prefix(':')
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| wrong("the port is no number up to 65535"))?,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        Ok(Self { uri: shown.clone(), scheme, authority, host, port })
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Makes a request's URI absolute: HTTP/2 wants scheme and authority with the path.
    pub(crate) fn complete<B>(&self, request: &mut Request<B>) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        // Cannot fail: scheme and authority are present, and a path that was given stays.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_found() {
        for (uri, host, port) in [
            ("https://server:50051", "server", 50051),
            ("https://127.0.0.1:1", "127.0.0.1", 1),
            ("https://[::1]:7801/", "::1", 7801),
            ("https://hpc.internal", "hpc.internal", 443),
        ] {
            let target = Target::parse(uri, false).unwrap();
            assert_eq!((target.host(), target.port()), (host, port), "{uri}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for uri in [
            "",
            "server:50051",
            "http://server:1",
            "ftp://server:1",
            "https://",
            "https://a:99999",
            "https://u:p@a:1",
            "https://a:1/path",
            "https://a:1/?q",
            "https://a b:1",
            "/path",
        ] {
            assert!(matches!(Target::parse(uri, false), Err(GrpcError::InvalidUri { .. })), "{uri}");
        }
        assert!(Target::parse("http://127.0.0.1:1", true).is_ok());
        assert!(Target::parse("https://127.0.0.1:1", true).is_err());
    }

    #[test]
    fn a_path_becomes_absolute() {
        let mut request = Request::builder().uri("/a.B/C").body(()).unwrap();
        Target::parse("https://server:5", false).unwrap().complete(&mut request);
        assert_eq!(request.uri().to_string(), "https://server:5/a.B/C");
    }
}
