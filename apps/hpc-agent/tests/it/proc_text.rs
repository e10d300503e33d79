//! The parsers of `/proc`: what is missing or damaged is unknown, never zero.

use hpc_agent::collect::proc_text::{CpuTimes, Memory, Network, host_name};
use proptest::prelude::*;

const STAT: &str = "cpu  100 5 45 800 50 0 0 0 7 0\ncpu0 1 2 3 4\nintr 1\n";
const MEMINFO: &str = "MemTotal:       16384 kB\nMemFree:  100 kB\nMemAvailable:   4096 kB\n";
const NET: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0
  eth0: 1000 10 0 0 0 0 0 0 200 5 0 0 0 0 0 0
  eth1:5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0
";

#[test]
fn the_usual_text_is_read() {
    assert_eq!(CpuTimes::parse(STAT), Some(CpuTimes { busy_ticks: 150, total_ticks: 1_000 }));
    assert_eq!(
        Memory::parse(MEMINFO),
        Some(Memory { used_bytes: 12_288 * 1024, total_bytes: 16_384 * 1024 })
    );
    assert_eq!(Network::parse(NET), Some(Network { received_bytes: 1_005, sent_bytes: 207 }));
    assert_eq!(host_name("node-1.example\n"), Some("node-1.example"));
}

#[test]
fn shares_need_two_readings_in_order() {
    let times = |busy_ticks, total_ticks| CpuTimes { busy_ticks, total_ticks };
    assert_eq!(times(150, 1_100).ratio_since(times(100, 1_000)), Some(0.5));
    assert_eq!(times(100, 1_100).ratio_since(times(100, 1_000)), Some(0.0), "idle is a true zero");
    assert_eq!(times(150, 1_000).ratio_since(times(150, 1_000)), None, "no time has passed");
    assert_eq!(times(10, 20).ratio_since(times(100, 1_000)), None, "counters went backwards");
    assert_eq!(times(300, 1_100).ratio_since(times(100, 1_000)), None, "more busy than time");
}

#[test]
fn damaged_text_is_unknown() {
    let huge = "9".repeat(30);
    for stat in
        ["", "cpu", "cpu 1 2 3", "cpu 1 2 x 4", "cpu0 1 2 3 4", &format!("cpu {huge} 1 1 1"), "cpu -1 2 3 4"]
    {
        assert_eq!(CpuTimes::parse(&format!("{stat}\n")), None, "{stat}");
    }
    assert_eq!(CpuTimes::parse(&format!("cpu {} 1 1 1\n", u64::MAX)), None, "the sum overflows");
    assert!(CpuTimes::parse("cpu 1 2 3 4\n").is_some(), "four columns are what old kernels give");
    for meminfo in [
        "",
        "MemTotal: 100 kB",
        "MemAvailable: 100 kB",
        "MemTotal: 100 kB\nMemAvailable: 200 kB",
        "MemTotal: 0 kB\nMemAvailable: 0 kB",
        "MemTotal: 100 MB\nMemAvailable: 1 kB",
        "MemTotal: x kB\nMemAvailable: 1 kB",
        &format!("MemTotal: {} kB\nMemAvailable: 1 kB", u64::MAX),
    ] {
        assert_eq!(Memory::parse(meminfo), None, "{meminfo}");
    }
    let heading = "a\nb\n";
    for devices in [
        "",
        "lo: 1 2 3 4 5 6 7 8 9",
        "eth0",
        "eth0: 1 2 3",
        "eth0: x 1 1 1 1 1 1 1 1 1",
        "eth0: 1 1 1 1 1 1 1 1 y 1",
    ] {
        assert_eq!(Network::parse(&format!("{heading}{devices}")), None, "{devices}");
    }
    let overflow = format!("{heading}a: {0} 0 0 0 0 0 0 0 0 0\nb: {0} 0 0 0 0 0 0 0 0 0", u64::MAX);
    assert_eq!(Network::parse(&overflow), None);
    for name in ["", "\n", "a b", "a\nb", "name\0", &"x".repeat(65)] {
        assert_eq!(host_name(name), None, "{name:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "(?s).{0,400}") {
        let _ = (CpuTimes::parse(&text), Memory::parse(&text), Network::parse(&text), host_name(&text));
    }

    /// A file cut anywhere gives what the whole one gives, or nothing.
    #[test]
    fn cut_text_gives_nothing_new(cut in 0_usize..STAT.len()) {
        let whole = (CpuTimes::parse(STAT), Memory::parse(MEMINFO));
        prop_assert!([None, whole.0].contains(&CpuTimes::parse(&STAT[..cut])));
        prop_assert!([None, whole.1].contains(&Memory::parse(&MEMINFO[..cut.min(MEMINFO.len())])));
    }

    #[test]
    fn a_cut_counter_is_not_read(cut in 0_usize..NET.len()) {
        let one_device = Some(Network { received_bytes: 1_000, sent_bytes: 200 });
        prop_assert!([None, one_device, Network::parse(NET)].contains(&Network::parse(&NET[..cut])));
    }
}
