use std::path::PathBuf;

use hpc_error::{HpcError, codes};
use serde::Deserialize;

use super::aws::AwsCloud;
use super::gcp::GcpCloud;
use super::slurm::SlurmCluster;

/// Most providers of one file.
pub const PROVIDERS_MAX: usize = 64;

/// The file of `--providers`: one entry for each provider, in YAML, TOML or JSON.
///
/// ```yaml
/// providers:
///   - simulated: { clouds: [sim-rack] }
///   - static: { id: lab, inventory: lab.yaml }
///   - aws: { id: aws, instance_types: [p5.48xlarge], regions: [{ region: us-east-1, image: ami-0123456789abcdef0 }] }
///   - slurm: { id: hall, cluster: hall.yaml }
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvidersFile {
    /// The providers, 1 to [`PROVIDERS_MAX`].
    pub providers: Vec<ProviderEntry>,
}

/// One provider and its settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderEntry {
    /// Simulated clouds of this daemon: nothing of them is real.
    Simulated(SimulatedClouds),
    /// Machines of one's own, from an inventory (`hpc-provider-static`).
    Static(OwnMachines),
    /// EC2 (`hpc-provider-aws`), in a daemon that is built with the feature `aws`.
    Aws(Box<AwsCloud>),
    /// Compute Engine (`hpc-provider-gcp`), in a daemon that is built with the feature `gcp`.
    Gcp(Box<GcpCloud>),
    /// A Slurm cluster, through its commands (`hpc-provider-slurm`).
    Slurm(SlurmCluster),
}

/// Which simulated clouds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedClouds {
    /// Their ids; none means all of them.
    #[serde(default)]
    pub clouds: Vec<String>,
}

/// An inventory, and what to call it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnMachines {
    /// The provider's id in plans, leases and policies.
    pub id: String,
    /// The inventory's file; a relative path begins where the file of providers is.
    pub inventory: PathBuf,
}

impl ProvidersFile {
    /// Refuses a file without providers, and one with too many.
    ///
    /// # Errors
    /// `HPC-USG-0010` without, `HPC-USG-0003` with too many.
    pub fn check(&self) -> Result<(), HpcError> {
        match self.providers.len() {
            0 => Err(HpcError::coded(&codes::USG_MISSING_FIELD, "the file names no provider")),
            1..=PROVIDERS_MAX => Ok(()),
            got => {
                let message = format!("the file names {got} providers, at most {PROVIDERS_MAX} are taken");
                Err(HpcError::coded(&codes::USG_TOO_LARGE, message))
            }
        }
    }
}
