//! A server in a child process.

use std::path::PathBuf;

use hpc_mcp::{ClientOptions, Era, McpClient, McpError, ServerProcess};
use serde_json::json;

/// `cargo test` builds examples beside the test's own folder.
fn example() -> ServerProcess {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/stdio_server");
    assert!(path.exists(), "build it first: cargo build -p hpc-mcp --example stdio_server");
    ServerProcess::new(path.display().to_string())
}

#[tokio::test]
async fn a_child_process_serves_both_eras() {
    for era in [Era::Auto, Era::Legacy] {
        let client = McpClient::spawn(&example(), ClientOptions::default().era(era)).await.unwrap();
        assert_eq!(client.server().unwrap().0, "stdio_server");
        let result = client.call_tool("echo", json!({"message": "hi"})).await.unwrap();
        assert_eq!(result.text(), r#"{"message":"hi"}"#);
        client.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_child_gets_no_environment_but_what_it_is_given() {
    let process = example().environment("GIVEN", "1");
    let client = McpClient::spawn(&process, ClientOptions::default()).await.unwrap();
    let names = client.call_tool("env", json!({})).await.unwrap().text();
    for name in names.split(' ') {
        assert!(["GIVEN", "PATH", "HOME", "LANG"].contains(&name), "inherited `{name}`");
    }
    assert!(names.contains("GIVEN"));
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_or_no_server_is_said() {
    let missing = McpClient::spawn(&ServerProcess::new("/no/such/program"), ClientOptions::default()).await;
    assert!(matches!(missing, Err(McpError::Spawn { .. })), "{missing:?}");
    let silent = ServerProcess::new("true");
    let ended = McpClient::spawn(&silent, ClientOptions::default()).await;
    assert!(matches!(ended, Err(McpError::Closed | McpError::Handshake { .. })), "{ended:?}");
    let chatty = ServerProcess::new("echo").argument("hello");
    let ended = McpClient::spawn(&chatty, ClientOptions::default().era(Era::Legacy)).await;
    assert!(matches!(ended, Err(McpError::Closed | McpError::Handshake { .. })), "{ended:?}");
}
