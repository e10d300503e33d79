//! Tokens of first boots: the same for the same intent, good once, and only while the intent stands.

use hpc_audit::{AuditLog, Entry, Search};
use hpc_auth::csr::CsrRequest;
use hpc_auth::join::JoinToken;
use hpc_broker::LeaseRecord;
use hpc_error::codes;
use hpcd::world::World;

use crate::{lease, options, person};

fn csr() -> Vec<u8> {
    CsrRequest::generate().unwrap().csr_der().to_vec()
}

async fn world_with_a_lease() -> (std::sync::Arc<World>, LeaseRecord) {
    let world = World::open(options(None)).await.unwrap();
    let lease = lease(&world, &person(&world, "you")).await;
    (world, lease)
}

async fn entries(world: &World, action: &str) -> Vec<Entry> {
    let search = Search { action: Some(action.to_owned()), limit: 100, ..Search::default() };
    world.audit.search(&search).await.unwrap().hits.into_iter().map(|hit| hit.entry).collect()
}

fn texts(tokens: &[JoinToken]) -> Vec<String> {
    tokens.iter().map(|token| token.encode().to_string()).collect()
}

#[tokio::test]
async fn a_token_is_bound_to_its_intent_made_once_and_good_once() {
    let (world, lease) = world_with_a_lease().await;
    let intent = lease.intents.last().unwrap();
    let boot = world.first_boot.tokens(intent.as_str()).await.unwrap();
    let again = world.first_boot.tokens(intent.as_str()).await.unwrap();
    assert_eq!(texts(&boot.tokens), texts(&again.tokens), "a repeated create says the same");
    assert_eq!((boot.tokens.len(), &boot.lease), (1, &lease.id));
    let token = &boot.tokens[0];
    assert_eq!(token.node().as_str(), format!("node-{}", lease.id.as_str().replace('_', "-")));
    let invited = entries(&world, "node.invited").await;
    assert_eq!(invited.len(), 1, "one token, one entry");
    assert_eq!(invited[0].data["lease"], lease.id.as_str());
    assert_eq!(invited[0].data["intent"], intent.as_str());
    assert_eq!(invited[0].principal, lease.principal, "it works for who holds the lease");
    world.nodes.join(token, token.node(), &csr()).await.unwrap();
    let used = world.nodes.join(token, token.node(), &csr()).await.err().unwrap();
    assert_eq!(used.registered(), Some(&codes::AUT_TOKEN_INVALID), "{used}");
    // Asking again gives the same token, which stays used.
    let again = world.first_boot.tokens(intent.as_str()).await.unwrap();
    assert!(world.nodes.join(&again.tokens[0], token.node(), &csr()).await.is_err());
    assert_eq!(world.nodes.inviter(token.node().as_str()).await.unwrap(), Some(lease.principal));
}

#[tokio::test]
async fn a_node_whose_answer_was_lost_is_let_in_again_with_the_same_key_and_recorded_once() {
    let (world, lease) = world_with_a_lease().await;
    let intent = lease.intents.last().unwrap();
    let token = world.first_boot.tokens(intent.as_str()).await.unwrap().tokens.remove(0);
    let csr = csr();
    let (first, told) = world.nodes.join(&token, token.node(), &csr).await.unwrap();
    let (second, again) = world.nodes.join(&token, token.node(), &csr).await.unwrap();
    assert_eq!((told[0].index, told[0].leaf_hash), (again[0].index, again[0].leaf_hash), "the same entry");
    assert_eq!(entries(&world, "node.joined").await.len(), 1);
    assert_ne!(first.chain_der, second.chain_der, "a certificate each, for one key");
    world.broker.release(&person(&world, "you"), &lease.id).await.unwrap();
    let late = world.nodes.join(&token, token.node(), &csr).await.err().unwrap();
    assert!(late.to_string().contains("has ended"), "{late}");
}

#[tokio::test]
async fn a_token_that_was_spent_without_an_entry_is_good_for_its_request_when_the_log_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let world = World::open(options(Some(&data))).await.unwrap();
    let lease = lease(&world, &person(&world, "you")).await;
    let intent = lease.intents.last().unwrap();
    let token = world.first_boot.tokens(intent.as_str()).await.unwrap().tokens.remove(0);
    world.audit.close().await.unwrap();
    let csr = csr();
    let unrecorded = world.nodes.join(&token, token.node(), &csr).await.err().unwrap();
    assert_eq!(
        unrecorded.registered(),
        Some(&codes::AUD_NOT_WRITABLE),
        "no certificate leaves: {unrecorded}"
    );
    drop(world);
    let world = World::open(options(Some(&data))).await.unwrap();
    assert!(entries(&world, "node.joined").await.is_empty());
    assert!(world.nodes.join(&token, token.node(), &self::csr()).await.is_err(), "spent");
    world.nodes.join(&token, token.node(), &csr).await.unwrap();
    assert_eq!(entries(&world, "node.joined").await.len(), 1);
}

#[tokio::test]
async fn what_has_ended_lets_nobody_in() {
    let (world, lease) = world_with_a_lease().await;
    let intent = lease.intents.last().unwrap();
    let token = world.first_boot.tokens(intent.as_str()).await.unwrap().tokens.remove(0);
    world.broker.release(&person(&world, "you"), &lease.id).await.unwrap();
    let late = world.nodes.join(&token, token.node(), &csr()).await.err().unwrap();
    assert_eq!(late.registered(), Some(&codes::AUT_TOKEN_INVALID), "{late}");
    assert!(late.to_string().contains("has ended"), "{late}");
    let none = world.first_boot.tokens(intent.as_str()).await.unwrap_err();
    assert_eq!(none.registered(), Some(&codes::LSE_NOT_ACTIVE), "{none}");
}

#[tokio::test]
async fn a_reference_that_names_no_intent_makes_nothing() {
    let (world, lease) = world_with_a_lease().await;
    let size = world.audit.size();
    for reference in ["", "x", lease.id.as_str(), "int_00000000000000000000000001", "a\u{7}b"] {
        let none = world.first_boot.tokens(reference).await.unwrap_err();
        assert!(!none.to_string().contains('\u{7}'));
        assert_eq!(none.registered(), Some(&codes::LSE_NOT_ACTIVE), "{reference}: {none}");
    }
    assert_eq!(world.audit.size(), size);
}

#[tokio::test]
async fn neither_ledger_nor_log_nor_debug_text_holds_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let world = World::open(options(Some(&data))).await.unwrap();
    let held = lease(&world, &person(&world, "you")).await;
    let boot = world.first_boot.tokens(held.intents.last().unwrap().as_str()).await.unwrap();
    let token = boot.tokens[0].encode().to_string();
    assert!(!format!("{boot:?} {:?}", world.first_boot).contains(&token[8..40]));
    world.audit.close().await.unwrap();
    drop(world);
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(32).any(|part| part == &token.as_bytes()[8..40]), "{}", path.display());
        }
    }
}
