//! What happens around a create: what is sent, what is found again, what Compute Engine takes back.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_conformance::provider::Rig;
use hpc_provider::{
    Boot, BootError, BootScript, BootSource, CapacityProvider, Certainty, ErrorKind, InstanceHandle,
    InstancePhase, InterruptionKind, NoBoot, Observe, ProvisionSpec, QuoteRequest, Released, TAG_INTENT,
};
use hpc_provider_gcp::{GcpConfig, names};
use hpc_resources::{AcceleratorModel, InstanceType, OfferKind, Region, ResourceRequest, ZoneId};
use serde_json::{Value, json};

use crate::rig::{StubRig, config, connect, spec};
use crate::stub::cloud::PROJECT;
use crate::stub::{Call, Fault};

fn last_create(rig: &StubRig) -> Call {
    let cloud = rig.stub.cloud();
    cloud.calls.iter().rfind(|call| call.action == "instances.bulkInsert").unwrap().clone()
}

fn by_intent(spec: &ProvisionSpec) -> Observe {
    Observe::Tag { key: TAG_INTENT.to_owned(), value: spec.intent.to_string() }
}

#[tokio::test]
async fn one_call_creates_all_or_none_with_names_and_labels() {
    let rig = StubRig::start(Some(OfferKind::Spot)).await;
    let mut spec = rig.spec(1, 2).await;
    spec.tags.insert("purpose".to_owned(), "A suite".to_owned());
    let handles = rig.provider.provision(&spec).await.unwrap().handles;
    let sent = last_create(&rig);
    assert_eq!(sent.asked("requestId"), spec.token.as_uuid());
    let (body, properties) = (&sent.body, &sent.body["instanceProperties"]);
    // Whole numbers of 64 bits are texts in this API.
    assert_eq!((&body["count"], &body["minCount"]), (&json!("2"), &json!("2")));
    let names = names::of_token(&spec.token, 2);
    let sent_names: Vec<&String> = body["perInstanceProperties"].as_object().unwrap().keys().collect();
    assert_eq!(sent_names, names.iter().collect::<Vec<_>>());
    let ids: Vec<String> = names.iter().map(|name| format!("{}.{name}", spec.offer.zone)).collect();
    assert_eq!(handles.iter().map(|handle| &handle.id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    assert_eq!(properties["machineType"], "a2-ultragpu-8g");
    assert_eq!(properties["labels"]["purpose"], "__41__20suite");
    assert_eq!(properties["labels"]["hpc-intent"], spec.intent.as_str());
    assert_eq!(
        properties["scheduling"],
        json!({ "provisioningModel": "SPOT", "instanceTerminationAction": "DELETE", "automaticRestart": false,
            "onHostMaintenance": "TERMINATE" })
    );
    let disk = &properties["disks"][0];
    assert_eq!((&disk["boot"], &disk["autoDelete"]), (&json!(true), &json!(true)), "no disk is left behind");
    assert_eq!(disk["initializeParams"]["labels"], properties["labels"]);
    assert_eq!(disk["initializeParams"]["sourceImage"], "projects/p/global/images/family/gpu");
    // Neither an address that the internet reaches nor an account, unless they are asked for.
    assert_eq!(
        (properties["networkInterfaces"][0].get("accessConfigs"), properties.get("serviceAccounts")),
        (None, None)
    );
    assert_eq!(properties.get("metadata"), None);
}

#[tokio::test]
async fn settings_of_network_account_and_disk_are_sent() {
    let rig = StubRig::start(Some(OfferKind::OnDemand)).await;
    let spec = rig.spec(1, 1).await;
    let mut config = GcpConfig {
        service_account: Some("agent@research-1234.iam.gserviceaccount.com".to_owned()),
        external_ip: true,
        disk_gib: Some(200),
        ..config(&rig.stub.url)
    };
    for region in &mut config.regions {
        region.subnetwork = Some(format!("regions/{}/subnetworks/gpu", region.region));
    }
    connect(&rig.stub, config, Arc::new(NoBoot)).await.provision(&spec).await.unwrap();
    let properties = last_create(&rig).body["instanceProperties"].clone();
    assert_eq!(properties["serviceAccounts"][0]["email"], "agent@research-1234.iam.gserviceaccount.com");
    assert_eq!(properties["disks"][0]["initializeParams"]["diskSizeGb"], "200");
    let network = &properties["networkInterfaces"][0];
    assert_eq!(network["accessConfigs"][0]["type"], "ONE_TO_ONE_NAT");
    assert_eq!(network["subnetwork"], format!("regions/{}/subnetworks/gpu", spec.offer.region));
    assert_eq!(
        properties["scheduling"],
        json!({ "provisioningModel": "STANDARD", "onHostMaintenance": "TERMINATE" })
    );
}

#[tokio::test]
async fn devices_are_added_to_n1_and_the_type_reads_back() {
    let rig = StubRig::start(None).await;
    let t4 =
        ResourceRequest::new("x").add_accelerator(AcceleratorModel::parse("t4").unwrap(), 2).build().unwrap();
    let quote = rig.provider.get_quote(&QuoteRequest { request: t4, now: rig.now() }).await.unwrap();
    let spec = spec(quote.offers.into_iter().next().unwrap(), 1, 1, rig.now());
    rig.provider.provision(&spec).await.unwrap();
    let properties = last_create(&rig).body["instanceProperties"].clone();
    assert_eq!(properties["machineType"], "n1-standard-8");
    assert_eq!(
        properties["guestAccelerators"],
        json!([{ "acceleratorType": "nvidia-tesla-t4", "acceleratorCount": 2 }])
    );
    rig.stub.pass(Duration::from_secs(60));
    let state = rig.provider.observe(&by_intent(&spec)).await.unwrap().remove(0);
    assert_eq!(
        (state.instance_type, state.phase),
        (spec.offer.instance_type.clone(), InstancePhase::Running)
    );
    // The API writes times with the offset of California.
    assert_eq!(state.launched_at.to_string(), "2026-11-26T12:00:00Z");
}

#[tokio::test]
async fn what_would_be_refused_or_nobody_would_find_is_not_sent() {
    let rig = StubRig::start(None).await;
    let good = rig.spec(1, 1).await;
    let with = |change: &dyn Fn(&mut ProvisionSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        spec
    };
    let tag = |key: &str, value: &str| {
        let (key, value) = (key.to_owned(), value.to_owned());
        with(&move |spec| drop(spec.tags.insert(key.clone(), value.clone())))
    };
    for spec in [
        with(&|spec| drop(spec.tags.remove("hpc-owner"))),
        with(&|spec| drop(spec.tags.remove("hpc-intent"))),
        with(&|spec| drop(spec.tags.remove("hpc-lease"))),
        tag("hpc-intent", "int_of_somebody_else"),
        tag("Team", "x"),
        tag("team", &"X".repeat(16)),
        with(&|spec| spec.offer.region = Region::parse("europe-west4").unwrap()),
        with(&|spec| spec.offer.zone = ZoneId::parse("asia-east1-a").unwrap()),
        with(&|spec| spec.offer.kind = OfferKind::Reserved),
        with(&|spec| spec.offer.instance_type = InstanceType::parse("a3.x").unwrap()),
        with(&|spec| spec.offer.provider = hpc_resources::ProviderId::parse("aws").unwrap()),
        with(&|spec| spec.instances = 1_001),
    ]
    .into_iter()
    .filter(|spec| *spec != good)
    {
        let error = rig.provider.provision(&spec).await.unwrap_err();
        assert_eq!((error.kind, error.certainty), (ErrorKind::Config, Certainty::NotDone), "{error}");
    }
    assert_eq!(rig.stub.cloud().count("instances.bulkInsert"), 0);
}

#[tokio::test]
async fn a_request_id_that_is_forgotten_is_found_by_label() {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 2).await;
    let first = rig.provider.provision(&spec).await.unwrap();
    rig.stub.pass(Duration::from_secs(3_600));
    // A new process: it remembers nothing, and neither does Compute Engine.
    rig.stub.cloud().forget_requests();
    let fresh = connect(&rig.stub, config(&rig.stub.url), Arc::new(NoBoot)).await;
    let again = fresh.provision(&spec).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.handles, first.handles);
    assert_eq!(rig.stub.cloud().count("instances.bulkInsert"), 1, "the second was answered by looking");
    let error = fresh.provision(&ProvisionSpec { instances: 3, ..spec }).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Conflict, Certainty::NotDone));
}

#[tokio::test]
async fn what_lists_do_not_show_yet_is_never_made_twice() {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 2).await;
    rig.provider.provision(&spec).await.unwrap();
    // A new process, within the lag of the lists: the request id finds it, and with other parameters its own count tells.
    let fresh = connect(&rig.stub, config(&rig.stub.url), Arc::new(NoBoot)).await;
    let error = fresh.provision(&ProvisionSpec { instances: 3, ..spec.clone() }).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Conflict, Certainty::NotDone), "{error}");
    fresh.provision(&spec).await.unwrap();
    // And with the request id forgotten, too: the names are taken, which says that something was done.
    rig.stub.cloud().forget_requests();
    let error =
        connect(&rig.stub, config(&rig.stub.url), Arc::new(NoBoot)).await.provision(&spec).await.unwrap_err();
    assert_eq!(
        (error.kind, error.certainty, error.code.as_str()),
        (ErrorKind::Conflict, Certainty::Unknown, "alreadyExists")
    );
    assert_eq!(rig.stub.cloud().machines.len(), 2);
}

#[tokio::test]
async fn an_operation_is_looked_at_until_it_ends() {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 1).await;
    rig.stub.cloud().looks = 4;
    rig.provider.provision(&spec).await.unwrap();
    assert_eq!(rig.stub.cloud().count("zoneOperations.get"), 4);
    // One that does not end in time is neither a success nor a failure.
    rig.stub.cloud().looks = u32::MAX;
    let config = GcpConfig { create_timeout: Duration::from_millis(200), ..config(&rig.stub.url) };
    let hasty = connect(&rig.stub, config, Arc::new(NoBoot)).await;
    let error = hasty.provision(&rig.spec(2, 1).await).await.unwrap_err();
    assert_eq!(
        (error.kind, error.certainty, error.code.as_str()),
        (ErrorKind::Deadline, Certainty::Unknown, "Running")
    );
}

#[tokio::test]
async fn a_part_that_is_not_taken_back_leaves_the_outcome_open() {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 3).await;
    {
        let mut cloud = rig.stub.cloud();
        cloud.sold_out.insert((spec.offer.zone.to_string(), spec.offer.kind == OfferKind::Spot));
        (cloud.made_before_failure, cloud.takes_back) = (2, false);
    }
    let error = rig.provider.provision(&spec).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Capacity, Certainty::Unknown), "{error}");
    assert_eq!(error.code, "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "and not that it was rolled back");
    rig.stub.pass(Duration::from_secs(10));
    assert_eq!(
        rig.provider.observe(&by_intent(&spec)).await.unwrap().len(),
        2,
        "found by label, to be ended"
    );
    // Taken back, it is certain that nothing was done.
    rig.stub.cloud().takes_back = true;
    let again = rig.spec(2, 3).await;
    let error = rig.provider.provision(&again).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Capacity, Certainty::NotDone), "{error}");
    assert!(rig.provider.observe(&by_intent(&again)).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_instance_too_young_to_be_known_is_not_called_gone() {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 1).await;
    let handle = rig.provider.provision(&spec).await.unwrap().handles.remove(0);
    let name = handle.id.split_once('.').unwrap().1;
    let not_found = |what: &str| {
        let text = format!("The resource 'projects/{PROJECT}/{what}' was not found");
        let error =
            json!({ "error": { "code": 404, "message": text, "errors": [{ "reason": "notFound" }] } });
        Fault::Answer(404, "application/json", error.to_string())
    };
    let instance = format!("zones/{}/instances/{name}", spec.offer.zone);
    rig.stub.cloud().fail_next("instances.delete", not_found(&instance));
    let error = rig.provider.release(&handle).await.unwrap_err();
    assert_eq!(
        (error.kind, error.certainty, error.retry_after_ms),
        (ErrorKind::NotFound, Certainty::NotDone, Some(2_000))
    );
    rig.stub.pass(Duration::from_secs(10));
    // A zone or a project that is not found says nothing of the instance.
    rig.stub.cloud().fail_next("instances.delete", not_found("zones/x"));
    assert_eq!(rig.provider.release(&handle).await.unwrap_err().kind, ErrorKind::NotFound);
    rig.stub.cloud().fail_next("instances.delete", not_found(&instance));
    assert_eq!(rig.provider.release(&handle).await, Ok(Released::AlreadyGone), "past the bound it is");
    assert_eq!(
        rig.provider.release(&handle).await,
        Ok(Released::InProgress),
        "and the stub had it all along"
    );
    rig.stub.pass(Duration::from_secs(10));
    let state = rig.provider.observe(&Observe::Handles(vec![handle.clone()])).await.unwrap().remove(0);
    assert_eq!(state.phase, InstancePhase::Stopping);
    rig.stub.pass(Duration::from_secs(60));
    assert_eq!(rig.provider.release(&handle).await, Ok(Released::AlreadyGone));
    let elsewhere = InstanceHandle { region: Region::parse("asia-east1").unwrap(), ..handle };
    let before = rig.stub.cloud().calls.len();
    assert_eq!(rig.provider.release(&elsewhere).await, Ok(Released::AlreadyGone));
    assert_eq!(rig.stub.cloud().calls.len(), before);
}

#[tokio::test]
async fn one_unknown_handle_does_not_hide_the_others() {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 120).await;
    let mut handles = rig.provider.provision(&spec).await.unwrap().handles;
    rig.stub.pass(Duration::from_secs(60));
    let of = |id: &str| InstanceHandle { id: id.to_owned(), ..handles[0].clone() };
    let strange = [
        of("us-central1-a.hpc-none"),
        of("mars-north1-a.x"),
        of("*"),
        of(""),
        of("a.b\" OR name"),
        of(&"x".repeat(10_000)),
    ];
    let known = handles.len();
    handles.extend(strange);
    let before = rig.stub.cloud().count("instances.list");
    assert_eq!(rig.provider.observe(&Observe::Handles(handles)).await.unwrap().len(), known);
    assert!(rig.stub.cloud().count("instances.list") > before + 3, "in filters of fifty names");
}

struct Scripts;

#[async_trait]
impl BootSource for Scripts {
    async fn resolve(&self, reference: &str) -> Result<Boot, BootError> {
        match reference {
            "join/1" => {
                let script = "#!/bin/sh\nexec hpc-agent run # hpcjoin_secret\n";
                Ok(Boot::Script(BootScript::new(script.to_owned())))
            }
            other => Err(BootError::Unknown(other.to_owned())),
        }
    }
}

#[tokio::test]
async fn the_first_boot_runs_its_script_and_no_text_shows_it() {
    let rig = StubRig::start(None).await;
    let provider = connect(&rig.stub, config(&rig.stub.url), Arc::new(Scripts)).await;
    let plain = rig.spec(1, 1).await;
    let with = |reference: &str| ProvisionSpec { user_data_ref: Some(reference.to_owned()), ..plain.clone() };
    let error = provider.provision(&with("join/2")).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Config, Certainty::NotDone));
    rig.stub.cloud().fail_next("instances.bulkInsert", Fault::DropBefore);
    let error = provider.provision(&with("join/1")).await.unwrap_err();
    let shown = format!("{error} {error:?} {provider:?}");
    assert!(!shown.contains("hpcjoin_"), "{shown}");
    provider.provision(&with("join/1")).await.unwrap();
    let items = last_create(&rig).body["instanceProperties"]["metadata"]["items"].clone();
    assert_eq!(
        items,
        json!([{ "key": "startup-script", "value": "#!/bin/sh\nexec hpc-agent run # hpcjoin_secret\n" }])
    );
}

fn preempted(rig: &StubRig, zone: &str, name: &str, id: u64) -> Value {
    let at = rig.now();
    json!({ "id": id.to_string(), "name": format!("systemevent-{id}"), "operationType": "compute.instances.preempted",
        "status": "DONE", "insertTime": at.to_string(), "zone": format!("projects/{PROJECT}/zones/{zone}"),
        "targetLink": format!("https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{zone}/instances/{name}") })
}

#[tokio::test]
async fn a_reclaim_is_told_once_also_when_its_instance_is_gone() {
    let rig = StubRig::start(Some(OfferKind::Spot)).await;
    let spec = rig.spec(1, 1).await;
    let handle = rig.provider.provision(&spec).await.unwrap().handles.remove(0);
    let (zone, name) = handle.id.split_once('.').unwrap();
    let start = rig.provider.interruptions(None).await.unwrap();
    assert_eq!(start.events, []);
    let operation = preempted(&rig, zone, name, u64::MAX);
    let foreign = preempted(&rig, zone, "somebody-elses", 7);
    let stray = json!({ "operationType": "compute.instances.preempted", "zone": format!("zones/{zone}") });
    rig.stub.cloud().reclaims = vec![operation, foreign, stray];
    rig.stub.cloud().machines.clear();
    let page = rig.provider.interruptions(Some(start.cursor)).await.unwrap();
    let [event] = page.events.as_slice() else { panic!("{page:?}") };
    assert_eq!(
        (event.kind, &event.handle, event.deadline),
        (InterruptionKind::Reclaimed, &handle, rig.now())
    );
    assert_eq!(rig.provider.interruptions(Some(page.cursor)).await.unwrap().events, []);
    assert!(rig.provider.observe(&Observe::Handles(vec![handle])).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_zone_that_does_not_answer_is_asked_again_for_its_reclaims() {
    let rig = StubRig::start(None).await;
    let name = names::of_token(&rig.spec(1, 1).await.token, 1).remove(0);
    rig.stub.cloud().reclaims = vec![preempted(&rig, "us-central1-a", &name, 1)];
    rig.stub.cloud().unreachable.insert("us-central1-a".to_owned());
    let later = rig.now().saturating_add(jiff::SignedDuration::from_hours(5)).unwrap();
    let mut other = preempted(&rig, "europe-west4-b", &name, 2);
    other["insertTime"] = json!(later.to_string());
    rig.stub.cloud().reclaims.push(other);
    let part = rig.provider.interruptions(None).await.unwrap();
    assert_eq!(part.events.len(), 1);
    rig.stub.cloud().unreachable.clear();
    let rest = rig.provider.interruptions(Some(part.cursor)).await.unwrap();
    assert_eq!(rest.events.len(), 1, "{rest:?}");
    assert!(rest.events[0].handle.id.starts_with("us-central1-a."));
}

/// Reclaims of ours in one zone at these hours after now, by their number.
fn reclaimed_at(rig: &StubRig, hours: &[i64]) -> Vec<Value> {
    let names = |token: &hpc_provider::Token| names::of_token(token, 1).remove(0);
    let provider = hpc_resources::ProviderId::parse("gcp").unwrap();
    let (region, zone) = ("us-central1", "us-central1-a");
    let (region, zone_id) =
        (hpc_resources::Region::parse(region).unwrap(), hpc_resources::ZoneId::parse(zone).unwrap());
    let made = |(number, hours): (usize, &i64)| {
        let intent = hpc_resources::IntentId::from_bits(900 + number as u128);
        let token = hpc_provider::Token::derive(&intent, 1, &provider, &region, &zone_id);
        let mut operation = preempted(rig, zone, &names(&token), 900 + number as u64);
        let at = rig.now().saturating_add(jiff::SignedDuration::from_hours(*hours)).unwrap();
        // As Compute Engine writes times: with the offset of California.
        let west = at.saturating_sub(jiff::SignedDuration::from_hours(8)).unwrap();
        operation["insertTime"] = json!(west.to_string().replace('Z', "-08:00"));
        operation
    };
    hours.iter().enumerate().map(made).collect()
}

#[tokio::test]
async fn what_was_told_is_not_read_again_and_nothing_is_lost_by_a_restart() {
    let rig = StubRig::start(None).await;
    let all = reclaimed_at(&rig, &[-200, -100, 0, 0, 1]);
    rig.stub.cloud().reclaims = all[..3].to_vec();
    let first = rig.provider.interruptions(None).await.unwrap();
    assert_eq!(first.events.len(), 3);
    // Another process goes on with the cursor: one that shows up late, and a new one. A day of the list is read, not all of it.
    let fresh = connect(&rig.stub, config(&rig.stub.url), Arc::new(NoBoot)).await;
    rig.stub.cloud().reclaims = all.clone();
    let next = fresh.interruptions(Some(first.cursor.clone())).await.unwrap();
    assert_eq!(next.events.len(), 2, "{next:?}");
    let asked = {
        let cloud = rig.stub.cloud();
        let call = cloud.calls.iter().rfind(|call| call.action == "operations.aggregatedList").unwrap();
        call.asked("filter").to_owned()
    };
    assert!(asked.contains("insertTime >= ") && asked.contains("operationType = "), "{asked}");
    let since = asked.split('"').nth(3).unwrap().parse::<jiff::Timestamp>().unwrap();
    let before = rig.now().duration_since(since);
    assert!(before >= jiff::SignedDuration::from_hours(24) && before < jiff::SignedDuration::from_hours(25));
    assert_eq!(fresh.interruptions(Some(next.cursor.clone())).await.unwrap().events, []);
    // A server that takes no times in filters is asked without.
    rig.stub.cloud().no_times = true;
    assert_eq!(fresh.interruptions(Some(first.cursor)).await.unwrap().events, next.events);
    assert_eq!(fresh.interruptions(Some(next.cursor)).await.unwrap().events, []);
}
