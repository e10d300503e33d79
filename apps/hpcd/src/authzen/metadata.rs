//! Discovery: where the endpoints are.

use std::net::SocketAddr;

use http::header::HOST;
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

pub(super) const EVALUATION: &str = "/access/v1/evaluation";
pub(super) const EVALUATIONS: &str = "/access/v1/evaluations";
pub(super) const SEARCH_SUBJECT: &str = "/access/v1/search/subject";
pub(super) const SEARCH_RESOURCE: &str = "/access/v1/search/resource";
pub(super) const SEARCH_ACTION: &str = "/access/v1/search/action";
pub(super) const METADATA: &str = "/.well-known/authzen-configuration";

/// The metadata of the decision point at `base`.
pub(super) fn document(base: &str) -> Value {
    json!({
        "policy_decision_point": base,
        "access_evaluation_endpoint": format!("{base}{EVALUATION}"),
        "access_evaluations_endpoint": format!("{base}{EVALUATIONS}"),
        "search_subject_endpoint": format!("{base}{SEARCH_SUBJECT}"),
        "search_resource_endpoint": format!("{base}{SEARCH_RESOURCE}"),
        "search_action_endpoint": format!("{base}{SEARCH_ACTION}"),
    })
}

/// The base URL as the caller reached it. Any name but the daemon's own is not repeated: the URLs would lead elsewhere.
pub(super) fn base(address: SocketAddr, uri: &Uri, headers: &HeaderMap) -> String {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let asked = uri.authority().map(http::uri::Authority::as_str).or(host);
    let by_name = format!("localhost:{}", address.port());
    if asked == Some(by_name.as_str()) && hosts.next().is_none() {
        return format!("https://{by_name}");
    }
    format!("https://{address}")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_names_of_the_daemon_are_repeated() {
        let address: SocketAddr = "127.0.0.1:7801".parse().unwrap();
        let by_host = |hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_static(host));
            }
            base(address, &Uri::from_static("/x"), &headers)
        };
        assert_eq!(by_host(&["localhost:7801"]), "https://localhost:7801");
        for hosts in
            [&[][..], &["127.0.0.1:7801"], &["evil.example"], &["localhost:1"], &["localhost:7801", "b"]]
        {
            assert_eq!(by_host(hosts), "https://127.0.0.1:7801", "{hosts:?}");
        }
        // HTTP/2 has the authority in the URI.
        let uri = Uri::from_static("https://localhost:7801/x");
        assert_eq!(base(address, &uri, &HeaderMap::new()), "https://localhost:7801");
    }
}
