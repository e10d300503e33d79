//! The answers that are kept: how old one may be, how many there are, and what outdates them. Pure; time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use hpc_provider::{Offered, ProviderError};
use hpc_resources::{OfferKey, StockHint};
use jiff::{SignedDuration, Timestamp};

/// How long answers are kept, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Younger than this an answer is given without asking.
    pub fresh_for: Duration,
    /// Younger than this an answer is given while a newer one is asked for, or when asking failed. Older ones are never given.
    pub stale_for: Duration,
    /// After a failure the provider is not asked again for this long, as long as there is an answer to give.
    pub rest_after_failure: Duration,
    /// Most requests whose answers are kept, and most that are asked for at once.
    pub answers_max: usize,
    /// Most offers in all answers together; an answer with more is given and not kept.
    pub offers_max: usize,
}

impl Default for Keep {
    /// Fresh for a minute, given for a quarter of an hour, 10 seconds of rest, 64 requests, 100,000 offers.
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_secs(60),
            stale_for: Duration::from_secs(15 * 60),
            rest_after_failure: Duration::from_secs(10),
            answers_max: 64,
            offers_max: 100_000,
        }
    }
}

/// How far an answer may be ahead of who asks: callers read the clock one after the other.
const AHEAD_MAX: SignedDuration = SignedDuration::from_secs(5);

/// What there is for a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Young enough.
    Fresh(Offered),
    /// May be given while a newer one is asked for.
    Stale(Offered),
    /// May be given, and the provider is left alone: it just failed.
    Resting(Offered),
    /// Nothing that may be given.
    Nothing,
}

struct Answer {
    offered: Offered,
    /// Something has happened since that it does not show.
    outdated: bool,
    /// When asking failed after it.
    failed: Option<(Timestamp, ProviderError)>,
    used: u64,
}

/// The answers, by request.
pub(super) struct Answers {
    keep: Keep,
    kept: BTreeMap<String, Answer>,
    uses: u64,
    changes: u64,
}

impl Answers {
    pub(super) const fn new(keep: Keep) -> Self {
        Self { keep, kept: BTreeMap::new(), uses: 0, changes: 0 }
    }

    /// How often something changed: an answer that was asked for before a change does not show it.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn find(&mut self, wish: &str, now: Timestamp) -> Found {
        self.uses += 1;
        let Some(answer) = self.kept.get_mut(wish) else { return Found::Nothing };
        let Some(age) = age(&answer.offered, now).filter(|age| *age < self.keep.stale_for) else {
            self.kept.remove(wish);
            return Found::Nothing;
        };
        answer.used = self.uses;
        let offered = shown(answer, now);
        let rests = answer.failed.as_ref().is_some_and(|(at, _)| {
            let rest = SignedDuration::try_from(self.keep.rest_after_failure).unwrap_or(SignedDuration::MAX);
            (SignedDuration::ZERO..rest).contains(&now.duration_since(*at))
        });
        match (rests, answer.outdated) {
            (true, _) => Found::Resting(offered),
            (false, true) => Found::Nothing,
            (false, false) if age < self.keep.fresh_for => Found::Fresh(offered),
            (false, false) => Found::Stale(offered),
        }
    }

    /// Keeps an answer that was asked for after so many changes. An older one never takes the place of a newer one.
    pub(super) fn store(&mut self, wish: &str, offered: &Offered, changes: u64) {
        self.uses += 1;
        let before = self.kept.get(wish);
        if before.is_some_and(|before| before.offered.asked_at > offered.asked_at && !before.outdated) {
            return;
        }
        if offered.quote.offers.len() > self.keep.offers_max || self.keep.answers_max == 0 {
            self.kept.remove(wish);
            return;
        }
        let answer = Answer {
            offered: offered.clone(),
            outdated: changes != self.changes,
            failed: None,
            used: self.uses,
        };
        self.kept.insert(wish.to_owned(), answer);
        while self.kept.len() > self.keep.answers_max || self.offers() > self.keep.offers_max {
            let oldest = self.kept.iter().min_by_key(|(_, answer)| answer.used).map(|(wish, _)| wish.clone());
            let Some(oldest) = oldest else { return };
            self.kept.remove(&oldest);
        }
    }

    /// Asking has failed: what there is may be given all the same, and says so. `None` when it is too old.
    pub(super) fn failed(&mut self, wish: &str, error: &ProviderError, now: Timestamp) -> Option<Offered> {
        let answer = self.kept.get_mut(wish)?;
        age(&answer.offered, now).filter(|age| *age < self.keep.stale_for)?;
        answer.failed = Some((now, error.clone()));
        Some(shown(answer, now))
    }

    /// Something was created or ended: no answer shows it.
    pub(super) fn changed(&mut self) {
        self.changes += 1;
        for answer in self.kept.values_mut() {
            (answer.outdated, answer.failed) = (true, None);
        }
    }

    /// The provider had none of it: no answer says otherwise.
    pub(super) fn sold_out(&mut self, offer: &OfferKey) {
        let offers = self.kept.values_mut().flat_map(|answer| &mut answer.offered.quote.offers);
        for offer in offers.filter(|have| have.key() == *offer) {
            offer.stock = StockHint::Unlikely;
        }
    }

    fn offers(&self) -> usize {
        self.kept.values().map(|answer| answer.offered.quote.offers.len()).sum()
    }
}

/// How old an answer is; `None` if it is of the future, which a clock that was set back makes of it.
fn age(offered: &Offered, now: Timestamp) -> Option<Duration> {
    let age = now.duration_since(offered.asked_at);
    (age >= -AHEAD_MAX).then(|| Duration::try_from(age).unwrap_or_default())
}

/// An answer as it is given at `now`.
fn shown(answer: &Answer, now: Timestamp) -> Offered {
    let mut offered = answer.offered.clone();
    offered.asked_at = offered.asked_at.min(now);
    offered.trouble = answer.failed.as_ref().map(|(_, error)| error.clone());
    offered
}

#[cfg(test)]
mod tests {
    use hpc_provider::{Certainty, ErrorKind, Quote, Scope};
    use hpc_resources::ProviderId;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn offered(asked_at: i64) -> Offered {
        let provider = ProviderId::parse("p").unwrap();
        let quote = Quote {
            provider,
            snapshot: "s".to_owned(),
            as_of: at(asked_at),
            offers: vec![],
            truncated: false,
        };
        Offered { quote, asked_at: at(asked_at), trouble: None }
    }

    fn error() -> ProviderError {
        ProviderError::new(ErrorKind::Throttled, Scope::Region, Certainty::NotDone, "Slow", "down")
    }

    fn kept() -> Answers {
        let mut answers = Answers::new(Keep::default());
        answers.store("w", &offered(0), 0);
        answers
    }

    #[test]
    fn an_answer_is_fresh_then_stale_then_gone() {
        let mut answers = kept();
        assert_eq!(answers.find("w", at(59)), Found::Fresh(offered(0)));
        assert_eq!(answers.find("w", at(60)), Found::Stale(offered(0)));
        assert_eq!(answers.find("w", at(899)), Found::Stale(offered(0)));
        assert_eq!(answers.find("other", at(0)), Found::Nothing);
        assert_eq!(answers.find("w", at(900)), Found::Nothing);
        assert_eq!(answers.find("w", at(0)), Found::Nothing, "and does not come back");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_younger() {
        let mut answers = kept();
        assert_eq!(answers.find("w", at(-5)), Found::Fresh(Offered { asked_at: at(-5), ..offered(0) }));
        assert_eq!(answers.find("w", at(-6)), Found::Nothing);
    }

    #[test]
    fn after_a_failure_an_old_answer_says_why_there_is_none_newer_and_the_provider_rests() {
        let mut answers = kept();
        let with = Offered { trouble: Some(error()), ..offered(0) };
        assert_eq!(answers.failed("w", &error(), at(100)), Some(with.clone()));
        assert_eq!(answers.find("w", at(109)), Found::Resting(with.clone()));
        assert_eq!(answers.find("w", at(110)), Found::Stale(with));
        assert_eq!(answers.failed("w", &error(), at(900)), None, "too old to be given");
        answers.store("w", &offered(120), 0);
        assert_eq!(answers.find("w", at(121)), Found::Fresh(offered(120)));
    }

    #[test]
    fn what_was_asked_for_before_a_change_is_given_in_need_only() {
        let mut answers = kept();
        let before = answers.changes();
        answers.changed();
        assert_eq!(answers.find("w", at(1)), Found::Nothing);
        answers.store("w", &offered(1), before);
        assert_eq!(answers.find("w", at(2)), Found::Nothing, "it was on its way when the change came");
        assert!(answers.failed("w", &error(), at(3)).is_some());
        assert!(matches!(answers.find("w", at(4)), Found::Resting(_)));
        answers.store("w", &offered(2), answers.changes());
        answers.store("w", &offered(1), answers.changes());
        assert_eq!(answers.find("w", at(5)), Found::Fresh(offered(2)), "an older one takes no place");
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let mut answers = Answers::new(Keep { answers_max: 2, ..Keep::default() });
        for wish in ["a", "b"] {
            answers.store(wish, &offered(0), 0);
        }
        assert_eq!(answers.find("a", at(1)), Found::Fresh(offered(0)));
        answers.store("c", &offered(0), 0);
        assert_eq!(answers.find("b", at(1)), Found::Nothing);
        assert!(matches!(answers.find("a", at(1)), Found::Fresh(_)));
        assert!(matches!(answers.find("c", at(1)), Found::Fresh(_)));
        let mut none = Answers::new(Keep { answers_max: 0, ..Keep::default() });
        none.store("a", &offered(0), 0);
        assert_eq!(none.find("a", at(0)), Found::Nothing);
    }
}
