//! Joining: tokens, records, and the pinned first connection.

use std::time::Duration;

use hpc_auth::client::create_joining_client_config;
use hpc_auth::join::{JoinError, JoinRecord, JoinToken, NodeName};
use hpc_auth::server::{ClientAuth, server_config};
use hpc_auth::{AuthError, PeerPolicy};
use proptest::prelude::*;

use crate::support::{authority, handshake, id, issued, later, members, noon};

const MINUTE: Duration = Duration::from_secs(60);
/// Stands for a signing request: a record compares it, and does not read it.
const CSR: &[u8] = b"a request";

fn token(random: u8) -> JoinToken {
    let server = id("spiffe://hpc.internal/service/hpcd");
    JoinToken::new([random; 32], NodeName::parse("n1").unwrap(), server, [9; 32])
}

#[test]
fn a_token_works_once_in_its_time() {
    let mut record = JoinRecord::new(&token(1), noon(), 10 * MINUTE).unwrap();
    assert_eq!(record.redeem(&token(2), CSR, noon()), Err(JoinError::Unknown));
    assert_eq!(record.redeem(&token(1), CSR, later(10 * MINUTE)), Err(JoinError::Expired));
    assert_eq!(record.used_at(), None);
    assert_eq!(record.redeem(&token(1), CSR, later(9 * MINUTE)).unwrap().as_str(), "n1");
    assert_eq!(record.redeem(&token(1), b"another", later(9 * MINUTE)), Err(JoinError::AlreadyUsed));
    assert_eq!(record.used_at(), Some(later(9 * MINUTE)));
}

#[test]
fn a_node_whose_answer_was_lost_asks_again_for_the_same_key_in_the_tokens_time() {
    let mut record = JoinRecord::new(&token(1), noon(), 10 * MINUTE).unwrap();
    record.redeem(&token(1), CSR, later(MINUTE)).unwrap();
    let mut kept: JoinRecord = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!(kept.redeem(&token(1), CSR, later(2 * MINUTE)).unwrap().as_str(), "n1");
    assert_eq!(kept, record, "it was used once, and first then");
    assert_eq!(kept.redeem(&token(2), CSR, later(2 * MINUTE)), Err(JoinError::Unknown));
    assert_eq!(kept.redeem(&token(1), CSR, later(10 * MINUTE)), Err(JoinError::Expired));
    // Kept by a version that did not write down for what.
    let mut old = serde_json::to_value(&record).unwrap();
    old.as_object_mut().unwrap().remove("used_for").unwrap();
    let mut old: JoinRecord = serde_json::from_value(old).unwrap();
    assert_eq!(old.redeem(&token(1), CSR, later(2 * MINUTE)), Err(JoinError::AlreadyUsed));
}

#[test]
fn a_token_is_bound_to_every_word_in_it() {
    let mut record = JoinRecord::new(&token(1), noon(), MINUTE).unwrap();
    let server = || id("spiffe://hpc.internal/service/hpcd");
    let node = |name| NodeName::parse(name).unwrap();
    for other in [
        JoinToken::new([1; 32], node("n2"), server(), [9; 32]),
        JoinToken::new([1; 32], node("n1"), id("spiffe://hpc.internal/service/evil"), [9; 32]),
        JoinToken::new([1; 32], node("n1"), server(), [8; 32]),
    ] {
        assert_eq!(record.redeem(&other, CSR, noon()), Err(JoinError::Unknown));
    }
}

#[test]
fn the_record_survives_storage_and_does_not_hold_the_secret() {
    let mut record = JoinRecord::new(&token(0xab), noon(), MINUTE).unwrap();
    let json = serde_json::to_string(&record).unwrap();
    assert!(!json.contains("abababab") && !json.contains("q6urq6ur"), "{json}");
    assert_eq!(serde_json::from_str::<JoinRecord>(&json).unwrap(), record);
    assert_eq!(
        format!("{:?}", token(0xab)),
        "JoinToken { node: \"n1\", server: \"spiffe://hpc.internal/service/hpcd\", .. }"
    );
    assert_eq!(record.token_hash().as_str().len(), 64);
    record.redeem(&JoinToken::parse(&token(0xab).encode()).unwrap(), CSR, noon()).unwrap();
}

#[test]
fn lives_and_names_have_limits() {
    for life in [Duration::ZERO, Duration::from_secs(86_401), Duration::MAX] {
        assert_eq!(JoinRecord::new(&token(1), noon(), life).map(drop), Err(JoinError::Lifetime));
    }
    for name in ["", "-a", "a-", "A", "a.b", "a/b", "ä", &"a".repeat(64)] {
        assert_eq!(NodeName::parse(name), Err(JoinError::NodeName), "{name}");
    }
    assert!(NodeName::parse(&"a".repeat(63)).is_ok());
    assert!(serde_json::from_str::<NodeName>("\"..\"").is_err());
}

#[test]
fn texts_that_are_no_token_are_refused() {
    let good = token(1).encode();
    assert!(JoinToken::parse(&format!("  {}\n", *good)).is_ok());
    for bad in [
        "",
        "hpcjoin_",
        "hpcjoin_AAAA",
        "hpcjoin_!",
        &good[1..],
        &good[..good.len() - 1],
        &format!("{}A", *good),
    ] {
        assert!(matches!(JoinToken::parse(bad), Err(JoinError::Malformed { .. })), "{bad}");
    }
    assert!(JoinToken::parse(&format!("hpcjoin_{}", "A".repeat(5000))).is_err());
    for index in 8..good.len() {
        let mut bad: Vec<u8> = good.bytes().collect();
        bad[index] = if bad[index] == b'A' { b'B' } else { b'A' };
        assert!(JoinToken::parse(std::str::from_utf8(&bad).unwrap()).is_err(), "index {index}");
    }
}

proptest! {
    #[test]
    fn every_token_reads_back(random: [u8; 32], ca: [u8; 32], name in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
        let server = id("spiffe://hpc.internal/service/hpcd");
        let token = JoinToken::new(random, NodeName::parse(&name).unwrap(), server, ca);
        let again = JoinToken::parse(&token.encode()).unwrap();
        prop_assert_eq!(again.hash(), token.hash());
        prop_assert_eq!(again.node(), token.node());
        prop_assert_eq!(again.authority_sha256(), &ca);
    }

    #[test]
    fn parsing_never_panics(text in "(hpcjoin_)?[A-Za-z0-9_-]{0,200}|\\PC{0,60}") {
        let _ = JoinToken::parse(&text);
    }
}

#[test]
fn a_joining_node_believes_only_the_pinned_authority_and_the_named_server() {
    let ca = authority("hpc.internal");
    let join = |server: &str, sha256| {
        let token = JoinToken::new([1; 32], NodeName::parse("n1").unwrap(), id(server), sha256);
        create_joining_client_config(&token, &[b"h2"]).unwrap()
    };
    let serve = |ca: &hpc_auth::ca::Authority, auth| {
        server_config(&issued(ca, "service/hpcd"), &[ca.bundle()], members(ca), auth, &[b"h2"]).unwrap()
    };
    let open = ClientAuth::OptionalForJoining;
    let hpcd = "spiffe://hpc.internal/service/hpcd";
    let (server, client) = handshake(serve(&ca, open), join(hpcd, ca.cert_sha256())).unwrap();
    assert!(server.peer_certificates().is_none());
    assert_eq!(client.alpn_protocol(), Some(&b"h2"[..]));

    let refused = |server, client| match handshake(server, client).map(drop).unwrap_err() {
        ("client", rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))) => {
            other.0.downcast_ref::<AuthError>().cloned().unwrap()
        }
        error => panic!("{error:?}"),
    };
    let impostor = authority("hpc.internal");
    assert_eq!(
        refused(serve(&impostor, open), join(hpcd, ca.cert_sha256())),
        AuthError::PinnedAuthorityMissing
    );
    assert_eq!(
        refused(serve(&ca, open), join("spiffe://hpc.internal/service/other", ca.cert_sha256())),
        AuthError::PeerNotExpected(id(hpcd))
    );
    // A stolen node certificate and the real authority beside it do not make a server.
    let node = server_config(&issued(&ca, "node/n2"), &[ca.bundle()], members(&ca), open, &[b"h2"]).unwrap();
    assert_eq!(
        refused(node, join(hpcd, ca.cert_sha256())),
        AuthError::PeerNotExpected(id("spiffe://hpc.internal/node/n2"))
    );
    // The impostor's leaf with the real authority appended: the pin is found, but the path does not lead to it.
    let leaf = issued(&impostor, "service/hpcd");
    let chain = vec![leaf.cert_chain_der()[0].clone(), ca.cert_der().to_vec()];
    let forged =
        hpc_identity::X509Svid::from_der(chain, zeroize::Zeroizing::new(leaf.private_key_der().to_vec()))
            .unwrap();
    let server = server_config(
        &forged,
        &[impostor.bundle()],
        PeerPolicy::TrustDomain(impostor.trust_domain().clone()),
        open,
        &[b"h2"],
    )
    .unwrap();
    assert_eq!(
        handshake(server, join(hpcd, ca.cert_sha256())).map(drop).unwrap_err(),
        ("client", rustls::CertificateError::UnknownIssuer.into())
    );
}
