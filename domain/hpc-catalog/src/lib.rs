//! Price lists into snapshots: what machines there are, where, and what they cost, as of when.
//!
//! [`import`] reads the CSV columns of this field. A row that cannot be meant is reported with its line and its reason, and
//! the rest is used; a price that is empty or zero is unknown, never zero. A [`Snapshot`] names its source, its time and the
//! hash of its content, and a [`Staleness`] says how long it may be believed.
//!
//! Never reads a file or a clock, and never guesses: an ambiguous name is an error.
//!
//! # Example
//! ```
//! use hpc_catalog::{Import, ZoneNames, import};
//!
//! let list = "InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Price,SpotPrice,Region,AvailabilityZone\n\
//!     p5.48xlarge,192,2048,H100,8,\"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81920}}]}\",55.04,,us-east-1,\n\
//!     p4d.24xlarge,96,1152,A100,8,,0.0,,us-east-1,\n";
//! let how = Import::new("aws".parse_id()?, "list of the day", "2026-11-20T12:00:00Z".parse()?);
//! let (snapshot, report) = import(list.as_bytes(), &how)?;
//! assert_eq!((snapshot.entries().len(), report.refused), (1, 1));
//! assert_eq!(report.problems[0].line, 3); // 40 or 80 GB? The row does not say.
//! # use hpc_resources::ProviderId;
//! # trait ParseId { fn parse_id(&self) -> Result<ProviderId, hpc_resources::IdError>; }
//! # impl ParseId for str { fn parse_id(&self) -> Result<ProviderId, hpc_resources::IdError> { ProviderId::parse(self) } }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Features: none.

mod columns;
mod decimal;
mod entry;
mod import;
mod line;
mod literal;
mod rows;
mod snapshot;
mod words;

pub use columns::Columns;
pub use entry::{Entry, EntryKey};
pub use import::{
    BYTES_MAX, CatalogError, Import, LINE_BYTES_MAX, Limits, PROBLEMS_SHOWN_MAX, Problem, ROWS_MAX, Report,
    ZoneNames, import,
};
pub use snapshot::{Freshness, SOURCE_BYTES_MAX, Snapshot, Staleness};
pub use words::{PriceTextError, listed_price, model_with_memory};
