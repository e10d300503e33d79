//! The SDK's errors, in the port's words.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use google_cloud_gax::error::Error as SdkError;
use google_cloud_gax::error::rpc::{Status, StatusDetails};
use hpc_provider::ProviderError;

use crate::taxonomy::{self, Effect, Failure};

/// Most unknown codes that are told apart.
const UNKNOWN_MAX: usize = 64;

/// Codes that stood in no table, and how often.
#[derive(Debug, Default)]
pub(crate) struct UnknownCodes(Mutex<BTreeMap<String, u64>>);

impl UnknownCodes {
    /// Counts one; beyond [`UNKNOWN_MAX`] different ones, under `other`.
    fn count(&self, code: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name: String = code.chars().filter(|c| !c.is_control()).take(64).collect();
        let full = counts.len() >= UNKNOWN_MAX && !counts.contains_key(&name);
        let count = counts.entry(if full { "other".to_owned() } else { name }).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn read(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a code means for a call with this effect; one that is not known is counted.
    pub(crate) fn judge_code(&self, effect: Effect, code: &str, message: &str, status: u16) -> ProviderError {
        if !taxonomy::is_known(code) {
            self.count(code);
        }
        taxonomy::judge(effect, &Failure::Code { code, message, status })
    }

    /// What an SDK error means for a call with this effect.
    pub(crate) fn judge(&self, effect: Effect, error: &SdkError) -> ProviderError {
        let status = error.http_status_code();
        if let Some(answer) = error.status() {
            return self.judge_code(effect, reason(answer), &answer.message, status.unwrap_or(0));
        }
        let chain = chain(error);
        let failure = match error {
            error if error.is_authentication() => Failure::NoCredential(&chain),
            error if error.is_binding() || error.is_serialization() => Failure::NotSent(&chain),
            error if error.is_connect() => Failure::Unreached(&chain),
            error if error.is_timeout() || error.is_exhausted() => Failure::TimedOut(&chain),
            error if error.is_deserialization() => Failure::Unreadable { status: status.unwrap_or(200) },
            _ => match status {
                Some(status) => Failure::Unreadable { status },
                None => Failure::Lost(&chain),
            },
        };
        taxonomy::judge(effect, &failure)
    }
}

/// The reason that an answer gives: one we know before one we do not.
fn reason(answer: &Status) -> &str {
    let reasons = || {
        answer.details.iter().filter_map(|detail| match detail {
            StatusDetails::ErrorInfo(info) if !info.reason.is_empty() => Some(info.reason.as_str()),
            _ => None,
        })
    };
    reasons().find(|reason| taxonomy::is_known(reason)).or_else(|| reasons().next()).unwrap_or_default()
}

/// The causes, innermost first, at most 16: what is cut off at the end says least.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| texts.len() < 16) {
        texts.push(error.to_string());
        next = error.source();
    }
    texts.reverse();
    texts.join("; in: ")
}

#[cfg(test)]
mod tests {
    use google_cloud_gax::error::CredentialsError;
    use hpc_provider::{Certainty, ErrorKind};

    use super::*;

    #[test]
    fn a_create_that_was_never_sent_is_not_done_and_one_that_may_have_been_is_open() {
        for (error, kind, certainty) in [
            (
                SdkError::authentication(CredentialsError::from_msg(false, "no key in the environment")),
                ErrorKind::Auth,
                Certainty::NotDone,
            ),
            (SdkError::binding("no project"), ErrorKind::Config, Certainty::NotDone),
            (SdkError::ser("odd"), ErrorKind::Config, Certainty::NotDone),
            (SdkError::connect("refused"), ErrorKind::Internal, Certainty::NotDone),
            (SdkError::io("reset"), ErrorKind::Internal, Certainty::Unknown),
            (SdkError::timeout("20 s"), ErrorKind::Deadline, Certainty::Unknown),
            (SdkError::deser("cut"), ErrorKind::Internal, Certainty::Unknown),
        ] {
            let judged = UnknownCodes::default().judge(Effect::Write, &error);
            assert_eq!((judged.kind, judged.certainty), (kind, certainty), "{error}");
        }
    }
}
