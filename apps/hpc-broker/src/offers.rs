//! Offers: what could be had now, ranked, and why everything else could not. Nothing of it is kept.

use std::collections::BTreeMap;

use hpc_error::HpcError;
use hpc_provider::Offered;
use hpc_resources::{Attempt, Excluded, Money, ProviderId, ResourceRequest, TeamId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::environment::Caller;
use crate::plan::AskedFor;
use crate::records::DecisionRecord;

/// What a plan for the request would say now, without being one: it cannot be applied or approved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offers {
    /// As of when.
    pub as_of: Timestamp,
    /// What is asked for.
    pub request: ResourceRequest,
    /// Who would pay.
    pub team: TeamId,
    /// What policy says of the request.
    pub decision: DecisionRecord,
    /// What would be tried, in this order.
    pub attempts: Vec<Attempt>,
    /// How many offers were left out, by reason.
    pub excluded_counts: BTreeMap<String, u64>,
    /// Some of them, spelt out.
    pub excluded: Vec<Excluded>,
    /// What an apply would hold; `None` without offers.
    pub hold: Option<Money>,
    /// Whether anything in it is simulated.
    pub simulated: bool,
    /// Providers whose answer is from a while ago. A plan asks them anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptAnswer>,
}

/// An answer of a provider that is not of now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// Whose.
    pub provider: ProviderId,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Why there is nothing newer: untrusted text.
    pub trouble: Option<String>,
}

impl KeptAnswer {
    pub(crate) fn of(provider: &ProviderId, offered: &Offered, now: Timestamp) -> Option<Self> {
        let Offered { asked_at, trouble, .. } = offered;
        (*asked_at < now || trouble.is_some()).then(|| Self {
            provider: provider.clone(),
            asked_at: *asked_at,
            trouble: trouble.as_ref().map(ToString::to_string),
        })
    }
}

impl Broker {
    /// Ranks what every provider offers for a request, as a plan would. Keeps, holds and spends nothing. A provider whose
    /// answers are kept may not be asked for this; [`Offers::kept`] says so.
    ///
    /// # Errors
    /// As [`Broker::plan`], the audit log aside.
    pub async fn offers(&self, caller: &Caller, request: ResourceRequest) -> Result<Offers, HpcError> {
        let draft = self.draft(caller, request, AskedFor::Looking, None).await?;
        let record = draft.record;
        let plan = record.plan;
        Ok(Offers {
            as_of: plan.created_at,
            request: record.request,
            team: record.team,
            decision: record.decision,
            attempts: plan.attempts,
            excluded_counts: plan.excluded_counts,
            excluded: plan.excluded,
            hold: record.hold,
            simulated: plan.simulated,
            kept: draft.kept,
        })
    }
}
