//! What each EC2 error code means: its kind, how far it reaches, and whether anything can have happened.
//!
//! One flat table, because the difference between a stock-out and a fault is a matter of spelling: failover was lost
//! elsewhere because one code was missing. A code that is not here is [`ErrorKind::Internal`], blocks its zone, and is
//! counted, so that somebody adds it.
//!
//! Source: "Error codes for the Amazon EC2 API" and "Common errors" of the AWS documentation, 2016-11-15 API.

use hpc_provider::{Certainty, ErrorKind, ProviderError, Scope};

/// What a call would change, and so what a failure leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reads only: a failure has certainty `NotDone`.
    Read,
    /// Creates or ends something.
    Write,
}

/// What an answer without a result was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<'a> {
    /// An answer in the service's own words.
    Code {
        /// For example `InsufficientInstanceCapacity`.
        code: &'a str,
        /// The text beside it.
        message: &'a str,
        /// The HTTP status, if it is known.
        status: u16,
    },
    /// An answer that is none of the service's: an HTML page, a cut body, another service's format.
    Unreadable {
        /// The HTTP status.
        status: u16,
    },
    /// The call was ended, or the connection broke, after it may have arrived.
    Lost(&'a str),
    /// The call took longer than allowed.
    TimedOut(&'a str),
    /// No credential could be found or renewed; nothing was sent.
    NoCredential(&'a str),
    /// The call could not be put into words; nothing was sent.
    NotSent(&'a str),
}

use ErrorKind::{Auth, Capacity, Config, Conflict, NotFound, Quota, Throttled, Unsupported};

/// Code, kind, scope. All of them are refusals: nothing was done.
const TABLE: &[(&str, ErrorKind, Scope)] = &[
    // No stock.
    ("InsufficientInstanceCapacity", Capacity, Scope::Zone),
    ("InsufficientCapacity", Capacity, Scope::Zone),
    ("InsufficientHostCapacity", Capacity, Scope::Zone),
    ("InsufficientReservedInstanceCapacity", Capacity, Scope::Zone),
    ("InsufficientCapacityOnHost", Capacity, Scope::Zone),
    ("InsufficientCapacityOnOutpost", Capacity, Scope::Zone),
    ("UnfulfillableCapacity", Capacity, Scope::Zone),
    ("ReservationCapacityExceeded", Capacity, Scope::Zone),
    ("CapacityReservationCapacityExceeded", Capacity, Scope::Zone),
    // It was there when the offer was made: ended, cancelled, or no longer shared.
    ("InvalidCapacityReservationId.NotFound", Config, Scope::Zone),
    ("InvalidCapacityReservationId.Malformed", Config, Scope::Zone),
    ("InvalidCapacityReservationId", Config, Scope::Zone),
    ("InvalidCapacityReservationState", Config, Scope::Zone),
    // The market moved above the ceiling: another offer may still fit.
    ("SpotMaxPriceTooLow", Capacity, Scope::Zone),
    // Quotas.
    ("VcpuLimitExceeded", Quota, Scope::Region),
    ("MaxSpotInstanceCountExceeded", Quota, Scope::Region),
    ("InstanceLimitExceeded", Quota, Scope::Region),
    ("InstanceCreditSpecification.NotSupported", Config, Scope::Zone),
    ("VolumeLimitExceeded", Quota, Scope::Region),
    ("MaxIOPSLimitExceeded", Quota, Scope::Region),
    ("AddressLimitExceeded", Quota, Scope::Region),
    ("NetworkInterfaceLimitExceeded", Quota, Scope::Region),
    ("ResourceLimitExceeded", Quota, Scope::Region),
    ("MaxScheduledInstanceCapacityExceeded", Quota, Scope::Region),
    ("InsufficientFreeAddressesInSubnet", Quota, Scope::Zone),
    ("ResourceCountExceeded", Quota, Scope::Region),
    ("VcpuLimitExceededException", Quota, Scope::Region),
    // Slow down.
    ("RequestLimitExceeded", Throttled, Scope::Region),
    ("Throttling", Throttled, Scope::Region),
    ("ThrottlingException", Throttled, Scope::Region),
    ("TooManyRequestsException", Throttled, Scope::Region),
    ("EC2ThrottledException", Throttled, Scope::Region),
    ("BandwidthLimitExceeded", Throttled, Scope::Region),
    ("SlowDown", Throttled, Scope::Region),
    // The offer cannot be bought like this.
    ("Unsupported", Config, Scope::Zone),
    ("UnsupportedOperation", Config, Scope::Zone),
    ("UnsupportedHostConfiguration", Config, Scope::Zone),
    ("UnsupportedTenancy", Config, Scope::Zone),
    ("InvalidInstanceType", Config, Scope::Region),
    ("InvalidInstanceType.NotFound", Config, Scope::Region),
    ("InvalidAMIID.NotFound", Config, Scope::Region),
    ("InvalidAMIID.Malformed", Config, Scope::Region),
    ("InvalidAMIID.Unavailable", Config, Scope::Region),
    ("InvalidAMIAttributeItemValue", Config, Scope::Region),
    ("InvalidSubnet", Config, Scope::Zone),
    ("InvalidSubnetID.NotFound", Config, Scope::Zone),
    ("InvalidGroup.NotFound", Config, Scope::Region),
    ("InvalidGroupId.Malformed", Config, Scope::Region),
    ("InvalidSecurityGroupID.NotFound", Config, Scope::Region),
    ("InvalidKeyPair.NotFound", Config, Scope::Region),
    ("InvalidVpcID.NotFound", Config, Scope::Region),
    ("InvalidAvailabilityZone", Config, Scope::Zone),
    ("InvalidZone.NotFound", Config, Scope::Zone),
    ("InvalidParameter", Config, Scope::Region),
    ("InvalidParameterValue", Config, Scope::Region),
    ("InvalidParameterCombination", Config, Scope::Region),
    ("InvalidParameterException", Config, Scope::Region),
    ("InvalidParameterDependency", Config, Scope::Region),
    ("InvalidUserData.Malformed", Config, Scope::Region),
    ("InvalidBlockDeviceMapping", Config, Scope::Region),
    ("InvalidTagKey.Malformed", Config, Scope::Region),
    ("InvalidTag.Malformed", Config, Scope::Region),
    ("InvalidRequest", Config, Scope::Region),
    ("InvalidAction", Unsupported, Scope::Provider),
    ("InvalidFilter", Config, Scope::Region),
    ("InvalidNextToken", Config, Scope::Region),
    ("InvalidPaginationToken", Config, Scope::Region),
    ("ExpiredNextTokenException", Config, Scope::Region),
    ("InvalidNextTokenException", Config, Scope::Region),
    ("MissingParameter", Config, Scope::Region),
    ("MissingAction", Config, Scope::Region),
    ("MalformedQueryString", Config, Scope::Region),
    ("ValidationError", Config, Scope::Region),
    ("TagLimitExceeded", Config, Scope::Region),
    ("TagPolicyViolation", Config, Scope::Account),
    ("TooManyParametersException", Config, Scope::Region),
    ("VPCIdNotSpecified", Config, Scope::Region),
    ("DefaultSubnetDoesNotExistInAZ", Config, Scope::Zone),
    ("MissingInput", Config, Scope::Zone),
    ("NoDefaultVPC", Config, Scope::Region),
    ("InvalidInput", Config, Scope::Region),
    ("OperationNotPermitted", Config, Scope::Region),
    ("IncorrectInstanceState", Config, Scope::Zone),
    ("OptInRequired", Config, Scope::Region),
    ("PendingVerification", Config, Scope::Region),
    ("Blocked", Auth, Scope::Account),
    // The credential.
    ("AuthFailure", Auth, Scope::Account),
    ("UnauthorizedOperation", Auth, Scope::Account),
    ("AccessDenied", Auth, Scope::Account),
    ("AccessDeniedException", Auth, Scope::Account),
    ("InvalidClientTokenId", Auth, Scope::Account),
    ("UnrecognizedClientException", Auth, Scope::Account),
    ("MissingAuthenticationToken", Auth, Scope::Account),
    ("MissingAuthenticationTokenException", Auth, Scope::Account),
    ("IncompleteSignature", Auth, Scope::Account),
    ("SignatureDoesNotMatch", Auth, Scope::Account),
    ("InvalidSignatureException", Auth, Scope::Account),
    ("ExpiredToken", Auth, Scope::Account),
    ("ExpiredTokenException", Auth, Scope::Account),
    ("SubscriptionRequiredException", Auth, Scope::Account),
    // This machine's clock is wrong: as good as no credential, and nothing that another zone would change.
    ("RequestExpired", Auth, Scope::Provider),
    ("RequestTimeTooSkewed", Auth, Scope::Provider),
    ("RequestInTheFuture", Auth, Scope::Provider),
    // Not there, or not there yet.
    ("InvalidInstanceID.NotFound", NotFound, Scope::Zone),
    ("InvalidInstanceID", NotFound, Scope::Zone),
    ("InvalidInstanceID.Malformed", NotFound, Scope::Zone),
    ("InvalidSpotInstanceRequestID.NotFound", NotFound, Scope::Zone),
    ("NoSuchResourceException", NotFound, Scope::Region),
    // The token.
    ("IdempotentParameterMismatch", Conflict, Scope::Zone),
    ("IdempotentInstanceTerminated", Conflict, Scope::Zone),
];

/// Whether the code is in the table.
#[must_use]
pub fn is_known(code: &str) -> bool {
    OUTAGES.contains(&code) || TABLE.iter().any(|(known, ..)| *known == code)
}

/// Codes of a service that is unwell: the call may have been carried out.
const OUTAGES: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "Unavailable",
    "RequestTimeout",
];

/// What a failure means for a call with this effect.
///
/// A refusal in the table did nothing. Everything else leaves a write open: a code of an outage, a code nobody knows, an
/// answer that cannot be read, and no answer at all.
#[must_use]
pub fn judge(effect: Effect, failure: &Failure<'_>) -> ProviderError {
    let open = if effect == Effect::Write { Certainty::Unknown } else { Certainty::NotDone };
    let internal = |scope, code: &str, message: &str| {
        ProviderError::new(ErrorKind::Internal, scope, open, code, message)
    };
    match *failure {
        Failure::Code { code, message, status } => {
            if let Some((_, kind, scope)) = TABLE.iter().find(|(known, ..)| *known == code) {
                let message = match *kind {
                    Auth if *scope == Scope::Provider => {
                        format!("{message}; set this machine's clock right")
                    }
                    _ => message.to_owned(),
                };
                return ProviderError::new(*kind, *scope, Certainty::NotDone, code, &message);
            }
            if OUTAGES.contains(&code) {
                return internal(Scope::Region, code, message);
            }
            internal(
                Scope::Zone,
                code,
                &format!("{message} (status {status}; a code that is not in our table)"),
            )
        }
        Failure::Unreadable { status } => {
            let message = format!("status {status} with a body that is no answer of this service");
            internal(Scope::Region, "Unreadable", &message)
        }
        Failure::Lost(why) => internal(Scope::Region, "ConnectionLost", why),
        Failure::TimedOut(why) => {
            ProviderError::new(ErrorKind::Deadline, Scope::Region, open, "Timeout", why)
        }
        Failure::NoCredential(why) => {
            ProviderError::new(Auth, Scope::Account, Certainty::NotDone, "NoCredential", why)
        }
        Failure::NotSent(why) => {
            ProviderError::new(Config, Scope::Region, Certainty::NotDone, "NotSent", why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str, effect: Effect) -> ProviderError {
        judge(effect, &Failure::Code { code, message: "text", status: 400 })
    }

    /// Each code of the guide's list, spelled here again and not taken from the table.
    #[test]
    fn every_code_of_the_list_means_what_it_should() {
        for (kind, scope, codes) in [
            (
                Capacity,
                Scope::Zone,
                "InsufficientInstanceCapacity UnfulfillableCapacity ReservationCapacityExceeded \
                 InsufficientHostCapacity InsufficientReservedInstanceCapacity InsufficientCapacity \
                 InsufficientCapacityOnHost InsufficientCapacityOnOutpost CapacityReservationCapacityExceeded \
                 SpotMaxPriceTooLow",
            ),
            (
                Quota,
                Scope::Region,
                "VcpuLimitExceeded MaxSpotInstanceCountExceeded InstanceLimitExceeded VolumeLimitExceeded \
                 MaxIOPSLimitExceeded AddressLimitExceeded NetworkInterfaceLimitExceeded ResourceLimitExceeded \
                 MaxScheduledInstanceCapacityExceeded ResourceCountExceeded VcpuLimitExceededException",
            ),
            (Quota, Scope::Zone, "InsufficientFreeAddressesInSubnet"),
            (
                Throttled,
                Scope::Region,
                "RequestLimitExceeded Throttling ThrottlingException TooManyRequestsException \
                 EC2ThrottledException BandwidthLimitExceeded SlowDown",
            ),
            (
                Config,
                Scope::Zone,
                "Unsupported UnsupportedOperation UnsupportedHostConfiguration UnsupportedTenancy InvalidSubnet \
                 InvalidSubnetID.NotFound InvalidAvailabilityZone InvalidZone.NotFound MissingInput \
                 DefaultSubnetDoesNotExistInAZ IncorrectInstanceState InstanceCreditSpecification.NotSupported \
                 InvalidCapacityReservationId.NotFound InvalidCapacityReservationId.Malformed \
                 InvalidCapacityReservationId InvalidCapacityReservationState",
            ),
            (
                Config,
                Scope::Region,
                "InvalidInstanceType InvalidInstanceType.NotFound InvalidAMIID.NotFound InvalidAMIID.Malformed \
                 InvalidAMIID.Unavailable InvalidAMIAttributeItemValue InvalidGroup.NotFound \
                 InvalidGroupId.Malformed InvalidSecurityGroupID.NotFound InvalidKeyPair.NotFound \
                 InvalidVpcID.NotFound InvalidParameter InvalidParameterValue InvalidParameterCombination \
                 InvalidParameterException InvalidParameterDependency InvalidUserData.Malformed \
                 InvalidBlockDeviceMapping InvalidTagKey.Malformed InvalidTag.Malformed InvalidRequest InvalidFilter \
                 InvalidNextToken InvalidPaginationToken ExpiredNextTokenException InvalidNextTokenException \
                 MissingParameter MissingAction MalformedQueryString ValidationError TagLimitExceeded \
                 TooManyParametersException VPCIdNotSpecified NoDefaultVPC InvalidInput OperationNotPermitted \
                 OptInRequired PendingVerification",
            ),
            (Config, Scope::Account, "TagPolicyViolation"),
            (Unsupported, Scope::Provider, "InvalidAction"),
            (
                Auth,
                Scope::Account,
                "AuthFailure UnauthorizedOperation AccessDenied AccessDeniedException InvalidClientTokenId \
                 UnrecognizedClientException MissingAuthenticationToken MissingAuthenticationTokenException \
                 IncompleteSignature SignatureDoesNotMatch InvalidSignatureException ExpiredToken \
                 ExpiredTokenException SubscriptionRequiredException Blocked",
            ),
            (Auth, Scope::Provider, "RequestExpired RequestTimeTooSkewed RequestInTheFuture"),
            (
                NotFound,
                Scope::Zone,
                "InvalidInstanceID.NotFound InvalidInstanceID InvalidInstanceID.Malformed \
                 InvalidSpotInstanceRequestID.NotFound",
            ),
            (NotFound, Scope::Region, "NoSuchResourceException"),
            (Conflict, Scope::Zone, "IdempotentParameterMismatch IdempotentInstanceTerminated"),
        ] {
            for code in codes.split_whitespace() {
                for effect in [Effect::Read, Effect::Write] {
                    let error = of(code, effect);
                    assert_eq!(
                        (error.kind, error.scope, error.certainty),
                        (kind, scope, Certainty::NotDone),
                        "{code}"
                    );
                    assert_eq!(error.code, code);
                }
            }
        }
    }

    #[test]
    fn the_list_of_the_test_above_is_the_whole_table() {
        let here = include_str!("taxonomy.rs");
        let (_, tests) = here.split_once("mod tests").unwrap();
        for (code, ..) in TABLE {
            let listed = tests.split(|c: char| c.is_whitespace() || c == '"').any(|word| word == *code);
            assert!(listed, "no row of the test names `{code}`");
        }
        let mut codes: Vec<_> = TABLE.iter().map(|(code, ..)| code).chain(OUTAGES).collect();
        codes.sort_unstable();
        let all = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), all, "a code stands twice");
    }

    #[test]
    fn an_outage_and_an_unknown_code_leave_a_write_open() {
        for code in OUTAGES.iter().chain(&["ServerIsOnFire", "", "insufficientinstancecapacity"]) {
            let error = of(code, Effect::Write);
            assert_eq!((error.kind, error.certainty), (ErrorKind::Internal, Certainty::Unknown), "{code}");
            assert_eq!(of(code, Effect::Read).certainty, Certainty::NotDone);
        }
        assert_eq!(of("ServerIsOnFire", Effect::Write).scope, Scope::Zone, "blocks the zone, no more");
        assert!(!is_known("ServerIsOnFire") && is_known("InternalError") && is_known("VcpuLimitExceeded"));
    }

    #[test]
    fn answers_that_are_none_are_judged_by_what_the_call_would_change() {
        for (failure, kind, write) in [
            (Failure::Unreadable { status: 500 }, ErrorKind::Internal, Certainty::Unknown),
            (Failure::Unreadable { status: 200 }, ErrorKind::Internal, Certainty::Unknown),
            (Failure::Lost("reset"), ErrorKind::Internal, Certainty::Unknown),
            (Failure::TimedOut("20 s"), ErrorKind::Deadline, Certainty::Unknown),
            (Failure::NoCredential("none"), Auth, Certainty::NotDone),
            (Failure::NotSent("no token"), Config, Certainty::NotDone),
        ] {
            let error = judge(Effect::Write, &failure);
            assert_eq!((error.kind, error.certainty), (kind, write), "{failure:?}");
            assert_eq!(judge(Effect::Read, &failure).certainty, Certainty::NotDone, "{failure:?}");
        }
    }

    #[test]
    fn a_wrong_clock_says_what_to_do() {
        assert!(of("RequestExpired", Effect::Read).message.contains("clock"));
    }
}
