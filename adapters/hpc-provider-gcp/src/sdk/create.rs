//! Creates: all instances by one call, or none.

use google_cloud_compute_v1::model::scheduling::{
    InstanceTerminationAction, OnHostMaintenance, ProvisioningModel,
};
use google_cloud_compute_v1::model::{
    AcceleratorConfig, AccessConfig, AttachedDisk, AttachedDiskInitializeParams, BulkInsertInstanceResource,
    BulkInsertInstanceResourcePerInstanceProperties, Duration, InstanceProperties, Metadata,
    NetworkInterface, Operation, Scheduling, ServiceAccount, access_config, metadata,
};
use hpc_provider::{
    Certainty, ErrorKind, InstanceHandle, InstanceState, ProviderError, ProvisionResult, ProvisionSpec,
    Result, Scope, TAG_INTENT,
};
use hpc_resources::OfferKind;

use crate::config::{FLEX_RUN_S_MAX, FLEX_RUN_S_MIN, RegionConfig};
use crate::labels;
use crate::machine::Machine;
use crate::names::{self, Place};
use crate::startup::startup_script;
use crate::taxonomy::Effect;

use super::client::nonsense;
use super::operation::made;
use super::provider::GcpProvider;
use super::reserved::target;

/// Most instances that one call creates in a zone.
pub(crate) const AT_ONCE_MAX: u32 = 1_000;
/// What an instance with a service account may do with it: what the account may do.
const INSTANCE_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

pub(crate) fn refuse(kind: ErrorKind, scope: Scope, code: &str, message: &str) -> ProviderError {
    ProviderError::new(kind, scope, Certainty::NotDone, code, message)
}

fn token_in_use(message: &str) -> ProviderError {
    refuse(ErrorKind::Conflict, Scope::Zone, "TokenInUse", message)
}

/// The names are this token's own: where they are taken, it has created before, and the lists do not show it yet.
fn taken(mut error: ProviderError) -> ProviderError {
    if error.kind == ErrorKind::Conflict {
        error.certainty = Certainty::Unknown;
    }
    error
}

impl GcpProvider {
    pub(crate) async fn create(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        let (machine, region) = self.check(spec)?;
        let known = self.recent.knows(spec);
        if known == Some(false) {
            return Err(token_in_use("this token has created with other parameters"));
        }
        // A request id is forgotten after a while, and a label never: look first, so that a late repetition finds.
        let found = self.of_token(spec).await?;
        if !found.is_empty() {
            return self.found_again(spec, &found);
        }
        let names = names::of_token(&spec.token, spec.instances);
        let body = BulkInsertInstanceResource::new()
            .set_count(spec.instances)
            .set_min_count(spec.instances)
            .set_per_instance_properties(names.iter().map(|name| {
                (name.clone(), BulkInsertInstanceResourcePerInstanceProperties::new().set_name(name))
            }))
            .set_instance_properties(self.properties(spec, &machine, region).await?);
        let zone = spec.offer.zone.as_str();
        let call = self.clients.instances.bulk_insert().set_project(&self.config.project).set_zone(zone);
        let answer = call.set_request_id(spec.token.as_uuid()).set_body(body).send().await;
        let accepted = answer.map_err(|error| taken(self.unknown.judge(Effect::Write, &error)))?;
        let ended = self.finished(zone, accepted).await?;
        self.answered(spec, &ended, names, known.is_some())
    }

    fn check(&self, spec: &ProvisionSpec) -> Result<(Machine, &RegionConfig)> {
        let offer = &spec.offer;
        let config = |scope, code: &str, message: &str| refuse(ErrorKind::Config, scope, code, message);
        if spec.instances == 0 || spec.instances > AT_ONCE_MAX {
            let message = format!("{} instances were asked for, 1 to {AT_ONCE_MAX} can be", spec.instances);
            return Err(config(Scope::Region, "Instances", &message));
        }
        if offer.provider != self.config.provider {
            return Err(config(
                Scope::Provider,
                "Provider",
                &format!("the offer is of `{}`", offer.provider),
            ));
        }
        // What names no reservation would run in any, or in none, at a price that nobody agreed to; what names no end by
        // flex-start would not be taken.
        let can = match offer.kind {
            OfferKind::Spot | OfferKind::OnDemand => offer.reservation.is_none(),
            OfferKind::Reserved => self.config.reservations && offer.reservation.is_some(),
            OfferKind::Flex => offer.reservation.is_none() && run_s(spec).is_some(),
            OfferKind::Owned | OfferKind::Block => false,
        };
        if !can {
            let message = format!("`{}` cannot be bought here", offer.kind.as_str());
            return Err(config(Scope::Zone, "Kind", &message));
        }
        let machine = Machine::parse(&offer.instance_type)
            .map_err(|error| config(Scope::Region, "InstanceType", &error.to_string()))?;
        let region = self.config.at(offer.zone.as_str()).filter(|region| region.region == offer.region);
        let region = region.ok_or_else(|| {
            let message =
                format!("`{}` in `{}` is not among this provider's zones", offer.zone, offer.region);
            config(Scope::Zone, "UnknownZone", &message)
        })?;
        Ok((machine, region))
    }

    /// The instances that the intent's token created. They are in the offer's zone: no other has to answer.
    async fn of_token(&self, spec: &ProvisionSpec) -> Result<Vec<InstanceState>> {
        let Some(filter) = labels::filter(TAG_INTENT, spec.intent.as_str()) else { return Ok(Vec::new()) };
        let mut found = self.find_in(spec.offer.zone.as_str(), &filter).await?;
        let of_token =
            |name: &Option<String>| name.as_deref().is_some_and(|name| names::is_of_token(&spec.token, name));
        found.retain(|(_, instance)| of_token(&instance.name));
        let wanted = spec.offer.reservation.as_ref().map(|reservation| reservation.id.as_str());
        if found.iter().any(|(_, instance)| target(instance) != wanted) {
            return Err(token_in_use("instances of another reservation have this token"));
        }
        Ok(self.states(&found))
    }

    /// The answer of a create that has happened before; a conflict where it was another create.
    fn found_again(&self, spec: &ProvisionSpec, found: &[InstanceState]) -> Result<ProvisionResult> {
        let offer = &spec.offer;
        let as_asked = u32::try_from(found.len()) == Ok(spec.instances)
            && found.iter().all(|state| {
                (&state.instance_type, &state.zone, state.kind)
                    == (&offer.instance_type, &offer.zone, offer.kind)
                    && state.tags == spec.tags
            });
        if !as_asked {
            let message = format!("{} instances, or other parameters, have this token", found.len());
            return Err(token_in_use(&message));
        }
        let handles = found.iter().map(|state| state.handle.clone()).collect();
        Ok(ProvisionResult { handles, replayed: true, simulated: false })
    }

    fn answered(
        &self,
        spec: &ProvisionSpec,
        ended: &Operation,
        names: Vec<String>,
        replayed: bool,
    ) -> Result<ProvisionResult> {
        let made = made(ended);
        if let Some(mut error) = self.failure(ended) {
            // Compute Engine takes back what it made of a create that failed. Only its own count of it is believed.
            if made.is_none_or(|made| made.left != 0) {
                error.certainty = Certainty::Unknown;
            }
            return Err(taken(error));
        }
        let wanted = i64::from(spec.instances);
        if let Some(made) = made.filter(|made| made.wanted != wanted) {
            let message = format!("the request id was used for {} instances", made.wanted);
            return Err(token_in_use(&message));
        }
        if let Some(made) = made.filter(|made| made.left != wanted) {
            let what = format!("{wanted} instances were asked for, {} were made", made.left);
            return Err(nonsense(Certainty::Unknown, &what));
        }
        let ids: Vec<String> =
            names.into_iter().map(|name| Place { zone: spec.offer.zone.to_string(), name }.id()).collect();
        self.recent.created(spec, ids.clone(), (self.clock)());
        let handle = |id| InstanceHandle {
            provider: self.config.provider.clone(),
            region: spec.offer.region.clone(),
            id,
        };
        Ok(ProvisionResult { handles: ids.into_iter().map(handle).collect(), replayed, simulated: false })
    }

    async fn properties(
        &self,
        spec: &ProvisionSpec,
        machine: &Machine,
        region: &RegionConfig,
    ) -> Result<InstanceProperties> {
        let labels = labels::of_spec(spec)
            .map_err(|error| refuse(ErrorKind::Config, Scope::Region, "Labels", &error.to_string()))?;
        let disk = AttachedDiskInitializeParams::new()
            .set_source_image(&self.config.image)
            .set_disk_type(&self.config.disk_type)
            .set_or_clear_disk_size_gb(self.config.disk_gib)
            .set_labels(labels.clone());
        let network = NetworkInterface::new().set_or_clear_subnetwork(region.subnetwork.clone());
        let network = if self.config.external_ip {
            let nat = AccessConfig::new().set_name("External NAT").set_type(access_config::Type::OneToOneNat);
            network.set_access_configs([nat])
        } else {
            network
        };
        let account = |email: &String| ServiceAccount::new().set_email(email).set_scopes([INSTANCE_SCOPE]);
        let added = |(device, count): &(String, u32)| {
            let count = i32::try_from(*count).unwrap_or(i32::MAX);
            AcceleratorConfig::new().set_accelerator_type(device).set_accelerator_count(count)
        };
        let properties = InstanceProperties::new()
            .set_machine_type(&machine.machine_type)
            .set_guest_accelerators(machine.added.iter().map(added))
            .set_labels(labels)
            // The disk ends with its instance: nothing is left that costs.
            .set_disks([AttachedDisk::new().set_boot(true).set_auto_delete(true).set_initialize_params(disk)])
            .set_network_interfaces([network])
            .set_service_accounts(self.config.service_account.iter().map(account))
            .set_or_clear_reservation_affinity(self.affinity(spec))
            .set_scheduling(scheduling(spec));
        let Some(reference) = &spec.user_data_ref else { return Ok(properties) };
        let script = self.boots.resolve(reference).await;
        let script = script
            .and_then(startup_script)
            .map_err(|error| refuse(ErrorKind::Config, Scope::Region, "StartupScript", &error.to_string()))?;
        let item = metadata::Items::new().set_key("startup-script").set_value(script.as_str());
        Ok(properties.set_metadata(Metadata::new().set_items([item])))
    }
}

/// How it is bought. An instance that is taken back, or whose time is over, is deleted, and its disk with it.
fn scheduling(spec: &ProvisionSpec) -> Scheduling {
    let scheduling = Scheduling::new();
    let ends = matches!(spec.offer.kind, OfferKind::Spot | OfferKind::Flex);
    let scheduling = if spec.offer.accelerators.is_some() || ends {
        // Devices cannot move to another host, and neither can spot instances.
        scheduling.set_on_host_maintenance(OnHostMaintenance::Terminate)
    } else {
        scheduling
    };
    let ended = |scheduling: Scheduling| {
        scheduling
            .set_instance_termination_action(InstanceTerminationAction::Delete)
            .set_automatic_restart(false)
    };
    match spec.offer.kind {
        OfferKind::Spot => ended(scheduling.set_provisioning_model(ProvisioningModel::Spot)),
        OfferKind::Flex => ended(
            scheduling
                .set_provisioning_model(ProvisioningModel::FlexStart)
                .set_or_clear_max_run_duration(run_s(spec).map(|run_s| Duration::new().set_seconds(run_s))),
        ),
        _ => scheduling.set_provisioning_model(ProvisioningModel::Standard),
    }
}

/// How long an instance may run that is bought by flex-start.
fn run_s(spec: &ProvisionSpec) -> Option<i64> {
    let bounds = u64::from(FLEX_RUN_S_MIN)..=u64::from(FLEX_RUN_S_MAX);
    spec.offer.run_max_s.filter(|run_s| bounds.contains(run_s)).and_then(|run_s| i64::try_from(run_s).ok())
}
