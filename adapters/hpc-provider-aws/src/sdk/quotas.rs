//! Quotas and their use, and interruptions of spot instances.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Instance, InstanceLifecycleType};
use aws_sdk_servicequotas::types::ServiceQuota;
use hpc_provider::{InstanceHandle, InterruptionPage, QuotaStatus, Result, TAG_OWNER};
use hpc_resources::{InstanceType, QuotaFamily};

use crate::interruption::{SpotStatus, page};
use crate::quota::{self, Family};

use super::client::{RegionClient, filter, pages};
use super::map;
use super::provider::AwsProvider;

/// The states that a quota counts.
const COUNTED: [&str; 2] = ["pending", "running"];

impl AwsProvider {
    pub(crate) async fn quota_statuses(&self) -> Result<Vec<QuotaStatus>> {
        let mut statuses = Vec::new();
        for (region, client) in &self.regions {
            let quotas = pages!(client, client.quotas.list_service_quotas().service_code("ec2"), quotas);
            let running = self.find(client, vec![filter("instance-state-name", COUNTED)]).await?;
            let used = self.used(client, &running).await?;
            let as_of = (self.clock)();
            for (family, limit) in quotas.iter().filter_map(limit) {
                let Ok(code) = QuotaFamily::parse(family.code) else { continue };
                let used = used.get(family.code).copied().unwrap_or(0);
                statuses.push(QuotaStatus { family: code, region: region.clone(), limit, used, as_of });
            }
        }
        Ok(statuses)
    }

    /// vCPUs in use by quota. EC2 does not tell them: all of the account's instances are counted, ours and others.
    async fn used(&self, client: &RegionClient, running: &[Instance]) -> Result<BTreeMap<&'static str, u64>> {
        let mut without: Vec<InstanceType> = running
            .iter()
            .filter(|instance| vcpus(instance).is_none())
            .filter_map(|instance| InstanceType::parse(instance.instance_type()?.as_str()).ok())
            .collect();
        without.sort_unstable();
        without.dedup();
        let shapes = if without.is_empty() { BTreeMap::new() } else { self.shapes(client, &without).await? };
        let mut used = BTreeMap::new();
        for instance in running {
            let Some(name) = instance.instance_type() else { continue };
            let spot = instance.instance_lifecycle() == Some(&InstanceLifecycleType::Spot);
            let Some(family) = quota::family(name.as_str(), spot) else { continue };
            let by_type = || {
                let name = InstanceType::parse(name.as_str()).ok()?;
                shapes.get(&name).map(|shape| u64::from(shape.vcpus))
            };
            let count: &mut u64 = used.entry(family.code).or_default();
            *count = count.saturating_add(vcpus(instance).or_else(by_type).unwrap_or(1));
        }
        Ok(used)
    }

    pub(crate) async fn spot_statuses(&self, cursor: Option<&str>) -> Result<InterruptionPage> {
        let mut statuses = Vec::new();
        for (region, client) in &self.regions {
            let ours = filter("tag-key", [TAG_OWNER]);
            let requests = pages!(
                client,
                client.ec2.describe_spot_instance_requests().filters(ours.clone()),
                spot_instance_requests
            );
            statuses.extend(requests.iter().filter_map(|request| {
                let status = request.status()?;
                Some(SpotStatus {
                    handle: InstanceHandle {
                        provider: self.config.provider.clone(),
                        region: region.clone(),
                        id: request.instance_id().filter(|id| map::is_id(id))?.to_owned(),
                    },
                    code: status.code()?.to_owned(),
                    updated_at: map::time(status.update_time()?)?,
                })
            }));
        }
        Ok(page(&statuses, cursor))
    }
}

fn vcpus(instance: &Instance) -> Option<u64> {
    let options = instance.cpu_options()?;
    let cores = u64::try_from(options.core_count()?).ok()?;
    let threads = u64::try_from(options.threads_per_core()?).ok()?;
    cores.checked_mul(threads).filter(|count| *count > 0)
}

/// A quota of ours: its code is in the table, and its name speaks of the same family.
fn limit(quota: &ServiceQuota) -> Option<(&'static Family, u64)> {
    let family = quota::by_code(quota.quota_code()?)?;
    if !family.name_agrees(quota.quota_name().unwrap_or_default()) {
        return None;
    }
    whole(quota.value()?).map(|limit| (family, limit))
}

/// A limit is a whole number that arrives as a float.
fn whole(value: f64) -> Option<u64> {
    // 2^53: above it a float skips whole numbers, and no quota is there.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if !(0.0..=EXACT_MAX).contains(&value) {
        return None;
    }
    // Text is the one exact way from a float to an integer that needs no cast.
    format!("{:.0}", value.floor()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_whole_and_never_made_up() {
        for (value, want) in [
            (0.0, Some(0)),
            (384.0, Some(384)),
            (0.9, Some(0)),
            (9_007_199_254_740_992.0, Some(1 << 53)),
            (-1.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(whole(value), want, "{value}");
        }
    }

    #[test]
    fn a_quota_with_another_familys_name_is_left_out() {
        let quota = |code: &str, name: &str| {
            limit(&ServiceQuota::builder().quota_code(code).quota_name(name).value(192.0).build())
        };
        assert_eq!(quota("L-417A185B", "Running On-Demand P instances").map(|(_, limit)| limit), Some(192));
        assert_eq!(quota("L-417A185B", "Running On-Demand G and VT instances"), None);
        assert_eq!(quota("L-FFFFFFFF", "Running On-Demand P instances"), None);
    }
}
