//! The broker: its ports, and how it is put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hpc_audit::AuditLog;
use hpc_error::{HpcError, codes};
use hpc_ledger::Ledger;
use hpc_policy::PolicySet;
use hpc_provider::CapacityProvider;
use hpc_resources::{Account, Money, ProviderId};
use jiff::Timestamp;

use crate::books::Books;
use crate::entry::Scribe;
use crate::environment::{Callers, Environment, Settings};
use crate::fail;
use crate::limits::RefusedBudgets;
use crate::providers::Pulse;
use crate::records::{IntentRecord, LeaseRecord, LeaseState};
use crate::refusals::Refusals;
use crate::shadow::{Candidate, ShadowReport, Standing};
use crate::stock::Stock;
use crate::store::{CommitError, Store, key};
use crate::warnings::Warned;

/// Use cases over ports: plan, approve, apply, release, reconcile, and what can be asked about them.
///
/// Made by [`Broker::builder`]; share it with `Arc`.
pub struct Broker {
    pub(crate) store: Store,
    pub(crate) books: Books,
    pub(crate) stock: Stock,
    pub(crate) pulse: Pulse,
    pub(crate) providers: BTreeMap<ProviderId, Arc<dyn CapacityProvider>>,
    pub(crate) standing: ArcSwap<Standing>,
    pub(crate) environment: Arc<dyn Environment>,
    /// When this broker began: whatever another process sent, it sent before.
    pub(crate) started_at: Timestamp,
    pub(crate) callers: Option<Arc<dyn Callers>>,
    pub(crate) settings: Settings,
    pub(crate) scribe: Scribe,
    pub(crate) refusals: Refusals,
    pub(crate) refused_budgets: RefusedBudgets,
    pub(crate) warned: Warned,
}

/// Collects the ports of a [`Broker`].
pub struct BrokerBuilder {
    ledger: Arc<dyn Ledger>,
    audit: Arc<dyn AuditLog>,
    environment: Arc<dyn Environment>,
    callers: Option<Arc<dyn Callers>>,
    policies: Arc<PolicySet>,
    providers: Vec<Arc<dyn CapacityProvider>>,
    settings: Settings,
}

impl Broker {
    /// Starts with the ports that every broker needs.
    pub fn builder(
        ledger: Arc<dyn Ledger>,
        audit: Arc<dyn AuditLog>,
        policies: Arc<PolicySet>,
        environment: Arc<dyn Environment>,
    ) -> BrokerBuilder {
        BrokerBuilder {
            ledger,
            audit,
            environment,
            callers: None,
            policies,
            providers: Vec::new(),
            settings: Settings::default(),
        }
    }

    /// The policies that decide now.
    #[must_use]
    pub fn policies(&self) -> Arc<PolicySet> {
        Arc::clone(&self.standing.load().active)
    }

    /// The policies that decide now, and the candidate beside them. One decision asks one standing, whatever is swapped.
    pub(crate) fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
    }

    /// Puts another policy set in force, for all decisions from now on. A candidate goes on being tried.
    pub fn set_policies(&self, policies: Arc<PolicySet>) {
        self.standing.rcu(|standing| Standing { active: Arc::clone(&policies), ..Standing::clone(standing) });
    }

    /// Tries a policy set beside the one in force, or with `None` no longer. What was counted of the one before is gone.
    pub fn set_candidate(&self, policies: Option<Arc<PolicySet>>) {
        let now = self.environment.now();
        let candidate = policies.map(|set| Arc::new(Candidate::new(set, now)));
        self.standing.rcu(|standing| Standing { candidate: candidate.clone(), ..Standing::clone(standing) });
    }

    /// How the candidate compares; `None` without one.
    #[must_use]
    pub fn candidate(&self) -> Option<ShadowReport> {
        let standing = self.standing();
        standing.candidate.as_ref().map(|candidate| candidate.report(&standing.active))
    }

    /// Puts the candidate in force, in one step, if it is the one with this digest. Answers the digest that was in force.
    ///
    /// # Errors
    /// `HPC-POL-0009` when there is no candidate, or another one.
    pub fn promote(&self, digest: &str) -> Result<String, HpcError> {
        let mut error = None;
        let before = self.standing.rcu(|standing| match &standing.candidate {
            Some(candidate) if candidate.set().digest() == digest => {
                error = None;
                Standing { active: Arc::clone(candidate.set()), candidate: None }
            }
            Some(candidate) => {
                error = Some(format!("the candidate is {}, not the one named", candidate.set().digest()));
                Standing::clone(standing)
            }
            None => {
                error = Some("there is no candidate".to_owned());
                Standing::clone(standing)
            }
        });
        match error {
            None => Ok(before.active.digest().to_owned()),
            Some(message) => Err(HpcError::coded(&codes::POL_CANDIDATE_MISMATCH, message)),
        }
    }

    /// How many refusals were not recorded since the start, because their caller had too many of them.
    #[must_use]
    pub fn refusals_suppressed(&self) -> u64 {
        self.refusals.suppressed()
    }

    /// The configured providers.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderId> {
        self.providers.keys()
    }

    /// Whether every configured provider is simulated, as they describe themselves.
    #[must_use]
    pub fn all_simulated(&self) -> bool {
        self.providers.values().all(|provider| provider.describe().simulated)
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> &Arc<dyn AuditLog> {
        self.store.audit()
    }

    /// Bits for a new id: the time in milliseconds, then chance, so that ids sort by when they were made.
    #[must_use]
    pub fn fresh_bits(&self) -> u128 {
        let milliseconds = u128::try_from(self.environment.now().as_millisecond()).unwrap_or(0);
        ((milliseconds & 0xffff_ffff_ffff) << 80) | (self.environment.draw() >> 48)
    }

    pub(crate) fn provider(&self, id: &ProviderId) -> Result<&Arc<dyn CapacityProvider>, HpcError> {
        self.providers.get(id).ok_or_else(|| {
            HpcError::coded(&codes::PRV_UNKNOWN, format!("no provider `{id}` is configured"))
                .with("provider", id)
        })
    }

    /// Reads accounts, open leases and tries that were set aside back into memory.
    async fn recall(&self) -> Result<(), HpcError> {
        self.move_old_budgets().await?;
        for place in self.store.keys("account/").await? {
            if let Some((account, revision)) = self.store.read::<Account>(&place).await? {
                self.books.set_account(&account, revision);
            }
        }
        for place in self.store.open_keys("lease").await? {
            if let Some((lease, _)) = self.store.read::<LeaseRecord>(&place).await? {
                self.keep_hold(&lease);
            }
        }
        for place in self.store.open_keys("intent").await? {
            let Some((intent, _)) = self.store.read::<IntentRecord>(&place).await? else { continue };
            let lease = key("lease", intent.spec.lease.as_str())?;
            let Some((lease, _)) = self.store.read::<LeaseRecord>(&lease).await? else { continue };
            let is_counted_by_lease = lease.active_at.is_some() || lease.state == LeaseState::Pending;
            if intent.set_aside || !is_counted_by_lease {
                self.books.restore_stray(&intent.spec.intent, &lease.paid_by(), intent.hourly()?);
            }
        }
        Ok(())
    }
}

impl BrokerBuilder {
    /// Adds a provider under the id that it describes itself by.
    #[must_use]
    pub fn provider(mut self, provider: Arc<dyn CapacityProvider>) -> Self {
        self.providers.push(provider);
        self
    }

    /// Adds several providers.
    #[must_use]
    pub fn providers(mut self, providers: impl IntoIterator<Item = Arc<dyn CapacityProvider>>) -> Self {
        self.providers.extend(providers);
        self
    }

    /// Says who is behind a name. Without it nothing is replaced after an interruption: nobody could be asked about.
    #[must_use]
    pub fn callers(mut self, callers: Arc<dyn Callers>) -> Self {
        self.callers = Some(callers);
        self
    }

    /// Replaces the settings.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Puts the broker together and reads its books from the ledger. Creates and ends nothing: call
    /// [`Broker::reconcile`] next, before anything is applied.
    ///
    /// # Errors
    /// A ledger failure, or two providers with one id (`HPC-USG-0009`).
    pub async fn build(self) -> Result<Broker, HpcError> {
        let mut providers = BTreeMap::new();
        for provider in self.providers {
            let id = provider.describe().provider;
            if providers.insert(id.clone(), provider).is_some() {
                let message = format!("two providers are called `{id}`; give each its own id");
                return Err(HpcError::coded(&codes::USG_DUPLICATE_KEY, message));
            }
        }
        let scribe = Scribe { dev: self.settings.dev };
        let broker = Broker {
            store: Store::new(self.ledger, self.audit),
            books: Books::default(),
            stock: Stock::default(),
            pulse: Pulse::default(),
            providers,
            standing: ArcSwap::from_pointee(Standing { active: self.policies, candidate: None }),
            started_at: self.environment.now(),
            environment: self.environment,
            callers: self.callers,
            settings: self.settings,
            scribe,
            refusals: Refusals::default(),
            refused_budgets: RefusedBudgets::default(),
            warned: Warned::default(),
        };
        broker.recall().await?;
        broker.recall_stock().await?;
        Ok(broker)
    }
}

impl LeaseRecord {
    /// How many accelerators the lease has, or waits for; 0 when it has none.
    #[must_use]
    pub fn accelerators(&self) -> u32 {
        let each = self.offer.as_ref().and_then(|offer| offer.accelerators).map_or(0, |have| have.count);
        each.saturating_mul(self.instances)
    }
}

impl From<CommitError> for Box<HpcError> {
    fn from(error: CommitError) -> Self {
        Self::new(error.into())
    }
}

/// Sums amounts of one currency.
pub(crate) fn sum(amounts: impl IntoIterator<Item = Money>, none: Money) -> Result<Money, HpcError> {
    let mut total = None;
    for amount in amounts {
        total = Some(match total {
            None => amount,
            Some(so_far) => Money::checked_add(so_far, amount).map_err(fail::money)?,
        });
    }
    Ok(total.unwrap_or(none))
}
