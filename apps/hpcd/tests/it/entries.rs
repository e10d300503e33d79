//! What the audit log says is what its schema and the list of actions promise.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use hpc_audit::{
    AuditLog as _, Commitment, DATA_MAX, Entry, ID_BYTES_MAX, NAME_BYTES_MAX, Outcome, PRINCIPAL_BYTES_MAX,
    SUBJECTS_MAX, export,
};
use hpc_broker::PlanState;
use hpc_resources::ResourceRequest;
use hpcd::daemon::{Daemon, Listen};
use hpcd::policies::STARTER;
use hpcd::world::World;
use jsonschema::{PatternOptions, Validator};
use serde_json::{Value, json};

use crate::{node, options, person};

const ENTRY: &str = include_str!("../../../../ports/hpc-audit/schema/audit-entry-v1.json");
const BUNDLE: &str = include_str!("../../../../ports/hpc-audit/schema/audit-bundle-v1.json");
const ACTIONS: &str = include_str!("../../../../ports/hpc-audit/schema/audit-actions-v1.json");

const LONG: &str = r#"
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata: {name: long, owner: "team:ml"}
spec:
  rules:
    - name: long
      effect: allow
      principals: [{type: role, value: gpu-user}]
      resources: [{type: gpu, pattern: "gpu/*"}]
      actions: [capacity.request]
      conditions: [{attribute: context.hours, op: gt, value: 4}]
      obligations: {require_approval: "role:gpu-approver"}
"#;

fn validator(schema: &str) -> Validator {
    let schema = serde_json::from_str(schema).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::options().offline().with_pattern_options(PatternOptions::regex()).build(&schema).unwrap()
}

fn actions() -> Value {
    serde_json::from_str::<Value>(ACTIONS).unwrap()["actions"].take()
}

/// Every entry fits the schema and its line in the list of actions. Returns the actions seen.
pub fn conform(entries: &[Entry]) -> BTreeSet<String> {
    let (schema, actions) = (validator(ENTRY), actions());
    let mut seen = BTreeSet::new();
    for entry in entries {
        let value: Value = serde_json::from_slice(&entry.encode().unwrap()).unwrap();
        let wrong: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}: {value}");
        let action = &actions[&entry.action];
        assert!(action.is_object(), "`{}` is not in the list of actions", entry.action);
        let named = |field: &str| -> BTreeSet<&str> {
            action[field].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect()
        };
        let subjects: BTreeSet<&str> = entry.subjects.keys().map(String::as_str).collect();
        assert!(subjects.is_superset(&named("subjects")), "{value}");
        let more = subjects.difference(&named("subjects")).count() as u64;
        assert!(more <= action["more_subjects"].as_u64().unwrap_or(0), "{value}");
        let data: BTreeSet<&str> = entry.data.keys().map(String::as_str).collect();
        assert!(data.is_superset(&named("data")), "{value}");
        let known: BTreeSet<&str> = named("data").union(&named("optional")).copied().collect();
        assert!(data.is_subset(&known), "{:?} are not in the list: {value}", data.difference(&known));
        for (field, found) in &entry.data {
            let is_commitment = found.as_str().is_some_and(|text| text.parse::<Commitment>().is_ok());
            assert_eq!(is_commitment, named("committed").contains(field.as_str()), "{field}: {value}");
        }
        seen.insert(entry.action.clone());
    }
    seen
}

/// The first offer creates and never answers: the next one is tried beside it, and the log tells of both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tries_at_once_are_on_the_record_with_the_one_that_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let story = folder.path().join("silent.yaml");
    std::fs::write(&story, "script: {rules: [{call: provision, effect: hang-after, times: 1}]}\n").unwrap();
    let mut options = options(Some(&folder.path().join("data")));
    options.story = story.display().to_string();
    let world = World::open(options).await.unwrap();
    let you = person(&world, "you");
    let request = ResourceRequest::new("r").add_gpu_nvidia_h100(8).with_hedge_s(20).build().unwrap();
    let (plan, _) = world.broker.plan(&you, request).await.unwrap();
    let tried = AtomicBool::new(false);
    let sink = |step: hpc_broker::Progress| {
        // Time passes while the first try is the only one.
        match step {
            hpc_broker::Progress::Trying { .. } => tried.store(true, Ordering::Relaxed),
            hpc_broker::Progress::Hedging { .. } => tried.store(false, Ordering::Relaxed),
            _ => {}
        }
    };
    let passes = async {
        loop {
            tokio::task::yield_now().await;
            if tried.load(Ordering::Relaxed) {
                world.pass(std::time::Duration::from_secs(1)).unwrap();
            }
        }
    };
    let apply = async { world.broker.apply(&you, &plan.plan.id, &sink).await };
    let lease = tokio::select! {
        applied = apply => applied.unwrap().lease,
        () = passes => unreachable!("it never ends"),
    };
    assert_eq!(lease.hedges.len(), 1, "{lease:#?}");
    assert_eq!(world.sim.live_instances().len(), 2);
    for _ in 0..10 {
        world.pass(std::time::Duration::from_secs(60)).unwrap();
        world.reconcile().await.unwrap();
    }
    assert_eq!(world.sim.live_instances().len(), 1);
    let size = usize::try_from(world.audit.size()).unwrap();
    let entries = world.audit.entries(0, size).await.unwrap();
    let entries: Vec<Entry> = entries.into_iter().map(|recorded| recorded.entry).collect();
    assert!(conform(&entries).contains("intent.overtaken"));
    let of = |action: &str, intent: &hpc_resources::IntentId| {
        let found = entries.iter().find(|entry| {
            entry.action == action && entry.subjects.get("intent") == Some(&intent.to_string())
        });
        found.unwrap_or_else(|| panic!("{action} of {intent}")).clone()
    };
    let (first, second) = (&lease.hedges[0].first.intent, &lease.hedges[0].second.intent);
    assert_eq!(of("intent.recorded", second).data["beside"], json!(first.as_str()));
    assert_eq!(of("intent.recorded", second).data["after_s"], json!(20));
    assert_eq!(of("intent.overtaken", first).data["kept"], json!(second.as_str()));
    of("intent.acknowledged", second);
    of("intent.released", first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_daemon_writes_is_as_promised_and_holds_nothing_that_a_person_wrote() {
    let folder = tempfile::tempdir().unwrap();
    // The starter set, and one more rule: what is long needs a person.
    let policies = tempfile::tempdir().unwrap();
    for (name, text) in STARTER.iter().copied().chain([("long.yaml", LONG)]) {
        std::fs::write(policies.path().join(name), text).unwrap();
    }
    let mut options = options(Some(folder.path()));
    options.policies = Some(policies.path().to_owned());
    let world = World::open(options).await.unwrap();
    let daemon = Daemon::start(world, Listen::free()).await.unwrap();
    let (world, broker) = (&daemon.world, &daemon.world.broker);
    let (you, lead) = (person(world, "you"), person(world, "lead"));
    let canary = "canary-4711";
    let request = |hours: u64, gpus: u32| {
        ResourceRequest::new(format!("{canary} name"))
            .add_gpu_nvidia_h100(gpus)
            .with_duration_s(hours * 3_600)
            .with_instances_max(64)
            .with_purpose(format!("{canary} purpose"))
            .with_label("who", format!("{canary} label"))
            .build()
            .unwrap()
    };
    // Allowed, denied, waiting for a person; taken and given back; refused; a node let in.
    let (plan, _) = broker.plan(&you, request(2, 8)).await.unwrap();
    broker.plan(&you, request(2, 4_096)).await.unwrap();
    let applied = broker.apply(&you, &plan.plan.id, &hpc_broker::Silent).await.unwrap();
    let (waiting, planned) = broker.plan(&you, request(6, 8)).await.unwrap();
    assert!(matches!(waiting.state, PlanState::AwaitingApproval { .. }), "{:?}", waiting.decision);
    let note = format!("{canary} note");
    let (_, decided) = broker.approve(&lead, &waiting.plan.id, &waiting.hash, true, &note).await.unwrap();
    broker.approve(&you, &waiting.plan.id, &waiting.hash, true, &note).await.unwrap_err();
    node(&daemon, "node-1", &you).await;
    broker.release(&you, &applied.lease.id).await.unwrap();
    // The simulated cloud takes a while to end an instance.
    for _ in 0..10 {
        world.pass(std::time::Duration::from_secs(60)).unwrap();
        world.reconcile().await.unwrap();
    }
    let log = &world.audit;
    let size = usize::try_from(log.size()).unwrap();
    let entries: Vec<Entry> =
        log.entries(0, size).await.unwrap().into_iter().map(|recorded| recorded.entry).collect();
    let seen = conform(&entries);
    for action in
        ["request.planned", "request.approved", "lease.accepted", "lease.released", "intent.recorded"]
    {
        assert!(seen.contains(action), "{action}: {seen:?}");
    }
    assert!(seen.contains("node.joined") && seen.contains("policy.loaded"), "{seen:?}");
    // A bundle fits its schema too.
    let bundle = export(log.as_ref(), 0..log.size()).await.unwrap();
    let value: Value = serde_json::from_str(&bundle.to_json().unwrap()).unwrap();
    let wrong: Vec<String> = validator(BUNDLE).iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    // Whoever has the opening can prove the value; whoever forgets it has a log that says nothing.
    let find = |id: &str| entries.iter().find(|entry| entry.id == id).unwrap();
    for (id, field, want) in [
        (&planned[0].id, "request.purpose", format!("{canary} purpose")),
        (&planned[0].id, "request.name", format!("{canary} name")),
        (&planned[0].id, "request.labels", json!({"who": format!("{canary} label")}).to_string()),
        (&decided[0].id, "note", note.clone()),
    ] {
        let openings = broker.openings(id).await.unwrap().unwrap();
        let opening = openings.get(field).unwrap();
        assert_eq!(opening.value(), want);
        let commitment: Commitment = find(id).data[field].as_str().unwrap().parse().unwrap();
        assert!(commitment.opens(field, opening.value(), opening.salt()));
    }
    broker.forget_openings(&decided[0].id).await.unwrap();
    assert_eq!(broker.openings(&decided[0].id).await.unwrap(), None);
    daemon.stop().await.unwrap();
    let mut looked_at = 0;
    let mut folders = vec![folder.path().join("audit")];
    while let Some(next) = folders.pop() {
        for file in std::fs::read_dir(next).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(canary.len()).any(|part| part == canary.as_bytes()), "{}", path.display());
            looked_at += usize::from(!bytes.is_empty());
        }
    }
    assert!(looked_at >= 4, "key, checkpoint, tail and tiles");
}

#[test]
fn the_schema_has_the_limits_of_the_code() {
    let schema = validator(ENTRY);
    let at = "2026-11-23T15:00:00.5Z".parse().unwrap();
    let entry = |id: usize, principal: usize, action: usize| {
        Entry::new("i".repeat(id), at, "p".repeat(principal), "a".repeat(action), Outcome::Ok)
    };
    let many = |subjects: usize, data: usize| {
        let entry = (0..subjects).fold(entry(1, 1, 1), |entry, n| entry.subject(format!("s{n}"), "x"));
        (0..data).fold(entry, |entry, n| entry.with(format!("d{n}"), u64::MAX))
    };
    for (good, bad) in [
        (entry(ID_BYTES_MAX, 1, 1), entry(ID_BYTES_MAX + 1, 1, 1)),
        (entry(1, PRINCIPAL_BYTES_MAX, 1), entry(1, PRINCIPAL_BYTES_MAX + 1, 1)),
        (entry(1, 1, NAME_BYTES_MAX), entry(1, 1, NAME_BYTES_MAX + 1)),
        (many(SUBJECTS_MAX, DATA_MAX), many(SUBJECTS_MAX + 1, 0)),
        (many(0, DATA_MAX), many(0, DATA_MAX + 1)),
        (entry(1, 1, 1).with("x", i64::MIN), entry(1, 1, 1).with("x", 0.5)),
        (entry(1, 1, 1).with("x", "tab\t"), entry(1, 1, 1).with("x", json!([1]))),
        (entry(1, 1, 1).with("a.b-c_1", 1), entry(1, 1, 1).with("a..b", 1)),
        (entry(1, 1, 1).subject("a", "b c"), entry(1, 1, 1).subject("a", "b\u{9f}c")),
    ] {
        let bytes = good.encode().unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(schema.is_valid(&value), "{value}");
        assert!(bad.encode().is_err(), "{bad:?}");
        // The same document with the fields of the bad entry, as a stranger might write it.
        let value = json!({
            "action": bad.action, "at": value["at"], "data": bad.data, "dev": false, "id": bad.id, "outcome": "ok",
            "principal": bad.principal, "simulated": false, "subjects": bad.subjects, "v": 1,
        });
        assert!(!schema.is_valid(&value), "{value}");
    }
    let value: Value = serde_json::from_slice(&entry(1, 1, 1).encode().unwrap()).unwrap();
    for (field, wrong) in [
        ("v", json!(2)),
        ("outcome", json!("maybe")),
        ("at", json!("2026-11-23T15:00:00.50Z")),
        ("at", json!("2026-11-23T16:00:00+01:00")),
        ("data", json!({"x": "commit:v1:short"})),
        ("more", json!(1)),
    ] {
        let mut value = value.clone();
        value[field] = wrong;
        assert!(!schema.is_valid(&value), "{value}");
    }
}
