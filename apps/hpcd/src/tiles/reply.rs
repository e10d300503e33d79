//! Answers with what caches need: kind, age, entity tag, length.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hpc_error::HpcError;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, RETRY_AFTER, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::OwnedSemaphorePermit;
use tonic::body::Body;

use super::limits::TAGS_MAX;

/// What is served.
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) kind: &'static str,
    pub(super) cache: String,
    /// Whether it is compressed; `None` for what never is.
    pub(super) gzip: Option<bool>,
}

/// Why nothing is served.
pub(super) struct Problem {
    status: StatusCode,
    message: String,
    header: Option<(HeaderName, &'static str)>,
}

impl Problem {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), header: None }
    }

    pub(super) fn method() -> Self {
        let message = "the log is only read; send GET or HEAD";
        Self { header: Some((ALLOW, "GET, HEAD")), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, message) }
    }

    pub(super) fn not_found() -> Self {
        let message = "nothing is published here; the checkpoint says which tiles there are";
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn no_certificate() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "the log needs a client certificate; connect with one")
    }

    pub(super) fn refused(error: &HpcError) -> Self {
        Self::new(StatusCode::FORBIDDEN, error.to_string())
    }

    pub(super) fn busy() -> Self {
        let message = "too many bundles of entries are being fetched; ask again in a second";
        Self { header: Some((RETRY_AFTER, "1")), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    pub(super) fn unreadable() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the log cannot be read; the daemon's own log says why")
    }
}

/// The response to a request with these headers.
pub(super) fn reply(found: Result<Content, Problem>, head_only: bool, asked: &HeaderMap) -> Response<Body> {
    let content = match found {
        Ok(content) => content,
        Err(problem) => return refusal(problem, head_only),
    };
    let mut response = Response::new(Body::empty());
    let tag = tag(&content);
    let known = asked.get_all(IF_NONE_MATCH).iter().any(|value| names(value, &tag));
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, value);
    }
    if let Ok(value) = HeaderValue::from_str(&content.cache) {
        headers.insert(CACHE_CONTROL, value);
    }
    if content.gzip.is_some() {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content.kind));
    // What was fetched by a browser is never taken for a page.
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(content.bytes.len()));
    if content.gzip == Some(true) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if !head_only {
        *response.body_mut() = Body::new(Full::new(content.bytes));
    }
    response
}

fn refusal(problem: Problem, head_only: bool) -> Response<Body> {
    let text = Bytes::from(format!("{}\n", problem.message));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // A tile that is not there yet will be.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    if let Some((name, value)) = problem.header {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !head_only {
        *response.body_mut() = Body::new(Full::new(text));
    }
    response
}

/// Of the bytes, not of the path: another log at the same address has other tiles.
fn tag(content: &Content) -> String {
    let hash = blake3::hash(&content.bytes).to_hex();
    format!("\"{}\"", hash.get(..32).unwrap_or_default())
}

fn names(value: &HeaderValue, tag: &str) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let mut tags = text.split(',').take(TAGS_MAX).map(str::trim);
    tags.any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
}

/// Whether the reader takes gzip: named, and not with a weight of zero.
pub(super) fn wants_gzip(asked: &HeaderMap) -> bool {
    let values = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|text| text.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let zero = |weight: &str| weight.trim_start_matches(['0', '.']).is_empty();
        named && !parts.any(|part| part.strip_prefix("q=").is_some_and(zero))
    })
}

/// Compresses a bundle beside the threads that serve connections.
pub(super) async fn packed(bundle: Vec<u8>) -> Result<Vec<u8>, Problem> {
    let pack = move || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&bundle)?;
        encoder.finish()
    };
    match tokio::task::spawn_blocking(pack).await {
        Ok(Ok(packed)) => Ok(packed),
        _ => Err(Problem::unreadable()),
    }
}

struct Held {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes that keep their place until the last of them is sent.
pub(super) fn held(bytes: Vec<u8>, permit: OwnedSemaphorePermit) -> Bytes {
    Bytes::from_owner(Held { bytes, _permit: permit })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn gzip_is_used_only_where_it_is_asked_for() {
        for (values, wanted) in [
            (&["gzip"][..], true),
            (&["br, GZIP;q=0.5"], true),
            (&["br", "gzip"], true),
            (&["gzip;q=0"], false),
            (&["gzip; q=0.000"], false),
            (&["*"], false),
            (&["xgzip, deflate"], false),
            (&[], false),
        ] {
            assert_eq!(wants_gzip(&headers(ACCEPT_ENCODING, values)), wanted, "{values:?}");
        }
    }

    #[test]
    fn a_tag_is_known_in_a_list_and_as_a_weak_one() {
        let tag = "\"abc\"";
        for (value, known) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"ab\"", false),
            ("abc", false),
        ] {
            assert_eq!(names(&HeaderValue::from_static(value), tag), known, "{value}");
        }
        let at = |place: usize| format!("{}\"abc\"", "\"x\",".repeat(place));
        assert!(names(&HeaderValue::from_str(&at(TAGS_MAX - 1)).unwrap(), tag));
        assert!(!names(&HeaderValue::from_str(&at(TAGS_MAX)).unwrap(), tag), "more are not looked at");
    }

    #[tokio::test]
    async fn a_bundle_keeps_its_place_until_its_last_byte_is_gone() {
        let places = Arc::new(Semaphore::new(1));
        let bytes = held(vec![1, 2, 3], Arc::clone(&places).acquire_owned().await.unwrap());
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!((places.available_permits(), &part[..]), (0, &[2, 3][..]));
        drop(part);
        assert_eq!(places.available_permits(), 1);
    }
}
