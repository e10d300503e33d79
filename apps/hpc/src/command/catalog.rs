//! `hpc catalog`: what a price list says, and which of its rows cannot be meant. Needs no daemon.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use hpc_catalog::{BYTES_MAX, CatalogError, Entry, Import, Report, Snapshot, ZoneNames, import};
use hpc_error::{HpcError, codes};
use hpc_resources::{Currency, InstanceType, PerInstanceHour, ProviderId, Region, ZoneId};
use jiff::Timestamp;
use serde::Serialize;

use super::policy::unreadable;
use crate::args::{Catalog, PriceList};
use crate::output::{Screen, WARN, paint};
use crate::table::Table;
use crate::text;

pub(super) fn run(command: Catalog, now: Timestamp, screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    match command {
        Catalog::Check { list } => check(&list, now, screen),
        Catalog::Show { list, instance_type } => show(&list, instance_type.as_deref(), now, screen),
    }
}

/// What `check` says of a list.
#[derive(Serialize)]
struct Checked<'a> {
    #[serde(flatten)]
    snapshot: &'a Snapshot,
    #[serde(flatten)]
    report: &'a Report,
}

fn check(list: &PriceList, now: Timestamp, screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    let (snapshot, report) = read(list, now)?;
    if screen.format.is_json() {
        screen.value(&Checked { snapshot: &snapshot, report: &report })?;
    } else {
        let mut table = Table::new(&[">LINE", "ROW", "WHY"]);
        for problem in &report.problems {
            let row = if problem.used { "used" } else { "refused" };
            table.row([problem.line.to_string(), row.to_owned(), text::line(&problem.why)]);
        }
        if !report.problems.is_empty() {
            screen.text(&table.render())?;
        }
    }
    summary(&snapshot, &report, screen);
    Ok(u8::from(report.refused > 0))
}

fn show(
    list: &PriceList,
    instance_type: Option<&str>,
    now: Timestamp,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let (snapshot, report) = read(list, now)?;
    let wanted: Vec<&Entry> = match instance_type {
        None => snapshot.entries().iter().collect(),
        Some(name) => snapshot.of_type(&InstanceType::parse(name).map_err(|error| bad(&error))?).collect(),
    };
    if screen.format.is_json() {
        screen.values(&wanted)?;
    } else {
        let heads =
            ["TYPE", "REGION", "ZONE", ">GPUS", "MODEL", ">CPU", ">MEMORY", ">ON-DEMAND/H", ">SPOT/H"];
        let mut table = Table::new(&heads);
        for entry in wanted {
            table.row(cells(entry));
        }
        screen.text(&table.render())?;
    }
    summary(&snapshot, &report, screen);
    Ok(0)
}

fn cells(entry: &Entry) -> [String; 9] {
    let price =
        |price: Option<PerInstanceHour>| price.map_or("unknown".to_owned(), |price| price.0.to_string());
    let milli = entry.cpu.0;
    [
        entry.key.instance_type.to_string(),
        entry.key.region.to_string(),
        entry.key.zone.as_ref().map_or("-".to_owned(), ZoneId::to_string),
        entry.accelerators.map_or("-".to_owned(), |have| have.count.to_string()),
        entry.accelerators.map_or("-".to_owned(), |have| have.model.to_string()),
        if milli.is_multiple_of(1_000) { (milli / 1_000).to_string() } else { format!("{milli}m") },
        entry.memory.to_string(),
        price(entry.on_demand),
        price(entry.spot),
    ]
}

fn summary(snapshot: &Snapshot, report: &Report, screen: &mut Screen<'_>) {
    let rows = text::count(report.used as u64, "row", "rows");
    let Report { refused, doubtful, unpriced, .. } = report;
    let said = format!("{rows} used, {refused} refused, {doubtful} doubtful, {unpriced} without a price");
    screen.say(&if *refused > 0 { paint(WARN, &said) } else { said });
    screen.say(&format!("snapshot {}", snapshot.hash()));
}

fn read(list: &PriceList, now: Timestamp) -> Result<(Snapshot, Report), HpcError> {
    let provider = ProviderId::parse(list.provider.as_str()).map_err(|error| bad(&error))?;
    let mut how = Import::new(provider, list.file.display().to_string(), now);
    how.currency = Currency::parse(&list.currency).map_err(|error| bad(&error))?;
    how.region = list.region.as_deref().map(Region::parse).transpose().map_err(|error| bad(&error))?;
    if list.global_zones {
        how.zones = ZoneNames::Global;
    }
    let bytes = bytes(&list.file)?;
    import(&bytes, &how).map_err(|error| {
        let code = match error {
            CatalogError::TooLarge { .. } => &codes::USG_TOO_LARGE,
            _ => &codes::USG_UNKNOWN_VALUE,
        };
        let message = format!("`{}`: {error}", list.file.display());
        HpcError::coded(code, message).with("path", list.file.display())
    })
}

/// One byte more than is read, so that the importer can tell.
fn bytes(path: &Path) -> Result<Vec<u8>, HpcError> {
    let mut bytes = Vec::new();
    let most = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(path, &error))?;
    Ok(bytes)
}

fn bad(error: &dyn std::fmt::Display) -> HpcError {
    HpcError::coded(&codes::USG_UNKNOWN_VALUE, error.to_string())
}
