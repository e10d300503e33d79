//! Instances: by handle, by tag, by owner. Tags are looked for in all zones of the project, wherever the settings rent.

use google_cloud_compute_v1::model::Instance;
use hpc_provider::{
    Certainty, ErrorKind, InstanceHandle, InstanceState, OwnedPage, ProviderError, Result, Scope, TAG_OWNER,
};

use crate::labels;
use crate::names::{self, Place};
use crate::taxonomy::Effect;

use super::client::{NOTHING_THERE, PAGES_MAX, named, next, nonsense, page, pages};
use super::map;
use super::provider::GcpProvider;

/// Names in one filter: it stands in the address of a call.
const FILTER_NAMES: usize = 50;
/// Longest page token that is sent back.
const PAGE_BYTES_MAX: usize = 4_096;

/// An instance, and the zone that it was found in.
pub(crate) type Found = (String, Instance);

fn unreachable() -> ProviderError {
    let what = "a zone did not answer; what is there is not known";
    ProviderError::new(ErrorKind::Internal, Scope::Region, Certainty::NotDone, "Unreachable", what)
}

impl GcpProvider {
    /// All instances that a filter finds in the project. Where a zone did not answer, one that is not found may exist: an
    /// error.
    pub(crate) async fn find(&self, filter: &str) -> Result<Vec<Found>> {
        let call = || {
            let call = self.clients.instances.aggregated_list().set_project(&self.config.project);
            call.set_filter(filter).set_max_results(self.config.page_entries)
        };
        let found = pages!(self, call(), instances);
        if found.whole { Ok(found.entries) } else { Err(unreachable()) }
    }

    /// All instances that a filter finds in one zone, whatever goes on in others.
    pub(crate) async fn find_in(&self, zone: &str, filter: &str) -> Result<Vec<Found>> {
        let mut all = Vec::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let call = self.clients.instances.list().set_project(&self.config.project).set_zone(zone);
            let call = call.set_filter(filter).set_max_results(self.config.page_entries);
            let answer = call.set_or_clear_page_token(token).send().await;
            let answer = answer.map_err(|error| self.unknown.judge(Effect::Read, &error))?;
            let warned = answer.warning.and_then(|warning| warning.code);
            if warned.is_some_and(|code| code.name() != Some(NOTHING_THERE)) {
                return Err(unreachable());
            }
            all.extend(answer.items.into_iter().map(|instance| (zone.to_owned(), instance)));
            token = next(answer.next_page_token);
            if token.is_none() {
                return Ok(all);
            }
        }
        Err(nonsense(Certainty::NotDone, "a list that does not end"))
    }

    pub(crate) fn states(&self, found: &[Found]) -> Vec<InstanceState> {
        let state = |(zone, instance): &Found| map::instance(&self.config.provider, zone, instance);
        found.iter().filter_map(state).collect()
    }

    pub(crate) async fn by_handles(&self, handles: &[InstanceHandle]) -> Result<Vec<InstanceState>> {
        let ours = |handle: &&InstanceHandle| handle.provider == self.config.provider;
        let mut places: Vec<Place> =
            handles.iter().filter(ours).filter_map(|handle| Place::parse(&handle.id)).collect();
        places.sort_unstable();
        places.dedup();
        let mut states = Vec::new();
        for of_zone in places.chunk_by(|one, other| one.zone == other.zone) {
            for part in of_zone.chunks(FILTER_NAMES) {
                let filter = named(part.iter().map(|place| place.name.as_str()));
                let found = match part.first() {
                    // A zone where it does not rent may be none at all, which would be an error of the call.
                    Some(place) if self.config.at(&place.zone).is_some() => {
                        self.find_in(&place.zone, &filter).await?
                    }
                    _ => self.find(&filter).await?,
                };
                let asked = |state: &InstanceState| {
                    Place::parse(&state.handle.id).is_some_and(|place| part.binary_search(&place).is_ok())
                };
                states.extend(self.states(&found).into_iter().filter(asked));
            }
        }
        Ok(states)
    }

    pub(crate) async fn by_tag(&self, key: &str, value: &str) -> Result<Vec<InstanceState>> {
        // A tag that no label can be is on no instance.
        let Some(filter) = labels::filter(key, value) else { return Ok(Vec::new()) };
        let mut states = self.states(&self.find(&filter).await?);
        states.retain(|state| has_our_name(state) && state.tags.get(key).is_some_and(|have| have == value));
        Ok(states)
    }

    /// One page. It says that it is not complete where a zone did not answer.
    pub(crate) async fn page_of(&self, owner: &str, token: Option<String>) -> Result<OwnedPage> {
        if token.as_ref().is_some_and(|token| token.is_empty() || token.len() > PAGE_BYTES_MAX) {
            let message = "this page belongs to another list; begin at the first page";
            return Err(ProviderError::new(
                ErrorKind::Config,
                Scope::Provider,
                Certainty::NotDone,
                "Page",
                message,
            ));
        }
        let Some(filter) = labels::filter(TAG_OWNER, owner) else {
            return Ok(OwnedPage { instances: Vec::new(), next: None, complete: true });
        };
        let call = self.clients.instances.aggregated_list().set_project(&self.config.project);
        let call = call.set_filter(filter).set_max_results(self.config.page_entries);
        let page = page!(self, call.set_or_clear_page_token(token), instances);
        let mut instances = self.states(&page.entries);
        instances.retain(|state| {
            has_our_name(state) && state.tags.get(TAG_OWNER).is_some_and(|have| have == owner)
        });
        Ok(OwnedPage { instances, next: page.next, complete: page.whole })
    }
}

/// Labels are copied with a machine, and whoever may set them may set ours. What has another name was not made here, and
/// must not be ended here.
fn has_our_name(state: &InstanceState) -> bool {
    Place::parse(&state.handle.id).is_some_and(|place| names::is_ours(&place.name))
}
