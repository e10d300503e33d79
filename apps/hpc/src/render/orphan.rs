//! Orphans.

use hpc_broker::{OrphanState, OrphanView, OrphanWhy};
use jiff::Timestamp;

use crate::table::Table;
use crate::text;

/// Many orphans.
pub(crate) fn list(orphans: &[OrphanView], now: Timestamp, wide: bool) -> String {
    let mut heads = vec!["orphan", "state", ">age", ">per hour", ">cost so far", "why it counts"];
    if wide {
        heads.extend(["provider", "instance", "since", "lease", "intent"]);
    }
    let mut table = Table::new(&heads);
    for orphan in orphans {
        let unknown = || "unknown".to_owned();
        let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let mut row = vec![
            orphan.name.clone(),
            state(orphan.state).to_owned(),
            text::between(orphan.from, orphan.to.unwrap_or(now)),
            orphan.price.map_or_else(unknown, |price| text::money(price.0)),
            orphan.cost.map_or_else(unknown, text::money),
            orphan.why.map_or("unknown", why).to_owned(),
        ];
        if wide {
            row.extend([
                orphan.provider.to_string(),
                orphan.instance.clone(),
                text::moment(orphan.from),
                dash(&orphan.lease),
                dash(&orphan.intent),
            ]);
        }
        table.row(row);
    }
    table.render()
}

fn state(state: OrphanState) -> &'static str {
    match state {
        OrphanState::Young => "young",
        OrphanState::Found => "found",
        OrphanState::Ending => "ending",
        OrphanState::Ended => "ended",
    }
}

fn why(why: OrphanWhy) -> &'static str {
    match why {
        OrphanWhy::Untagged => "no tag of an intent",
        OrphanWhy::UnknownIntent => "its intent is unknown here",
        OrphanWhy::NotOfIntent => "its intent ended without it",
        OrphanWhy::EndedBefore => "it lives on after its end",
    }
}
