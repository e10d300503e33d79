//! HTTP and JSON: bodies in, answers out. Knows nothing of policies.

use std::fmt;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use tonic::body::Body;

use super::limits::{BODY_BYTES_MAX, BODY_TIME_MAX, REQUEST_ID_BYTES_MAX};

/// A JSON object.
pub(super) type Object = Map<String, Value>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Why a request gets no answer of its own: a status and what to send instead.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// The method that would have been right.
    pub(super) allow: Option<&'static str>,
    /// After how many seconds the same request may have an answer.
    pub(super) retry_after_s: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), allow: None, retry_after_s: None }
    }

    /// 400: the request is wrong, and `message` says what to send.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 503: what cannot be recorded is not decided. An enforcement point takes it for a denial.
    pub(super) fn unrecorded() -> Self {
        let message = "the audit log cannot be written, so no decision is given (HPC-AUD-0001); deny, and ask again later";
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    /// 429: this caller has asked too much.
    pub(super) fn too_many(retry_after_s: u64) -> Self {
        let message = format!(
            "too many requests of one caller, each of which is recorded; ask again in {retry_after_s} s"
        );
        Self { retry_after_s: Some(retry_after_s), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"status": self.status.as_u16(), "message": self.message})
    }
}

/// The JSON object in the body of `request`, and the body as it came.
pub(super) async fn read(request: Request<Body>) -> Result<(Object, Bytes), Problem> {
    is_json(request.headers())?;
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if length.and_then(|text| text.parse::<usize>().ok()).is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let bytes = match tokio::time::timeout(BODY_TIME_MAX, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(error)) => return Err(Problem::bad(format!("the body did not arrive whole: {error}"))),
        Err(_) => {
            let message = format!("the body took more than {} s; send it at once", BODY_TIME_MAX.as_secs());
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, message));
        }
    };
    Ok((parse(&bytes)?, bytes))
}

fn too_large() -> Problem {
    let message =
        format!("the body has more than {BODY_BYTES_MAX} bytes; send fewer evaluations or properties");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut given = headers.get_all(CONTENT_TYPE).iter();
    let (first, second) = (given.next(), given.next());
    let essence = first.and_then(|value| value.to_str().ok()).and_then(|text| text.split(';').next());
    let right = essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
    if right && second.is_none() {
        return Ok(());
    }
    Err(Problem::bad("the content type is not JSON; send one header `Content-Type: application/json`"))
}

fn parse(bytes: &[u8]) -> Result<Object, Problem> {
    if bytes.is_empty() {
        return Err(Problem::bad("the body is empty; send a JSON object"));
    }
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(object))) => Ok(object),
        Ok(Strict(_)) => Err(Problem::bad("the body is not a JSON object; send `{\"subject\": ..}`")),
        Err(error) => Err(Problem::bad(format!("the body is not JSON with one reading: {error}"))),
    }
}

/// A JSON value in which no object has a key twice: two readers could see two requests.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }
    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let Strict(value) = map.next_value()?;
            if object.contains_key(&key) {
                return Err(de::Error::custom(format!("the key `{}` is given twice", shown(&key))));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// A caller's text for a message: short and escaped.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

/// The `X-Request-ID` to echo: the only one, of visible ASCII and not long.
pub(super) fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut given = headers.get_all(REQUEST_ID).iter();
    let (first, second) = (given.next()?, given.next());
    let bytes = first.as_bytes();
    let sound = !bytes.is_empty()
        && bytes.len() <= REQUEST_ID_BYTES_MAX
        && bytes.iter().all(u8::is_ascii_graphic)
        && second.is_none();
    sound.then(|| first.clone())
}

/// The response to an outcome. Decisions are not to be kept: they hold for one instant and one set of policies.
pub(super) fn respond(outcome: Result<Value, Problem>, request_id: Option<HeaderValue>) -> Response<Body> {
    let (status, allow, retry_after_s, value) = match outcome {
        Ok(value) => (StatusCode::OK, None, None, value),
        Err(problem) => (problem.status, problem.allow, problem.retry_after_s, problem.to_json()),
    };
    let mut response = Response::new(Body::new(Full::new(Bytes::from(value.to_string()))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(allow) = allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if let Some(seconds) = retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(id) = request_id {
        headers.insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// A body that never comes.
    struct Silent;

    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_given_up_in_time() {
        let request =
            Request::post("/").header(CONTENT_TYPE, "application/json").body(Body::new(Silent)).unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(read(request).await.unwrap_err().status, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(begun.elapsed(), BODY_TIME_MAX);
    }

    #[tokio::test]
    async fn a_body_without_a_length_is_measured_as_it_comes() {
        let padded = |bytes: usize| {
            let body = Bytes::from(format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8)));
            Request::post("/")
                .header(CONTENT_TYPE, "application/json")
                .body(Body::new(Full::new(body)))
                .unwrap()
        };
        assert!(read(padded(BODY_BYTES_MAX)).await.is_ok());
        let problem = read(padded(BODY_BYTES_MAX + 1)).await.unwrap_err();
        assert_eq!(problem.status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn a_key_given_twice_is_refused_at_any_depth() {
        for text in ["{\"a\":1,\"a\":1}", "{\"a\":[{\"b\":1,\"\\u0062\":2}]}"] {
            let message = parse(text.as_bytes()).unwrap_err().message;
            assert!(message.contains("given twice"), "{message}");
        }
        let value =
            parse(b"{\"a\":{\"b\":1},\"b\":[1,-1,1.5,18446744073709551615,null,true,\"x\"]}").unwrap();
        assert_eq!(
            Value::Object(value),
            json!({"a": {"b": 1}, "b": [1, -1, 1.5, u64::MAX, null, true, "x"]})
        );
    }

    #[test]
    fn only_sound_request_ids_are_echoed() {
        let echoed = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            }
            request_id(&headers).map(|value| value.as_bytes().to_vec())
        };
        let longest = [b'x'; REQUEST_ID_BYTES_MAX];
        assert_eq!(echoed(&[&longest]), Some(longest.to_vec()));
        assert_eq!(echoed(&[&[b'x'; REQUEST_ID_BYTES_MAX + 1]]), None);
        let unsound: [&[&[u8]]; 6] =
            [&[], &[b""], &[b"a b"], &["\u{e4}".as_bytes()], &[b"a\tb"], &[b"a", b"b"]];
        for values in unsound {
            assert_eq!(echoed(values), None, "{values:?}");
        }
    }
}
