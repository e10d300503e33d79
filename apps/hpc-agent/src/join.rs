//! Joining: a token, good once, becomes a certificate. The key never leaves this process.

use std::sync::Arc;

use bytes::Bytes;
use hpc_auth::csr::CsrRequest;
use hpc_auth::join::JoinToken;
use hpc_auth::source::StaticIdentity;
use hpc_error::{HpcError, codes};
use hpc_identity::{IdentitySource, SpiffeId, TrustBundle};
use hpc_rpc::grpc::GrpcClientBuilder;
use hpc_rpc::grpc::control::v1::node_service_client::NodeServiceClient;
use hpc_types::control::v1::JoinRequest;

/// What a node has once it has joined.
pub struct Joined {
    /// Who it is.
    pub id: SpiffeId,
    /// Who the daemon must be.
    pub daemon: SpiffeId,
    /// Its certificate and key, and what it verifies the daemon with.
    pub identity: Arc<dyn IdentitySource>,
    /// Where telemetry goes.
    pub telemetry_addr: String,
}

/// Joins the daemon at `endpoint` (`https://host:port`) with a token. The daemon must be the one the token names, under
/// the authority whose digest the token holds.
///
/// # Errors
/// As [`Joining::ask`].
pub async fn join(endpoint: &str, token: &JoinToken) -> Result<Joined, HpcError> {
    Joining::new()?.ask(endpoint, token).await
}

/// A key of this process, and the request for its certificate. It may be asked for again when an answer was lost: a token
/// is good once, and always for the request that it was first used with.
pub struct Joining(CsrRequest);

impl Joining {
    /// Draws the key.
    ///
    /// # Errors
    /// `HPC-AUT-0004` without randomness.
    pub fn new() -> Result<Self, HpcError> {
        CsrRequest::generate().map(Self).map_err(unusable)
    }

    /// Asks the daemon at `endpoint` once.
    ///
    /// # Errors
    /// `HPC-AUT-0006` for a token that is refused, `HPC-NET-0001` when the daemon cannot be reached, `HPC-AUT-0004` when what
    /// it answers cannot be used.
    pub async fn ask(&self, endpoint: &str, token: &JoinToken) -> Result<Joined, HpcError> {
        let channel =
            GrpcClientBuilder::new(endpoint).with_join_token(token).connect().await.map_err(|error| {
                HpcError::coded(
                    &codes::NET_DAEMON_UNREACHABLE,
                    format!("cannot reach `{endpoint}` to join: {error}"),
                )
            })?;
        let answer = NodeServiceClient::new(channel)
            .join(JoinRequest {
                token: token.encode().to_string(),
                node_name: token.node().as_str().to_owned(),
                csr_der: self.0.csr_der().to_vec().into(),
            })
            .await
            .map_err(HpcError::from)?
            .into_inner();
        let der = |list: Vec<Bytes>| list.into_iter().map(Vec::from).collect::<Vec<Vec<u8>>>();
        let svid = self.0.finish(der(answer.cert_chain_der)).map_err(unusable)?;
        let id = svid.id().clone();
        let bundle = TrustBundle::new(id.trust_domain().clone(), der(answer.bundle_der)).map_err(unusable)?;
        let identity = StaticIdentity::new(svid, [bundle]).map_err(unusable)?;
        let telemetry_addr = answer.telemetry_addr;
        Ok(Joined { id, daemon: token.server().clone(), identity: Arc::new(identity), telemetry_addr })
    }
}

fn unusable(error: impl std::fmt::Display) -> HpcError {
    HpcError::coded(&codes::AUT_UNTRUSTED, error.to_string())
}
