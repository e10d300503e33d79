//! Answers that are none: cut, late, in another format, without an end, with a code nobody knows.

use std::sync::Arc;
use std::time::Duration;

use hpc_conformance::provider::Rig;
use hpc_provider::{
    CapacityProvider, Certainty, ErrorKind, NoBoot, Observe, ProviderError, QuoteRequest, TAG_INTENT,
};
use hpc_provider_aws::AwsConfig;

use crate::rig::{StubRig, config, connect, eight_h100};
use crate::stub::{Fault, Stub};

fn by_intent(spec: &hpc_provider::ProvisionSpec) -> Observe {
    Observe::Tag { key: TAG_INTENT.to_owned(), value: spec.intent.to_string() }
}

fn html() -> Fault {
    let page = "<!DOCTYPE html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>";
    Fault::Answer(500, "text/html; charset=utf-8", page.to_owned())
}

fn refusal(status: u16, code: &str) -> Fault {
    let text = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>as asked</Message></Error></Errors>\
         <RequestID>r</RequestID></Response>"
    );
    Fault::Answer(status, "text/xml;charset=UTF-8", text)
}

async fn create_after(fault: Fault) -> (StubRig, ProviderError) {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 1).await;
    rig.stub.cloud().fail_next("RunInstances", fault);
    let error = rig.provider.provision(&spec).await.expect_err("a fault");
    assert_eq!(rig.stub.cloud().pending_faults(), 0, "a fault that did not happen tests nothing");
    (rig, error)
}

#[tokio::test]
async fn a_page_of_html_leaves_a_create_open_and_a_read_not_done() {
    let (rig, error) = create_after(html()).await;
    assert_eq!((error.kind, error.certainty), (ErrorKind::Internal, Certainty::Unknown), "{error}");
    let spec = rig.spec(2, 1).await;
    rig.stub.cloud().fail_next("DescribeInstances", html());
    let error = rig.provider.observe(&by_intent(&spec)).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Internal, Certainty::NotDone), "{error}");
    rig.stub.cloud().fail_next("DescribeInstanceTypes", html());
    let request = QuoteRequest { request: eight_h100(None), now: rig.now() };
    assert_eq!(rig.provider.get_quote(&request).await.unwrap_err().certainty, Certainty::NotDone);
}

#[tokio::test]
async fn codes_come_through_with_their_kind_and_certainty() {
    for (status, code, kind, certainty) in [
        (500, "InsufficientInstanceCapacity", ErrorKind::Capacity, Certainty::NotDone),
        (503, "RequestLimitExceeded", ErrorKind::Throttled, Certainty::NotDone),
        (400, "VcpuLimitExceeded", ErrorKind::Quota, Certainty::NotDone),
        (403, "UnauthorizedOperation", ErrorKind::Auth, Certainty::NotDone),
        (400, "RequestExpired", ErrorKind::Auth, Certainty::NotDone),
        (503, "Unavailable", ErrorKind::Internal, Certainty::Unknown),
        (400, "NobodyKnowsThisCode", ErrorKind::Internal, Certainty::Unknown),
    ] {
        let (rig, error) = create_after(refusal(status, code)).await;
        assert_eq!((error.kind, error.certainty, error.code.as_str()), (kind, certainty, code));
        let counted = rig.provider.unknown_codes();
        let want = usize::from(code == "NobodyKnowsThisCode");
        assert_eq!(counted.len(), want, "{counted:?}");
    }
}

#[tokio::test]
async fn unknown_codes_are_counted_and_their_number_is_bounded() {
    let rig = StubRig::start(None).await;
    let list = async |code: &str| {
        rig.stub.cloud().fail_next("DescribeInstances", refusal(400, code));
        rig.provider.list_owned("suite", None).await.unwrap_err()
    };
    for number in 0..70 {
        list(&format!("Odd{number}")).await;
    }
    list("Odd1").await;
    let counts = rig.provider.unknown_codes();
    assert_eq!(counts.len(), 65, "64 and `other`");
    assert_eq!((counts["Odd1"], counts["other"]), (2, 6));
}

#[tokio::test]
async fn an_answer_cut_anywhere_is_never_taken_for_a_whole_one() {
    let rig = StubRig::start(None).await;
    let mut number = 0;
    // The whole body is shorter than this; a cut behind its end cuts nothing.
    for cut in (0..1_900).step_by(61) {
        for fault in [Fault::CutTo(cut), Fault::BreakAt(cut)] {
            number += 1;
            let spec = rig.spec(number, 2).await;
            rig.stub.cloud().fail_next("RunInstances", fault.clone());
            match rig.provider.provision(&spec).await {
                Ok(answer) => assert_eq!(answer.handles.len(), 2, "{fault:?}"),
                Err(error) => assert_eq!(error.certainty, Certainty::Unknown, "{fault:?}: {error}"),
            }
            rig.stub.pass(Duration::from_secs(10));
            let whole = rig.provider.observe(&by_intent(&spec)).await.unwrap();
            assert_eq!(whole.len(), 2, "{fault:?}");
            rig.stub.cloud().fail_next("DescribeInstances", fault.clone());
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
    let stub = Stub::start().await;
    let config = AwsConfig { call_timeout: Duration::from_millis(300), ..config(&stub.url) };
    let provider = connect(&stub, config, Arc::new(NoBoot)).await;
    let now = stub.cloud().now;
    let request = QuoteRequest { request: eight_h100(None), now };
    // Zones are asked for once, so that only the create hangs below.
    let offers = loop {
        if let Ok(quote) = provider.get_quote(&request).await {
            break quote.offers;
        }
    };
    let offer = offers.into_iter().find(|offer| offer.price.is_some()).unwrap();
    let spec = crate::rig::spec(offer, 1, 1, now);
    stub.cloud().fail_next("RunInstances", Fault::Hang);
    let error = loop {
        match provider.provision(&spec).await.unwrap_err() {
            // The look before it was slow: this machine is busy.
            error if error.certainty == Certainty::NotDone => {}
            error => break error,
        }
    };
    assert_eq!((error.kind, error.certainty), (ErrorKind::Deadline, Certainty::Unknown), "{error}");
    stub.cloud().fail_next("DescribeInstances", Fault::Hang);
    let error = provider.list_owned("suite", None).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Deadline, Certainty::NotDone), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_leaves_a_create_open() {
    let rig = StubRig::start(None).await;
    let spec = rig.spec(1, 1).await;
    rig.stub.cloud().fail_next("RunInstances", Fault::DropBefore);
    let error = rig.provider.provision(&spec).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::Unknown, "{error}");
    assert!(error.is_retriable());
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let rig = StubRig::start(None).await;
    rig.stub.cloud().endless = true;
    let request = QuoteRequest { request: eight_h100(None), now: rig.now() };
    let error = rig.provider.get_quote(&request).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.certainty), ("BadAnswer", Certainty::NotDone));
    assert_eq!(rig.stub.cloud().count("DescribeInstanceTypeOfferings"), 1_000);
}

#[tokio::test]
async fn a_page_of_another_list_is_refused() {
    let rig = StubRig::start(None).await;
    for page in ["", "us-east-1", "eu-west-1/x", "🦀/"] {
        let error = rig.provider.list_owned("suite", Some(page.to_owned())).await.unwrap_err();
        assert_eq!((error.kind, error.certainty), (ErrorKind::Config, Certainty::NotDone), "{page}");
    }
}
