//! What the tests share: lists of each kind, and how they are read.

use hpc_catalog::{CatalogError, Entry, Import, Report, Snapshot, ZoneNames, import};
use hpc_resources::{ProviderId, Region};

pub(crate) const SKYPILOT: &str = "InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Price,SpotPrice,Region,AvailabilityZone";
pub(crate) const GPUHUNT: &str =
    "instance_name,location,price,cpu,memory,gpu_vendor,gpu_count,gpu_name,gpu_memory,spot,disk_size";
pub(crate) const EC2: &str = "instance_type,accelerator_kind,manufacturer,accelerator,count,partition_size,memory_mib_each,\
memory_mib_total,vcpus,memory_mib,network,max_efa,usage_classes,on_demand_usd_per_instance_hour";

pub(crate) fn how() -> Import {
    let as_of = "2026-11-20T12:00:00Z".parse().unwrap();
    let mut how = Import::new(ProviderId::parse("cloud").unwrap(), "a test", as_of);
    how.region = Some(Region::parse("us-east-1").unwrap());
    how.zones = ZoneNames::Global;
    how
}

pub(crate) fn read_as(
    columns: &str,
    rows: &[&str],
    how: &Import,
) -> Result<(Snapshot, Report), CatalogError> {
    import(format!("{columns}\n{}\n", rows.join("\n")).as_bytes(), how)
}

/// The entries of rows, all of which must be good.
pub(crate) fn good(columns: &str, rows: &[&str]) -> Vec<Entry> {
    let (snapshot, report) = read_as(columns, rows, &how()).unwrap();
    assert_eq!(report.refused, 0, "{:?}", report.problems);
    snapshot.entries().to_vec()
}

/// Why the one row of a list is refused.
pub(crate) fn refused(columns: &str, row: &str) -> String {
    match read_as(columns, &[row], &how()) {
        Err(CatalogError::Empty { refused: 1, first }) => first,
        other => panic!("{row}: {other:?}"),
    }
}

/// A row of SkyPilot's columns.
pub(crate) fn sky(accelerator: &str, count: &str, mib: &str, price: &str, spot: &str) -> String {
    let info = if mib.is_empty() {
        String::new()
    } else {
        format!("\"{{'Gpus': [{{'MemoryInfo': {{'SizeInMiB': {mib}}}}}]}}\"")
    };
    format!("m,8,64,{accelerator},{count},{info},{price},{spot},us-east-1,")
}
