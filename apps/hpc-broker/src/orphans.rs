//! Orphans by hand: what nothing explains, shown without touching it, or ended now.
//!
//! The daemon's rounds reap by themselves; this is for whoever wants to look first, or not to wait. As there, the clouds are
//! listed before the ledger is read, and what is on the books is ended; what is wrong with one never stops another.

use std::collections::{BTreeSet, HashSet};

use hpc_audit::{Outcome, Receipt};
use hpc_error::HpcError;
use hpc_policy::Resource;
use hpc_provider::{InstanceState, TAG_INTENT, TAG_LEASE};
use hpc_resources::{DecisionId, Money, PerInstanceHour, ProviderId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::entry::{say, say_number};
use crate::environment::Caller;
use crate::fail;
use crate::reconcile::{Explained, OrphanEnd, OrphanRecord, OrphanWhy, safe_name};
use crate::store::{Change, key};

/// Most orphans shown, or reaped, at once.
pub const ORPHANS_MAX: usize = 1_000;
/// Most names of orphans in one audit entry.
const NAMES_SAID_MAX: usize = 32;

/// Where an orphan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrphanState {
    /// Younger than the grace: it may yet be explained, and is left alone.
    Young,
    /// Nothing explains it: it is ended next.
    Found,
    /// On the books and being ended.
    Ending,
    /// Ended and paid for.
    Ended,
}

/// An instance that carries our owner tag and that nothing explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanView {
    /// Its name here: the provider, and the provider's name for it.
    pub name: String,
    /// Where it is.
    pub state: OrphanState,
    /// Why it counts as one. `None` for one that was put on the books by an older version.
    pub why: Option<OrphanWhy>,
    /// At which provider.
    pub provider: ProviderId,
    /// The provider's name for it.
    pub instance: String,
    /// The intent that it is tagged with: untrusted text.
    pub intent: Option<String>,
    /// The lease that it is tagged with: untrusted text.
    pub lease: Option<String>,
    /// What it costs per hour; `None` if nothing says.
    pub price: Option<PerInstanceHour>,
    /// Since when it costs what no lease pays, by the provider's clock.
    pub from: Timestamp,
    /// Until when.
    pub to: Option<Timestamp>,
    /// What it has cost that no lease pays for; `None` without a price.
    pub cost: Option<Money>,
}

/// A provider whose instances are not all known: what it has is not told, and never shown as none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlisted {
    /// Which.
    pub provider: ProviderId,
    /// Why, in words.
    pub why: String,
}

/// What nothing explains now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphans {
    /// As of when.
    pub as_of: Timestamp,
    /// At most [`ORPHANS_MAX`] of them.
    pub orphans: Vec<OrphanView>,
    /// How many more there are.
    pub more: u64,
    /// Providers that may have others.
    pub unlisted: Vec<Unlisted>,
}

/// An orphan that was asked for and has not ended, and what is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReaped {
    /// Its name, as it was asked for.
    pub name: String,
    /// What is in the way, in words.
    pub why: String,
}

/// What reaping by hand came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReapReport {
    /// As of when.
    pub as_of: Timestamp,
    /// Whether nothing was done, only said.
    pub dry_run: bool,
    /// What is ended: `ended`, or `ending` where the provider takes its time or does not answer.
    pub orphans: Vec<OrphanView>,
    /// What was asked for and has not ended.
    pub not_reaped: Vec<NotReaped>,
    /// How many more there are than can be reaped at once.
    pub more: u64,
    /// Providers that may have others.
    pub unlisted: Vec<Unlisted>,
}

/// A reap, and the receipts of what was written about it.
#[derive(Debug)]
pub struct Reaped {
    /// What it came to.
    pub report: ReapReport,
    /// Proof in the audit log; none of a dry run.
    pub receipts: Vec<Receipt>,
}

impl Broker {
    /// What nothing explains now: what is on the books and has not ended, and what is not on them yet. Changes nothing.
    ///
    /// # Errors
    /// Ledger failures; `HPC-USG-0007` for a cost that leaves the range of money. A provider that cannot be listed is named
    /// in the answer.
    pub async fn find_orphans(&self) -> Result<Orphans, HpcError> {
        let Look { as_of, found, unlisted } = self.look().await?;
        let more = u64::try_from(found.len().saturating_sub(ORPHANS_MAX)).unwrap_or(u64::MAX);
        let orphans = found.into_iter().take(ORPHANS_MAX).map(|found| found.view).collect();
        Ok(Orphans { as_of, orphans, more, unlisted })
    }

    /// Ends what nothing explains and is older than the grace: the orphans that are named, or all with `None`. A dry run only
    /// says what that would be. One that cannot be ended is named with the reason, and stops no other.
    ///
    /// An orphan is never adopted: no money was held for it, and nobody asked for it.
    ///
    /// # Errors
    /// `HPC-POL-0001`; ledger and audit failures, before anything is ended.
    pub async fn reap(
        &self,
        caller: &Caller,
        names: Option<&[String]>,
        dry_run: bool,
    ) -> Result<Reaped, HpcError> {
        let evidence = self.permit(caller, Resource::new("orphan", "orphan/all"), "orphan.reap").await?;
        self.store.check_audited().await?;
        let Look { as_of, found, unlisted } = self.look().await?;
        let (ripe, mut not_reaped, more) = self.choose(found, names, &unlisted);
        let mut receipts = Vec::new();
        let mut orphans: Vec<OrphanView> = ripe.iter().map(|found| found.view.clone()).collect();
        if !dry_run && !ripe.is_empty() {
            let id = DecisionId::from_bits(self.fresh_bits());
            let mut entry =
                self.scribe.entry(format!("{id}.reap"), as_of, &caller.name, "orphan.reap", Outcome::Ok);
            entry.subjects.insert("decision".to_owned(), id.to_string());
            say_number(&mut entry, "orphans", u64::try_from(ripe.len()).unwrap_or(u64::MAX));
            let said: Vec<&str> =
                ripe.iter().take(NAMES_SAID_MAX).map(|found| found.view.name.as_str()).collect();
            say(&mut entry, "names", &said.join(", "));
            evidence.put(&mut entry);
            receipts = self.store.commit(Change::new().say(entry)).await?.receipts;
            let (ended, failed) = self.end_now(ripe).await;
            orphans = ended;
            not_reaped.extend(failed);
        }
        let report = ReapReport { as_of, dry_run, orphans, not_reaped, more, unlisted };
        Ok(Reaped { report, receipts })
    }

    /// Parts what was asked for into what can be reaped, and what cannot, with the reasons.
    fn choose(
        &self,
        found: Vec<Found>,
        names: Option<&[String]>,
        unlisted: &[Unlisted],
    ) -> (Vec<Found>, Vec<NotReaped>, u64) {
        let mut missing: BTreeSet<&str> = names.unwrap_or_default().iter().map(String::as_str).collect();
        let mut left = Vec::new();
        let mut ripe = Vec::new();
        for orphan in found {
            let name = &orphan.view.name;
            if !missing.remove(name.as_str()) && names.is_some() {
                continue;
            }
            if orphan.view.state == OrphanState::Young {
                // Of all, those that may be ended are meant.
                if names.is_none() {
                    continue;
                }
                let grace = self.settings.reaper_grace_s;
                let why = format!("it is younger than the grace of {grace} s, and may yet be explained");
                left.push(NotReaped { name: name.clone(), why });
            } else {
                ripe.push(orphan);
            }
        }
        let blind: Vec<String> = unlisted.iter().map(|blind| blind.provider.to_string()).collect();
        left.extend(missing.into_iter().map(|name| {
            let mut why = "it is not an orphan now: there is no such instance, or it is explained".to_owned();
            if !blind.is_empty() {
                why = format!("{why}; or it is at {}, which could not be listed", blind.join(", "));
            }
            NotReaped { name: name.to_owned(), why }
        }));
        let more = u64::try_from(ripe.len().saturating_sub(ORPHANS_MAX)).unwrap_or(u64::MAX);
        ripe.truncate(ORPHANS_MAX);
        (ripe, left, more)
    }

    /// Puts orphans on the books and ends them. Answers how each is then, and what was in the way.
    async fn end_now(&self, ripe: Vec<Found>) -> (Vec<OrphanView>, Vec<NotReaped>) {
        let mut failed = Vec::new();
        let mut names = Vec::with_capacity(ripe.len());
        for Found { view, seen } in &ripe {
            let noted = match (seen, self.provider(&view.provider)) {
                (None, _) => Ok(()),
                (Some((state, unpaid)), Ok(port)) => {
                    self.note_orphan(state, *unpaid, port.describe().simulated).await
                }
                (Some(_), Err(error)) => Err(error),
            };
            match noted {
                Ok(()) => names.push(view.name.clone()),
                Err(error) => failed.push(NotReaped { name: view.name.clone(), why: error.to_string() }),
            }
        }
        for (name, end) in self.end_orphans(names).await {
            let why = match end {
                Ok(OrphanEnd::Ended | OrphanEnd::Ending(None)) => continue,
                Ok(OrphanEnd::Ending(Some(error))) => error.to_string(),
                Ok(OrphanEnd::Busy) => "the daemon is ending it at this moment".to_owned(),
                Ok(OrphanEnd::NotTried(why)) => format!("not tried, its provider does not answer: {why}"),
                Err(error) => error.to_string(),
            };
            failed.push(NotReaped { name, why });
        }
        let mut views = Vec::with_capacity(ripe.len());
        for Found { view, .. } in ripe {
            views.push(self.noted(&view.name).await.unwrap_or(view));
        }
        (views, failed)
    }

    /// How an orphan on the books is now.
    async fn noted(&self, name: &str) -> Option<OrphanView> {
        let place = key("orphan", name).ok()?;
        let (record, _) = self.store.read::<OrphanRecord>(&place).await.ok()??;
        of_record(name, &record, self.environment.now()).ok()
    }

    /// Lists the clouds, then asks the ledger.
    async fn look(&self) -> Result<Look, HpcError> {
        let as_of = self.environment.now();
        let cloud = self.list_clouds().await;
        let mut unlisted = Vec::new();
        for provider in self.providers.keys() {
            let why = match cloud.get(provider) {
                Some(listed) => listed.problem.clone(),
                None => Some("it cannot list what it has".to_owned()),
            };
            unlisted.extend(why.map(|why| Unlisted { provider: provider.clone(), why }));
        }
        let mut found = Vec::new();
        let mut noted = HashSet::new();
        for place in self.store.open_keys("orphan").await? {
            if let Some((record, _)) = self.store.read::<OrphanRecord>(&place).await? {
                found.push(Found { view: of_record(place.name(), &record, as_of)?, seen: None });
                noted.insert(record.instance.handle);
            }
        }
        for (provider, port) in &self.providers {
            let settling_s = self.settling_s(port.as_ref());
            let instances = cloud.get(provider).map(|listed| listed.instances.as_slice()).unwrap_or_default();
            let unknown = |state: &&InstanceState| state.phase.is_live() && !noted.contains(&state.handle);
            for state in instances.iter().filter(unknown) {
                let Explained::Not { paid_to, why } = self.explained(state, as_of, settling_s).await? else {
                    continue;
                };
                let age_s = as_of.duration_since(state.launched_at).as_secs();
                let young = age_s < i64::from(self.settings.reaper_grace_s);
                let view = of_state(state, paid_to, (why, young), as_of)?;
                found.push(Found { view, seen: Some((state.clone(), (paid_to, why))) });
            }
        }
        Ok(Look { as_of, found, unlisted })
    }
}

/// What nothing explains, and where that is not known.
struct Look {
    as_of: Timestamp,
    found: Vec<Found>,
    unlisted: Vec<Unlisted>,
}

/// An orphan.
struct Found {
    view: OrphanView,
    /// For one that is not on the books: what it looks like, up to when it is paid for, and why it is one.
    seen: Option<(InstanceState, (Option<Timestamp>, OrphanWhy))>,
}

fn of_state(
    state: &InstanceState,
    paid_to: Option<Timestamp>,
    (why, young): (OrphanWhy, bool),
    now: Timestamp,
) -> Result<OrphanView, HpcError> {
    let from = paid_to.map_or(state.launched_at, |to| to.max(state.launched_at));
    let seconds = u64::try_from(now.as_second().saturating_sub(from.as_second())).unwrap_or(0);
    let cost = state.price.map(|price| price.cost_half_even(1, seconds));
    Ok(OrphanView {
        name: safe_name(&state.handle),
        state: if young { OrphanState::Young } else { OrphanState::Found },
        why: Some(why),
        provider: state.handle.provider.clone(),
        instance: state.handle.id.clone(),
        intent: state.tags.get(TAG_INTENT).cloned(),
        lease: state.tags.get(TAG_LEASE).cloned(),
        price: state.price,
        from,
        to: None,
        cost: cost.transpose().map_err(fail::money)?,
    })
}

fn of_record(name: &str, orphan: &OrphanRecord, now: Timestamp) -> Result<OrphanView, HpcError> {
    let instance = &orphan.instance;
    // An unknown price stands as zero in the record, and is never shown as free.
    let price = Some(instance.price).filter(|price| price.0.nanos() > 0);
    Ok(OrphanView {
        name: name.to_owned(),
        state: if instance.to.is_some() { OrphanState::Ended } else { OrphanState::Ending },
        why: orphan.why,
        provider: instance.handle.provider.clone(),
        instance: instance.handle.id.clone(),
        intent: orphan.intent.clone(),
        lease: orphan.lease.clone(),
        price,
        from: instance.from,
        to: instance.to,
        cost: price.map(|_| instance.cost(now)).transpose().map_err(fail::money)?,
    })
}
