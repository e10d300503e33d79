//! Charges with the columns of the FinOps Open Cost and Usage Specification, FOCUS 1.2.
//!
//! Amounts are exact: nothing is rounded in a row. A quantity in hours is written with 15 decimals, so that the product
//! with the unit price is the cost to the nano-unit.

use hpc_broker::Charge;
use hpc_error::{HpcError, codes};
use hpc_resources::{Money, OfferKind, SECONDS_PER_HOUR};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The columns, in the order in which they are written. Those that begin with `x_` are our own.
pub(crate) const COLUMNS: [&str; 57] = [
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "CapacityReservationId",
    "CapacityReservationStatus",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_ChargeId",
    "x_LeaseId",
    "x_Settled",
    "x_Simulated",
];

/// The head of a CSV file.
pub(crate) fn head() -> String {
    format!("{}\n", COLUMNS.join(","))
}

/// One charge as a line of CSV (RFC 4180); what is null is empty.
pub(crate) fn csv(charge: &Charge) -> String {
    let row = row(charge);
    let cells: Vec<String> = COLUMNS
        .iter()
        .map(|column| match row.get(*column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => cell(text),
            Some(other) => cell(&other.to_string()),
        })
        .collect();
    format!("{}\n", cells.join(","))
}

/// One charge as a line of JSON: every column is there, and amounts are text, so that no reader makes floats of them.
pub(crate) fn json(charge: &Charge) -> Result<String, HpcError> {
    let text = serde_json::to_string(&row(charge))
        .map_err(|error| HpcError::coded(&codes::INT_BUG, format!("a charge cannot be written: {error}")))?;
    Ok(format!("{text}\n"))
}

/// A cell that a spreadsheet takes for text or a number, never for a formula.
fn cell(text: &str) -> String {
    let is_amount = text.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
    let guarded = text.starts_with(['=', '+', '-', '@', '\t']) && !is_amount;
    let text = if guarded { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn row(charge: &Charge) -> Map<String, Value> {
    let cost = decimal(charge.cost);
    let price = decimal(charge.price.0);
    let currency = charge.cost.currency().as_str().to_owned();
    let kind = charge.kind.map(OfferKind::as_str);
    let sku = charge
        .instance_type
        .as_ref()
        .map(|name| format!("{}/{name}/{}", charge.provider, kind.unwrap_or("unknown")));
    let place = [&charge.region, &charge.zone].map(|place| place.as_deref().unwrap_or("unknown")).join("/");
    let price_id = sku.as_ref().map(|sku| format!("{sku}/{place}/{price}"));
    let mut tags = Map::new();
    for (name, value) in &charge.labels {
        tags.insert(name.clone(), json!(value));
    }
    for payer in &charge.payers {
        tags.insert(format!("hpc/{}", payer.kind().as_str()), json!(payer.id()));
    }
    tags.insert("hpc/simulated".to_owned(), json!(charge.simulated));
    let what = charge.instance_type.as_deref().unwrap_or("instance");
    let who = charge
        .lease
        .as_ref()
        .map_or_else(|| "explained by nothing".to_owned(), |lease| format!("lease {lease}"));
    let category = match charge.kind {
        _ if charge.paid => "Committed",
        // A reservation that somebody else pays for is used at the price of everybody.
        Some(OfferKind::OnDemand | OfferKind::Flex | OfferKind::Reserved | OfferKind::Block) => "Standard",
        Some(OfferKind::Spot) => "Dynamic",
        Some(OfferKind::Owned) | None => "Other",
    };
    // The commitment's columns are all there or all null.
    let committed = |value: Value| if charge.paid { value } else { Value::Null };
    let reserved = charge.reservation.as_ref().map(|_| "Used");
    let simulated = if charge.simulated { "SIMULATED: " } else { "" };
    let columns: [(&str, Value); COLUMNS.len()] = [
        ("AvailabilityZone", json!(charge.zone)),
        ("BilledCost", json!(cost)),
        ("BillingAccountId", json!("hpc")),
        ("BillingAccountName", json!(null)),
        ("BillingAccountType", json!("Installation")),
        ("BillingCurrency", json!(currency)),
        ("BillingPeriodEnd", json!(date_time(charge.month.end()))),
        ("BillingPeriodStart", json!(date_time(charge.month.start()))),
        ("CapacityReservationId", json!(charge.reservation)),
        ("CapacityReservationStatus", json!(reserved)),
        ("ChargeCategory", json!("Usage")),
        ("ChargeClass", json!(null)),
        ("ChargeDescription", json!(format!("{simulated}{what} on {}, {who}", charge.provider))),
        ("ChargeFrequency", json!("Usage-Based")),
        ("ChargePeriodEnd", json!(date_time(charge.to))),
        ("ChargePeriodStart", json!(date_time(charge.from))),
        ("CommitmentDiscountCategory", committed(json!("Usage"))),
        ("CommitmentDiscountId", committed(json!(charge.reservation))),
        ("CommitmentDiscountName", json!(null)),
        ("CommitmentDiscountQuantity", committed(json!(hours(charge.seconds)))),
        ("CommitmentDiscountStatus", committed(json!("Used"))),
        ("CommitmentDiscountType", committed(json!(kind))),
        ("CommitmentDiscountUnit", committed(json!("Hours"))),
        ("ConsumedQuantity", json!(charge.seconds.to_string())),
        ("ConsumedUnit", json!("Seconds")),
        ("ContractedCost", json!(cost)),
        ("ContractedUnitPrice", json!(price)),
        ("EffectiveCost", json!(cost)),
        ("InvoiceId", json!(null)),
        ("InvoiceIssuerName", json!(charge.provider)),
        ("ListCost", json!(cost)),
        ("ListUnitPrice", json!(price)),
        ("PricingCategory", json!(category)),
        ("PricingCurrency", json!(currency)),
        ("PricingQuantity", json!(hours(charge.seconds))),
        ("PricingUnit", json!("Hours")),
        ("ProviderName", json!(charge.provider)),
        ("PublisherName", json!(charge.provider)),
        ("RegionId", json!(charge.region)),
        ("RegionName", json!(charge.region)),
        ("ResourceId", json!(charge.instance)),
        ("ResourceName", json!(null)),
        ("ResourceType", json!("Instance")),
        ("ServiceCategory", json!("Compute")),
        ("ServiceName", json!(format!("{} instances", charge.provider))),
        ("ServiceSubcategory", json!("Virtual Machines")),
        ("SkuId", json!(sku.clone().unwrap_or_else(|| format!("{}/unknown", charge.provider)))),
        ("SkuMeter", json!("Instance Hours")),
        ("SkuPriceId", json!(price_id.unwrap_or_else(|| format!("{}/unknown/{price}", charge.provider)))),
        ("SubAccountId", json!(charge.team)),
        ("SubAccountName", json!(charge.team)),
        ("SubAccountType", json!(charge.team.as_ref().map(|_| "Team"))),
        ("Tags", json!(Value::Object(tags).to_string())),
        ("x_ChargeId", json!(charge.id)),
        ("x_LeaseId", json!(charge.lease)),
        ("x_Settled", json!(charge.settled.to_string())),
        ("x_Simulated", json!(charge.simulated.to_string())),
    ];
    columns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The amount without its currency, in plain decimals.
fn decimal(amount: Money) -> String {
    let text = amount.to_string();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Seconds as hours with 15 decimals, half up; trailing zeros are left out.
fn hours(seconds: u64) -> String {
    const SCALE: u128 = 1_000_000_000_000_000;
    let hour = u128::from(SECONDS_PER_HOUR);
    let scaled = (u128::from(seconds) * SCALE + hour / 2) / hour;
    let text = format!("{}.{:015}", scaled / SCALE, scaled % SCALE);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// ISO 8601 in UTC with whole seconds: what the meter counts.
fn date_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_exact_enough_for_the_nano_unit() {
        for (seconds, text) in
            [(0, "0"), (3_600, "1"), (5_400, "1.5"), (1, "0.000277777777778"), (86_400, "24")]
        {
            assert_eq!(hours(seconds), text);
        }
    }

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (text, written) in [
            ("plain", "plain"),
            ("-1.50", "-1.50"),
            ("=1+1", "'=1+1"),
            ("-2+3", "'-2+3"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
        ] {
            assert_eq!(cell(text), written);
        }
    }

    fn charged(kind: &str, reservation: Option<&str>, paid: bool) -> Map<String, Value> {
        let charge = json!({
            "id": "lse_1/aws/i-1/2026-11", "lease": "lse_1", "intent": "int_1", "team": "ml", "payers": [], "principal": "you",
            "labels": {}, "provider": "aws", "instance": "i-1", "region": "r", "zone": "z", "instance_type": "p5.48xlarge",
            "kind": kind, "reservation": reservation, "paid": paid, "price": "0.00 USD", "month": "2026-11",
            "from": "2026-11-20T12:00:00Z", "to": "2026-11-20T13:30:00Z", "seconds": 5400, "cost": "0.00 USD",
            "settled": true, "reclaimed": false, "simulated": false,
        });
        row(&serde_json::from_value(charge).unwrap())
    }

    #[test]
    fn what_is_paid_for_names_its_commitment_and_nothing_else_does() {
        let columns: Vec<&&str> =
            COLUMNS.iter().filter(|name| name.starts_with("Commitment") && !name.ends_with("Name")).collect();
        assert_eq!(columns.len(), 6);
        let row = charged("block", Some("cr-1"), true);
        assert_eq!((&row["BilledCost"], &row["PricingCategory"]), (&json!("0.00"), &json!("Committed")));
        assert_eq!(
            (&row["CapacityReservationId"], &row["CapacityReservationStatus"]),
            (&json!("cr-1"), &json!("Used"))
        );
        let values: Vec<&Value> = columns.iter().map(|name| &row[**name]).collect();
        assert_eq!(values, ["Usage", "cr-1", "1.5", "Used", "block", "Hours"]);
        for (kind, reservation, category) in
            [("reserved", Some("cr-1"), "Standard"), ("flex", None, "Standard"), ("spot", None, "Dynamic")]
        {
            let row = charged(kind, reservation, false);
            assert!(columns.iter().all(|name| row[**name].is_null()), "{kind}");
            assert_eq!(
                (&row["PricingCategory"], &row["CapacityReservationId"]),
                (&json!(category), &json!(reservation))
            );
        }
    }

    #[test]
    fn columns_are_sorted_and_each_once() {
        assert!(COLUMNS.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
