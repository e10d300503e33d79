//! The entry `aws` of a file of providers. It is read and checked by every daemon; only one that is built with the feature
//! `aws` can rent with it.

#[cfg(feature = "aws")]
mod connect;
#[cfg(feature = "aws")]
mod prices;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

#[cfg(feature = "aws")]
pub(super) use connect::compose;

use super::price_file::CatalogFile;

/// EC2 in one account.
///
/// ```yaml
/// aws:
///   id: aws
///   instance_types: [p5.48xlarge, p4d.24xlarge]
///   regions:
///     - region: us-east-1
///       image: ami-0123456789abcdef0
///       subnets: { use1-az1: subnet-0123456789abcdef0 }
///       security_groups: [sg-0123456789abcdef0]
///   secret: aws/renting                             # hpcd secret put aws/renting --data DIR
///   reservations: { account: "123456789012" }
///   agent: { daemon: "https://hpcd.internal:7801" }
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsCloud {
    /// The provider's id in plans, leases and policies.
    pub id: String,
    /// Where it rents. A quote fails as a whole when one of its regions does: an entry for each keeps them apart.
    pub regions: Vec<AwsRegion>,
    /// The types it offers, by EC2's names.
    pub instance_types: Vec<String>,
    /// The named secret of the data directory that holds an access key, as `aws configure export-credentials` prints it.
    /// The SDK's chain without: environment, profile, web identity, container, instance role.
    #[serde(default)]
    pub secret: Option<String>,
    /// On-demand prices that are known here; AWS's price list without.
    #[serde(default)]
    pub prices: Option<AwsPrices>,
    /// Offer capacity that was set aside: reservations and blocks. What is bought on demand then stays out of them. Neither
    /// is done without, and the credential needs `ec2:DescribeCapacityReservations` with.
    #[serde(default)]
    pub reservations: Option<AwsReservations>,
    /// Start `hpc-agent` at the first boot; nothing is started without.
    #[serde(default)]
    pub agent: Option<AwsAgent>,
    /// Size of the root volume in GiB; that of the image without.
    #[serde(default)]
    pub root_volume_gib: Option<u16>,
    /// Another address than AWS's own, for all services: a VPC endpoint, or a test server on this machine.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// How long a start is expected to take, in seconds.
    #[serde(default)]
    pub start_delay_s: Option<u32>,
    /// Chance of reclaim per hour of a spot instance, in hundredths of a percent.
    #[serde(default)]
    pub spot_reclaim_bp_per_hour: Option<u32>,
    /// After a create, lists may miss the instance for this long, in milliseconds.
    #[serde(default)]
    pub consistency_ms: Option<u64>,
}

/// One region, and what an instance there is made of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsRegion {
    /// For example `us-east-1`.
    pub region: String,
    /// The machine image; `hpc-agent` must be in its path where an agent is started.
    pub image: String,
    /// The image's root device, for `root_volume_gib`.
    #[serde(default)]
    pub root_device: Option<String>,
    /// Security groups by id; the network's default if empty.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// Subnets by zone id, such as `use1-az1`; the zone's default subnet where none is named.
    #[serde(default)]
    pub subnets: BTreeMap<String, String>,
    /// Name of the instances' role; none without.
    #[serde(default)]
    pub instance_profile: Option<String>,
}

/// On-demand prices of one instance for an hour: a catalog, or a few that stand here. What has no price is never bought on
/// demand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsPrices {
    /// A file of prices: `{ file: prices.csv, region: us-east-1, max_age_hours: 336 }`.
    #[serde(default)]
    pub catalog: Option<CatalogFile>,
    /// When the prices here were true; plans show it.
    #[serde(default)]
    pub as_of: Option<Timestamp>,
    /// By region, then type: `us-east-1: { p5.48xlarge: 55.04 USD }`.
    #[serde(default)]
    pub on_demand: BTreeMap<String, BTreeMap<String, String>>,
}

/// What must be known of reservations.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsReservations {
    /// The account that rents, twelve digits: what it owns it pays for, used or not.
    pub account: String,
}

/// How the agent of an instance reaches this daemon.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsAgent {
    /// The control API as instances see it, `https://...`. Who answers is checked by the token, not by this name.
    pub daemon: String,
}

/// Says what is missing.
///
/// # Errors
/// `HPC-USG-0019`, always.
#[cfg(not(feature = "aws"))]
pub(super) async fn compose(
    cloud: &AwsCloud,
    _: &std::path::Path,
    _: &super::Around<'_>,
) -> Result<std::sync::Arc<dyn hpc_provider::CapacityProvider>, hpc_error::HpcError> {
    let message = format!(
        "the provider `{}` is EC2, and this hpcd is built without it; build one that has it with \
         `cargo build --release -p hpcd --features aws`",
        cloud.id
    );
    Err(hpc_error::HpcError::coded(&hpc_error::codes::USG_NOT_BUILT_IN, message))
}
