//! What EC2 says of a type, and what it means: whole accelerators, CPUs, memory, ways to buy.

use std::collections::BTreeSet;

use hpc_resources::{AcceleratorModel, Accelerators, Bytes, MilliCpu, ModelError, OfferKind};

/// One kind of device in a type, in EC2's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// For example `H100`.
    pub name: String,
    /// Whole devices. A share of one (`g6f.large`) has 0 here.
    pub count: i64,
    /// Memory of each, in MiB.
    pub memory_mib: i64,
}

/// A type, in EC2's words: what `DescribeInstanceTypes` answers, unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TypeFacts {
    /// For example `p5.48xlarge`.
    pub instance_type: String,
    /// Devices of `GpuInfo`, `NeuronInfo` and `InferenceAcceleratorInfo`.
    pub devices: Vec<Device>,
    /// Default vCPUs.
    pub vcpus: i64,
    /// Memory in MiB.
    pub memory_mib: i64,
    /// `on-demand`, `spot`, `capacity-block`.
    pub usage_classes: Vec<String>,
}

/// A type, in our words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Whole accelerators; `None` for a machine without any.
    pub accelerators: Option<Accelerators>,
    /// vCPUs: what its quota counts, too.
    pub vcpus: u32,
    /// CPUs.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
    /// How it can be bought in the market. A type that is sold by block only has none: such a block is bought by hand.
    pub kinds: BTreeSet<OfferKind>,
}

/// Why a type is not offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactError {
    /// It carries a share of a device: neither a whole one nor none.
    #[error("it carries a part of one `{0}`, and offers are of whole devices")]
    Partial(String),
    /// It carries devices of two kinds.
    #[error("it carries devices of two kinds, `{0}` and `{1}`")]
    Mixed(String, String),
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

/// Reads a type.
///
/// # Errors
/// [`FactError`]: a share of a device, two kinds of devices, an unknown model, a number that cannot be one.
pub fn shape(facts: &TypeFacts) -> Result<Shape, FactError> {
    let vcpus = number("number of vCPUs", facts.vcpus)?;
    let memory = Bytes::from_mib(u64::from(number("memory in MiB", facts.memory_mib)?));
    let accelerators = match facts.devices.as_slice() {
        [] => None,
        [device] => Some(accelerators(device)?),
        [first, second, ..] => return Err(FactError::Mixed(clip(&first.name), clip(&second.name))),
    };
    let kinds = facts.usage_classes.iter().filter_map(|class| match class.as_str() {
        "spot" => Some(OfferKind::Spot),
        "on-demand" => Some(OfferKind::OnDemand),
        _ => None,
    });
    Ok(Shape { accelerators, vcpus, cpu: MilliCpu::whole(vcpus), memory, kinds: kinds.collect() })
}

fn accelerators(device: &Device) -> Result<Accelerators, FactError> {
    if device.count == 0 {
        return Err(FactError::Partial(clip(&device.name)));
    }
    let count = number("number of devices", device.count)?;
    let memory_mib = number("memory of a device in MiB", device.memory_mib)?;
    Ok(Accelerators {
        model: model(&device.name, memory_mib)?,
        count,
        memory_each: Bytes::from_mib(u64::from(memory_mib)),
    })
}

/// EC2 calls two A100s by one name; the memory tells which.
fn model(name: &str, memory_mib: u32) -> Result<AcceleratorModel, ModelError> {
    match AcceleratorModel::parse(name) {
        Err(ModelError::Ambiguous { name, candidates }) => {
            let ending = format!("-{}gb", memory_mib / 1_024);
            let mut fitting = candidates.iter().filter(|candidate| candidate.ends_with(&ending));
            match (fitting.next(), fitting.next()) {
                (Some(only), None) => AcceleratorModel::parse(only),
                _ => Err(ModelError::Ambiguous { name, candidates }),
            }
        }
        other => other,
    }
}

fn number(what: &'static str, value: i64) -> Result<u32, FactError> {
    u32::try_from(value).ok().filter(|value| *value > 0).ok_or(FactError::Number { what, value })
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(instance_type: &str, devices: &[(&str, i64, i64)], vcpus: i64, memory_mib: i64) -> TypeFacts {
        TypeFacts {
            instance_type: instance_type.to_owned(),
            devices: devices
                .iter()
                .map(|(name, count, memory_mib)| Device {
                    name: (*name).to_owned(),
                    count: *count,
                    memory_mib: *memory_mib,
                })
                .collect(),
            vcpus,
            memory_mib,
            usage_classes: vec!["on-demand".to_owned(), "spot".to_owned()],
        }
    }

    #[test]
    fn a_type_with_eight_devices_is_read() {
        let shape = shape(&facts("p5.48xlarge", &[("H100", 8, 81_920)], 192, 2_097_152)).unwrap();
        let have = shape.accelerators.unwrap();
        assert_eq!((have.model, have.count), (AcceleratorModel::H100, 8));
        assert_eq!(have.memory_each.to_string(), "80 GiB", "MiB, and of one device");
        assert_eq!((shape.vcpus, shape.memory.to_string().as_str()), (192, "2 TiB"));
        assert_eq!(shape.kinds, BTreeSet::from([OfferKind::Spot, OfferKind::OnDemand]));
    }

    #[test]
    fn the_memory_tells_two_models_of_one_name_apart() {
        for (memory_mib, want) in [(40_960, Some("a100-40gb")), (81_920, Some("a100-80gb")), (12_345, None)] {
            let read = shape(&facts("p4d.24xlarge", &[("A100", 8, memory_mib)], 96, 1_179_648));
            let model = read.ok().and_then(|shape| shape.accelerators).map(|have| have.model.as_str());
            assert_eq!(model, want, "{memory_mib}");
        }
    }

    #[test]
    fn a_share_of_a_device_is_neither_one_nor_none() {
        let partial = shape(&facts("g6f.large", &[("L4", 0, 2_861)], 2, 8_192));
        assert_eq!(partial, Err(FactError::Partial("L4".to_owned())));
    }

    #[test]
    fn a_machine_without_devices_is_one() {
        assert_eq!(shape(&facts("m5.large", &[], 2, 8_192)).unwrap().accelerators, None);
    }

    #[test]
    fn a_capacity_block_is_not_offered() {
        let block = TypeFacts {
            usage_classes: vec!["capacity-block".to_owned()],
            ..facts("trn2.48xlarge", &[("Trainium2", 16, 98_304)], 192, 2_097_152)
        };
        assert!(shape(&block).unwrap().kinds.is_empty());
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        for (devices, vcpus, memory) in [
            (vec![("H100", -1, 81_920)], 2, 2),
            (vec![("H100", i64::MAX, 81_920)], 2, 2),
            (vec![("H100", 1, 0)], 2, 2),
            (vec![], 0, 2),
            (vec![], i64::MIN, 2),
            (vec![], 2, -5),
        ] {
            let read = shape(&facts("x", &devices, vcpus, memory));
            assert!(matches!(read, Err(FactError::Number { .. })), "{read:?}");
        }
        let two = shape(&facts("x", &[("H100", 1, 1), ("L4", 1, 1)], 1, 1));
        assert!(matches!(two, Err(FactError::Mixed(..))));
        assert!(matches!(shape(&facts("x", &[("Q9", 1, 1)], 1, 1)), Err(FactError::Model(_))));
    }
}
