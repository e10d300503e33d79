//! Nodes: an invitation is a token, good once; joining turns it into a certificate.

use std::time::Duration;

use hpc_auth::join::{JoinToken, NodeName};
use hpc_policy::Resource;
use hpc_rpc::grpc::control::v1::node_service_server::NodeService;
use hpc_types::control::v1;
use tonic::{Request, Response, Status};

use super::{Api, checked, id, status};

/// Life of a token that names none.
const TOKEN_LIFE: Duration = Duration::from_secs(600);

#[tonic::async_trait]
impl NodeService for Api {
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinResponse>, Status> {
        // The only call without a certificate: the token is the credential.
        let message = request.into_inner();
        checked(&message)?;
        let token = id(JoinToken::parse(&message.token))?;
        let name = id(NodeName::parse(&message.node_name))?;
        let (svid, recorded) =
            self.world.nodes.join(&token, &name, &message.csr_der).await.map_err(status)?;
        Ok(Response::new(v1::JoinResponse {
            cert_chain_der: svid.chain_der.into_iter().map(Into::into).collect(),
            bundle_der: self.world.identity.bundle().authorities().iter().cloned().map(Into::into).collect(),
            telemetry_addr: self.world.telemetry_addr(),
            receipts: self.receipts(&recorded).await,
        }))
    }

    async fn join_token(
        &self,
        request: Request<v1::JoinTokenRequest>,
    ) -> Result<Response<v1::JoinTokenResponse>, Status> {
        let (caller, message) = self.begin(request)?;
        let name = id(NodeName::parse(&message.node_name))?;
        let node = Resource::new("node", format!("node/{}", name.as_str()));
        let permitted = self.broker().permit(&caller, node, "node.invite").await.map_err(status)?;
        let life = match message.ttl {
            Some(ttl) => id(hpc_types::time::duration_from_proto(&ttl))?,
            None => TOKEN_LIFE,
        };
        let invited =
            self.world.nodes.invite_permitted(&caller.name, name, life, &permitted).await.map_err(status)?;
        Ok(Response::new(v1::JoinTokenResponse {
            token: invited.token.encode().to_string(),
            expires_at: Some(id(hpc_types::time::to_proto(invited.expires_at))?),
            receipts: self.receipts(&invited.receipts).await,
        }))
    }
}
