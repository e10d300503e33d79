//! Operations: polled until they end, and what their end means.

use google_cloud_compute_v1::model::Operation;
use google_cloud_compute_v1::model::operation::Status;
use hpc_provider::{Certainty, ErrorKind, ProviderError, Result, Scope};
use tokio::time::{sleep, timeout};

use crate::names;
use crate::quota::ALL_REGIONS;
use crate::taxonomy::{self, Effect};

use super::client::nonsense;
use super::provider::GcpProvider;

/// How many instances an operation was to create, and how many of them there are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) wanted: i64,
    pub(crate) left: i64,
}

impl GcpProvider {
    /// The operation at its end. It was accepted: until its end is seen, the outcome is not known.
    pub(crate) async fn finished(&self, zone: &str, accepted: Operation) -> Result<Operation> {
        let polled = timeout(self.config.create_timeout, self.polled(zone, accepted)).await;
        polled.unwrap_or_else(|_| {
            let what = format!("the create did not end within {} s", self.config.create_timeout.as_secs());
            Err(ProviderError::new(ErrorKind::Deadline, Scope::Zone, Certainty::Unknown, "Running", &what))
        })
    }

    async fn polled(&self, zone: &str, mut operation: Operation) -> Result<Operation> {
        let name = operation.name.clone().filter(|name| names::is_name(name));
        let name = name.ok_or_else(|| nonsense(Certainty::Unknown, "an operation without a name"))?;
        while operation.status != Some(Status::Done) {
            let call = self.clients.zone_operations.get().set_project(&self.config.project);
            let answer = call.set_zone(zone).set_operation(&name).send().await;
            operation = answer.map_err(|error| self.unknown.judge(Effect::Write, &error)).map_err(open)?;
            if operation.name.as_ref() != Some(&name) {
                return Err(nonsense(Certainty::Unknown, "the answer is of another operation"));
            }
            if operation.status != Some(Status::Done) {
                sleep(self.config.poll_interval).await;
            }
        }
        Ok(operation)
    }

    /// Why an operation failed; `None` if it did not.
    pub(crate) fn failure(&self, operation: &Operation) -> Option<ProviderError> {
        let errors = operation.error.iter().flat_map(|error| &error.errors);
        let all: Vec<(&str, String)> = errors
            .map(|error| {
                let details = error.error_details.iter().filter_map(|detail| detail.quota_info.as_ref());
                let everywhere = details
                    .filter_map(|quota| quota.metric_name.as_deref())
                    .any(|metric| names::last(metric).eq_ignore_ascii_case(ALL_REGIONS));
                let mut message = error.message.clone().unwrap_or_default();
                if everywhere && !message.contains(ALL_REGIONS) {
                    message = format!("`{ALL_REGIONS}`: {message}");
                }
                (error.code.as_deref().unwrap_or_default(), message)
            })
            .collect();
        let status = operation.http_error_status_code.and_then(|code| u16::try_from(code).ok());
        let texts: Vec<(&str, &str)> = all.iter().map(|(code, text)| (*code, text.as_str())).collect();
        let status_text = operation.http_error_message.as_deref().unwrap_or_default();
        let (code, message) = match taxonomy::telling(&texts) {
            Some(told) => told,
            None if operation.error.is_some() || status.is_some_and(|status| status >= 400) => {
                ("", status_text)
            }
            None => return None,
        };
        Some(self.unknown.judge_code(Effect::Write, code, message, status.unwrap_or(0)))
    }
}

/// What a bulk create says of its instances; `None` if it says nothing that can be believed.
pub(crate) fn made(operation: &Operation) -> Option<Made> {
    let told = &operation.instances_bulk_insert_operation_metadata.as_ref()?.per_location_status;
    if told.is_empty() {
        return None;
    }
    let mut made = Made { wanted: 0, left: 0 };
    for status in told.values() {
        let count = |count: Option<i32>| count.filter(|count| *count >= 0).map(i64::from);
        made.wanted += count(status.target_vm_count)?;
        made.left += count(Some(status.created_vm_count.unwrap_or(0)))?
            - count(Some(status.deleted_vm_count.unwrap_or(0)))?;
    }
    (made.left >= 0).then_some(made)
}

/// The create was accepted: whatever goes wrong with a look at it, its outcome is open.
fn open(mut error: ProviderError) -> ProviderError {
    error.certainty = Certainty::Unknown;
    error
}

#[cfg(test)]
mod tests {
    use google_cloud_compute_v1::model::{BulkInsertOperationStatus, InstancesBulkInsertOperationMetadata};

    use super::*;

    type Counts = (Option<i32>, Option<i32>, Option<i32>);

    fn told(counts: &[Counts]) -> Option<(i64, i64)> {
        let status = |(at, (wanted, created, deleted)): (usize, &Counts)| {
            let status = BulkInsertOperationStatus::new()
                .set_or_clear_target_vm_count(*wanted)
                .set_or_clear_created_vm_count(*created)
                .set_or_clear_deleted_vm_count(*deleted);
            (format!("zones/{at}"), status)
        };
        let told = counts.iter().enumerate().map(status);
        let metadata = InstancesBulkInsertOperationMetadata::new().set_per_location_status(told);
        let operation = Operation::new().set_instances_bulk_insert_operation_metadata(metadata);
        made(&operation).map(|made| (made.wanted, made.left))
    }

    #[test]
    fn what_is_left_is_counted_and_never_guessed() {
        assert_eq!(told(&[(Some(3), Some(3), None)]), Some((3, 3)));
        assert_eq!(told(&[(Some(3), Some(2), Some(2))]), Some((3, 0)));
        assert_eq!(told(&[(Some(3), None, None)]), Some((3, 0)));
        assert_eq!(told(&[(Some(1), Some(1), None), (Some(2), Some(2), Some(1))]), Some((3, 2)));
        for odd in [
            (None, Some(1), None),
            (Some(-1), None, None),
            (Some(1), Some(-1), None),
            (Some(1), Some(0), Some(1)),
        ] {
            assert_eq!(told(&[odd]), None, "{odd:?}");
        }
        assert_eq!(told(&[]), None);
        assert_eq!(made(&Operation::new()), None);
    }
}
