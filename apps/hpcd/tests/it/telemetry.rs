//! Which measurements are believed: a lease can be ended for them.

use hpc_agent::{Collector, Joined, SimulatedGpus, Stream};
use hpc_types::telemetry::v1::BatchAck;
use hpcd::clock::wall_now;
use jiff::SignedDuration;

use crate::{daemon, lease, node, person};

/// One batch of 8 GPUs and the host, `ago` old.
async fn report(node: &Joined, lease: &str, ago: SignedDuration) -> BatchAck {
    let name = node.id.segments().last().unwrap().to_owned();
    let mut collector = Collector::new(name).with_devices(SimulatedGpus::new(7, 8)).with_lease(lease);
    let mut stream = Stream::open(node).await.unwrap();
    let ack = stream.send(&collector.collect(wall_now() - ago)).await.unwrap();
    stream.close().await;
    ack
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_reports_for_leases_of_whoever_invited_it() {
    let daemon = daemon().await;
    let (you, lead) = (person(&daemon.world, "you"), person(&daemon.world, "lead"));
    let [mine, other] = [lease(&daemon.world, &you).await, lease(&daemon.world, &you).await];
    let named = |id: &hpc_resources::LeaseId| format!("node-{}", id.as_str().replace('_', "-"));
    let refused = |ack: &BatchAck| ack.accepted_count == 0 && ack.rejected_count >= 8;
    let now = SignedDuration::ZERO;

    let free = node(&daemon, "gpu-1", &you).await;
    for id in ["", mine.id.as_str(), other.id.as_str()] {
        let ack = report(&free, id, now).await;
        assert!(ack.accepted_count >= 8 && ack.rejected_count == 0, "`{id}`: {ack:?}");
    }
    for id in ["lse_00000000000000000000000001", "nonsense"] {
        let ack = report(&free, id, now).await;
        assert!(refused(&ack) && !ack.reason.is_empty(), "{ack:?}");
    }

    // Invited by somebody else: for no lease of mine, by whatever name; of itself it may tell.
    let strangers = [node(&daemon, "gpu-2", &lead).await, node(&daemon, &named(&mine.id), &lead).await];
    for stranger in &strangers {
        let ack = report(stranger, mine.id.as_str(), now).await;
        assert!(refused(&ack) && ack.reason.contains("no active lease"), "{ack:?}");
        assert!(report(stranger, "", now).await.accepted_count >= 8);
    }

    // Named for one lease: for that one alone.
    let bound = node(&daemon, &named(&other.id), &you).await;
    assert!(report(&bound, other.id.as_str(), now).await.accepted_count >= 8);
    assert!(refused(&report(&bound, mine.id.as_str(), now).await));

    // What drains still measures, and is told to take no new work.
    assert_eq!(report(&free, mine.id.as_str(), now).await.drain_until, None);
    let drained = daemon.world.broker.drain(&you, &mine.id, 600).await.unwrap().lease;
    let ack = report(&free, mine.id.as_str(), now).await;
    let until = hpc_types::time::to_proto(drained.drain.unwrap().until).unwrap();
    assert!(ack.accepted_count >= 8 && ack.drain_until == Some(until), "{ack:?}");
    assert_eq!(report(&free, other.id.as_str(), now).await.drain_until, None);

    // What has ended takes no more measurements.
    daemon.world.broker.release(&you, &mine.id).await.unwrap();
    assert!(refused(&report(&free, mine.id.as_str(), now).await));
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_from_before_the_stream_is_believed() {
    let daemon = daemon().await;
    let you = person(&daemon.world, "you");
    let mine = lease(&daemon.world, &you).await;
    let node = node(&daemon, "gpu-1", &you).await;
    for (seconds, believed) in [(1, true), (50, true), (70, false), (3_600, false)] {
        let ack = report(&node, mine.id.as_str(), SignedDuration::from_secs(seconds)).await;
        assert_eq!(ack.accepted_count > 0, believed, "{seconds} s: {ack:?}");
        assert_eq!(ack.rejected_count >= 8 && ack.reason.contains("observed_at"), !believed, "{ack:?}");
    }
    daemon.stop().await.unwrap();
}
