//! What happens around a create: what is sent, what is found again, what EC2 takes back.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_conformance::provider::Rig;
use hpc_provider::{
    AgentStart, Boot, BootError, BootSource, CapacityProvider, Certainty, ErrorKind, InstanceHandle,
    InterruptionKind, Observe, ProvisionSpec, Released,
};
use hpc_provider_aws::user_data;
use hpc_resources::{Currency, Money, OfferKind, Region};
use jiff::SignedDuration;

use crate::rig::{StubRig, config, connect};
use crate::stub::cloud::SpotRequest;
use crate::stub::{Fault, Query};

fn last_create(rig: &StubRig) -> Query {
    let cloud = rig.stub.cloud();
    cloud.calls.iter().rfind(|(action, _)| action == "RunInstances").unwrap().1.clone()
}

#[tokio::test]
async fn one_call_creates_tags_and_bounds_the_price() {
    let rig = StubRig::start(Some(OfferKind::Spot)).await;
    let ceiling = Some(Money::from_nanos(20_500_000_000, Currency::USD));
    let spec = ProvisionSpec { price_ceiling: ceiling, ..rig.spec(1, 2).await };
    rig.provider.provision(&spec).await.unwrap();
    let sent = last_create(&rig);
    for (name, want) in [
        ("ClientToken", spec.token.as_str()),
        ("MinCount", "2"),
        ("MaxCount", "2"),
        ("InstanceType", "p5.48xlarge"),
        ("ImageId", "ami-0123456789abcdef0"),
        // The offer's zone is `use1-az1`, which this account calls `us-east-1c`.
        ("Placement.AvailabilityZone", "us-east-1c"),
        ("InstanceMarketOptions.SpotOptions.MaxPrice", "20.50"),
        ("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time"),
        ("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", "terminate"),
        ("InstanceInitiatedShutdownBehavior", "terminate"),
        ("MetadataOptions.HttpTokens", "required"),
        ("MetadataOptions.HttpPutResponseHopLimit", "1"),
    ] {
        assert_eq!(sent.text(name), want, "{name}");
    }
    for resource in ["instance", "volume", "spot-instances-request"] {
        assert_eq!(sent.tags(resource), spec.tags, "{resource}");
    }
    assert_eq!(sent.get("UserData"), None);
    let on_demand = StubRig::start(Some(OfferKind::OnDemand)).await;
    let spec = ProvisionSpec { price_ceiling: ceiling, ..on_demand.spec(1, 1).await };
    on_demand.provider.provision(&spec).await.unwrap();
    assert_eq!(last_create(&on_demand).get("InstanceMarketOptions.MarketType"), None);
}

#[tokio::test]
async fn a_ceiling_that_cannot_be_sent_stops_the_create() {
    let rig = StubRig::start(Some(OfferKind::Spot)).await;
    for ceiling in [Money::from_nanos(1, Currency::parse("EUR").unwrap()), Money::ZERO_USD] {
        let spec = ProvisionSpec { price_ceiling: Some(ceiling), ..rig.spec(1, 1).await };
        let error = rig.provider.provision(&spec).await.unwrap_err();
        assert_eq!((error.kind, error.certainty), (ErrorKind::Config, Certainty::NotDone));
    }
    assert_eq!(rig.stub.cloud().count("RunInstances"), 0, "nothing without its ceiling");
}

#[tokio::test]
async fn what_ec2_would_refuse_or_nobody_would_find_is_not_sent() {
    let rig = StubRig::start(None).await;
    let good = rig.spec(1, 1).await;
    let without = |key: &str| {
        let mut spec = good.clone();
        spec.tags.remove(key);
        spec
    };
    let mut foreign = good.clone();
    foreign.tags.insert("hpc-intent".to_owned(), "int_of_somebody_else".to_owned());
    let mut elsewhere = good.clone();
    elsewhere.offer.region = Region::parse("eu-west-1").unwrap();
    let mut reserved = good.clone();
    reserved.offer.kind = OfferKind::Reserved;
    let mut nowhere = good.clone();
    nowhere.offer.zone = hpc_resources::ZoneId::parse("use1-az9").unwrap();
    for spec in [
        without("hpc-owner"),
        without("hpc-intent"),
        without("hpc-lease"),
        foreign,
        elsewhere,
        reserved,
        nowhere,
    ] {
        let error = rig.provider.provision(&spec).await.unwrap_err();
        assert_eq!((error.kind, error.certainty), (ErrorKind::Config, Certainty::NotDone), "{error}");
    }
    assert_eq!(rig.stub.cloud().count("RunInstances"), 0);
}

#[tokio::test]
async fn a_token_that_ec2_has_forgotten_is_found_by_tag() {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 2).await;
    let first = rig.provider.provision(&spec).await.unwrap();
    rig.stub.pass(Duration::from_secs(3_600));
    // A new process: it remembers nothing, and neither does EC2.
    rig.stub.cloud().forget_tokens();
    let fresh = connect(&rig.stub, config(&rig.stub.url), Arc::new(hpc_provider::NoBoot)).await;
    let again = fresh.provision(&spec).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.handles, first.handles);
    assert_eq!(rig.stub.cloud().count("RunInstances"), 1, "the second was answered by looking");
    assert_eq!(rig.stub.cloud().machines.len(), 2);
}

#[tokio::test]
async fn an_instance_too_young_to_be_known_is_not_called_gone() {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 1).await;
    let handle = rig.provider.provision(&spec).await.unwrap().handles.remove(0);
    let unknown = "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>no</Message></Error>\
                   </Errors><RequestID>r</RequestID></Response>";
    let not_found = || Fault::Answer(400, "text/xml", unknown.to_owned());
    rig.stub.cloud().fail_next("TerminateInstances", not_found());
    let error = rig.provider.release(&handle).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::NotFound, Certainty::NotDone));
    assert_eq!(error.retry_after_ms, Some(2_000));
    rig.stub.pass(Duration::from_secs(10));
    rig.stub.cloud().fail_next("TerminateInstances", not_found());
    assert_eq!(rig.provider.release(&handle).await, Ok(Released::AlreadyGone), "past the bound it is");
    assert_eq!(
        rig.provider.release(&handle).await,
        Ok(Released::InProgress),
        "and the stub had it all along"
    );
    rig.stub.pass(Duration::from_secs(60));
    assert_eq!(rig.provider.release(&handle).await, Ok(Released::AlreadyGone));
}

#[tokio::test]
async fn one_unknown_handle_does_not_hide_the_others() {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 3).await;
    let mut handles = rig.provider.provision(&spec).await.unwrap().handles;
    rig.stub.pass(Duration::from_secs(60));
    let of = |id: &str| InstanceHandle { id: id.to_owned(), ..handles[0].clone() };
    let strange = [of("i-0000000000000ffff"), of("*"), of(""), of(&"x".repeat(10_000))];
    let known = handles.clone();
    handles.extend(strange);
    let states = rig.provider.observe(&Observe::Handles(handles)).await.unwrap();
    assert_eq!(states.len(), known.len());
}

fn agent() -> Boot {
    Boot::Agent(AgentStart {
        daemon: "https://hpcd.internal:7801".to_owned(),
        tokens: vec!["hpcjoin_c2VjcmV0".to_owned().into()],
        lease: None,
        join_for_s: 60,
    })
}

struct Tokens;

#[async_trait]
impl BootSource for Tokens {
    async fn resolve(&self, reference: &str) -> Result<Boot, BootError> {
        match reference {
            "join/1" => Ok(agent()),
            other => Err(BootError::Unknown(other.to_owned())),
        }
    }
}

#[tokio::test]
async fn the_first_boot_starts_the_agent_and_no_text_shows_its_token() {
    let rig = StubRig::start(None).await;
    let provider = connect(&rig.stub, config(&rig.stub.url), Arc::new(Tokens)).await;
    let plain = rig.spec(1, 1).await;
    let with = |reference: &str| ProvisionSpec { user_data_ref: Some(reference.to_owned()), ..plain.clone() };
    let error = provider.provision(&with("join/2")).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Config, Certainty::NotDone));
    rig.stub.cloud().fail_next("RunInstances", Fault::DropBefore);
    let error = provider.provision(&with("join/1")).await.unwrap_err();
    let shown = format!("{error} {error:?} {provider:?}");
    assert!(
        !shown.contains("hpcjoin_") && !shown.contains("aHBjam9pb") && !shown.contains("secret"),
        "{shown}"
    );
    provider.provision(&with("join/1")).await.unwrap();
    let sent = last_create(&rig);
    assert_eq!(sent.text("UserData"), user_data(agent()).unwrap().as_str());
}

#[tokio::test]
async fn a_notice_and_a_reclaim_are_seen_and_the_reclaim_is_told_apart_from_a_release() {
    let rig = StubRig::start(Some(OfferKind::Spot)).await;
    let spec = rig.spec(1, 1).await;
    let handle = rig.provider.provision(&spec).await.unwrap().handles.remove(0);
    rig.stub.pass(Duration::from_secs(60));
    let start = rig.provider.interruptions(None).await.unwrap();
    assert_eq!(start.events, []);
    let status = |code| SpotRequest { instance: handle.id.clone(), code, at: rig.now() };
    let marked = status("marked-for-termination");
    rig.stub.cloud().spot_requests.push(marked);
    let notice = rig.provider.interruptions(Some(start.cursor)).await.unwrap();
    let [event] = notice.events.as_slice() else { panic!("{notice:?}") };
    assert_eq!((event.kind, &event.handle), (InterruptionKind::Notice, &handle));
    assert_eq!(event.deadline, rig.now().saturating_add(SignedDuration::from_mins(2)).unwrap());
    rig.stub.pass(Duration::from_secs(120));
    let gone =
        SpotRequest { instance: handle.id.clone(), code: "instance-terminated-no-capacity", at: rig.now() };
    {
        let mut cloud = rig.stub.cloud();
        cloud.spot_requests = vec![gone];
        let now = cloud.now;
        cloud.machines[0].end = Some((now, "Server.SpotInstanceTermination"));
    }
    let after = rig.provider.interruptions(Some(notice.cursor)).await.unwrap();
    assert_eq!(
        after.events.iter().map(|event| event.kind).collect::<Vec<_>>(),
        [InterruptionKind::Reclaimed]
    );
    rig.stub.pass(Duration::from_secs(60));
    let state = rig.provider.observe(&Observe::Handles(vec![handle])).await.unwrap().remove(0);
    assert!(state.reclaimed);
    // EC2 gives no time for such an end: the time of asking stands in.
    assert_eq!(state.ended_at, Some(rig.now()));
}
