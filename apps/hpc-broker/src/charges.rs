//! Charges: what each instance costs in each month, with whom it is for.
//!
//! They are read from the records of leases, intents and orphans, which are the only place where cost is kept: a charge of
//! a lease that ended never changes, and the sum of all charges is the ledger's, to the nano-unit. An instance that turns
//! up after its end is a charge of its own, never a change of the old one.

use std::collections::BTreeMap;

use hpc_error::{HpcError, codes};
use hpc_resources::{
    IntentId, LeaseId, Money, Month, Offer, OfferKind, Payer, PerInstanceHour, ProviderId, ReservationId,
    TeamId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::fail;
use crate::query::Listing;
use crate::reconcile::OrphanRecord;
use crate::records::{InstanceRecord, LeaseRecord, PlanRecord};
use crate::store::key;

/// Most leases whose charges are in one page.
pub const CHARGE_LEASES_MAX: usize = 64;

/// What one instance costs in one month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Always the same for the same instance and month: `<lease>/<provider>/<instance>/<month>`, or `orphan/...`.
    pub id: String,
    /// The lease; `None` for an instance that nothing explained.
    pub lease: Option<LeaseId>,
    /// The intent that created it.
    pub intent: Option<String>,
    /// The team; `None` for an orphan, which the installation pays.
    pub team: Option<TeamId>,
    /// Everybody whose budgets pay. Each pays the whole: never add up the charges of several payers.
    pub payers: Vec<Payer>,
    /// Who asked for it.
    pub principal: Option<String>,
    /// Labels of the request.
    pub labels: BTreeMap<String, String>,
    /// The provider.
    pub provider: ProviderId,
    /// The provider's name of the instance.
    pub instance: String,
    /// Where it runs, if the offer is known.
    pub region: Option<String>,
    /// The zone, by its account-independent id.
    pub zone: Option<String>,
    /// Which machine.
    pub instance_type: Option<String>,
    /// How it was bought.
    pub kind: Option<OfferKind>,
    /// The capacity that was set aside and that it ran in; `None` for what anyone can have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ReservationId>,
    /// Whether that was paid for already, used or not: then this costs nothing more.
    #[serde(default)]
    pub paid: bool,
    /// The price it was started at.
    pub price: PerInstanceHour,
    /// The month.
    pub month: Month,
    /// When this part of it begins.
    pub from: Timestamp,
    /// When this part of it ends (half open): its end, the month's end, or now.
    pub to: Timestamp,
    /// Seconds that are paid for.
    pub seconds: u64,
    /// What they cost, exactly.
    pub cost: Money,
    /// Whether the instance has ended: only then the charge will not change.
    pub settled: bool,
    /// Whether the provider took it back.
    pub reclaimed: bool,
    /// Whether it is simulated: nobody has to pay it.
    pub simulated: bool,
}

/// Which charges are asked for. `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChargeFilter {
    /// Charges that begin at or after this moment.
    pub from: Option<Timestamp>,
    /// Charges that begin before this moment.
    pub to: Option<Timestamp>,
    /// Charges that this payer's budgets pay.
    pub payer: Option<Payer>,
    /// Charges of this lease.
    pub lease: Option<LeaseId>,
    /// Charges of this provider.
    pub provider: Option<ProviderId>,
    /// Charges of requests with this label and value.
    pub label: Option<(String, String)>,
}

impl ChargeFilter {
    fn takes(&self, charge: &Charge) -> bool {
        let label = |(name, value): &(String, String)| charge.labels.get(name) == Some(value);
        self.from.is_none_or(|from| charge.from >= from)
            && self.to.is_none_or(|to| charge.from < to)
            && self.payer.as_ref().is_none_or(|payer| charge.payers.contains(payer))
            && self.lease.as_ref().is_none_or(|lease| charge.lease.as_ref() == Some(lease))
            && self.provider.as_ref().is_none_or(|provider| charge.provider == *provider)
            && self.label.as_ref().is_none_or(label)
    }
}

impl Broker {
    /// Charges of leases, the oldest lease first; those of at most [`CHARGE_LEASES_MAX`] leases in one page, and only of
    /// leases that `may_see` lets through.
    ///
    /// # Errors
    /// `HPC-USG-0013` for a malformed `after`; a ledger failure; `HPC-USG-0007` for a cost that leaves the range of money.
    pub async fn charges(
        &self,
        filter: &ChargeFilter,
        after: Option<&str>,
        may_see: &(dyn Fn(&LeaseRecord) -> bool + Sync),
    ) -> Result<Listing<Charge>, HpcError> {
        let page = match &filter.lease {
            Some(lease) if after.is_none() => {
                Listing { items: vec![self.lease_by_id(lease).await?], next: None }
            }
            Some(_) => Listing { items: Vec::new(), next: None },
            None => self.leases(after, CHARGE_LEASES_MAX).await?,
        };
        let mut items = Vec::new();
        for lease in page.items.iter().filter(|lease| may_see(lease)) {
            items.extend(self.charges_of(lease).await?.into_iter().filter(|charge| filter.takes(charge)));
        }
        Ok(Listing { items, next: page.next })
    }

    /// Charges of instances that nothing explained, a page at a time.
    ///
    /// # Errors
    /// As [`Broker::charges`].
    pub async fn orphan_charges(
        &self,
        filter: &ChargeFilter,
        after: Option<&str>,
    ) -> Result<Listing<Charge>, HpcError> {
        let page = self.orphans(after, CHARGE_LEASES_MAX).await?;
        let mut items = Vec::new();
        for orphan in &page.items {
            let charges = self.charges_of_orphan(orphan)?;
            items.extend(charges.into_iter().filter(|charge| filter.takes(charge)));
        }
        Ok(Listing { items, next: page.next })
    }

    async fn charges_of(&self, lease: &LeaseRecord) -> Result<Vec<Charge>, HpcError> {
        let plan = self.store.read::<PlanRecord>(&key("plan", lease.plan.as_str())?).await?;
        let labels = plan.map(|(plan, _)| plan.request.labels().clone()).unwrap_or_default();
        let mut charges = Vec::new();
        for id in &lease.intents {
            let Some(intent) = self.intent_by_id(id).await? else { continue };
            for instance in &intent.instances {
                let of = Of { lease, intent: id, offer: &intent.spec.offer, labels: &labels };
                charges.extend(self.parts(instance, Some(&of))?);
            }
        }
        Ok(charges)
    }

    fn charges_of_orphan(&self, orphan: &OrphanRecord) -> Result<Vec<Charge>, HpcError> {
        let mut charges = self.parts(&orphan.instance, None)?;
        for charge in &mut charges {
            charge.intent.clone_from(&orphan.intent);
        }
        Ok(charges)
    }

    fn parts(&self, instance: &InstanceRecord, of: Option<&Of<'_>>) -> Result<Vec<Charge>, HpcError> {
        let now = self.environment.now();
        let end = instance.to.unwrap_or(now);
        let provider = &instance.handle.provider;
        let simulated = match of {
            Some(of) => of.offer.simulated,
            None => self.provider(provider).is_ok_and(|port| port.describe().simulated),
        };
        let owner = of.map_or_else(|| "orphan".to_owned(), |of| of.lease.id.to_string());
        let parts = instance.cost_by_month(now).map_err(fail::money)?;
        let charge = |(month, cost): (Month, Money)| {
            let (from, to) = (instance.from.max(month.start()), end.min(month.end()));
            let seconds = to.as_second().saturating_sub(from.as_second());
            Charge {
                id: format!("{owner}/{provider}/{}/{month}", instance.handle.id),
                lease: of.map(|of| of.lease.id.clone()),
                intent: of.map(|of| of.intent.to_string()),
                team: of.map(|of| of.lease.team.clone()),
                payers: of.map(|of| of.lease.paid_by()).unwrap_or_default(),
                principal: of.map(|of| of.lease.principal.clone()),
                labels: of.map(|of| of.labels.clone()).unwrap_or_default(),
                provider: provider.clone(),
                instance: instance.handle.id.clone(),
                region: of.map(|of| of.offer.region.to_string()),
                zone: of.map(|of| of.offer.zone.to_string()),
                instance_type: of.map(|of| of.offer.instance_type.to_string()),
                kind: of.map(|of| of.offer.kind),
                reservation: of.and_then(|of| of.offer.key().reservation),
                paid: of.is_some_and(|of| of.offer.is_paid()),
                price: instance.price,
                month,
                from,
                to,
                seconds: u64::try_from(seconds).unwrap_or(0),
                cost,
                settled: instance.to.is_some(),
                reclaimed: instance.reclaimed,
                simulated,
            }
        };
        Ok(parts.into_iter().map(charge).collect())
    }
}

/// What a charge is for.
struct Of<'a> {
    lease: &'a LeaseRecord,
    intent: &'a IntentId,
    offer: &'a Offer,
    labels: &'a BTreeMap<String, String>,
}

/// Reads `name=value`.
///
/// # Errors
/// `HPC-USG-0011` for anything else.
pub fn label_filter(text: &str) -> Result<(String, String), HpcError> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        HpcError::coded(&codes::USG_OUT_OF_RANGE, "a label is written NAME=VALUE, such as project=llm")
    })?;
    Ok((name.to_owned(), value.to_owned()))
}
