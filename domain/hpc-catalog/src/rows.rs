//! What one row says: an entry, or why not.

use std::borrow::Cow;

use hpc_resources::{Accelerators, Bytes, InstanceType, MilliCpu, Money, PerInstanceHour, Region, ZoneId};

use crate::columns::Columns;
use crate::decimal;
use crate::entry::{Entry, EntryKey};
use crate::import::{Import, ZoneNames};
use crate::literal;
use crate::words::{listed_price, model_with_memory};

/// Most devices in one instance that are believed.
const DEVICES_MAX: u64 = 1_024;
/// Most CPUs in one instance that are believed.
const CPUS_MAX: u64 = 65_536;
/// Most memory in one instance that is believed: 1 PiB.
const MEMORY_MAX: u64 = 1 << 50;
/// Most memory in one device that is believed, in MiB: a third more than any device of today has.
const DEVICE_MIB_MAX: u64 = 384 << 10;

/// The wanted fields of one row.
pub(crate) struct Row<'a> {
    columns: Columns,
    fields: &'a [Cow<'a, str>],
}

impl<'a> Row<'a> {
    pub(crate) const fn new(columns: Columns, fields: &'a [Cow<'a, str>]) -> Self {
        Self { columns, fields }
    }

    fn get(&self, column: &str) -> &str {
        let place = self.columns.wanted().iter().position(|wanted| *wanted == column);
        place.and_then(|place| self.fields.get(place)).map_or("", |field| field.trim())
    }

    fn whole(&self, column: &str, most: u64) -> Result<u64, String> {
        let text = self.get(column);
        let number = decimal::whole(text).filter(|number| *number <= most);
        number.ok_or_else(|| format!("`{column}` is `{}`, not a whole number up to {most}", clip(text)))
    }

    /// A size in units of `unit` bytes, exact.
    fn bytes(&self, column: &str, unit: u64) -> Result<Bytes, String> {
        let text = self.get(column);
        let bytes = decimal::times(text, unit).filter(|bytes| (1..=MEMORY_MAX).contains(bytes));
        bytes.map(Bytes).ok_or_else(|| format!("`{column}` is `{}`, which no machine has", clip(text)))
    }
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The entry of a row, and the account's own name of its zone where that is left open; what is doubtful goes to `doubts`.
pub(crate) fn entry(
    row: &Row<'_>,
    how: &Import,
    doubts: &mut Vec<String>,
) -> Result<(Entry, Option<String>), String> {
    let (entry, zone) = match row.columns {
        Columns::SkyPilot => (skypilot(row, how, doubts)?, row.get("AvailabilityZone")),
        Columns::GpuHunt => (gpuhunt(row, how, doubts)?, ""),
        Columns::Ec2Types => (ec2_types(row, how, doubts)?, ""),
    };
    let open = entry.key.zone.is_none() && !zone.is_empty();
    Ok((entry, open.then(|| zone.to_owned())))
}

fn skypilot(row: &Row<'_>, how: &Import, doubts: &mut Vec<String>) -> Result<Entry, String> {
    if row.get("InstanceType").is_empty() {
        return Err("the price of a device without a machine is not a price of an instance".to_owned());
    }
    let accelerators = match (row.get("AcceleratorName"), row.get("AcceleratorCount")) {
        ("", _) => None,
        (name, count) => {
            // The total of all devices is not asked: for some clouds it is that of one.
            let each = literal::number(row.get("GpuInfo"), "SizeInMiB");
            Some(devices(name, count, each, doubts)?)
        }
    };
    let entry = Entry {
        key: key(row.get("InstanceType"), row.get("Region"), row.get("AvailabilityZone"), how, doubts)?,
        accelerators,
        cpu: cpu(row, "vCPUs")?,
        memory: row.bytes("MemoryGiB", GIB)?,
        on_demand: price(row, "Price", how)?,
        spot: price(row, "SpotPrice", how)?,
    };
    Ok(entry)
}

fn gpuhunt(row: &Row<'_>, how: &Import, doubts: &mut Vec<String>) -> Result<Entry, String> {
    let accelerators = match row.get("gpu_count") {
        "" | "0" | "0.0" => None,
        count => {
            let text = row.get("gpu_memory");
            let each = decimal::times(text, 1_024).filter(|_| !text.is_empty());
            Some(devices(row.get("gpu_name"), count, each, doubts)?)
        }
    };
    let paid = price(row, "price", how)?;
    let (on_demand, spot) = match row.get("spot") {
        "True" | "true" | "1" => (None, paid),
        "False" | "false" | "0" => (paid, None),
        other => return Err(format!("`spot` is `{}`, neither true nor false", clip(other))),
    };
    Ok(Entry {
        key: key(row.get("instance_name"), row.get("location"), "", how, doubts)?,
        accelerators,
        cpu: cpu(row, "cpu")?,
        // It divides mebibytes by 1,024 and calls them gigabytes.
        memory: row.bytes("memory", GIB)?,
        on_demand,
        spot,
    })
}

fn ec2_types(row: &Row<'_>, how: &Import, doubts: &mut Vec<String>) -> Result<Entry, String> {
    let partition = row.get("partition_size");
    if !matches!(partition, "" | "1" | "1.0") {
        return Err(format!("a share of {} of a device is not a whole device", clip(partition)));
    }
    let accelerators = match (row.get("accelerator"), row.get("count")) {
        ("", "" | "0") => None,
        (name, count) => {
            let each = Some(row.whole("memory_mib_each", u64::MAX)?);
            Some(devices(name, count, each, doubts)?)
        }
    };
    let classes = row.get("usage_classes");
    let sold = classes.split('|').any(|class| class == "on-demand");
    let region = how.region.as_ref().ok_or("the list has no regions; say which one it is of")?;
    Ok(Entry {
        key: key(row.get("instance_type"), region.as_str(), "", how, doubts)?,
        accelerators,
        cpu: cpu(row, "vcpus")?,
        memory: row.bytes("memory_mib", MIB)?,
        on_demand: price(row, "on_demand_usd_per_instance_hour", how)?.filter(|_| sold),
        spot: None,
    })
}

fn devices(
    name: &str,
    count: &str,
    mib_each: Option<u64>,
    doubts: &mut Vec<String>,
) -> Result<Accelerators, String> {
    let whole = decimal::whole(count).filter(|count| *count <= DEVICES_MAX);
    let count = match whole {
        Some(0) => return Err("no whole device (the count is 0)".to_owned()),
        Some(count) => u32::try_from(count).map_err(|_| "too many devices".to_owned())?,
        None => return Err(format!("`{}` devices: not a whole number up to {DEVICES_MAX}", clip(count))),
    };
    let memory_each = match mib_each {
        Some(0) => return Err("a device of no memory".to_owned()),
        Some(mib) if mib > DEVICE_MIB_MAX => {
            return Err(format!("{mib} MiB in one device is more than any has; it may be another quantity"));
        }
        // Divided by a thousand it is whole, by 1,024 it is not: megabytes, of which as many are less.
        Some(mb) if mb % 1_000 == 0 && mb % 1_024 != 0 => {
            doubts.push(format!("{mb} MiB in one device look like MB, and are taken as that"));
            Some(Bytes(mb * 1_000_000))
        }
        Some(mib) => Some(Bytes::from_mib(mib)),
        None => None,
    };
    let model = model_with_memory(name, memory_each).map_err(|error| error.to_string())?;
    let memory_each = memory_each.ok_or("the memory of one device is not stated")?;
    Ok(Accelerators { model, count, memory_each })
}

fn key(
    instance_type: &str,
    region: &str,
    zone: &str,
    how: &Import,
    doubts: &mut Vec<String>,
) -> Result<EntryKey, String> {
    let text = |error: hpc_resources::IdError| error.to_string();
    let zone = match (&how.zones, zone) {
        (_, "") => None,
        (ZoneNames::Global, zone) => Some(ZoneId::parse(zone).map_err(text)?),
        (ZoneNames::PerAccount(ids), zone) => {
            if !ids.contains_key(zone) {
                doubts.push(format!(
                    "`{}` is another zone in each account, so the zone is left open",
                    clip(zone)
                ));
            }
            ids.get(zone).cloned()
        }
    };
    Ok(EntryKey {
        instance_type: InstanceType::parse(instance_type).map_err(text)?,
        region: Region::parse(region).map_err(text)?,
        zone,
    })
}

fn cpu(row: &Row<'_>, column: &str) -> Result<MilliCpu, String> {
    let text = row.get(column);
    let milli = decimal::times(text, 1_000).filter(|milli| (1..=CPUS_MAX * 1_000).contains(milli));
    milli.map(MilliCpu).ok_or_else(|| format!("`{column}` is `{}`, which no machine has", clip(text)))
}

fn price(row: &Row<'_>, column: &str, how: &Import) -> Result<Option<PerInstanceHour>, String> {
    let price: Option<Money> =
        listed_price(row.get(column), how.currency).map_err(|error| format!("`{column}`: {error}"))?;
    Ok(price.map(PerInstanceHour))
}

fn clip(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(40).collect()
}
