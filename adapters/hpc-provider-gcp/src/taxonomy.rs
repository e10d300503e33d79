//! What each error code of Compute Engine means: its kind, how far it reaches, and whether anything can have happened.
//!
//! One flat table for both spellings: the reason of an answer that refuses (`quotaExceeded`) and the code of an operation
//! that failed (`QUOTA_EXCEEDED`). A code that is not here is [`ErrorKind::Internal`], blocks its zone, and is counted, so
//! that somebody adds it.
//!
//! Source: "Troubleshoot creating and updating VMs", "Resource availability errors" and "API rate limits" of the Compute
//! Engine documentation; the codes that others met and wrote down in their provisioners.

use hpc_provider::{Certainty, ErrorKind, ProviderError, Scope};

use crate::quota::ALL_REGIONS;

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
    /// An answer in the service's own words, or the end of an operation.
    Code {
        /// For example `ZONE_RESOURCE_POOL_EXHAUSTED`; empty if the answer names none.
        code: &'a str,
        /// The text beside it.
        message: &'a str,
        /// The HTTP status.
        status: u16,
    },
    /// An answer that is none of the service's: an HTML page, a cut body, another format.
    Unreadable {
        /// The HTTP status.
        status: u16,
    },
    /// No connection came about; nothing was sent.
    Unreached(&'a str),
    /// The call was ended, or the connection broke, after it may have arrived.
    Lost(&'a str),
    /// The call took longer than allowed.
    TimedOut(&'a str),
    /// No credential could be found or renewed; nothing was sent.
    NoCredential(&'a str),
    /// The call could not be put into words; nothing was sent.
    NotSent(&'a str),
}

use ErrorKind::{Auth, Capacity, Config, Conflict, NotFound, Quota, Throttled};

/// The code of a bulk create that was rolled back. It says only that; the reason stands beside it.
pub const ROLLED_BACK: &str = "VM_MIN_COUNT_NOT_REACHED";

/// Code, kind, scope. All of them are refusals: nothing was done.
const TABLE: &[(&str, ErrorKind, Scope)] = &[
    // No stock.
    ("ZONE_RESOURCE_POOL_EXHAUSTED", Capacity, Scope::Zone),
    ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", Capacity, Scope::Zone),
    ("insufficientCapacity", Capacity, Scope::Zone),
    (ROLLED_BACK, Capacity, Scope::Zone),
    // Quotas.
    ("QUOTA_EXCEEDED", Quota, Scope::Region),
    ("quotaExceeded", Quota, Scope::Region),
    ("limitExceeded", Quota, Scope::Region),
    ("dailyLimitExceeded", Quota, Scope::Account),
    ("IP_SPACE_EXHAUSTED", Quota, Scope::Region),
    ("IP_SPACE_EXHAUSTED_WITH_DETAILS", Quota, Scope::Region),
    // Slow down.
    ("rateLimitExceeded", Throttled, Scope::Account),
    ("userRateLimitExceeded", Throttled, Scope::Account),
    ("RATE_LIMIT_EXCEEDED", Throttled, Scope::Account),
    ("concurrentLimitExceeded", Throttled, Scope::Account),
    ("CONCURRENT_OPERATIONS_QUOTA_EXCEEDED", Throttled, Scope::Account),
    ("RESOURCE_OPERATION_RATE_EXCEEDED", Throttled, Scope::Zone),
    ("resourceOperationRateExceeded", Throttled, Scope::Zone),
    ("RESOURCE_NOT_READY", Throttled, Scope::Zone),
    ("resourceNotReady", Throttled, Scope::Zone),
    // The offer cannot be bought like this.
    ("invalid", Config, Scope::Region),
    ("invalidParameter", Config, Scope::Region),
    ("badRequest", Config, Scope::Region),
    ("required", Config, Scope::Region),
    ("parseError", Config, Scope::Region),
    ("conditionNotMet", Config, Scope::Region),
    ("CONDITION_NOT_MET", Config, Scope::Region),
    ("INVALID_USAGE", Config, Scope::Region),
    ("INVALID_FIELD_VALUE", Config, Scope::Region),
    ("RESOURCE_NOT_FOUND", Config, Scope::Region),
    ("VPC_NOT_FOUND", Config, Scope::Region),
    ("UNSUPPORTED_OPERATION", Config, Scope::Zone),
    ("resourceInUseByAnotherResource", Config, Scope::Zone),
    ("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", Config, Scope::Zone),
    // The credential, and what it may do.
    ("authError", Auth, Scope::Account),
    ("unauthorized", Auth, Scope::Account),
    ("forbidden", Auth, Scope::Account),
    ("insufficientPermissions", Auth, Scope::Account),
    ("accessNotConfigured", Auth, Scope::Account),
    ("PERMISSIONS_ERROR", Auth, Scope::Account),
    ("IAM_PERMISSION_DENIED", Auth, Scope::Account),
    ("SERVICE_DISABLED", Auth, Scope::Account),
    ("BILLING_DISABLED", Auth, Scope::Account),
    ("CONSUMER_INVALID", Auth, Scope::Account),
    ("CREDENTIALS_MISSING", Auth, Scope::Account),
    ("ACCESS_TOKEN_EXPIRED", Auth, Scope::Account),
    ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", Auth, Scope::Account),
    // Not there, or not there yet.
    ("notFound", NotFound, Scope::Zone),
    // The names are taken.
    ("alreadyExists", Conflict, Scope::Zone),
    ("RESOURCE_ALREADY_EXISTS", Conflict, Scope::Zone),
];

/// The codes of a condition that does not hold, and what they say of a reservation without room.
const CONDITIONS: [&str; 2] = ["conditionNotMet", "CONDITION_NOT_MET"];
const FULL: [&str; 2] =
    ["does not have available resources for the request", "No available resources in specified reservations"];

/// Codes of a service that is unwell: the call may have been carried out.
const OUTAGES: &[&str] =
    &["backendError", "internalError", "INTERNAL_ERROR", "serviceUnavailable", "UNAVAILABLE"];

/// Whether the code is in the table. An answer without any code is judged by its status, which is known.
#[must_use]
pub fn is_known(code: &str) -> bool {
    code.is_empty() || OUTAGES.contains(&code) || TABLE.iter().any(|(known, ..)| *known == code)
}

/// What a status alone means, where a refusal names no code.
fn of_status(status: u16) -> Option<(ErrorKind, Scope)> {
    Some(match status {
        400 | 412 => (Config, Scope::Region),
        401 | 403 => (Auth, Scope::Account),
        404 => (NotFound, Scope::Zone),
        409 => (Conflict, Scope::Zone),
        429 => (Throttled, Scope::Account),
        _ => return None,
    })
}

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
    let refused = |kind, scope, code: &str, message: &str| {
        ProviderError::new(kind, scope, Certainty::NotDone, code, message)
    };
    match *failure {
        Failure::Code { code: "", message, status } => match of_status(status) {
            Some((kind, scope)) => refused(kind, scope, &format!("HTTP_{status}"), message),
            None => internal(Scope::Region, &format!("HTTP_{status}"), message),
        },
        Failure::Code { code, message, status } => {
            // One code for all that does not hold; a reservation that is full is another offer's chance.
            if CONDITIONS.contains(&code) && FULL.iter().any(|text| message.contains(text)) {
                return refused(Capacity, Scope::Zone, code, message);
            }
            if let Some((_, kind, scope)) = TABLE.iter().find(|(known, ..)| *known == code) {
                // The one quota that counts all regions: no other region is left to try.
                let everywhere = *kind == Quota && message.contains(ALL_REGIONS);
                return refused(*kind, if everywhere { Scope::Account } else { *scope }, code, message);
            }
            if OUTAGES.contains(&code) {
                return internal(Scope::Region, code, message);
            }
            let message = format!("{message} (status {status}; a code that is not in our table)");
            internal(Scope::Zone, code, &message)
        }
        Failure::Unreadable { status } => {
            let message = format!("status {status} with a body that is no answer of this service");
            internal(Scope::Region, "Unreadable", &message)
        }
        Failure::Unreached(why) => refused(ErrorKind::Internal, Scope::Provider, "Unreached", why),
        Failure::Lost(why) => internal(Scope::Region, "ConnectionLost", why),
        Failure::TimedOut(why) => {
            ProviderError::new(ErrorKind::Deadline, Scope::Region, open, "Timeout", why)
        }
        Failure::NoCredential(why) => refused(Auth, Scope::Account, "NoCredential", why),
        Failure::NotSent(why) => refused(Config, Scope::Region, "NotSent", why),
    }
}

/// The error that says most among those of one failed operation: not the one that only tells of the rollback, and one that
/// is known before one that is not.
#[must_use]
pub fn telling<'a>(errors: &[(&'a str, &'a str)]) -> Option<(&'a str, &'a str)> {
    let told = |known: bool| {
        errors
            .iter()
            .find(|(code, _)| *code != ROLLED_BACK && (!known || (is_known(code) && !code.is_empty())))
    };
    told(true).or_else(|| told(false)).or_else(|| errors.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str, effect: Effect) -> ProviderError {
        judge(effect, &Failure::Code { code, message: "text", status: 400 })
    }

    /// Each code, spelled here again and not taken from the table.
    #[test]
    fn every_code_of_the_list_means_what_it_should() {
        for (kind, scope, codes) in [
            (
                Capacity,
                Scope::Zone,
                "ZONE_RESOURCE_POOL_EXHAUSTED ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS insufficientCapacity \
                 VM_MIN_COUNT_NOT_REACHED",
            ),
            (
                Quota,
                Scope::Region,
                "QUOTA_EXCEEDED quotaExceeded limitExceeded IP_SPACE_EXHAUSTED IP_SPACE_EXHAUSTED_WITH_DETAILS",
            ),
            (Quota, Scope::Account, "dailyLimitExceeded"),
            (
                Throttled,
                Scope::Account,
                "rateLimitExceeded userRateLimitExceeded RATE_LIMIT_EXCEEDED concurrentLimitExceeded \
                 CONCURRENT_OPERATIONS_QUOTA_EXCEEDED",
            ),
            (
                Throttled,
                Scope::Zone,
                "RESOURCE_OPERATION_RATE_EXCEEDED resourceOperationRateExceeded RESOURCE_NOT_READY resourceNotReady",
            ),
            (
                Config,
                Scope::Region,
                "invalid invalidParameter badRequest required parseError conditionNotMet CONDITION_NOT_MET INVALID_USAGE \
                 INVALID_FIELD_VALUE RESOURCE_NOT_FOUND VPC_NOT_FOUND",
            ),
            (
                Config,
                Scope::Zone,
                "UNSUPPORTED_OPERATION resourceInUseByAnotherResource RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
            ),
            (
                Auth,
                Scope::Account,
                "authError unauthorized forbidden insufficientPermissions accessNotConfigured PERMISSIONS_ERROR \
                 IAM_PERMISSION_DENIED SERVICE_DISABLED BILLING_DISABLED CONSUMER_INVALID CREDENTIALS_MISSING \
                 ACCESS_TOKEN_EXPIRED ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            ),
            (NotFound, Scope::Zone, "notFound"),
            (Conflict, Scope::Zone, "alreadyExists RESOURCE_ALREADY_EXISTS"),
        ] {
            for code in codes.split_whitespace() {
                for effect in [Effect::Read, Effect::Write] {
                    let error = of(code, effect);
                    assert_eq!(
                        (error.kind, error.scope, error.certainty, error.code.as_str()),
                        (kind, scope, Certainty::NotDone, code)
                    );
                }
            }
        }
    }

    #[test]
    fn a_full_reservation_is_no_stock_and_other_conditions_are_not() {
        for code in CONDITIONS {
            let of = |message| judge(Effect::Write, &Failure::Code { code, message, status: 412 });
            let full =
                of("Specified reservation 'training' does not have available resources for the request.");
            assert_eq!((full.kind, full.scope, full.certainty), (Capacity, Scope::Zone, Certainty::NotDone));
            let other = of("Specified reservation 'training' does not exist.");
            assert_eq!((other.kind, other.certainty), (Config, Certainty::NotDone));
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
    fn the_quota_of_all_regions_blocks_the_account_and_no_other_does() {
        let quota = |message| {
            judge(Effect::Write, &Failure::Code { code: "QUOTA_EXCEEDED", message, status: 403 }).scope
        };
        assert_eq!(quota("Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally."), Scope::Account);
        assert_eq!(
            quota("Quota 'NVIDIA_A100_GPUS' exceeded.  Limit: 0.0 in region us-central1."),
            Scope::Region
        );
    }

    #[test]
    fn an_outage_and_an_unknown_code_leave_a_write_open() {
        for code in OUTAGES.iter().chain(&["SERVER_IS_ON_FIRE", "zone_resource_pool_exhausted"]) {
            let error = of(code, Effect::Write);
            assert_eq!((error.kind, error.certainty), (ErrorKind::Internal, Certainty::Unknown), "{code}");
            assert_eq!(of(code, Effect::Read).certainty, Certainty::NotDone);
        }
        assert_eq!(of("SERVER_IS_ON_FIRE", Effect::Write).scope, Scope::Zone, "blocks the zone, no more");
        assert!(!is_known("SERVER_IS_ON_FIRE") && is_known("internalError") && is_known("QUOTA_EXCEEDED"));
    }

    #[test]
    fn a_refusal_without_a_code_is_judged_by_its_status() {
        for (status, kind, certainty) in [
            (400, Config, Certainty::NotDone),
            (401, Auth, Certainty::NotDone),
            (403, Auth, Certainty::NotDone),
            (404, NotFound, Certainty::NotDone),
            (409, Conflict, Certainty::NotDone),
            (429, Throttled, Certainty::NotDone),
            (500, ErrorKind::Internal, Certainty::Unknown),
            (503, ErrorKind::Internal, Certainty::Unknown),
            (0, ErrorKind::Internal, Certainty::Unknown),
        ] {
            let error = judge(Effect::Write, &Failure::Code { code: "", message: "", status });
            assert_eq!((error.kind, error.certainty), (kind, certainty), "{status}");
        }
    }

    #[test]
    fn answers_that_are_none_are_judged_by_what_the_call_would_change() {
        for (failure, kind, write) in [
            (Failure::Unreadable { status: 500 }, ErrorKind::Internal, Certainty::Unknown),
            (Failure::Unreadable { status: 200 }, ErrorKind::Internal, Certainty::Unknown),
            (Failure::Lost("reset"), ErrorKind::Internal, Certainty::Unknown),
            (Failure::Unreached("refused"), ErrorKind::Internal, Certainty::NotDone),
            (Failure::TimedOut("20 s"), ErrorKind::Deadline, Certainty::Unknown),
            (Failure::NoCredential("none"), Auth, Certainty::NotDone),
            (Failure::NotSent("no project"), Config, Certainty::NotDone),
        ] {
            let error = judge(Effect::Write, &failure);
            assert_eq!((error.kind, error.certainty), (kind, write), "{failure:?}");
            assert_eq!(judge(Effect::Read, &failure).certainty, Certainty::NotDone, "{failure:?}");
        }
    }

    #[test]
    fn of_several_errors_the_one_that_says_why_is_told() {
        let back = (ROLLED_BACK, "2 of 3");
        let stock = ("ZONE_RESOURCE_POOL_EXHAUSTED", "none");
        let odd = ("ODD", "?");
        assert_eq!(telling(&[back, odd, stock]), Some(stock));
        assert_eq!(telling(&[back, odd]), Some(odd));
        assert_eq!(telling(&[back]), Some(back));
        assert_eq!(telling(&[("", "x"), stock]), Some(stock));
        assert_eq!(telling(&[]), None);
    }
}
