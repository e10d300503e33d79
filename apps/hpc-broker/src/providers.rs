//! How the providers are: what each says of itself, what its last answers were, what it is out of.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hpc_error::HpcError;
use hpc_provider::{Description, ErrorKind, Offered, PriceSource, ProviderError, QuotaStatus};
use hpc_resources::{ProviderId, StockOut};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::broker::Broker;

/// A failure of a provider, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenError {
    /// When.
    pub at: Timestamp,
    /// Of which call.
    pub call: String,
    /// What: the provider's code and message in it are untrusted text.
    pub error: ProviderError,
}

/// The snapshot behind a provider's newest answer: a quote, or offers that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenSnapshot {
    /// Its content hash, in hex.
    pub hash: String,
    /// When its prices were true.
    pub as_of: Timestamp,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// How many offers it had for that request.
    pub offers: u64,
    /// Whether that list was cut.
    pub truncated: bool,
    /// Why there is nothing newer, when it was asked since and failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<ProviderError>,
}

/// One provider, and how it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderStatus {
    /// What it says of itself.
    pub description: Description,
    /// What a safe create needs and it does not have: nothing is bought there unless this is empty.
    pub missing: Vec<String>,
    /// Whether its last call went well; `None` before the first.
    pub healthy: Option<bool>,
    /// When a call went well last.
    pub last_ok: Option<Timestamp>,
    /// What went wrong last, which may be long ago. No stock, a quota, and refusals of one offer are no failures of it.
    pub last_error: Option<SeenError>,
    /// The snapshot of its last quote.
    pub snapshot: Option<SeenSnapshot>,
    /// The lists of prices that it was given; none where it tells its prices itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub price_sources: Vec<PriceSource>,
    /// What is remembered as out of stock there.
    pub stock_outs: Vec<StockOut>,
    /// Its quotas; `None` where they were not asked for, or it does not tell.
    pub quotas: Option<Vec<QuotaStatus>>,
}

#[derive(Clone, Default)]
struct Beat {
    last_ok: Option<Timestamp>,
    last_error: Option<SeenError>,
    snapshot: Option<SeenSnapshot>,
    healthy: Option<bool>,
}

/// What the last calls of each provider came to: as many entries as providers. A restart begins anew.
#[derive(Default)]
pub(crate) struct Pulse(Mutex<BTreeMap<ProviderId, Beat>>);

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProviderId, Beat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call went well, or failed.
    pub(crate) fn called(&self, id: &ProviderId, call: &str, error: Option<&ProviderError>, now: Timestamp) {
        if let Some(error) = error {
            return self.failed(id, call, error, now);
        }
        let mut beats = self.lock();
        let beat = beats.entry(id.clone()).or_default();
        (beat.last_ok, beat.healthy) = (Some(now), Some(true));
    }

    /// A call failed. What is an answer, such as that there is no stock, is none.
    pub(crate) fn failed(&self, id: &ProviderId, call: &str, error: &ProviderError, now: Timestamp) {
        match error.kind {
            ErrorKind::Throttled | ErrorKind::Auth | ErrorKind::Deadline | ErrorKind::Internal => {}
            ErrorKind::Capacity | ErrorKind::Quota | ErrorKind::Config => {
                return self.called(id, call, None, now);
            }
            ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Unsupported => return,
        }
        let mut beats = self.lock();
        let beat = beats.entry(id.clone()).or_default();
        beat.last_error = Some(SeenError { at: now, call: call.to_owned(), error: error.clone() });
        beat.healthy = Some(false);
    }

    /// Offers came, of now or kept, or did not. What is kept says nothing of how the provider is now.
    pub(crate) fn offered(&self, id: &ProviderId, offered: &hpc_provider::Result<Offered>, now: Timestamp) {
        let offered = match offered {
            Ok(offered) => offered,
            Err(error) => return self.failed(id, "get_quote", error, now),
        };
        if offered.asked_at == now {
            self.called(id, "get_quote", None, now);
        }
        let Offered { quote, asked_at, trouble } = offered;
        let snapshot = SeenSnapshot {
            hash: quote.snapshot.clone(),
            as_of: quote.as_of,
            asked_at: *asked_at,
            offers: u64::try_from(quote.offers.len()).unwrap_or(u64::MAX),
            truncated: quote.truncated,
            trouble: trouble.clone(),
        };
        let mut beats = self.lock();
        let beat = beats.entry(id.clone()).or_default();
        if beat.snapshot.as_ref().is_none_or(|seen| seen.asked_at <= *asked_at) {
            beat.snapshot = Some(snapshot);
        }
    }
}

impl Broker {
    /// Every provider and how it is, without asking any.
    #[must_use]
    pub fn provider_statuses(&self) -> Vec<ProviderStatus> {
        self.providers
            .iter()
            .map(|(id, port)| self.status_of(id, port.describe(), port.price_sources()))
            .collect()
    }

    /// One provider and how it is, with its quotas as it tells them now.
    ///
    /// # Errors
    /// `HPC-PRV-0006` when there is none of this name. A provider that does not answer is part of the answer.
    pub async fn provider_status(&self, id: &ProviderId) -> Result<ProviderStatus, HpcError> {
        let port = self.provider(id)?;
        let description = port.describe();
        let mut quotas = None;
        if description.supports.quotas {
            let answer = port.quotas().await;
            self.pulse.called(id, "quotas", answer.as_ref().err(), self.environment.now());
            quotas = answer.ok();
        }
        Ok(ProviderStatus { quotas, ..self.status_of(id, description, port.price_sources()) })
    }

    fn status_of(
        &self,
        id: &ProviderId,
        description: Description,
        price_sources: Vec<PriceSource>,
    ) -> ProviderStatus {
        let beat = self.pulse.lock().get(id).cloned().unwrap_or_default();
        let missing = description.supports.missing_to_create();
        ProviderStatus {
            missing: missing.into_iter().map(str::to_owned).collect(),
            description,
            healthy: beat.healthy,
            last_ok: beat.last_ok,
            last_error: beat.last_error,
            snapshot: beat.snapshot,
            price_sources,
            stock_outs: self.stock_outs().into_iter().filter(|out| out.place.provider == *id).collect(),
            quotas: None,
        }
    }
}
