//! Catalogs: the built-in one, one of yours, and broken ones.

use std::path::PathBuf;

use hpc_provider::{CapacityProvider, QuoteRequest};
use hpc_provider_sim::{
    CATALOG_BYTES_MAX, CATALOG_COLUMNS, CatalogReport, CatalogSource, Script, SimConfig, SimError, SimWorld,
};
use hpc_resources::{Offer, OfferKind, ResourceRequest};

use crate::tools::{cloud, config, world};

const GOOD: &str =
    "p5.48xlarge,gpu,NVIDIA,H100,8,1.0,81920,655360,192,2097152,3200 Gigabit,32,on-demand|spot,55.04";

fn open(text: String) -> Result<SimWorld, SimError> {
    let catalog = CatalogSource::Csv { name: "test.csv".to_owned(), text };
    SimWorld::open(SimConfig { catalog, ..config(Script::default()) })
}

fn with_rows(rows: &[&str]) -> Result<SimWorld, SimError> {
    open(format!("{CATALOG_COLUMNS}\n{}\n", rows.join("\n")))
}

fn aws_report(world: &SimWorld) -> CatalogReport {
    world.catalog_report().into_iter().find(|(id, _)| id.as_str() == "sim-aws").unwrap().1
}

async fn aws_offers(world: &SimWorld, model: &str) -> Vec<Offer> {
    let request = ResourceRequest::new("t").add_gpu_named(model, 1).build().unwrap();
    cloud(world, "sim-aws").get_quote(&QuoteRequest { request, now: world.now() }).await.unwrap().offers
}

#[tokio::test]
async fn the_built_in_catalog_is_read_whole() {
    let world = world(Script::default());
    for (id, report) in world.catalog_report() {
        assert_eq!(report.rows_refused, 0, "{id}: {:?}", report.refused);
        assert!(report.rows_used >= 2);
    }
    assert_eq!(aws_report(&world).prices_unknown, 1, "p5e.48xlarge");
    let h100 = aws_offers(&world, "h100").await;
    let list = h100.iter().find(|offer| {
        offer.zone.as_str() == "use1-az1"
            && offer.kind == OfferKind::OnDemand
            && offer.instance_type.as_str() == "p5.48xlarge"
    });
    assert_eq!(list.unwrap().price.unwrap().0.to_string(), "55.04 USD");
    // 40 and 80 GB are told apart by the memory in the row.
    let types = |offers: Vec<Offer>| -> std::collections::BTreeSet<String> {
        offers.into_iter().map(|offer| offer.instance_type.as_str().to_owned()).collect()
    };
    assert_eq!(
        types(aws_offers(&world, "a100-40gb").await).into_iter().collect::<Vec<_>>(),
        ["p4d.24xlarge"]
    );
    assert_eq!(
        types(aws_offers(&world, "a100-80gb").await).into_iter().collect::<Vec<_>>(),
        ["p4de.24xlarge"]
    );
}

#[tokio::test]
async fn a_request_without_accelerators_is_offered_machines_without() {
    let world = world(Script::default());
    let request = ResourceRequest::new("t").add_cpu(4).build().unwrap();
    for id in ["sim-aws", "sim-gcp"] {
        let quote = QuoteRequest { request: request.clone(), now: world.now() };
        let offers = cloud(&world, id).get_quote(&quote).await.unwrap().offers;
        assert!(
            !offers.is_empty()
                && offers.iter().all(|offer| offer.accelerators.is_none() && offer.quota.is_none())
        );
    }
}

#[tokio::test]
async fn the_offers_name_the_content_they_come_from() {
    let (one, same, other) =
        (with_rows(&[GOOD]), with_rows(&[GOOD]), with_rows(&[&GOOD.replace("55.04", "55.05")]));
    let snapshot = |world: Result<SimWorld, SimError>| aws_report(&world.unwrap()).snapshot;
    let (one_hash, same_hash, other_hash) = (snapshot(one), snapshot(same), snapshot(other));
    assert_eq!(one_hash, same_hash);
    assert_ne!(one_hash, other_hash);
    let world = with_rows(&[GOOD]).unwrap();
    assert!(aws_offers(&world, "h100").await.iter().all(|offer| offer.snapshot == one_hash));
}

#[test]
fn a_broken_row_is_reported_and_the_rest_is_used() {
    let broken = [
        (GOOD.replace("p5.48xlarge", "p5 48"), "cannot stand in"),
        (GOOD.replace("H100", "H1000X"), "unknown accelerator"),
        (GOOD.replace("A100", "x").replace("H100", "A100").replace("81920", "1024"), "ambiguous"),
        (GOOD.replace(",8,1.0", ",0,0.25"), "share of 0.25"),
        (GOOD.replace(",8,1.0", ",0,1.0"), "no whole device"),
        (GOOD.replace(",8,1.0", ",-8,1.0"), "not a whole number"),
        (GOOD.replace(",8,1.0", ",9999,1.0"), "more than 1024"),
        (GOOD.replace("81920", "0"), "which no device has"),
        (GOOD.replace(",192,", ",0,"), "is not a machine"),
        (GOOD.replace("55.04", "5.504e1"), "not an amount"),
        (GOOD.replace("55.04", "-1"), "below zero"),
        (GOOD.replace("on-demand|spot", "capacity-block"), "neither"),
        (GOOD.replace(",55.04", ""), "13 fields"),
        (GOOD.to_owned(), "twice"),
    ];
    let mut rows = vec![GOOD];
    rows.extend(broken.iter().map(|(row, _)| row.as_str()));
    let report = aws_report(&with_rows(&rows).unwrap());
    assert_eq!((report.rows_used, report.rows_refused), (1, 14));
    for ((index, refused), (_, why)) in report.refused.iter().enumerate().zip(&broken) {
        assert!(refused.why.contains(why), "{refused:?} should say `{why}`");
        assert_eq!(refused.line, u64::try_from(index).unwrap() + 3, "{refused:?}");
    }
}

#[tokio::test]
async fn no_price_and_a_price_of_zero_are_both_unknown() {
    for price in [",", ",0.0", ",0.000000"] {
        let row = GOOD.replace(",55.04", price);
        let world = with_rows(&[&row]).unwrap();
        assert_eq!(aws_report(&world).prices_unknown, 1);
        let offers = aws_offers(&world, "h100").await;
        assert!(!offers.is_empty() && offers.iter().all(|offer| offer.price.is_none()), "{price}");
    }
}

#[test]
fn a_broken_file_is_an_error_that_says_what_to_do() {
    let error = open("instance_type,count\np5,8\n".to_owned()).unwrap_err();
    let SimError::CatalogColumns { missing, .. } = &error else { panic!("{error}") };
    assert!(missing.contains(&"usage_classes".to_owned()) && !missing.contains(&"count".to_owned()));
    assert!(error.to_string().contains("instance_type,accelerator_kind"), "{error}");
    for text in ["", "\n\n", "\u{0}\u{1}\u{2}", "<html>"] {
        assert!(matches!(open(text.to_owned()), Err(SimError::CatalogColumns { .. })), "{text:?}");
    }
    assert!(matches!(with_rows(&[]), Err(SimError::CatalogEmpty { refused: 0, .. })));
    let error = with_rows(&["x,y"]).unwrap_err();
    assert!(matches!(&error, SimError::CatalogEmpty { refused: 1, .. }), "{error}");
    let huge = "x".repeat(usize::try_from(CATALOG_BYTES_MAX).unwrap() + 1);
    assert!(matches!(open(huge), Err(SimError::CatalogTooLarge { .. })));
    let many = vec!["x"; 100_001];
    assert!(matches!(with_rows(&many), Err(SimError::CatalogTooLarge { .. })));
    let missing =
        SimConfig { catalog: CatalogSource::File(PathBuf::from("no/such.csv")), ..config(Script::default()) };
    assert!(matches!(SimWorld::open(missing), Err(SimError::Io { .. })));
}

#[test]
fn bytes_that_are_no_text_are_one_refused_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    let mut bytes = format!("\u{feff}{CATALOG_COLUMNS}\n").into_bytes();
    bytes.extend_from_slice(b"\xff\xfe,gpu,NVIDIA,H100,8,1.0,81920,655360,192,2097152,n,32,spot,1\n");
    bytes.extend_from_slice(GOOD.as_bytes());
    std::fs::write(&path, bytes).unwrap();
    let catalog = CatalogSource::File(path);
    let report = aws_report(&SimWorld::open(SimConfig { catalog, ..config(Script::default()) }).unwrap());
    assert_eq!((report.rows_used, report.rows_refused), (1, 1), "{:?}", report.refused);
}

/// The whole real list: 79 types, of which six rent out shares of a device and six carry a model that has no name here.
#[tokio::test]
async fn the_real_price_list_is_read() {
    let path = PathBuf::from("../../../shared/data/prices/aws-accelerated-us-east-1.csv");
    if !path.exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", path.display());
        eprintln!("skipped: {} is not there", path.display());
        return;
    }
    let world = SimWorld::open(SimConfig { catalog: CatalogSource::File(path), ..config(Script::default()) })
        .unwrap();
    let report = aws_report(&world);
    assert_eq!(report.rows_used + report.rows_refused, 79);
    assert_eq!(report.prices_unknown, 4, "dl2q, p5e and two trn2 have no price");
    let shares = report.refused.iter().filter(|row| row.why.contains("share of")).count();
    let unnamed = report.refused.iter().filter(|row| row.why.contains("RTX PRO 4500")).count();
    assert_eq!((shares, unnamed, report.rows_refused), (5, 6, 11), "{:?}", report.refused);
    assert!(aws_offers(&world, "b300").await.iter().all(|offer| offer.simulated));
}
