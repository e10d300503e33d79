//! Leases: list, show, renew, drain, watch, release.

use std::pin::Pin;
use std::time::Duration;

use hpc_resources::LeaseId;
use hpc_rpc::grpc::control::v1::lease_service_server::LeaseService;
use hpc_types::control::v1;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::places::Places;
use super::{Api, document, id, page_size, page_token, status};

/// Steps of a watched lease that may wait for a slow reader.
const STEPS_WAITING_MAX: usize = 16;
/// Most leases watched at once, over all callers.
const WATCHES_MAX: usize = 256;
/// Most of them by one caller.
const OWN_WATCHES_MAX: usize = 64;

type Steps = Pin<Box<dyn Stream<Item = Result<v1::Document, Status>> + Send>>;

#[tonic::async_trait]
impl LeaseService for Api {
    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let (caller, message) = self.open(request)?;
        let after = page_token(&message.page_token);
        let page = self.broker().leases(after, page_size(message.page_size)).await.map_err(status)?;
        let mut items = Vec::with_capacity(page.items.len());
        for lease in &page.items {
            // What the caller may not read is not shown; the page token still moves on.
            if self.broker().may_read(&caller, lease).is_ok() {
                items.push(document("hpc.lease/v1", lease)?);
            }
        }
        Ok(Response::new(v1::ListResponse { items, next_page_token: page.next.unwrap_or_default() }))
    }

    async fn show(&self, request: Request<v1::ShowRequest>) -> Result<Response<v1::Document>, Status> {
        let (caller, message) = self.open(request)?;
        let lease = self.broker().lease_by_id(&id(LeaseId::parse(message.id))?).await.map_err(status)?;
        self.broker().may_read(&caller, &lease).map_err(status)?;
        Ok(Response::new(document("hpc.lease/v1", &lease)?))
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseResponse>, Status> {
        let (caller, message) = self.open(request)?;
        let lease = id(LeaseId::parse(message.lease_id))?;
        let broker = self.broker().clone();
        // A task of its own: a release that has begun goes on when the caller hangs up.
        let released = tokio::spawn(async move { broker.release(&caller, &lease).await })
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(status)?;
        Ok(Response::new(v1::ReleaseResponse {
            lease: Some(document("hpc.lease/v1", &released.lease)?),
            receipts: self.receipts(&released.receipts).await,
        }))
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let (caller, message) = self.begin(request)?;
        let lease = id(LeaseId::parse(message.lease_id))?;
        let by_s = seconds(message.by.as_ref())?;
        let (broker, key) = (self.broker().clone(), message.idempotency_key);
        // A task of its own: what has begun goes on when the caller hangs up.
        let renewed = tokio::spawn(async move { broker.renew(&caller, &lease, by_s, &key).await })
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(status)?;
        Ok(Response::new(v1::RenewResponse {
            lease: Some(document("hpc.lease/v1", &renewed.lease)?),
            receipts: self.receipts(&renewed.receipts).await,
            repeated: renewed.repeated,
        }))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        let (caller, message) = self.open(request)?;
        let lease = id(LeaseId::parse(message.lease_id))?;
        let for_s = seconds(message.wait.as_ref())?;
        let broker = self.broker().clone();
        let drained = tokio::spawn(async move { broker.drain(&caller, &lease, for_s).await })
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(status)?;
        Ok(Response::new(v1::DrainResponse {
            lease: Some(document("hpc.lease/v1", &drained.lease)?),
            receipts: self.receipts(&drained.receipts).await,
            repeated: drained.repeated,
        }))
    }

    type WatchStream = Steps;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Steps>, Status> {
        let (caller, message) = self.open(request)?;
        let lease = id(LeaseId::parse(message.lease_id))?;
        let place = self.watches.take(&caller).map_err(status)?;
        // What is wrong from the start is said at once.
        drop(self.broker().watch_lease(&caller, &lease).await.map_err(status)?);
        let (sender, receiver) = mpsc::channel(STEPS_WAITING_MAX);
        let broker = self.broker().clone();
        tokio::spawn(async move {
            let _place = place;
            let watching = async {
                let mut watch = broker.watch_lease(&caller, &lease).await.map_err(status)?;
                while let Some(lease) = watch.next().await.map_err(status)? {
                    // Whoever lost the right to see it sees no more of it.
                    broker.may_read(&caller, &lease).map_err(status)?;
                    if sender.send(Ok(document("hpc.lease/v1", &lease)?)).await.is_err() {
                        break;
                    }
                }
                Ok::<(), Status>(())
            };
            let outcome = tokio::select! {
                outcome = watching => outcome,
                () = sender.closed() => Ok(()),
            };
            if let Err(error) = outcome {
                drop(sender.send(Err(error)).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// How many leases may be watched at once.
pub(super) fn watches() -> Places {
    Places::new("watched leases", WATCHES_MAX, OWN_WATCHES_MAX)
}

/// Whole seconds of a length of time, rounded up; none at all if it is absent.
fn seconds(time: Option<&prost_types::Duration>) -> Result<u64, Status> {
    let time = time.map(hpc_types::time::duration_from_proto).transpose();
    let time: Duration = id(time)?.unwrap_or_default();
    Ok(time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)))
}
