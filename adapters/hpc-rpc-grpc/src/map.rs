//! Statuses to transport errors and back. Our own errors also travel whole, in one binary metadata entry.

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use hpc_transport::TransportError;

/// Carries [`TransportError::encode`]; other gRPC clients see the code and message beside it.
const ERROR_KEY: &str = "hpc-transport-error-bin";

pub(crate) fn to_status(error: &TransportError) -> Status {
    let code = match error {
        TransportError::InvalidName { .. } | TransportError::Rejected { .. } => Code::InvalidArgument,
        TransportError::Unreachable { .. }
        | TransportError::GoingAway
        | TransportError::Overloaded { .. } => Code::Unavailable,
        TransportError::Unauthenticated { .. } => Code::Unauthenticated,
        TransportError::Denied { .. } => Code::PermissionDenied,
        TransportError::Unimplemented { .. } => Code::Unimplemented,
        TransportError::TooLarge { .. } => Code::ResourceExhausted,
        TransportError::DeadlineExceeded => Code::DeadlineExceeded,
        TransportError::Closed { .. } => Code::Cancelled,
        _ => Code::Internal,
    };
    let mut status = Status::new(code, error.to_string());
    status.metadata_mut().insert_bin(ERROR_KEY, MetadataValue::from_bytes(&error.encode()));
    status
}

pub(crate) fn from_status(status: &Status) -> TransportError {
    if let Some(bytes) = status.metadata().get_bin(ERROR_KEY).and_then(|value| value.to_bytes().ok()) {
        return TransportError::decode(&bytes);
    }
    let message = status.message();
    match status.code() {
        Code::DeadlineExceeded => TransportError::DeadlineExceeded,
        Code::Unauthenticated => TransportError::unauthenticated(message),
        Code::PermissionDenied => TransportError::denied(message),
        Code::Unimplemented => TransportError::unimplemented(message),
        Code::ResourceExhausted => too_large(status).unwrap_or_else(|| TransportError::failed(message)),
        Code::Unavailable => unavailable(status),
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition | Code::NotFound => {
            TransportError::rejected(message)
        }
        Code::Cancelled => TransportError::closed(message),
        _ => TransportError::failed(message),
    }
}

/// Our statuses for a message over the limit carry both numbers.
fn too_large(status: &Status) -> Option<TransportError> {
    let error: hpc_error::HpcError = status.clone().into();
    let number = |key| error.context_value(key).and_then(|value| value.parse().ok());
    Some(TransportError::TooLarge { bytes: number("bytes")?, max: number("bytes_max")? })
}

fn unavailable(status: &Status) -> TransportError {
    let error: hpc_error::HpcError = status.clone().into();
    match error.retry() {
        hpc_error::Retry::WithBackoff { after: Some(retry_after) } => {
            TransportError::Overloaded { retry_after }
        }
        // The call may have left before the link was cut.
        hpc_error::Retry::Never => TransportError::closed(status.message()),
        _ => TransportError::unreachable(status.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_errors_travel_whole() {
        for error in [
            TransportError::GoingAway,
            TransportError::DeadlineExceeded,
            TransportError::rejected("no such zone"),
            TransportError::TooLarge { bytes: 9, max: 8 },
            TransportError::failed("disk full"),
        ] {
            assert_eq!(from_status(&to_status(&error)), error);
        }
    }

    #[test]
    fn foreign_statuses_keep_their_meaning() {
        assert_eq!(from_status(&Status::deadline_exceeded("x")), TransportError::DeadlineExceeded);
        assert_eq!(from_status(&Status::not_found("no `a`")), TransportError::rejected("no `a`"));
        assert_eq!(
            from_status(&crate::status::message_too_large(9, 8)),
            TransportError::TooLarge { bytes: 9, max: 8 }
        );
        assert_eq!(
            from_status(&crate::status::overloaded(4)),
            TransportError::Overloaded { retry_after: crate::status::OVERLOAD_WAIT }
        );
    }
}
