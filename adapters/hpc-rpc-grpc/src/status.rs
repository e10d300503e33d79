//! Statuses this package makes itself, and the two that tonic gets wrong.

use std::time::Duration;

use hpc_error::HpcError;
use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};

/// The wait a refused caller is asked for.
pub(crate) const OVERLOAD_WAIT: Duration = Duration::from_millis(100);

pub(crate) fn deadline_exceeded() -> Status {
    HpcError::timeout("deadline exceeded").into()
}

pub(crate) fn overloaded(calls: usize) -> Status {
    let message = format!("the server is at its limit of {calls} calls at once; this one was not run");
    HpcError::unavailable(message).retry_after(OVERLOAD_WAIT).into()
}

pub(crate) fn message_too_large(bytes: usize, max: usize) -> Status {
    HpcError::exhausted(format!("message of {bytes} bytes is over the limit of {max}"))
        .with("bytes", bytes)
        .with("bytes_max", max)
        .into()
}

pub(crate) fn no_certificate() -> Status {
    HpcError::unauthenticated("this method needs a client certificate, and none was presented").into()
}

pub(crate) fn unimplemented(path: &str) -> Status {
    let shown: String = path.chars().take(hpc_transport::METHOD_BYTES_MAX).collect();
    HpcError::unsupported(format!("`{shown}` is not served here")).into()
}

/// Prefixes of the messages with which tonic reports a message over a limit of its own, as OUT_OF_RANGE.
const TONIC_TOO_LARGE: [&str; 2] =
    ["Error, decoded message length too large", "Error, encoded message length too large"];

/// gRPC says RESOURCE_EXHAUSTED for a message over the limit; tonic says OUT_OF_RANGE, in headers or in trailers.
pub(crate) fn remap(headers: &mut HeaderMap) {
    let out_of_range = headers.get(Status::GRPC_STATUS).is_some_and(|code| code == "11");
    if !out_of_range {
        return;
    }
    let too_large =
        headers.get(Status::GRPC_MESSAGE).and_then(|message| message.to_str().ok()).is_some_and(|message| {
            // The message is percent-encoded: blanks may be `%20`.
            let message = message.replace("%20", " ");
            TONIC_TOO_LARGE.iter().any(|prefix| message.starts_with(prefix))
        });
    if too_large {
        let code = HeaderValue::from(Code::ResourceExhausted as i32);
        headers.insert(Status::GRPC_STATUS, code);
    }
}

/// The status as trailers. A status that cannot be written as headers becomes a bare INTERNAL.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if status.add_header(&mut headers).is_err() {
        headers.clear();
        headers.insert(Status::GRPC_STATUS, HeaderValue::from(Code::Internal as i32));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(status: &Status) -> HeaderMap {
        let mut headers = trailers(status);
        remap(&mut headers);
        headers
    }

    #[test]
    fn tonics_own_limit_becomes_resource_exhausted() {
        for prefix in TONIC_TOO_LARGE {
            let status = Status::out_of_range(format!("{prefix}: found 9 bytes, the limit is: 8 bytes"));
            assert_eq!(headers(&status).get("grpc-status").unwrap(), "8");
        }
    }

    #[test]
    fn a_handlers_own_out_of_range_stays() {
        let headers = headers(&Status::out_of_range("page 9 of 8"));
        assert_eq!(headers.get("grpc-status").unwrap(), "11");
    }

    #[test]
    fn a_refused_caller_is_told_how_long_to_wait() {
        let error: HpcError = overloaded(8).into();
        assert_eq!(error.retry(), hpc_error::Retry::WithBackoff { after: Some(OVERLOAD_WAIT) });
    }
}
