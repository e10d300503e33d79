//! The thin reader of `/proc`: bounded reads, nothing else.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::CollectError;
use super::proc_text::{CpuTimes, Memory, Network, host_name};

/// Most bytes read of one file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads processor, memory and network of this machine.
#[derive(Debug, Clone)]
pub struct HostSource {
    root: PathBuf,
    last_cpu: Option<CpuTimes>,
}

/// One reading; `None` means not measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct HostReading {
    pub(crate) cpu_ratio: Option<f64>,
    pub(crate) memory_used_bytes: Option<u64>,
    pub(crate) memory_total_bytes: Option<u64>,
    pub(crate) network_received_bytes: Option<u64>,
    pub(crate) network_sent_bytes: Option<u64>,
}

impl Default for HostSource {
    fn default() -> Self {
        Self::at("/proc")
    }
}

impl HostSource {
    /// Reads from another folder with the layout of `/proc`, as a container sees the host's.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), last_cpu: None }
    }

    /// The name of this machine.
    ///
    /// # Errors
    /// [`CollectError::Read`] and [`CollectError::Form`].
    pub fn host_name(&self) -> Result<String, CollectError> {
        self.parse("sys/kernel/hostname", |text| host_name(text).map(str::to_owned))
    }

    pub(crate) fn measure(&mut self, faults: &mut Vec<CollectError>) -> HostReading {
        let mut note = |fault| {
            faults.push(fault);
        };
        let cpu = self.parse("stat", CpuTimes::parse).map_err(&mut note).ok();
        let memory = self.parse("meminfo", Memory::parse).map_err(&mut note).ok();
        // Process 1 sees the network of the host, also from a container which shares only `/proc`;
        // without leave to look there, our own view is what there is.
        let network = self
            .parse("1/net/dev", Network::parse)
            .or_else(|_| self.parse("net/dev", Network::parse))
            .map_err(&mut note)
            .ok();
        let cpu_ratio = cpu.zip(self.last_cpu).and_then(|(now, before)| now.ratio_since(before));
        self.last_cpu = cpu;
        HostReading {
            cpu_ratio,
            memory_used_bytes: memory.map(|memory| memory.used_bytes),
            memory_total_bytes: memory.map(|memory| memory.total_bytes),
            network_received_bytes: network.map(|network| network.received_bytes),
            network_sent_bytes: network.map(|network| network.sent_bytes),
        }
    }

    fn parse<T>(&self, file: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, CollectError> {
        let path = self.root.join(file);
        let shown = path.display().to_string();
        let text =
            read(&path).map_err(|why| CollectError::Read { path: shown.clone(), why: why.to_string() })?;
        parse(&text).ok_or(CollectError::Form { path: shown })
    }
}

/// A file over the limit is an error: the part that fits could end inside a number.
fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}
