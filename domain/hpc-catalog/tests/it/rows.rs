//! Broken rows are named and the rest is used; broken lists are refused; limits are exact.

use hpc_catalog::{CatalogError, Columns, LINE_BYTES_MAX, Limits, PROBLEMS_SHOWN_MAX, import};
use proptest::prelude::*;

use crate::lists::{EC2, GPUHUNT, SKYPILOT, good, how, read_as, refused, sky};

const GOOD: &str = "good,2,8,,,,0.1,,us-east-1,";

#[test]
fn every_broken_row_is_named_and_the_rest_is_used() {
    let long = format!("x{},2,8,,,,0.1,,us-east-1,", "y".repeat(LINE_BYTES_MAX));
    let rows: [(&str, &str); 10] = [
        ("a b,2,8,,,,0.1,,us-east-1,", "instance type"),
        (",2,8,,,,0.1,,us-east-1,", "without a machine"),
        ("x,2,8,,,,0.1,,,", "region"),
        ("x,0,8,,,,0.1,,us-east-1,", "`vCPUs`"),
        ("x,2,0,,,,0.1,,us-east-1,", "`MemoryGiB`"),
        ("x,2,8,,,,a,,us-east-1,", "`Price`"),
        ("x,2,8,,,,0.1,b,us-east-1,", "`SpotPrice`"),
        ("x,2,8,,,,0.1", "fields"),
        ("\"x,2,8,,,,0.1,,us-east-1,", "quotes"),
        (&long, "longer"),
    ];
    let mut list: Vec<&str> = rows.iter().map(|(row, _)| *row).collect();
    list.push(GOOD);
    let (snapshot, report) = read_as(SKYPILOT, &list, &how()).unwrap();
    assert_eq!((report.used, report.refused, snapshot.entries().len()), (1, rows.len(), 1));
    for (index, (row, wanted)) in rows.iter().enumerate() {
        let problem = &report.problems[index];
        assert_eq!((problem.line, problem.used), (index + 2, false));
        assert!(problem.why.contains(wanted), "{row:.60}: {}", problem.why);
    }
}

#[test]
fn bytes_that_are_no_text_spoil_their_row_only() {
    let list =
        [SKYPILOT.as_bytes(), b"\nx\xff,2,8,,,,0.1,,us-east-1,\r\n", GOOD.as_bytes(), b"\r\n\r\n"].concat();
    let (_, report) = import(&list, &how()).unwrap();
    assert_eq!((report.used, report.refused), (1, 1));
    assert_eq!(report.problems[0].why, "not UTF-8 text");
    let marked = [b"\xef\xbb\xbf".as_slice(), SKYPILOT.as_bytes(), b"\n", GOOD.as_bytes()].concat();
    assert_eq!(import(&marked, &how()).unwrap().1.used, 1);
}

#[test]
fn a_row_that_comes_twice_counts_once() {
    let (snapshot, report) = read_as(SKYPILOT, &[GOOD, &GOOD.replace("0.1", "0.2"), GOOD], &how()).unwrap();
    assert_eq!((report.used, report.refused), (1, 2));
    assert_eq!(snapshot.entries()[0].on_demand.unwrap().0.to_string(), "0.10 USD");
    // Two rows that tell spot and on-demand of one machine are one entry; of two machines they are not.
    let rows = ["m,eu,2,8,64,nvidia,1,H100,80,False,", "m,eu,1,8,64,nvidia,1,H100,80,True,"];
    let entries = good(GPUHUNT, &rows);
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].on_demand.unwrap().0.nanos(), entries[0].spot.unwrap().0.nanos()),
        (2_000_000_000, 1_000_000_000)
    );
    let other = ["m,eu,2,8,64,nvidia,1,H100,80,False,", "m,eu,1,9,64,nvidia,1,H100,80,True,"];
    assert_eq!(read_as(GPUHUNT, &other, &how()).unwrap().1.refused, 1);
    assert!(refused(GPUHUNT, "m,eu,2,8,64,nvidia,1,H100,80,maybe,").contains("`spot`"));
}

#[test]
fn lists_of_other_columns_are_refused_with_what_they_lack() {
    let error = import(b"InstanceType,vCPUs,MemoryGiB\nx,1,1\n", &how()).unwrap_err();
    let CatalogError::Columns { nearest: Columns::SkyPilot, missing } = error else { panic!("{error}") };
    assert!(missing.contains(&"Price"));
    for list in [&b""[..], b"\n", b"\xff\xff", b"\""] {
        assert!(matches!(import(list, &how()), Err(CatalogError::Columns { .. })));
    }
    for list in [SKYPILOT.to_owned(), format!("{SKYPILOT}\n\n\n")] {
        let error = import(list.as_bytes(), &how()).unwrap_err();
        assert_eq!(error, CatalogError::Empty { refused: 0, first: "there are no rows".to_owned() });
    }
    let mut nowhere = how();
    nowhere.region = None;
    let row = "m,gpu,NVIDIA,H100,1,1.0,81920,81920,8,65536,x,,on-demand,1";
    assert!(matches!(read_as(EC2, &[row], &nowhere), Err(CatalogError::Empty { .. })));
}

/// Columns may stand in any order, with others among them.
#[test]
fn columns_are_found_by_name() {
    let columns = "Region,x,SpotPrice,Price,GpuInfo,AcceleratorCount,AcceleratorName,MemoryGiB,vCPUs,AvailabilityZone,InstanceType";
    let moved = good(columns, &["us-east-1,?,,0.1,,,,8,2,,good"]);
    assert_eq!(moved, good(SKYPILOT, &[GOOD]));
}

#[test]
fn limits_are_exact() {
    let rows = |count: usize| (0..count).map(|n| GOOD.replace("good", &format!("m{n}"))).collect::<Vec<_>>();
    let read = |count: usize, limits: Limits| {
        let mut how = how();
        how.limits = limits;
        let rows = rows(count);
        read_as(SKYPILOT, &rows.iter().map(String::as_str).collect::<Vec<_>>(), &how)
    };
    let few = Limits { rows: 10, ..Limits::default() };
    assert_eq!(read(10, few).unwrap().1.used, 10);
    assert_eq!(read(11, few), Err(CatalogError::TooLarge { what: "rows", limit: 10 }));
    let bytes = SKYPILOT.len() + 1 + rows(10).iter().map(|row| row.len() + 1).sum::<usize>();
    assert!(read(10, Limits { bytes, ..Limits::default() }).is_ok());
    let small = Limits { bytes: bytes - 1, ..Limits::default() };
    assert_eq!(read(10, small), Err(CatalogError::TooLarge { what: "bytes", limit: bytes - 1 }));
    let broken: Vec<String> =
        (0..PROBLEMS_SHOWN_MAX + 5).map(|_| "x".to_owned()).chain([GOOD.to_owned()]).collect();
    let (_, report) =
        read_as(SKYPILOT, &broken.iter().map(String::as_str).collect::<Vec<_>>(), &how()).unwrap();
    assert_eq!((report.refused, report.problems.len()), (PROBLEMS_SHOWN_MAX + 5, PROBLEMS_SHOWN_MAX));
    // A line at its limit is read.
    let padded = format!("\"{}\"", "z".repeat(LINE_BYTES_MAX - GOOD.len() - 2));
    let row = GOOD.replacen(",,,,", &format!(",,,{padded},"), 1);
    assert_eq!(row.len(), LINE_BYTES_MAX);
    assert_eq!(good(SKYPILOT, &[&row]).len(), 1);
    let longer = row.replacen('z', "zz", 1);
    assert!(refused(SKYPILOT, &longer).contains("longer"));
}

proptest! {
    /// Whatever the bytes are: no panic, every row is counted, and nothing is free.
    #[test]
    fn any_bytes_are_counted_and_nothing_is_free(
        rows in prop::collection::vec("[ -~\u{e9}\u{20ac}]{0,80}|[a-c],[0-9.]{0,6},[0-9.]{0,6},(H100|A100|),[0-9.]{0,3},,[0-9.e-]{0,14},[0-9.]{0,5},r,z?", 0..30)
    ) {
        let all: Vec<&str> = rows.iter().map(String::as_str).collect();
        let count = rows.iter().filter(|row| !row.is_empty()).count();
        match read_as(SKYPILOT, &all, &how()) {
            Ok((snapshot, report)) => {
                prop_assert_eq!(report.used + report.refused, count);
                for entry in snapshot.entries() {
                    for price in [entry.on_demand, entry.spot].into_iter().flatten() {
                        prop_assert!(price.0.nanos() > 0);
                    }
                }
            }
            Err(CatalogError::Empty { refused, .. }) => prop_assert_eq!(refused, count),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn a_row_of_each_kind_of_list_says_the_same() {
    let sky_row = sky("H100", "8", "81920", "55.04", "");
    let hunt = "m,us-east-1,55.04,8,64,nvidia,8,H100,80,False,";
    let ec2 = "m,gpu,NVIDIA,H100,8,1.0,81920,655360,8,65536,x,32,on-demand|spot,55.04";
    let entries = [good(SKYPILOT, &[&sky_row]), good(GPUHUNT, &[hunt]), good(EC2, &[ec2])];
    assert!(entries.iter().all(|entry| *entry == entries[0]), "{entries:#?}");
}
