//! How each cloud says no: its own codes, our kinds.

use hpc_provider::{Certainty, ErrorKind, ProviderError, Scope};
use hpc_resources::OfferKind;

use crate::cloud::Habits;

/// An error after which certainly nothing was done.
fn not_done(kind: ErrorKind, scope: Scope, code: &str, message: &str) -> ProviderError {
    ProviderError::new(kind, scope, Certainty::NotDone, code, message)
}

pub(crate) fn no_stock(habits: Habits, place: &str) -> ProviderError {
    let code = match habits {
        Habits::Aws => "InsufficientInstanceCapacity",
        Habits::Gcp => "ZONE_RESOURCE_POOL_EXHAUSTED",
        Habits::Rack => "NO_FREE_NODE",
    };
    not_done(ErrorKind::Capacity, Scope::Zone, code, &format!("simulated: no stock for {place}"))
}

pub(crate) fn reservation_full(habits: Habits, place: &str) -> ProviderError {
    let code = match habits {
        Habits::Aws => "ReservationCapacityExceeded",
        Habits::Gcp | Habits::Rack => "RESERVATION_CAPACITY_EXCEEDED",
    };
    not_done(ErrorKind::Capacity, Scope::Zone, code, &format!("simulated: no room left in {place}"))
}

pub(crate) fn quota(habits: Habits, kind: OfferKind, what: &str) -> ProviderError {
    let code = match (habits, kind) {
        (Habits::Aws, OfferKind::Spot) => "MaxSpotInstanceCountExceeded",
        (Habits::Aws, _) => "VcpuLimitExceeded",
        _ => "QUOTA_EXCEEDED",
    };
    not_done(ErrorKind::Quota, Scope::Region, code, &format!("simulated: {what}"))
}

pub(crate) fn throttled(habits: Habits, retry_after_ms: u64) -> ProviderError {
    let code = if habits == Habits::Aws { "RequestLimitExceeded" } else { "RATE_LIMIT_EXCEEDED" };
    not_done(ErrorKind::Throttled, Scope::Account, code, "simulated: too many calls")
        .retry_after_ms(retry_after_ms)
}

pub(crate) fn auth(habits: Habits) -> ProviderError {
    let code = if habits == Habits::Aws { "AuthFailure" } else { "UNAUTHENTICATED" };
    not_done(ErrorKind::Auth, Scope::Account, code, "simulated: the credential is refused")
}

pub(crate) fn internal() -> ProviderError {
    not_done(
        ErrorKind::Internal,
        Scope::Zone,
        "SimulatedNovelty",
        "simulated: a code that nobody has seen before",
    )
}

pub(crate) fn conflict(habits: Habits) -> ProviderError {
    let code = if habits == Habits::Aws { "IdempotentParameterMismatch" } else { "REQUEST_ID_MISMATCH" };
    not_done(ErrorKind::Conflict, Scope::Account, code, "simulated: the token was used with other parameters")
}

pub(crate) fn config(code: &str, message: &str) -> ProviderError {
    not_done(ErrorKind::Config, Scope::Provider, code, &format!("simulated: {message}"))
}

/// The call never arrived, or its answer never came back: the caller cannot tell which.
pub(crate) fn lost() -> ProviderError {
    let message = "simulated: the connection was lost before an answer came";
    ProviderError::new(ErrorKind::Internal, Scope::Provider, Certainty::Unknown, "ConnectionReset", message)
}

/// The simulated cloud could not keep what it was about to do.
pub(crate) fn storage(error: &crate::SimError) -> ProviderError {
    let message = format!("simulated: {error}");
    ProviderError::new(ErrorKind::Internal, Scope::Provider, Certainty::Unknown, "SimulatedStorage", &message)
}
