//! Policies that change while the daemon runs: at their source, as signed bundles, and as candidates that are promoted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hpc_audit::{AuditLog, Entry, Search};
use hpc_crypto::note::NoteSigner;
use hpc_crypto::signing::KeyPair;
use hpc_error::HpcError;
use hpc_policy::{BundleInfo, create_bundle};
use hpc_rpc::grpc::GrpcChannel;
use hpc_rpc::grpc::control::v1::policy_service_client::PolicyServiceClient;
use hpc_types::control::v1;
use hpcd::daemon::{Daemon, Listen};
use hpcd::policies::{Origin, STARTER};
use hpcd::world::{World, WorldOptions};
use serde_json::Value;

use crate::{channel, options, person};

/// A folder with policies, bundles, keys and the daemon's data.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.at("policies")).unwrap();
        place.put(|text| text);
        std::fs::write(place.at("author.pub"), format!("{}\n", signer(7).verifier_key())).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes the starter set into the directory, changed.
    fn put(&self, change: impl Fn(String) -> String) {
        for (name, text) in STARTER {
            std::fs::write(self.at("policies").join(name), change(text.to_owned())).unwrap();
        }
    }

    /// Writes a bundle of the starter set, changed.
    fn bundle(&self, name: &str, sequence: u64, hours: u32) -> Vec<u8> {
        bundle(name, sequence, &documents(hours), 7)
    }

    fn unsigned(&self) -> WorldOptions {
        WorldOptions { policies: Some(self.at("policies")), ..options(Some(&self.at("data"))) }
    }

    fn signed(&self) -> WorldOptions {
        WorldOptions {
            policies: Some(self.at("current.bundle")),
            policy_key: Some(self.at("author.pub")),
            ..options(Some(&self.at("data")))
        }
    }
}

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new("policies.example.org", KeyPair::from_seed([seed; 32])).unwrap()
}

/// The starter set with another longest lease.
fn documents(hours: u32) -> Vec<(String, String)> {
    STARTER.iter().map(|(name, text)| ((*name).to_owned(), longest(text, hours))).collect()
}

fn longest(text: &str, hours: u32) -> String {
    text.replace("op: gt, value: 72}", &format!("op: gt, value: {hours}}}"))
}

fn bundle(name: &str, sequence: u64, documents: &[(String, String)], seed: u8) -> Vec<u8> {
    let info =
        BundleInfo { name: name.to_owned(), sequence, created: "2026-11-25T21:00:00Z".parse().unwrap() };
    create_bundle(documents.to_vec(), &info, &signer(seed)).unwrap().into_bytes()
}

async fn close(world: Arc<World>) {
    world.audit.close().await.unwrap();
    assert_eq!(Arc::strong_count(&world), 1, "nothing else holds the world");
}

async fn refused(options: WorldOptions) -> HpcError {
    World::open(options).await.err().expect("it must be refused")
}

async fn entries(world: &World, action: &str) -> Vec<Entry> {
    let search = Search { action: Some(action.to_owned()), limit: 100, ..Search::default() };
    world.audit.search(&search).await.unwrap().hits.into_iter().map(|hit| hit.entry).collect()
}

fn code(error: impl Into<HpcError>) -> String {
    error.into().code_text().unwrap_or_default().to_owned()
}

async fn two_rounds(world: &World) {
    world.policies.round().await;
    world.policies.round().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_is_taken_when_it_stands_still_and_a_bad_one_never() {
    let place = Place::new();
    let world = World::open(place.unsigned()).await.unwrap();
    let digest = || world.broker.policies().digest().to_owned();
    let first = digest();
    assert_eq!(world.policies.status().source, Origin::Documents);
    let loaded = entries(&world, "policy.loaded").await;
    assert_eq!((loaded.len(), &loaded[0].data["digest"]), (1, &Value::from(first.clone())));

    place.put(|text| longest(&text, 48));
    world.policies.round().await;
    assert_eq!(digest(), first, "a change stands still for a round before it counts");
    world.policies.round().await;
    let second = digest();
    assert!(second != first && world.policies.status().digest == second);
    assert_eq!(entries(&world, "policy.loaded").await.len(), 2);

    // All or nothing: one bad file, and nothing of the others either.
    place.put(|text| longest(&text, 24).replace("name: nodes", "nome: nodes"));
    two_rounds(&world).await;
    let status = world.policies.status();
    assert_eq!((digest(), status.digest, status.failures), (second.clone(), second.clone(), 1));
    assert_eq!(status.failure.unwrap().code, "HPC-POL-0004");
    two_rounds(&world).await;
    assert_eq!(world.policies.status().failures, 1, "the same mistake is one alarm");
    let said = entries(&world, "policy.refused").await;
    assert_eq!((said.len(), &said[0].data["code"]), (1, &Value::from("HPC-POL-0004")));

    // No directory at all is no empty set.
    std::fs::rename(place.at("policies"), place.at("away")).unwrap();
    two_rounds(&world).await;
    let status = world.policies.status();
    assert_eq!((digest(), status.failures), (second.clone(), 2));
    assert_eq!(status.failure.unwrap().code, "HPC-USG-0005");
    std::fs::rename(place.at("away"), place.at("policies")).unwrap();
    place.put(|text| longest(&text, 48));
    world.policies.round().await;
    assert_eq!(
        (digest(), world.policies.status().failure),
        (second, None),
        "what is in force is there again"
    );
    close(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_bundle_is_refused_also_after_a_restart() {
    let place = Place::new();
    let file = place.at("current.bundle");
    std::fs::write(&file, place.bundle("production", 2, 48)).unwrap();
    let world = World::open(place.signed()).await.unwrap();
    let digest = || world.broker.policies().digest().to_owned();
    let second = digest();
    let loaded = entries(&world, "policy.loaded").await;
    assert_eq!(
        (&loaded[0].data["source"], &loaded[0].data["sequence"], &loaded[0].data["signer"]),
        (&"bundle".into(), &2.into(), &signer(7).verifier_key().to_string().into())
    );
    // Each with the same content as what comes later, so that nothing but what is named is wrong with it.
    let mut torn = place.bundle("production", 3, 24);
    torn.truncate(torn.len() - 1);
    let mut changed = place.bundle("production", 3, 24);
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let stranger = bundle("production", 3, &documents(24), 8);
    for (bytes, expected) in [
        (place.bundle("production", 1, 24), "HPC-POL-0012"),
        (place.bundle("production", 2, 24), "HPC-POL-0012"),
        (place.bundle("staging", 3, 24), "HPC-POL-0012"),
        (torn, "HPC-POL-0010"),
        (changed, "HPC-POL-0010"),
        (stranger, "HPC-POL-0011"),
        (b"spec: 1\n".to_vec(), "HPC-POL-0010"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        two_rounds(&world).await;
        let status = world.policies.status();
        assert_eq!((digest(), status.failure.unwrap().code.as_str()), (second.clone(), expected));
    }
    std::fs::write(&file, place.bundle("production", 3, 24)).unwrap();
    two_rounds(&world).await;
    let third = digest();
    assert!(third != second && world.policies.status().failure.is_none());
    close(world).await;

    std::fs::write(&file, place.bundle("production", 2, 48)).unwrap();
    assert_eq!(code(refused(place.signed()).await), "HPC-POL-0012");
    std::fs::write(&file, place.bundle("production", 3, 24)).unwrap();
    let world = World::open(place.signed()).await.unwrap();
    assert_eq!(world.broker.policies().digest(), third);
    close(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_key_nothing_unsigned_and_without_one_no_bundle() {
    let place = Place::new();
    let directory = WorldOptions { policies: Some(place.at("policies")), ..place.signed() };
    assert_eq!(code(refused(directory).await), "HPC-POL-0013");
    let built_in = WorldOptions { policies: None, ..place.signed() };
    assert_eq!(code(refused(built_in).await), "HPC-POL-0013");
    std::fs::write(place.at("current.bundle"), place.bundle("production", 1, 48)).unwrap();
    let no_key = WorldOptions { policy_key: None, ..place.signed() };
    assert_eq!(code(refused(no_key).await), "HPC-POL-0011");
    std::fs::write(place.at("author.pub"), format!("{}\n", signer(9).verifier_key())).unwrap();
    assert_eq!(code(refused(place.signed()).await), "HPC-POL-0011");
    std::fs::write(place.at("author.pub"), "# none\n").unwrap();
    assert_eq!(code(refused(place.signed()).await), "HPC-USG-0010");
    assert!(!place.at("data").exists(), "nothing was made for a daemon that was not to start");
    std::fs::write(place.at("author.pub"), format!("{}\n", signer(7).verifier_key())).unwrap();
    let world = World::open(place.signed()).await.unwrap();
    close(world).await;
    std::fs::write(place.at("data/policies.json"), "{\"format\":1,").unwrap();
    assert_eq!(code(refused(place.signed()).await), "HPC-DAT-0001");
    std::fs::write(place.at("data/policies.json"), "{\"format\":2}").unwrap();
    assert_eq!(code(refused(place.signed()).await), "HPC-DAT-0006");
}

type Policies = PolicyServiceClient<GrpcChannel>;

async fn policies(daemon: &Daemon, who: &str) -> Policies {
    PolicyServiceClient::new(channel(daemon, ["user", who]).await)
}

fn candidate(documents: Vec<(String, String)>) -> v1::SetCandidateRequest {
    let documents = documents.into_iter().map(|(name, text)| v1::PolicyDocument { name, text });
    v1::SetCandidateRequest { documents: documents.collect(), bundle: Vec::new().into() }
}

fn json(answer: tonic::Response<v1::Document>) -> Value {
    serde_json::from_slice(&answer.into_inner().json).unwrap()
}

/// The document of a change, which is recorded and proves it.
fn recorded(answer: tonic::Response<v1::RecordedDocument>) -> Value {
    let (document, receipts) = answer.into_inner().into_parts();
    assert!(receipts.len() == 1 && receipts[0].proof.starts_with("c2sp.org/tlog-proof@v1\n"), "{receipts:?}");
    serde_json::from_slice(&document.json).unwrap()
}

fn promote(digest: &Value) -> v1::PromoteRequest {
    v1::PromoteRequest { digest: digest.as_str().unwrap().to_owned() }
}

async fn serve(options: WorldOptions) -> Daemon {
    Daemon::start(World::open(options).await.unwrap(), Listen::free()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_is_tried_promoted_and_outlives_restarts_until_the_source_changes() {
    let place = Place::new();
    let daemon = serve(place.unsigned()).await;
    let source = daemon.world.broker.policies().digest().to_owned();
    // An operator may look, and change nothing.
    let mut you = policies(&daemon, "you").await;
    let none = you.show_candidate(v1::ShowCandidateRequest {}).await.unwrap_err();
    assert_eq!(code(none), "HPC-POL-0009");
    let denied = you.set_candidate(candidate(documents(1))).await.unwrap_err();
    assert_eq!(code(denied), "HPC-POL-0001");
    assert_eq!(code(you.reload(v1::ReloadPolicyRequest {}).await.unwrap_err()), "HPC-POL-0001");
    assert_eq!(entries(&daemon.world, "policy.denied").await.len(), 2);

    let mut lead = policies(&daemon, "lead").await;
    let bad = lead.set_candidate(candidate(vec![("a.yaml".to_owned(), "x: 1".to_owned())])).await;
    assert_eq!(code(bad.unwrap_err()), "HPC-POL-0004");
    assert_eq!(code(lead.set_candidate(candidate(Vec::new())).await.unwrap_err()), "HPC-USG-0011");
    let set = recorded(lead.set_candidate(candidate(documents(1))).await.unwrap());
    assert_eq!((&set["active_digest"], &set["decisions"]), (&source.clone().into(), &0.into()));
    assert_eq!(entries(&daemon.world, "policy.candidate_set").await.len(), 1);

    // Two hours are allowed, and the candidate would allow one.
    let holder = person(&daemon.world, "you");
    let request = || hpcd::demo::built_in_request().into_request().unwrap();
    let (plan, _) = daemon.world.broker.plan(&holder, request()).await.unwrap();
    assert!(plan.decision.allowed, "the candidate is not obeyed");
    let report = json(you.show_candidate(v1::ShowCandidateRequest {}).await.unwrap());
    assert_eq!((&report["allow_to_deny"], &report["deny_to_allow"]), (&1.into(), &0.into()), "{report}");
    let difference = &report["recent"][0];
    assert!(difference["number"].as_u64().unwrap() >= 1, "{difference}");
    assert_eq!(
        (&difference["active"]["verdict"], &difference["candidate"]["verdict"]),
        (&"allow".into(), &"deny".into())
    );
    let why = difference["candidate"]["reasons"][0].as_str().unwrap();
    assert!(why.contains("starter/time.max-lease"), "{why}");

    let other = lead.promote(promote(&source.clone().into())).await.unwrap_err();
    assert_eq!(code(other), "HPC-POL-0009");
    assert_eq!(code(you.promote(promote(&report["digest"])).await.unwrap_err()), "HPC-POL-0001");
    let now = recorded(lead.promote(promote(&report["digest"])).await.unwrap());
    assert_eq!((&now["digest"], &now["candidate"]), (&report["digest"], &Value::Null));
    assert!(now["promoted"]["by"].as_str().unwrap().ends_with("/user/lead"), "{now}");
    let (plan, _) = daemon.world.broker.plan(&holder, request()).await.unwrap();
    assert!(!plan.decision.allowed, "what was promoted decides");
    let said = entries(&daemon.world, "policy.promoted").await;
    assert_eq!(said.len(), 2, "the refused attempt with the wrong digest, and the one that was done");
    assert_eq!(
        (&said[1].data["digest"], &said[1].data["before"]),
        (&report["digest"], &source.clone().into())
    );
    assert_eq!(hpc_broker::decisions_in(&said[1].data).len(), 1, "with the decision that permitted it");
    two_rounds(&daemon.world).await;
    assert_eq!(daemon.world.broker.policies().digest(), report["digest"], "the source has not changed");
    daemon.stop().await.unwrap();

    let daemon = serve(place.unsigned()).await;
    assert_eq!(daemon.world.broker.policies().digest(), report["digest"]);
    let loaded = entries(&daemon.world, "policy.loaded").await;
    assert!(loaded.last().unwrap().data["promoted_by"].as_str().unwrap().ends_with("/user/lead"));
    place.put(|text| longest(&text, 36));
    two_rounds(&daemon.world).await;
    let status = daemon.world.policies.status();
    assert!(
        status.promoted.is_none() && status.digest != source && status.digest != report["digest"],
        "{status:?}"
    );
    let changed = status.digest;
    daemon.stop().await.unwrap();
    let daemon = serve(place.unsigned()).await;
    assert_eq!(daemon.world.broker.policies().digest(), changed);

    // Asked for by name, the source counts even if it did not change.
    let mut lead = policies(&daemon, "lead").await;
    let set = recorded(lead.set_candidate(candidate(documents(2))).await.unwrap());
    lead.promote(promote(&set["digest"])).await.unwrap();
    let now = recorded(lead.reload(v1::ReloadPolicyRequest {}).await.unwrap());
    assert_eq!((&now["digest"], &now["promoted"]), (&changed.into(), &Value::Null));
    let set = recorded(lead.set_candidate(candidate(documents(3))).await.unwrap());
    let ended = recorded(lead.clear_candidate(v1::ClearCandidateRequest {}).await.unwrap());
    assert_eq!(ended["digest"], set["digest"]);
    assert_eq!(code(lead.clear_candidate(v1::ClearCandidateRequest {}).await.unwrap_err()), "HPC-POL-0009");
    assert_eq!(code(lead.promote(promote(&set["digest"])).await.unwrap_err()), "HPC-POL-0009");
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_policies_are_signed_an_unsigned_candidate_is_tried_and_never_promoted() {
    let place = Place::new();
    std::fs::write(place.at("current.bundle"), place.bundle("production", 1, 48)).unwrap();
    let daemon = serve(place.signed()).await;
    let first = daemon.world.broker.policies().digest().to_owned();
    let mut lead = policies(&daemon, "lead").await;
    let set = recorded(lead.set_candidate(candidate(documents(1))).await.unwrap());
    let unsigned = lead.promote(promote(&set["digest"])).await.unwrap_err();
    assert_eq!(code(unsigned), "HPC-POL-0013");
    assert_eq!(daemon.world.broker.policies().digest(), first);
    assert_eq!(entries(&daemon.world, "policy.promoted").await[0].data["code"], "HPC-POL-0013");

    let signed = |bytes: Vec<u8>| v1::SetCandidateRequest { documents: Vec::new(), bundle: bytes.into() };
    let stranger = lead.set_candidate(signed(bundle("production", 2, &documents(1), 8))).await;
    assert_eq!(code(stranger.unwrap_err()), "HPC-POL-0011");
    let older = recorded(lead.set_candidate(signed(place.bundle("production", 1, 1))).await.unwrap());
    assert_eq!(code(lead.promote(promote(&older["digest"])).await.unwrap_err()), "HPC-POL-0012");
    let newer = recorded(lead.set_candidate(signed(place.bundle("production", 2, 1))).await.unwrap());
    let now = recorded(lead.promote(promote(&newer["digest"])).await.unwrap());
    assert_eq!((&now["source"]["kind"], &now["source"]["sequence"]), (&"bundle".into(), &2.into()));
    daemon.stop().await.unwrap();

    // The file still has number 1; number 2 is in force, and no other number 2 or lower one will be.
    let daemon = serve(place.signed()).await;
    assert_eq!(daemon.world.broker.policies().digest(), newer["digest"]);
    std::fs::write(place.at("current.bundle"), place.bundle("production", 2, 60)).unwrap();
    two_rounds(&daemon.world).await;
    assert_eq!(daemon.world.policies.status().failure.unwrap().code, "HPC-POL-0012");
    assert_eq!(daemon.world.broker.policies().digest(), newer["digest"]);
    daemon.stop().await.unwrap();
    // What was promoted with a signature does not come into force without the means to check it.
    std::fs::write(place.at("current.bundle"), place.bundle("production", 1, 48)).unwrap();
    let kept = std::fs::read_to_string(place.at("data/policies.json")).unwrap();
    std::fs::write(place.at("data/policies.json"), kept.replacen("value: 1}", "value: 9}", 1)).unwrap();
    assert_eq!(code(refused(place.signed()).await), "HPC-POL-0010");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_kept_is_not_promoted() {
    let place = Place::new();
    let daemon = serve(place.unsigned()).await;
    let first = daemon.world.broker.policies().digest().to_owned();
    let mut lead = policies(&daemon, "lead").await;
    let set = recorded(lead.set_candidate(candidate(documents(1))).await.unwrap());
    // A folder of that name cannot be replaced by a file.
    std::fs::create_dir_all(place.at("data/policies.json/x")).unwrap();
    let failed = lead.promote(promote(&set["digest"])).await.unwrap_err();
    assert_eq!(code(failed), "HPC-DAT-0004");
    assert_eq!(daemon.world.broker.policies().digest(), first);
    assert!(entries(&daemon.world, "policy.promoted").await.is_empty());
    std::fs::remove_dir_all(place.at("data/policies.json")).unwrap();
    let now = recorded(lead.promote(promote(&set["digest"])).await.unwrap());
    assert_eq!(now["digest"], set["digest"], "it is still the candidate, and now it can be kept");
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_recorded_with_the_decision_that_permitted_it() {
    use hpc_rpc::grpc::control::v1::node_service_client::NodeServiceClient;
    let daemon = crate::daemon().await;
    let asked = || v1::JoinTokenRequest { node_name: "gpu-1".to_owned(), ttl: None };
    let mut you = NodeServiceClient::new(channel(&daemon, ["user", "you"]).await);
    you.join_token(asked()).await.unwrap();
    let invited = entries(&daemon.world, "node.invited").await;
    let decided = hpc_broker::decisions_in(&invited[0].data).remove(0).unwrap();
    assert_eq!(decided.question.context().action(), "node.invite");
    let mut lead = NodeServiceClient::new(channel(&daemon, ["user", "lead"]).await);
    assert_eq!(code(lead.join_token(asked()).await.unwrap_err()), "HPC-POL-0001");
    let denied = entries(&daemon.world, "policy.denied").await;
    assert_eq!((denied.len(), denied[0].subjects["node"].as_str()), (1, "gpu-1"));
    daemon.stop().await.unwrap();
}

/// Runs `hpc` with its own runtime, away from this one.
async fn hpc(home: &Path, args: &[&str]) -> (u8, String, String) {
    let (home, args) = (home.to_owned(), args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
    tokio::task::spawn_blocking(move || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let io = hpc::Io { out: &mut out, err: &mut err, input: None };
        let around = hpc::Surroundings { home: Ok(home), now: hpc::now };
        let code = hpc::run(std::iter::once("hpc".to_owned()).chain(args), &around, io);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_running_daemon_is_replayed_with_a_flip_in_each_direction() {
    let place = Place::new();
    let daemon = serve(place.unsigned()).await;
    let contexts = hpcd::context::Contexts::write(&daemon, &place.at("home")).unwrap();
    let holder = person(&daemon.world, "you");
    let request = |hours: u64| {
        hpc_resources::ResourceRequest::new("train")
            .add_gpu_nvidia_h100(8)
            .with_duration_s(hours * 3_600)
            .build()
            .unwrap()
    };
    let (short, _) = daemon.world.broker.plan(&holder, request(2)).await.unwrap();
    let (long, _) = daemon.world.broker.plan(&holder, request(80)).await.unwrap();
    assert!(short.decision.allowed && !long.decision.allowed);
    // Between 3 and 100 hours, instead of at most 72.
    let new = place.at("new");
    std::fs::create_dir(&new).unwrap();
    for (name, text) in documents(100) {
        let text = text.replace(
            "op: gt, value: 100}",
            "op: gt, value: 100}\n      message: too long\n    - name: time.min-lease\n      effect: deny\n      \
             principals: [{type: any}]\n      resources: [{type: gpu, pattern: '**'}]\n      \
             actions: [capacity.request]\n      conditions:\n        - {attribute: context.hours, op: lt, value: 3}",
        );
        std::fs::write(new.join(name), text).unwrap();
    }
    let home = contexts.home().to_owned();
    let args = ["policy", "replay", new.to_str().unwrap(), "-o", "json"];
    let (code, out, err) = hpc(&home, &args).await;
    assert_eq!(code, 1, "{err}");
    let read: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&read["allow_to_deny"], &read["deny_to_allow"], &read["unreadable"]),
        (&1.into(), &1.into(), &0.into())
    );
    assert_eq!((&read["flips"][0]["from"], &read["flips"][1]["from"]), (&"allow".into(), &"deny".into()));
    assert!(read["flips"][0]["reasons_now"][0].as_str().unwrap().contains("time.min-lease"), "{read}");
    assert!(read["flips"][0]["index"].as_u64() < read["flips"][1]["index"].as_u64());
    let same = place.at("policies");
    let (code, out, err) = hpc(&home, &["policy", "replay", same.to_str().unwrap(), "-o", "json"]).await;
    let read: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &read["same"], &read["decisions"]), (0, &2.into(), &2.into()), "{err}");
    assert_eq!(read["candidate"], daemon.world.broker.policies().digest(), "one digest, here and there");
    drop(contexts);
    daemon.stop().await.unwrap();
}
