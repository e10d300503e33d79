use std::collections::HashMap;
use std::time::Duration;

use hpc_error::{ERROR_DOMAIN, ErrorKind, HpcError, Retry, codes};
use proptest::prelude::*;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

#[test]
fn the_snippet_holds() {
    let error = HpcError::Database("connection failed".to_string());
    let status: tonic::Status = error.into();
    assert_eq!((status.code(), status.message()), (Code::Internal, "connection failed"));
}

#[test]
fn every_kind_survives() {
    for &kind in ErrorKind::ALL {
        let back = HpcError::from(Status::from(HpcError::new(kind, "m")));
        assert_eq!(back, HpcError::new(kind, "m"));
    }
}

#[test]
fn every_code_survives_and_agrees_with_grpc() {
    for code in codes::all() {
        let status = Status::from(HpcError::coded(code, "m"));
        assert_eq!(status.code(), code.grpc_code());
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.domain.as_str(), info.reason), (ERROR_DOMAIN, code.code.replace('-', "_")));
        assert_eq!(HpcError::from(status), HpcError::coded(code, "m"));
    }
}

#[test]
fn the_source_stays_here() {
    let status = Status::from(HpcError::provider("refused").caused_by("secret host 10.0.0.7"));
    let text = format!("{status:?}{:?}", String::from_utf8_lossy(status.details()));
    assert!(!text.contains("10.0.0.7"));
}

#[test]
fn details_stay_under_4_kib() {
    let mut error = HpcError::coded(&codes::PRV_INVALID_ANSWER, "m".repeat(5000));
    for index in 0..40 {
        error = error.with(format!("k{index}"), "v".repeat(2000));
    }
    let status = Status::from(error.retry_after(Duration::from_secs(1)));
    assert!(status.details().len() < 4096, "{}", status.details().len());
}

#[test]
fn a_wait_becomes_retry_info() {
    let status = Status::from(HpcError::coded(&codes::QUO_RATE, "m").retry_after(Duration::from_millis(250)));
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_millis(250)));
    assert!(HpcError::from(status).is_retriable());
}

#[test]
fn foreign_statuses_are_understood_and_marked() {
    let error = HpcError::from(Status::resource_exhausted("slow down"));
    assert_eq!((error.kind(), error.is_retriable()), (ErrorKind::Exhausted, false));

    let mut details = ErrorDetails::new();
    details.set_error_info("RATE_LIMIT_EXCEEDED", "googleapis.com", HashMap::new());
    details.set_retry_info(Some(Duration::from_secs(7)));
    let error = HpcError::from(Status::with_error_details(Code::ResourceExhausted, "slow down", details));
    assert_eq!(error.retry(), Retry::WithBackoff { after: Some(Duration::from_secs(7)) });
    assert_eq!(error.context_value("foreign_domain"), Some("googleapis.com"));
    assert_eq!(error.code_text(), None);
}

#[test]
fn a_code_of_a_newer_peer_is_kept() {
    let mut details = ErrorDetails::new();
    details.set_error_info("HPC_NEW_0001", ERROR_DOMAIN, HashMap::from([("a".to_owned(), "b".to_owned())]));
    let error = HpcError::from(Status::with_error_details(Code::FailedPrecondition, "m", details));
    assert_eq!(error.code_text(), Some("HPC-NEW-0001"));
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Precondition, 1));
    assert_eq!(error.context_value("a"), Some("b"));
}

#[test]
fn absurd_waits_and_broken_details_are_survived() {
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(Duration::from_secs(300_000_000_000)));
    let error = HpcError::from(Status::with_error_details(Code::Unavailable, "m", details));
    assert_eq!(error.retry(), Retry::WithBackoff { after: Some(Duration::from_secs(86_400)) });
    let broken = Status::with_details(Code::Internal, "m", vec![0xff; 64].into());
    assert_eq!(HpcError::from(broken), HpcError::internal("m"));
}

fn any_error() -> impl Strategy<Value = HpcError> {
    let kind = proptest::sample::select(ErrorKind::ALL.to_vec());
    let code = proptest::option::of(proptest::sample::select(codes::all().to_vec()));
    let retry = proptest::option::of(prop_oneof![
        Just(Retry::Never),
        Just(Retry::SameRequest),
        Just(Retry::WithBackoff { after: None }),
        (0u64..86_400_000).prop_map(|ms| Retry::WithBackoff { after: Some(Duration::from_millis(ms)) }),
        Just(Retry::RestartTransaction),
        Just(Retry::AfterFix),
    ]);
    let context = proptest::collection::vec(("[a-zA-Z_\\-]{0,70}", ".{0,600}"), 0..20);
    (kind, ".{0,2000}", code, retry, context).prop_map(|(kind, message, code, retry, context)| {
        let mut error = HpcError::new(kind, message).with("first", 1);
        if let Some(code) = code {
            error = error.code(code);
        }
        if let Some(retry) = retry {
            error = error.retry_class(retry);
        }
        for (key, value) in context {
            error = error.with(key, value);
        }
        error
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn there_and_back_loses_nothing_but_the_count_of_dropped_pairs(error in any_error()) {
        let text = (error.kind(), error.message().to_owned(), error.code_text().map(str::to_owned), error.retry());
        let context: Vec<(String, String)> =
            error.context().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let status = Status::from(error);
        prop_assert!(status.details().len() < 4096);
        let back = HpcError::from(status);
        prop_assert_eq!(
            (back.kind(), back.message().to_owned(), back.code_text().map(str::to_owned), back.retry()),
            text
        );
        let there: Vec<(String, String)> =
            back.context().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        prop_assert_eq!(there, context);
    }

    #[test]
    fn any_bytes_as_details_are_survived(code in 0i32..17, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = HpcError::from(Status::with_details(Code::from_i32(code), "m", bytes.into()));
    }
}
