//! Which providers a daemon asks: all simulated clouds, or what a file says.
//!
//! The file is read once, at the start. Every provider of it gets the same limits; the broker creates nothing on one that
//! does not describe itself as safe to create on.

mod aws;
#[cfg(any(feature = "aws", feature = "gcp"))]
mod boot;
mod file;
mod gcp;
#[cfg_attr(
    not(any(test, feature = "aws", feature = "gcp")),
    expect(dead_code, reason = "a cloud adapter uses all of it")
)]
mod price_file;
mod slurm;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use hpc_error::{HpcError, codes};
use hpc_ledger::Ledger;
use hpc_provider::CapacityProvider;
use hpc_provider_sim::SimWorld;
use hpc_provider_static::{Clock, Inventory, InventoryDocument, StaticProvider};
use hpc_resources::ProviderId;

pub use aws::{AwsAgent, AwsCloud, AwsPrices, AwsRegion};
pub use file::{OwnMachines, PROVIDERS_MAX, ProviderEntry, ProvidersFile, SimulatedClouds};
pub use gcp::{GcpAgent, GcpCloud, GcpPrices, GcpRegion};
pub use price_file::{CatalogFile, MAX_AGE_HOURS_MAX};
pub use slurm::SlurmCluster;

use crate::first_boot::FirstBoot;
use crate::stores::Stores;

/// What providers are made from.
#[cfg_attr(
    not(any(feature = "aws", feature = "gcp")),
    expect(dead_code, reason = "a cloud adapter uses all of it")
)]
pub(crate) struct Around<'a> {
    pub(crate) sim: &'a SimWorld,
    pub(crate) stores: &'a Stores,
    pub(crate) clock: &'a Clock,
    pub(crate) first_boot: &'a Arc<FirstBoot>,
}

/// The providers of the file at `path`, or all simulated clouds without one.
///
/// # Errors
/// `HPC-USG-*` for a file that cannot be read or names what is not there, with file, line and column.
pub(crate) async fn compose(
    path: Option<&Path>,
    around: &Around<'_>,
) -> Result<Vec<Arc<dyn CapacityProvider>>, HpcError> {
    let Some(path) = path else { return Ok(around.sim.providers()) };
    let file: ProvidersFile = hpc_config::read_document(path)?;
    let in_file = |error: HpcError| error.with("path", path.display());
    file.check().map_err(in_file)?;
    let mut providers = Vec::new();
    let below = path.parent().unwrap_or(Path::new(""));
    for entry in &file.providers {
        match entry {
            ProviderEntry::Simulated(clouds) => {
                providers.extend(simulated(clouds, around.sim).map_err(in_file)?)
            }
            ProviderEntry::Static(own) => {
                providers.push(own_machines(own, below, &around.stores.ledger, around.clock)?);
            }
            ProviderEntry::Aws(cloud) => {
                providers.push(aws::compose(cloud, below, around).await.map_err(in_file)?)
            }
            ProviderEntry::Gcp(cloud) => {
                providers.push(gcp::compose(cloud, below, around).await.map_err(in_file)?)
            }
            ProviderEntry::Slurm(slurm) => {
                providers.push(slurm::cluster(slurm, below, around.clock)?);
            }
        }
    }
    Ok(providers)
}

fn simulated(wanted: &SimulatedClouds, sim: &SimWorld) -> Result<Vec<Arc<dyn CapacityProvider>>, HpcError> {
    if wanted.clouds.is_empty() {
        return Ok(sim.providers());
    }
    let mut found: Vec<Arc<dyn CapacityProvider>> = Vec::new();
    for id in wanted.clouds.iter().collect::<BTreeSet<_>>() {
        let cloud = sim.provider(id).ok_or_else(|| {
            let known: Vec<String> =
                sim.providers().iter().map(|cloud| cloud.describe().provider.to_string()).collect();
            let message = format!("there is no simulated cloud `{id}`; there are {}", known.join(", "));
            HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)
        })?;
        found.push(cloud);
    }
    Ok(found)
}

/// The inventory is read at the start; what is leased is in the ledger.
fn own_machines(
    own: &OwnMachines,
    below: &Path,
    ledger: &Arc<dyn Ledger>,
    clock: &Clock,
) -> Result<Arc<dyn CapacityProvider>, HpcError> {
    let path = below.join(&own.inventory);
    let bad = |message: String| {
        HpcError::coded(&codes::USG_UNKNOWN_VALUE, format!("`{}`: {message}", path.display()))
            .with("path", path.display())
    };
    let id = ProviderId::parse(own.id.as_str()).map_err(|error| bad(error.to_string()))?;
    let document: InventoryDocument = hpc_config::read_document(&path)?;
    let inventory = Inventory::check(document).map_err(|error| bad(error.to_string()))?;
    Ok(Arc::new(StaticProvider::new(id, inventory, Arc::clone(ledger), Arc::clone(clock))))
}
