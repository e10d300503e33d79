//! `HpcError` to and from `tonic::Status`, lossless for kind, code, message, context and retry class.
//!
//! The kind or the stable code is the `reason` of `google.rpc.ErrorInfo`, the context its metadata,
//! a wait is a `google.rpc.RetryInfo`. The source chain stays in this process.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{ErrorKind, HpcError, Retry, codes};

/// `domain` of every `google.rpc.ErrorInfo` this project sends.
pub const ERROR_DOMAIN: &str = "hpc-foundation";

/// Metadata key of the retry class; keys that start with `hpc_` are reserved for this module.
const RETRY_KEY: &str = "hpc_retry";
/// Longest wait that is believed: a day. `google.rpc` durations reach ten thousand years.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl From<HpcError> for Status {
    fn from(error: HpcError) -> Self {
        let reason = match error.code_text() {
            Some(code) => code.replace('-', "_"),
            None => error.kind().reason().to_owned(),
        };
        let retry = error.retry();
        let mut metadata: HashMap<String, String> =
            error.context().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        metadata.insert(RETRY_KEY.to_owned(), retry.name().to_owned());
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, ERROR_DOMAIN, metadata);
        if let Retry::WithBackoff { after: Some(wait) } = retry {
            details.set_retry_info(Some(wait));
        }
        Self::with_error_details(grpc_code(error.kind()), error.message(), details)
    }
}

impl From<Status> for HpcError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let wait =
            details.retry_info().and_then(|info| info.retry_delay).map(|wait| wait.min(RETRY_AFTER_MAX));
        let info = details.error_info();
        let mut kind = kind_of(status.code());
        // tonic answers CANCELLED when a deadline timer fires; gRPC means DEADLINE_EXCEEDED.
        if std::error::Error::source(&status).is_some_and(|source| source.is::<tonic::TimeoutExpired>()) {
            kind = ErrorKind::Timeout;
        }
        let Some(info) = info.filter(|info| info.domain == ERROR_DOMAIN) else {
            let mut error = Self::new(kind, status.message());
            if let Some(info) = info {
                error = error.with("foreign_domain", &info.domain).with("foreign_reason", &info.reason);
            }
            return match wait {
                Some(wait) => error.retry_after(wait),
                None => error,
            };
        };
        let mut error = match ErrorKind::from_reason(&info.reason) {
            Some(kind) => Self::new(kind, status.message()),
            None => Self::new(kind, status.message()).with_foreign_code(info.reason.replace('_', "-")),
        };
        let mut pairs: Vec<_> = info.metadata.iter().filter(|(key, _)| !key.starts_with("hpc_")).collect();
        pairs.sort(); // Which pairs are dropped when there are too many must not depend on the hash map.
        for (key, value) in pairs {
            error = error.with(key.clone(), value);
        }
        match info.metadata.get(RETRY_KEY).and_then(|name| Retry::from_name(name, wait)) {
            Some(retry) if retry != error.retry() => error.retry_class(retry),
            Some(_) => error,
            None => match wait {
                Some(wait) => error.retry_after(wait),
                None => error,
            },
        }
    }
}

impl codes::ErrorCode {
    /// The gRPC code of an error with this stable code.
    #[must_use]
    pub fn grpc_code(&self) -> Code {
        grpc_code(self.kind)
    }
}

fn grpc_code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidInput => Code::InvalidArgument,
        ErrorKind::OutOfRange => Code::OutOfRange,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::Denied => Code::PermissionDenied,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::Config | ErrorKind::Precondition => Code::FailedPrecondition,
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::Unavailable | ErrorKind::Network => Code::Unavailable,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::DataLoss => Code::DataLoss,
        ErrorKind::Database | ErrorKind::Io | ErrorKind::Internal => Code::Internal,
        ErrorKind::Provider | ErrorKind::Unknown => Code::Unknown,
    }
}

fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::Ok => ErrorKind::Internal, // an OK status that is an error is somebody's mistake
        Code::Cancelled => ErrorKind::Cancelled,
        Code::Unknown => ErrorKind::Unknown,
        Code::InvalidArgument => ErrorKind::InvalidInput,
        Code::DeadlineExceeded => ErrorKind::Timeout,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::PermissionDenied => ErrorKind::Denied,
        Code::ResourceExhausted => ErrorKind::Exhausted,
        Code::FailedPrecondition => ErrorKind::Precondition,
        Code::Aborted => ErrorKind::Conflict,
        Code::OutOfRange => ErrorKind::OutOfRange,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::Internal => ErrorKind::Internal,
        Code::Unavailable => ErrorKind::Unavailable,
        Code::DataLoss => ErrorKind::DataLoss,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
    }
}
