//! Machine and accelerator types, and what they mean: whole devices, CPUs, memory.
//!
//! A2, A3, A4, G2 and G4 types carry their devices. To an N1 type devices are added, so an offer of one names all three:
//! `n1-standard-8.nvidia-tesla-t4.2`.

use hpc_resources::{AcceleratorModel, Accelerators, Bytes, InstanceType, MilliCpu, ModelError, OfferKind};

use crate::names::is_name;

/// Family whose machines take devices by choice.
const TAKES_DEVICES: &str = "n1-";
/// How many devices of one type may be added to a machine.
const ADDED: [u32; 4] = [1, 2, 4, 8];
/// Memory of one device in GiB. Compute Engine does not tell it, and a device that is not here is not offered.
///
/// Source: "GPU machine types" of the Compute Engine documentation. Virtual-workstation variants (`-vws`) are other
/// products and left out.
const DEVICE_GIB: &[(&str, u64)] = &[
    ("nvidia-b200", 180),
    ("nvidia-h200-141gb", 141),
    ("nvidia-h100-80gb", 80),
    ("nvidia-h100-mega-80gb", 80),
    ("nvidia-a100-80gb", 80),
    ("nvidia-tesla-a100", 40),
    ("nvidia-rtx-pro-6000", 96),
    ("nvidia-l4", 24),
    ("nvidia-tesla-t4", 16),
    ("nvidia-tesla-v100", 16),
    ("nvidia-tesla-p100", 16),
];

/// Types that are not sold on demand: by spot and flex-start only.
///
/// Source: "Accelerator-optimized machine family" of the Compute Engine documentation, A3 High with less than 8 devices.
const NOT_ON_DEMAND: [&str; 3] = ["a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g"];

/// A machine that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine {
    /// For example `a3-highgpu-8g` or `n1-standard-8`.
    pub machine_type: String,
    /// Devices added to it: their type and how many.
    pub added: Option<(String, u32)>,
}

/// A machine type, in Compute Engine's words.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TypeFacts {
    /// Its vCPUs.
    pub guest_cpus: i64,
    /// Memory in MiB, although the field is called `memoryMb`.
    pub memory_mib: i64,
    /// Devices it carries: type and count.
    pub accelerators: Vec<(String, i64)>,
    /// Whether it has a share of a CPU only.
    pub shared_cpu: bool,
    /// `DEPRECATED`, `OBSOLETE`, `DELETED` or nothing.
    pub deprecated: Option<String>,
}

/// A machine, in our words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Whole accelerators; `None` for a machine without any.
    pub accelerators: Option<Accelerators>,
    /// The type of its devices in Compute Engine's words: what its quota counts.
    pub device: Option<String>,
    /// vCPUs.
    pub vcpus: u32,
    /// CPUs.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
}

/// Why a machine is not offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// A name that is no machine's.
    #[error(
        "`{0}` names no machine; write a machine type, or an N1 type with devices: `n1-standard-8.nvidia-tesla-t4.2`"
    )]
    Name(String),
    /// It has a share of a CPU, and offers are of whole ones.
    #[error("it has a share of a CPU")]
    SharedCpu,
    /// It can no longer be created.
    #[error("it is {0}")]
    Gone(String),
    /// It carries devices of two kinds.
    #[error("it carries devices of two kinds, `{0}` and `{1}`")]
    Mixed(String, String),
    /// Its device's memory is not known here.
    #[error("the memory of `{0}` is not known")]
    Device(String),
    /// Its device has no name here.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A number that cannot be one.
    #[error("its {what} is {value}")]
    Number {
        /// Which.
        what: &'static str,
        /// The value.
        value: i64,
    },
}

impl Machine {
    /// The machine that an offer's type names.
    ///
    /// # Errors
    /// [`MachineError::Name`].
    ///
    /// # Example
    /// ```
    /// use hpc_provider_gcp::machine::Machine;
    /// use hpc_resources::InstanceType;
    ///
    /// let machine = Machine::parse(&InstanceType::parse("n1-standard-8.nvidia-tesla-t4.2")?)?;
    /// assert_eq!(machine.added, Some(("nvidia-tesla-t4".to_owned(), 2)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse(instance_type: &InstanceType) -> Result<Self, MachineError> {
        let text = instance_type.as_str();
        let bad = || MachineError::Name(text.to_owned());
        let mut parts = text.split('.');
        let machine_type = parts.next().filter(|name| is_name(name)).ok_or_else(bad)?.to_owned();
        let added = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(device), Some(count), None)
                if is_name(device) && machine_type.starts_with(TAKES_DEVICES) =>
            {
                let count = ADDED.into_iter().find(|known| known.to_string() == count).ok_or_else(bad)?;
                Some((device.to_owned(), count))
            }
            _ => return Err(bad()),
        };
        Ok(Self { machine_type, added })
    }

    /// The type of an instance: its machine type, and the devices that were added to it.
    #[must_use]
    pub fn instance_type(machine_type: &str, accelerators: &[(String, i64)]) -> Option<InstanceType> {
        let text = match accelerators {
            [(device, count)] if machine_type.starts_with(TAKES_DEVICES) => {
                format!("{machine_type}.{device}.{count}")
            }
            _ => machine_type.to_owned(),
        };
        InstanceType::parse(text).ok()
    }

    /// How it can be bought here.
    #[must_use]
    pub fn kinds(&self) -> &'static [OfferKind] {
        if NOT_ON_DEMAND.contains(&self.machine_type.as_str()) {
            &[OfferKind::Spot]
        } else {
            &[OfferKind::Spot, OfferKind::OnDemand]
        }
    }

    /// Whether flex-start has it: an accelerator-optimized machine, G4 aside.
    #[must_use]
    pub fn sells_flex(&self) -> bool {
        const SERIES: [&str; 4] = ["a2-", "a3-", "a4-", "g2-"];
        self.added.is_none() && SERIES.iter().any(|series| self.machine_type.starts_with(series))
    }

    /// What it is made of, in a zone where its type has these facts and at most `cards_max` devices may be added.
    ///
    /// # Errors
    /// [`MachineError`]: no longer there, a share of a CPU, two kinds of devices, one that is not known, a number that
    /// cannot be one.
    pub fn shape(&self, facts: &TypeFacts, cards_max: Option<i64>) -> Result<Shape, MachineError> {
        match facts.deprecated.as_deref() {
            None | Some("" | "ACTIVE" | "DEPRECATED") => {}
            Some(state) => return Err(MachineError::Gone(clip(state))),
        }
        if facts.shared_cpu {
            return Err(MachineError::SharedCpu);
        }
        let vcpus = number("number of vCPUs", facts.guest_cpus)?;
        let memory = Bytes::from_mib(u64::from(number("memory in MiB", facts.memory_mib)?));
        let device = match (&self.added, facts.accelerators.as_slice()) {
            (None, []) => None,
            (None, [(device, count)]) => Some((device, number("number of devices", *count)?)),
            (Some((device, count)), []) => {
                let most = number("number of devices that may be added", cards_max.unwrap_or(0))?;
                if *count > most {
                    return Err(MachineError::Number { what: "number of devices", value: i64::from(*count) });
                }
                Some((device, *count))
            }
            (None, [(one, _), (other, _), ..]) | (Some((one, _)), [(other, _), ..]) => {
                return Err(MachineError::Mixed(clip(one), clip(other)));
            }
        };
        let accelerators = device.map(|(device, count)| accelerators(device, count)).transpose()?;
        Ok(Shape {
            accelerators,
            device: device.map(|(device, _)| device.clone()),
            vcpus,
            cpu: MilliCpu::whole(vcpus),
            memory,
        })
    }
}

fn accelerators(device: &str, count: u32) -> Result<Accelerators, MachineError> {
    let gib = DEVICE_GIB.iter().find(|(known, _)| *known == device).map(|(_, gib)| *gib);
    let memory_each = Bytes::from_mib(gib.ok_or_else(|| MachineError::Device(clip(device)))? << 10);
    Ok(Accelerators { model: AcceleratorModel::parse(device)?, count, memory_each })
}

fn number(what: &'static str, value: i64) -> Result<u32, MachineError> {
    u32::try_from(value).ok().filter(|value| *value > 0).ok_or(MachineError::Number { what, value })
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(text: &str) -> Result<Machine, MachineError> {
        Machine::parse(&InstanceType::parse(text).unwrap())
    }

    fn facts(guest_cpus: i64, memory_mib: i64, accelerators: &[(&str, i64)]) -> TypeFacts {
        let accelerators = accelerators.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        TypeFacts { guest_cpus, memory_mib, accelerators, ..TypeFacts::default() }
    }

    fn shape(text: &str, facts: &TypeFacts, cards_max: Option<i64>) -> Result<Shape, MachineError> {
        machine(text).unwrap().shape(facts, cards_max)
    }

    #[test]
    fn a_type_with_its_own_devices_is_read() {
        let shape = shape("a3-highgpu-8g", &facts(208, 1_916_928, &[("nvidia-h100-80gb", 8)]), None).unwrap();
        let have = shape.accelerators.unwrap();
        assert_eq!((have.model, have.count), (AcceleratorModel::H100, 8));
        assert_eq!(have.memory_each.to_string(), "80 GiB", "of one device");
        assert_eq!((shape.vcpus, shape.memory.to_string().as_str()), (208, "1872 GiB"), "memoryMb is in MiB");
    }

    #[test]
    fn both_a100_and_every_other_device_have_a_model() {
        for (device, _) in DEVICE_GIB {
            assert!(accelerators(device, 1).is_ok(), "{device}");
        }
        let model = |device: &str| accelerators(device, 1).unwrap().model.as_str();
        assert_eq!((model("nvidia-tesla-a100"), model("nvidia-a100-80gb")), ("a100-40gb", "a100-80gb"));
        for device in ["nvidia-l4-vws", "ct5lp", "nvidia-tesla-p4", ""] {
            assert!(accelerators(device, 1).is_err(), "{device}");
        }
    }

    #[test]
    fn devices_are_added_to_n1_up_to_what_the_zone_allows() {
        let n1 = facts(8, 30_720, &[]);
        let two = shape("n1-standard-8.nvidia-tesla-t4.2", &n1, Some(4)).unwrap();
        assert_eq!((two.accelerators.unwrap().count, two.device.as_deref()), (2, Some("nvidia-tesla-t4")));
        assert!(shape("n1-standard-8.nvidia-tesla-t4.4", &n1, Some(2)).is_err());
        assert!(shape("n1-standard-8.nvidia-tesla-t4.1", &n1, None).is_err(), "a zone without the device");
        assert_eq!(shape("n1-standard-8", &n1, None).unwrap().accelerators, None);
        for text in [
            "n1-standard-8.nvidia-tesla-t4",
            "n1-standard-8.nvidia-tesla-t4.3",
            "n1-standard-8.nvidia-tesla-t4.0",
            "n1-standard-8.nvidia-tesla-t4.02",
            "n1-standard-8.nvidia-tesla-t4.2.x",
            "n1-standard-8..2",
            "n1-standard-8.",
            "a3-highgpu-8g.nvidia-tesla-t4.1",
            "N1-standard-8",
            "-",
            "n1_standard",
        ] {
            assert!(matches!(machine(text), Err(MachineError::Name(_))), "{text}");
        }
    }

    #[test]
    fn a_part_of_an_a3_is_not_sold_on_demand() {
        let kinds = |text: &str| machine(text).unwrap().kinds();
        assert_eq!(kinds("a3-highgpu-8g"), [OfferKind::Spot, OfferKind::OnDemand]);
        assert_eq!(kinds("a3-highgpu-4g"), [OfferKind::Spot]);
    }

    #[test]
    fn an_instances_type_reads_back() {
        let t4 = [("nvidia-tesla-t4".to_owned(), 2)];
        let read = |name: &str| Machine::instance_type(name, &t4).unwrap().to_string();
        assert_eq!(read("n1-standard-8"), "n1-standard-8.nvidia-tesla-t4.2");
        assert_eq!(read("g2-standard-4"), "g2-standard-4", "its devices are part of its type");
        assert_eq!(Machine::instance_type("n1-standard-8", &[]).unwrap().as_str(), "n1-standard-8");
    }

    #[test]
    fn what_is_no_offer_of_whole_things_is_refused() {
        let shared = TypeFacts { shared_cpu: true, ..facts(2, 1_024, &[]) };
        assert_eq!(shape("e2-micro", &shared, None), Err(MachineError::SharedCpu));
        let gone = |state: &str| TypeFacts { deprecated: Some(state.to_owned()), ..facts(2, 1_024, &[]) };
        assert!(shape("n1-standard-2", &gone("DEPRECATED"), None).is_ok(), "it can still be created");
        for state in ["OBSOLETE", "DELETED", "WHATEVER"] {
            assert_eq!(shape("n1-standard-2", &gone(state), None), Err(MachineError::Gone(state.to_owned())));
        }
        for (cpus, memory, count) in
            [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, 1, 1), (i64::MAX, 1, 1), (1, 1, -1)]
        {
            let read = shape("g2-standard-4", &facts(cpus, memory, &[("nvidia-l4", count)]), None);
            assert!(matches!(read, Err(MachineError::Number { .. })), "{read:?}");
        }
        let two = facts(1, 1, &[("nvidia-l4", 1), ("nvidia-b200", 1)]);
        assert!(matches!(shape("x1", &two, None), Err(MachineError::Mixed(..))));
        let added = shape("n1-standard-1.nvidia-l4.1", &facts(1, 1, &[("nvidia-b200", 1)]), Some(8));
        assert!(matches!(added, Err(MachineError::Mixed(..))));
    }
}
