//! Answers in the Compute API's JSON.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::cloud::{Answer, Machine, PROJECT, Reserved};

pub fn refusal(status: u16, reason: &str, message: &str) -> Answer {
    let errors = [json!({ "message": message, "domain": "global", "reason": reason })];
    (status, json!({ "error": { "code": status, "message": message, "errors": errors } }))
}

fn link(zone: &str, kind: &str, name: &str) -> String {
    format!("https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{zone}/{kind}/{name}")
}

/// As the API writes times: with an offset, and not in UTC.
fn time(at: Timestamp) -> String {
    let there = jiff::tz::Offset::from_hours(-8).unwrap();
    format!("{}-08:00", there.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S.%3f"))
}

pub fn instance(machine: &Machine, now: Timestamp) -> Value {
    let Machine { id, name, zone, properties, created_at, .. } = machine;
    let devices: Vec<Value> = machine
        .devices()
        .iter()
        .map(|(device, count)| {
            json!({ "acceleratorType": link(zone, "acceleratorTypes", device), "acceleratorCount": count })
        })
        .collect();
    let machine_type = properties["machineType"].as_str().unwrap_or_default();
    let mut instance = json!({
        "kind": "compute#instance",
        "id": id.to_string(),
        "name": name,
        "zone": format!("https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{zone}"),
        "machineType": link(zone, "machineTypes", machine_type),
        "status": machine.status(now),
        "creationTimestamp": time(*created_at),
        "labels": properties["labels"],
        "labelFingerprint": "42WmSpB8rSM=",
        "scheduling": properties["scheduling"],
        "guestAccelerators": devices,
        "selfLink": link(zone, "instances", name),
    });
    if !properties["reservationAffinity"].is_null() {
        instance["reservationAffinity"] = properties["reservationAffinity"].clone();
    }
    instance
}

pub fn reservation(have: &Reserved, used: usize) -> Value {
    let Reserved { name, zone, machine_type, status, count, by_name, platform, ends_at, .. } = have;
    let mut properties = json!({ "machineType": machine_type });
    if let Some(platform) = platform {
        properties["minCpuPlatform"] = json!(platform);
    }
    let mut reservation = json!({
        "kind": "compute#reservation",
        "id": "18446744073709551000",
        "name": name,
        "zone": format!("https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{zone}"),
        "status": status,
        "specificReservationRequired": by_name,
        "specificReservation": { "count": count.to_string(), "inUseCount": used.to_string(),
            "assuredCount": count.to_string(), "instanceProperties": properties },
        "selfLink": link(zone, "reservations", name),
    });
    if let Some(at) = ends_at {
        reservation["deleteAtTime"] = json!(time(*at));
    }
    reservation
}

/// An operation at its end.
pub fn operation(id: u64, kind: &str, zone: &str, now: Timestamp, more: &Value) -> Value {
    let name = format!("operation-{id}");
    let mut operation = json!({
        "kind": "compute#operation",
        "id": id.to_string(),
        "name": name,
        "operationType": kind,
        "status": "DONE",
        "progress": 100,
        "insertTime": time(now),
        "startTime": time(now),
        "endTime": time(now.saturating_add(SignedDuration::from_secs(1)).unwrap()),
        "zone": format!("https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{zone}"),
        "selfLink": link(zone, "operations", &name),
    });
    for (key, value) in more.as_object().unwrap() {
        operation[key] = value.clone();
    }
    operation
}

/// The same operation before its end.
pub fn running(operation: &Value) -> Value {
    let mut running = operation.clone();
    running["status"] = json!("RUNNING");
    let fields = running.as_object_mut().unwrap();
    for later in [
        "endTime",
        "error",
        "httpErrorStatusCode",
        "httpErrorMessage",
        "instancesBulkInsertOperationMetadata",
    ] {
        fields.remove(later);
    }
    running
}

/// The part of the filter language that is in use: `key = "value"`, `(key = "value") OR ...`, and
/// `(key = "value") AND (key >= "value")`. Texts are compared as texts, times too: the worst that a server may do.
pub struct Filter {
    all: bool,
    parts: Vec<(String, bool, String)>,
}

impl Filter {
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self { all: true, parts: Vec::new() });
        }
        let one = |part: &str| {
            let part = part.strip_prefix('(').and_then(|part| part.strip_suffix(')')).unwrap_or(part);
            let (key, least, value) = match part.split_once(" >= ") {
                Some((key, value)) => (key, true, value),
                None => part.split_once(" = ").map(|(key, value)| (key, false, value))?,
            };
            let value = value.strip_prefix('"')?.strip_suffix('"')?;
            (!value.contains('"') && !key.contains(' ')).then(|| (key.to_owned(), least, value.to_owned()))
        };
        let all = text.contains(" AND ");
        let parts = text.split(if all { " AND " } else { " OR " }).map(one).collect::<Option<Vec<_>>>()?;
        Some(Self { all, parts })
    }

    pub fn has_times(&self) -> bool {
        self.parts.iter().any(|(_, least, _)| *least)
    }

    pub fn takes(&self, entry: &Value) -> bool {
        let at = |key: &str| key.split('.').fold(entry, |value, part| &value[part]);
        let fits = |(key, least, want): &(String, bool, String)| match at(key).as_str() {
            Some(have) if *least => have >= want.as_str(),
            have => have == Some(want.as_str()),
        };
        if self.all { self.parts.iter().all(fits) } else { self.parts.iter().any(fits) }
    }
}
