//! Answers that are none: cut, late, in another format, without an end, with a code nobody knows, of a part of the zones.

use std::sync::Arc;
use std::time::Duration;

use hpc_conformance::provider::Rig;
use hpc_provider::{
    CapacityProvider, Certainty, ErrorKind, NoBoot, Observe, ProviderError, QuoteRequest, Scope, TAG_INTENT,
};
use hpc_provider_gcp::GcpConfig;

use crate::rig::{StubRig, config, connect, eight_a100, spec};
use crate::stub::{Fault, Stub};

fn by_intent(spec: &hpc_provider::ProvisionSpec) -> Observe {
    Observe::Tag { key: TAG_INTENT.to_owned(), value: spec.intent.to_string() }
}

fn html() -> Fault {
    let page = "<!DOCTYPE html>\n<html lang=en>\n<title>Error 500 (Server Error)!!1</title>";
    Fault::Answer(500, "text/html; charset=UTF-8", page.to_owned())
}

fn refusal(status: u16, reason: &str, message: &str) -> Fault {
    let text = format!(
        "{{\"error\":{{\"code\":{status},\"message\":\"{message}\",\
         \"errors\":[{{\"message\":\"{message}\",\"domain\":\"global\",\"reason\":\"{reason}\"}}]}}}}"
    );
    Fault::Answer(status, "application/json; charset=UTF-8", text)
}

async fn create_after(fault: Fault) -> (StubRig, ProviderError) {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 1).await;
    rig.stub.cloud().fail_next("instances.bulkInsert", fault);
    let error = rig.provider.provision(&spec).await.expect_err("a fault");
    assert_eq!(rig.stub.cloud().pending_faults(), 0, "a fault that did not happen tests nothing");
    (rig, error)
}

#[tokio::test]
async fn a_page_of_html_leaves_a_create_open_and_a_read_not_done() {
    let (rig, error) = create_after(html()).await;
    assert_eq!(
        (error.kind, error.certainty, error.code.as_str()),
        (ErrorKind::Internal, Certainty::Unknown, "Unreadable")
    );
    let spec = rig.spec(2, 1).await;
    rig.stub.cloud().fail_next("instances.aggregatedList", html());
    let error = rig.provider.observe(&by_intent(&spec)).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Internal, Certainty::NotDone), "{error}");
    rig.stub.cloud().fail_next("machineTypes.aggregatedList", html());
    let request = QuoteRequest { request: eight_a100(None), now: rig.now() };
    assert_eq!(rig.provider.get_quote(&request).await.unwrap_err().certainty, Certainty::NotDone);
}

#[tokio::test]
async fn reasons_come_through_with_their_kind_and_certainty() {
    for (status, reason, kind, certainty) in [
        (403, "quotaExceeded", ErrorKind::Quota, Certainty::NotDone),
        (403, "rateLimitExceeded", ErrorKind::Throttled, Certainty::NotDone),
        (429, "rateLimitExceeded", ErrorKind::Throttled, Certainty::NotDone),
        (403, "forbidden", ErrorKind::Auth, Certainty::NotDone),
        (403, "accessNotConfigured", ErrorKind::Auth, Certainty::NotDone),
        (409, "alreadyExists", ErrorKind::Conflict, Certainty::Unknown),
        (400, "invalid", ErrorKind::Config, Certainty::NotDone),
        (503, "backendError", ErrorKind::Internal, Certainty::Unknown),
        (400, "nobodyKnowsThis", ErrorKind::Internal, Certainty::Unknown),
    ] {
        let (rig, error) = create_after(refusal(status, reason, "as asked")).await;
        assert_eq!((error.kind, error.certainty, error.code.as_str()), (kind, certainty, reason));
        assert!(error.message.starts_with("as asked"), "{error}");
        let counted = rig.provider.unknown_codes();
        assert_eq!(counted.len(), usize::from(reason == "nobodyKnowsThis"), "{counted:?}");
    }
}

#[tokio::test]
async fn the_newer_form_of_a_refusal_is_read_too() {
    let text = r#"{"error":{"code":403,"message":"slow down","status":"PERMISSION_DENIED","errors":[{"reason":"forbidden"}],
        "details":[{"@type":"type.googleapis.com/google.rpc.Help","links":[]},
                   {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED",
                    "domain":"googleapis.com","metadata":{}}]}}"#;
    let (_, error) = create_after(Fault::Answer(403, "application/json", text.to_owned())).await;
    assert_eq!((error.kind, error.certainty), (ErrorKind::Throttled, Certainty::NotDone), "{error}");
    let bare = r#"{"error":{"code":401,"message":"who are you"}}"#;
    let (rig, error) = create_after(Fault::Answer(401, "application/json", bare.to_owned())).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Auth, "HTTP_401"));
    assert!(rig.provider.unknown_codes().is_empty());
}

#[tokio::test]
async fn unknown_codes_are_counted_and_their_number_is_bounded() {
    let rig = StubRig::start(None).await;
    let list = async |code: &str| {
        rig.stub.cloud().fail_next("instances.aggregatedList", refusal(400, code, "x"));
        rig.provider.list_owned("suite", None).await.unwrap_err()
    };
    for number in 0..70 {
        list(&format!("odd{number}")).await;
    }
    list("odd1").await;
    let counts = rig.provider.unknown_codes();
    assert_eq!(counts.len(), 65, "64 and `other`");
    assert_eq!((counts["odd1"], counts["other"]), (2, 6));
}

#[tokio::test]
async fn an_answer_cut_anywhere_is_never_taken_for_a_whole_one() {
    let rig = StubRig::start(None).await;
    let offer = rig.spec(1, 1).await.offer;
    let mut number = 0;
    // The whole body of the list is shorter than this; a cut behind its end cuts nothing.
    for cut in (0..2_400).step_by(79) {
        for fault in [Fault::CutTo(cut), Fault::BreakAt(cut)] {
            number += 1;
            let spec = spec(offer.clone(), number, 2, rig.now());
            for action in ["instances.bulkInsert", "zoneOperations.get"] {
                rig.stub.cloud().fail_next(action, fault.clone());
            }
            for _ in 0..2 {
                match rig.provider.provision(&spec).await {
                    Ok(answer) => assert_eq!(answer.handles.len(), 2, "{fault:?}"),
                    Err(error) => assert_eq!(error.certainty, Certainty::Unknown, "{fault:?}: {error}"),
                }
            }
            rig.stub.pass(Duration::from_secs(10));
            let whole = rig.provider.observe(&by_intent(&spec)).await.unwrap();
            assert_eq!(whole.len(), 2, "{fault:?}");
            rig.stub.cloud().fail_next("instances.aggregatedList", fault.clone());
            match rig.provider.observe(&by_intent(&spec)).await {
                Ok(seen) => assert_eq!(seen, whole, "{fault:?}: a part was taken for the whole"),
                Err(error) => assert_eq!(error.certainty, Certainty::NotDone, "{fault:?}: {error}"),
            }
        }
    }
    assert_eq!(rig.stub.cloud().pending_faults(), 0);
}

#[tokio::test]
async fn a_call_that_hangs_is_ended() {
    let stub = Stub::start("127.0.0.1:0").await;
    let config = GcpConfig { call_timeout: Duration::from_millis(300), ..config(&stub.url) };
    let provider = connect(&stub, config, Arc::new(NoBoot)).await;
    let now = stub.cloud().now;
    let request = QuoteRequest { request: eight_a100(None), now };
    let offers = loop {
        // This machine may be busy.
        if let Ok(quote) = provider.get_quote(&request).await {
            break quote.offers;
        }
    };
    let offer = offers.into_iter().find(|offer| offer.price.is_some()).unwrap();
    for action in ["instances.bulkInsert", "zoneOperations.get"] {
        let spec = spec(offer.clone(), if action == "zoneOperations.get" { 2 } else { 1 }, 1, now);
        stub.cloud().fail_next(action, Fault::Hang);
        let error = loop {
            match provider.provision(&spec).await.unwrap_err() {
                // The look before it was slow.
                error if error.certainty == Certainty::NotDone => {}
                error => break error,
            }
        };
        assert_eq!(
            (error.kind, error.certainty),
            (ErrorKind::Deadline, Certainty::Unknown),
            "{action}: {error}"
        );
    }
    stub.cloud().fail_next("instances.aggregatedList", Fault::Hang);
    let error = provider.list_owned("suite", None).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Deadline, Certainty::NotDone), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_was_sent_nothing() {
    let config = config("http://127.0.0.1:1");
    let stub = Stub::start("127.0.0.1:0").await;
    let provider = connect(&stub, config, Arc::new(NoBoot)).await;
    let rig = StubRig::start(None).await;
    let error = provider.provision(&rig.spec(1, 1).await).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.certainty, error.scope),
        ("Unreached", Certainty::NotDone, Scope::Provider)
    );
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let rig = StubRig::start(None).await;
    rig.stub.cloud().endless = true;
    let request = QuoteRequest { request: eight_a100(None), now: rig.now() };
    let error = rig.provider.get_quote(&request).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.certainty), ("BadAnswer", Certainty::NotDone));
    assert_eq!(rig.stub.cloud().count("acceleratorTypes.aggregatedList"), 1_000);
}

#[tokio::test]
async fn a_zone_that_does_not_answer_makes_no_list_shorter_in_silence() {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 2).await;
    let handles = rig.provider.provision(&spec).await.unwrap().handles;
    rig.stub.pass(Duration::from_secs(60));
    assert!(rig.provider.list_owned("suite", None).await.unwrap().complete);
    rig.stub.cloud().unreachable.insert(spec.offer.zone.to_string());
    let page = rig.provider.list_owned("suite", None).await.unwrap();
    assert_eq!((page.instances.len(), page.complete), (0, false), "and it says so");
    for (what, code) in [(Observe::Handles(handles), "backendError"), (by_intent(&spec), "Unreachable")] {
        let error = rig.provider.observe(&what).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.certainty), (code, Certainty::NotDone));
    }
    // A create looks first: without an answer of its zone it does not go on, and no other zone matters to it.
    assert_eq!(rig.provider.provision(&spec).await.unwrap_err().certainty, Certainty::NotDone);
    let elsewhere = rig.spec(2, 1).await;
    assert_ne!(elsewhere.offer.zone, spec.offer.zone);
    let handles = rig.provider.provision(&elsewhere).await.unwrap().handles;
    rig.stub.pass(Duration::from_secs(60));
    assert_eq!(rig.provider.observe(&Observe::Handles(handles)).await.unwrap().len(), 1);
    let request = QuoteRequest { request: eight_a100(None), now: rig.now() };
    let quote = rig.provider.get_quote(&request).await.unwrap();
    assert!(quote.truncated && !quote.offers.is_empty());
    assert!(quote.offers.iter().all(|offer| offer.zone != spec.offer.zone));
}

#[tokio::test]
async fn a_page_of_another_list_is_refused() {
    let rig = StubRig::start(None).await;
    for page in [String::new(), "x".repeat(4_097), "us-central1/x".to_owned()] {
        let error = rig.provider.list_owned("suite", Some(page)).await.unwrap_err();
        assert_eq!((error.kind, error.certainty), (ErrorKind::Config, Certainty::NotDone));
    }
}
