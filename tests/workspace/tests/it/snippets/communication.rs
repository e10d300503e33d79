//! Communication and protocols.

use super::Outcome;

#[tokio::test]
async fn hpc_rpc() -> Outcome {
    use hpc_auth::cert::{ServiceIdentity, generate_ca_cert, generate_signed_cert};
    let authority = generate_ca_cert("StratoSwarm CA")?;
    let server_cert = generate_signed_cert(&ServiceIdentity::new("server"), &authority)?;
    let client_cert = generate_signed_cert(&ServiceIdentity::new("client"), &authority)?;
    let (addr, ca) = (std::net::SocketAddr::from(([127, 0, 0, 1], 0)), &authority);
    // begin
    use hpc_rpc::grpc::{GrpcClientBuilder, GrpcServerBuilder};

    // Server with mTLS
    let server = GrpcServerBuilder::new(addr)
        .with_tls(server_cert)?
        .with_client_auth(ca)?
        .add_service(MyService::new())
        .build()?;
    // end
    let uri = format!("https://{}", server.local_addr());
    let serving = tokio::spawn(server.serve());
    // begin
    // Client with connection pooling
    let channel = GrpcClientBuilder::new(uri)
        .with_server_ca(ca)
        .with_client_cert(client_cert)
        .with_pool_size(5)
        .connect()
        .await?;
    // end
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let path = http::uri::PathAndQuery::from_static("/my.v1.Service/Anything");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let status = client.unary(tonic::Request::new(()), path, codec).await.unwrap_err();
    assert_eq!(status.message(), "spiffe://hpc.internal/service/client");
    serving.abort();
    Ok(())
}

/// A service that answers every call with the name of who called.
#[derive(Clone)]
struct MyService;

impl MyService {
    fn new() -> Self {
        Self
    }
}

impl tonic::server::NamedService for MyService {
    const NAME: &'static str = "my.v1.Service";
}

impl tower::Service<http::Request<tonic::body::Body>> for MyService {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let peer = request.extensions().get::<hpc_rpc::PeerIdentity>().map(ToString::to_string);
        std::future::ready(Ok(tonic::Status::already_exists(peer.unwrap_or_default()).into_http()))
    }
}

mod mcp {
    use async_trait::async_trait;
    use hpc_mcp::{Caller, Content, Result, ToolCall, ToolResult};
    // begin
    use hpc_mcp::{McpServer, Tool, ToolHandler};

    struct EchoHandler;

    #[async_trait]
    impl ToolHandler for EchoHandler {
        async fn handle(&self, call: ToolCall) -> Result<ToolResult> {
            Ok(ToolResult::success(vec![Content::text(&call.arguments)]))
        }
    }
    // end

    #[tokio::test]
    async fn hpc_mcp() -> crate::snippets::Outcome {
        // begin
        let server =
            McpServer::builder().register_tool(Tool::new("echo", "Echo a message"), EchoHandler).build();
        // end
        let client = server?.connect_in_memory(Caller::anonymous()).await?;
        let result = client.call_tool("echo", serde_json::json!({"message": "hi"})).await?;
        assert_eq!(result.text(), r#"{"message":"hi"}"#);
        Ok(())
    }
}

#[test]
fn hpc_types() {
    // begin
    use hpc_types::telemetry_helpers::GpuMetricBuilder;

    let metric = GpuMetricBuilder::new("host-001", "gpu-0")
        .utilization(87.5)
        .memory(64.5, 80.0)
        .temperature(68.5)
        .power(350.0)
        .build();
    // end
    assert_eq!(metric.utilization_ratio, Some(0.875));
    assert_eq!(metric.memory_total_bytes, Some(80_000_000_000));
}
