//! Whose columns a list has.

use std::borrow::Cow;

/// The kinds of lists that are read. All prices are of one instance for an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// SkyPilot's catalogs: memory in GiB, the memory of a device in a Python literal.
    SkyPilot,
    /// gpuhunt's catalogs: sizes in GiB, a row each for spot and on-demand.
    GpuHunt,
    /// What EC2 says of its types, with list prices in US dollars beside it; sizes in MiB, no region.
    Ec2Types,
}

impl Columns {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SkyPilot, Self::GpuHunt, Self::Ec2Types];

    /// The columns that a list of this kind must have; others are passed over.
    #[must_use]
    pub const fn wanted(self) -> &'static [&'static str] {
        match self {
            Self::SkyPilot => &[
                "InstanceType",
                "vCPUs",
                "MemoryGiB",
                "AcceleratorName",
                "AcceleratorCount",
                "GpuInfo",
                "Price",
                "SpotPrice",
                "Region",
                "AvailabilityZone",
            ],
            Self::GpuHunt => &[
                "instance_name",
                "location",
                "price",
                "cpu",
                "memory",
                "gpu_count",
                "gpu_name",
                "gpu_memory",
                "spot",
            ],
            Self::Ec2Types => &[
                "instance_type",
                "accelerator",
                "count",
                "partition_size",
                "memory_mib_each",
                "vcpus",
                "memory_mib",
                "usage_classes",
                "on_demand_usd_per_instance_hour",
            ],
        }
    }

    /// Whose columns these are, and where each wanted one is.
    pub(crate) fn find(headers: &[Cow<'_, str>]) -> Option<(Self, Vec<usize>)> {
        Self::ALL.into_iter().find_map(|columns| {
            let place = |wanted: &&str| headers.iter().position(|header| header.trim() == *wanted);
            let places: Option<Vec<usize>> = columns.wanted().iter().map(place).collect();
            Some((columns, places?))
        })
    }
}
