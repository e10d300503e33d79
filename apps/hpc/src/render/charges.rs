//! Charges as a table.

use hpc_broker::Charge;

use crate::table::Table;
use crate::text;

/// The head.
pub(crate) fn list() -> Table {
    Table::new(&[
        "month",
        "lease",
        "team",
        "provider",
        "instance",
        "from",
        ">time",
        ">per hour",
        ">cost",
        "note",
    ])
}

/// One charge.
pub(crate) fn row(table: &mut Table, charge: &Charge) {
    let mut notes = Vec::new();
    for (applies, note) in [
        (!charge.settled, "running"),
        (charge.reclaimed, "reclaimed"),
        (charge.lease.is_none(), "orphan"),
        (charge.simulated, "SIMULATED"),
    ] {
        if applies {
            notes.push(note);
        }
    }
    table.row([
        charge.month.to_string(),
        charge.lease.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        charge.team.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        charge.provider.to_string(),
        charge.instance.clone(),
        text::moment(charge.from),
        text::duration(charge.seconds),
        text::money(charge.price.0),
        charge.cost.to_string(),
        notes.join(", "),
    ]);
}
