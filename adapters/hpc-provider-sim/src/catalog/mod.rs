//! What the simulated clouds rent out: machine shapes with their list prices, from the built-in file or one of yours.

mod parse;

use std::io::Read;
use std::path::{Path, PathBuf};

use hpc_resources::{Accelerators, Bytes, InstanceType, MilliCpu, Money};
use serde::Serialize;

use crate::error::SimError;

/// Largest catalog file, in bytes: 10 MiB.
pub const CATALOG_BYTES_MAX: u64 = 10 << 20;
/// Most rows in a catalog.
pub const CATALOG_ROWS_MAX: u64 = 100_000;
/// Most refused rows a report spells out; all are counted.
pub const REFUSED_SHOWN_MAX: usize = 100;

/// The columns of an outside catalog, in the order in which they are usually written.
pub const CATALOG_COLUMNS: &str = "instance_type,accelerator_kind,manufacturer,accelerator,count,partition_size,\
memory_mib_each,memory_mib_total,vcpus,memory_mib,network,max_efa,usage_classes,on_demand_usd_per_instance_hour";

const BUILTIN: &str = include_str!("../../catalog/builtin.csv");

/// Where the catalog of `sim-aws` comes from. The other clouds always use the built-in one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CatalogSource {
    /// The file that comes with this package.
    #[default]
    BuiltIn,
    /// A CSV file with the columns of [`CATALOG_COLUMNS`].
    File(PathBuf),
    /// The same as text, with a name for reports.
    Csv {
        /// What to call it.
        name: String,
        /// The text.
        text: String,
    },
}

/// A row that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedRow {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Why.
    pub why: String,
}

/// What became of a catalog's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogReport {
    /// The catalog's name.
    pub name: String,
    /// BLAKE3 of its text, in hex: what every offer names as its snapshot.
    pub snapshot: String,
    /// Rows that became offers.
    pub rows_used: u64,
    /// Used rows whose price is not known.
    pub prices_unknown: u64,
    /// Rows that were refused, in all.
    pub rows_refused: u64,
    /// The first of them, at most [`REFUSED_SHOWN_MAX`].
    pub refused: Vec<RefusedRow>,
}

/// One machine type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) instance_type: InstanceType,
    pub(crate) accelerators: Option<Accelerators>,
    pub(crate) cpu: MilliCpu,
    pub(crate) memory: Bytes,
    /// List price of one instance for an hour in the cloud's first region; `None` when unknown.
    pub(crate) on_demand: Option<Money>,
    pub(crate) sells_on_demand: bool,
    pub(crate) sells_spot: bool,
}

/// A read catalog: shapes and the report on them.
pub(crate) struct Shapes {
    pub(crate) shapes: Vec<Shape>,
    pub(crate) report: CatalogReport,
}

/// The rows of the built-in catalog for one simulated cloud.
pub(crate) fn builtin(provider: &str) -> Result<Shapes, SimError> {
    parse::builtin(BUILTIN, provider)
}

impl CatalogSource {
    pub(crate) fn load_aws(&self) -> Result<Shapes, SimError> {
        match self {
            Self::BuiltIn => builtin("sim-aws"),
            Self::Csv { name, text } => parse::outside(name, text.as_bytes()),
            Self::File(path) => parse::outside(&path.display().to_string(), &read_bounded(path)?),
        }
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, SimError> {
    let io = |source| SimError::Io { action: "read", path: path.to_path_buf(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    // One byte more than allowed, so that the parser can tell.
    file.take(CATALOG_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}
