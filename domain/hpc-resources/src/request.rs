//! Requests: what somebody asks for, checked once and trusted afterwards.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::accelerator::{AcceleratorModel, ModelError};
use crate::ids::{IdError, ProviderId, Region, TeamId};
use crate::money::{Money, MoneyError};
use crate::offer::OfferKind;
use crate::quantity::{Bytes, MilliCpu, QuantityError, ResourceUnit};

/// Most accelerators in one request.
pub const ACCELERATORS_MAX: u32 = 4_096;
/// Most CPUs in one request.
pub const CPUS_MAX: u32 = 1_000_000;
/// Longest lease that can be asked for: 90 days, in seconds.
pub const DURATION_S_MAX: u64 = 90 * 24 * 3_600;
/// Shortest lease that can be asked for, in seconds.
pub const DURATION_S_MIN: u64 = 60;
/// Duration of a request that names none: one hour, in seconds.
pub const DURATION_S_DEFAULT: u64 = 3_600;
/// Shortest wait before a second offer is tried beside the first, in seconds.
pub const HEDGE_S_MIN: u64 = 1;
/// Longest wait before a second offer is tried beside the first: ten minutes, in seconds.
pub const HEDGE_S_MAX: u64 = 600;
/// Most regions or providers in a filter.
pub const FILTER_MAX: usize = 64;
/// Longest name or purpose, in bytes.
pub const TEXT_BYTES_MAX: usize = 256;
/// Most labels on a request.
pub const LABELS_MAX: usize = 32;

/// How urgent a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestPriority {
    /// May wait and be preempted.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before normal work.
    High,
    /// Before everything else.
    Critical,
}

/// What follows when the provider takes the capacity back before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnInterruption {
    /// The lease ends, and nothing more is spent. The default.
    #[default]
    End,
    /// Other capacity is asked for, for the time that is left: policy and budget decide anew.
    Replace,
}

impl OnInterruption {
    /// Whether it is what a request that says nothing means.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        matches!(self, Self::End)
    }
}

/// One resource of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ResourceSpec {
    /// Whole accelerators of one model.
    Accelerator {
        /// The model.
        model: AcceleratorModel,
        /// How many, over all instances.
        count: u32,
    },
    /// CPUs over all instances.
    Cpu(MilliCpu),
    /// Memory over all instances.
    Memory(Bytes),
    /// Storage over all instances.
    Storage(Bytes),
    /// Network bandwidth per instance, bits per second.
    Network {
        /// Bits per second.
        bits_per_s: u64,
    },
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No resource at all.
    #[error(
        "the request asks for nothing; add at least one resource, for example `gpu: {{ model: h100, count: 8 }}`"
    )]
    Empty,
    /// A number outside its range.
    #[error("`{field}` is {have}, allowed is {min} to {max}")]
    Range {
        /// The field.
        field: &'static str,
        /// What was given.
        have: String,
        /// The smallest allowed value.
        min: u64,
        /// The largest allowed value.
        max: u64,
    },
    /// The same resource twice.
    #[error("`{0}` is asked for twice; add the amounts up yourself, so that nobody has to guess")]
    Twice(&'static str),
    /// A text that is empty, too long or has control characters.
    #[error("`{0}` must have 1 to {TEXT_BYTES_MAX} bytes and no control characters")]
    Text(&'static str),
    /// A limit of money that is not above zero.
    #[error("`{field}` is {have}; a limit must be above zero")]
    Limit {
        /// The field.
        field: &'static str,
        /// What was given.
        have: Money,
    },
    /// A filter with too many entries.
    #[error("`{0}` has more than {FILTER_MAX} entries")]
    TooMany(&'static str),
    /// The accelerator's name.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A size.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// An amount.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// A name.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// A checked request for capacity. Made by [`ResourceRequest::new`] and its builder, or from a [`crate::RequestDocument`].
///
/// # Example
/// ```
/// use hpc_resources::{RequestPriority, ResourceRequest, ResourceUnit};
///
/// let request = ResourceRequest::new("gpu-job")
///     .add_gpu_nvidia_h100(4)
///     .add_memory(128, ResourceUnit::GB)
///     .add_storage(1, ResourceUnit::TB)
///     .with_priority(RequestPriority::High)
///     .build()?;
/// assert_eq!(request.accelerators().map(|(model, count)| (model.as_str(), count)), Some(("h100", 4)));
/// # Ok::<(), hpc_resources::RequestError>(())
/// ```
///
/// Its document form is a [`crate::RequestDocument`]: what is read back is checked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "crate::RequestDocument", into = "crate::RequestDocument")]
pub struct ResourceRequest {
    name: String,
    resources: Vec<ResourceSpec>,
    priority: RequestPriority,
    kinds: BTreeSet<OfferKind>,
    regions: BTreeSet<Region>,
    providers: BTreeSet<ProviderId>,
    duration_s: u64,
    hedge_s: Option<u64>,
    max_hourly: Option<Money>,
    max_total: Option<Money>,
    instances_max: u32,
    team: Option<TeamId>,
    purpose: Option<String>,
    labels: std::collections::BTreeMap<String, String>,
    on_interruption: OnInterruption,
}

impl ResourceRequest {
    /// Starts a request; nothing is checked before [`ResourceRequestBuilder::build`].
    #[allow(clippy::new_ret_no_self, reason = "the specification's call: new() starts the builder")]
    pub fn new(name: impl Into<String>) -> ResourceRequestBuilder {
        ResourceRequestBuilder {
            request: Self {
                name: name.into(),
                resources: Vec::new(),
                priority: RequestPriority::default(),
                kinds: BTreeSet::new(),
                regions: BTreeSet::new(),
                providers: BTreeSet::new(),
                duration_s: DURATION_S_DEFAULT,
                hedge_s: None,
                max_hourly: None,
                max_total: None,
                instances_max: 1,
                team: None,
                purpose: None,
                labels: std::collections::BTreeMap::new(),
                on_interruption: OnInterruption::default(),
            },
            first_error: None,
        }
    }

    /// The caller's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Everything asked for.
    #[must_use]
    pub fn resources(&self) -> &[ResourceSpec] {
        &self.resources
    }
    /// How urgent it is.
    #[must_use]
    pub fn priority(&self) -> RequestPriority {
        self.priority
    }
    /// The ways of buying that are acceptable; empty means any.
    #[must_use]
    pub fn kinds(&self) -> &BTreeSet<OfferKind> {
        &self.kinds
    }
    /// The regions that are acceptable; empty means any.
    #[must_use]
    pub fn regions(&self) -> &BTreeSet<Region> {
        &self.regions
    }
    /// The providers that are acceptable; empty means any.
    #[must_use]
    pub fn providers(&self) -> &BTreeSet<ProviderId> {
        &self.providers
    }
    /// How long the lease shall last, in seconds.
    #[must_use]
    pub fn duration_s(&self) -> u64 {
        self.duration_s
    }
    /// After how many seconds without an answer the next offer is tried beside the first; `None`: never.
    #[must_use]
    pub fn hedge_s(&self) -> Option<u64> {
        self.hedge_s
    }
    /// The most the whole lease may cost per hour.
    #[must_use]
    pub fn max_hourly(&self) -> Option<Money> {
        self.max_hourly
    }
    /// The most the whole lease may cost.
    #[must_use]
    pub fn max_total(&self) -> Option<Money> {
        self.max_total
    }
    /// The most instances the accelerators may be spread over.
    #[must_use]
    pub fn instances_max(&self) -> u32 {
        self.instances_max
    }
    /// The team that pays, when the caller named one.
    #[must_use]
    pub fn team(&self) -> Option<&TeamId> {
        self.team.as_ref()
    }
    /// What it is for, in the caller's words: untrusted text.
    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }
    /// The caller's labels: untrusted text.
    #[must_use]
    pub fn labels(&self) -> &std::collections::BTreeMap<String, String> {
        &self.labels
    }
    /// What follows when the provider takes the capacity back.
    #[must_use]
    pub fn on_interruption(&self) -> OnInterruption {
        self.on_interruption
    }

    /// The same request for the rest of its time and money, paid by `team`.
    ///
    /// # Errors
    /// [`RequestError::Range`] for less time than [`DURATION_S_MIN`], [`RequestError::Limit`] when no money is left.
    pub fn rest(
        &self,
        duration_s: u64,
        max_total: Option<Money>,
        team: TeamId,
    ) -> Result<Self, RequestError> {
        let request = Self { duration_s, max_total, team: Some(team), ..self.clone() };
        ResourceRequestBuilder { request, first_error: None }.build()
    }

    /// The accelerators asked for, if any.
    #[must_use]
    pub fn accelerators(&self) -> Option<(AcceleratorModel, u32)> {
        self.resources.iter().find_map(|resource| match resource {
            ResourceSpec::Accelerator { model, count } => Some((*model, *count)),
            _ => None,
        })
    }
    /// CPUs asked for, 0 if none.
    #[must_use]
    pub fn cpu(&self) -> MilliCpu {
        self.resources
            .iter()
            .find_map(|r| if let ResourceSpec::Cpu(cpu) = r { Some(*cpu) } else { None })
            .unwrap_or_default()
    }
    /// Memory asked for, 0 if none.
    #[must_use]
    pub fn memory(&self) -> Bytes {
        self.resources
            .iter()
            .find_map(|r| if let ResourceSpec::Memory(size) = r { Some(*size) } else { None })
            .unwrap_or_default()
    }
}

/// Collects a request; the first mistake is remembered and returned by [`ResourceRequestBuilder::build`].
#[derive(Clone, Debug)]
#[must_use = "a request exists only after `build`"]
pub struct ResourceRequestBuilder {
    request: ResourceRequest,
    first_error: Option<RequestError>,
}

impl ResourceRequestBuilder {
    /// Asks for `count` NVIDIA H100.
    pub fn add_gpu_nvidia_h100(self, count: u32) -> Self {
        self.add_accelerator(AcceleratorModel::H100, count)
    }

    /// Asks for `count` accelerators of `model`.
    pub fn add_accelerator(self, model: AcceleratorModel, count: u32) -> Self {
        self.range("gpu.count", u64::from(count), 1, u64::from(ACCELERATORS_MAX))
            .add(ResourceSpec::Accelerator { model, count })
    }

    /// Asks for `count` accelerators of the model with this name, in any known spelling.
    pub fn add_gpu_named(mut self, name: &str, count: u32) -> Self {
        match AcceleratorModel::parse(name) {
            Ok(model) => self.add_accelerator(model, count),
            Err(error) => {
                self.fail(error.into());
                self
            }
        }
    }

    /// Asks for `count` whole CPUs.
    pub fn add_cpu(self, count: u32) -> Self {
        self.range("cpu", u64::from(count), 1, u64::from(CPUS_MAX))
            .add(ResourceSpec::Cpu(MilliCpu::whole(count)))
    }

    /// Asks for memory.
    pub fn add_memory(self, amount: u64, unit: ResourceUnit) -> Self {
        self.add_size("memory", Bytes::new(amount, unit), ResourceSpec::Memory)
    }

    /// Asks for storage.
    pub fn add_storage(self, amount: u64, unit: ResourceUnit) -> Self {
        self.add_size("storage", Bytes::new(amount, unit), ResourceSpec::Storage)
    }

    /// Asks for network bandwidth per instance, in bits per second.
    pub fn add_network(self, bits_per_s: u64) -> Self {
        self.range("network", bits_per_s, 1, 1 << 50).add(ResourceSpec::Network { bits_per_s })
    }

    /// Sets the priority.
    pub fn with_priority(mut self, priority: RequestPriority) -> Self {
        self.request.priority = priority;
        self
    }

    /// Accepts only these ways of buying; none means any.
    pub fn with_kinds(mut self, kinds: impl IntoIterator<Item = OfferKind>) -> Self {
        self.request.kinds = kinds.into_iter().collect();
        self
    }

    /// Accepts only these regions; none means any.
    pub fn with_regions(mut self, regions: impl IntoIterator<Item = Region>) -> Self {
        self.request.regions = regions.into_iter().take(FILTER_MAX + 1).collect();
        self
    }

    /// Accepts only these providers; none means any.
    pub fn with_providers(mut self, providers: impl IntoIterator<Item = ProviderId>) -> Self {
        self.request.providers = providers.into_iter().take(FILTER_MAX + 1).collect();
        self
    }

    /// Sets how long the lease shall last, in seconds.
    pub fn with_duration_s(mut self, seconds: u64) -> Self {
        self.request.duration_s = seconds;
        self
    }

    /// Tries the next offer beside the first when that has not answered after so many seconds. The first complete success
    /// is kept, the other is released; for a while both may cost money.
    pub fn with_hedge_s(mut self, seconds: u64) -> Self {
        self.request.hedge_s = Some(seconds);
        self
    }

    /// Sets the most the lease may cost per hour.
    pub fn with_max_hourly(mut self, limit: Money) -> Self {
        self.request.max_hourly = Some(limit);
        self
    }

    /// Sets the most the lease may cost in all.
    pub fn with_max_total(mut self, limit: Money) -> Self {
        self.request.max_total = Some(limit);
        self
    }

    /// Allows the accelerators to be spread over up to this many instances.
    pub fn with_instances_max(mut self, instances: u32) -> Self {
        self.request.instances_max = instances;
        self
    }

    /// Names the team that pays.
    pub fn with_team(mut self, team: TeamId) -> Self {
        self.request.team = Some(team);
        self
    }

    /// Says what it is for.
    pub fn with_purpose(mut self, purpose: impl Into<String>) -> Self {
        self.request.purpose = Some(purpose.into());
        self
    }

    /// Adds a label.
    pub fn with_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        if self.request.labels.len() > LABELS_MAX {
            self.fail(RequestError::TooMany("labels"));
        } else {
            self.request.labels.insert(key.into(), value.into());
        }
        self
    }

    /// Says what follows when the provider takes the capacity back.
    pub fn with_on_interruption(mut self, on_interruption: OnInterruption) -> Self {
        self.request.on_interruption = on_interruption;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// The first mistake made, as a [`RequestError`].
    pub fn build(mut self) -> Result<ResourceRequest, RequestError> {
        self = self.range_of_request();
        if let Some(error) = self.first_error {
            return Err(error);
        }
        let request = self.request;
        if request.resources.is_empty() {
            return Err(RequestError::Empty);
        }
        let text_ok = |text: &str| {
            !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control)
        };
        if !text_ok(&request.name) {
            return Err(RequestError::Text("name"));
        }
        if request.purpose.as_deref().is_some_and(|text| !text_ok(text)) {
            return Err(RequestError::Text("purpose"));
        }
        if request.labels.len() > LABELS_MAX {
            return Err(RequestError::TooMany("labels"));
        }
        if request.labels.iter().any(|(key, value)| !text_ok(key) || !text_ok(value)) {
            return Err(RequestError::Text("labels"));
        }
        for (field, entries) in [("regions", request.regions.len()), ("providers", request.providers.len())] {
            if entries > FILTER_MAX {
                return Err(RequestError::TooMany(field));
            }
        }
        for (field, limit) in [("max_hourly", request.max_hourly), ("max_total", request.max_total)] {
            if let Some(have) = limit.filter(|limit| limit.nanos() <= 0) {
                return Err(RequestError::Limit { field, have });
            }
        }
        Ok(request)
    }

    fn range_of_request(self) -> Self {
        let (duration, instances) = (self.request.duration_s, self.request.instances_max);
        let checked = match self.request.hedge_s {
            Some(seconds) => self.range("hedge (seconds)", seconds, HEDGE_S_MIN, HEDGE_S_MAX),
            None => self,
        };
        checked.range("duration (seconds)", duration, DURATION_S_MIN, DURATION_S_MAX).range(
            "instances_max",
            u64::from(instances),
            1,
            u64::from(ACCELERATORS_MAX),
        )
    }

    fn add_size(
        self,
        field: &'static str,
        size: Result<Bytes, QuantityError>,
        wrap: fn(Bytes) -> ResourceSpec,
    ) -> Self {
        match size {
            Ok(size) => self.range(field, size.0, 1, crate::quantity::BYTES_MAX).add(wrap(size)),
            Err(error) => {
                let mut failed = self;
                failed.fail(error.into());
                failed
            }
        }
    }

    fn add(mut self, resource: ResourceSpec) -> Self {
        let same = |have: &ResourceSpec| std::mem::discriminant(have) == std::mem::discriminant(&resource);
        if self.request.resources.iter().any(same) {
            self.fail(RequestError::Twice(match resource {
                ResourceSpec::Accelerator { .. } => "gpu",
                ResourceSpec::Cpu(_) => "cpu",
                ResourceSpec::Memory(_) => "memory",
                ResourceSpec::Storage(_) => "storage",
                ResourceSpec::Network { .. } => "network",
            }));
        } else {
            self.request.resources.push(resource);
        }
        self
    }

    fn range(mut self, field: &'static str, have: u64, min: u64, max: u64) -> Self {
        if !(min..=max).contains(&have) {
            self.fail(RequestError::Range { field, have: have.to_string(), min, max });
        }
        self
    }

    fn fail(&mut self, error: RequestError) {
        self.first_error.get_or_insert(error);
    }
}
