//! Releases.

use google_cloud_compute_v1::model::operation::Status;
use hpc_provider::{ErrorKind, InstanceHandle, ProviderError, Released, Result};

use crate::names::Place;
use crate::taxonomy::Effect;

use super::provider::GcpProvider;

/// How long to wait before an instance that is too young to be known is released again, in milliseconds.
const YOUNG_RETRY_MS: u64 = 2_000;

impl GcpProvider {
    pub(crate) async fn end(&self, handle: &InstanceHandle) -> Result<Released> {
        let place = Place::parse(&handle.id).filter(|place| place.region().as_ref() == Some(&handle.region));
        let Some(place) = place.filter(|_| handle.provider == self.config.provider) else {
            return Ok(Released::AlreadyGone);
        };
        let call = self.clients.instances.delete().set_project(&self.config.project);
        match call.set_zone(&place.zone).set_instance(&place.name).send().await {
            // The end of the operation is the end of the instance; whoever asks again sees it.
            Ok(operation) => match self.failure(&operation) {
                Some(error) => Err(error),
                None if operation.status == Some(Status::Done) => Ok(Released::Released),
                None => Ok(Released::InProgress),
            },
            Err(error) => self.not_ended(handle, &place, self.unknown.judge(Effect::Write, &error)),
        }
    }

    /// "Not found" means gone, if it is the instance that was not found, and it is not so young that it may not be known yet.
    ///
    /// A project or a zone that is not found proves nothing of the instance.
    fn not_ended(&self, handle: &InstanceHandle, place: &Place, error: ProviderError) -> Result<Released> {
        let Place { zone, name } = place;
        let it = format!("/zones/{zone}/instances/{name}'");
        if error.kind != ErrorKind::NotFound || !error.message.contains(&it) {
            return Err(error);
        }
        if self.recent.is_younger(&handle.id, (self.clock)(), self.config.consistency_ms) {
            return Err(error.retry_after_ms(YOUNG_RETRY_MS));
        }
        Ok(Released::AlreadyGone)
    }
}
