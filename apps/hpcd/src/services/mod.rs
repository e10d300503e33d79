//! The control API over gRPC. Each service authenticates the caller, asks the broker, and answers with documents:
//! exactly what `hpc -o json` prints.

mod audit;
mod budget;
mod cost;
mod lease;
mod node;
mod places;
mod policy;
mod provider;
mod request;
mod system;

use std::sync::Arc;

use hpc_audit::{Receipt, prove};
use hpc_broker::{Broker, Caller};
use hpc_error::{HpcError, codes};
use hpc_identity::PeerIdentity;
use hpc_policy::Resource;
use hpc_rpc::grpc::GrpcServerBuilder;
use hpc_rpc::grpc::control::v1 as rpc;
use hpc_types::control::v1;
use hpc_types::validate::Validate;
use serde::Serialize;
use tonic::{Request, Status};

use self::places::Places;
use crate::cosigning::Cosigning;
use crate::people;
use crate::world::World;

/// What all services share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) world: Arc<World>,
    pub(crate) cosigning: Option<Arc<Cosigning>>,
    /// For leases that are watched.
    watches: Places,
    /// For charges that are listed.
    listings: Places,
}

/// The one path that a node without a certificate may call: it has a token instead.
pub(crate) const JOIN_PATH: &str = "/hpc.control.v1.NodeService/Join";

impl Api {
    pub(crate) fn new(world: Arc<World>, cosigning: Option<Arc<Cosigning>>) -> Self {
        Self { world, cosigning, watches: lease::watches(), listings: cost::listings() }
    }

    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.world.broker
    }

    /// Adds every service to a server.
    pub(crate) fn serve_on(&self, server: GrpcServerBuilder) -> GrpcServerBuilder {
        server
            .add_service(rpc::request_service_server::RequestServiceServer::new(self.clone()))
            .add_service(rpc::lease_service_server::LeaseServiceServer::new(self.clone()))
            .add_service(rpc::cost_service_server::CostServiceServer::new(self.clone()))
            .add_service(rpc::budget_service_server::BudgetServiceServer::new(self.clone()))
            .add_service(rpc::audit_service_server::AuditServiceServer::new(self.clone()))
            .add_service(rpc::policy_service_server::PolicyServiceServer::new(self.clone()))
            .add_service(rpc::node_service_server::NodeServiceServer::new(self.clone()))
            .add_service(rpc::provider_service_server::ProviderServiceServer::new(self.clone()))
            .add_service(rpc::system_service_server::SystemServiceServer::new(self.clone()))
    }

    /// Checks the message and takes it apart: who asks, and what.
    pub(crate) fn open<T: Validate>(&self, request: Request<T>) -> Result<(Caller, T), Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        checked(&message)?;
        Ok((caller, message))
    }

    /// The same for what begins something: there is room for it on the disk.
    pub(crate) fn begin<T: Validate>(&self, request: Request<T>) -> Result<(Caller, T), Status> {
        let opened = self.open(request)?;
        self.world.room().map_err(status)?;
        Ok(opened)
    }

    /// Asks policy a plain question.
    pub(crate) fn may(&self, caller: &Caller, kind: &str, id: &str, action: &str) -> Result<(), Status> {
        self.broker().may(caller, Resource::new(kind, id), action).map_err(status)
    }

    /// Receipts with their proofs, all under one head.
    ///
    /// What is done is done: where no proof can be made now, the receipts go without, and the log is asked later.
    pub(crate) async fn receipts(&self, receipts: &[Receipt]) -> Vec<v1::Receipt> {
        let indices: Vec<u64> = receipts.iter().map(|receipt| receipt.index).collect();
        let proofs = prove(self.world.audit.as_ref(), &indices).await.unwrap_or_else(|error| {
            tracing::error!(%error, "receipts could not be proved");
            vec![String::new(); indices.len()]
        });
        let proved = receipts.iter().zip(proofs);
        proved
            .map(|(receipt, proof)| v1::Receipt {
                index: receipt.index,
                leaf_hash: receipt.leaf_hash.as_bytes().to_vec().into(),
                tree_size: receipt.size_at_least,
                proof,
            })
            .collect()
    }
}

/// Who asks: the identity in the client's certificate.
pub(crate) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let peer = request.extensions().get::<PeerIdentity>().ok_or_else(|| {
        status(HpcError::coded(&codes::AUT_CERTIFICATE_MISSING, "this call needs a client certificate"))
    })?;
    people::caller(peer.id()).map_err(status)
}

/// Refuses a message that breaks its rules, with every violation.
pub(crate) fn checked<T: Validate>(message: &T) -> Result<(), Status> {
    message.validate().map_err(|violations| {
        status(HpcError::coded(&codes::USG_OUT_OF_RANGE, format!("the message is refused: {violations}")))
    })
}

/// A failure as gRPC says it: code, reason and context travel as details.
pub(crate) fn status(error: HpcError) -> Status {
    error.into()
}

/// A versioned document.
pub(crate) fn document<T: Serialize>(schema: &str, value: &T) -> Result<v1::Document, Status> {
    let json = serde_json::to_vec(value).map_err(|error| {
        status(HpcError::coded(&codes::INT_BUG, format!("a document cannot be written: {error}")))
    })?;
    Ok(v1::Document { schema: schema.to_owned(), json: json.into() })
}

/// Reads an id out of a message.
pub(crate) fn id<T, E: std::fmt::Display>(parsed: Result<T, E>) -> Result<T, Status> {
    parsed.map_err(|error| status(HpcError::coded(&codes::USG_BAD_ID, error.to_string())))
}

/// The size of a page: what was asked for, 100 if nothing was.
pub(crate) fn page_size(asked: u32) -> usize {
    if asked == 0 { 100 } else { usize::try_from(asked).unwrap_or(usize::MAX).min(hpc_broker::PAGE_MAX) }
}

pub(crate) fn page_token(token: &str) -> Option<&str> {
    (!token.is_empty()).then_some(token)
}
