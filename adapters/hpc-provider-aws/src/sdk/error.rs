//! The SDK's errors, in the port's words.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
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

    /// What an SDK error means for a call with this effect.
    pub(crate) fn judge<E>(&self, effect: Effect, error: &SdkError<E, HttpResponse>) -> ProviderError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let chain = chain(error);
        match error {
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let Some(code) = answer.err().code().filter(|code| !code.is_empty()) else {
                    return taxonomy::judge(effect, &Failure::Unreadable { status });
                };
                if !taxonomy::is_known(code) {
                    self.count(code);
                }
                let message = answer.err().message().unwrap_or("no message");
                taxonomy::judge(effect, &Failure::Code { code, message, status })
            }
            SdkError::ResponseError(answer) => {
                let status = answer.raw().status().as_u16();
                taxonomy::judge(effect, &Failure::Unreadable { status })
            }
            SdkError::TimeoutError(_) => taxonomy::judge(effect, &Failure::TimedOut(&chain)),
            // No credential: nothing was signed, so nothing was sent.
            _ if caused_by::<CredentialsError>(error) => {
                taxonomy::judge(effect, &Failure::NoCredential(&chain))
            }
            SdkError::ConstructionFailure(_) => taxonomy::judge(effect, &Failure::NotSent(&chain)),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                taxonomy::judge(effect, &Failure::TimedOut(&chain))
            }
            _ => taxonomy::judge(effect, &Failure::Lost(&chain)),
        }
    }
}

/// An error and its causes, outermost first, at most 16.
struct Sources<'a>(Option<&'a (dyn Error + 'static)>, u8);

impl<'a> Iterator for Sources<'a> {
    type Item = &'a (dyn Error + 'static);

    fn next(&mut self) -> Option<Self::Item> {
        let error = self.0.filter(|_| self.1 > 0)?;
        (self.0, self.1) = (error.source(), self.1 - 1);
        Some(error)
    }
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> Sources<'a> {
    Sources(Some(error), 16)
}

fn caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    sources(error).any(|error| error.is::<E>())
}

/// The causes, outermost first: the SDK's own texts are of little use without the innermost one.
fn chain(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> = sources(error).map(ToString::to_string).collect();
    texts.join(": ")
}

/// Time limits in the SDK's words.
pub(crate) fn timeouts(config: &crate::AwsConfig) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(config.connect_timeout)
        .operation_timeout(config.call_timeout)
        .build()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::error::ConnectorError;
    use aws_sdk_ec2::operation::run_instances::RunInstancesError;
    use hpc_provider::{Certainty, ErrorKind};

    use super::*;

    type Failed = SdkError<RunInstancesError, HttpResponse>;

    #[test]
    fn a_create_that_was_never_sent_is_not_done_and_one_that_may_have_been_is_open() {
        let judge = |error: &Failed| UnknownCodes::default().judge(Effect::Write, error);
        let no_key = CredentialsError::not_loaded("no key in the environment");
        let no_key = Failed::dispatch_failure(ConnectorError::other(no_key.into(), None));
        let error = judge(&no_key);
        assert_eq!((error.kind, error.certainty), (ErrorKind::Auth, Certainty::NotDone), "{error}");
        assert!(error.message.contains("no key in the environment"), "{error}");
        let broken = Failed::dispatch_failure(ConnectorError::io("connection reset".into()));
        assert_eq!(
            (judge(&broken).kind, judge(&broken).certainty),
            (ErrorKind::Internal, Certainty::Unknown)
        );
        let late = Failed::dispatch_failure(ConnectorError::timeout("no connection".into()));
        assert_eq!((judge(&late).kind, judge(&late).certainty), (ErrorKind::Deadline, Certainty::Unknown));
        let late = Failed::timeout_error("no answer");
        assert_eq!((judge(&late).kind, judge(&late).certainty), (ErrorKind::Deadline, Certainty::Unknown));
        let unsaid = Failed::construction_failure("no image");
        assert_eq!((judge(&unsaid).kind, judge(&unsaid).certainty), (ErrorKind::Config, Certainty::NotDone));
    }
}
