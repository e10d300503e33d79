//! One try: its intent is journaled, the provider called, and what came of it recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use hpc_audit::{Outcome, Receipt};
use hpc_error::HpcError;
use hpc_provider::{
    CapacityProvider, Certainty, ErrorKind, ProviderError, ProvisionResult, ProvisionSpec, TAG_INTENT,
    TAG_LEASE, TAG_OWNER, Token,
};
use hpc_resources::{Attempt, IntentId, Money, PerInstanceHour};
use jiff::SignedDuration;

use crate::activate::instances;
use crate::apply::walk::Walk;
use crate::broker::{Broker, sum};
use crate::evidence::Evidence;
use crate::progress::{Progress, ProgressSink};
use crate::records::{EndReason, IntentRecord, IntentState, LeaseRecord};
use crate::store::{Change, CommitError, key};
use crate::tolerance::with_tolerance;

impl Broker {
    /// What is asked of the provider.
    pub(super) fn spec(
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

    /// One attempt: journal, call, record. `None` means: nothing was created here, or it was set aside; go on.
    pub(super) async fn attempt(
        &self,
        lease: &mut LeaseRecord,
        (spec, evidence): (ProvisionSpec, Evidence),
        number: u32,
        sink: &dyn ProgressSink,
        walk: &mut Walk,
    ) -> Result<Option<Vec<Receipt>>, HpcError> {
        let port = Arc::clone(self.provider(&spec.offer.provider)?);
        let offer = spec.offer.key();
        let mut intent = IntentRecord {
            spec,
            attempt: number,
            state: IntentState::Recorded,
            set_aside: false,
            updated_at: self.environment.now(),
            instances: Vec::new(),
            error: None,
        };
        let mut receipts = self.journal(lease, &intent, &evidence).await?;
        let reserved =
            self.books.reserve_quota(&intent.spec.intent, &intent.spec.offer, intent.spec.instances);
        sink.on(Progress::Trying { intent: intent.spec.intent.clone(), offer: offer.clone() });
        let outcome = self.call(port.as_ref(), &intent, sink).await;
        drop(reserved);
        match outcome {
            Ok(result) => {
                let (created, more) = self.activate(port.as_ref(), lease, &mut intent, result).await?;
                receipts.extend(more);
                sink.on(created);
                Ok(Some(receipts))
            }
            Err(error) => {
                let nothing_created = error.certainty == Certainty::NotDone;
                walk.remember(&error, &intent.spec.offer);
                lease.failures.push(format!("{offer}: {error}"));
                intent.state = if nothing_created { IntentState::Failed } else { IntentState::Unknown };
                intent.set_aside = true;
                intent.updated_at = self.environment.now();
                intent.error = Some(error.clone());
                if !nothing_created {
                    // Before anything else is tried: what may be there costs money beside the next try.
                    let counted = self.books.set_aside(&intent.spec.intent, &lease.id, intent.hourly()?);
                    walk.over_budget = counted.err();
                }
                let learnt = self.stock.failed(Change::new(), &error, &offer, self.environment.now())?;
                self.record_failure(lease, &intent, learnt).await?;
                let why = error.to_string();
                sink.on(Progress::Failed { intent: intent.spec.intent.clone(), offer, why, nothing_created });
                Ok(None)
            }
        }
    }

    /// The intent is durable, and proven, before anything is sent.
    async fn journal(
        &self,
        lease: &mut LeaseRecord,
        intent: &IntentRecord,
        evidence: &Evidence,
    ) -> Result<Vec<Receipt>, HpcError> {
        let id = &intent.spec.intent;
        lease.intents.push(id.clone());
        let mut entry = self.scribe.intent(intent, &lease.principal, "recorded", Outcome::Ok);
        evidence.put(&mut entry);
        let change = Change::new()
            .put(key("intent", id.as_str())?, intent)?
            .mark(key("open-intent", id.as_str())?)
            .put(key("lease", lease.id.as_str())?, lease)?
            .say(entry);
        match self.store.commit(change).await {
            Ok(committed) => Ok(committed.receipts),
            Err(CommitError::Unaudited(error, _)) => {
                let failed = IntentRecord { state: IntentState::Failed, set_aside: true, ..intent.clone() };
                self.record_failure(lease, &failed, Change::new()).await?;
                self.fail_lease(lease.clone(), EndReason::Interrupted).await?;
                Err(error)
            }
            // Whether the journal has it is unknown: nothing is sent, and reconciling ends whatever it finds.
            Err(error) => Err(error.into()),
        }
    }

    /// Calls the provider; a lost answer is followed by the same token again, which finds what was created.
    async fn call(
        &self,
        port: &dyn CapacityProvider,
        intent: &IntentRecord,
        sink: &dyn ProgressSink,
    ) -> Result<ProvisionResult, ProviderError> {
        let mut repeats = 0;
        loop {
            let answer = port.provision(&intent.spec).await;
            let provider = &intent.spec.offer.provider;
            self.pulse.called(provider, "provision", answer.as_ref().err(), self.environment.now());
            match answer {
                Err(error)
                    if error.certainty != Certainty::NotDone
                        && repeats < self.settings.unknown_repeats_max =>
                {
                    repeats += 1;
                    let offer = intent.spec.offer.key();
                    sink.on(Progress::Repeating { intent: intent.spec.intent.clone(), offer });
                }
                Ok(result) if u32::try_from(result.handles.len()) != Ok(intent.spec.instances) => {
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

    async fn activate(
        &self,
        port: &dyn CapacityProvider,
        lease: &mut LeaseRecord,
        intent: &mut IntentRecord,
        result: ProvisionResult,
    ) -> Result<(Progress, Vec<Receipt>), HpcError> {
        let created = instances(port, &intent.spec, result.handles, self.environment.now()).await;
        let change = self.activation(lease, intent, created, "acknowledged")?;
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
    async fn record_failure(
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
