//! The contract of the `identity` port, one case per sentence.
//!
//! `hpc_conformance::identity_source!(async { Subject })` generates one test per case.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a suite fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use hpc_identity::{IdentityError, IdentitySource, TrustDomain, X509Svid};
use tokio::time::timeout;

/// A source under test, with the means to change it from outside.
pub struct Subject {
    /// The source; it has an identity.
    pub source: Arc<dyn IdentitySource>,
    /// Replaces the identity by one with another serial number, in the same trust domain.
    pub rotate: Box<dyn Fn() + Send + Sync>,
}

/// Generates one `#[tokio::test]` per case. `$make` is an expression whose future gives a fresh [`Subject`].
#[macro_export]
macro_rules! identity_source {
    ($make:expr) => {
        $crate::identity_source!(@cases $make;
            svid_is_the_identity_of_the_moment
            the_own_bundle_is_known
            an_unknown_domain_is_an_error_and_no_empty_bundle
            generation_grows_with_every_change
            changed_answers_at_once_when_behind
            changed_waits_when_up_to_date
            what_is_read_after_changed_is_new
            a_dropped_wait_loses_no_change
            many_wait_at_once
        );
    };
    (@cases $make:expr; $($case:ident)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::identity::$case($make.await).await;
            }
        )+
    };
}

/// Longer than any wait that ends, shorter than a test run's patience.
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough to see that a wait does not end by itself.
const GLANCE: Duration = Duration::from_millis(30);

async fn serial(source: &dyn IdentitySource) -> Vec<u8> {
    source.svid().await.unwrap().serial().to_vec()
}

async fn changed(source: &dyn IdentitySource, seen: u64) -> u64 {
    timeout(PATIENCE, source.changed(seen)).await.unwrap()
}

/// `svid` answers the identity that is current at the moment of the call.
pub async fn svid_is_the_identity_of_the_moment(subject: Subject) {
    let before = serial(subject.source.as_ref()).await;
    assert_eq!(before, serial(subject.source.as_ref()).await, "nothing changed in between");
    (subject.rotate)();
    assert_ne!(before, serial(subject.source.as_ref()).await);
}

/// The bundle of the identity's own trust domain is always known, and vouches for the identity.
pub async fn the_own_bundle_is_known(subject: Subject) {
    for _ in 0..2 {
        let svid: Arc<X509Svid> = subject.source.svid().await.unwrap();
        let bundle = subject.source.bundle(svid.id().trust_domain()).await.unwrap();
        assert_eq!(bundle.trust_domain(), svid.id().trust_domain());
        assert!(!bundle.authorities().is_empty());
        (subject.rotate)();
    }
}

/// The bundle of a trust domain the source does not know is an error, never an empty bundle.
pub async fn an_unknown_domain_is_an_error_and_no_empty_bundle(subject: Subject) {
    let domain = TrustDomain::parse("nobody.invalid").unwrap();
    assert_eq!(subject.source.bundle(&domain).await, Err(IdentityError::UnknownTrustDomain(domain)));
}

/// `generation` grows by at least one whenever the identity or any bundle changes, and never shrinks.
pub async fn generation_grows_with_every_change(subject: Subject) {
    let mut seen = subject.source.generation();
    assert_eq!(seen, subject.source.generation());
    for _ in 0..5 {
        (subject.rotate)();
        assert!(subject.source.generation() > seen);
        seen = subject.source.generation();
    }
}

/// `changed(seen)` answers at once when the generation is above `seen`, with the generation of that moment.
pub async fn changed_answers_at_once_when_behind(subject: Subject) {
    let seen = subject.source.generation();
    (subject.rotate)();
    (subject.rotate)();
    assert_eq!(changed(subject.source.as_ref(), seen).await, subject.source.generation());
}

/// `changed(seen)` otherwise waits until the generation is above `seen`.
pub async fn changed_waits_when_up_to_date(subject: Subject) {
    let seen = subject.source.generation();
    assert!(timeout(GLANCE, subject.source.changed(seen)).await.is_err(), "nothing changed");
    let source = Arc::clone(&subject.source);
    let waiting = tokio::spawn(async move { source.changed(seen).await });
    tokio::task::yield_now().await;
    (subject.rotate)();
    assert!(timeout(PATIENCE, waiting).await.unwrap().unwrap() > seen);
}

/// What is read after `changed` answered is at least as new as the generation it answered.
pub async fn what_is_read_after_changed_is_new(subject: Subject) {
    for _ in 0..5 {
        let (seen, old) = (subject.source.generation(), serial(subject.source.as_ref()).await);
        (subject.rotate)();
        changed(subject.source.as_ref(), seen).await;
        assert_ne!(serial(subject.source.as_ref()).await, old);
    }
}

/// Dropping the future of `changed` loses no change.
pub async fn a_dropped_wait_loses_no_change(subject: Subject) {
    let seen = subject.source.generation();
    assert!(timeout(GLANCE, subject.source.changed(seen)).await.is_err());
    (subject.rotate)();
    assert!(changed(subject.source.as_ref(), seen).await > seen);
}

/// Any number of callers may wait at once.
pub async fn many_wait_at_once(subject: Subject) {
    let seen = subject.source.generation();
    let waiting: Vec<_> = (0..32)
        .map(|_| {
            let source = Arc::clone(&subject.source);
            tokio::spawn(async move { source.changed(seen).await })
        })
        .collect();
    tokio::task::yield_now().await;
    (subject.rotate)();
    for wait in waiting {
        assert!(timeout(PATIENCE, wait).await.unwrap().unwrap() > seen);
    }
}
