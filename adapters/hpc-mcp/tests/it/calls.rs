//! Calls: schemas, capabilities, limits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hpc_mcp::{
    CallOutcome, Caller, ClientOptions, Content, Era, Limits, McpClient, McpError, McpServer, TOOLS_PER_PAGE,
    Tool, ToolResult,
};
use serde_json::{Value, json};

use crate::handlers::{Echo, Gate, GateHandler, Log, Plan, Seen, With, builder, spender};

async fn client(caller: Caller) -> McpClient {
    builder().build().unwrap().connect_in_memory(caller).await.unwrap()
}

fn kind(result: &ToolResult) -> String {
    assert!(result.is_error, "{result:?}");
    result.structured.as_ref().unwrap()["error"]["kind"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn echo_answers_its_arguments() {
    let client = client(Caller::anonymous()).await;
    let result = client.call_tool("echo", json!({"message": "hi"})).await.unwrap();
    assert_eq!((result.text().as_str(), result.is_error), (r#"{"message":"hi"}"#, false));
    assert_eq!(client.call_tool("echo", Value::Null).await.unwrap().text(), "{}");
    client.close().await.unwrap();
}

#[tokio::test]
async fn structured_answers_come_back_typed() {
    let client = client(Caller::anonymous()).await;
    let result = client.call_tool("plan", json!({"gpus": 8})).await.unwrap();
    assert_eq!(result.structured_as::<Plan>().unwrap().id, "pln_8");
    assert_eq!(result.text(), r#"{"id":"pln_8"}"#, "the text copy stands alone");
}

#[tokio::test]
async fn images_come_back() {
    let client = client(Caller::anonymous()).await;
    let result = client.call_tool("picture", json!({})).await.unwrap();
    assert_eq!(
        result.content[0],
        Content::Image { base64: "iVBORw==".into(), mime_type: "image/png".into() }
    );
    assert_eq!(result.text(), "a dot");
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error() {
    let client = client(Caller::anonymous()).await;
    for name in ["nope", "", &"n".repeat(10_000)] {
        match client.call_tool(name, json!({})).await {
            Err(McpError::Refused { code, message }) => {
                assert_eq!(code, -32602);
                assert!(message.contains("unknown tool") && message.len() < 600, "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(client.call_tool("echo", json!([1])).await, Err(McpError::Protocol { .. })));
}

#[tokio::test]
async fn bad_arguments_are_results_and_never_reach_the_handler() {
    let log: Log = Log::default();
    let seen = Arc::clone(&log);
    let server = McpServer::builder()
        .register_tool(
            Tool::new("plan", "x").input::<crate::handlers::Ask>(),
            With(move |call: hpc_mcp::ToolCall| {
                seen.try_lock().unwrap().push(call.arguments.to_string());
                Ok(ToolResult::success(vec![]))
            }),
        )
        .build()
        .unwrap();
    let client = server.connect_in_memory(Caller::anonymous()).await.unwrap();
    for bad in [
        json!({}),
        json!({"gpus": 0}),
        json!({"gpus": 65}),
        json!({"gpus": "s3cr3t"}),
        json!({"gpus": 1.5}),
        json!({"gpus": 1, "region": 3}),
    ] {
        let result = client.call_tool("plan", bad).await.unwrap();
        assert_eq!(kind(&result), "invalid_input");
        assert!(
            result.text().contains("input schema") && !result.text().contains("s3cr3t"),
            "{}",
            result.text()
        );
    }
    assert!(log.lock().await.is_empty());
    client.call_tool("plan", json!({"gpus": 1})).await.unwrap();
    assert_eq!(log.lock().await.len(), 1);
}

#[tokio::test]
async fn a_failure_says_kind_and_context() {
    let client = client(Caller::anonymous()).await;
    let result = client.call_tool("plan", json!({"gpus": 1, "region": "nowhere"})).await.unwrap();
    assert_eq!(kind(&result), "not_found");
    assert_eq!(result.text(), "not_found: unknown region `nowhere`");
    assert_eq!(result.structured.unwrap()["error"]["context"]["region"], "nowhere");
}

#[tokio::test]
async fn a_capability_is_needed_to_see_and_to_call() {
    let anonymous = client(Caller::anonymous()).await;
    let names = |tools: Vec<hpc_mcp::ToolInfo>| tools.into_iter().map(|tool| tool.name).collect::<Vec<_>>();
    assert!(!names(anonymous.list_tools().await.unwrap()).contains(&"release".to_owned()));
    let denied = anonymous.call_tool("release", json!({})).await.unwrap();
    assert_eq!(kind(&denied), "denied");
    assert_eq!(denied.structured.unwrap()["error"]["context"]["capability"], "spend");

    let agent = client(spender()).await;
    assert!(names(agent.list_tools().await.unwrap()).contains(&"release".to_owned()));
    assert_eq!(agent.call_tool("release", json!({})).await.unwrap().text(), "agent:train-bot");
}

#[tokio::test]
async fn tools_describe_themselves() {
    let tools = client(spender()).await.list_tools().await.unwrap();
    let find = |name: &str| tools.iter().find(|tool| tool.name == name).unwrap();
    let plan = find("plan");
    assert_eq!((plan.title.as_deref(), plan.description.as_deref()), (Some("Plan"), Some("Plan a request")));
    assert_eq!(plan.input_schema["properties"]["gpus"]["maximum"], 64);
    assert_eq!(plan.output_schema.as_ref().unwrap()["required"], json!(["id"]));
    assert!(plan.read_only && !plan.destructive && plan.idempotent && plan.open_world);
    let release = find("release");
    assert!(!release.read_only && release.destructive && release.idempotent);
    let echo = find("echo");
    assert!(!echo.read_only && echo.destructive, "without annotations the worst is assumed");
    assert_eq!(echo.input_schema, json!({"type": "object"}));
}

#[tokio::test]
async fn answers_against_the_contract_are_failures() {
    let client = client(Caller::anonymous()).await;
    for (name, reason) in
        [("liar", "against its output schema"), ("mute", "answered no data"), ("large", "above the limit")]
    {
        let result = client.call_tool(name, json!({})).await.unwrap();
        assert_eq!(kind(&result), "internal");
        assert!(result.text().contains(reason), "{}", result.text());
    }
}

#[tokio::test]
async fn a_panic_is_a_failure_without_its_text() {
    let client = client(Caller::anonymous()).await;
    let result = client.call_tool("panic", json!({})).await.unwrap();
    assert_eq!(kind(&result), "internal");
    assert!(!result.text().contains("s3cr3t"));
    assert!(!client.call_tool("echo", json!({})).await.unwrap().is_error, "the connection lives on");
}

#[tokio::test]
async fn large_and_deep_arguments_are_refused() {
    let client = client(Caller::anonymous()).await;
    let large = json!({"text": "x".repeat(300 << 10)});
    assert_eq!(kind(&client.call_tool("echo", large).await.unwrap()), "invalid_input");
    let mut deep = json!({});
    for _ in 0..60 {
        deep = json!({ "a": deep });
    }
    assert_eq!(kind(&client.call_tool("echo", deep).await.unwrap()), "invalid_input");
    assert!(!client.call_tool("echo", json!({"text": "x".repeat(200 << 10)})).await.unwrap().is_error);
}

#[tokio::test]
async fn a_tool_ends_at_its_time() {
    let gate = Arc::new(Gate::default());
    let server = McpServer::builder()
        .register_tool(
            Tool::new("wait", "x").timeout(Duration::from_millis(30)),
            GateHandler(Arc::clone(&gate)),
        )
        .build()
        .unwrap();
    let client = server.connect_in_memory(Caller::anonymous()).await.unwrap();
    let result = client.call_tool("wait", json!({})).await.unwrap();
    assert_eq!(kind(&result), "timeout");
    assert!(result.text().contains("unknown"), "{}", result.text());
    while gate.dropped.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn calls_at_once_are_bounded_over_all_connections() {
    let gate = Arc::new(Gate::default());
    let server = McpServer::builder()
        .limits(Limits::default().calls_max(2))
        .register_tool(Tool::new("wait", "x"), GateHandler(Arc::clone(&gate)))
        .register_tool(Tool::new("echo", "x"), Echo)
        .build()
        .unwrap();
    let one = Arc::new(server.connect_in_memory(Caller::anonymous()).await.unwrap());
    let two = server.connect_in_memory(Caller::anonymous()).await.unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let one = Arc::clone(&one);
            tokio::spawn(async move { one.call_tool("wait", json!({})).await })
        })
        .collect();
    while gate.waiting.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    let busy = two.call_tool("echo", json!({})).await.unwrap();
    assert_eq!(kind(&busy), "unavailable");
    assert_eq!(busy.structured.unwrap()["error"]["retry_after_ms"], 1000);
    gate.open.notify_waiters();
    for call in waiting {
        assert_eq!(call.await.unwrap().unwrap().text(), "through");
    }
    assert!(!two.call_tool("echo", json!({})).await.unwrap().is_error);
}

#[tokio::test]
async fn many_tools_come_in_pages() {
    let count = 3 * TOOLS_PER_PAGE + 7;
    let mut builder = McpServer::builder();
    for index in 0..count {
        let tool = Tool::new(format!("t{index:04}"), "x");
        builder = builder.register_tool(if index % 2 == 0 { tool.requires("even") } else { tool }, Echo);
    }
    let server = builder.build().unwrap();
    for (caller, expected) in [(Caller::anonymous(), count / 2), (Caller::new("a", ["even"]).unwrap(), count)]
    {
        let tools = server.connect_in_memory(caller).await.unwrap().list_tools().await.unwrap();
        assert_eq!(tools.len(), expected);
        assert!(tools.iter().map(|tool| &tool.name).is_sorted());
    }
}

#[tokio::test]
async fn every_call_is_observed() {
    let seen = Arc::new(Seen::default());
    let server = builder().observer(Arc::clone(&seen) as Arc<dyn hpc_mcp::CallObserver>).build().unwrap();
    let client = server.connect_in_memory(Caller::new("bot", ["plan"]).unwrap()).await.unwrap();
    for (name, arguments) in [
        ("echo", json!({})),
        ("plan", json!({"gpus": 1, "region": "nowhere"})),
        ("nope", json!({})),
        ("release", json!({})),
        ("plan", json!({})),
        ("slow", json!({})),
        ("panic", json!({})),
    ] {
        let _ = client.call_tool(name, arguments).await;
    }
    let seen = seen.0.lock().unwrap();
    assert!(seen.iter().all(|(_, principal, _)| principal == "bot"));
    let outcomes: Vec<CallOutcome> = seen.iter().map(|(_, _, outcome)| *outcome).collect();
    use CallOutcome::{Answered, Broken, Denied, Failed, Invalid, TimedOut, Unknown};
    assert_eq!(outcomes, [Answered, Failed, Unknown, Denied, Invalid, TimedOut, Broken]);
}

#[tokio::test]
async fn a_client_that_waits_no_longer_cancels_the_call() {
    for era in [Era::Legacy, Era::Modern] {
        let gate = Arc::new(Gate::default());
        let server = McpServer::builder()
            .register_tool(Tool::new("wait", "x"), GateHandler(Arc::clone(&gate)))
            .build()
            .unwrap();
        let options = ClientOptions::default().era(era).timeout(Duration::from_millis(100));
        let client = server.connect_in_memory_with(Caller::anonymous(), options).await.unwrap();
        let error = client.call_tool("wait", json!({})).await.unwrap_err();
        assert_eq!(error, McpError::Timeout { timeout_ms: 100 });
        // The handler sees the cancellation and ends.
        while gate.dropped.load(Ordering::SeqCst) == 0 {
            tokio::time::timeout(Duration::from_secs(10), tokio::task::yield_now()).await.unwrap();
        }
    }
}
