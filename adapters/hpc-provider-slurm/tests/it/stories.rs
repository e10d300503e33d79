//! What the suite does not ask: several processes, parts of a job, words of Slurm, races.

use std::sync::Arc;

use hpc_provider::{CapacityProvider, Certainty, ErrorKind, InstancePhase, Observe, ProvisionSpec, Released};
use hpc_provider_slurm::{Cluster, OBSERVE_MAX, Output, Program, SlurmProvider};
use hpc_resources::{Offer, StockHint};
use serde_json::json;

use crate::rig::{Fault, Faulty, cluster, document, one_h100, one_h100_for, provider_id, quote, spec};
use crate::stub::StubSlurm;

struct Story {
    slurm: Arc<StubSlurm>,
    commands: Arc<Faulty>,
    provider: SlurmProvider,
}

fn story_with(cluster: Cluster) -> Story {
    let slurm = StubSlurm::new();
    let commands = Faulty::new(slurm.clone());
    let told = Arc::clone(&slurm);
    let clock = Arc::new(move || told.now());
    let provider = SlurmProvider::new(provider_id("hall"), cluster, commands.clone(), clock);
    Story { slurm, commands, provider }
}

fn story() -> Story {
    story_with(cluster(0))
}

impl Story {
    async fn offers(&self, seconds: u64) -> Vec<Offer> {
        self.provider.get_quote(&quote(one_h100_for(seconds), self.slurm.now())).await.unwrap().offers
    }

    async fn spec(&self, number: u128, instances: u32) -> ProvisionSpec {
        let request = quote(one_h100(), self.slurm.now());
        let offer = self.provider.get_quote(&request).await.unwrap().offers.remove(0);
        spec(&offer, number, instances, self.slurm.now())
    }

    async fn live(&self) -> usize {
        self.provider.list_owned("suite", None).await.unwrap().instances.len()
    }
}

#[tokio::test]
async fn a_partition_is_offered_for_leases_that_its_limit_allows() {
    let story = story();
    let zones =
        |offers: Vec<Offer>| offers.into_iter().map(|offer| offer.zone.to_string()).collect::<Vec<_>>();
    assert_eq!(zones(story.offers(600).await), ["gpu", "short"]);
    assert_eq!(zones(story.offers(601).await), ["gpu"]);
    let mut own = document(0);
    own["partitions"]["gpu"]["time_limit_min"] = json!(5);
    let limited = story_with(Cluster::check(serde_json::from_value(own).unwrap()).unwrap());
    assert_eq!(zones(limited.offers(301).await), ["short"]);
}

#[tokio::test]
async fn a_full_partition_says_so_and_a_shape_that_fits_no_node_is_not_offered() {
    let story = story();
    let whole = story.spec(1, 8).await;
    story.provider.provision(&whole).await.unwrap();
    assert!(story.offers(60).await.iter().all(|offer| offer.stock == StockHint::Unlikely));
    let mut large = document(0);
    large["partitions"]["gpu"]["shapes"]["h100-1"]["gpus"]["count"] = json!(9);
    let large = story_with(Cluster::check(serde_json::from_value(large).unwrap()).unwrap());
    assert!(large.offers(60).await.iter().all(|offer| offer.zone.as_str() != "gpu"));
}

#[tokio::test]
async fn a_job_ends_with_the_last_of_its_instances() {
    let story = story();
    let made = story.provider.provision(&story.spec(1, 3).await).await.unwrap().handles;
    assert_eq!(story.provider.release(&made[1]).await.unwrap(), Released::InProgress);
    assert_eq!(story.provider.release(&made[1]).await.unwrap(), Released::InProgress);
    let phases = || async {
        let states = story.provider.observe(&Observe::Handles(made.clone())).await.unwrap();
        states.iter().map(|state| state.phase).collect::<Vec<_>>()
    };
    use InstancePhase::{Running, Stopping, Terminated};
    assert_eq!(phases().await, [Running, Stopping, Running]);
    story.provider.release(&made[0]).await.unwrap();
    assert_eq!(story.provider.release(&made[2]).await.unwrap(), Released::Released);
    assert_eq!(phases().await, [Terminated; 3]);
    assert_eq!(story.provider.release(&made[0]).await.unwrap(), Released::AlreadyGone);
    assert!(story.provider.interruptions(None).await.unwrap().events.is_empty(), "the owner ended it");
}

/// A crash between the mark and the cancel: the next release cancels.
#[tokio::test]
async fn a_release_that_broke_off_is_finished_by_the_next() {
    let story = story();
    let made = story.provider.provision(&story.spec(1, 1).await).await.unwrap().handles;
    story.commands.next(Program::Scancel, Fault::LostBefore);
    let error = story.provider.release(&made[0]).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::Unknown);
    assert_eq!(story.live().await, 1);
    assert_eq!(story.provider.release(&made[0]).await.unwrap(), Released::Released);
    assert_eq!(story.live().await, 0);
}

/// Slurm counts its jobs from one again after some 67 million; a late release must not end a stranger's.
#[tokio::test]
async fn a_number_that_was_used_again_is_not_ours() {
    let story = story();
    let made = story.provider.provision(&story.spec(1, 1).await).await.unwrap().handles;
    story.provider.release(&made[0]).await.unwrap();
    story.slurm.with(|state| state.jobs.clear());
    let successor = story.provider.provision(&story.spec(2, 1).await).await.unwrap().handles;
    assert_ne!(successor[0].id, made[0].id, "the same number, another token");
    assert_eq!(story.provider.release(&made[0]).await.unwrap(), Released::AlreadyGone);
    assert_eq!(story.live().await, 1);
}

/// Two processes that submit one token: the second job may not start, is cancelled, and the first is the answer.
#[tokio::test]
async fn one_token_of_two_processes_creates_once() {
    let story = story();
    let spec = story.spec(1, 2).await;
    // The second process looked before the first had submitted.
    story.commands.next(Program::Squeue, Fault::Says(Output::default()));
    let (first, second) = {
        let first = story.provider.provision(&spec).await.unwrap();
        story.commands.next(Program::Squeue, Fault::Says(Output::default()));
        (first, story.provider.provision(&spec).await.unwrap())
    };
    assert_eq!(first.handles, second.handles);
    assert!(second.replayed);
    assert_eq!(story.commands.calls(Program::Sbatch).len(), 2);
    assert_eq!(story.live().await, 2);
    let other = ProvisionSpec { instances: 1, ..spec };
    story.commands.next(Program::Squeue, Fault::Says(Output::default()));
    let error = story.provider.provision(&other).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Conflict, Certainty::NotDone));
    assert_eq!(story.live().await, 2);
}

#[tokio::test]
async fn a_job_that_would_never_start_is_given_up_at_once() {
    for (reason, kind, code) in [
        ("PartitionTimeLimit", ErrorKind::Config, "PartitionTimeLimit"),
        ("AssocGrpGRES", ErrorKind::Quota, "AssocGrpGRES"),
        ("Priority", ErrorKind::Capacity, "Priority"),
    ] {
        // Were it not hopeless it would be waited for.
        let story = story_with(cluster(if kind == ErrorKind::Capacity { 0 } else { 45 }));
        story.slurm.with(|state| state.held_for = Some(reason));
        let error = story.provider.provision(&story.spec(1, 1).await).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str(), error.certainty), (kind, code, Certainty::NotDone));
        assert_eq!(story.live().await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_is_waited_for_as_long_as_the_settings_say() {
    let story = story_with(cluster(15));
    story.slurm.with(|state| state.held_for = Some("Resources"));
    let begun = tokio::time::Instant::now();
    let error = story.provider.provision(&story.spec(1, 1).await).await.unwrap_err();
    assert_eq!((error.kind, begun.elapsed().as_secs()), (ErrorKind::Capacity, 15));
    // One that starts in time is taken.
    let spec = story.spec(2, 1).await;
    let free = async {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        story.slurm.with(|state| state.held_for = None);
    };
    let (made, ()) = tokio::join!(story.provider.provision(&spec), free);
    assert_eq!(made.unwrap().handles.len(), 1);
}

/// It starts at the moment in which it is given up: then it has started.
#[tokio::test]
async fn a_job_that_starts_while_it_is_given_up_is_kept() {
    let story = story();
    story.slurm.with(|state| state.held_for = Some("Resources"));
    story.commands.next(Program::Scancel, Fault::Says(Output::default()));
    let spec = story.spec(1, 1).await;
    let start = async {
        while story.commands.calls(Program::Scancel).is_empty() {
            tokio::task::yield_now().await;
        }
        story.slurm.with(|state| state.held_for = None);
    };
    let (made, ()) = tokio::join!(story.provider.provision(&spec), start);
    assert_eq!(made.unwrap().handles.len(), 1);
    assert_eq!(story.live().await, 1);
}

#[tokio::test]
async fn slurms_words_become_kinds_and_certainties() {
    for (stderr, kind, code, certainty) in [
        (
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            ErrorKind::Internal,
            "ControllerDown",
            Certainty::Unknown,
        ),
        (
            "sbatch: error: Munge encode failed: Failed to access",
            ErrorKind::Internal,
            "MungeDown",
            Certainty::NotDone,
        ),
        (
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)",
            ErrorKind::Quota,
            "QosPolicy",
            Certainty::NotDone,
        ),
        ("sbatch: error: something new", ErrorKind::Internal, "SlurmError", Certainty::Unknown),
    ] {
        let story = story();
        story.commands.says(Program::Sbatch, stderr);
        let error = story.provider.provision(&story.spec(1, 1).await).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str(), error.certainty), (kind, code, certainty), "{stderr}");
    }
    // A number that is none: it may have been submitted.
    let story = story();
    story
        .commands
        .next(Program::Sbatch, Fault::Says(Output { stdout: "ok".to_owned(), ..Output::default() }));
    let error = story.provider.provision(&story.spec(1, 1).await).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.certainty), ("UnknownAnswer", Certainty::Unknown));
    // A list that fails says nothing of an earlier try.
    story.commands.says(Program::Squeue, "slurm_load_jobs error: Unable to contact slurm controller");
    let error = story.provider.provision(&story.spec(1, 1).await).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::Unknown);
    assert!(error.is_retriable());
    story.commands.says(Program::Squeue, "slurm_load_jobs error: Unable to contact slurm controller");
    let error = story.provider.list_owned("suite", None).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::NotDone);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_submitted() {
    let story = story();
    let good = story.spec(1, 1).await;
    let mut long = good.clone();
    long.tags.insert("note".to_owned(), "x".repeat(1_024));
    let mut spot = good.clone();
    spot.offer.kind = hpc_resources::OfferKind::Spot;
    let mut elsewhere = good.clone();
    elsewhere.offer.zone = hpc_resources::ZoneId::parse("no-such").unwrap();
    let mut theirs = good.clone();
    theirs.offer.provider = provider_id("lab");
    let ceiling = Some("1.99 USD".parse().unwrap());
    for (spec, code) in [
        (ProvisionSpec { instances: 0, ..good.clone() }, "Count"),
        (ProvisionSpec { instances: 257, ..good.clone() }, "Count"),
        (ProvisionSpec { user_data_ref: Some("vault:x".to_owned()), ..good.clone() }, "UserData"),
        (ProvisionSpec { price_ceiling: ceiling, ..good.clone() }, "PriceAboveCeiling"),
        (long, "Tags"),
        (spot, "NotInCluster"),
        (elsewhere, "NotInCluster"),
        (theirs, "OtherProvider"),
    ] {
        let error = story.provider.provision(&spec).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.certainty), (code, Certainty::NotDone));
    }
    assert!(story.commands.calls(Program::Sbatch).is_empty());
    let handle = hpc_provider::InstanceHandle {
        provider: provider_id("hall"),
        region: good.offer.region.clone(),
        id: "1.0.0".to_owned(),
    };
    let many = Observe::Handles(vec![handle.clone(); OBSERVE_MAX + 1]);
    assert_eq!(story.provider.observe(&many).await.unwrap_err().code, "TooManyHandles");
    assert!(story.provider.observe(&Observe::Handles(vec![handle; OBSERVE_MAX])).await.unwrap().is_empty());
    assert_eq!(story.provider.list_owned("suite", Some("2".to_owned())).await.unwrap_err().code, "Page");
}

/// A price of which nobody knows anything is shown and not bought; free is free only where somebody wrote it.
#[tokio::test]
async fn an_unknown_price_is_never_bought() {
    let priced = |text: &str| {
        let mut document = document(0);
        document["partitions"]["gpu"]["shapes"]["h100-1"]["price"] = json!(text);
        story_with(Cluster::check(serde_json::from_value(document).unwrap()).unwrap())
    };
    let unknown = priced("unknown");
    let offer = unknown.offers(60).await.remove(0);
    assert_eq!(offer.price, None);
    let costly = story().spec(1, 1).await;
    let error = unknown.provider.provision(&costly).await.unwrap_err();
    assert_eq!(error.code, "PriceUnknown");
    let free = priced("free");
    assert_eq!(free.offers(60).await.remove(0).price.unwrap().0.nanos(), 0);
    free.provider.provision(&free.spec(1, 1).await).await.unwrap();
}

/// Somebody wrote over the comment of a job of ours: the list no longer vouches for itself.
#[tokio::test]
async fn an_unreadable_job_is_neither_listed_nor_taken_for_gone() {
    let story = story();
    let spec = story.spec(1, 1).await;
    let handle = story.provider.provision(&spec).await.unwrap().handles.remove(0);
    assert!(story.provider.list_owned("suite", None).await.unwrap().complete);
    story.slurm.with(|state| state.jobs[0].comment = "see ticket 7".to_owned());
    let page = story.provider.list_owned("suite", None).await.unwrap();
    assert!(page.instances.is_empty() && !page.complete);
    let tag = Observe::Tag { key: "hpc-owner".to_owned(), value: "suite".to_owned() };
    for what in [Observe::Handles(vec![handle.clone()]), tag] {
        assert!(story.provider.observe(&what).await.unwrap_err().message.contains("comment"));
    }
    assert_eq!(story.provider.release(&handle).await.unwrap_err().certainty, Certainty::Unknown);
    assert_eq!(story.provider.provision(&spec).await.unwrap_err().certainty, Certainty::Unknown);
    assert_eq!(story.slurm.with(|state| state.jobs.len()), 1, "nothing is submitted beside it");
    // Others are not touched by it.
    let other = story.provider.provision(&story.spec(2, 1).await).await.unwrap().handles.remove(0);
    assert_eq!(story.provider.observe(&Observe::Handles(vec![other])).await.unwrap().len(), 1);
}

/// A refused submission leaves a record in Slurm; it never was an instance, and its token is still new.
#[tokio::test]
async fn the_record_of_a_refused_job_is_no_instance() {
    let mut large = document(0);
    large["partitions"]["gpu"]["shapes"]["h100-1"]["gpus"]["count"] = json!(9);
    let story = story_with(Cluster::check(serde_json::from_value(large).unwrap()).unwrap());
    let mut spec = story_with(cluster(0)).spec(1, 1).await;
    spec.offer.accelerators.as_mut().unwrap().count = 9;
    for _ in 0..2 {
        let error = story.provider.provision(&spec).await.unwrap_err();
        assert_eq!((error.kind, error.certainty), (ErrorKind::Config, Certainty::NotDone));
    }
    let what = Observe::Tag { key: "hpc-owner".to_owned(), value: "suite".to_owned() };
    assert!(story.provider.observe(&what).await.unwrap().is_empty());
}
