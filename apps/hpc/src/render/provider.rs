//! Providers and how they are.

use hpc_broker::ProviderStatus;
use hpc_provider::PriceSource;
use jiff::Timestamp;

use crate::output::{BAD, GOOD, HEAD, WARN, paint};
use crate::table::Table;
use crate::text;

/// Stock-outs of one provider in a table.
const STOCK_OUTS_SHOWN: usize = 16;

/// How it is, in a word.
fn health(status: &ProviderStatus) -> &'static str {
    match status.healthy {
        _ if !status.missing.is_empty() => "cannot create",
        Some(true) => "well",
        Some(false) => "failing",
        None => "not asked yet",
    }
}

/// Many providers.
pub(crate) fn list(providers: &[ProviderStatus], now: Timestamp, wide: bool) -> String {
    let mut heads =
        vec!["provider", "health", "asked", ">offers", "catalog", "prices", ">out of stock", "simulated"];
    if wide {
        heads.extend(["snapshot", "last error"]);
    }
    let mut table = Table::new(&heads);
    for status in providers {
        let snapshot = status.snapshot.as_ref();
        let dash = || "-".to_owned();
        let ago = |at: Timestamp| format!("{} ago", text::between(at, now));
        let mut row = vec![
            status.description.provider.to_string(),
            health(status).to_owned(),
            status.last_ok.map_or_else(dash, ago),
            snapshot.map_or_else(dash, |seen| seen.offers.to_string()),
            snapshot.map_or_else(dash, |seen| ago(seen.asked_at)),
            oldest_price(status).map_or_else(dash, |as_of| format!("{} old", text::between(as_of, now))),
            status.stock_outs.len().to_string(),
            if status.description.simulated { "yes" } else { "no" }.to_owned(),
        ];
        if wide {
            row.push(snapshot.map_or_else(dash, |seen| seen.hash.chars().take(12).collect()));
            row.push(status.last_error.as_ref().map_or_else(dash, |seen| seen.error.to_string()));
        }
        table.row(row);
    }
    table.render()
}

/// When the oldest of its prices was true: those of its last answer, or of a list that it was given.
fn oldest_price(status: &ProviderStatus) -> Option<Timestamp> {
    let told = status.snapshot.as_ref().map(|seen| seen.as_of);
    told.into_iter().chain(status.price_sources.iter().map(|source| source.as_of)).min()
}

/// A list of prices, in a line.
pub(super) fn source(source: &PriceSource, now: Timestamp) -> String {
    let hash: String = source.hash.chars().take(12).collect();
    let age = text::between(source.as_of, now);
    let prices = text::count(source.priced, "price", "prices");
    let mut line = format!("{} {hash}, {age} old, {prices}", text::line(&source.name));
    if source.refused > 0 {
        line.push_str(&format!(", {}", text::count(source.refused, "row refused", "rows refused")));
    }
    match source.unknown_from {
        Some(end) if end <= now => line.push_str(&paint(BAD, "; too old: nothing is bought at them")),
        Some(end) => line.push_str(&format!(", believed for another {}", text::between(now, end))),
        None => {}
    }
    line
}

/// One provider.
pub(crate) fn one(status: &ProviderStatus, now: Timestamp) -> String {
    let word = health(status);
    let style = match status.healthy {
        _ if !status.missing.is_empty() => BAD,
        Some(true) => GOOD,
        Some(false) => BAD,
        None => WARN,
    };
    let description = &status.description;
    let mut out = format!("{} {}", paint(HEAD, description.provider.as_str()), paint(style, word));
    if description.simulated {
        out.push_str(&format!("   {}", paint(WARN, "SIMULATED")));
    }
    out.push('\n');
    let mut table = Table::plain().indent(2);
    if !status.missing.is_empty() {
        table.row(["missing", &format!("{}: nothing is bought there", status.missing.join(", "))]);
    }
    if let Some(at) = status.last_ok {
        table.row(["last answer", &format!("{} ago", text::between(at, now))]);
    }
    if let Some(seen) = &status.last_error {
        table.row(["last error", &format!("{}, {}: {}", text::moment(seen.at), seen.call, seen.error)]);
    }
    if let Some(seen) = &status.snapshot {
        let cut = if seen.truncated { ", cut" } else { "" };
        let hash: String = seen.hash.chars().take(12).collect();
        let age = text::between(seen.as_of, now);
        table.row(["snapshot", &format!("{hash}, prices {age} old, {} offers{cut}", seen.offers)]);
        table.row(["catalog", &format!("asked for {} ago", text::between(seen.asked_at, now))]);
        if let Some(trouble) = &seen.trouble {
            table.row(["", &paint(WARN, &format!("nothing newer: {}", text::line(&trouble.to_string())))]);
        }
    }
    for list in &status.price_sources {
        table.row(["prices", &source(list, now)]);
        if let Some(trouble) = &list.trouble {
            table.row(["", &paint(WARN, &format!("nothing newer: {}", text::line(trouble)))]);
        }
    }
    let ms = |ms: u64| format!("{ms} ms");
    table.row(["consistency", &ms(description.consistency_ms)]);
    table.row(["clock skew", &ms(description.clock_skew_ms)]);
    out.push_str(&table.render());
    if let Some(quotas) = status.quotas.as_ref().filter(|quotas| !quotas.is_empty()) {
        let mut table = Table::new(&["family", "region", ">used", ">limit"]).indent(2);
        for quota in quotas {
            table.row([
                quota.family.to_string(),
                quota.region.to_string(),
                quota.used.to_string(),
                quota.limit.to_string(),
            ]);
        }
        out.push_str(&format!("{}\n{}", paint(HEAD, "Quotas"), table.render()));
    }
    if !status.stock_outs.is_empty() {
        let mut table = Table::new(&["out of stock", "scope", "why", "seen", "until", ">times"]).indent(2);
        for stock in status.stock_outs.iter().take(STOCK_OUTS_SHOWN) {
            table.row([
                stock.place.to_string(),
                stock.place.scope().as_str().to_owned(),
                format!("{} ({})", stock.reason.as_str(), stock.code),
                text::clock_time(stock.seen_at),
                text::clock_time(stock.until),
                stock.times.to_string(),
            ]);
        }
        out.push_str(&table.render());
        let more = status.stock_outs.len().saturating_sub(STOCK_OUTS_SHOWN);
        if more > 0 {
            out.push_str(&format!("  {more} more: -o json\n"));
        }
    }
    out
}
