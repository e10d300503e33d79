//! Reads catalogs. A broken row is reported and left out; a broken file is an error.

use std::collections::HashSet;

use csv::StringRecord;
use hpc_catalog::{listed_price, model_with_memory};
use hpc_resources::{Accelerators, Bytes, Currency, InstanceType, MilliCpu};

use super::{
    CATALOG_BYTES_MAX, CATALOG_COLUMNS, CATALOG_ROWS_MAX, CatalogReport, REFUSED_SHOWN_MAX, RefusedRow,
    Shape, Shapes,
};
use crate::error::SimError;

/// Most devices in one instance that are believed.
const DEVICES_MAX: u32 = 1_024;
/// Most vCPUs in one instance that are believed.
const VCPUS_MAX: u32 = 65_536;
/// Most memory in one instance that is believed: 1 PiB.
const MEMORY_MIB_MAX: u64 = 1 << 30;

/// Reads a catalog of the columns [`CATALOG_COLUMNS`].
pub(super) fn outside(name: &str, bytes: &[u8]) -> Result<Shapes, SimError> {
    read(name, bytes, CATALOG_COLUMNS, |row| {
        let partition = row.get("partition_size")?;
        if !matches!(partition, "" | "1" | "1.0") {
            return Err(format!("a share of {partition} of a device is not an offer of whole devices"));
        }
        let classes: Vec<&str> = row.get("usage_classes")?.split('|').collect();
        let shape = row.shape(true)?;
        let (sells_on_demand, sells_spot) = (classes.contains(&"on-demand"), classes.contains(&"spot"));
        if !sells_on_demand && !sells_spot {
            return Err("`usage_classes` names neither on-demand nor spot".to_owned());
        }
        Ok(Some(Shape { sells_on_demand, sells_spot, ..shape }))
    })
}

/// Reads the rows of `provider` from the built-in catalog.
pub(super) fn builtin(text: &str, provider: &str) -> Result<Shapes, SimError> {
    const COLUMNS: &str = "provider,instance_type,manufacturer,accelerator,count,memory_mib_each,vcpus,memory_mib,\
on_demand_usd_per_instance_hour,source,as_of";
    read("built-in", text.as_bytes(), COLUMNS, |row| {
        if row.get("provider")? == provider { row.shape(false).map(Some) } else { Ok(None) }
    })
}

struct Row<'a> {
    headers: &'a StringRecord,
    record: &'a StringRecord,
}

impl Row<'_> {
    fn get(&self, column: &str) -> Result<&str, String> {
        let index = self.headers.iter().position(|header| header.trim() == column);
        index
            .and_then(|index| self.record.get(index))
            .map(str::trim)
            .ok_or_else(|| format!("the column `{column}` is missing"))
    }

    fn number<N: std::str::FromStr>(&self, column: &str) -> Result<N, String> {
        let text = self.get(column)?;
        text.parse().map_err(|_| format!("`{column}` is `{}`, not a whole number", clip(text)))
    }

    fn shape(&self, needs_device: bool) -> Result<Shape, String> {
        let instance_type =
            InstanceType::parse(self.get("instance_type")?).map_err(|error| error.to_string())?;
        let count: u32 = self.number("count")?;
        if count == 0 && needs_device {
            return Err("no whole device (`count` is 0)".to_owned());
        }
        if count > DEVICES_MAX {
            return Err(format!("`count` is {count}, more than {DEVICES_MAX}"));
        }
        let accelerators = if count == 0 {
            None
        } else {
            let each: u64 = self.number("memory_mib_each")?;
            if each == 0 || each > MEMORY_MIB_MAX {
                return Err(format!("`memory_mib_each` is {each}, which no device has"));
            }
            let memory_each = Bytes::from_mib(each);
            let model = model_with_memory(self.get("accelerator")?, Some(memory_each))
                .map_err(|error| error.to_string())?;
            Some(Accelerators { model, count, memory_each })
        };
        let vcpus: u32 = self.number("vcpus")?;
        let memory_mib: u64 = self.number("memory_mib")?;
        if vcpus == 0 || vcpus > VCPUS_MAX || memory_mib == 0 || memory_mib > MEMORY_MIB_MAX {
            return Err(format!("{vcpus} vCPUs with {memory_mib} MiB is not a machine"));
        }
        Ok(Shape {
            instance_type,
            accelerators,
            cpu: MilliCpu::whole(vcpus),
            memory: Bytes::from_mib(memory_mib),
            on_demand: listed_price(self.get("on_demand_usd_per_instance_hour")?, Currency::USD)
                .map_err(|error| error.to_string())?,
            sells_on_demand: true,
            sells_spot: true,
        })
    }
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn read(
    name: &str,
    bytes: &[u8],
    columns: &'static str,
    shape_of: impl Fn(&Row<'_>) -> Result<Option<Shape>, String>,
) -> Result<Shapes, SimError> {
    let too_large = |limit| SimError::CatalogTooLarge { name: name.to_owned(), limit };
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > CATALOG_BYTES_MAX {
        return Err(too_large("10 MiB"));
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let headers = reader.headers().cloned().unwrap_or_default();
    let has = |column: &&str| headers.iter().any(|header| header.trim() == *column);
    let missing: Vec<String> = columns.split(',').filter(|column| !has(column)).map(str::to_owned).collect();
    if !missing.is_empty() {
        return Err(SimError::CatalogColumns { name: name.to_owned(), missing, wanted: columns });
    }
    let mut report = CatalogReport {
        name: name.to_owned(),
        snapshot: blake3::hash(bytes).to_hex().to_string(),
        rows_used: 0,
        prices_unknown: 0,
        rows_refused: 0,
        refused: Vec::new(),
    };
    let mut shapes: Vec<Shape> = Vec::new();
    let mut known: HashSet<InstanceType> = HashSet::new();
    let mut record = StringRecord::new();
    let mut rows = 0_u64;
    loop {
        let outcome = match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) if record.len() != headers.len() => {
                Err(format!("{} fields, the first line has {}", record.len(), headers.len()))
            }
            Ok(true) => shape_of(&Row { headers: &headers, record: &record }),
            Err(_) => Err("not UTF-8 text".to_owned()),
        };
        rows += 1;
        if rows > CATALOG_ROWS_MAX {
            return Err(too_large("100,000 rows"));
        }
        let outcome = match outcome {
            Ok(None) => continue,
            Ok(Some(shape)) if !known.insert(shape.instance_type.clone()) => {
                Err(format!("`{}` is there twice; the first row counts", shape.instance_type))
            }
            Ok(Some(shape)) => Ok(shape),
            Err(why) => Err(why),
        };
        match outcome {
            Ok(shape) => {
                report.rows_used += 1;
                report.prices_unknown += u64::from(shape.on_demand.is_none());
                shapes.push(shape);
            }
            Err(why) => {
                report.rows_refused += 1;
                if report.refused.len() < REFUSED_SHOWN_MAX {
                    let line = record.position().map_or(rows + 1, csv::Position::line);
                    report.refused.push(RefusedRow { line, why });
                }
            }
        }
    }
    if shapes.is_empty() {
        let first = report.refused.first().map_or("no rows", |row| row.why.as_str()).to_owned();
        return Err(SimError::CatalogEmpty { name: name.to_owned(), refused: report.rows_refused, first });
    }
    Ok(Shapes { shapes, report })
}
