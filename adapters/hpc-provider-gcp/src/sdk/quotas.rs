//! Quotas and their use, and instances that were taken back.

use google_cloud_compute_v1::model::{Operation, Quota};
use hpc_provider::{Certainty, ErrorKind, InstanceHandle, InterruptionPage, QuotaStatus, Result};
use hpc_resources::{QuotaFamily, Region};
use jiff::Timestamp;

use crate::interruption::{PREEMPTED, Reader, Reclaim};
use crate::names::{self, Place};
use crate::quota::{is_of_machines, whole};
use crate::taxonomy::Effect;

use super::client::{PAGES_MAX, next, nonsense, page};
use super::map;
use super::provider::GcpProvider;

/// The region in which the quotas of all regions together are shown. No zone is in it.
pub(crate) const GLOBAL: &str = "global";

impl GcpProvider {
    pub(crate) async fn quota_statuses(&self) -> Result<Vec<QuotaStatus>> {
        let mut statuses = Vec::new();
        let mut token = None;
        for read in 0.. {
            if read >= PAGES_MAX {
                return Err(nonsense(Certainty::NotDone, "a list that does not end"));
            }
            let call = self.clients.regions.list().set_project(&self.config.project);
            let answer =
                call.set_max_results(self.config.page_entries).set_or_clear_page_token(token).send().await;
            let answer = answer.map_err(|error| self.unknown.judge(Effect::Read, &error))?;
            for found in &answer.items {
                let ours = |region: &Region| found.name.as_deref() == Some(region.as_str());
                if let Some(config) = self.config.regions.iter().find(|config| ours(&config.region)) {
                    self.add(&mut statuses, &config.region, &found.quotas);
                }
            }
            token = next(answer.next_page_token);
            if token.is_none() {
                break;
            }
        }
        let project = self.clients.projects.get().set_project(&self.config.project).send().await;
        let project = project.map_err(|error| self.unknown.judge(Effect::Read, &error))?;
        if let Ok(global) = Region::parse(GLOBAL) {
            self.add(&mut statuses, &global, &project.quotas);
        }
        Ok(statuses)
    }

    fn add(&self, statuses: &mut Vec<QuotaStatus>, region: &Region, quotas: &[Quota]) {
        let as_of = (self.clock)();
        statuses.extend(quotas.iter().filter_map(|quota| {
            let metric = quota.metric.as_ref()?.name().filter(|metric| is_of_machines(metric))?;
            Some(QuotaStatus {
                family: QuotaFamily::parse(metric).ok()?,
                region: region.clone(),
                limit: whole(quota.limit?)?,
                used: whole(quota.usage.unwrap_or(0.0))?,
                as_of,
            })
        }));
    }

    pub(crate) async fn reclaims(&self, cursor: Option<&str>) -> Result<InterruptionPage> {
        let reader = Reader::new(cursor);
        let of_type = format!("operationType = \"{PREEMPTED}\"");
        let Some(since) = reader.since() else { return self.read_reclaims(reader, &of_type).await };
        let filter = format!("({of_type}) AND (insertTime >= \"{since}\")");
        match self.read_reclaims(reader, &filter).await {
            // Times in filters are not proven on Google's own servers: without, the list is longer and the same.
            Err(error) if error.kind == ErrorKind::Config => {
                self.read_reclaims(Reader::new(cursor), &of_type).await
            }
            read => read,
        }
    }

    /// Page by page: what is not told is forgotten at once.
    async fn read_reclaims(&self, mut reader: Reader, filter: &str) -> Result<InterruptionPage> {
        let (mut whole, mut token) = (true, None);
        for _ in 0..PAGES_MAX {
            let call = self.clients.global_operations.aggregated_list().set_project(&self.config.project);
            let call = call.set_filter(filter).set_max_results(self.config.page_entries);
            let found = page!(self, call.set_or_clear_page_token(token), operations);
            for (_, operation) in &found.entries {
                match self.reclaim(operation) {
                    Some(reclaim) => reader.add(reclaim),
                    None => preempted_at(operation).into_iter().for_each(|at| reader.seen(at)),
                }
            }
            whole &= found.whole;
            token = found.next;
            if token.is_none() {
                return Ok(reader.page(whole));
            }
        }
        Err(nonsense(Certainty::NotDone, "a list that does not end"))
    }

    /// A reclaim of an instance that has a name of ours. Its labels are gone with it.
    fn reclaim(&self, operation: &Operation) -> Option<Reclaim> {
        let at = preempted_at(operation)?;
        let place =
            Place::of_link(operation.target_link.as_deref()?).filter(|place| names::is_ours(&place.name))?;
        let provider = self.config.provider.clone();
        Some(Reclaim {
            handle: InstanceHandle { provider, region: place.region()?, id: place.id() },
            operation: operation.id?,
            at,
        })
    }
}

/// When an instance was taken back, whosever it was; `None` for another operation.
fn preempted_at(operation: &Operation) -> Option<Timestamp> {
    // The one time that is there from the start and never changes: the cursor remembers by it.
    let at = map::time(operation.insert_time.as_deref())?;
    (operation.operation_type.as_deref() == Some(PREEMPTED)).then_some(at)
}
