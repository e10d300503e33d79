//! Both eras of the protocol.

use hpc_mcp::{Caller, ClientOptions, Era, McpError};
use serde_json::json;

use crate::handlers::{builder, spender};

#[tokio::test]
async fn the_same_tools_in_both_eras() {
    let server = builder().build().unwrap();
    for (era, version) in
        [(Era::Auto, "2026-07-28"), (Era::Modern, "2026-07-28"), (Era::Legacy, "2025-11-25")]
    {
        let client =
            server.connect_in_memory_with(spender(), ClientOptions::default().era(era)).await.unwrap();
        assert_eq!(client.protocol_version(), version, "{era:?}");
        assert_eq!(client.server(), Some(("test-server".into(), "1.2.3".into())), "{era:?}");
        assert_eq!(client.instructions().as_deref(), Some("plan first"), "{era:?}");
        assert_eq!(client.list_tools().await.unwrap().len(), server.tool_names().count(), "{era:?}");
        let result = client.call_tool("plan", json!({"gpus": 2})).await.unwrap();
        assert_eq!(result.structured, Some(json!({"id": "pln_2"})), "{era:?}");
        assert!(matches!(
            client.call_tool("nope", json!({})).await,
            Err(McpError::Refused { code: -32602, .. })
        ));
        assert!(client.call_tool("plan", json!({"gpus": 0})).await.unwrap().is_error);
        client.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_hundred_calls_at_once_are_answered_each_with_its_own() {
    let server = builder().limits(hpc_mcp::Limits::default().calls_max(200)).build().unwrap();
    let client = std::sync::Arc::new(server.connect_in_memory(Caller::anonymous()).await.unwrap());
    let calls: Vec<_> = (0..100)
        .map(|index| {
            let client = std::sync::Arc::clone(&client);
            tokio::spawn(
                async move { client.call_tool("echo", json!({ "index": index })).await.unwrap().text() },
            )
        })
        .collect();
    for (index, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), format!(r#"{{"index":{index}}}"#));
    }
}

#[tokio::test]
async fn a_peer_that_speaks_no_protocol_is_no_session() {
    use tokio::io::AsyncWriteExt;

    let (ours, mut theirs) = tokio::io::duplex(4096);
    let (read, write) = tokio::io::split(ours);
    theirs.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    drop(theirs);
    let error = hpc_mcp::McpClient::connect(read, write, ClientOptions::default().era(Era::Legacy))
        .await
        .unwrap_err();
    assert!(matches!(error, McpError::Closed | McpError::Handshake { .. }), "{error:?}");

    let server = builder().build().unwrap();
    let (ours, theirs) = tokio::io::duplex(4096);
    let (read, write) = tokio::io::split(ours);
    drop(theirs);
    assert!(server.serve(read, write, Caller::anonymous()).await.is_err());
}

#[tokio::test]
async fn a_silent_server_is_a_timeout() {
    let (ours, _theirs) = tokio::io::duplex(4096);
    let (read, write) = tokio::io::split(ours);
    let options = ClientOptions::default().era(Era::Legacy).timeout(std::time::Duration::from_millis(50));
    let error = hpc_mcp::McpClient::connect(read, write, options).await.unwrap_err();
    assert_eq!(error, McpError::Timeout { timeout_ms: 50 });
}
