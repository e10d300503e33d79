//! The request as people write it: the YAML, TOML or JSON document behind `--request`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{ProviderId, Region, TeamId};
use crate::money::Money;
use crate::offer::OfferKind;
use crate::quantity::{Bytes, ResourceUnit};
use crate::request::{
    DURATION_S_MAX, DURATION_S_MIN, HEDGE_S_MAX, HEDGE_S_MIN, OnInterruption, RequestError, RequestPriority,
    ResourceRequest, ResourceSpec,
};

/// A request document. Unknown fields are errors; amounts are text with a unit.
///
/// ```yaml
/// name: finetune-run-12
/// gpu: { model: h100, count: 8 }
/// kinds: [spot, on-demand]
/// duration: 2h
/// max_hourly: 60.00 USD
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestDocument {
    /// The caller's name for it.
    pub name: String,
    /// The accelerators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuDocument>,
    /// Whole CPUs over all instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Memory over all instances, for example `1 TiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Storage over all instances, for example `2 TB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Network bandwidth per instance, in bits per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_bits_per_s: Option<u64>,
    /// Acceptable ways of buying; none means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<OfferKind>,
    /// Acceptable regions; none means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// Acceptable providers; none means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<ProviderId>,
    /// How long, for example `2h`, `90m`, `1h 30m`, `3d`; one hour if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// After how long without an answer the next offer is tried beside the first, for example `20s`; never if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<String>,
    /// The most the lease may cost per hour, for example `60.00 USD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hourly: Option<String>,
    /// The most the lease may cost in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_total: Option<String>,
    /// The most instances to spread over; 1 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances_max: Option<u32>,
    /// How urgent.
    #[serde(default)]
    pub priority: RequestPriority,
    /// The team that pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What follows when the provider takes the capacity back: `end`, or `replace`; `end` if not given.
    #[serde(default, skip_serializing_if = "OnInterruption::is_default")]
    pub on_interruption: OnInterruption,
}

/// The accelerators of a request document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuDocument {
    /// The model in any known spelling.
    pub model: String,
    /// How many, over all instances.
    pub count: u32,
}

impl RequestDocument {
    /// Checks the document.
    ///
    /// # Errors
    /// The first mistake found, as a [`RequestError`].
    pub fn into_request(self) -> Result<ResourceRequest, RequestError> {
        let mut builder = ResourceRequest::new(self.name)
            .with_kinds(self.kinds)
            .with_regions(self.regions)
            .with_providers(self.providers)
            .with_priority(self.priority)
            .with_on_interruption(self.on_interruption);
        if let Some(gpu) = self.gpu {
            builder = builder.add_gpu_named(&gpu.model, gpu.count);
        }
        if let Some(count) = self.cpu {
            builder = builder.add_cpu(count);
        }
        if let Some(text) = self.memory {
            builder = builder.add_memory(text.parse::<Bytes>()?.0, ResourceUnit::B);
        }
        if let Some(text) = self.storage {
            builder = builder.add_storage(text.parse::<Bytes>()?.0, ResourceUnit::B);
        }
        if let Some(bits_per_s) = self.network_bits_per_s {
            builder = builder.add_network(bits_per_s);
        }
        if let Some(text) = self.duration {
            builder = builder.with_duration_s(parse_duration_s(&text)?);
        }
        if let Some(text) = self.hedge {
            builder =
                builder.with_hedge_s(parse_seconds(&text, "hedge (seconds)", HEDGE_S_MIN, HEDGE_S_MAX)?);
        }
        if let Some(text) = self.max_hourly {
            builder = builder.with_max_hourly(text.parse::<Money>()?);
        }
        if let Some(text) = self.max_total {
            builder = builder.with_max_total(text.parse::<Money>()?);
        }
        if let Some(instances) = self.instances_max {
            builder = builder.with_instances_max(instances);
        }
        if let Some(team) = self.team {
            builder = builder.with_team(team);
        }
        if let Some(purpose) = self.purpose {
            builder = builder.with_purpose(purpose);
        }
        for (key, value) in self.labels {
            builder = builder.with_label(key, value);
        }
        builder.build()
    }
}

impl TryFrom<RequestDocument> for ResourceRequest {
    type Error = RequestError;

    fn try_from(document: RequestDocument) -> Result<Self, RequestError> {
        document.into_request()
    }
}

impl From<ResourceRequest> for RequestDocument {
    fn from(request: ResourceRequest) -> Self {
        let size = |bytes: Bytes| (bytes.0 > 0).then(|| bytes.to_string());
        let storage = request.resources().iter().find_map(|resource| match resource {
            ResourceSpec::Storage(size) => Some(size.to_string()),
            _ => None,
        });
        let network_bits_per_s = request.resources().iter().find_map(|resource| match resource {
            ResourceSpec::Network { bits_per_s } => Some(*bits_per_s),
            _ => None,
        });
        Self {
            name: request.name().to_owned(),
            gpu: request
                .accelerators()
                .map(|(model, count)| GpuDocument { model: model.as_str().to_owned(), count }),
            cpu: u32::try_from(request.cpu().0 / 1_000).ok().filter(|count| *count > 0),
            memory: size(request.memory()),
            storage,
            network_bits_per_s,
            kinds: request.kinds().iter().copied().collect(),
            regions: request.regions().iter().cloned().collect(),
            providers: request.providers().iter().cloned().collect(),
            duration: Some(format!("{}s", request.duration_s())),
            hedge: request.hedge_s().map(|seconds| format!("{seconds}s")),
            max_hourly: request.max_hourly().map(|limit| limit.to_string()),
            max_total: request.max_total().map(|limit| limit.to_string()),
            instances_max: Some(request.instances_max()),
            priority: request.priority(),
            team: request.team().cloned(),
            purpose: request.purpose().map(str::to_owned),
            labels: request.labels().clone(),
            on_interruption: request.on_interruption(),
        }
    }
}

/// Reads a friendly duration such as `2h`, `90m`, `1h 30m` or `3d` as whole seconds.
///
/// # Errors
/// [`RequestError::Range`] when it is not a duration, is negative, or has no seconds.
pub fn parse_duration_s(text: &str) -> Result<u64, RequestError> {
    parse_seconds(text, "duration (seconds)", DURATION_S_MIN, DURATION_S_MAX)
}

/// Whole seconds. That they are from `min` to `max` is said by the error and checked elsewhere.
fn parse_seconds(text: &str, field: &'static str, min: u64, max: u64) -> Result<u64, RequestError> {
    let bad = || RequestError::Range {
        field,
        have: format!("`{}`", text.chars().take(40).collect::<String>()),
        min,
        max,
    };
    if text.len() > 64 {
        return Err(bad());
    }
    let span: jiff::Span = text.trim().parse().map_err(|_| bad())?;
    // Days are 24 hours here: a lease is a length of time, not a calendar date.
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let whole = span.to_duration(relative).map_err(|_| bad())?.as_secs();
    u64::try_from(whole).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_friendly_and_bounded() {
        for (text, seconds) in
            [("2h", 7_200), ("90m", 5_400), ("1h 30m", 5_400), ("3d", 259_200), ("PT2H", 7_200)]
        {
            assert_eq!(parse_duration_s(text), Ok(seconds), "{text}");
        }
        for text in ["", "2", "-2h", "1 month", "2 hours ago", "h", "9999999999999999999h"] {
            assert!(parse_duration_s(text).is_err(), "{text}");
        }
    }
}
