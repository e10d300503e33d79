//! What `/metrics` says of calls to providers: how many ended how, and how long they took.

use std::time::Duration;

use hpc_error::{HpcError, codes};
use hpc_layers::{Answered, CatalogMeter, Failure, Meter, Verb};
use hpc_provider::{Certainty, ErrorKind};
use hpc_tracing::metrics::{CounterFamily, HistogramFamily, Label, MetricsError, registry};

const CALL: Label = Label { name: "call", values: &Verb::NAMES };
const OUTCOME: Label = Label {
    name: "outcome",
    values: &[
        "ok",
        "capacity",
        "quota",
        "throttled",
        "config",
        "auth",
        "not-found",
        "conflict",
        "deadline",
        "unsupported",
        "internal",
    ],
};
const CERTAINTY: Label = Label { name: "certainty", values: &["done", "not-done", "unknown"] };
/// Between what a machine of one's own takes and the longest create.
const BUCKETS_SECONDS: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0];

const ANSWER: Label = Label { name: "answer", values: &Answered::NAMES };
/// Up to the oldest offers that are shown.
const AGES_SECONDS: &[f64] = &[1.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0];

/// Counts the calls of all providers, and where offers came from.
#[derive(Clone, Debug)]
pub(crate) struct ProviderCalls {
    calls: CounterFamily,
    seconds: HistogramFamily,
    answers: CounterFamily,
    ages: HistogramFamily,
}

impl ProviderCalls {
    /// Registers its metrics with the process's registry, or finds them there.
    ///
    /// # Errors
    /// `HPC-INT-*` when another metric has their name.
    pub(crate) fn registered() -> Result<Self, HpcError> {
        let failed = |error: MetricsError| HpcError::coded(&codes::INT_BUG, error.to_string());
        let calls = registry().counter_with(
            "hpc_provider_calls",
            "Calls to providers, by how they ended and what is known of their effect",
            &[CALL, OUTCOME, CERTAINTY],
        );
        let seconds = registry().histogram_with(
            "hpc_provider_call_seconds",
            "How long calls to providers took, without waiting for their turn",
            BUCKETS_SECONDS,
            &[CALL],
        );
        let answers = registry().counter_with(
            "hpc_catalog_answers",
            "Answers to who looks for offers: kept and fresh, kept and stale, asked for now, or old or none because a provider \
             failed",
            &[ANSWER],
        );
        let ages = registry().histogram_with(
            "hpc_catalog_age_seconds",
            "How long before such an answer its provider had been asked for it",
            AGES_SECONDS,
            &[ANSWER],
        );
        Ok(Self {
            calls: calls.map_err(failed)?,
            seconds: seconds.map_err(failed)?,
            answers: answers.map_err(failed)?,
            ages: ages.map_err(failed)?,
        })
    }
}

impl Meter for ProviderCalls {
    fn called(&self, verb: Verb, failure: Failure, took: Duration) {
        let (outcome, certainty) = failure.map_or(("ok", "done"), |(kind, certainty)| {
            let certainty = match certainty {
                Certainty::Done => "done",
                Certainty::NotDone => "not-done",
                Certainty::Unknown => "unknown",
            };
            (outcome(kind), certainty)
        });
        self.calls.with(&[verb.as_str(), outcome, certainty]).inc();
        self.seconds.with(&[verb.as_str()]).observe_duration(took);
    }
}

impl CatalogMeter for ProviderCalls {
    fn answered(&self, how: Answered, age: Option<Duration>) {
        self.answers.with(&[how.as_str()]).inc();
        if let Some(age) = age {
            self.ages.with(&[how.as_str()]).observe_duration(age);
        }
    }
}

const fn outcome(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Capacity => "capacity",
        ErrorKind::Quota => "quota",
        ErrorKind::Throttled => "throttled",
        ErrorKind::Config => "config",
        ErrorKind::Auth => "auth",
        ErrorKind::NotFound => "not-found",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Deadline => "deadline",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Internal => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_call_has_a_series_of_its_own() {
        let calls = ProviderCalls::registered().unwrap();
        let again = ProviderCalls::registered().unwrap();
        let kinds = [
            ErrorKind::Capacity,
            ErrorKind::Quota,
            ErrorKind::Throttled,
            ErrorKind::Config,
            ErrorKind::Auth,
            ErrorKind::NotFound,
            ErrorKind::Conflict,
            ErrorKind::Deadline,
            ErrorKind::Unsupported,
            ErrorKind::Internal,
        ];
        for kind in kinds {
            let name = outcome(kind);
            assert!(OUTCOME.values.contains(&name), "{name}");
            let series = calls.calls.with(&["quotas", name, "unknown"]);
            let before = series.value();
            again.called(Verb::Quotas, Some((kind, Certainty::Unknown)), Duration::from_millis(5));
            assert_eq!(series.value(), before + 1, "{name}");
        }
        calls.called(Verb::Quotas, None, Duration::ZERO);
        let text = registry().render();
        assert!(
            text.contains("hpc_provider_calls_total{call=\"quotas\",outcome=\"ok\",certainty=\"done\"}"),
            "{text}"
        );
        assert!(text.contains("hpc_provider_call_seconds"));
        calls.answered(Answered::Stale, Some(Duration::from_secs(70)));
        calls.answered(Answered::Failed, None);
        let text = registry().render();
        for said in [
            "hpc_catalog_answers_total{answer=\"stale\"}",
            "hpc_catalog_answers_total{answer=\"failed\"}",
            "hpc_catalog_age_seconds_count{answer=\"stale\"} 1",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}
