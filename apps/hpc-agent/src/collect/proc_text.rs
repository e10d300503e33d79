//! The text of `/proc`, read by pure functions: what is missing or damaged is `None`, never 0.

/// Most lines looked at in one file.
const LINES_MAX: usize = 4_096;
/// Longest accepted host name, in bytes.
const HOST_NAME_BYTES_MAX: usize = 64;

/// Processor time of all cores since boot, in the system's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTimes {
    /// All of it but idle and waiting for disks.
    pub busy_ticks: u64,
    /// All of it.
    pub total_ticks: u64,
}

impl CpuTimes {
    /// Reads `/proc/stat`.
    ///
    /// Guest time is part of user time there and is not counted again.
    pub fn parse(stat: &str) -> Option<Self> {
        // Without its line end the last number may be cut.
        let (line, _) = stat.split_once('\n')?;
        let mut words = line.split_ascii_whitespace();
        if words.next()? != "cpu" {
            return None;
        }
        // user nice system idle iowait irq softirq steal; the first four have always been there.
        let ticks: Vec<u64> = words.take(8).map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let total_ticks = ticks.iter().try_fold(0_u64, |sum, ticks| sum.checked_add(*ticks))?;
        let idle = ticks.get(3)?.checked_add(ticks.get(4).copied().unwrap_or(0))?;
        Some(Self { busy_ticks: total_ticks.checked_sub(idle)?, total_ticks })
    }

    /// Share of time in use between an earlier reading and this one, 0 to 1.
    ///
    /// `None` when no time has passed or a counter went backwards, as it does after a machine was moved.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    pub fn ratio_since(self, earlier: Self) -> Option<f64> {
        let total = self.total_ticks.checked_sub(earlier.total_ticks)?;
        let busy = self.busy_ticks.checked_sub(earlier.busy_ticks)?;
        (total > 0 && busy <= total).then(|| busy as f64 / total as f64)
    }
}

/// Memory of the host, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What programs could not get at once: total less available.
    pub used_bytes: u64,
    /// What there is.
    pub total_bytes: u64,
}

impl Memory {
    /// Reads `/proc/meminfo`.
    pub fn parse(meminfo: &str) -> Option<Self> {
        let (mut total, mut available) = (None, None);
        for line in meminfo.lines().take(LINES_MAX) {
            match line.split_once(':') {
                Some(("MemTotal", rest)) => total = Some(kib_to_bytes(rest)?),
                Some(("MemAvailable", rest)) => available = Some(kib_to_bytes(rest)?),
                _ => {}
            }
        }
        let total_bytes = total.filter(|total| *total > 0)?;
        Some(Self { used_bytes: total_bytes.checked_sub(available?)?, total_bytes })
    }
}

fn kib_to_bytes(text: &str) -> Option<u64> {
    text.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// Traffic of all network devices but the loopback since boot, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Received.
    pub received_bytes: u64,
    /// Sent.
    pub sent_bytes: u64,
}

impl Network {
    /// Reads `/proc/net/dev`; `None` also when there is no device but the loopback.
    pub fn parse(net_dev: &str) -> Option<Self> {
        let mut sum = None;
        // The first two lines are headings.
        for line in net_dev.lines().take(LINES_MAX).skip(2) {
            let (device, counters) = line.split_once(':')?;
            if device.trim() == "lo" {
                continue;
            }
            let mut counters = counters.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
            let received = counters.next()??;
            // Seven more of received, then the first of sent.
            let sent = counters.nth(7)??;
            // One more, or the number before may be cut.
            counters.next()??;
            let before = sum.unwrap_or(Self { received_bytes: 0, sent_bytes: 0 });
            sum = Some(Self {
                received_bytes: before.received_bytes.checked_add(received)?,
                sent_bytes: before.sent_bytes.checked_add(sent)?,
            });
        }
        sum
    }
}

/// Reads `/proc/sys/kernel/hostname`: letters, digits, `.`, `_` and `-`, at most 64 bytes.
pub fn host_name(text: &str) -> Option<&str> {
    let name = text.trim_end_matches('\n');
    let valid = !name.is_empty()
        && name.len() <= HOST_NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    valid.then_some(name)
}
