//! One try: its intent is journaled, the provider called, and what came of it recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use hpc_audit::{Entry, Outcome, Receipt};
use hpc_error::HpcError;
use hpc_provider::{
    CapacityProvider, Certainty, ErrorKind, ProviderError, ProvisionResult, ProvisionSpec, TAG_INTENT,
    TAG_LEASE, TAG_OWNER, Token,
};
use hpc_resources::{Attempt, IntentId, Money, PerInstanceHour};
use jiff::SignedDuration;

use crate::activate::instances;
use crate::apply::race::{Answer, Running};
use crate::books::{Begun, claim_name};
use crate::broker::{Broker, sum};
use crate::entry::{say, say_number};
use crate::evidence::Evidence;
use crate::fail;
use crate::progress::{Progress, ProgressSink};
use crate::records::{IntentRecord, IntentState, LeaseRecord};
use crate::store::{Change, CommitError, key};
use crate::tolerance::with_tolerance;

impl Broker {
    /// A try of an offer, claimed, as it is journaled before anything is sent. `number` is its place in the plan.
    pub(super) fn intent(
        &self,
        lease: &LeaseRecord,
        (number, attempt): (usize, &Attempt),
        price: PerInstanceHour,
    ) -> Result<(IntentRecord, Begun<'_>), HpcError> {
        let boots = self.provider(&attempt.offer.provider)?.describe().supports.user_data;
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let intent = IntentRecord {
            spec: self.spec(lease, attempt, number, price, boots),
            attempt: number,
            state: IntentState::Recorded,
            set_aside: false,
            updated_at: self.environment.now(),
            instances: Vec::new(),
            error: None,
        };
        match self.books.begin(&claim_name(&intent.spec.intent)) {
            Some(claim) => Ok((intent, claim)),
            None => Err(fail::bug("a fresh intent id was in use")),
        }
    }

    /// What is asked of the provider.
    fn spec(
        &self,
        lease: &LeaseRecord,
        attempt: &Attempt,
        number: u32,
        price: PerInstanceHour,
        boots: bool,
    ) -> ProvisionSpec {
        let intent = IntentId::from_bits(self.fresh_bits());
        let offer = &attempt.offer;
        let tags = BTreeMap::from([
            (TAG_OWNER.to_owned(), self.settings.owner.clone()),
            (TAG_INTENT.to_owned(), intent.to_string()),
            (TAG_LEASE.to_owned(), lease.id.to_string()),
        ]);
        let deadline = SignedDuration::from_secs(i64::from(self.settings.attempt_deadline_s));
        let now = self.environment.now();
        ProvisionSpec {
            token: Token::derive(&intent, number, &offer.provider, &offer.region, &offer.zone),
            // Whoever resolves it finds lease, holder and count in the journal; what it stands for is never there.
            user_data_ref: boots.then(|| intent.to_string()),
            intent,
            lease: lease.id.clone(),
            offer: offer.clone(),
            price,
            instances: attempt.instances,
            tags,
            price_ceiling: with_tolerance(attempt.price.0, self.settings.price_tolerance_bp).ok(),
            deadline: now.saturating_add(deadline).unwrap_or(now),
        }
    }

    /// Sends what is in the journal. The answer comes to whoever polls for it.
    pub(super) fn send<'a>(
        &'a self,
        intent: IntentRecord,
        claim: Begun<'a>,
        sink: &'a dyn ProgressSink,
    ) -> Result<Running<'a>, HpcError> {
        let spec = intent.spec.clone();
        let port = Arc::clone(self.provider(&spec.offer.provider)?);
        let reserved = self.books.reserve_quota(&spec.intent, &spec.offer, spec.instances);
        let call = Box::pin(self.call(port, spec, sink));
        Ok(Running { intent, _claim: claim, _reserved: reserved, call })
    }

    /// The intent is durable, and proven, before anything is sent. `beside` is the try that it is begun beside, and after
    /// how many seconds.
    pub(super) async fn journal(
        &self,
        lease: &mut LeaseRecord,
        intent: &IntentRecord,
        evidence: &Evidence,
        beside: Option<(&IntentId, u64)>,
    ) -> Result<Vec<Receipt>, CommitError> {
        let id = &intent.spec.intent;
        lease.intents.push(id.clone());
        let mut entry = self.scribe.intent(intent, &lease.principal, "recorded", Outcome::Ok);
        evidence.put(&mut entry);
        if let Some((first, after_s)) = beside {
            say(&mut entry, "beside", first.as_str());
            say_number(&mut entry, "after_s", after_s);
        }
        Ok(self.store.commit(recorded(lease, intent, entry).map_err(CommitError::Failed)?).await?.receipts)
    }

    /// Makes durable that a try which is in the journal was never sent.
    pub(super) async fn take_back(&self, lease: &LeaseRecord, intent: IntentRecord) -> Result<(), HpcError> {
        let failed = IntentRecord { state: IntentState::Failed, set_aside: true, ..intent };
        self.record_failure(lease, &failed, Change::new()).await
    }

    /// Calls the provider; a lost answer is followed by the same token again, which finds what was created.
    async fn call(
        &self,
        port: Arc<dyn CapacityProvider>,
        spec: ProvisionSpec,
        sink: &dyn ProgressSink,
    ) -> Answer {
        let mut repeats = 0;
        loop {
            let answer = port.provision(&spec).await;
            let provider = &spec.offer.provider;
            self.pulse.called(provider, "provision", answer.as_ref().err(), self.environment.now());
            match answer {
                Err(error)
                    if error.certainty != Certainty::NotDone
                        && repeats < self.settings.unknown_repeats_max =>
                {
                    repeats += 1;
                    let offer = spec.offer.key();
                    sink.on(Progress::Repeating { intent: spec.intent.clone(), offer });
                }
                Ok(result) if u32::try_from(result.handles.len()) != Ok(spec.instances) => {
                    let message = "the provider acknowledged another number of instances than asked for";
                    let (kind, scope) = (ErrorKind::Internal, hpc_provider::Scope::Zone);
                    break Err(ProviderError::new(kind, scope, Certainty::Unknown, "WrongCount", message));
                }
                // A repeat that is refused says nothing of the try before it.
                Err(error) if repeats > 0 => {
                    break Err(ProviderError { certainty: Certainty::Unknown, ..error });
                }
                outcome => break outcome,
            }
        }
    }

    /// The lease runs on what a try has created.
    pub(super) async fn activate(
        &self,
        lease: &mut LeaseRecord,
        intent: &mut IntentRecord,
        result: ProvisionResult,
    ) -> Result<(Progress, Vec<Receipt>), HpcError> {
        let port = self.provider(&intent.spec.offer.provider)?;
        let created = instances(port.as_ref(), &intent.spec, result.handles, self.environment.now()).await;
        let change = self.activation(lease, intent, created, "acknowledged").await?;
        let receipts = match self.store.commit(change).await {
            Ok(committed) => committed.receipts,
            // The capacity is there and in the ledger. Its proof follows from the outbox, and the caller is told.
            Err(error) => return Err(error.into()),
        };
        self.keep_hold(lease);
        let hourly = sum(intent.instances.iter().map(|instance| instance.price.0), Money::ZERO_USD)?;
        let created = Progress::Created {
            intent: intent.spec.intent.clone(),
            offer: intent.spec.offer.key(),
            instances: intent.instances.iter().map(|instance| instance.handle.id.clone()).collect(),
            hourly,
        };
        Ok((created, receipts))
    }

    /// Makes durable that an attempt failed, with what was learnt from it.
    pub(super) async fn record_failure(
        &self,
        lease: &LeaseRecord,
        intent: &IntentRecord,
        learnt: Change,
    ) -> Result<(), HpcError> {
        let id = intent.spec.intent.as_str();
        let outcome = if intent.state == IntentState::Failed { Outcome::Failed } else { Outcome::Unknown };
        let mut change = learnt
            .put(key("intent", id)?, intent)?
            .put(key("lease", lease.id.as_str())?, lease)?
            .say(self.scribe.intent(intent, &lease.principal, "failed", outcome));
        if intent.state.is_final() {
            change = change.delete(key("open-intent", id)?);
        }
        self.store.commit_even_unaudited(change).await?;
        Ok(())
    }
}

/// A try and its lease, in one change with the entry that says so.
fn recorded(lease: &LeaseRecord, intent: &IntentRecord, entry: Entry) -> Result<Change, HpcError> {
    let id = intent.spec.intent.as_str();
    Ok(Change::new()
        .put(key("intent", id)?, intent)?
        .mark(key("open-intent", id)?)
        .put(key("lease", lease.id.as_str())?, lease)?
        .say(entry))
}
