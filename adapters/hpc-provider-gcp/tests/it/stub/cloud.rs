//! The stub's cloud: what exists, what is in stock, and what goes wrong next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::reply;

/// The one project.
pub const PROJECT: &str = "research-1234";
/// How late a new instance shows up in lists.
pub const LAG: SignedDuration = SignedDuration::from_secs(5);
/// How long an ending takes.
const ENDING: SignedDuration = SignedDuration::from_secs(30);
const ZONES: [&str; 3] = ["us-central1-a", "us-central1-c", "europe-west4-b"];

/// Types: name, devices, vCPUs, MiB.
type Type = (&'static str, Option<(&'static str, u32)>, u32, u32);
pub const TYPES: &[Type] = &[
    ("a2-ultragpu-8g", Some(("nvidia-a100-80gb", 8)), 96, 1_392_640),
    ("a2-ultragpu-1g", Some(("nvidia-a100-80gb", 1)), 12, 174_080),
    ("a3-highgpu-8g", Some(("nvidia-h100-80gb", 8)), 208, 1_916_928),
    ("a3-highgpu-1g", Some(("nvidia-h100-80gb", 1)), 26, 239_616),
    ("n1-standard-8", None, 8, 30_720),
    ("n2-standard-2", None, 2, 8_192),
    ("e2-micro", None, 2, 1_024),
];
/// Devices that may be added to a machine, and how many of them at most.
const CARDS: [(&str, u32); 2] = [("nvidia-tesla-t4", 4), ("nvidia-tesla-v100", 8)];
/// Quotas of each region; `GPUS_ALL_REGIONS` is the project's.
pub const METRICS: &[&str] = &[
    "CPUS",
    "N2_CPUS",
    "NVIDIA_A100_80GB_GPUS",
    "PREEMPTIBLE_NVIDIA_A100_80GB_GPUS",
    "NVIDIA_T4_GPUS",
    "DISKS_TOTAL_GB",
];
pub const ALL_REGIONS: &str = "GPUS_ALL_REGIONS";

/// What happens to the next call of an action.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The request is not carried out, and the connection ends.
    DropBefore,
    /// The request is carried out, and the connection ends.
    DropAfter,
    /// The request is carried out; the answer is cut, and its announced length with it.
    CutTo(usize),
    /// The request is carried out; the connection ends after so many bytes of the body.
    BreakAt(usize),
    /// The request is not carried out, and this is the answer: status, type, body.
    Answer(u16, &'static str, String),
    /// Nothing ever comes back.
    Hang,
}

/// One call: `instances.bulkInsert`, the parts of its path, its query and its body.
#[derive(Clone, Debug)]
pub struct Call {
    pub action: String,
    pub path: Vec<String>,
    pub query: BTreeMap<String, String>,
    pub body: Value,
}

impl Call {
    pub fn parse(head: &str, body: &str) -> Option<Self> {
        let mut line = head.lines().next()?.split(' ');
        let (method, target) = (line.next()?, line.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = pairs.map(|(key, value)| (decode(key), decode(value))).collect();
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let action = match (method, parts.get(4..).unwrap_or_default()) {
            ("GET", []) => "projects.get".to_owned(),
            ("GET", ["regions"]) => "regions.list".to_owned(),
            ("GET", ["aggregated", what]) => format!("{what}.aggregatedList"),
            ("GET", ["zones", _, "operations", _]) => "zoneOperations.get".to_owned(),
            ("POST", ["zones", _, "instances", "bulkInsert"]) => "instances.bulkInsert".to_owned(),
            ("GET", ["zones", _, "instances"]) => "instances.list".to_owned(),
            ("DELETE", ["zones", _, "instances", _]) => "instances.delete".to_owned(),
            _ => format!("{method} {}", parts.join("/")),
        };
        Some(Self { action, path, query, body: serde_json::from_str(body).unwrap_or(Value::Null) })
    }

    pub fn part(&self, at: usize) -> &str {
        self.path.get(at).map_or("", String::as_str)
    }

    pub fn asked(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let hex: Vec<u8> = rest.by_ref().take(2).collect();
                let hex = String::from_utf8(hex).unwrap_or_default();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Clone, Debug)]
pub struct Machine {
    pub id: u64,
    pub name: String,
    pub zone: String,
    /// As it was asked for: `InstanceProperties`.
    pub properties: Value,
    pub created_at: Timestamp,
    /// When its end was asked for.
    pub end: Option<Timestamp>,
}

impl Machine {
    pub fn spot(&self) -> bool {
        // Flex-start is counted, and sold out, as spot is.
        ["SPOT", "FLEX_START"]
            .iter()
            .any(|model| self.properties["scheduling"]["provisioningModel"] == *model)
    }

    /// The reservation it was created for.
    pub fn named(&self) -> Option<String> {
        let affinity = &self.properties["reservationAffinity"];
        let specific = affinity["consumeReservationType"] == "SPECIFIC_RESERVATION";
        affinity["values"][0].as_str().filter(|_| specific).map(str::to_owned)
    }

    pub fn devices(&self) -> Vec<(String, u64)> {
        let name = self.properties["machineType"].as_str().unwrap_or_default();
        let own = TYPES.iter().find(|(known, ..)| *known == name).and_then(|(_, devices, ..)| *devices);
        match own {
            Some((device, count)) => vec![(device.to_owned(), count.into())],
            None => {
                let added = self.properties["guestAccelerators"].as_array().cloned().unwrap_or_default();
                let read = |added: &Value| {
                    let device = added["acceleratorType"].as_str().unwrap_or_default().to_owned();
                    (device, added["acceleratorCount"].as_u64().unwrap_or(0))
                };
                added.iter().map(read).collect()
            }
        }
    }

    pub fn status(&self, now: Timestamp) -> &'static str {
        match self.end {
            Some(_) => "STOPPING",
            None if now < self.created_at.saturating_add(LAG).unwrap() => "PROVISIONING",
            None => "RUNNING",
        }
    }

    pub fn is_there(&self, now: Timestamp) -> bool {
        self.end.is_none_or(|end| now < end.saturating_add(ENDING).unwrap())
    }
}

/// A reservation as Compute Engine keeps it.
#[derive(Clone, Debug)]
pub struct Reserved {
    pub name: &'static str,
    pub zone: &'static str,
    pub machine_type: &'static str,
    pub status: &'static str,
    pub count: usize,
    /// Instances of others, which no answer shows.
    pub hidden: usize,
    /// Whether only what names it gets into it.
    pub by_name: bool,
    pub platform: Option<&'static str>,
    pub ends_at: Option<Timestamp>,
}

pub struct Cloud {
    pub now: Timestamp,
    pub reservations: Vec<Reserved>,
    pub machines: Vec<Machine>,
    /// Operations by which instances were taken back.
    pub reclaims: Vec<Value>,
    /// Zones and ways to buy that are out of stock.
    pub sold_out: BTreeSet<(String, bool)>,
    /// How many instances a create makes before it fails, where there is no stock.
    pub made_before_failure: u64,
    /// Whether what was made before a failure is taken back.
    pub takes_back: bool,
    /// Units by metric; what is not named is plenty.
    pub limits: BTreeMap<String, u64>,
    /// Zones that do not answer.
    pub unreachable: BTreeSet<String>,
    /// How many looks an operation takes until it is done.
    pub looks: u32,
    pub calls: Vec<Call>,
    /// What was answered, beside what was asked.
    pub answers: Vec<(String, Answer)>,
    /// Lists that never end.
    pub endless: bool,
    /// Refuses filters with times.
    pub no_times: bool,
    /// By request id: the body and the operation.
    requests: BTreeMap<String, Value>,
    operations: BTreeMap<String, (u32, Value)>,
    faults: VecDeque<(String, Fault)>,
    next_id: u64,
}

pub type Answer = (u16, Value);

impl Cloud {
    pub fn new() -> Self {
        Self {
            now: "2026-11-26T12:00:00Z".parse().unwrap(),
            reservations: Vec::new(),
            machines: Vec::new(),
            reclaims: Vec::new(),
            sold_out: BTreeSet::new(),
            made_before_failure: 0,
            takes_back: true,
            limits: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            looks: 1,
            calls: Vec::new(),
            answers: Vec::new(),
            endless: false,
            no_times: false,
            requests: BTreeMap::new(),
            operations: BTreeMap::new(),
            faults: VecDeque::new(),
            // Ids are larger than a float holds: a reader that makes floats of them is found.
            next_id: u64::MAX - 1_000_000,
        }
    }

    pub fn fail_next(&mut self, action: &str, fault: Fault) {
        self.faults.push_back((action.to_owned(), fault));
    }

    pub fn fault(&mut self, action: &str) -> Option<Fault> {
        let at = self.faults.iter().position(|(wanted, _)| wanted == action)?;
        self.faults.remove(at).map(|(_, fault)| fault)
    }

    pub fn pending_faults(&self) -> usize {
        self.faults.len()
    }

    pub fn count(&self, action: &str) -> usize {
        self.calls.iter().filter(|call| call.action == action).count()
    }

    pub fn forget_requests(&mut self) {
        self.requests.clear();
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub fn answer(&mut self, call: &Call) -> Answer {
        let right = (call.part(0), call.part(1), call.part(2), call.part(3))
            == ("compute", "v1", "projects", PROJECT);
        if !right {
            return reply::refusal(
                404,
                "notFound",
                &format!("The resource 'projects/{}' was not found", call.part(3)),
            );
        }
        let machines = |cloud: &Self| cloud.visible();
        match call.action.as_str() {
            "instances.bulkInsert" => self.bulk_insert(call),
            "instances.delete" => self.delete(call),
            "instances.list" => self.list_zone(call),
            "zoneOperations.get" => self.look(call.part(7)),
            "instances.aggregatedList" => self.list(call, "instances", machines(self)),
            "machineTypes.aggregatedList" => self.list(call, "machineTypes", types()),
            "acceleratorTypes.aggregatedList" => self.list(call, "acceleratorTypes", cards()),
            "operations.aggregatedList" => {
                let reclaims =
                    self.reclaims.iter().map(|operation| (last(&operation["zone"]), operation.clone()));
                let all = reclaims.collect();
                self.list(call, "operations", all)
            }
            "reservations.aggregatedList" => {
                let all = self.reservations.iter();
                let all =
                    all.map(|have| (have.zone.to_owned(), reply::reservation(have, self.used_of(have))));
                self.list(call, "reservations", all.collect())
            }
            "regions.list" => self.regions(),
            "projects.get" => {
                let quotas = [self.quota(ALL_REGIONS, None)];
                (200, json!({ "kind": "compute#project", "name": PROJECT, "quotas": quotas }))
            }
            _ => reply::refusal(404, "notFound", "no such method"),
        }
    }

    fn visible(&self) -> Vec<(String, Value)> {
        let shown = |machine: &&Machine| {
            machine.is_there(self.now) && self.now >= machine.created_at.saturating_add(LAG).unwrap()
        };
        let machines = self.machines.iter().filter(shown);
        machines.map(|machine| (machine.zone.clone(), reply::instance(machine, self.now))).collect()
    }

    /// One page of a list over all zones, in the form of the API: entries by zone, and a warning for each zone without any.
    fn list(&self, call: &Call, what: &str, all: Vec<(String, Value)>) -> Answer {
        let Some(filter) = reply::Filter::parse(call.asked("filter")) else {
            return reply::refusal(400, "invalid", "Invalid value for field 'filter'");
        };
        if self.no_times && filter.has_times() {
            return reply::refusal(400, "invalid", "Invalid value for field 'filter'");
        }
        let found: Vec<_> = all
            .into_iter()
            .filter(|(zone, entry)| filter.takes(entry) && !self.unreachable.contains(zone))
            .collect();
        let size: usize = call.asked("maxResults").parse().unwrap_or(500);
        let from: usize = match call.asked("pageToken") {
            "" => 0,
            token => match token.strip_prefix("page-").and_then(|from| from.parse().ok()) {
                Some(from) => from,
                None => return reply::refusal(400, "invalid", "Invalid value for field 'pageToken'"),
            },
        };
        let mut items = serde_json::Map::new();
        for zone in ZONES {
            let nothing =
                json!({ "warning": { "code": "NO_RESULTS_ON_PAGE", "message": "There are no results." } });
            items.insert(format!("zones/{zone}"), nothing);
        }
        for (zone, entry) in found.iter().skip(from).take(size) {
            let scope = items.entry(format!("zones/{zone}")).or_insert(Value::Null);
            match scope[what].as_array_mut() {
                Some(entries) => entries.push(entry.clone()),
                None => *scope = json!({ what: [entry] }),
            }
        }
        let mut unreachables = Vec::new();
        for zone in &self.unreachable {
            items.insert(
                format!("zones/{zone}"),
                json!({ "warning": { "code": "UNREACHABLE", "message": "no answer" } }),
            );
            unreachables.push(json!(format!("zones/{zone}")));
        }
        let mut answer = json!({ "items": items, "unreachables": unreachables });
        if from + size < found.len() || self.endless {
            answer["nextPageToken"] = json!(format!("page-{}", from + size));
        }
        (200, answer)
    }

    /// One page of the instances of one zone.
    fn list_zone(&self, call: &Call) -> Answer {
        let zone = call.part(5);
        if self.unreachable.contains(zone) {
            return reply::refusal(503, "backendError", "the zone does not answer");
        }
        if !ZONES.contains(&zone) {
            return reply::refusal(
                400,
                "invalid",
                &format!("Invalid value for field 'zone': '{zone}'. Unknown zone."),
            );
        }
        let here = self.visible().into_iter().filter(|(of, _)| of == zone).collect();
        let (status, mut answer) = self.list(call, "instances", here);
        if status == 200 {
            let items = answer["items"][format!("zones/{zone}")]["instances"].take();
            answer.as_object_mut().unwrap().remove("unreachables");
            answer["items"] = if items.is_null() { json!([]) } else { items };
        }
        (status, answer)
    }

    fn look(&mut self, name: &str) -> Answer {
        let Some((looks, operation)) = self.operations.get_mut(name) else {
            return reply::refusal(
                404,
                "notFound",
                &format!("The resource 'operations/{name}' was not found"),
            );
        };
        *looks = looks.saturating_sub(1);
        if *looks == 0 { (200, operation.clone()) } else { (200, reply::running(operation)) }
    }

    fn delete(&mut self, call: &Call) -> Answer {
        let (zone, name, now) = (call.part(5).to_owned(), call.part(7).to_owned(), self.now);
        let id = self.id();
        let it =
            |machine: &&mut Machine| machine.zone == zone && machine.name == name && machine.is_there(now);
        let Some(machine) = self.machines.iter_mut().find(it) else {
            let link = format!("projects/{PROJECT}/zones/{zone}/instances/{name}");
            return reply::refusal(404, "notFound", &format!("The resource '{link}' was not found"));
        };
        machine.end.get_or_insert(now);
        let operation = reply::operation(id, "delete", &zone, now, &json!({}));
        (200, reply::running(&operation))
    }

    fn bulk_insert(&mut self, call: &Call) -> Answer {
        let request = call.asked("requestId").to_owned();
        if request.len() != 36 || request.chars().all(|c| c == '0' || c == '-') {
            return reply::refusal(400, "invalid", "Invalid value for field 'requestId'");
        }
        if let Some(operation) = self.requests.get(&request) {
            return (200, reply::running(operation));
        }
        let (zone, body, now) = (call.part(5).to_owned(), &call.body, self.now);
        let names: Vec<String> = body["perInstanceProperties"]
            .as_object()
            .into_iter()
            .flat_map(|names| names.keys().cloned())
            .collect();
        let count = body["count"].as_str().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        let whole =
            body["minCount"] == body["count"] && usize::try_from(count) == Ok(names.len()) && count > 0;
        if !whole || !ZONES.contains(&zone.as_str()) {
            return reply::refusal(400, "invalid", "Invalid value for field 'count' or 'zone'");
        }
        let taken = |name: &String| {
            self.machines.iter().any(|m| m.is_there(now) && m.zone == zone && m.name == *name)
        };
        if let Some(name) = names.iter().find(|name| taken(name)) {
            return reply::refusal(409, "alreadyExists", &format!("The resource '{name}' already exists"));
        }
        let properties = body["instanceProperties"].clone();
        if let Some(wrong) = self.not_like_this(&zone, &properties) {
            return reply::refusal(400, "invalid", &wrong);
        }
        let wanted: Vec<Machine> = names
            .into_iter()
            .map(|name| Machine {
                id: self.id(),
                name,
                zone: zone.clone(),
                properties: properties.clone(),
                created_at: now,
                end: None,
            })
            .collect();
        // What runs in a reservation takes the reservation's quota and stock.
        let error = match wanted.first().and_then(Machine::named) {
            Some(name) => self.no_room(&zone, &name, wanted.len()),
            None => self.no_quota(&wanted).or_else(|| self.no_stock(&wanted)),
        };
        let id = self.id();
        let (created, deleted) = match &error {
            None => (count, 0),
            Some(_) if self.takes_back => (self.made_before_failure, self.made_before_failure),
            Some(_) => (self.made_before_failure, 0),
        };
        let left = usize::try_from(created - deleted).unwrap();
        self.machines.extend(wanted.into_iter().take(left));
        let status = json!({ "status": "DONE", "targetVmCount": count, "createdVmCount": created,
            "failedToCreateVmCount": count - created, "deletedVmCount": deleted });
        let mut more = json!({ "instancesBulkInsertOperationMetadata":
            { "perLocationStatus": { (format!("zones/{zone}")): status } } });
        if let Some((code, message, status)) = error {
            let back = format!("Requested minimum count of {count} VMs could not be created.");
            more["error"] = json!({ "errors": [
                { "code": "VM_MIN_COUNT_NOT_REACHED", "message": back }, { "code": code, "message": message } ] });
            more["httpErrorStatusCode"] = json!(status);
            more["httpErrorMessage"] = json!("FAILED");
        }
        let operation = reply::operation(id, "bulkInsert", &zone, now, &more);
        let name = operation["name"].as_str().unwrap().to_owned();
        self.operations.insert(name, (self.looks, operation.clone()));
        self.requests.insert(request, operation.clone());
        (200, reply::running(&operation))
    }

    /// What Compute Engine says of reservations and flex-start before anything begins.
    fn not_like_this(&self, zone: &str, properties: &Value) -> Option<String> {
        let (affinity, scheduling) = (&properties["reservationAffinity"], &properties["scheduling"]);
        let specific = affinity["consumeReservationType"] == "SPECIFIC_RESERVATION";
        if specific && affinity["key"] != "compute.googleapis.com/reservation-name" {
            return Some("Invalid value for field 'reservationAffinity.key'".to_owned());
        }
        if specific && scheduling["provisioningModel"] != "STANDARD" {
            return Some("only standard instances use reservations".to_owned());
        }
        if scheduling["provisioningModel"] == "FLEX_START" {
            let run_s: u64 =
                scheduling["maxRunDuration"]["seconds"].as_str().and_then(|text| text.parse().ok())?;
            let fine = (600..=604_800).contains(&run_s)
                && scheduling["instanceTerminationAction"] == "DELETE"
                && scheduling["onHostMaintenance"] == "TERMINATE"
                && affinity["consumeReservationType"] == "NO_RESERVATION";
            return (!fine).then(|| "flex-start does not go like this".to_owned());
        }
        let name = affinity["values"][0].as_str().filter(|_| specific)?;
        let have = self.reservations.iter().find(|have| have.name == name && have.zone == zone);
        match have {
            None => Some(format!("Specified reservation '{name}' does not exist.")),
            Some(have) if have.machine_type != properties["machineType"] => {
                Some(format!("the properties are not those of the reservation '{name}'"))
            }
            Some(_) => None,
        }
    }

    fn no_room(&self, zone: &str, name: &str, count: usize) -> Option<(&'static str, String, u16)> {
        let have = self.reservations.iter().find(|have| have.name == name && have.zone == zone)?;
        let room = have.count.saturating_sub(have.hidden + self.used_of(have));
        (count > room).then(|| {
            let message =
                format!("Specified reservation '{name}' does not have available resources for the request.");
            ("CONDITION_NOT_MET", message, 412)
        })
    }

    fn used_of(&self, have: &Reserved) -> usize {
        let in_it = |machine: &&Machine| {
            machine.is_there(self.now)
                && machine.zone == have.zone
                && machine.named().as_deref() == Some(have.name)
        };
        self.machines.iter().filter(in_it).count()
    }

    fn no_stock(&self, wanted: &[Machine]) -> Option<(&'static str, String, u16)> {
        let machine = wanted.first()?;
        self.sold_out.contains(&(machine.zone.clone(), machine.spot())).then(|| {
            let message = format!(
                "The zone 'projects/{PROJECT}/zones/{}' does not have enough resources",
                machine.zone
            );
            ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", message, 503)
        })
    }

    fn no_quota(&self, wanted: &[Machine]) -> Option<(&'static str, String, u16)> {
        let region = wanted.first()?.zone.rsplit_once('-')?.0.to_owned();
        for (metric, limit) in &self.limits {
            let place = if metric == ALL_REGIONS { None } else { Some(region.as_str()) };
            let used = self.used(metric, place, &self.machines);
            if used + self.used(metric, place, wanted) > *limit && self.used(metric, place, wanted) > 0 {
                let place = place.map_or("globally".to_owned(), |region| format!("in region {region}"));
                let message = format!("Quota '{metric}' exceeded.  Limit: {limit}.0 {place}.");
                return Some(("QUOTA_EXCEEDED", message, 403));
            }
        }
        None
    }

    fn used(&self, metric: &str, region: Option<&str>, machines: &[Machine]) -> u64 {
        let here = |machine: &&Machine| {
            machine.is_there(self.now) && region.is_none_or(|region| machine.zone.starts_with(region))
        };
        let of = |machine: &Machine| {
            let devices = machine.devices();
            let metric_of = |device: &str| {
                let model = match device {
                    "nvidia-a100-80gb" => "NVIDIA_A100_80GB_GPUS",
                    "nvidia-tesla-t4" => "NVIDIA_T4_GPUS",
                    _ => "OTHER",
                };
                if machine.spot() { format!("PREEMPTIBLE_{model}") } else { model.to_owned() }
            };
            devices
                .iter()
                .filter(|(device, _)| metric == ALL_REGIONS || metric_of(device) == metric)
                .map(|(_, n)| n)
                .sum::<u64>()
        };
        machines.iter().filter(here).map(of).sum()
    }

    fn quota(&self, metric: &str, region: Option<&str>) -> Value {
        #[allow(clippy::cast_precision_loss, clippy::as_conversions, reason = "the API writes floats")]
        let float = |value: u64| value as f64;
        let limit = self.limits.get(metric).copied().unwrap_or(100_000);
        json!({ "metric": metric, "limit": float(limit), "usage": float(self.used(metric, region, &self.machines)) })
    }

    fn regions(&self) -> Answer {
        let region = |name: &str| {
            let quotas: Vec<Value> = METRICS.iter().map(|metric| self.quota(metric, Some(name))).collect();
            json!({ "kind": "compute#region", "name": name, "status": "UP", "quotas": quotas })
        };
        (200, json!({ "items": [region("europe-west4"), region("us-central1"), region("us-east1")] }))
    }
}

fn last(link: &Value) -> String {
    link.as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
}

fn types() -> Vec<(String, Value)> {
    let all = ZONES.iter().flat_map(|zone| TYPES.iter().map(move |machine_type| (zone, machine_type)));
    all.map(|(zone, (name, devices, cpus, mib))| {
        let accelerators: Vec<Value> = devices
            .iter()
            .map(|(device, count)| json!({ "guestAcceleratorType": device, "guestAcceleratorCount": count }))
            .collect();
        let entry = json!({ "kind": "compute#machineType", "id": "1", "name": name, "guestCpus": cpus, "memoryMb": mib,
            "isSharedCpu": *name == "e2-micro", "accelerators": accelerators, "zone": zone });
        ((*zone).to_owned(), entry)
    })
    .collect()
}

fn cards() -> Vec<(String, Value)> {
    // Not in every zone.
    let all = ["us-central1-a"].iter().flat_map(|zone| CARDS.iter().map(move |card| (zone, card)));
    all.map(|(zone, (name, most))| {
        let entry =
            json!({ "kind": "compute#acceleratorType", "name": name, "maximumCardsPerInstance": most });
        ((*zone).to_owned(), entry)
    })
    .collect()
}
