//! What is free, as `sinfo` says it, node by node.

use std::collections::BTreeMap;

use crate::cluster::Shape;
use crate::commands::{Call, Program};

/// What is asked of each node; a `|` after each.
const FIELDS: [&str; 9] =
    ["Partition", "Available", "Time", "StateLong", "Gres", "GresUsed", "CPUsState", "Memory", "AllocMem"];

/// One node in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    /// Whether jobs may start on it.
    usable: bool,
    gpus: BTreeMap<String, Counts>,
    cpus: Counts,
    mib: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Counts {
    all: u64,
    used: u64,
}

impl Counts {
    const fn free(self) -> u64 {
        self.all.saturating_sub(self.used)
    }
}

/// The nodes of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Partition {
    /// Whether it takes jobs and starts them.
    pub(crate) up: bool,
    /// Its time limit in seconds; `None` without one.
    pub(crate) limit_s: Option<u64>,
    nodes: Vec<Node>,
}

/// Lists the nodes of these partitions.
pub(crate) fn list(partitions: &[&str]) -> Call {
    let format = FIELDS.map(|field| format!("{field}:|")).join(",");
    let only = format!("--partition={}", partitions.join(","));
    Call::new(Program::Sinfo, ["--noheader", "--Node", "--Format"]).and(format).and(only)
}

/// The partitions of a listing. A line that is not in the form is passed over: its node is not offered.
pub(crate) fn read(text: &str) -> BTreeMap<String, Partition> {
    let mut partitions: BTreeMap<String, Partition> = BTreeMap::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.split('|').collect();
        let &[name, available, limit, state, gres, used, cpus, memory, allocated, _] = parts.as_slice()
        else {
            continue;
        };
        let (Some(limit_s), Some(cpus)) = (time_limit(limit), cpu_counts(cpus)) else { continue };
        let (Ok(all), Ok(taken)) = (memory.parse(), allocated.parse()) else { continue };
        let mut gpus: BTreeMap<String, Counts> = BTreeMap::new();
        for (kind, count) in gpu_counts(gres) {
            gpus.entry(kind).or_default().all += count;
        }
        for (kind, count) in gpu_counts(used) {
            gpus.entry(kind).or_default().used += count;
        }
        let partition = partitions.entry(name.trim_end_matches('*').to_owned()).or_default();
        partition.up = available == "up";
        partition.limit_s = limit_s;
        let mib = Counts { all, used: taken };
        partition.nodes.push(Node { usable: usable(state), gpus, cpus, mib });
    }
    partitions
}

impl Partition {
    /// Whether some node of it could carry one instance when it is empty, in service or not.
    pub(crate) fn could(&self, shape: &Shape) -> bool {
        self.nodes.iter().any(|node| node.fits(shape, |counts| counts.all))
    }

    /// Whether some node of it has room for one instance now.
    pub(crate) fn can(&self, shape: &Shape) -> bool {
        self.up && self.nodes.iter().any(|node| node.usable && node.fits(shape, |counts| counts.free()))
    }
}

impl Node {
    fn fits(&self, shape: &Shape, counted: impl Fn(&Counts) -> u64) -> bool {
        let gpus: u64 = self
            .gpus
            .iter()
            .filter(|(kind, _)| shape.gres_type.as_ref().is_none_or(|wanted| wanted == *kind))
            .map(|(_, counts)| counted(counts))
            .sum();
        let mib = shape.mib_per_cpu().saturating_mul(u64::from(shape.cpus));
        gpus >= u64::from(shape.gpus())
            && counted(&self.cpus) >= u64::from(shape.cpus)
            && counted(&self.mib) >= mib
    }
}

/// `gpu:h100:4(IDX:0-3),gpu:2` as type and count; other GRES are left out.
fn gpu_counts(text: &str) -> Vec<(String, u64)> {
    let mut plain = String::with_capacity(text.len());
    let mut depth = 0_u32;
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            other if depth == 0 => plain.push(other),
            _ => {}
        }
    }
    let one = |entry: &str| {
        let parts: Vec<&str> = entry.split(':').collect();
        match *parts.as_slice() {
            ["gpu", count] => Some((String::new(), count.parse().ok()?)),
            ["gpu", kind, count] => Some((kind.to_owned(), count.parse().ok()?)),
            _ => None,
        }
    };
    plain.split(',').filter_map(one).collect()
}

/// `allocated/idle/other/total`; what is "other" is not free.
fn cpu_counts(text: &str) -> Option<Counts> {
    let numbers: Option<Vec<u64>> = text.split('/').map(|part| part.parse().ok()).collect();
    match *numbers?.as_slice() {
        [_, idle, _, all] => Some(Counts { all, used: all.saturating_sub(idle) }),
        _ => None,
    }
}

/// `infinite`, or `[days-]hours:minutes:seconds` with leading parts left out.
fn time_limit(text: &str) -> Option<Option<u64>> {
    if matches!(text, "infinite" | "UNLIMITED") {
        return Some(None);
    }
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (days.parse::<u64>().ok()?, clock),
        None => (0, text),
    };
    let parts: Option<Vec<u64>> = clock.split(':').map(|part| part.parse().ok()).collect();
    let seconds = match *parts?.as_slice() {
        [minutes, seconds] => minutes.checked_mul(60)?.checked_add(seconds)?,
        [hours, minutes, seconds] => {
            hours.checked_mul(3_600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?
        }
        _ => return None,
    };
    Some(Some(days.checked_mul(86_400)?.checked_add(seconds)?))
}

/// Long states with their marks: `~` is asleep and `#` waking up; `*` does not answer, `-` is promised to another job.
fn usable(state: &str) -> bool {
    let word = state.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
    let marks = state.get(word.len()..).unwrap_or_default();
    matches!(word, "idle" | "mixed" | "allocated") && marks.chars().all(|mark| matches!(mark, '~' | '#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_lines_are_read() {
        // Slurm 22.05.8.
        let text = "gpu*|up|infinite|mixed|gpu:h100:8|gpu:h100:4(IDX:0-3)|4/4/0/8|4000|0|\n\
                    short|up|10:00|mixed|gpu:h100:8|gpu:h100:4(IDX:0-3)|4/4/0/8|4000|0|\n\
                    off|down|infinite|idle|gpu:h100:8|gpu:h100:0(IDX:N/A)|0/8/0/8|4000|0|\n";
        let partitions = read(text);
        assert_eq!(partitions.keys().collect::<Vec<_>>(), ["gpu", "off", "short"]);
        assert_eq!((partitions["gpu"].up, partitions["gpu"].limit_s), (true, None));
        assert_eq!(partitions["short"].limit_s, Some(600));
        assert!(!partitions["off"].up);
        assert_eq!(partitions["gpu"].nodes[0].gpus["h100"], Counts { all: 8, used: 4 });
        assert_eq!(partitions["gpu"].nodes[0].cpus, Counts { all: 8, used: 4 });
    }

    #[test]
    fn gres_in_every_form_is_counted() {
        for (text, counts) in [
            ("gpu:8", vec![("", 8)]),
            ("gpu:h100:8(S:0-1)", vec![("h100", 8)]),
            ("gpu:a100:2(IDX:0,3),gpu:h100:1(IDX:4)", vec![("a100", 2), ("h100", 1)]),
            ("shard:h100:16,gpu:h100:4,nic:2", vec![("h100", 4)]),
            ("(null)", vec![]),
            ("", vec![]),
            ("gpu:h100:many", vec![]),
            ("gpu:h100:8(", vec![("h100", 8)]),
        ] {
            let counts: Vec<(String, u64)> =
                counts.into_iter().map(|(kind, n)| (kind.to_owned(), n)).collect();
            assert_eq!(gpu_counts(text), counts, "{text}");
        }
    }

    #[test]
    fn limits_and_states_are_read() {
        for (text, limit) in [
            ("infinite", Some(None)),
            ("10:00", Some(Some(600))),
            ("2:00:00", Some(Some(7_200))),
            ("1-00:00:00", Some(Some(86_400))),
            ("n/a", None),
            ("", None),
            ("99999999999999999999-00:00:00", None),
            ("18446744073709551615-00:00:00", None),
        ] {
            assert_eq!(time_limit(text), limit, "{text}");
        }
        for good in ["idle", "mixed", "allocated", "idle~", "mixed#"] {
            assert!(usable(good), "{good}");
        }
        for bad in ["", "down", "down*", "idle*", "drained", "mixed-", "idle$", "reserved", "~", "completing"]
        {
            assert!(!usable(bad), "{bad}");
        }
    }

    #[test]
    fn broken_lines_offer_nothing() {
        for text in [
            "",
            "|",
            "gpu*|up|infinite|idle|gpu:8|gpu:0|0/8/0|4000|0|",
            "a|b|c",
            "gpu|up|x|idle|||0/8/0/8|1|1|",
        ] {
            assert!(read(text).is_empty(), "{text}");
        }
    }
}
