//! Messages as they are on the wire.

use std::time::Duration;

use hpc_mcp::{Caller, McpServer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};

use crate::handlers::{With, builder};

struct Wire {
    read: BufReader<ReadHalf<DuplexStream>>,
    write: WriteHalf<DuplexStream>,
}

impl Wire {
    fn to(server: McpServer) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (read, write) = tokio::io::split(theirs);
        tokio::spawn(async move {
            if let Ok(session) = server.serve(read, write, Caller::anonymous()).await {
                let _ = session.wait().await;
            }
        });
        let (read, write) = tokio::io::split(ours);
        Self { read: BufReader::new(read), write }
    }

    async fn send_line(&mut self, line: &str) {
        self.write.write_all(line.as_bytes()).await.unwrap();
        self.write.write_all(b"\n").await.unwrap();
    }

    async fn send(&mut self, message: Value) {
        self.send_line(&message.to_string()).await;
    }

    async fn receive(&mut self) -> Value {
        let mut line = String::new();
        let read = self.read.read_line(&mut line);
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("no answer").unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    async fn initialize(&mut self, version: &str) -> Value {
        self.send(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}}))
            .await;
        let answer = self.receive().await;
        self.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        answer
    }
}

/// The `_meta` of a stateless request.
fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

#[tokio::test]
async fn initialize_agrees_on_a_version_and_tells_only_what_is_served() {
    for version in ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] {
        let mut wire = Wire::to(builder().build().unwrap());
        let answer = wire.initialize(version).await;
        assert_eq!(answer["result"]["protocolVersion"], version);
        assert_eq!(answer["result"]["serverInfo"]["name"], "test-server");
        let capabilities = answer["result"]["capabilities"].as_object().unwrap();
        assert_eq!(capabilities.keys().collect::<Vec<_>>(), ["tools"]);
    }
}

#[tokio::test]
async fn a_legacy_call() {
    let mut wire = Wire::to(builder().build().unwrap());
    wire.initialize("2025-11-25").await;
    wire.send(json!({"jsonrpc": "2.0", "id": "x", "method": "tools/call", "params": {"name": "echo", "arguments": {"a": 1}}})).await;
    let answer = wire.receive().await;
    assert_eq!(answer["id"], "x");
    assert_eq!(answer["result"]["content"], json!([{"type": "text", "text": "{\"a\":1}"}]));
    assert_eq!(answer["result"]["isError"], false);
    assert!(answer["result"].get("resultType").is_none(), "older clients do not know it: {answer}");
}

#[tokio::test]
async fn a_stateless_call() {
    let mut wire = Wire::to(builder().build().unwrap());
    wire.send(json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta()}}))
        .await;
    let answer = wire.receive().await;
    assert!(
        answer["result"]["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")),
        "{answer}"
    );
    wire.send(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {"_meta": meta()}})).await;
    let answer = wire.receive().await;
    assert_eq!(
        (&answer["result"]["cacheScope"], &answer["result"]["ttlMs"]),
        (&json!("private"), &json!(300_000))
    );
    wire.send(json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "plan", "arguments": {"gpus": 4}, "_meta": meta()}})).await;
    let answer = wire.receive().await;
    assert_eq!(answer["result"]["structuredContent"], json!({"id": "pln_4"}));
    assert_eq!(answer["result"]["resultType"], "complete");
    wire.send(json!({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "nope", "_meta": meta()}})).await;
    assert_eq!(wire.receive().await["error"]["code"], -32602);
}

#[tokio::test]
async fn what_is_not_served_is_refused() {
    let mut wire = Wire::to(builder().build().unwrap());
    wire.initialize("2025-11-25").await;
    for (id, method) in ["resources/list", "prompts/list", "logging/setLevel", "completion/complete", "x/y"]
        .iter()
        .enumerate()
    {
        wire.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {}})).await;
        let code = wire.receive().await["error"]["code"].as_i64().unwrap();
        assert!([-32601, -32602].contains(&code), "{method}: {code}");
    }
    wire.send(json!({"jsonrpc": "2.0", "id": 9, "method": "ping"})).await;
    assert_eq!(wire.receive().await["result"], json!({}));
}

#[tokio::test]
async fn a_bad_cursor_is_refused() {
    let mut wire = Wire::to(builder().build().unwrap());
    wire.initialize("2025-11-25").await;
    for cursor in ["", "x", "after:", "after:a b", "after:\u{0}"] {
        wire.send(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": cursor}}))
            .await;
        assert_eq!(wire.receive().await["error"]["code"], -32602, "{cursor:?}");
    }
}

#[tokio::test]
async fn garbage_does_not_end_the_connection() {
    let mut wire = Wire::to(builder().build().unwrap());
    wire.initialize("2025-11-25").await;
    for garbage in ["", "{", "[]", "null", "\u{feff}{}", "{\"jsonrpc\":\"2.0\"}", "\u{0}\u{1}"] {
        wire.send_line(garbage).await;
    }
    wire.send_line(&format!("{{\"a\":\"{}\"}}", "x".repeat(5 << 20))).await;
    wire.send_line(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).await;
    wire.send(json!({"jsonrpc": "2.0", "id": "alive", "method": "ping"})).await;
    loop {
        let answer = wire.receive().await;
        if answer["id"] == "alive" {
            assert_eq!(answer["result"], json!({}));
            break;
        }
        assert!(answer["error"]["code"].is_i64(), "{answer}");
    }
}

#[tokio::test]
async fn progress_and_trace_context_travel() {
    struct Stepper;
    #[async_trait::async_trait]
    impl hpc_mcp::ToolHandler for Stepper {
        async fn handle(&self, call: hpc_mcp::ToolCall) -> hpc_mcp::Result<hpc_mcp::ToolResult> {
            call.ctx.progress(1.0, Some(2.0), "half").await;
            let client = call.ctx.client().map(|(name, _)| name.to_owned());
            assert!(call.ctx.time_left() > Duration::from_secs(20) && !call.ctx.is_cancelled());
            hpc_mcp::ToolResult::structured(&json!({"trace": call.ctx.traceparent(), "client": client}))
        }
    }
    let server = McpServer::builder()
        .register_tool(hpc_mcp::Tool::new("step", "x"), Stepper)
        .register_tool(hpc_mcp::Tool::new("unused", "x"), With(|_| Ok(hpc_mcp::ToolResult::error("no"))))
        .build()
        .unwrap();
    let mut wire = Wire::to(server);
    wire.initialize("2025-11-25").await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (sent, expected) in [(trace, json!(trace)), ("nonsense", Value::Null)] {
        wire.send(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "step", "_meta": {"progressToken": "p", "traceparent": sent}}})).await;
        let progress = wire.receive().await;
        assert_eq!(progress["method"], "notifications/progress");
        assert_eq!(
            (&progress["params"]["progress"], &progress["params"]["message"]),
            (&json!(1.0), &json!("half"))
        );
        let answer = wire.receive().await;
        assert_eq!(answer["result"]["structuredContent"], json!({"trace": expected, "client": "raw"}));
    }
}
