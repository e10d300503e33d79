//! Offers are tried one after the other; where the request says so, the next one beside one that does not answer. The
//! first complete success is kept, and whatever the other one creates is ended.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use hpc_audit::Receipt;
use hpc_error::HpcError;
use hpc_provider::{Certainty, ProviderError, ProvisionResult};
use hpc_resources::{Attempt, OfferKey};

use crate::apply::Applied;
use crate::apply::again::Looked;
use crate::apply::walk::Walk;
use crate::books::{Begun, Reserved};
use crate::broker::Broker;
use crate::gate::Gate;
use crate::progress::{Progress, ProgressSink};
use crate::records::{EndReason, HedgeEnd, IntentRecord, IntentState, LeaseRecord, PlanRecord};
use crate::store::{Change, CommitError};

/// What a provider answers to a create.
pub(super) type Answer = Result<ProvisionResult, ProviderError>;

/// A try whose answer is awaited. Dropping it stops waiting: what it may create is found by its tag.
pub(super) struct Running<'a> {
    pub(super) intent: IntentRecord,
    /// Nobody else settles it meanwhile.
    pub(super) _claim: Begun<'a>,
    pub(super) _reserved: Reserved<'a>,
    pub(super) call: Pin<Box<dyn Future<Output = Answer> + Send + 'a>>,
}

/// The tries of one apply: none, one, or two at once.
pub(super) struct Race<'a> {
    broker: &'a Broker,
    gate: &'a Gate<'a>,
    plan: &'a PlanRecord,
    sink: &'a dyn ProgressSink,
    lease: LeaseRecord,
    receipts: Vec<Receipt>,
    walk: Walk,
    running: Vec<Running<'a>>,
    /// The first offer that has not been looked at.
    next: usize,
    /// Whether nothing is begun beside the try that runs: it does not fit.
    alone: bool,
}

enum Heard<T> {
    /// A try was answered.
    Answer(usize, Answer),
    /// What went on beside them has ended.
    Beside(T),
}

/// Waits for the first answer, or for something else; an earlier try counts before a later one.
async fn hear<T>(
    running: &mut [Running<'_>],
    mut beside: Pin<&mut (impl Future<Output = T> + ?Sized)>,
) -> Heard<T> {
    poll_fn(|context| {
        for (index, one) in running.iter_mut().enumerate() {
            if let Poll::Ready(answer) = one.call.as_mut().poll(context) {
                return Poll::Ready(Heard::Answer(index, answer));
            }
        }
        beside.as_mut().poll(context).map(Heard::Beside)
    })
    .await
}

impl<'a> Race<'a> {
    pub(super) fn new(
        broker: &'a Broker,
        gate: &'a Gate<'a>,
        plan: &'a PlanRecord,
        sink: &'a dyn ProgressSink,
        (lease, receipts): (LeaseRecord, Vec<Receipt>),
    ) -> Self {
        let (walk, running) = (Walk::default(), Vec::new());
        Self { broker, gate, plan, sink, lease, receipts, walk, running, next: 0, alone: false }
    }

    /// Tries until one succeeds or none is left.
    pub(super) async fn run(mut self) -> Result<Applied, HpcError> {
        loop {
            if self.running.is_empty() {
                let Some(attempt) = self.next_attempt() else {
                    return self.broker.give_up(self.plan, self.lease, self.walk).await;
                };
                let number = self.next;
                self.next = self.next.saturating_add(1);
                let look = self.broker.check_offer_again(self.gate, self.plan, attempt, &mut self.walk);
                match look.await {
                    Ok(looked) => self.begin((number, attempt), looked).await?,
                    Err(why) => self.skip(attempt.offer.key(), why),
                }
                continue;
            }
            let Some((index, answer)) = self.wait().await? else { continue };
            let answered = self.running.remove(index);
            match answer {
                Ok(result) => return self.win(answered, result).await,
                Err(error) => self.failed(answered, error).await?,
            }
        }
    }

    /// The next offer, unless nothing more may be spent.
    fn next_attempt(&mut self) -> Option<&'a Attempt> {
        let attempt = self.plan.plan.attempts.get(self.next)?;
        if self.walk.over_budget.is_some() {
            self.walk.stopped = true;
            return None;
        }
        Some(attempt)
    }

    fn skip(&mut self, offer: OfferKey, why: String) {
        self.lease.failures.push(format!("{offer}: {why}"));
        self.sink.on(Progress::Skipped { offer, why });
    }

    /// Waits for an answer. `None`: another try was begun meanwhile, or is not going to be.
    async fn wait(&mut self) -> Result<Option<(usize, Answer)>, HpcError> {
        let is_one = self.running.len() == 1 && !self.alone && self.walk.over_budget.is_none();
        let offers = self.plan.plan.attempts.len();
        let after_s = self.plan.request.hedge_s().filter(|_| is_one && self.next < offers);
        let Some(after_s) = after_s else {
            return Ok(match hear(&mut self.running, pin!(pending::<Infallible>())).await {
                Heard::Answer(index, answer) => Some((index, answer)),
                Heard::Beside(never) => match never {},
            });
        };
        let mut late = self.broker.environment.wait(after_s);
        if let Heard::Answer(index, answer) = hear(&mut self.running, late.as_mut()).await {
            return Ok(Some((index, answer)));
        }
        while let Some(attempt) = self.plan.plan.attempts.get(self.next) {
            // The provider may be asked for its price: an answer of the try that runs is not kept waiting by that.
            let heard = {
                let look = self.broker.check_offer_again(self.gate, self.plan, attempt, &mut self.walk);
                hear(&mut self.running, pin!(look)).await
            };
            match heard {
                Heard::Answer(index, answer) => return Ok(Some((index, answer))),
                Heard::Beside(Ok(looked)) => {
                    self.begin_beside(attempt, looked, after_s).await?;
                    break;
                }
                Heard::Beside(Err(why)) => {
                    self.next = self.next.saturating_add(1);
                    self.skip(attempt.offer.key(), why);
                }
            }
        }
        Ok(None)
    }

    /// Begins a try while no other runs.
    async fn begin(&mut self, attempt: (usize, &Attempt), looked: Looked) -> Result<(), HpcError> {
        let (intent, claim) = self.broker.intent(&self.lease, attempt, looked.price)?;
        match self.broker.journal(&mut self.lease, &intent, &looked.evidence, None).await {
            Ok(receipts) => self.receipts.extend(receipts),
            Err(CommitError::Unaudited(error, _)) => {
                self.broker.take_back(&self.lease, intent).await?;
                self.broker.fail_lease(self.lease.clone(), EndReason::Interrupted).await?;
                return Err(error);
            }
            // Whether the journal has it is unknown: nothing is sent, and reconciling ends whatever it finds.
            Err(error) => return Err(error.into()),
        }
        let (id, offer) = (intent.spec.intent.clone(), intent.spec.offer.key());
        self.sink.on(Progress::Trying { intent: id, offer });
        self.alone = false;
        self.running.push(self.broker.send(intent, claim, self.sink)?);
        Ok(())
    }

    /// Begins a try beside the one that runs, if both fit: what two at once may cost is held before anything else.
    async fn begin_beside(
        &mut self,
        attempt: &Attempt,
        looked: Looked,
        after_s: u64,
    ) -> Result<(), HpcError> {
        let Some(first) = self.running.first().map(|first| first.intent.clone()) else { return Ok(()) };
        let (intent, claim) = self.broker.intent(&self.lease, (self.next, attempt), looked.price)?;
        let raised = match self.broker.hedge(&self.plan.request, &self.lease, (&first, &intent), after_s) {
            Ok(raised) => raised,
            Err(why) => {
                // It stays in the plan: should the other one fail, it is tried alone.
                self.alone = true;
                self.skip(intent.spec.offer.key(), format!("not tried beside another: {why}"));
                return Ok(());
            }
        };
        self.next = self.next.saturating_add(1);
        self.lease = raised;
        let beside = Some((&first.spec.intent, after_s));
        match self.broker.journal(&mut self.lease, &intent, &looked.evidence, beside).await {
            Ok(receipts) => self.receipts.extend(receipts),
            Err(CommitError::Unaudited(error, _)) => {
                // What is proven goes on; nothing more is begun.
                let offer = intent.spec.offer.key();
                let failed = HedgeEnd::Failed { intent: intent.spec.intent.clone() };
                self.lease.end_hedge(failed, true)?;
                self.broker.take_back(&self.lease, intent).await?;
                self.broker.keep_hold(&self.lease);
                self.alone = true;
                self.skip(offer, error.to_string());
                return Ok(());
            }
            // As for a try alone. What the first one creates is found by its tag.
            Err(error) => return Err(error.into()),
        }
        self.sink.on(Progress::Hedging {
            intent: intent.spec.intent.clone(),
            offer: intent.spec.offer.key(),
            beside: first.spec.offer.key(),
            after_s,
        });
        self.running.push(self.broker.send(intent, claim, self.sink)?);
        Ok(())
    }

    /// The first complete success: the lease is active, and whatever still runs is set aside in the same commit.
    async fn win(mut self, winner: Running<'a>, result: ProvisionResult) -> Result<Applied, HpcError> {
        let Running { mut intent, .. } = winner;
        let (created, more) = self.broker.activate(&mut self.lease, &mut intent, result).await?;
        self.receipts.extend(more);
        self.sink.on(created);
        for overtaken in &self.running {
            let (id, offer) = (overtaken.intent.spec.intent.clone(), overtaken.intent.spec.offer.key());
            self.sink.on(Progress::Overtaken { intent: id, offer });
        }
        Ok(Applied { lease: self.lease, receipts: self.receipts, repeated: false })
    }

    /// A try that got nothing, or whose outcome is unknown: recorded, and what it taught.
    async fn failed(&mut self, failed: Running<'a>, error: ProviderError) -> Result<(), HpcError> {
        let Running { mut intent, _claim, _reserved, call } = failed;
        drop((call, _reserved));
        let (id, offer) = (intent.spec.intent.clone(), intent.spec.offer.key());
        let nothing_created = error.certainty == Certainty::NotDone;
        let now = self.broker.environment.now();
        self.walk.tried = self.walk.tried.saturating_add(1);
        self.walk.remember(&error, &intent.spec.offer);
        self.lease.failures.push(format!("{offer}: {error}"));
        intent.state = if nothing_created { IntentState::Failed } else { IntentState::Unknown };
        intent.set_aside = true;
        intent.updated_at = now;
        intent.error = Some(error.clone());
        let was_hedged = !self.running.is_empty();
        if was_hedged {
            // It was held beside the other one, and is counted by itself from now on, if anything may be there.
            self.lease.end_hedge(HedgeEnd::Failed { intent: id.clone() }, nothing_created)?;
            let stray = (id.clone(), intent.hourly()?);
            self.broker.keep_hold_beside(
                &self.lease,
                if nothing_created { &[] } else { std::slice::from_ref(&stray) },
            );
        } else if !nothing_created {
            // Before anything else is tried: what may be there costs money beside the next try.
            let counted = self.broker.books.set_aside(&id, &self.lease.id, intent.hourly()?);
            self.walk.over_budget = counted.err();
        }
        let learnt = self.broker.stock.failed(Change::new(), &error, &offer, now)?;
        self.broker.record_failure(&self.lease, &intent, learnt).await?;
        self.sink.on(Progress::Failed { intent: id, offer, why: error.to_string(), nothing_created });
        Ok(())
    }
}
