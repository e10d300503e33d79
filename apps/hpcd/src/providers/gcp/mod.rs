//! The entry `gcp` of a file of providers. It is read and checked by every daemon; only one that is built with the feature
//! `gcp` can rent with it.

#[cfg(feature = "gcp")]
mod connect;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

#[cfg(feature = "gcp")]
pub(super) use connect::compose;

use super::price_file::CatalogFile;

/// Compute Engine in one project.
///
/// ```yaml
/// gcp:
///   id: gcp
///   project: research-1234
///   image: projects/research-1234/global/images/family/gpu
///   instance_types: [a2-ultragpu-8g, n1-standard-8.nvidia-tesla-t4.2]
///   regions:
///     - region: us-central1
///   prices:
///     as_of: 2026-11-26T00:00:00Z
///     spot: { us-central1: { a2-ultragpu-8g: 20.27 USD } }
///   secret: gcp/renting                             # hpcd secret put gcp/renting --data DIR <key.json
///   agent: { daemon: "https://hpcd.internal:7801" }
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcpCloud {
    /// The provider's id in plans, leases and policies.
    pub id: String,
    /// The project's id.
    pub project: String,
    /// Where it rents.
    pub regions: Vec<GcpRegion>,
    /// The types it offers: a machine type, or an N1 type with devices: `n1-standard-8.nvidia-tesla-t4.2`.
    pub instance_types: Vec<String>,
    /// The boot disk's image; `hpc-agent` must be in its path where an agent is started.
    pub image: String,
    /// The boot disk's type; `pd-balanced` without.
    #[serde(default)]
    pub disk_type: Option<String>,
    /// The boot disk's size in GiB; that of the image without.
    #[serde(default)]
    pub disk_gib: Option<u16>,
    /// The named secret of the data directory that holds a service account's key (JSON). Without: the SDK's chain (the
    /// environment, gcloud's file, the metadata server), and nothing at all for a test server on this machine.
    #[serde(default)]
    pub secret: Option<String>,
    /// Prices that are known here. Compute Engine tells none: what is not here is shown and never bought.
    #[serde(default)]
    pub prices: Option<GcpPrices>,
    /// Offer reservations of the project, those that an instance must name. What is bought on demand then stays out of all of
    /// them; without, Compute Engine puts it into one that fits. The credential needs `compute.reservations.list` with.
    #[serde(default)]
    pub reservations: bool,
    /// Offer flex-start, for so many hours at most, 1 to 168; none is offered without.
    #[serde(default)]
    pub flex_start_hours: Option<u16>,
    /// Start `hpc-agent` at the first boot; nothing is started without.
    #[serde(default)]
    pub agent: Option<GcpAgent>,
    /// Email of the service account that instances act as; none without.
    #[serde(default)]
    pub service_account: Option<String>,
    /// Whether instances get an address that the internet reaches.
    #[serde(default)]
    pub external_ip: bool,
    /// Another address than Google's own: a private endpoint, or a test server on this machine.
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

/// One region.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcpRegion {
    /// For example `us-central1`.
    pub region: String,
    /// Zones in which it rents; all of the region if empty.
    #[serde(default)]
    pub zones: Vec<String>,
    /// The subnetwork; the default network's without.
    #[serde(default)]
    pub subnetwork: Option<String>,
}

/// Prices of one instance for an hour, its devices, CPUs and memory together: a catalog, or a few that stand here by region,
/// then type.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcpPrices {
    /// A file of prices: `{ file: prices.csv, max_age_hours: 336 }`.
    #[serde(default)]
    pub catalog: Option<CatalogFile>,
    /// When the prices here were true; plans show it.
    #[serde(default)]
    pub as_of: Option<Timestamp>,
    /// On demand: `us-central1: { a2-ultragpu-8g: 40.55 USD }`.
    #[serde(default)]
    pub on_demand: BTreeMap<String, BTreeMap<String, String>>,
    /// By spot.
    #[serde(default)]
    pub spot: BTreeMap<String, BTreeMap<String, String>>,
    /// By flex-start.
    #[serde(default)]
    pub flex: BTreeMap<String, BTreeMap<String, String>>,
}

/// How the agent of an instance reaches this daemon.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcpAgent {
    /// The control API as instances see it, `https://...`. Who answers is checked by the token, not by this name.
    pub daemon: String,
}

/// Says what is missing.
///
/// # Errors
/// `HPC-USG-0019`, always.
#[cfg(not(feature = "gcp"))]
pub(super) async fn compose(
    cloud: &GcpCloud,
    _: &std::path::Path,
    _: &super::Around<'_>,
) -> Result<std::sync::Arc<dyn hpc_provider::CapacityProvider>, hpc_error::HpcError> {
    let message = format!(
        "the provider `{}` is Compute Engine, and this hpcd is built without it; build one that has it with \
         `cargo build --release -p hpcd --features gcp`",
        cloud.id
    );
    Err(hpc_error::HpcError::coded(&hpc_error::codes::USG_NOT_BUILT_IN, message))
}
