//! Requests made to hurt: each is refused, and the daemon goes on answering.

use serde_json::{Value, json};

use super::scenario::section;
use super::{EVALUATION, EVALUATIONS, Pdp, SEARCH_SUBJECT};
use hpcd::authzen::limits::{BODY_BYTES_MAX, EVALUATIONS_MAX};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// The daemon still does its work.
async fn alive(pdp: &Pdp) {
    assert!(pdp.decision(section("c-2-2-1").request()).await);
}

/// A good question of so many bytes.
fn padded(bytes: usize) -> String {
    let mut question = section("c-2-2-1").request().clone();
    question["padding"] = json!("");
    let padding = bytes - question.to_string().len();
    question["padding"] = json!("x".repeat(padding));
    question.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_body() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    let fits = padded(BODY_BYTES_MAX);
    let reply = connection.request("POST", EVALUATION, &JSON, fits.as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.body.len());
    // Announced: refused at the header, before a byte of it is sent.
    for length in ["1048577", "18446744073709551615"] {
        let mut connection = pdp.connect(["user", "you"]).await;
        let head = format!(
            "POST {EVALUATION} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        connection.send(head.as_bytes()).await;
        let reply = connection.reply().await.unwrap();
        // The second is more than HTTP itself can count here.
        assert!(reply.status == 413 || (length.len() > 10 && reply.status >= 400), "{reply:?}");
    }
    // Unannounced: refused when it passes the limit.
    let mut connection = pdp.connect(["user", "you"]).await;
    let head = format!(
        "POST {EVALUATION} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    connection.send(head.as_bytes()).await;
    let body = padded(BODY_BYTES_MAX + 1);
    connection.send(format!("{:x}\r\n{body}\r\n", body.len()).as_bytes()).await;
    assert!(connection.reply().await.unwrap().refused(413).contains("1048576 bytes"));
    alive(&pdp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_nesting() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [200, 100_000] {
            let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for place in ["\"padding\"", "\"context\""] {
                let body = format!("{{{place}: {nested}}}");
                connection.request("POST", EVALUATION, &JSON, body.as_bytes()).await.refused(400);
            }
        }
        // As deep as a reader of JSON goes, in a place that is mapped.
        let nested = format!("{}1{}", open.repeat(100), close.repeat(100));
        let mut question = section("c-2-2-1").request().to_string();
        question.truncate(question.len() - 1);
        let body = format!("{question}, \"context\": {{\"deep\": {nested}}}}}");
        let reply = connection.request("POST", EVALUATION, &JSON, body.as_bytes()).await;
        assert_eq!((reply.status, &reply.json()["decision"]), (200, &json!(true)));
    }
    alive(&pdp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_twice() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    let good = section("c-2-2-1").request().to_string();
    for (from, to) in [
        ("\"id\":\"alice\"", "\"id\":\"bob\",\"id\":\"alice\""),
        ("\"id\":\"alice\"", "\"id\":\"bob\",\"\\u0069d\":\"alice\""),
        ("\"name\":\"read\"", "\"name\":\"read\",\"properties\":{\"soft\":true,\"soft\":false}"),
        ("\"resource\":", "\"x\":{\"a\":1,\"a\":1},\"resource\":"),
    ] {
        let body = good.replace(from, to);
        assert_ne!(body, good, "{from}");
        let reply = connection.request("POST", EVALUATION, &JSON, body.as_bytes()).await;
        assert!(reply.refused(400).contains("given twice"), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_ten_thousand() {
    let pdp = Pdp::start().await;
    let batch = |count: usize| {
        let mut batch = section("c-2-2-1").request().clone();
        batch["evaluations"] = vec![json!({}); count].into();
        batch
    };
    for count in [EVALUATIONS_MAX + 1, 10_000] {
        let message = pdp.refusal(EVALUATIONS, &batch(count)).await;
        assert_eq!(message, format!("`evaluations` has {count} items; send at most {EVALUATIONS_MAX}"));
    }
    let answer = pdp.ask(EVALUATIONS, &batch(EVALUATIONS_MAX)).await;
    assert_eq!(answer["evaluations"].as_array().unwrap().len(), EVALUATIONS_MAX);
    alive(&pdp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_after_a_request_is_not_a_request() {
    let pdp = Pdp::start().await;
    let body = section("c-2-2-1").request().to_string();
    let good = format!(
        "POST {EVALUATION} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // Two requests at once get two answers in their order.
    let mut connection = pdp.connect(["user", "you"]).await;
    let other = good.replace("alice", "eve").replace(&body.len().to_string(), &(body.len() - 2).to_string());
    connection.send(format!("{good}{other}").as_bytes()).await;
    let answers = [connection.reply().await.unwrap().json(), connection.reply().await.unwrap().json()];
    assert_eq!([&answers[0]["decision"], &answers[1]["decision"]], [true, false]);
    for garbage in
        [&b"\x00\xff\x00\xff\r\n\r\n"[..], b"{\"subject\":1}\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut connection = pdp.connect(["user", "you"]).await;
        connection.send(&[good.as_bytes(), garbage].concat()).await;
        assert_eq!(connection.reply().await.unwrap().json()["decision"], true);
        if let Some(reply) = connection.reply().await {
            assert!(reply.status >= 400 && !reply.body.starts_with(b"{\"decision\":true"), "{reply:?}");
            assert!(connection.reply().await.is_none(), "the connection is closed");
        }
    }
    // Two readings of where a request ends are none.
    for head in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: +5",
        "content-length: 5\r\ntransfer-encoding: chunked, x",
    ] {
        let mut connection = pdp.connect(["user", "you"]).await;
        let text = format!(
            "POST {EVALUATION} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n{head}\r\n\r\n{{}}   "
        );
        connection.send(text.as_bytes()).await;
        if let Some(reply) = connection.reply().await {
            assert_eq!(reply.status, 400, "{head}");
        }
    }
    alive(&pdp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_gets_into_a_header_through_x_request_id() {
    let pdp = Pdp::start().await;
    let body = section("c-2-2-1").request().to_string();
    let asking = |id: &[u8]| {
        let mut request = format!("POST {EVALUATION} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {}\r\nx-request-id: ", body.len()).into_bytes();
        request.extend_from_slice(id);
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(body.as_bytes());
        request
    };
    let long = "x".repeat(129);
    for id in [long.as_bytes(), b"a b", b"a\tb", "\u{e4}".as_bytes(), b"\xff", b"a\r\nx-request-id: b"] {
        let mut connection = pdp.connect(["user", "you"]).await;
        let request = asking(id);
        connection.send(&request).await;
        let reply = connection.reply().await.unwrap();
        assert_eq!(
            (reply.status, reply.header("x-request-id")),
            (200, None),
            "{:?}",
            String::from_utf8_lossy(id)
        );
    }
    for id in [&b"a\rset-cookie: b"[..], b"a\nset-cookie: b", b"a\0b"] {
        let mut connection = pdp.connect(["user", "you"]).await;
        let request = asking(id);
        connection.send(&request).await;
        let reply = connection.reply().await.unwrap();
        assert!(reply.header("set-cookie").is_none(), "{reply:?}");
        // A bare line feed ends a header for some readers, so `a` may be the whole id.
        assert!(matches!(reply.header("x-request-id"), None | Some("a")), "{reply:?}");
    }
    let longest = "x".repeat(128);
    let mut connection = pdp.connect(["user", "you"]).await;
    let request = asking(longest.as_bytes());
    connection.send(&request).await;
    assert_eq!(connection.reply().await.unwrap().header("x-request-id"), Some(longest.as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_have_one_spelling() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    let body = section("c-2-2-1").request().clone();
    for path in [
        "/access/v1/evaluation/",
        "//access/v1/evaluation",
        "/access/v1/../v1/evaluation",
        "/access/v1/%65valuation",
        "/ACCESS/v1/evaluation",
        "/access/v2/evaluation",
        "/access/v1/search",
        "/",
    ] {
        connection.post(path, &body).await.refused(404);
    }
    assert_eq!(
        connection.post("/access/v1/evaluation?x=1", &body).await.status,
        200,
        "a query changes nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_searches_at_once_are_all_answered() {
    let pdp = std::sync::Arc::new(Pdp::start().await);
    let query: Value = section("c-4-2-1").request().clone();
    let searches: Vec<_> = (0..32)
        .map(|_| {
            let (pdp, query) = (std::sync::Arc::clone(&pdp), query.clone());
            tokio::spawn(async move { pdp.ask(SEARCH_SUBJECT, &query).await })
        })
        .collect();
    for search in searches {
        assert_eq!(search.await.unwrap()["results"].as_array().unwrap().len(), 2);
    }
}
