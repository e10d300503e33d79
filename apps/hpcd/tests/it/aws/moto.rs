//! An eye on the server that owes nothing to the adapter: EC2's query protocol by hand, and the fault proxy's rules.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine as _;

use crate::client::Connection;

/// Says which service and region are meant; nobody checks the signature.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=EYE/20260101/us-east-1/ec2/aws4_request, \
    SignedHeaders=host, Signature=00";

/// The variable's address, or a word that the test was skipped.
pub fn named(variable: &str) -> Option<SocketAddr> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        println!("skipped: {variable} is not set");
    }
    Some(url?.strip_prefix("http://").expect("http on loopback").parse().expect("an address and a port"))
}

pub struct Eye(pub SocketAddr);

/// An instance as the server tells it.
#[derive(Debug)]
pub struct Seen {
    pub id: String,
    pub state: String,
    pub spot: bool,
    pub token: String,
    pub tags: BTreeMap<String, String>,
}

impl Eye {
    /// One question; the answer without white space between elements.
    pub async fn ask(&self, parameters: &[(&str, &str)]) -> String {
        let mut body = "Version=2016-11-15".to_owned();
        for (name, value) in parameters {
            body.push_str(&format!("&{name}={}", value.replace(':', "%3A")));
        }
        let headers =
            [("content-type", "application/x-www-form-urlencoded"), ("authorization", AUTHORIZATION)];
        let reply = Connection::plain(self.0).await.request("POST", "/", &headers, body.as_bytes()).await;
        let text = String::from_utf8(reply.body).unwrap();
        assert_eq!(reply.status, 200, "{text}");
        text.lines().map(str::trim).collect()
    }

    /// Every instance with this tag, ended ones too.
    pub async fn tagged(&self, key: &str, value: &str) -> Vec<Seen> {
        let filter = format!("tag:{key}");
        let filters = [("Filter.1.Name", filter.as_str()), ("Filter.1.Value.1", value)];
        let text = self.ask(&[&[("Action", "DescribeInstances")], &filters[..]].concat()).await;
        // Every instance begins with its architecture on this server.
        text.split("<item><architecture>").skip(1).map(seen).collect()
    }

    /// What the first boot of an instance runs.
    pub async fn user_data(&self, id: &str) -> String {
        let asked = [("Action", "DescribeInstanceAttribute"), ("InstanceId", id), ("Attribute", "userData")];
        let text = self.ask(&asked).await;
        let data = between(between(&text, "<userData>", "</userData>"), "<value>", "</value>");
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(data).unwrap()).unwrap()
    }
}

fn seen(text: &str) -> Seen {
    let tags = between(text, "<tagSet>", "</tagSet>").split("<item>").skip(1);
    let tags = tags.map(|tag| {
        (between(tag, "<key>", "</key>").to_owned(), between(tag, "<value>", "</value>").to_owned())
    });
    Seen {
        id: between(text, "<instanceId>", "</instanceId>").to_owned(),
        state: between(between(text, "<instanceState>", "</instanceState>"), "<name>", "</name>").to_owned(),
        spot: text.contains("<instanceLifecycle>spot</instanceLifecycle>"),
        token: between(text, "<clientToken>", "</clientToken>").to_owned(),
        tags: tags.collect(),
    }
}

/// The text between the first `open` and the `close` after it; nothing if they are not there.
pub fn between<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    text.split_once(open).and_then(|(_, rest)| rest.split_once(close)).map_or("", |(found, _)| found)
}

/// The proxy before the server.
pub struct Faults(pub SocketAddr);

impl Faults {
    /// Replaces all rules by this one.
    pub async fn only(&self, rule: serde_json::Value) {
        self.only_these(serde_json::json!([rule])).await;
    }

    /// Replaces all rules by these; the first that matches counts.
    pub async fn only_these(&self, rules: serde_json::Value) {
        self.none().await;
        self.call("PATCH", "/_microburst/rules", rules.to_string().as_bytes()).await;
    }

    pub async fn none(&self) {
        // An empty list means all of them.
        self.call("DELETE", "/_microburst/rules", b"[]").await;
    }

    /// How often rules have fired on this operation since the proxy began.
    pub async fn fired(&self, operation: &str) -> usize {
        self.call("GET", "/_microburst/fired", b"").await.matches(operation).count()
    }

    async fn call(&self, method: &str, path: &str, body: &[u8]) -> String {
        let headers = [("content-type", "application/json")];
        let reply = Connection::plain(self.0).await.request(method, path, &headers, body).await;
        let text = String::from_utf8(reply.body).unwrap();
        assert!((200..300).contains(&reply.status), "{method} {path}: {} {text}", reply.status);
        text
    }
}
