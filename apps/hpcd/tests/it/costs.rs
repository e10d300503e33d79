//! The cost overview: open leases, ended ones, and only what the caller may see the cost of.

use hpc_rpc::grpc::control::v1::cost_service_client::CostServiceClient;
use hpc_types::control::v1::ShowCostRequest;
use hpcd::daemon::{Daemon, Listen};
use hpcd::world::World;
use serde_json::Value;

use crate::{channel, lease, options, person};

async fn overview(daemon: &Daemon, who: [&str; 2]) -> Value {
    let mut costs = CostServiceClient::new(channel(daemon, who).await);
    let answer = costs.show(ShowCostRequest { lease_id: String::new() }).await.unwrap().into_inner();
    serde_json::from_slice(&answer.json).unwrap()
}

fn leases(overview: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let leases = overview["leases"].as_array().unwrap();
    leases.iter().map(|cost| (text(&cost["lease"]), text(&cost["state"]))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_and_ended_leases_are_shown_to_those_who_may_see_their_cost() {
    // `lead` may read everybody's cost here, but not the leases themselves.
    let policies = tempfile::tempdir().unwrap();
    for (name, text) in hpcd::policies::STARTER {
        std::fs::write(policies.path().join(name), text).unwrap();
    }
    let accounting = r#"
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata: {name: accounting, owner: "team:finance"}
spec:
  rules:
    - name: costs
      effect: allow
      principals: [{type: role, value: gpu-approver}]
      resources: [{type: lease, pattern: "lease/*"}]
      actions: [cost.read]
"#;
    std::fs::write(policies.path().join("accounting.yaml"), accounting).unwrap();
    for (more, seen_by_lead) in [(true, 2), (false, 0)] {
        let mut options = options(None);
        options.policies = more.then(|| policies.path().to_owned());
        let daemon = Daemon::start(World::open(options).await.unwrap(), Listen::free()).await.unwrap();
        let you = person(&daemon.world, "you");
        let ended = lease(&daemon.world, &you).await;
        // Of one moment, chance would order them.
        daemon.world.pass(std::time::Duration::from_secs(1)).unwrap();
        let open = lease(&daemon.world, &you).await;
        daemon.world.broker.release(&you, &ended.id).await.unwrap();
        // The simulated cloud takes a while to end an instance.
        for _ in 0..10 {
            daemon.world.pass(std::time::Duration::from_secs(60)).unwrap();
            daemon.world.reconcile().await.unwrap();
        }
        let seen = overview(&daemon, ["user", "you"]).await;
        let states =
            [(ended.id.to_string(), "released".to_owned()), (open.id.to_string(), "active".to_owned())];
        assert_eq!((leases(&seen), &seen["complete"]), (states.to_vec(), &true.into()), "{seen}");
        let seen = overview(&daemon, ["user", "lead"]).await;
        assert_eq!(leases(&seen).len(), seen_by_lead, "{seen}");
        assert!(leases(&overview(&daemon, ["node", "gpu-1"]).await).is_empty());
        daemon.stop().await.unwrap();
    }
}
