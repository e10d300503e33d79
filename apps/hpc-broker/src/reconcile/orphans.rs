//! Orphans: instances with our owner tag that nothing explains. They are on the books before they are ended.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use hpc_audit::Outcome;
use hpc_error::HpcError;
use hpc_provider::{
    ErrorKind, InstanceHandle, InstancePhase, InstanceState, Observe, ProviderError, TAG_INTENT, TAG_LEASE,
};
use hpc_resources::{IntentId, Money, PerInstanceHour, ProviderId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Reconciled;
use super::clouds::{Cloud, Running};
use crate::activate::instance_record;
use crate::books::claim_name;
use crate::broker::Broker;
use crate::entry::say;
use crate::fail;
use crate::records::InstanceRecord;
use crate::store::{Change, key};

/// An instance that nothing explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanRecord {
    /// The instance, and what it cost.
    pub instance: InstanceRecord,
    /// The intent it was tagged with, if any: untrusted text.
    pub intent: Option<String>,
    /// The lease it was tagged with, if any: untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Why nothing explains it. `None` in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<OrphanWhy>,
}

/// Why nothing explains an instance that carries our owner tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrphanWhy {
    /// It has no intent's tag that could be one of ours.
    Untagged,
    /// The ledger does not know its intent.
    UnknownIntent,
    /// Its intent has come to an end, and did not know of it.
    NotOfIntent,
    /// Its intent saw it end, and it lives.
    EndedBefore,
}

/// What trying to end an orphan came to.
#[derive(Debug)]
pub(crate) enum OrphanEnd {
    /// It has ended and is paid for.
    Ended,
    /// Not yet; with what went wrong, if anything did.
    Ending(Option<ProviderError>),
    /// Another call works on it.
    Busy,
    /// It was not tried: its provider has just failed to answer about another one.
    NotTried(String),
}

impl Broker {
    /// Puts every instance on the books that carries our owner tag and that nothing explains: before it is ended, so
    /// that a crash loses neither the instance nor its cost.
    pub(super) async fn note_orphans(
        &self,
        cloud: &Cloud,
        running: &Running,
        listed_at: Timestamp,
        report: &mut Reconciled,
    ) -> Result<(), HpcError> {
        for (provider, listed) in cloud {
            let Ok(port) = self.provider(provider) else { continue };
            let settling_s = self.settling_s(port.as_ref());
            let unknown = |state: &&InstanceState| !running.handles.contains(&state.handle);
            for state in listed.instances.iter().filter(|state| state.phase.is_live()).filter(unknown) {
                let age_s = listed_at.duration_since(state.launched_at).as_secs();
                if age_s < i64::from(self.settings.reaper_grace_s) {
                    continue;
                }
                // What cannot be read explains nothing away, and condemns nothing.
                match self.explained(state, listed_at, settling_s).await {
                    Err(error) => report.problems.push(format!("{}: {error}", state.handle.id)),
                    Ok(Explained::Yes) => {}
                    Ok(Explained::Not { paid_to, why }) => {
                        let simulated = port.describe().simulated;
                        if let Err(error) = self.note_orphan(state, (paid_to, why), simulated).await {
                            report.problems.push(format!("{}: {error}", state.handle.id));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn note_orphan(
        &self,
        state: &InstanceState,
        (paid_to, why): (Option<Timestamp>, OrphanWhy),
        simulated: bool,
    ) -> Result<(), HpcError> {
        let name = safe_name(&state.handle);
        let Some(_begun) = self.books.begin(&orphan_claim(&name)) else { return Ok(()) };
        let place = key("orphan", &name)?;
        if self
            .store
            .read::<OrphanRecord>(&place)
            .await?
            .is_some_and(|(orphan, _)| orphan.instance.to.is_none())
        {
            return Ok(());
        }
        let price = match state.price {
            Some(price) => price,
            None => self.agreed_price(state).await?,
        };
        let mut instance = instance_record(state, price);
        instance.to = None;
        instance.from = paid_to.map_or(instance.from, |to| to.max(instance.from));
        let now = self.environment.now();
        let id = format!("{name}.found.{}", now.as_millisecond());
        let mut entry = self.scribe.entry(id, now, "system", "orphan.found", Outcome::Ok);
        entry.simulated = simulated;
        entry.subjects.insert("instance".to_owned(), name.clone());
        say(&mut entry, "provider", state.handle.provider.as_str());
        say(&mut entry, "why", &crate::text(&why));
        let tag = |name| state.tags.get(name).cloned();
        let (intent, lease) = (tag(TAG_INTENT), tag(TAG_LEASE));
        let record = OrphanRecord { instance, intent, lease, why: Some(why) };
        let change = Change::new().put(place, &record)?.mark(key("open-orphan", &name)?).say(entry);
        self.store.commit_even_unaudited(change).await?;
        Ok(())
    }

    /// What an instance costs whose provider does not say: what its intent agreed to.
    async fn agreed_price(&self, state: &InstanceState) -> Result<PerInstanceHour, HpcError> {
        let id = state.tags.get(TAG_INTENT).and_then(|text| IntentId::parse(text.clone()).ok());
        let intent = match id {
            Some(id) => self.intent_by_id(&id).await?,
            None => None,
        };
        // Nothing says what it costs; the entry in the log names the instance.
        Ok(intent.map_or(PerInstanceHour(Money::ZERO_USD), |intent| intent.spec.price))
    }

    /// Goes on ending every orphan that is on the books.
    pub(super) async fn end_noted_orphans(&self, report: &mut Reconciled) -> Result<(), HpcError> {
        let names = self.store.keys("open-orphan/").await?.iter().map(|key| key.name().to_owned()).collect();
        for (name, end) in self.end_orphans(names).await {
            match end {
                Ok(OrphanEnd::Ended) => report.reaped += 1,
                Ok(OrphanEnd::Ending(problem)) => {
                    report.pending += 1;
                    report.problems.extend(problem.map(|error| format!("{name}: {error}")));
                }
                Ok(OrphanEnd::Busy | OrphanEnd::NotTried(_)) => report.pending += 1,
                Err(error) => report.problems.push(format!("{name}: {error}")),
            }
        }
        Ok(())
    }

    /// Ends orphans that are on the books: those of each provider one after the other, all providers at once. A provider
    /// that does not answer about one is not asked about its others this time, and delays nobody else's.
    pub(crate) async fn end_orphans(&self, names: Vec<String>) -> Vec<(String, Result<OrphanEnd, HpcError>)> {
        let mut groups: BTreeMap<ProviderId, Vec<(String, OrphanRecord)>> = BTreeMap::new();
        let mut ends = Vec::with_capacity(names.len());
        for name in names {
            let read = match key("orphan", &name) {
                Ok(place) => self.store.read::<OrphanRecord>(&place).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(Some((orphan, _))) => {
                    groups.entry(orphan.instance.handle.provider.clone()).or_default().push((name, orphan));
                }
                Ok(None) => ends.push((name, Ok(OrphanEnd::Busy))),
                Err(error) => ends.push((name, Err(error))),
            }
        }
        let groups = groups.into_values().map(|group| async {
            let mut ends = Vec::with_capacity(group.len());
            let mut silent = None;
            for (name, orphan) in group {
                if let Some(why) = &silent {
                    ends.push((name, Ok(OrphanEnd::NotTried(String::clone(why)))));
                    continue;
                }
                let end = self.end_orphan(&name, orphan).await;
                if let Ok(OrphanEnd::Ending(Some(error))) = &end
                    && matches!(error.kind, ErrorKind::Deadline | ErrorKind::Auth | ErrorKind::Throttled)
                {
                    silent = Some(error.to_string());
                }
                ends.push((name, end));
            }
            ends
        });
        ends.extend(join_all(groups).await.into_iter().flatten());
        ends
    }

    /// Ends an orphan that is on the books, and keeps what it cost.
    async fn end_orphan(&self, name: &str, orphan: OrphanRecord) -> Result<OrphanEnd, HpcError> {
        let handle = orphan.instance.handle;
        let port = self.provider(&handle.provider)?.clone();
        let Some(_begun) = self.books.begin(&orphan_claim(name)) else { return Ok(OrphanEnd::Busy) };
        // Read again: nobody else writes it any more.
        let place = key("orphan", name)?;
        let Some((mut orphan, _)) = self.store.read::<OrphanRecord>(&place).await? else {
            return Ok(OrphanEnd::Busy);
        };
        if orphan.instance.to.is_some() {
            return Ok(OrphanEnd::Ended);
        }
        let before = orphan.clone();
        let mut problem = port.release(&handle).await.err();
        // Whatever the release says: only what is observed is an end.
        match port.observe(&Observe::Handles(vec![handle.clone()])).await {
            Ok(states) => match states.iter().find(|state| state.handle == handle) {
                Some(state) => {
                    orphan.instance.missing_since = None;
                    orphan.instance.to = state.ended_at.filter(|_| state.phase == InstancePhase::Terminated);
                }
                None => {
                    self.note_missing(port.as_ref(), std::slice::from_mut(&mut orphan.instance), &[handle])
                }
            },
            Err(error) => problem = Some(error),
        }
        let mut change = Change::new();
        let ended = orphan.instance.to.is_some();
        if ended {
            let now = self.environment.now();
            let id = format!("{name}.reaped.{}", now.as_millisecond());
            let mut entry = self.scribe.entry(id, now, "system", "orphan.reaped", Outcome::Ok);
            entry.simulated = port.describe().simulated;
            entry.subjects.insert("instance".to_owned(), name.to_owned());
            say(&mut entry, "provider", orphan.instance.handle.provider.as_str());
            say(&mut entry, "cost", &orphan.instance.cost(now).map_err(fail::money)?.to_string());
            change = change.delete(key("open-orphan", name)?).say(entry);
        }
        if orphan != before {
            self.store.commit_even_unaudited(change.put(place, &orphan)?).await?;
        }
        Ok(if ended { OrphanEnd::Ended } else { OrphanEnd::Ending(problem) })
    }

    /// Whether an intent accounts for the instance: one that is still open, or one that has just ended it and paid for it.
    /// An intent that ended it a while ago is wrong: it lives.
    pub(crate) async fn explained(
        &self,
        state: &InstanceState,
        listed_at: Timestamp,
        settling_s: i64,
    ) -> Result<Explained, HpcError> {
        let Some(id) = state.tags.get(TAG_INTENT).and_then(|text| IntentId::parse(text.clone()).ok()) else {
            return Ok(Explained::Not { paid_to: None, why: OrphanWhy::Untagged });
        };
        if self.books.is_begun(&claim_name(&id)) {
            return Ok(Explained::Yes);
        }
        let Some(intent) = self.intent_by_id(&id).await? else {
            return Ok(Explained::Not { paid_to: None, why: OrphanWhy::UnknownIntent });
        };
        if !intent.state.is_final() {
            return Ok(Explained::Yes);
        }
        let known = intent.instances.iter().find(|instance| instance.handle == state.handle);
        Ok(match known.map(|instance| instance.to) {
            Some(Some(to)) if listed_at.duration_since(to).as_secs() >= settling_s => {
                Explained::Not { paid_to: Some(to), why: OrphanWhy::EndedBefore }
            }
            Some(_) => Explained::Yes,
            None => Explained::Not { paid_to: None, why: OrphanWhy::NotOfIntent },
        })
    }
}

/// Whether the ledger accounts for an instance.
pub(crate) enum Explained {
    /// It does.
    Yes,
    /// It does not; what it cost up to `paid_to` is on the books already.
    Not { paid_to: Option<Timestamp>, why: OrphanWhy },
}

/// The name an orphan is claimed under while a call works on it.
fn orphan_claim(name: &str) -> String {
    format!("orphan/{name}")
}

/// A provider's name for an instance, fit for a key and for the audit log; a hash if its own text is not.
pub(crate) fn safe_name(handle: &InstanceHandle) -> String {
    let name = format!("{}.{}", handle.provider, handle.id);
    let fits = name.len() <= 128
        && handle.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits { name } else { format!("{}.{}", handle.provider, blake3::hash(handle.id.as_bytes()).to_hex()) }
}
