//! Creates and releases.

use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification, Instance,
    InstanceInterruptionBehavior, InstanceMarketOptionsRequest, InstanceMetadataOptionsRequest, InstanceType,
    MarketType, Placement, ResourceType, ShutdownBehavior, SpotInstanceType, SpotMarketOptions, Tag,
    TagSpecification,
};
use hpc_provider::{
    Certainty, ErrorKind, INSTANCES_MAX, InstanceHandle, ProviderError, ProvisionResult, ProvisionSpec,
    Released, Result, Scope, TAG_INTENT,
};
use hpc_resources::OfferKind;

use crate::price::ceiling_text;
use crate::tags;
use crate::taxonomy::Effect;
use crate::user_data::user_data;

use super::client::{RegionClient, filter, nonsense};
use super::list::exactly;
use super::map;
use super::provider::AwsProvider;
use super::reserved::block;

/// How long to wait before an instance that is too young to be known is released again, in milliseconds.
const YOUNG_RETRY_MS: u64 = 2_000;

fn refuse(kind: ErrorKind, scope: Scope, code: &str, message: &str) -> ProviderError {
    ProviderError::new(kind, scope, Certainty::NotDone, code, message)
}

impl AwsProvider {
    pub(crate) async fn create(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        let client = self.check(spec)?;
        // EC2 forgets a token after a while, and never a tag: look first, so that a late repetition finds and does not launch.
        let found = self.of_intent(client, spec).await?;
        if !found.is_empty() {
            return self.found_again(client, spec, &found).await;
        }
        let zone = client.zones().await?.name(&spec.offer.zone).map(str::to_owned);
        let zone = zone.ok_or_else(|| {
            let message =
                format!("this account has no zone `{}` in `{}`", spec.offer.zone, spec.offer.region);
            refuse(ErrorKind::Config, Scope::Zone, "UnknownZone", &message)
        })?;
        let mut call = client
            .ec2
            .run_instances()
            .client_token(spec.token.as_str())
            .image_id(&client.config.image)
            .instance_type(InstanceType::from(spec.offer.instance_type.as_str()))
            .min_count(i32::try_from(spec.instances).unwrap_or(i32::MAX))
            .max_count(i32::try_from(spec.instances).unwrap_or(i32::MAX))
            .placement(Placement::builder().availability_zone(zone).build())
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            // Without a token, a page that the instance fetches could read its role's credential and the user data.
            .metadata_options(
                InstanceMetadataOptionsRequest::builder()
                    .http_tokens(HttpTokensState::Required)
                    .http_put_response_hop_limit(1)
                    .build(),
            )
            .set_tag_specifications(Some(tagged(spec)))
            .set_subnet_id(client.config.subnets.get(&spec.offer.zone).cloned())
            .set_security_group_ids(
                Some(client.config.security_groups.clone()).filter(|groups| !groups.is_empty()),
            )
            .set_block_device_mappings(self.root_volume(client))
            .set_iam_instance_profile(
                client
                    .config
                    .instance_profile
                    .as_ref()
                    .map(|name| IamInstanceProfileSpecification::builder().name(name).build()),
            );
        call = match spec.offer.kind {
            OfferKind::Spot => call.instance_market_options(spot(spec)?),
            OfferKind::Block => call.instance_market_options(block()),
            _ => call,
        };
        call = call.set_capacity_reservation_specification(self.where_to(spec));
        if let Some(reference) = &spec.user_data_ref {
            let data =
                self.boots.resolve(reference).await.and_then(user_data).map_err(|error| {
                    refuse(ErrorKind::Config, Scope::Region, "UserData", &error.to_string())
                })?;
            call = call.user_data(data.as_str());
        }
        let answer = call.send().await.map_err(|error| self.unknown.judge(Effect::Write, &error))?;
        let known = self.recent.knows(&spec.token);
        self.answered(client, spec, answer.instances(), known)
    }

    fn check(&self, spec: &ProvisionSpec) -> Result<&RegionClient> {
        let offer = &spec.offer;
        if spec.instances == 0 || spec.instances > INSTANCES_MAX {
            let message = format!("{} instances were asked for, 1 to {INSTANCES_MAX} can be", spec.instances);
            return Err(refuse(ErrorKind::Config, Scope::Region, "Instances", &message));
        }
        if offer.provider != self.config.provider {
            let message = format!("the offer is of `{}`", offer.provider);
            return Err(refuse(ErrorKind::Config, Scope::Provider, "Provider", &message));
        }
        let market = matches!(offer.kind, OfferKind::Spot | OfferKind::OnDemand);
        let reserved = matches!(offer.kind, OfferKind::Reserved | OfferKind::Block)
            && self.config.reservations.is_some();
        // What names no reservation would run in any, or in none, at a price that nobody agreed to.
        if !(market && offer.reservation.is_none() || reserved && offer.reservation.is_some()) {
            let message = format!("`{}` cannot be bought here", offer.kind.as_str());
            return Err(refuse(ErrorKind::Config, Scope::Zone, "Kind", &message));
        }
        tags::check(spec)
            .map_err(|error| refuse(ErrorKind::Config, Scope::Region, "Tags", &error.to_string()))?;
        self.client(&offer.region)
    }

    /// The instances that the intent's token created.
    async fn of_intent(&self, client: &RegionClient, spec: &ProvisionSpec) -> Result<Vec<Instance>> {
        let by_intent = filter(&format!("tag:{TAG_INTENT}"), [exactly(spec.intent.as_str())]);
        let mut found = self.find(client, vec![by_intent]).await?;
        found.retain(|instance| {
            instance.client_token() == Some(spec.token.as_str())
                && map::tags(instance).get(TAG_INTENT).is_some_and(|have| have == spec.intent.as_str())
        });
        Ok(found)
    }

    /// The answer of a create that has happened before; a conflict where it was another create.
    async fn found_again(
        &self,
        client: &RegionClient,
        spec: &ProvisionSpec,
        found: &[Instance],
    ) -> Result<ProvisionResult> {
        let states = self.states(client, found).await?;
        let offer = &spec.offer;
        let as_asked = u32::try_from(states.len()) == Ok(spec.instances)
            && states.len() == found.len()
            && states.iter().all(|state| {
                (&state.instance_type, &state.zone, state.kind)
                    == (&offer.instance_type, &offer.zone, offer.kind)
                    && state.tags == spec.tags
            })
            && found.iter().all(|instance| {
                let wanted = offer.reservation.as_ref().map(|reservation| reservation.id.as_str());
                map::target(instance) == wanted
            });
        if !as_asked {
            let message = format!("{} instances with other parameters have this token", found.len());
            return Err(refuse(ErrorKind::Conflict, Scope::Zone, "TokenInUse", &message));
        }
        let handles = states.into_iter().map(|state| state.handle).collect();
        Ok(ProvisionResult { handles, replayed: true, simulated: false })
    }

    fn answered(
        &self,
        client: &RegionClient,
        spec: &ProvisionSpec,
        instances: &[Instance],
        replayed: bool,
    ) -> Result<ProvisionResult> {
        let ids: Vec<String> = instances
            .iter()
            .filter_map(|instance| instance.instance_id().filter(|id| map::is_id(id)))
            .map(str::to_owned)
            .collect();
        if u32::try_from(ids.len()) != Ok(spec.instances) {
            let message =
                format!("{} instances were asked for, the answer names {}", spec.instances, ids.len());
            return Err(nonsense(Certainty::Unknown, &message));
        }
        self.recent.created(&spec.token, ids.clone(), (self.clock)());
        let handle = |id| InstanceHandle {
            provider: self.config.provider.clone(),
            region: client.config.region.clone(),
            id,
        };
        Ok(ProvisionResult { handles: ids.into_iter().map(handle).collect(), replayed, simulated: false })
    }

    fn root_volume(&self, client: &RegionClient) -> Option<Vec<BlockDeviceMapping>> {
        let gib = self.config.root_volume_gib?;
        let volume = EbsBlockDevice::builder().volume_size(gib.into()).delete_on_termination(true).build();
        let device = &client.config.root_device;
        Some(vec![BlockDeviceMapping::builder().device_name(device).ebs(volume).build()])
    }

    pub(crate) async fn end(&self, handle: &InstanceHandle) -> Result<Released> {
        let client = self.client(&handle.region)?;
        if handle.provider != self.config.provider || !map::is_id(&handle.id) {
            return Ok(Released::AlreadyGone);
        }
        let answer = match client.ec2.terminate_instances().instance_ids(&handle.id).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = self.unknown.judge(Effect::Write, &error);
                return self.not_ended(handle, error);
            }
        };
        let change =
            answer.terminating_instances().iter().find(|change| change.instance_id() == Some(&handle.id));
        let Some(change) = change else {
            return Err(nonsense(Certainty::Unknown, "the answer does not name the instance"));
        };
        let name = |state: Option<&aws_sdk_ec2::types::InstanceState>| {
            state.and_then(|state| state.name()).map(|name| name.as_str().to_owned()).unwrap_or_default()
        };
        Ok(match (name(change.previous_state()).as_str(), name(change.current_state()).as_str()) {
            ("terminated", _) => Released::AlreadyGone,
            (_, "terminated") => Released::Released,
            _ => Released::InProgress,
        })
    }

    /// "Not found" means gone, unless the instance is so young that EC2 may not know it yet.
    fn not_ended(&self, handle: &InstanceHandle, error: ProviderError) -> Result<Released> {
        if error.kind != ErrorKind::NotFound {
            return Err(error);
        }
        if self.recent.is_younger(&handle.id, (self.clock)(), self.config.consistency_ms) {
            return Err(error.retry_after_ms(YOUNG_RETRY_MS));
        }
        Ok(Released::AlreadyGone)
    }
}

/// The tags of everything that the create makes, set by the create itself.
fn tagged(spec: &ProvisionSpec) -> Vec<TagSpecification> {
    let tags: Vec<Tag> =
        spec.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    let on = |what| TagSpecification::builder().resource_type(what).set_tags(Some(tags.clone())).build();
    let mut all = vec![on(ResourceType::Instance), on(ResourceType::Volume)];
    if spec.offer.kind == OfferKind::Spot {
        all.push(on(ResourceType::SpotInstancesRequest));
    }
    all
}

/// A spot create: once, ended when reclaimed, never above the ceiling.
fn spot(spec: &ProvisionSpec) -> Result<InstanceMarketOptionsRequest> {
    let options = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate);
    let options = match spec.price_ceiling {
        Some(ceiling) => options.max_price(ceiling_text(ceiling).ok_or_else(|| {
            let message = format!("the ceiling {ceiling} is not an amount of US dollars above zero");
            refuse(ErrorKind::Config, Scope::Zone, "PriceCeiling", &message)
        })?),
        None => options,
    };
    Ok(InstanceMarketOptionsRequest::builder()
        .market_type(MarketType::Spot)
        .spot_options(options.build())
        .build())
}
