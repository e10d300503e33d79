//! Machines of one's own as a provider: an inventory says what there is, a ledger says who has it.
//!
//! [`StaticProvider`] reserves machines all or none and by token. A reservation is one transaction of the ledger, so a
//! process that is killed leaves a whole reservation or none, and the same token finds it again. A machine that is taken
//! out of the inventory while somebody has it stays theirs, and is reported as [`Missing`].
//!
//! Never reads a clock or a file, and never touches a machine: how one is reached and started is not its business.
//!
//! # Example: an inventory of two machines
//! ```
//! use hpc_provider_static::{Inventory, InventoryDocument};
//!
//! let document: InventoryDocument = serde_json::from_str(
//!     r#"{
//!         "region": "berlin-1",
//!         "types": { "dgx-h100": {
//!             "gpus": { "model": "h100", "count": 8, "memory_each": "80 GiB" },
//!             "cpu": 192, "memory": "2 TiB", "price": "20.00 USD"
//!         } },
//!         "machines": [
//!             { "name": "dgx-01", "type": "dgx-h100", "zone": "rack-a" },
//!             { "name": "dgx-02", "type": "dgx-h100", "zone": "rack-a", "out_of_service": "a fan is broken" }
//!         ]
//!     }"#,
//! )?;
//! let inventory = Inventory::check(document)?;
//! assert_eq!(inventory.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! A program reads the file with `hpc_config::read_document`, which names line and column of what is wrong.
//!
//! | supports | settings | cost of a call |
//! | --- | --- | --- |
//! | all but `check_spot_prices` and `interruptions` | an id, an [`Inventory`], a ledger, a clock | reads of the ledger; `provision` and `release` one commit |
//!
//! Features: none.

mod inventory;
mod ledger;
mod provider;
mod record;
mod refusal;

pub use inventory::{
    GpusDocument, Inventory, InventoryDocument, InventoryError, MACHINES_MAX, Machine, MachineDocument,
    NAME_BYTES_MAX, NOTE_BYTES_MAX, Price, TAGS_MAX, TYPES_MAX, TypeDocument,
};
pub use provider::{
    Clock, ENDED_KEPT_MAX, MACHINES_PER_CALL_MAX, Missing, OBSERVE_MAX, PAGE_INSTANCES, Reloaded,
    StaticProvider,
};
