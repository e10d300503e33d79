//! What the provider needs to know. Nothing is read from files or the environment, the SDK's chain of credentials aside.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use hpc_resources::{InstanceType, ProviderId, Region, ZoneId};
use zeroize::Zeroizing;

/// Most regions of one provider.
pub const REGIONS_MAX: usize = 32;
/// Most types that are offered: as many as EC2 describes in one call.
pub const TYPES_MAX: usize = 100;
/// Instances on one page, at least: what EC2 takes.
pub const PAGE_MIN: u16 = 5;
/// Instances on one page, at most: what EC2 takes.
pub const PAGE_MAX: u16 = 1_000;

/// Settings of `AwsProvider`, which the feature `sdk` brings.
#[derive(Clone, Debug)]
pub struct AwsConfig {
    /// Its id, for example `aws`.
    pub provider: ProviderId,
    /// Where it rents, 1 to [`REGIONS_MAX`]. A region that is not named here is not looked at either.
    pub regions: Vec<RegionConfig>,
    /// The types it offers, 1 to [`TYPES_MAX`]. They are asked for by name; the whole list has well over a thousand.
    pub instance_types: BTreeSet<InstanceType>,
    /// Whether capacity that was set aside is offered: reservations and blocks that are active or scheduled. `None` neither
    /// looks for any nor keeps what is bought on demand out of them.
    pub reservations: Option<ReservationConfig>,
    /// Where the credential comes from.
    pub credentials: Credentials,
    /// Another address than AWS's own, for all services: a VPC endpoint, a test server.
    pub endpoint: Option<String>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long one call of EC2 may take. A method of the port may need several.
    pub call_timeout: Duration,
    /// Size of the root volume in GiB; that of the image if `None`.
    pub root_volume_gib: Option<u16>,
    /// After a create, lists and observations may miss the instance for this long, in milliseconds.
    pub consistency_ms: u64,
    /// How far EC2's clock may be from ours, in milliseconds.
    pub clock_skew_ms: u64,
    /// How long a start is expected to take, in seconds. An assumption: EC2 does not tell.
    pub start_delay_s: u32,
    /// Chance of reclaim per hour of a spot instance, in hundredths of a percent. An assumption: EC2 does not tell.
    pub spot_reclaim_bp_per_hour: u32,
    /// Instances on one page, [`PAGE_MIN`] to [`PAGE_MAX`].
    pub page_instances: u16,
}

/// One region, and what an instance there is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionConfig {
    /// For example `us-east-1`.
    pub region: Region,
    /// The machine image, for example `ami-0abc...`; its user must find `hpc-agent` in the path.
    pub image: String,
    /// The image's root device, needed with [`AwsConfig::root_volume_gib`].
    pub root_device: String,
    /// Security groups by id; the network's default if empty.
    pub security_groups: Vec<String>,
    /// Subnets by zone id; the zone's default subnet where none is named.
    pub subnets: BTreeMap<ZoneId, String>,
    /// Name of the instance's role; none if `None`, which is the safest.
    pub instance_profile: Option<String>,
}

/// What must be known of reservations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationConfig {
    /// The account that rents, twelve digits. It pays for the reservations that it owns, used or not; what others share
    /// with it costs what it costs on demand.
    pub account: String,
}

/// Where the credential comes from.
#[derive(Clone)]
pub enum Credentials {
    /// The SDK's chain: environment, profile files, web identity, container, instance role.
    Chain,
    /// An access key, from a vault or for a test.
    Key {
        /// The key's id; no secret.
        id: String,
        /// The secret.
        secret: Zeroizing<String>,
        /// The session's token, if the key has one.
        session: Option<Zeroizing<String>>,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chain => "Chain",
            Self::Key { .. } => "Key(..)",
        })
    }
}

/// Why settings were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No region, or more than [`REGIONS_MAX`].
    #[error("{0} regions are set, name 1 to {REGIONS_MAX}")]
    Regions(usize),
    /// A region stands twice.
    #[error("the region `{0}` is set twice")]
    Twice(Region),
    /// No type, or more than [`TYPES_MAX`].
    #[error("{0} instance types are set, name 1 to {TYPES_MAX}")]
    Types(usize),
    /// A text that is no account's id.
    #[error("the account of `reservations` is written with its twelve digits, for example `123456789012`")]
    Account,
    /// A page size that EC2 does not take.
    #[error("a page has {PAGE_MIN} to {PAGE_MAX} instances, not {0}")]
    Page(u16),
    /// A region without an image.
    #[error("the region `{0}` names no image")]
    Image(Region),
    /// A time limit of zero.
    #[error("a time limit of zero lets no call through")]
    Timeout,
    /// An address that is none, or one without TLS that leads elsewhere than to this machine.
    #[error(
        "the endpoint must begin with `https://`, or with `http://127.0.0.1:` for a server on this machine"
    )]
    Endpoint,
}

impl AwsConfig {
    /// Settings with the defaults: 3 s to connect, 20 s for a call, 2 min until a create is seen, 1 % reclaims per hour.
    #[must_use]
    pub fn new(
        provider: ProviderId,
        regions: Vec<RegionConfig>,
        instance_types: BTreeSet<InstanceType>,
    ) -> Self {
        Self {
            provider,
            regions,
            instance_types,
            reservations: None,
            credentials: Credentials::Chain,
            endpoint: None,
            connect_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(20),
            root_volume_gib: None,
            consistency_ms: 120_000,
            clock_skew_ms: 5_000,
            start_delay_s: 120,
            spot_reclaim_bp_per_hour: 100,
            page_instances: PAGE_MAX,
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ConfigError`], the first that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.regions.is_empty() || self.regions.len() > REGIONS_MAX {
            return Err(ConfigError::Regions(self.regions.len()));
        }
        let mut seen = BTreeSet::new();
        for region in &self.regions {
            if !seen.insert(&region.region) {
                return Err(ConfigError::Twice(region.region.clone()));
            }
            if region.image.trim().is_empty() {
                return Err(ConfigError::Image(region.region.clone()));
            }
        }
        if self.instance_types.is_empty() || self.instance_types.len() > TYPES_MAX {
            return Err(ConfigError::Types(self.instance_types.len()));
        }
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if self.reservations.as_ref().is_some_and(|settings| !is_account(&settings.account)) {
            return Err(ConfigError::Account);
        }
        if !(PAGE_MIN..=PAGE_MAX).contains(&self.page_instances) {
            return Err(ConfigError::Page(self.page_instances));
        }
        if self.connect_timeout.is_zero() || self.call_timeout.is_zero() {
            return Err(ConfigError::Timeout);
        }
        match self.endpoint.as_deref() {
            Some(address)
                if !address.starts_with("https://") && !address.starts_with("http://127.0.0.1:") =>
            {
                Err(ConfigError::Endpoint)
            }
            _ => Ok(()),
        }
    }

    /// The settings of a region.
    #[must_use]
    pub fn region(&self, region: &Region) -> Option<&RegionConfig> {
        self.regions.iter().find(|config| config.region == *region)
    }
}

impl RegionConfig {
    /// A region in which instances are made of `image` and the network's defaults.
    #[must_use]
    pub fn new(region: Region, image: impl Into<String>) -> Self {
        Self {
            region,
            image: image.into(),
            root_device: "/dev/sda1".to_owned(),
            security_groups: Vec::new(),
            subnets: BTreeMap::new(),
            instance_profile: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> AwsConfig {
        let region = |name: &str| RegionConfig::new(Region::parse(name).unwrap(), "ami-1");
        AwsConfig::new(
            ProviderId::parse("aws").unwrap(),
            vec![region("us-east-1"), region("eu-west-1")],
            BTreeSet::from([InstanceType::parse("p5.48xlarge").unwrap()]),
        )
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(fine().check(), Ok(()));
        let wrong = |change: fn(&mut AwsConfig)| {
            let mut config = fine();
            change(&mut config);
            config.check().unwrap_err()
        };
        let east = || Region::parse("us-east-1").unwrap();
        assert_eq!(wrong(|config| config.regions.clear()), ConfigError::Regions(0));
        assert_eq!(
            wrong(|config| config.regions = (0..33).map(|_| config.regions[0].clone()).collect()),
            ConfigError::Regions(33)
        );
        assert_eq!(wrong(|config| config.regions[1] = config.regions[0].clone()), ConfigError::Twice(east()));
        assert_eq!(wrong(|config| config.regions[0].image = " ".to_owned()), ConfigError::Image(east()));
        assert_eq!(wrong(|config| config.instance_types.clear()), ConfigError::Types(0));
        assert_eq!(wrong(|config| config.page_instances = 4), ConfigError::Page(4));
        assert_eq!(wrong(|config| config.page_instances = 1_001), ConfigError::Page(1_001));
        assert_eq!(wrong(|config| config.call_timeout = Duration::ZERO), ConfigError::Timeout);
        for address in
            ["http://ec2.example", "ftp://x", "", "http://127.0.0.1.example:80", "http://127.0.0.10:80"]
        {
            let config = AwsConfig { endpoint: Some(address.to_owned()), ..fine() };
            assert_eq!(config.check(), Err(ConfigError::Endpoint), "{address}");
        }
        for address in ["https://vpce.example", "http://127.0.0.1:5001"] {
            assert_eq!(
                AwsConfig { endpoint: Some(address.to_owned()), ..fine() }.check(),
                Ok(()),
                "{address}"
            );
        }
    }

    #[test]
    fn as_many_types_as_ec2_describes_in_one_call() {
        let types = |count: usize| {
            (0..count).map(|n| InstanceType::parse(format!("m5.{n}")).unwrap()).collect::<BTreeSet<_>>()
        };
        assert_eq!(AwsConfig { instance_types: types(TYPES_MAX), ..fine() }.check(), Ok(()));
        let account = |text: &str| {
            let account = text.to_owned();
            AwsConfig { reservations: Some(ReservationConfig { account }), ..fine() }.check()
        };
        assert_eq!(account("123456789012"), Ok(()));
        for wrong in ["", "12345678901", "1234567890123", "12345678901a", "self"] {
            assert_eq!(account(wrong), Err(ConfigError::Account), "{wrong}");
        }
        let one_more = AwsConfig { instance_types: types(TYPES_MAX + 1), ..fine() };
        assert_eq!(one_more.check(), Err(ConfigError::Types(TYPES_MAX + 1)));
    }

    #[test]
    fn a_key_is_not_shown() {
        let secret = Zeroizing::new("hunter2".to_owned());
        let credentials = Credentials::Key { id: "AKIA".to_owned(), secret, session: None };
        let shown = format!("{:?}", AwsConfig { credentials, ..fine() });
        assert!(shown.contains("Key(..)") && !shown.contains("hunter2"), "{shown}");
    }
}
