//! What the provider needs to know. Nothing is read from files or the environment, the SDK's chain of credentials aside.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use hpc_resources::{InstanceType, ProviderId, Region, ZoneId};
use zeroize::Zeroizing;

use crate::machine::{Machine, MachineError};
use crate::names;

/// Most regions of one provider.
pub const REGIONS_MAX: usize = 32;
/// Most types that are offered: they stand in the filter of one call.
pub const TYPES_MAX: usize = 64;
/// Entries on one page, at most: what Compute Engine takes.
pub const PAGE_MAX: u16 = 500;

/// Shortest run of an instance by flex-start, in seconds: what Compute Engine takes.
pub const FLEX_RUN_S_MIN: u32 = 600;
/// Longest run of an instance by flex-start, in seconds: seven days, what Compute Engine takes.
pub const FLEX_RUN_S_MAX: u32 = 604_800;

/// Settings of `GcpProvider`, which the feature `sdk` brings.
#[derive(Clone, Debug)]
pub struct GcpConfig {
    /// Its id, for example `gcp`.
    pub provider: ProviderId,
    /// The project's id, for example `research-1234`.
    pub project: String,
    /// Where it rents, 1 to [`REGIONS_MAX`]. What is owned is found in all regions of the project.
    pub regions: Vec<RegionConfig>,
    /// The types it offers, 1 to [`TYPES_MAX`]: `a3-highgpu-8g`, or an N1 type with devices:
    /// `n1-standard-8.nvidia-tesla-t4.2`.
    pub instance_types: BTreeSet<InstanceType>,
    /// The boot disk's image, for example `projects/p/global/images/family/gpu`; its user must find `hpc-agent` in the path.
    pub image: String,
    /// The boot disk's type, for example `pd-balanced`. A4 takes `hyperdisk-balanced` only.
    pub disk_type: String,
    /// The boot disk's size in GiB; that of the image if `None`.
    pub disk_gib: Option<u16>,
    /// Email of the service account that instances act as; none if `None`, which is the safest.
    pub service_account: Option<String>,
    /// Whether instances get an address that the internet reaches. Without, they need NAT to reach it.
    pub external_ip: bool,
    /// Whether reservations of the project are offered, those that an instance must name. What is bought on demand then stays
    /// out of all of them; without, Compute Engine puts it into one that fits.
    pub reservations: bool,
    /// How long an instance that is bought by flex-start may run, in seconds, [`FLEX_RUN_S_MIN`] to [`FLEX_RUN_S_MAX`];
    /// `None` offers none.
    pub flex_run_max_s: Option<u32>,
    /// Where the credential comes from.
    pub credentials: Credentials,
    /// Another address than Google's own: a private endpoint, a test server.
    pub endpoint: Option<String>,
    /// How long one call may take. A method of the port may need several.
    pub call_timeout: Duration,
    /// How long a create may take from its acceptance to its end, good or bad.
    pub create_timeout: Duration,
    /// How long to wait between two looks at a create that runs.
    pub poll_interval: Duration,
    /// After a create, lists and observations may miss the instance for this long, in milliseconds.
    pub consistency_ms: u64,
    /// How far Google's clock may be from ours, in milliseconds.
    pub clock_skew_ms: u64,
    /// How long a start is expected to take, in seconds. An assumption: Compute Engine does not tell.
    pub start_delay_s: u32,
    /// Chance of reclaim per hour of a spot instance, in hundredths of a percent. An assumption: Compute Engine does not
    /// tell.
    pub spot_reclaim_bp_per_hour: u32,
    /// Entries on one page, 1 to [`PAGE_MAX`].
    pub page_entries: u16,
}

/// One region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionConfig {
    /// For example `us-central1`.
    pub region: Region,
    /// Zones in which it rents; all of the region if empty.
    pub zones: BTreeSet<ZoneId>,
    /// The subnetwork, for example `projects/p/regions/us-central1/subnetworks/gpu`; the default network's if `None`.
    pub subnetwork: Option<String>,
}

/// Where the credential comes from.
#[derive(Clone)]
pub enum Credentials {
    /// The SDK's chain (application default credentials): a file the environment names, gcloud's file, the metadata server.
    Chain,
    /// A service account's key as JSON, from a vault.
    ServiceAccountKey(Zeroizing<String>),
    /// None, for a server on this machine.
    Anonymous,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chain => "Chain",
            Self::ServiceAccountKey(_) => "ServiceAccountKey(..)",
            Self::Anonymous => "Anonymous",
        })
    }
}

/// Why settings were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A text that is no project's id.
    #[error(
        "`{0}` is no project's id: write 6 to 30 of a-z, 0-9 and -, a letter first, for example `research-1234`"
    )]
    Project(String),
    /// No region, or more than [`REGIONS_MAX`].
    #[error("{0} regions are set, name 1 to {REGIONS_MAX}")]
    Regions(usize),
    /// A region stands twice.
    #[error("the region `{0}` is set twice")]
    Twice(Region),
    /// A zone of another region.
    #[error("the zone `{1}` is not of the region `{0}`")]
    Zone(Region, ZoneId),
    /// No type, or more than [`TYPES_MAX`].
    #[error("{0} instance types are set, name 1 to {TYPES_MAX}")]
    Types(usize),
    /// A type that names no machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// No image or no disk type.
    #[error("the {0} is not set")]
    Missing(&'static str),
    /// A page size that Compute Engine does not take.
    #[error("a page has 1 to {PAGE_MAX} entries, not {0}")]
    Page(u16),
    /// A run by flex-start that Compute Engine does not take.
    #[error("by flex-start an instance runs {FLEX_RUN_S_MIN} to {FLEX_RUN_S_MAX} s, not {0}")]
    Flex(u32),
    /// A time limit of zero.
    #[error("a time limit of zero lets no call through")]
    Timeout,
    /// An address that is none, or one without TLS that leads elsewhere than to this machine.
    #[error(
        "the endpoint must begin with `https://`, or with `http://127.0.0.1:` for a server on this machine"
    )]
    Endpoint,
    /// No credential for a server elsewhere.
    #[error("only a server on this machine (`http://127.0.0.1:`) is called without a credential")]
    Anonymous,
}

impl GcpConfig {
    /// Settings with the defaults: 20 s for a call, 5 min for a create, 1 min until it is seen, 1 % reclaims per hour.
    #[must_use]
    pub fn new(
        provider: ProviderId,
        project: impl Into<String>,
        image: impl Into<String>,
        regions: Vec<RegionConfig>,
        instance_types: BTreeSet<InstanceType>,
    ) -> Self {
        Self {
            provider,
            project: project.into(),
            regions,
            instance_types,
            image: image.into(),
            disk_type: "pd-balanced".to_owned(),
            disk_gib: None,
            service_account: None,
            external_ip: false,
            reservations: false,
            flex_run_max_s: None,
            credentials: Credentials::Chain,
            endpoint: None,
            call_timeout: Duration::from_secs(20),
            create_timeout: Duration::from_mins(5),
            poll_interval: Duration::from_secs(1),
            consistency_ms: 60_000,
            clock_skew_ms: 5_000,
            start_delay_s: 90,
            spot_reclaim_bp_per_hour: 100,
            page_entries: PAGE_MAX,
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ConfigError`], the first that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        // It stands in the path of every call. Ids with a domain (`example.com:x`) are long out of use.
        if !names::is_name(&self.project) || !(6..=30).contains(&self.project.len()) {
            return Err(ConfigError::Project(
                self.project.chars().filter(|c| !c.is_control()).take(40).collect(),
            ));
        }
        self.check_places()?;
        if self.instance_types.is_empty() || self.instance_types.len() > TYPES_MAX {
            return Err(ConfigError::Types(self.instance_types.len()));
        }
        for instance_type in &self.instance_types {
            Machine::parse(instance_type)?;
        }
        for (what, text) in [("image", &self.image), ("disk type", &self.disk_type)] {
            if text.trim().is_empty() {
                return Err(ConfigError::Missing(what));
            }
        }
        if !(1..=PAGE_MAX).contains(&self.page_entries) {
            return Err(ConfigError::Page(self.page_entries));
        }
        if let Some(run_s) =
            self.flex_run_max_s.filter(|run| !(FLEX_RUN_S_MIN..=FLEX_RUN_S_MAX).contains(run))
        {
            return Err(ConfigError::Flex(run_s));
        }
        if self.call_timeout.is_zero() || self.create_timeout.is_zero() {
            return Err(ConfigError::Timeout);
        }
        self.check_address()
    }

    fn check_places(&self) -> Result<(), ConfigError> {
        if self.regions.is_empty() || self.regions.len() > REGIONS_MAX {
            return Err(ConfigError::Regions(self.regions.len()));
        }
        let mut seen = BTreeSet::new();
        for RegionConfig { region, zones, .. } in &self.regions {
            if !seen.insert(region) {
                return Err(ConfigError::Twice(region.clone()));
            }
            let elsewhere = |zone: &&ZoneId| names::region_of(zone.as_str()).as_ref() != Some(region);
            if let Some(zone) = zones.iter().find(elsewhere) {
                return Err(ConfigError::Zone(region.clone(), zone.clone()));
            }
        }
        Ok(())
    }

    fn check_address(&self) -> Result<(), ConfigError> {
        let here = self.endpoint.as_deref().is_some_and(|address| address.starts_with("http://127.0.0.1:"));
        let safe = self.endpoint.as_deref().is_none_or(|address| address.starts_with("https://"));
        if !here && !safe {
            return Err(ConfigError::Endpoint);
        }
        if !here && matches!(self.credentials, Credentials::Anonymous) {
            return Err(ConfigError::Anonymous);
        }
        Ok(())
    }

    /// The settings of the region that a zone is in, if it rents there.
    #[must_use]
    pub fn at(&self, zone: &str) -> Option<&RegionConfig> {
        let region = names::region_of(zone)?;
        let config = self.regions.iter().find(|config| config.region == region)?;
        (config.zones.is_empty() || config.zones.iter().any(|known| known.as_str() == zone)).then_some(config)
    }
}

impl RegionConfig {
    /// All zones of a region, in the default network.
    #[must_use]
    pub fn new(region: Region) -> Self {
        Self { region, zones: BTreeSet::new(), subnetwork: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> RegionConfig {
        RegionConfig::new(Region::parse(name).unwrap())
    }

    fn fine() -> GcpConfig {
        GcpConfig::new(
            ProviderId::parse("gcp").unwrap(),
            "research-1234",
            "projects/p/global/images/family/gpu",
            vec![region("us-central1"), region("europe-west4")],
            BTreeSet::from([InstanceType::parse("a3-highgpu-8g").unwrap()]),
        )
    }

    fn wrong(change: fn(&mut GcpConfig)) -> ConfigError {
        let mut config = fine();
        change(&mut config);
        config.check().unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(fine().check(), Ok(()));
        let central = || Region::parse("us-central1").unwrap();
        assert_eq!(
            wrong(|config| config.project = "p/../x".to_owned()),
            ConfigError::Project("p/../x".to_owned())
        );
        assert!(matches!(wrong(|config| config.project = "x".repeat(31)), ConfigError::Project(_)));
        assert_eq!(wrong(|config| config.regions.clear()), ConfigError::Regions(0));
        assert_eq!(
            wrong(|config| config.regions = (0..33).map(|_| config.regions[0].clone()).collect()),
            ConfigError::Regions(33)
        );
        assert_eq!(
            wrong(|config| config.regions[1] = config.regions[0].clone()),
            ConfigError::Twice(central())
        );
        let zone = || ZoneId::parse("europe-west4-a").unwrap();
        assert_eq!(
            wrong(
                |config| config.regions[0].zones = BTreeSet::from([ZoneId::parse("europe-west4-a").unwrap()])
            ),
            ConfigError::Zone(central(), zone())
        );
        assert_eq!(wrong(|config| config.instance_types.clear()), ConfigError::Types(0));
        let odd = |config: &mut GcpConfig| {
            config.instance_types = BTreeSet::from([InstanceType::parse("a3.x").unwrap()]);
        };
        assert!(matches!(wrong(odd), ConfigError::Machine(_)));
        assert_eq!(wrong(|config| config.image = " ".to_owned()), ConfigError::Missing("image"));
        assert_eq!(wrong(|config| config.disk_type = String::new()), ConfigError::Missing("disk type"));
        assert_eq!(wrong(|config| config.page_entries = 0), ConfigError::Page(0));
        assert_eq!(wrong(|config| config.flex_run_max_s = Some(599)), ConfigError::Flex(599));
        assert_eq!(wrong(|config| config.flex_run_max_s = Some(604_801)), ConfigError::Flex(604_801));
        for fits in [FLEX_RUN_S_MIN, FLEX_RUN_S_MAX] {
            assert_eq!(GcpConfig { flex_run_max_s: Some(fits), ..fine() }.check(), Ok(()));
        }
        assert_eq!(wrong(|config| config.page_entries = 501), ConfigError::Page(501));
        assert_eq!(wrong(|config| config.call_timeout = Duration::ZERO), ConfigError::Timeout);
        assert_eq!(wrong(|config| config.create_timeout = Duration::ZERO), ConfigError::Timeout);
    }

    #[test]
    fn a_credential_goes_over_tls_and_its_absence_nowhere_else() {
        for address in
            ["http://compute.example", "ftp://x", "", "http://127.0.0.1.example:80", "http://127.0.0.10:80"]
        {
            let config = GcpConfig { endpoint: Some(address.to_owned()), ..fine() };
            assert_eq!(config.check(), Err(ConfigError::Endpoint), "{address}");
        }
        for (address, anonymous) in
            [("https://psc.example", Err(ConfigError::Anonymous)), ("http://127.0.0.1:1", Ok(()))]
        {
            let config = GcpConfig { endpoint: Some(address.to_owned()), ..fine() };
            assert_eq!(config.check(), Ok(()), "{address}");
            let none = GcpConfig { credentials: Credentials::Anonymous, ..config };
            assert_eq!(none.check(), anonymous, "{address}");
        }
        assert_eq!(wrong(|config| config.credentials = Credentials::Anonymous), ConfigError::Anonymous);
    }

    #[test]
    fn as_many_types_as_one_filter_takes() {
        let types = |count: usize| {
            (0..count)
                .map(|n| InstanceType::parse(format!("n2-standard-{n}")).unwrap())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(GcpConfig { instance_types: types(TYPES_MAX), ..fine() }.check(), Ok(()));
        let one_more = GcpConfig { instance_types: types(TYPES_MAX + 1), ..fine() };
        assert_eq!(one_more.check(), Err(ConfigError::Types(TYPES_MAX + 1)));
    }

    #[test]
    fn it_rents_in_the_zones_that_are_named() {
        let mut config = fine();
        assert!(
            config.at("us-central1-a").is_some()
                && config.at("us-east1-b").is_none()
                && config.at("").is_none()
        );
        config.regions[0].zones.insert(ZoneId::parse("us-central1-b").unwrap());
        assert!(config.at("us-central1-a").is_none() && config.at("us-central1-b").is_some());
    }

    #[test]
    fn a_key_is_not_shown() {
        let credentials = Credentials::ServiceAccountKey(Zeroizing::new("hunter2".to_owned()));
        let shown = format!("{:?}", GcpConfig { credentials, ..fine() });
        assert!(shown.contains("ServiceAccountKey(..)") && !shown.contains("hunter2"), "{shown}");
    }
}
