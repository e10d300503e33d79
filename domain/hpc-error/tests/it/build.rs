use std::error::Error;
use std::time::Duration;

use hpc_error::{
    CONTEXT_BYTES_MAX, CONTEXT_PAIRS_MAX, ErrorKind, ErrorReport, HpcError, MESSAGE_BYTES_MAX, Result, Retry,
    codes,
};

#[test]
fn the_snippet_holds() {
    fn operation() -> Result<String> {
        Err(HpcError::Database("connection failed".to_string()))
    }
    let error = operation().unwrap_err();
    assert_eq!(error, HpcError::database("connection failed"));
    assert_eq!(error.to_string(), "connection failed");
    assert!(!error.is_retriable());
}

#[test]
fn the_style_guide_example_holds() {
    let wait = Duration::from_secs(3);
    let error = HpcError::unavailable("quota exhausted").with("region", "eu-west-1").retry_after(wait);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.retry(), Retry::WithBackoff { after: Some(wait) });
    assert_eq!(error.context().collect::<Vec<_>>(), [("region", "eu-west-1")]);
    assert_eq!(error.to_string(), "quota exhausted");
    assert_eq!(format!("{error:#}"), "quota exhausted (region: `eu-west-1`)");
}

#[test]
fn every_kind_can_be_built_and_read_back() {
    for &kind in ErrorKind::ALL {
        let plain = HpcError::new(kind, "m");
        assert_eq!((plain.kind(), plain.message(), plain.retry()), (kind, "m", kind.default_retry()));
        let detailed = HpcError::new(kind, "m").with("a", 1);
        assert_eq!((detailed.kind(), detailed.message()), (kind, "m"));
        assert_eq!(ErrorKind::from_reason(kind.reason()), Some(kind));
    }
}

#[test]
fn only_same_request_and_backoff_are_retriable() {
    for (retry, expected) in [
        (Retry::Never, false),
        (Retry::SameRequest, true),
        (Retry::WithBackoff { after: None }, true),
        (Retry::RestartTransaction, false),
        (Retry::AfterFix, false),
    ] {
        assert_eq!(HpcError::internal("x").retry_class(retry).is_retriable(), expected, "{retry:?}");
        assert_eq!(Retry::from_name(retry.name(), None), Some(retry));
    }
    let retriable: Vec<_> =
        ErrorKind::ALL.iter().filter(|kind| kind.default_retry().is_retriable()).collect();
    assert_eq!(retriable, [&ErrorKind::Unavailable, &ErrorKind::Network]);
}

#[test]
fn a_code_brings_its_kind_and_exit_code() {
    let error = HpcError::coded(&codes::CAP_NO_CAPACITY, "no p5 in eu-west-1");
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Exhausted, 5));
    assert_eq!(error.code_text(), Some("HPC-CAP-0001"));
    assert_eq!(error.registered(), Some(&codes::CAP_NO_CAPACITY));
    assert_eq!(HpcError::internal("x").code(&codes::AUT_UNTRUSTED).kind(), ErrorKind::Unauthenticated);
    assert_eq!(format!("{error:#}"), "no p5 in eu-west-1 [HPC-CAP-0001]");
}

#[test]
fn exit_codes_without_a_code_follow_the_kind() {
    for (error, exit) in [
        (HpcError::invalid_input("x"), 2),
        (HpcError::denied("x"), 3),
        (HpcError::unauthenticated("x"), 7),
        (HpcError::cancelled("x"), 130),
        (HpcError::database("x"), 1),
    ] {
        assert_eq!(error.exit_code(), exit);
    }
}

#[test]
fn sources_are_chained_and_anyhow_takes_it() {
    fn inner() -> Result<()> {
        Err(HpcError::from(std::io::Error::other("disk on fire")).with("path", "/var/lib/hpc"))
    }
    fn outer() -> anyhow::Result<()> {
        inner()?;
        Ok(())
    }
    let error = outer().unwrap_err();
    let ours = error.downcast_ref::<HpcError>().expect("the type survives");
    assert_eq!(ours.kind(), ErrorKind::Io);
    assert_eq!(ours.source().expect("a source").to_string(), "disk on fire");
    assert!(HpcError::internal("x").source().is_none());
    let wrapped = HpcError::provider("could not start").caused_by(anyhow::anyhow!("root"));
    assert_eq!(wrapped.source().unwrap().to_string(), "root");
}

#[test]
fn everything_is_bounded() {
    let mut error = HpcError::internal("m".repeat(10 * MESSAGE_BYTES_MAX));
    for index in 0..100 {
        error = error.with(format!("key_{index}"), "v".repeat(100));
    }
    assert!(error.message().len() <= MESSAGE_BYTES_MAX);
    assert_eq!(error.context().count(), CONTEXT_PAIRS_MAX);
    assert_eq!(error.context_dropped(), 100 - CONTEXT_PAIRS_MAX as u32);

    let mut error = HpcError::internal("m");
    for index in 0..10 {
        error = error.with(format!("k{index}"), "v".repeat(5000));
    }
    let bytes: usize = error.context().map(|(key, value)| key.len() + value.len()).sum();
    assert!(bytes <= CONTEXT_BYTES_MAX);
}

#[test]
fn a_pair_of_the_same_key_is_replaced() {
    let error = HpcError::internal("x").with("zone", "a").with("zone", "b");
    assert_eq!(error.context().collect::<Vec<_>>(), [("zone", "b")]);
    assert_eq!(error.context_value("zone"), Some("b"));
}

#[test]
fn the_report_is_the_json_of_the_error() {
    let error = HpcError::coded(&codes::QUO_RATE, "30 requests a minute").with("principal", "you@dev");
    let error = error.retry_after(Duration::from_millis(1500)).caused_by("internal detail");
    let json = serde_json::to_value(&error).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "code": "HPC-QUO-0003", "kind": "exhausted", "message": "30 requests a minute",
            "retry": "with_backoff", "retry_after_ms": 1500, "context": {"principal": "you@dev"},
            "try": codes::QUO_RATE.remedy, "exit_code": 6
        })
    );
    assert!(!json.to_string().contains("internal detail"));
    assert_eq!(ErrorReport::from(&HpcError::internal("x")).exit_code, 1);
}
