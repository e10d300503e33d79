//! Which providers a daemon asks: all simulated clouds, or what a file says.
//!
//! The file is read once, at the start. Every provider of it gets the same limits; the broker creates nothing on one that
//! does not describe itself as safe to create on.

mod file;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use hpc_error::{HpcError, codes};
use hpc_provider::CapacityProvider;
use hpc_provider_sim::SimWorld;

pub use file::{PROVIDERS_MAX, ProviderEntry, ProvidersFile, SimulatedClouds};

/// The providers of the file at `path`, or all simulated clouds without one.
///
/// # Errors
/// `HPC-USG-*` for a file that cannot be read or names what is not there, with file, line and column.
pub(crate) fn compose(
    path: Option<&Path>,
    sim: &SimWorld,
) -> Result<Vec<Arc<dyn CapacityProvider>>, HpcError> {
    let Some(path) = path else { return Ok(sim.providers()) };
    let file: ProvidersFile = hpc_config::read_document(path)?;
    let in_file = |error: HpcError| error.with("path", path.display());
    file.check().map_err(in_file)?;
    let mut providers = Vec::new();
    for entry in &file.providers {
        match entry {
            ProviderEntry::Simulated(clouds) => providers.extend(simulated(clouds, sim).map_err(in_file)?),
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
