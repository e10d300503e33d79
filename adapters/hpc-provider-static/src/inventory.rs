//! The inventory: what machines there are, checked once.

use std::collections::BTreeMap;

use hpc_resources::{
    AcceleratorModel, Accelerators, Bytes, InstanceType, MilliCpu, ModelError, Money, MoneyError,
    PerInstanceHour, Region, ZoneId,
};
use serde::{Deserialize, Serialize};

/// Most machines in one inventory.
pub const MACHINES_MAX: usize = 10_000;
/// Most types in one inventory.
pub const TYPES_MAX: usize = 256;
/// Most tags on one machine.
pub const TAGS_MAX: usize = 32;
/// Longest name of a machine, and longest name or value of a tag, in bytes.
pub const NAME_BYTES_MAX: usize = 63;
/// Longest reason why a machine is out of service, in bytes.
pub const NOTE_BYTES_MAX: usize = 256;
/// Most devices in one machine.
const DEVICES_MAX: u32 = 1_024;
/// Most CPUs in one machine.
const CPUS_MAX: u32 = 65_536;

/// An inventory as people write it. Unknown fields are errors; sizes and prices are text with a unit.
///
/// ```yaml
/// region: berlin-1
/// types:
///   dgx-h100:
///     gpus: { model: h100, count: 8, memory_each: 80 GiB }
///     cpu: 192
///     memory: 2 TiB
///     price: 20.00 USD          # of one machine for an hour; or `free`; or `unknown`, which is never bought
/// machines:
///   - { name: dgx-01, type: dgx-h100, zone: rack-a }
///   - { name: dgx-02, type: dgx-h100, zone: rack-a, out_of_service: a fan is broken }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryDocument {
    /// The site, for machines that name none.
    pub region: Region,
    /// Kinds of machines, by name.
    pub types: BTreeMap<InstanceType, TypeDocument>,
    /// The machines.
    pub machines: Vec<MachineDocument>,
}

/// One kind of machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeDocument {
    /// Its accelerators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<GpusDocument>,
    /// Its CPUs.
    pub cpu: u32,
    /// Its memory, for example `2 TiB`.
    pub memory: Bytes,
    /// What one machine costs for an hour: an amount such as `20.00 USD`, `free`, or `unknown`.
    pub price: String,
}

/// The accelerators of one kind of machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpusDocument {
    /// The model in any known spelling.
    pub model: String,
    /// How many.
    pub count: u32,
    /// Memory of each, for example `80 GiB`.
    pub memory_each: Bytes,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineDocument {
    /// Its name, unique in the inventory.
    pub name: String,
    /// Which of the types it is.
    #[serde(rename = "type")]
    pub instance_type: InstanceType,
    /// Where it stands: a rack, a room.
    pub zone: ZoneId,
    /// Its site, if it is not the inventory's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Why it is not given to anybody for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_service: Option<String>,
    /// Notes for people, for example an asset number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// Why an inventory was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// Nothing in it: more likely a file that was cut than a wish.
    #[error(
        "the inventory names no machine; name at least one, or take the provider out of the configuration"
    )]
    Empty,
    /// More than a limit.
    #[error("the inventory has {have} {what}, allowed are {limit}; split it over several providers")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// A name that is none.
    #[error(
        "machine `{name}`: a name has 1 to {NAME_BYTES_MAX} letters, digits, `-` and `_`, beginning with a letter or digit"
    )]
    Name {
        /// The name, cut.
        name: String,
    },
    /// Two machines of one name.
    #[error("machine `{name}` is there twice; a name stands for one machine")]
    Twice {
        /// The name.
        name: String,
    },
    /// A machine of a type that is not described.
    #[error("machine `{name}` is of type `{instance_type}`, which `types` does not describe")]
    UnknownType {
        /// The machine.
        name: String,
        /// The type.
        instance_type: InstanceType,
    },
    /// A tag or note that is empty, too long or has control characters.
    #[error("machine `{name}`: {what}")]
    Text {
        /// The machine.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An amount that is not above zero. What costs nothing says so in a word.
    #[error("type `{instance_type}`: a price of {price} is not above zero; write `free`, or `unknown`")]
    NotAPrice {
        /// The type.
        instance_type: InstanceType,
        /// The amount.
        price: Money,
    },
    /// A price that is neither an amount nor a known word.
    #[error("type `{instance_type}`: {source}; or write `free`, or `unknown`")]
    Price {
        /// The type.
        instance_type: InstanceType,
        /// Why it is no amount.
        source: MoneyError,
    },
    /// The accelerator's name.
    #[error("type `{instance_type}`: {source}")]
    Model {
        /// The type.
        instance_type: InstanceType,
        /// Why.
        source: ModelError,
    },
    /// Numbers that no machine has.
    #[error("type `{instance_type}`: {what}")]
    Shape {
        /// The type.
        instance_type: InstanceType,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What a machine costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// This, above zero.
    Costs(PerInstanceHour),
    /// Nothing: somebody wrote `free`.
    Free,
    /// Nobody said: it is shown and never bought.
    Unknown,
}

impl Price {
    /// The price for an offer: zero only for what was called free, `None` for what is unknown.
    #[must_use]
    pub const fn to_offer(self) -> Option<PerInstanceHour> {
        match self {
            Self::Costs(price) => Some(price),
            Self::Free => Some(PerInstanceHour(Money::ZERO_USD)),
            Self::Unknown => None,
        }
    }
}

/// One checked machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its site.
    pub region: Region,
    /// Its rack.
    pub zone: ZoneId,
    /// Its type.
    pub instance_type: InstanceType,
    /// Its accelerators.
    pub accelerators: Option<Accelerators>,
    /// Its CPUs.
    pub cpu: MilliCpu,
    /// Its memory.
    pub memory: Bytes,
    /// What it costs.
    pub price: Price,
    /// Why it is not given to anybody for now.
    pub out_of_service: Option<String>,
    /// Notes for people.
    pub tags: BTreeMap<String, String>,
}

/// A checked inventory. Immutable; a changed file makes a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    machines: BTreeMap<String, Machine>,
    snapshot: String,
}

impl Inventory {
    /// Checks a document.
    ///
    /// # Errors
    /// The first mistake found, as an [`InventoryError`].
    pub fn check(document: InventoryDocument) -> Result<Self, InventoryError> {
        for (what, have, limit) in
            [("machines", document.machines.len(), MACHINES_MAX), ("types", document.types.len(), TYPES_MAX)]
        {
            if have > limit {
                return Err(InventoryError::TooMany { what, have, limit });
            }
        }
        if document.machines.is_empty() {
            return Err(InventoryError::Empty);
        }
        // The document's own order of types is sorted, and its machines are listed: the same file, the same hash.
        let text = serde_json::to_vec(&document).unwrap_or_default();
        let snapshot = blake3::hash(&text).to_hex().to_string();
        let mut shapes = BTreeMap::new();
        for (instance_type, kind) in document.types {
            let shape = Shape::check(&instance_type, &kind)?;
            shapes.insert(instance_type, shape);
        }
        let mut machines = BTreeMap::new();
        for machine in document.machines {
            let machine = check_machine(machine, &document.region, &shapes)?;
            let name = machine.name.clone();
            if machines.insert(name.clone(), machine).is_some() {
                return Err(InventoryError::Twice { name });
            }
        }
        Ok(Self { machines, snapshot })
    }

    /// Content hash, in hex: what every offer names as its snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &str {
        &self.snapshot
    }

    /// How many machines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.machines.len()
    }

    /// Whether there are none; a checked inventory never is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// The machine of this name.
    #[must_use]
    pub fn machine(&self, name: &str) -> Option<&Machine> {
        self.machines.get(name)
    }

    /// All machines, by name.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.machines.values()
    }
}

/// What a type says, checked.
struct Shape {
    accelerators: Option<Accelerators>,
    cpu: MilliCpu,
    memory: Bytes,
    price: Price,
}

impl Shape {
    fn check(instance_type: &InstanceType, kind: &TypeDocument) -> Result<Self, InventoryError> {
        let wrong = |what| InventoryError::Shape { instance_type: instance_type.clone(), what };
        if kind.cpu == 0 || kind.cpu > CPUS_MAX {
            return Err(wrong("`cpu` is 1 to 65536"));
        }
        if kind.memory.0 == 0 {
            return Err(wrong("`memory` is above zero"));
        }
        let accelerators = match &kind.gpus {
            None => None,
            Some(gpus) => {
                let model = AcceleratorModel::parse(&gpus.model).map_err(|source| InventoryError::Model {
                    instance_type: instance_type.clone(),
                    source,
                })?;
                if gpus.count == 0 || gpus.count > DEVICES_MAX {
                    return Err(wrong("`gpus.count` is 1 to 1024; leave `gpus` out for a machine without"));
                }
                if gpus.memory_each.0 == 0 {
                    return Err(wrong("`gpus.memory_each` is above zero"));
                }
                Some(Accelerators { model, count: gpus.count, memory_each: gpus.memory_each })
            }
        };
        let price = check_price(instance_type, &kind.price)?;
        Ok(Self { accelerators, cpu: MilliCpu::whole(kind.cpu), memory: kind.memory, price })
    }
}

fn check_price(instance_type: &InstanceType, text: &str) -> Result<Price, InventoryError> {
    let instance_type = || instance_type.clone();
    match text {
        "free" => Ok(Price::Free),
        "unknown" => Ok(Price::Unknown),
        amount => {
            let price: Money = amount
                .parse()
                .map_err(|source| InventoryError::Price { instance_type: instance_type(), source })?;
            if price.nanos() <= 0 {
                return Err(InventoryError::NotAPrice { instance_type: instance_type(), price });
            }
            Ok(Price::Costs(PerInstanceHour(price)))
        }
    }
}

fn check_machine(
    machine: MachineDocument,
    region: &Region,
    shapes: &BTreeMap<InstanceType, Shape>,
) -> Result<Machine, InventoryError> {
    let MachineDocument { name, instance_type, zone, region: own_region, out_of_service, tags } = machine;
    if !is_name(&name) {
        let name = name.chars().filter(|c| !c.is_control()).take(NAME_BYTES_MAX).collect();
        return Err(InventoryError::Name { name });
    }
    let wrong = |what| InventoryError::Text { name: name.clone(), what };
    let is_text = |text: &str, most: usize| {
        !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)
    };
    if out_of_service.as_ref().is_some_and(|why| !is_text(why, NOTE_BYTES_MAX)) {
        return Err(wrong("`out_of_service` says why, in 1 to 256 bytes without control characters"));
    }
    if tags.len() > TAGS_MAX {
        return Err(wrong("at most 32 tags"));
    }
    if tags.iter().flat_map(|(key, value)| [key, value]).any(|text| !is_text(text, NAME_BYTES_MAX)) {
        return Err(wrong("names and values of tags have 1 to 63 bytes and no control characters"));
    }
    let Some(shape) = shapes.get(&instance_type) else {
        return Err(InventoryError::UnknownType { name, instance_type });
    };
    Ok(Machine {
        name,
        region: own_region.unwrap_or_else(|| region.clone()),
        zone,
        instance_type,
        accelerators: shape.accelerators,
        cpu: shape.cpu,
        memory: shape.memory,
        price: shape.price,
        out_of_service,
        tags,
    })
}

/// Names go into ledger keys and, with a number after a dot, into handles: so none has a dot or a slash.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn good() -> Value {
        json!({
            "region": "berlin-1",
            "types": {
                "dgx": {
                    "gpus": { "model": "H100 SXM", "count": 8, "memory_each": "80 GiB" },
                    "cpu": 192, "memory": "2 TiB", "price": "20.00 USD"
                }
            },
            "machines": [{ "name": "dgx-01", "type": "dgx", "zone": "rack-a" }]
        })
    }

    fn check(document: Value) -> Result<Inventory, InventoryError> {
        Inventory::check(serde_json::from_value(document).unwrap())
    }

    fn with(change: impl FnOnce(&mut Value)) -> Result<Inventory, InventoryError> {
        let mut document = good();
        change(&mut document);
        check(document)
    }

    #[test]
    fn a_good_inventory_is_read() {
        let inventory = check(good()).unwrap();
        let machine = inventory.machine("dgx-01").unwrap();
        assert_eq!((machine.region.as_str(), machine.zone.as_str()), ("berlin-1", "rack-a"));
        assert_eq!(machine.accelerators.unwrap().model, AcceleratorModel::H100);
        assert_eq!(machine.price.to_offer().unwrap().0.to_string(), "20.00 USD");
        assert_ne!(
            inventory.snapshot(),
            with(|d| d["types"]["dgx"]["price"] = json!("20.01 USD")).unwrap().snapshot()
        );
    }

    #[test]
    fn nothing_costs_nothing_by_accident() {
        let price = |text: &str| with(|document| document["types"]["dgx"]["price"] = json!(text));
        let offered = |text: &str| price(text).unwrap().machine("dgx-01").unwrap().price.to_offer();
        assert_eq!(offered("free").unwrap().0, Money::ZERO_USD);
        assert_eq!(offered("unknown"), None);
        for text in ["0", "0.00", "0.00 USD", "-1 USD"] {
            let error = price(text).unwrap_err();
            assert!(matches!(error, InventoryError::NotAPrice { .. }), "{error}");
            assert!(error.to_string().contains("write `free`"), "{error}");
        }
        for text in ["", "Free", "gratis", "NaN", "20 dollars", "1e3 USD"] {
            assert!(matches!(price(text), Err(InventoryError::Price { .. })), "{text}");
        }
        let mut without = good();
        without["types"]["dgx"].as_object_mut().unwrap().remove("price");
        assert!(serde_json::from_value::<InventoryDocument>(without).is_err(), "a price is never left out");
    }

    #[test]
    fn mistakes_are_named() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 10] = [
            (|d| d["machines"] = json!([]), "names no machine"),
            (|d| d["machines"][0]["name"] = json!("a/b"), "`a/b`"),
            (|d| d["machines"][0]["name"] = json!("a.1"), "`a.1`"),
            (|d| d["machines"][0]["name"] = json!(""), "1 to 63"),
            (|d| d["machines"][0]["type"] = json!("dgy"), "`dgy`, which `types` does not describe"),
            (|d| d["machines"][0]["out_of_service"] = json!(""), "says why"),
            (|d| d["machines"][0]["tags"] = json!({ "asset": "a\u{7}" }), "control characters"),
            (|d| d["types"]["dgx"]["cpu"] = json!(0), "`cpu`"),
            (|d| d["types"]["dgx"]["gpus"]["count"] = json!(0), "leave `gpus` out"),
            (|d| d["types"]["dgx"]["gpus"]["model"] = json!("a100"), "ambiguous"),
        ];
        for (change, wanted) in cases {
            let error = with(change).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error} should say {wanted}");
        }
        let twice = with(|d| {
            let machine = d["machines"][0].clone();
            d["machines"].as_array_mut().unwrap().push(machine);
        });
        assert_eq!(twice, Err(InventoryError::Twice { name: "dgx-01".to_owned() }));
        let mut unknown = good();
        unknown["machines"][0]["hostname"] = json!("x");
        assert!(serde_json::from_value::<InventoryDocument>(unknown).is_err(), "unknown fields are errors");
    }

    #[test]
    fn limits_are_exact() {
        let machines = |count: usize| {
            let machine = |n: usize| json!({ "name": format!("m{n}"), "type": "dgx", "zone": "z" });
            with(|document| document["machines"] = (0..count).map(machine).collect())
        };
        assert_eq!(machines(MACHINES_MAX).unwrap().len(), MACHINES_MAX);
        let (what, have, limit) = ("machines", MACHINES_MAX + 1, MACHINES_MAX);
        assert_eq!(machines(MACHINES_MAX + 1), Err(InventoryError::TooMany { what, have, limit }));
        let named = |name: String| with(|document| document["machines"][0]["name"] = json!(name));
        assert!(named("n".repeat(NAME_BYTES_MAX)).is_ok());
        assert!(matches!(named("n".repeat(NAME_BYTES_MAX + 1)), Err(InventoryError::Name { .. })));
        let types = |count: usize| {
            with(|document| {
                let kind = document["types"]["dgx"].clone();
                for n in 1..count {
                    document["types"][format!("t{n}")] = kind.clone();
                }
            })
        };
        assert!(types(TYPES_MAX).is_ok());
        assert!(matches!(types(TYPES_MAX + 1), Err(InventoryError::TooMany { what: "types", .. })));
    }
}
