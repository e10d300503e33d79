//! Instances: by id, by tag, by owner.

use aws_sdk_ec2::types::{Filter, Instance};
use hpc_provider::{
    Certainty, ErrorKind, InstanceHandle, InstanceState, OwnedPage, ProviderError, Result, Scope, TAG_OWNER,
};
use hpc_resources::Region;

use crate::taxonomy::Effect;

use super::client::{RegionClient, filter, next, pages};
use super::map::{self, Seen};
use super::provider::AwsProvider;

/// Values that one filter takes, fewer than EC2's 200.
const FILTER_VALUES: usize = 100;
/// States in which an instance exists.
const LIVE: [&str; 5] = ["pending", "running", "shutting-down", "stopping", "stopped"];

impl AwsProvider {
    /// All instances that a filter finds in a region, ended ones included, as EC2 tells them.
    pub(crate) async fn find(&self, client: &RegionClient, filters: Vec<Filter>) -> Result<Vec<Instance>> {
        let size = i32::from(self.config.page_instances);
        let reservations = pages!(
            client,
            client.ec2.describe_instances().set_filters(Some(filters.clone())).max_results(size),
            reservations
        );
        Ok(reservations
            .into_iter()
            .flat_map(|reservation| reservation.instances.unwrap_or_default())
            .collect())
    }

    /// EC2's instances in our words.
    pub(crate) async fn states(
        &self,
        client: &RegionClient,
        found: &[Instance],
    ) -> Result<Vec<InstanceState>> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let seen = Seen {
            provider: &self.config.provider,
            region: &client.config.region,
            zones: client.zones().await?,
            now: (self.clock)(),
        };
        Ok(found.iter().filter_map(|instance| map::instance(&seen, instance)).collect())
    }

    /// Asked by filter and not by id: one id that EC2 does not know, or not yet, would fail the whole call.
    pub(crate) async fn by_handles(&self, handles: &[InstanceHandle]) -> Result<Vec<InstanceState>> {
        let mut states = Vec::new();
        for (region, client) in &self.regions {
            let ours = |handle: &&InstanceHandle| {
                handle.provider == self.config.provider && handle.region == *region && map::is_id(&handle.id)
            };
            let mut ids: Vec<String> = handles.iter().filter(ours).map(|handle| handle.id.clone()).collect();
            ids.sort_unstable();
            ids.dedup();
            for part in ids.chunks(FILTER_VALUES) {
                let found = self.find(client, vec![filter("instance-id", part)]).await?;
                states.extend(self.states(client, &found).await?);
            }
        }
        Ok(states)
    }

    pub(crate) async fn by_tag(&self, key: &str, value: &str) -> Result<Vec<InstanceState>> {
        let mut states = Vec::new();
        for client in self.regions.values() {
            let found = self.find(client, vec![filter(&format!("tag:{key}"), [exactly(value)])]).await?;
            states.extend(self.states(client, &found).await?);
        }
        // What stands for itself in a filter may still match more than was meant: only what is equal is the answer.
        states.retain(|state| state.tags.get(key).is_some_and(|have| have == value));
        Ok(states)
    }

    /// One page of one region; the cursor names both.
    pub(crate) async fn page_of(&self, owner: &str, page: Option<&str>) -> Result<OwnedPage> {
        let (region, token) = match page {
            Some(page) => self.place(page)?,
            None => (self.regions.keys().next().cloned(), None),
        };
        let Some((region, client)) = region.as_ref().and_then(|region| self.regions.get_key_value(region))
        else {
            return Ok(OwnedPage { instances: Vec::new(), next: None, complete: true });
        };
        let filters =
            vec![filter(&format!("tag:{TAG_OWNER}"), [exactly(owner)]), filter("instance-state-name", LIVE)];
        let call = client.ec2.describe_instances().set_filters(Some(filters));
        let answer = call.max_results(self.config.page_instances.into()).set_next_token(token).send().await;
        let answer = answer.map_err(|error| self.unknown.judge(Effect::Read, &error))?;
        let token = next(answer.next_token());
        let found = answer.reservations.unwrap_or_default();
        let found: Vec<Instance> =
            found.into_iter().flat_map(|one| one.instances.unwrap_or_default()).collect();
        let mut instances = self.states(client, &found).await?;
        instances.retain(|state| {
            state.phase.is_live() && state.tags.get(TAG_OWNER).is_some_and(|have| have == owner)
        });
        let next = match token {
            Some(token) => Some(format!("{region}/{token}")),
            None => self.after(region).map(|region| format!("{region}/")),
        };
        Ok(OwnedPage { instances, next, complete: true })
    }

    fn place(&self, page: &str) -> Result<(Option<Region>, Option<String>)> {
        let known = page.split_once('/').and_then(|(region, token)| {
            let region = self.regions.keys().find(|known| known.as_str() == region)?;
            Some((region.clone(), next(Some(token))))
        });
        let (region, token) = known.ok_or_else(|| {
            let message = "this page belongs to another list; begin at the first page";
            ProviderError::new(ErrorKind::Config, Scope::Provider, Certainty::NotDone, "Page", message)
        })?;
        Ok((Some(region), token))
    }

    fn after(&self, region: &Region) -> Option<&Region> {
        self.regions.keys().find(|next| *next > region)
    }
}

/// A value that a filter takes as it stands: `*` and `?` match anything there, and a backslash takes that away.
pub(crate) fn exactly(value: &str) -> String {
    let mut exact = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '*' | '?' | '\\') {
            exact.push('\\');
        }
        exact.push(character);
    }
    exact
}
