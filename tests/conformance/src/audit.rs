//! The contract of the `audit` port, one case per sentence.
//!
//! Every case gets a log that is empty and that nobody else writes to.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a case fails by panicking, with the broken sentence as its name"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use hpc_audit::{
    APPEND_ENTRIES_MAX, AuditError, AuditLog, Checkpoint, ENTRIES_LIMIT_MAX, Entry, Outcome, Receipt,
    ReceiptError, SEARCH_LIMIT_MAX, Search, SignedCheckpoint, TlogPolicy, export, prove, verify_bundle,
    verify_receipt, verify_receipt_with,
};
use jiff::Timestamp;

/// Makes one test for each case. Takes an expression of a future that gives `(Arc<dyn AuditLog>, guard)`: an empty log,
/// and whatever must live as long as it.
#[macro_export]
macro_rules! audit_log {
    ($factory:expr) => {
        mod audit_log_contract {
            #[allow(unused_imports, reason = "the factory may need nothing from around it")]
            use super::*;

            $crate::audit_log!(@cases $factory;
                one_receipt_for_each_entry_in_the_order_given,
                indices_have_no_gaps,
                all_of_the_entries_are_recorded_or_none,
                no_entries_is_fine_and_records_nothing,
                too_many_entries_are_refused,
                an_id_already_recorded_gets_its_old_receipt,
                an_id_twice_in_one_call_is_recorded_once,
                concurrent_appends_are_each_recorded_once,
                concurrent_appends_of_one_id_agree,
                an_empty_log_has_a_checkpoint,
                a_checkpoint_covers_every_acknowledged_entry,
                checkpoints_never_go_back_and_are_consistent,
                a_head_covers_every_acknowledged_entry,
                heads_never_go_back_and_are_consistent_with_checkpoints,
                receipts_are_proved_under_one_head,
                receipts_out_of_range_are_not_proved,
                entries_come_back_as_they_were_appended,
                entries_out_of_range_are_refused,
                every_inclusion_at_every_size_holds,
                every_consistency_holds,
                proofs_out_of_range_are_refused,
                search_finds_by_every_condition,
                search_says_what_it_covered,
                search_finds_what_is_far_apart,
                search_passes_over_no_hit,
                search_limits_are_refused,
                an_export_holds,
                an_export_out_of_range_is_refused,
                many_entries_keep_their_proofs,
            );
        }
    };
    (@cases $factory:expr; $($case:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (log, _guard) = ($factory).await;
                $crate::audit::$case(&log).await;
            }
        )+
    };
}

type Log = Arc<dyn AuditLog>;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_763_900_000 + second).unwrap()
}

fn entry(n: i64) -> Entry {
    Entry::new(format!("id-{n}"), at(n), "alice", "lease.active", Outcome::Ok)
        .subject("lease", format!("lse_{n}"))
        .with("n", n)
}

async fn fill(log: &Log, count: i64) {
    for chunk in (0..count).collect::<Vec<_>>().chunks(APPEND_ENTRIES_MAX) {
        log.append(chunk.iter().map(|n| entry(*n)).collect()).await.unwrap();
    }
}

async fn root_at(log: &Log, size: u64) -> hpc_audit::Hash {
    let mut leaves = Vec::new();
    while (leaves.len() as u64) < size {
        leaves.extend(log.entries(leaves.len() as u64, ENTRIES_LIMIT_MAX).await.unwrap());
    }
    leaves.truncate(size as usize);
    let hashes: Vec<_> = leaves.iter().map(|leaf| Entry::leaf_hash(&leaf.entry.encode().unwrap())).collect();
    assert!(leaves.iter().zip(&hashes).all(|(leaf, hash)| leaf.leaf_hash == *hash));
    hpc_audit::PROFILE.root_of(&hashes)
}

/// One receipt comes back for each entry, in the order given.
pub async fn one_receipt_for_each_entry_in_the_order_given(log: &Log) {
    let entries = vec![entry(3), entry(1), entry(2)];
    let receipts = log.append(entries.clone()).await.unwrap();
    for (position, (receipt, entry)) in receipts.iter().zip(&entries).enumerate() {
        assert_eq!(receipt.id, entry.id);
        assert_eq!(receipt.index, position as u64);
        assert_eq!(receipt.size_at_least, receipt.index + 1);
        assert_eq!(receipt.leaf_hash, Entry::leaf_hash(&entry.encode().unwrap()));
        assert_eq!(receipt.log, log.verifier_key().name());
        assert!(!receipt.repeated);
    }
    assert_eq!((receipts.len(), log.size()), (3, 3));
}

/// Indices count up from 0 over all calls.
pub async fn indices_have_no_gaps(log: &Log) {
    let mut seen = Vec::new();
    for call in 0..10 {
        let entries = (0..call).map(|n| entry(call * 100 + n)).collect();
        seen.extend(log.append(entries).await.unwrap().into_iter().map(|receipt| receipt.index));
    }
    assert_eq!(seen, (0..45).collect::<Vec<_>>());
}

/// When one entry is refused, none of the call is recorded.
pub async fn all_of_the_entries_are_recorded_or_none(log: &Log) {
    let mut bad = entry(2);
    bad.principal.clear();
    let error = log.append(vec![entry(1), bad, entry(3)]).await.unwrap_err();
    assert!(matches!(error, AuditError::InvalidEntry { ref id, .. } if id == "id-2"), "{error}");
    assert_eq!(log.size(), 0);
    assert!(!log.append(vec![entry(1)]).await.unwrap()[0].repeated);
}

/// Appending nothing gives nothing.
pub async fn no_entries_is_fine_and_records_nothing(log: &Log) {
    assert_eq!(log.append(vec![]).await, Ok(vec![]));
    assert_eq!(log.size(), 0);
}

/// A call over the limit is refused whole.
pub async fn too_many_entries_are_refused(log: &Log) {
    let entries = (0..=APPEND_ENTRIES_MAX as i64).map(entry).collect();
    assert!(matches!(log.append(entries).await, Err(AuditError::TooMuch { .. })));
    let long = |n| entry(n).with("text", "x".repeat(60_000));
    assert!(matches!(log.append((0..200).map(long).collect()).await, Err(AuditError::TooMuch { .. })));
    assert_eq!(log.size(), 0);
    log.append((0..APPEND_ENTRIES_MAX as i64).map(entry).collect()).await.unwrap();
}

/// A recorded id is not recorded again: its old receipt comes back, whatever else the entry says.
pub async fn an_id_already_recorded_gets_its_old_receipt(log: &Log) {
    let first = log.append(vec![entry(1), entry(2)]).await.unwrap();
    let mut changed = entry(2);
    changed.at = at(99);
    changed.outcome = Outcome::Failed;
    let again = log.append(vec![changed, entry(3), entry(1)]).await.unwrap();
    assert_eq!((again[0].index, again[0].leaf_hash, again[0].repeated), (1, first[1].leaf_hash, true));
    assert_eq!((again[1].index, again[1].repeated), (2, false));
    assert_eq!((again[2].index, again[2].leaf_hash, again[2].repeated), (0, first[0].leaf_hash, true));
    assert_eq!(log.size(), 3);
    assert_eq!(log.entries(1, 1).await.unwrap()[0].entry, entry(2));
}

/// The same holds within one call.
pub async fn an_id_twice_in_one_call_is_recorded_once(log: &Log) {
    let receipts = log.append(vec![entry(1), entry(1), entry(2)]).await.unwrap();
    let seen: Vec<_> = receipts.iter().map(|receipt| (receipt.index, receipt.repeated)).collect();
    assert_eq!(seen, [(0, false), (0, true), (1, false)]);
    assert_eq!(log.size(), 2);
}

/// Appends at the same time are each recorded once, those of one call side by side.
pub async fn concurrent_appends_are_each_recorded_once(log: &Log) {
    let tasks: Vec<_> = (0..40i64)
        .map(|task| {
            let log = Arc::clone(log);
            tokio::spawn(
                async move { log.append((0..5).map(|n| entry(task * 10 + n)).collect()).await.unwrap() },
            )
        })
        .collect();
    let mut indices = BTreeSet::new();
    for task in tasks {
        let receipts = task.await.unwrap();
        assert!(receipts.windows(2).all(|pair| pair[0].index + 1 == pair[1].index));
        indices.extend(receipts.iter().map(|receipt| receipt.index));
    }
    assert_eq!(indices, (0..200).collect());
    assert_eq!(log.size(), 200);
}

/// Of many appends of one id at the same time exactly one records it, and all get the same receipt.
pub async fn concurrent_appends_of_one_id_agree(log: &Log) {
    let tasks: Vec<_> = (0..20)
        .map(|second| {
            let log = Arc::clone(log);
            let mut entry = entry(1);
            entry.at = at(second);
            tokio::spawn(async move { log.append(vec![entry]).await.unwrap().remove(0) })
        })
        .collect();
    let mut receipts = Vec::new();
    for task in tasks {
        receipts.push(task.await.unwrap());
    }
    assert_eq!(receipts.iter().filter(|receipt| !receipt.repeated).count(), 1);
    assert!(receipts.iter().all(|receipt| receipt.leaf_hash == receipts[0].leaf_hash && receipt.index == 0));
    assert_eq!(log.size(), 1);
}

/// A log without entries has a checkpoint of size 0.
pub async fn an_empty_log_has_a_checkpoint(log: &Log) {
    let signed = log.checkpoint().await.unwrap();
    assert_eq!(signed.checkpoint().size, 0);
    assert_eq!(signed.checkpoint().root, hpc_audit::PROFILE.empty_root());
}

/// A checkpoint covers every entry acknowledged before, and the log's key signed it.
pub async fn a_checkpoint_covers_every_acknowledged_entry(log: &Log) {
    for size in 1..=20 {
        log.append(vec![entry(size)]).await.unwrap();
        let signed = log.checkpoint().await.unwrap();
        let Checkpoint { origin, size: signed_size, root, .. } = signed.checkpoint().clone();
        assert_eq!((origin.as_str(), signed_size), (log.verifier_key().name(), size as u64));
        assert_eq!(root, root_at(log, size as u64).await);
        assert_eq!(SignedCheckpoint::open(signed.to_string().as_bytes(), &log.verifier_key()), Ok(signed));
    }
}

/// Sizes of checkpoints never fall, and any two are consistent.
pub async fn checkpoints_never_go_back_and_are_consistent(log: &Log) {
    let writer = {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            for n in 0..100 {
                log.append(vec![entry(n)]).await.unwrap();
            }
        })
    };
    let mut checkpoints: Vec<Checkpoint> = Vec::new();
    while checkpoints.last().is_none_or(|last| last.size < 100) {
        let next = log.checkpoint().await.unwrap().checkpoint().clone();
        if let Some(last) = checkpoints.last() {
            assert!(next.size >= last.size);
            if last.size > 0 {
                let proof = log.consistency(last.size, next.size).await.unwrap();
                assert_eq!(proof.verify(&last.root, &next.root), Ok(()));
            }
        }
        checkpoints.push(next);
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

/// A head covers every entry acknowledged before, from the empty log on, and the log's key signed it.
pub async fn a_head_covers_every_acknowledged_entry(log: &Log) {
    assert_eq!(log.head().await.unwrap().checkpoint().root, hpc_audit::PROFILE.empty_root());
    for size in 1..=20 {
        log.append(vec![entry(size)]).await.unwrap();
        let signed = log.head().await.unwrap();
        assert_eq!(signed.checkpoint().size, size as u64);
        assert_eq!(signed.checkpoint().root, root_at(log, size as u64).await);
        assert_eq!(
            SignedCheckpoint::open(signed.to_string().as_bytes(), &log.verifier_key()),
            Ok(signed.clone())
        );
        assert_eq!(log.head().await, Ok(signed));
    }
}

/// Sizes of heads and checkpoints in the order they were asked for never fall, and any two are consistent.
pub async fn heads_never_go_back_and_are_consistent_with_checkpoints(log: &Log) {
    let writer = {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            for n in 0..100 {
                log.append(vec![entry(n)]).await.unwrap();
            }
        })
    };
    let mut seen: Vec<Checkpoint> = Vec::new();
    while seen.last().is_none_or(|last| last.size < 100) {
        let next = if seen.len() % 3 == 2 { log.checkpoint().await } else { log.head().await };
        let next = next.unwrap().checkpoint().clone();
        assert!(seen.last().is_none_or(|last| next.size >= last.size));
        seen.push(next);
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    seen.retain(|checkpoint| checkpoint.size > 0);
    seen.dedup();
    for (position, old) in seen.iter().enumerate() {
        for new in &seen[position..] {
            let proof = log.consistency(old.size, new.size).await.unwrap();
            assert_eq!(proof.verify(&old.root, &new.root), Ok(()), "{old} {new}");
        }
    }
}

/// Proofs of receipts hold for their entries and no others, all under one head.
pub async fn receipts_are_proved_under_one_head(log: &Log) {
    fill(log, 300).await;
    let receipts = log.append((300..310).map(entry).collect()).await.unwrap();
    let key = log.verifier_key();
    let indices: Vec<u64> = receipts.iter().map(|receipt| receipt.index).chain([0, 255, 256]).collect();
    let proofs = prove(&**log, &indices).await.unwrap();
    assert_eq!(proofs.len(), indices.len());
    for (receipt, proof) in receipts.iter().zip(&proofs) {
        assert_eq!(receipt.check(proof, &key).unwrap().checkpoint().size, 310);
        let other = Receipt { index: receipt.index + 1, ..receipt.clone() };
        assert!(matches!(other.check(proof, &key), Err(ReceiptError::OtherIndex { .. })));
        let other = Receipt { log: "other".into(), ..receipt.clone() };
        assert!(matches!(other.check(proof, &key), Err(ReceiptError::OtherLog { .. })));
    }
    for (index, proof) in indices.iter().zip(&proofs) {
        let bytes = entry(*index as i64).encode().unwrap();
        let (proved, head) = verify_receipt(&Entry::leaf_hash(&bytes), proof, &key).unwrap();
        assert_eq!((proved, head.checkpoint().size), (*index, 310));
        // The same under a policy of logs that asks for no witness; another log's policy takes nothing.
        let policy: TlogPolicy = format!("log {key}\nquorum none\n").parse().unwrap();
        let (proved, _) = verify_receipt_with(&Entry::leaf_hash(&bytes), proof, &policy, None).unwrap();
        assert_eq!(proved, *index);
        let nobody: TlogPolicy = "quorum none\n".parse().unwrap();
        assert!(verify_receipt_with(&Entry::leaf_hash(&bytes), proof, &nobody, None).is_err());
        assert!(verify_receipt(&Entry::leaf_hash(&[bytes, vec![0]].concat()), proof, &key).is_err());
    }
}

/// What the log does not have is not proved.
pub async fn receipts_out_of_range_are_not_proved(log: &Log) {
    assert_eq!(prove(&**log, &[]).await, Ok(vec![]));
    fill(log, 3).await;
    assert!(matches!(prove(&**log, &[0, 3]).await, Err(AuditError::OutOfRange { .. })));
    let many = vec![0; APPEND_ENTRIES_MAX + 1];
    assert!(matches!(prove(&**log, &many).await, Err(AuditError::TooMuch { .. })));
    assert_eq!(prove(&**log, &many[1..]).await.unwrap().len(), APPEND_ENTRIES_MAX);
}

/// Entries come back whole, in order, and pages end with the log.
pub async fn entries_come_back_as_they_were_appended(log: &Log) {
    fill(log, 600).await;
    let page = log.entries(250, 100).await.unwrap();
    assert_eq!(page.len(), 100);
    for (position, recorded) in page.iter().enumerate() {
        assert_eq!(recorded.index, 250 + position as u64);
        assert_eq!(recorded.entry, entry(recorded.index as i64));
    }
    assert_eq!(log.entries(590, ENTRIES_LIMIT_MAX).await.unwrap().len(), 10);
    assert_eq!(log.entries(600, 1).await, Ok(vec![]));
}

/// A start beyond the log and limits that are none are refused.
pub async fn entries_out_of_range_are_refused(log: &Log) {
    fill(log, 3).await;
    for (start, limit) in [(4, 1), (u64::MAX, 1), (0, 0), (0, ENTRIES_LIMIT_MAX + 1)] {
        let outcome = log.entries(start, limit).await;
        assert!(matches!(outcome, Err(AuditError::OutOfRange { .. })), "{start} {limit}: {outcome:?}");
    }
}

/// Every entry has a proof at every size up to now.
pub async fn every_inclusion_at_every_size_holds(log: &Log) {
    fill(log, 20).await;
    for size in 1..=20 {
        let root = root_at(log, size).await;
        for recorded in log.entries(0, size as usize).await.unwrap() {
            let proof = log.inclusion(recorded.index, size).await.unwrap();
            assert_eq!((proof.leaf_index, proof.tree_size), (recorded.index, size));
            assert_eq!(proof.verify(&recorded.leaf_hash, &root), Ok(()));
        }
    }
}

/// Every earlier size is proved to be the beginning of every later one.
pub async fn every_consistency_holds(log: &Log) {
    fill(log, 20).await;
    let mut roots = Vec::new();
    for size in 1..=20 {
        roots.push(root_at(log, size).await);
    }
    for new in 1..=20 {
        for old in 1..=new {
            let proof = log.consistency(old, new).await.unwrap();
            assert_eq!(proof.verify(&roots[old as usize - 1], &roots[new as usize - 1]), Ok(()));
        }
    }
}

/// Proofs about what the log does not have are refused.
pub async fn proofs_out_of_range_are_refused(log: &Log) {
    fill(log, 5).await;
    for (index, size) in [(5, 5), (0, 6), (0, 0), (3, 2), (0, u64::MAX), (u64::MAX, u64::MAX)] {
        let outcome = log.inclusion(index, size).await;
        assert!(matches!(outcome, Err(AuditError::OutOfRange { .. })), "{index} {size}: {outcome:?}");
    }
    for (old, new) in [(0, 5), (3, 2), (5, 6), (1, u64::MAX), (u64::MAX, u64::MAX)] {
        let outcome = log.consistency(old, new).await;
        assert!(matches!(outcome, Err(AuditError::OutOfRange { .. })), "{old} {new}: {outcome:?}");
    }
}

/// Each condition finds what fits and nothing else; time ranges are half open.
pub async fn search_finds_by_every_condition(log: &Log) {
    let mut entries: Vec<Entry> = (0..30).map(entry).collect();
    for (n, entry) in entries.iter_mut().enumerate() {
        entry.principal = if n % 2 == 0 { "alice".into() } else { "bob".into() };
        entry.action = if n % 3 == 0 { "lease.active".into() } else { "request.planned".into() };
        entry.outcome = if n % 5 == 0 { Outcome::Denied } else { Outcome::Ok };
        entry.subjects.insert("plan".into(), format!("pln_{}", n / 10));
    }
    log.append(entries.clone()).await.unwrap();
    for search in [
        Search::default(),
        Search { principal: Some("bob".into()), ..Search::default() },
        Search { action: Some("lease.active".into()), ..Search::default() },
        Search { action: Some("request.*".into()), ..Search::default() },
        Search { subject: Some("pln_1".into()), ..Search::default() },
        Search { outcome: Some(Outcome::Denied), ..Search::default() },
        Search { from: Some(at(5)), until: Some(at(9)), ..Search::default() },
        Search { after: Some(20), ..Search::default() },
        Search {
            principal: Some("alice".into()),
            outcome: Some(Outcome::Denied),
            from: Some(at(10)),
            ..Search::default()
        },
        Search { principal: Some("nobody".into()), ..Search::default() },
    ] {
        let page = log.search(&search).await.unwrap();
        let found: Vec<u64> = page.hits.iter().map(|hit| hit.index).collect();
        let first = search.after.map_or(0, |after| after + 1);
        let expected: Vec<u64> = (first..30).filter(|n| search.matches(&entries[*n as usize])).collect();
        assert_eq!(found, expected, "{search:?}");
        assert!(page.complete, "{search:?}");
        assert!(page.hits.iter().all(|hit| hit.entry == entries[hit.index as usize]));
    }
}

/// A page says which indices it is an answer for, and following pages cover the whole log once.
pub async fn search_says_what_it_covered(log: &Log) {
    fill(log, 300).await;
    let mut search = Search { from: Some(at(50)), limit: 40, ..Search::default() };
    let (mut found, mut covered) = (Vec::new(), 0);
    loop {
        let page = log.search(&search).await.unwrap();
        assert_eq!(page.covered.start, covered);
        covered = page.covered.end;
        assert!(page.hits.len() <= 40);
        found.extend(page.hits.iter().map(|hit| hit.index));
        match page.next_after() {
            Some(after) => search.after = Some(after),
            None => break,
        }
    }
    assert_eq!((found, covered), ((50..300).collect(), 300));
    search.after = Some(u64::MAX);
    assert!(log.search(&search).await.unwrap().complete);
}

/// Hits far apart are all found, from every place where a search can go on.
pub async fn search_finds_what_is_far_apart(log: &Log) {
    const COUNT: i64 = 2600;
    let rare = [0, 255, 256, 1023, 2304, 2599];
    let entries: Vec<Entry> = (0..COUNT)
        .map(|n| {
            let mut entry = entry(n);
            if rare.contains(&n) {
                entry.principal = "carol".into();
                entry.action = "policy.bundle.loaded".into();
                entry.outcome = Outcome::Unknown;
                entry.subjects.insert("plan".into(), "pln_rare".into());
            }
            entry
        })
        .collect();
    for chunk in entries.chunks(1000) {
        log.append(chunk.to_vec()).await.unwrap();
    }
    log.checkpoint().await.unwrap();
    let all = Search { limit: 2, ..Search::default() };
    for search in [
        Search { principal: Some("carol".into()), ..all.clone() },
        Search { action: Some("policy.bundle.loaded".into()), ..all.clone() },
        Search { action: Some("policy.bundle.*".into()), ..all.clone() },
        Search { action: Some("policy.*".into()), ..all.clone() },
        Search { subject: Some("pln_rare".into()), ..all.clone() },
        Search { outcome: Some(Outcome::Unknown), ..all.clone() },
        Search { principal: Some("carol".into()), until: Some(at(COUNT)), ..all },
    ] {
        for begin in [-1, 0, 254, 256, 1022, 2598, 2599] {
            let search = Search { after: u64::try_from(begin).ok(), ..search.clone() };
            let expected: Vec<u64> = rare.iter().filter(|n| **n > begin).map(|n| *n as u64).collect();
            assert_eq!(every_hit(log, search.clone()).await, expected, "{search:?}");
        }
    }
}

/// The hits of a search and of all that go on after it, which together cover everything behind `after` once.
async fn every_hit(log: &Log, mut search: Search) -> Vec<u64> {
    let mut found = Vec::new();
    let mut covered = search.after.map_or(0, |after| after + 1).min(log.size());
    loop {
        let page = log.search(&search).await.unwrap();
        assert_eq!(page.covered.start, covered);
        covered = page.covered.end;
        found.extend(page.hits.iter().map(|hit| hit.index));
        match page.next_after() {
            Some(after) => search.after = Some(after),
            None => break,
        }
    }
    assert_eq!(covered, log.size());
    found
}

/// Whatever is asked for, the hits are those of reading every entry.
pub async fn search_passes_over_no_hit(log: &Log) {
    const COUNT: usize = 1500;
    let mut chance = 0x5eed_u64;
    let mut draw = |below: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % below
    };
    const ACTIONS: [&str; 6] =
        ["lease", "lease.active", "lease.active.again", "leases.active", "request.planned", "request.denied"];
    const OUTCOMES: [Outcome; 4] = [Outcome::Ok, Outcome::Denied, Outcome::Failed, Outcome::Unknown];
    let mut entries = Vec::new();
    for n in 0..COUNT {
        // Moments are not in order, and names come in stretches, so that neighbours differ from those far away.
        let moment = at(n as i64 / 2 + draw(40) as i64 - 20);
        let principal = format!("user-{}", n as u64 / 100 + draw(3));
        let action = ACTIONS[draw(6) as usize];
        let outcome = if draw(50) == 0 { OUTCOMES[draw(4) as usize] } else { Outcome::Ok };
        let mut entry = Entry::new(format!("id-{n}"), moment, principal, action, outcome);
        for kind in ["lease", "plan", "node"].into_iter().take(draw(4) as usize) {
            entry = entry.subject(kind, format!("{kind}_{}", n as u64 / 20 + draw(10)));
        }
        entries.push(entry);
    }
    for chunk in entries.chunks(700) {
        log.append(chunk.to_vec()).await.unwrap();
        log.checkpoint().await.unwrap();
    }
    let wanted_actions =
        ["lease.*", "lease.active.*", "leases.*", "request.*", "lease.active", "lease", "le*", "*"];
    for _ in 0..60 {
        let mut search = Search { limit: SEARCH_LIMIT_MAX, ..Search::default() };
        search.principal = (draw(3) == 0).then(|| format!("user-{}", draw(20)));
        search.action = (draw(3) == 0).then(|| wanted_actions[draw(8) as usize].to_owned());
        search.subject = (draw(3) == 0).then(|| format!("plan_{}", draw(90)));
        search.outcome = (draw(3) == 0).then(|| OUTCOMES[draw(4) as usize]);
        search.from = (draw(3) == 0).then(|| at(draw(800) as i64));
        search.until = (draw(3) == 0).then(|| at(draw(800) as i64));
        search.after = (draw(3) == 0).then(|| draw(COUNT as u64));
        let first = search.after.map_or(0, |after| after + 1);
        let expected: Vec<u64> =
            (first..COUNT as u64).filter(|n| search.matches(&entries[*n as usize])).collect();
        assert_eq!(every_hit(log, search.clone()).await, expected, "{search:?}");
    }
}

/// A search without a sensible limit is refused.
pub async fn search_limits_are_refused(log: &Log) {
    for limit in [0, SEARCH_LIMIT_MAX + 1] {
        let search = Search { limit, ..Search::default() };
        assert!(matches!(log.search(&search).await, Err(AuditError::OutOfRange { .. })));
    }
}

/// An export of a range or a choice verifies under the log's key.
pub async fn an_export_holds(log: &Log) {
    fill(log, 12).await;
    let key = log.verifier_key();
    let range = export(&**log, 3..9).await.unwrap();
    assert_eq!(verify_bundle(&range, Some(&key)).unwrap().entries, log.entries(3, 6).await.unwrap());
    let choice = export(&**log, vec![0, 11]).await.unwrap();
    assert_eq!(verify_bundle(&choice, Some(&key)).unwrap().checkpoint.size, 12);
    let mut forged = choice;
    forged.entries[1].entry = forged.entries[1].entry.replace("alice", "mallo");
    assert!(verify_bundle(&forged, Some(&key)).is_err());
}

/// An export of what is not there is refused.
pub async fn an_export_out_of_range_is_refused(log: &Log) {
    fill(log, 3).await;
    assert!(matches!(export(&**log, 1..4).await, Err(AuditError::OutOfRange { .. })));
    for indices in [vec![3], vec![1, 1], vec![2, 1]] {
        assert!(matches!(export(&**log, indices).await, Err(AuditError::OutOfRange { .. })));
    }
}

/// Proofs hold across the borders of tiles.
pub async fn many_entries_keep_their_proofs(log: &Log) {
    fill(log, 700).await;
    let signed = log.checkpoint().await.unwrap();
    log.append(vec![entry(1000)]).await.unwrap();
    let (size, root) = (signed.checkpoint().size, signed.checkpoint().root);
    assert_eq!(size, 700);
    for index in [0, 1, 254, 255, 256, 257, 511, 512, 513, 698, 699] {
        let recorded = log.entries(index, 1).await.unwrap().remove(0);
        let proof = log.inclusion(index, size).await.unwrap();
        assert_eq!(proof.verify(&recorded.leaf_hash, &root), Ok(()), "{index}");
    }
    for old in [1, 255, 256, 257, 512, 699, 700] {
        let proof = log.consistency(old, 700).await.unwrap();
        assert_eq!(proof.verify(&root_at(log, old).await, &root), Ok(()), "{old}");
    }
}
