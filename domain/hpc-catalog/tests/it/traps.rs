//! The unit traps of this field, each by its name.

use std::collections::BTreeMap;

use hpc_catalog::{CatalogError, Import, ZoneNames};
use hpc_resources::{Bytes, Currency, ResourceUnit, ZoneId};

use crate::lists::{EC2, GPUHUNT, SKYPILOT, good, how, read_as, refused, sky};

#[test]
fn money_never_goes_through_floats() {
    let price = |text: &str| good(SKYPILOT, &[&sky("H100", "1", "81920", text, "")])[0].on_demand.unwrap().0;
    assert_eq!(price("55.04").nanos(), 55_040_000_000);
    assert_eq!(price("0.000000001").nanos(), 1);
    // A list that went through floats: further decimals are rounded up, once.
    assert_eq!(price("0.34679999999999994").nanos(), 346_800_000);
    assert_eq!(price("12.2399997711").nanos(), 12_239_999_772);
    for text in ["1e3", "NaN", "inf", "$5", "5,00", "-1", "-0.0", "9999999999999"] {
        assert!(
            refused(SKYPILOT, &sky("H100", "1", "81920", &text.replace(',', ";"), "")).contains("`Price`"),
            "{text}"
        );
    }
}

#[test]
fn a_price_is_of_an_instance_and_not_of_a_gpu() {
    let entry = &good(GPUHUNT, &["gpu8,eu,10.24,64,512,nvidia,8,H100,80,False,"])[0];
    let (price, devices) = (entry.on_demand.unwrap(), entry.accelerators.unwrap().count);
    assert_eq!(price.0.to_string(), "10.24 USD");
    assert_eq!(price.per_gpu_rounded_up(devices).unwrap().0.to_string(), "1.28 USD");
    // A price of a device alone is not one of an instance.
    let device = ",,,A100,1,,2.93,0.88,us-central1,us-central1-a";
    assert!(refused(SKYPILOT, device).contains("without a machine"));
}

#[test]
fn a_price_of_zero_or_none_is_unknown_and_never_free() {
    for text in ["", "0", "0.0", "0.000000000", "0.0000000000"] {
        let entry = &good(SKYPILOT, &[&sky("H100", "1", "81920", text, text)])[0];
        assert_eq!((entry.on_demand, entry.spot), (None, None), "{text}");
    }
    let (_, report) = read_as(SKYPILOT, &[&sky("H100", "1", "81920", "", "0.0")], &how()).unwrap();
    assert_eq!(report.unpriced, 1);
}

#[test]
fn a_spot_price_above_the_full_price_is_legal() {
    let entry = &good(SKYPILOT, &[&sky("H100", "1", "81920", "2.00", "2.50")])[0];
    assert!(entry.spot.unwrap().0.nanos() > entry.on_demand.unwrap().0.nanos());
}

#[test]
fn gb_are_not_gib() {
    let gib = |amount| Bytes::new(amount, ResourceUnit::GiB).unwrap();
    let sky_row = good(SKYPILOT, &["m,2,7.5,,,,0.1,,us-east-1,"]);
    assert_eq!(sky_row[0].memory, Bytes(15 << 29));
    // It divides mebibytes by 1,024 and calls them gigabytes.
    let hunt = good(GPUHUNT, &["m,eu,1,8,64.0,nvidia,1,H100,80.0,False,100"]);
    assert_eq!((hunt[0].memory, hunt[0].accelerators.unwrap().memory_each), (gib(64), gib(80)));
    let ec2 = good(EC2, &["m,gpu,NVIDIA,H100,1,1.0,81920,81920,8,65536,x,,on-demand,1"]);
    assert_eq!((ec2[0].memory, ec2[0].accelerators.unwrap().memory_each), (gib(64), gib(80)));
    // What looks like megabytes is taken as those, which are fewer, and is reported.
    let row = "dl2q.24xlarge,inference,Qualcomm,Qualcomm AI100,8,,16000,128000,96,786432,x,1,on-demand|spot,";
    let (snapshot, report) = read_as(EC2, &[row], &how()).unwrap();
    assert_eq!(snapshot.entries()[0].accelerators.unwrap().memory_each, Bytes(16_000_000_000));
    assert_eq!((report.used, report.doubtful), (1, 1));
    assert!(report.problems[0].used && report.problems[0].why.contains("MB"));
}

#[test]
fn a_total_that_is_the_memory_of_one_gpu_is_not_divided() {
    let info = "\"{'Gpus': [{'Name': 'H100', 'Manufacturer': 'NVIDIA', 'Count': 8.0, 'MemoryInfo': {'SizeInMiB': 81559}}], \
                'TotalGpuMemoryInMiB': 81559}\"";
    let entry = &good(SKYPILOT, &[&format!("gpu_8x_h100_sxm5,208,1800,H100,8,{info},23.92,,us-east-1,")])[0];
    let have = entry.accelerators.unwrap();
    assert_eq!((have.count, have.memory_each), (8, Bytes::from_mib(81_559)));
    // The total alone says nothing of one device.
    let total = "\"{'TotalGpuMemoryInMiB': 81559}\"";
    let why = refused(SKYPILOT, &format!("m,208,1800,H100,8,{total},23.92,,us-east-1,"));
    assert!(why.contains("memory of one device"), "{why}");
}

#[test]
fn gpu_info_is_a_python_literal_and_no_json() {
    let with = |info: &str| format!("m,8,64,H100,1,\"{info}\",1,,us-east-1,");
    for info in ["{'MemoryInfo': {'SizeInMiB': 81920}, 'X': None, 'Y': True}", "{\"\"SizeInMiB\"\": 81920.0}"]
    {
        assert_eq!(
            good(SKYPILOT, &[&with(info)])[0].accelerators.unwrap().memory_each,
            Bytes::from_mib(81_920)
        );
    }
    for info in ["", "nan", "{'SizeInMiB': None}", "{'SizeInMiB': ", "{'SizeInMiB': 8e4}"] {
        assert!(refused(SKYPILOT, &with(info)).contains("memory of one device"), "{info}");
    }
}

#[test]
fn memory_that_no_device_has_is_another_quantity() {
    let row = "trn2.48xlarge,neuron,AWS,Trainium2,16,,524288,8388608,192,2097152,x,16,on-demand,";
    assert!(refused(EC2, row).contains("another quantity"));
    for mib in ["0", "393217"] {
        refused(SKYPILOT, &sky("H100", "1", mib, "1", ""));
    }
    good(SKYPILOT, &[&sky("B300", "1", "393216", "1", "")]);
}

#[test]
fn a_share_of_a_device_is_not_a_device_although_its_count_is_zero() {
    let row = "g6f.large,gpu,NVIDIA,L4,0,0.125,2861,2861,2,8192,x,,on-demand|spot,0.202000";
    assert!(refused(EC2, row).contains("share of 0.125"));
    let without = "g6x.large,gpu,NVIDIA,L4,0,1.0,2861,2861,2,8192,x,,on-demand|spot,0.202000";
    assert!(refused(EC2, without).contains("no whole device"));
    for count in ["0.125", "0", "0.5", "-1", "many", "1025", ""] {
        refused(SKYPILOT, &sky("L4", count, "2861", "0.2", ""));
    }
}

#[test]
fn trainium_is_an_accelerator_although_it_is_no_gpu() {
    let entry =
        &good(EC2, &["trn1.2xlarge,neuron,AWS,Trainium,1,,32768,32768,8,32768,x,,on-demand|spot,1.3438"])[0];
    assert_eq!(entry.accelerators.unwrap().model.as_str(), "trainium");
}

#[test]
fn spellings_of_one_model_are_one_and_an_ambiguous_name_is_an_error() {
    let model = |name: &str| {
        good(SKYPILOT, &[&sky(name, "1", "49140", "1", "")])[0].accelerators.unwrap().model.to_string()
    };
    for (names, canonical) in [
        (&["H100", "H100-SXM", "H100-MEGA"][..], "h100"),
        (&["H100-NVL"], "h100-nvl"),
        (&["RTX6000-Ada", "RTX6000Ada"], "rtx-6000-ada"),
        (&["RTXA6000", "A6000"], "rtx-a6000"),
    ] {
        for name in names {
            assert_eq!(model(name), canonical, "{name}");
        }
    }
    for name in ["A100", "RTX6000", "TPU v5"] {
        assert!(refused(SKYPILOT, &sky(name, "1", "12345", "1", "")).contains("ambiguous"), "{name}");
        assert!(refused(SKYPILOT, &sky(name, "1", "", "1", "")).contains("ambiguous"), "{name}");
    }
    // Its memory decides.
    let of = |mib: &str| {
        good(SKYPILOT, &[&sky("A100", "1", mib, "1", "")])[0].accelerators.unwrap().model.to_string()
    };
    assert_eq!([of("40960"), of("81920")], ["a100-40gb", "a100-80gb"]);
    assert!(refused(SKYPILOT, &sky("Z9000", "1", "81920", "1", "")).contains("unknown accelerator"));
}

#[test]
fn a_zone_is_an_id_and_not_an_accounts_own_name() {
    let row = "m,2,8,,,,0.1,,us-east-1,us-east-1a";
    let id = ZoneId::parse("use1-az4").unwrap();
    let mut how = how();
    how.zones = ZoneNames::PerAccount(BTreeMap::from([("us-east-1a".to_owned(), id.clone())]));
    assert_eq!(read_as(SKYPILOT, &[row], &how).unwrap().0.entries()[0].key.zone, Some(id));
    how.zones = ZoneNames::PerAccount(BTreeMap::new());
    let (snapshot, report) = read_as(SKYPILOT, &[row], &how).unwrap();
    assert_eq!(snapshot.entries()[0].key.zone, None);
    assert!(report.problems[0].why.contains("each account"));
    how.zones = ZoneNames::Global;
    assert_eq!(
        read_as(SKYPILOT, &[row], &how).unwrap().0.entries()[0].key.zone.as_ref().unwrap().as_str(),
        "us-east-1a"
    );
}

/// SkyPilot's list of EC2 has a row for each zone, by the name that one account gives it.
#[test]
fn rows_of_several_zones_that_are_left_open_are_one_place_and_no_doubles() {
    let row = |zone: &str, price: &str, spot: &str| format!("m,2,8,,,,{price},{spot},us-east-1,{zone}");
    let read = |rows: &[String]| {
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let how = Import { zones: ZoneNames::PerAccount(BTreeMap::new()), ..how() };
        read_as(SKYPILOT, &rows, &how).unwrap()
    };
    let nanos = |price: Option<hpc_resources::PerInstanceHour>| price.map(|price| price.0.nanos());
    let (snapshot, report) = read(&[
        row("us-east-1a", "0.1", "0.05"),
        row("us-east-1b", "0.1", "0.05"),
        row("us-east-1c", "", "0"),
    ]);
    let [entry] = snapshot.entries() else { panic!("{:?}", snapshot.entries()) };
    assert_eq!((entry.key.zone.as_ref(), report.used, report.refused, report.doubtful), (None, 3, 0, 3));
    assert_eq!((nanos(entry.on_demand), nanos(entry.spot)), (Some(100_000_000), Some(50_000_000)));

    // What they differ on is unknown, and stays so when two of them agree; never the cheapest, never zero.
    let differing = [
        row("us-east-1a", "0.1", "0.05"),
        row("us-east-1b", "0.1", "0.06"),
        row("us-east-1c", "0.1", "0.06"),
    ];
    let (snapshot, report) = read(&differing);
    assert_eq!(nanos(snapshot.entries()[0].on_demand), Some(100_000_000));
    assert_eq!((snapshot.entries()[0].spot, report.used, report.doubtful), (None, 3, 3));
    assert!(
        report.problems.iter().any(|problem| problem.used && problem.why.contains("the spot price of `m`"))
    );
    let backwards: Vec<String> = differing.iter().rev().cloned().collect();
    assert_eq!(read(&backwards).0.hash(), snapshot.hash(), "in whatever order");

    // The same zone twice is a double, and another machine under the same name is one, too.
    let (_, report) = read(&[row("us-east-1a", "0.1", ""), row("us-east-1a", "0.1", "")]);
    assert_eq!((report.used, report.refused), (1, 1));
    let other = row("us-east-1b", "0.1", "").replace("m,2,8", "m,4,8");
    let (_, report) = read(&[row("us-east-1a", "0.1", ""), other]);
    assert_eq!((report.used, report.refused), (1, 1));
    assert!(report.problems.iter().any(|problem| !problem.used && problem.why.contains("another machine")));
}

#[test]
fn a_currency_is_said_and_never_mixed_up() {
    let mut how = how();
    how.currency = Currency::parse("EUR").unwrap();
    let (snapshot, _) = read_as(SKYPILOT, &[&sky("H100", "1", "81920", "2", "")], &how).unwrap();
    assert_eq!(snapshot.entries()[0].on_demand.unwrap().0.to_string(), "2.00 EUR");
    let row = "m,gpu,NVIDIA,H100,1,1.0,81920,81920,8,65536,x,,on-demand,1";
    assert_eq!(read_as(EC2, &[row], &how), Err(CatalogError::Currency(how.currency)));
}
