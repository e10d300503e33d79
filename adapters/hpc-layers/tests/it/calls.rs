//! Paces and meters, on a paused clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hpc_layers::{Deadline, Failure, Limits, Meter, Metered, Pace, Paced, Paces, Verb};
use hpc_provider::{CapacityProvider, Certainty, ErrorKind, Observe};
use tokio::time::Instant;

use crate::wrappers::{Answer, Scripted, handle, request, spec};

fn paces() -> Paces {
    let pace = |burst, seconds| Pace { burst, one_in: Duration::from_secs(seconds) };
    Paces { read: pace(2, 1), create: pace(1, 10), release: pace(1, 1), wait_max: Duration::from_secs(10) }
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_class_wait_for_their_turn_and_others_do_not() {
    let inner = Scripted::new(&[]);
    let paced = Paced::new(Arc::clone(&inner), paces());
    let begun = Instant::now();
    for _ in 0..2 {
        paced.provision(&spec()).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    paced.release(&handle()).await.unwrap();
    paced.get_quote(&request()).await.unwrap();
    paced.quotas().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(10), "neither a release nor a read waits for creates");
    paced.list_owned("o", None).await.unwrap();
    paced.observe(&Observe::Handles(vec![])).await.unwrap();
    paced.interruptions(None).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(13), "all reads are one class");
    assert_eq!(inner.calls(), 8);
    assert_eq!(paced.describe(), inner.describe(), "says of itself what is inside");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_is_refused_and_nothing_was_done() {
    let inner = Scripted::new(&[]);
    let paced = Arc::new(Paced::new(Arc::clone(&inner), paces()));
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let paced = Arc::clone(&paced);
            tokio::spawn(async move { paced.provision(&spec()).await })
        })
        .collect();
    let mut refused = Vec::new();
    for call in calls {
        refused.extend(call.await.unwrap().err());
    }
    assert_eq!((inner.calls(), refused.len()), (2, 1));
    let error = &refused[0];
    assert_eq!((error.kind, error.certainty), (ErrorKind::Throttled, Certainty::NotDone));
    assert_eq!((error.code.as_str(), error.retry_after_ms), ("OwnPace", Some(20_000)));
}

/// Keeps what it is told.
#[derive(Default)]
struct Kept(Mutex<Vec<(Verb, Failure, Duration)>>);

impl Meter for Kept {
    fn called(&self, verb: Verb, failure: Failure, took: Duration) {
        self.0.lock().unwrap().push((verb, failure, took));
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_is_told_with_its_end_and_its_time() {
    let failure = (ErrorKind::Capacity, Certainty::NotDone);
    let inner = Scripted::new(&[Answer::Works, Answer::Fails(failure.0, failure.1, None), Answer::Hangs]);
    let kept = Arc::new(Kept::default());
    let limits = Limits::default();
    let metered = Metered::new(Deadline::new(inner, limits), Arc::clone(&kept));
    metered.get_quote(&request()).await.unwrap();
    metered.provision(&spec()).await.unwrap_err();
    metered.provision(&spec()).await.unwrap_err();
    metered.check_spot_prices("t", "r").await.unwrap_err();
    metered.observe(&Observe::Handles(vec![])).await.unwrap();
    metered.release(&handle()).await.unwrap();
    metered.list_owned("o", None).await.unwrap();
    metered.quotas().await.unwrap();
    metered.interruptions(None).await.unwrap();
    let told = kept.0.lock().unwrap().clone();
    let verbs: Vec<Verb> = told.iter().map(|(verb, ..)| *verb).collect();
    use Verb::{Interruptions, ListOwned, Observe as Looked, Provision, Quotas, Quote, Release, SpotPrices};
    assert_eq!(
        verbs,
        [Quote, Provision, Provision, SpotPrices, Looked, Release, ListOwned, Quotas, Interruptions]
    );
    assert_eq!(told[0].1, None);
    assert_eq!(told[1].1, Some(failure));
    // Its end by the limit is told as well, and how long it took.
    assert_eq!((told[2].1, told[2].2), (Some((ErrorKind::Deadline, Certainty::Unknown)), limits.create));
    assert_eq!(told[3].1, Some((ErrorKind::Unsupported, Certainty::NotDone)));
    let names: Vec<&str> = verbs.iter().map(|verb| verb.as_str()).collect();
    assert!(Verb::NAMES.iter().all(|name| names.contains(name)));
}
