//! Snapshots: one content, one hash; and how long they are believed.

use hpc_catalog::{Freshness, Staleness, import};
use hpc_resources::{InstanceType, ProviderId, Region};
use jiff::{SignedDuration, Timestamp};

use crate::lists::{EC2, SKYPILOT, how, read_as};

const ROWS: [&str; 3] =
    ["a,2,8,,,,0.1,0.05,us-east-1,z1", "a,2,8,,,,0.1,,us-east-1,z2", "b,2,8,,,,0.3,,eu-west-1,z9"];

fn hash(rows: &[&str]) -> String {
    read_as(SKYPILOT, rows, &how()).unwrap().0.hash().to_owned()
}

#[test]
fn the_hash_is_of_the_content_and_of_nothing_else() {
    let [a, b, c] = ROWS;
    let one = hash(&ROWS);
    assert_eq!(one, hash(&[c, a, b]), "in whatever order");
    assert_eq!(one, hash(&[a, "broken", b, c]), "whatever was refused");
    let mut later = how();
    (later.source, later.as_of) = ("elsewhere".to_owned(), "2026-11-21T00:00:00Z".parse().unwrap());
    assert_eq!(one, read_as(SKYPILOT, &ROWS, &later).unwrap().0.hash(), "whenever and wherever it was read");
    for (from, to) in [
        ("0.1,", "0.2,"),
        ("0.05", ""),
        ("z1", "z3"),
        ("a,2", "a,3"),
        ("us-east-1", "us-east-2"),
        (",8,", ",9,"),
    ] {
        let changed = a.replace(from, to);
        assert_ne!(one, hash(&[&changed, b, c]), "{from} to {to}");
    }
    let mut other = how();
    other.provider = ProviderId::parse("other").unwrap();
    assert_ne!(one, read_as(SKYPILOT, &ROWS, &other).unwrap().0.hash());
}

#[test]
fn a_full_price_is_told_if_its_zones_agree() {
    let (snapshot, _) = read_as(SKYPILOT, &ROWS, &how()).unwrap();
    let price = |name: &str, region: &str| {
        let found = snapshot.on_demand(&InstanceType::parse(name).unwrap(), &Region::parse(region).unwrap());
        found.map(|price| price.0.to_string())
    };
    assert_eq!(price("a", "us-east-1").unwrap(), "0.10 USD");
    assert_eq!(price("b", "eu-west-1").unwrap(), "0.30 USD");
    assert_eq!((price("a", "eu-west-1"), price("c", "eu-west-1")), (None, None));
    let differing = [ROWS[0], &ROWS[1].replace("0.1", "0.2")];
    let (snapshot, _) = read_as(SKYPILOT, &differing, &how()).unwrap();
    assert_eq!(
        snapshot.on_demand(&InstanceType::parse("a").unwrap(), &Region::parse("us-east-1").unwrap()),
        None
    );
}

#[test]
fn a_snapshot_is_believed_for_a_while() {
    let (snapshot, _) = read_as(SKYPILOT, &ROWS, &how()).unwrap();
    let policy = Staleness::default();
    let after = |seconds: i64| -> Freshness {
        let now: Timestamp = snapshot.as_of().checked_add(SignedDuration::from_secs(seconds)).unwrap();
        snapshot.freshness(now, &policy)
    };
    const DAY: i64 = 86_400;
    assert_eq!([after(0), after(DAY - 1), after(-300)], [Freshness::Fresh; 3]);
    assert_eq!([after(DAY), after(14 * DAY - 1)], [Freshness::Stale; 2]);
    assert_eq!([after(14 * DAY), after(-301)], [Freshness::Unknown; 2]);
}

#[test]
fn a_source_is_cut_and_cleaned() {
    let mut how = how();
    how.source = format!("a\nb\u{1b}[31m{}", "\u{20ac}".repeat(200));
    let (snapshot, _) = read_as(SKYPILOT, &ROWS, &how).unwrap();
    assert!(
        snapshot.source().starts_with("ab[31m\u{20ac}")
            && snapshot.source().len() <= hpc_catalog::SOURCE_BYTES_MAX
    );
}

/// The real list of EC2's accelerated types, where the data folder is.
#[test]
fn the_real_list_is_read_as_it_is() {
    let path = "../../../shared/data/prices/aws-accelerated-us-east-1.csv";
    let Ok(list) = std::fs::read(path) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{path} is missing");
        eprintln!("skipped: {path} is not there");
        return;
    };
    assert!(list.starts_with(EC2.as_bytes()), "the columns of the tests are the real ones");
    let (snapshot, report) = import(&list, &how()).unwrap();
    let refused = |why: &str| {
        report.problems.iter().filter(|problem| !problem.used && problem.why.contains(why)).count()
    };
    // Of 79 types five rent out shares of a device, six carry a model without a name here, and trn2 states another quantity.
    assert_eq!([refused("share of"), refused("RTX PRO 4500"), refused("another quantity")], [5, 6, 2]);
    assert_eq!((report.used, report.refused), (66, 13));
    assert_eq!((report.doubtful, report.unpriced), (1, 2), "dl2q looks like MB; it and p5e have no price");
    let price = snapshot
        .on_demand(&InstanceType::parse("p5.48xlarge").unwrap(), &Region::parse("us-east-1").unwrap());
    assert_eq!(price.unwrap().0.to_string(), "55.04 USD");
}
