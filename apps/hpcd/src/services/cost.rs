//! Costs: of one lease, or of everything the caller may see.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use hpc_broker::{Broker, Caller, ChargeFilter, LeaseRecord, PAGE_MAX, budget_resource, label_filter};
use hpc_error::{HpcError, codes};
use hpc_policy::Resource;
use hpc_resources::{BudgetStanding, LeaseId, Payer, ProviderId};
use hpc_rpc::grpc::control::v1::cost_service_server::CostService;
use hpc_types::control::v1;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::places::Places;
use super::{Api, document, id, status};

/// Most leases in one cost overview: all that are open come first, then the newest of the others.
const LEASES_MAX: usize = 1_000;
/// Charges that wait for a slow reader.
const CHARGES_WAITING_MAX: usize = 16;
/// Most listings of charges at once, over all callers.
const LISTINGS_MAX: usize = 64;
/// Most of them by one caller.
const OWN_LISTINGS_MAX: usize = 8;
/// Most pages of the list of leases read for one overview.
const PAGES_MAX: usize = 100;

#[tonic::async_trait]
impl CostService for Api {
    async fn show(&self, request: Request<v1::ShowCostRequest>) -> Result<Response<v1::Document>, Status> {
        let (caller, message) = self.open(request)?;
        if !message.lease_id.is_empty() {
            let lease = id(LeaseId::parse(message.lease_id))?;
            let cost = self.broker().cost(&caller, &lease).await.map_err(status)?;
            return Ok(Response::new(document("hpc.cost/v1", &cost)?));
        }
        let (shown, complete) = self.newest().await.map_err(status)?;
        let mut leases = Vec::new();
        for lease in &shown {
            match self.broker().cost(&caller, lease).await {
                Ok(cost) => leases.push(cost),
                // What the caller may not read is not shown.
                Err(error) if error.registered() == Some(&codes::LSE_NOT_YOURS) => {}
                Err(error) => return Err(status(error)),
            }
        }
        let mut budgets = self.broker().budgets();
        budgets.retain(|budget| {
            self.broker().may(&caller, budget_resource(&budget.payer, &caller), "budget.read").is_ok()
        });
        let overview = Overview { leases, budgets, complete };
        Ok(Response::new(document("hpc.cost-overview/v2", &overview)?))
    }

    type ChargesStream = Charges;

    async fn charges(&self, request: Request<v1::ListChargesRequest>) -> Result<Response<Charges>, Status> {
        let (caller, message) = self.open(request)?;
        let filter = filter(message)?;
        let place = self.listings.take(&caller).map_err(status)?;
        let (sender, receiver) = mpsc::channel(CHARGES_WAITING_MAX);
        let broker = Arc::clone(self.broker());
        // Ends when the caller hangs up, at the latest with the page that is being read.
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = send_charges(&broker, &caller, &filter, &sender).await {
                drop(sender.send(Err(error)).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// How many may list charges at once.
pub(super) fn listings() -> Places {
    Places::new("listings of charges", LISTINGS_MAX, OWN_LISTINGS_MAX)
}

type Charges = Pin<Box<dyn Stream<Item = Result<v1::Document, Status>> + Send>>;

/// Sends page after page, so that no more than one is in memory. What the caller may not see is left out.
async fn send_charges(
    broker: &Broker,
    caller: &Caller,
    filter: &ChargeFilter,
    sender: &mpsc::Sender<Result<v1::Document, Status>>,
) -> Result<(), Status> {
    let may_see = |lease: &LeaseRecord| {
        let resource = Resource::new("lease", format!("lease/{}", lease.id))
            .with_attribute("owner", lease.principal.as_str())
            .with_attribute("own", lease.principal == caller.name)
            .with_attribute("team", lease.team.as_str());
        broker.may(caller, resource, "cost.read").is_ok()
    };
    let orphans = Resource::new("lease", "lease/orphans").with_attribute("own", false);
    let sees_orphans = filter.lease.is_none() && broker.may(caller, orphans, "cost.read").is_ok();
    for of_orphans in [false, true] {
        let mut after: Option<String> = None;
        loop {
            if sender.is_closed() {
                return Ok(());
            }
            let page = match of_orphans {
                false => broker.charges(filter, after.as_deref(), &may_see).await,
                true if sees_orphans => broker.orphan_charges(filter, after.as_deref()).await,
                true => break,
            };
            let page = page.map_err(status)?;
            for charge in &page.items {
                if sender.send(Ok(document("hpc.charge/v1", charge)?)).await.is_err() {
                    return Ok(());
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(())
}

fn filter(message: v1::ListChargesRequest) -> Result<ChargeFilter, Status> {
    let time = |at: Option<&prost_types::Timestamp>| {
        let bad = |error: hpc_types::time::TimeError| {
            status(HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string()))
        };
        at.map(hpc_types::time::from_proto).transpose().map_err(bad)
    };
    let some = |text: String| (!text.is_empty()).then_some(text);
    Ok(ChargeFilter {
        from: time(message.from.as_ref())?,
        to: time(message.to.as_ref())?,
        payer: some(message.payer).map(|payer| id(payer.parse::<Payer>())).transpose()?,
        lease: some(message.lease_id).map(|lease| id(LeaseId::parse(lease))).transpose()?,
        provider: some(message.provider).map(|provider| id(ProviderId::parse(provider))).transpose()?,
        label: some(message.label).map(|label| label_filter(&label)).transpose().map_err(status)?,
    })
}

impl Api {
    /// The leases of an overview, oldest first, and whether they are all there are.
    async fn newest(&self) -> Result<(Vec<LeaseId>, bool), HpcError> {
        let mut shown: BTreeSet<LeaseId> = self
            .broker()
            .open_leases()
            .await?
            .into_iter()
            .rev()
            .take(LEASES_MAX)
            .map(|lease| lease.id)
            .collect();
        let mut newest = Newest::new(LEASES_MAX.saturating_sub(shown.len()));
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self.broker().leases(after.as_deref(), PAGE_MAX).await?;
            newest.take(
                page.items.into_iter().map(|lease: LeaseRecord| lease.id).filter(|id| !shown.contains(id)),
            );
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let complete = after.is_none() && !newest.lost;
        shown.extend(newest.kept);
        Ok((shown.into_iter().collect(), complete))
    }
}

/// The last few of a long row.
struct Newest {
    kept: VecDeque<LeaseId>,
    room: usize,
    /// Whether any was left out.
    lost: bool,
}

impl Newest {
    fn new(room: usize) -> Self {
        Self { kept: VecDeque::new(), room, lost: false }
    }

    fn take(&mut self, ids: impl Iterator<Item = LeaseId>) {
        for id in ids {
            self.kept.push_back(id);
            if self.kept.len() > self.room {
                self.kept.pop_front();
                self.lost = true;
            }
        }
    }
}

#[derive(Serialize)]
struct Overview {
    leases: Vec<hpc_broker::Cost>,
    budgets: Vec<BudgetStanding>,
    complete: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_row_the_newest_are_kept() {
        let id = |bits: u128| LeaseId::from_bits(bits);
        let mut newest = Newest::new(2);
        newest.take([id(1), id(2)].into_iter());
        assert!(!newest.lost);
        newest.take([id(3)].into_iter());
        assert!(newest.lost && newest.kept == [id(2), id(3)]);
        let mut none = Newest::new(0);
        none.take(std::iter::once(id(1)));
        assert!(none.lost && none.kept.is_empty());
    }
}
