//! What `build` refuses.

use std::time::Duration;

use hpc_mcp::{
    Annotations, Limits, McpError, McpServer, TOOL_NAME_BYTES_MAX, TOOL_TIMEOUT_MAX, TOOLS_MAX, Tool,
};
use serde_json::json;

use crate::handlers::Echo;

fn build(tool: Tool) -> Result<McpServer, McpError> {
    McpServer::builder().register_tool(tool, Echo).build()
}

#[test]
fn a_tool_is_checked() {
    let ok = || Tool::new("a", "does a");
    assert!(build(ok()).is_ok());
    assert!(build(Tool::new("hpc.request_plan-2", "x")).is_ok());
    assert!(build(Tool::new("n".repeat(TOOL_NAME_BYTES_MAX), "x")).is_ok());
    let long = "n".repeat(TOOL_NAME_BYTES_MAX + 1);
    for name in ["", " ", "a b", "a/b", "ä", "a\n", &long] {
        let error = build(Tool::new(name, "x")).unwrap_err();
        assert!(matches!(error, McpError::InvalidTool { .. }), "{name:?}: {error}");
    }
    for tool in [
        Tool::new("a", ""),
        Tool::new("a", "x".repeat(5000)),
        ok().title("x".repeat(5000)),
        ok().timeout(Duration::ZERO),
        ok().timeout(TOOL_TIMEOUT_MAX + Duration::from_millis(1)),
        ok().requires(""),
        ok().requires("a b"),
        ok().input_schema(json!({"type": "array"})),
        ok().input::<String>(),
        ok().output_schema(json!({"type": "object", "required": 1})),
        ok().input_schema(json!({"type": "object", "$ref": "https://example.com/schema.json"})),
    ] {
        assert!(matches!(build(tool.clone()), Err(McpError::InvalidTool { .. })), "{tool:?}");
    }
}

#[test]
fn a_destructive_tool_needs_a_capability() {
    let tool = Tool::new("wipe", "removes it").annotations(Annotations::destructive());
    let error = build(tool.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tool `wipe` cannot be offered: it is destructive and requires no capability; add `.requires(..)`"
    );
    assert!(build(tool.requires("spend")).is_ok());
}

#[test]
fn names_are_unique_and_few_enough() {
    let twice = McpServer::builder()
        .register_tool(Tool::new("a", "x"), Echo)
        .register_tool(Tool::new("a", "y"), Echo);
    assert_eq!(twice.build().unwrap_err(), McpError::DuplicateTool { name: "a".into() });
    let mut many = McpServer::builder();
    for index in 0..=TOOLS_MAX {
        many = many.register_tool(Tool::new(format!("t{index}"), "x"), Echo);
    }
    assert!(matches!(many.build(), Err(McpError::TooManyTools { .. })));
}

#[test]
fn limits_are_bounded() {
    for limits in [
        Limits::default().calls_max(0),
        Limits::default().arguments_bytes_max(0),
        Limits::default().result_bytes_max(usize::MAX),
    ] {
        assert!(matches!(McpServer::builder().limits(limits).build(), Err(McpError::InvalidSetting { .. })));
    }
}

#[test]
fn names_are_listed_in_order() {
    let server = crate::handlers::builder().build().unwrap();
    let names: Vec<&str> = server.tool_names().collect();
    assert!(names.is_sorted() && names.contains(&"echo"));
    assert!(format!("{server:?}").contains("test-server"));
}
