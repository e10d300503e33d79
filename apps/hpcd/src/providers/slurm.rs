//! A Slurm cluster, from its settings and the commands of this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hpc_error::{HpcError, codes};
use hpc_provider::CapacityProvider;
use hpc_provider_slurm::{Cluster, ClusterDocument, SlurmProvider, SystemCommands};
use hpc_provider_static::Clock;
use hpc_resources::ProviderId;
use serde::Deserialize;

/// Where Debian and most sites have Slurm's commands.
const COMMANDS_DEFAULT: &str = "/usr/bin";

/// A cluster, and what to call it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlurmCluster {
    /// The provider's id in plans, leases, policies and names of jobs.
    pub id: String,
    /// The file of the cluster's settings; a relative path begins where the file of providers is.
    pub cluster: PathBuf,
    /// The folder of `sbatch`, `squeue`, `scancel`, `sinfo` and `scontrol`, an absolute path.
    #[serde(default)]
    pub commands: Option<PathBuf>,
    /// The `slurm.conf` to use instead of the system's own.
    #[serde(default)]
    pub configuration: Option<PathBuf>,
}

/// Reads and checks the settings; no command is run before the first call.
pub(super) fn cluster(
    slurm: &SlurmCluster,
    below: &Path,
    clock: &Clock,
) -> Result<Arc<dyn CapacityProvider>, HpcError> {
    let path = below.join(&slurm.cluster);
    let bad = |message: String| {
        HpcError::coded(&codes::USG_UNKNOWN_VALUE, format!("`{}`: {message}", path.display()))
            .with("path", path.display())
    };
    let id = ProviderId::parse(slurm.id.as_str()).map_err(|error| bad(error.to_string()))?;
    let document: ClusterDocument = hpc_config::read_document(&path)?;
    let cluster = Cluster::check(document).map_err(|error| bad(error.to_string()))?;
    let commands = slurm.commands.clone().unwrap_or_else(|| PathBuf::from(COMMANDS_DEFAULT));
    if !commands.is_absolute() {
        return Err(bad(format!("`commands` is an absolute path, not `{}`", commands.display())));
    }
    let configuration = slurm.configuration.as_ref().map(|file| below.join(file));
    if let Some(file) = configuration.as_ref().filter(|file| !file.is_absolute()) {
        return Err(bad(format!("`configuration` is an absolute path, not `{}`", file.display())));
    }
    let commands = SystemCommands::new(commands, configuration);
    Ok(Arc::new(SlurmProvider::new(id, cluster, Arc::new(commands), Arc::clone(clock))))
}
