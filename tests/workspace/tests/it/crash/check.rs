//! What must hold after every kill.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use hpc_audit::{AuditLog, ENTRIES_LIMIT_MAX, Selection, export, verify_bundle};
use hpc_broker::{
    EndReason, HedgeEnd, IntentRecord, IntentState, LeaseRecord, LeaseState, Listing, OrphanRecord,
    ReplacementState,
};
use hpc_error::HpcError;
use hpc_resources::{LeaseId, Money, Offer, PlanId};
use hpcd::clock::Pace;
use hpcd::world::World;

use super::life::options;

/// Everything that children were told.
#[derive(Default)]
pub struct Acknowledged {
    planned: BTreeSet<PlanId>,
    active: BTreeSet<LeaseId>,
    released: BTreeSet<LeaseId>,
    /// Leaf hashes by index, of receipts that have been looked up already and of new ones.
    receipts: BTreeMap<u64, String>,
    fresh: BTreeMap<u64, String>,
}

impl Acknowledged {
    /// Takes an answer over; `None` for a line that is none.
    pub fn note(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let (word, id) = (words.next()?, words.next()?);
        match word {
            "planned" => drop(self.planned.insert(PlanId::parse(id).unwrap())),
            "active" => drop(self.active.insert(LeaseId::parse(id).unwrap())),
            "released" => drop(self.released.insert(LeaseId::parse(id).unwrap())),
            _ => return None,
        }
        for receipt in words {
            let (index, hash) = receipt.split_once(':').unwrap();
            self.fresh.insert(index.parse().unwrap(), hash.to_owned());
        }
        Some(())
    }
}

/// Reads all pages of a list.
macro_rules! all {
    ($broker:expr, $list:ident) => {{
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let Listing { items: page, next } = $broker.$list(after.as_deref(), 1_000).await.unwrap();
            items.extend(page);
            after = next;
            if after.is_none() {
                break items;
            }
        }
    }};
}

/// What was found in a directory.
#[derive(Default)]
pub struct Found {
    pub leases: u64,
    /// Those for which two offers were tried at once.
    pub hedged: u64,
    /// Those that a provider took back.
    pub reclaimed: u64,
    /// Those of them that were replaced.
    pub replaced: u64,
}

/// Opens the directory as a daemon would, lets it come into step, and looks.
pub async fn check(data: &Path, acknowledged: &mut Acknowledged, all_receipts: bool) -> Found {
    let world = World::open(options(data.to_owned(), "none", Pace::Told))
        .await
        .unwrap_or_else(|error| panic!("{error} {error:?}"));
    settle(&world).await.unwrap_or_else(|error| panic!("{error} {error:?}"));
    let (leases, intents, orphans) =
        (all!(world.broker, leases), all!(world.broker, intents), all!(world.broker, orphans));
    one_final_state(&leases, &intents);
    instances_are_leases(&world, &leases, &intents);
    one_replacement_each(&leases);
    ledger_is_bill(&world, &leases, &intents, &orphans).await;
    answers_stand(&world, &leases, acknowledged).await;
    audit_tells_all(&world, &leases).await;
    proofs_hold(&world, acknowledged, all_receipts).await;
    let key = world.audit.verifier_key().to_string();
    world.audit.close().await.unwrap();
    drop(world);
    let report = hpc_audit_file::verify_dir(&data.join("audit"), Some(&key)).unwrap();
    assert!(report.is_clean() && report.key_trusted, "{report:?}");
    let count = |is: &dyn Fn(&LeaseRecord) -> bool| leases.iter().filter(|lease| is(lease)).count() as u64;
    Found {
        leases: leases.len() as u64,
        hedged: count(&|lease| !lease.hedges.is_empty()),
        reclaimed: count(&|lease| lease.end_reason == Some(EndReason::Reclaimed)),
        replaced: count(&|lease| lease.replaces.is_some() && lease.active_at.is_some()),
    }
}

/// Longer than the reaper's grace and a cloud's consistency bound together, and than a stop takes.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(45);
/// A lease lasts two hours at most, and as long as its time a replacement of it is tried that policy or stock refuses.
const ROUNDS_MAX: u32 = 240;

/// Rounds of reconciling, with time in between, until two in a row find nothing to do: what a cloud did not show yet in
/// the first of them it shows in the second.
async fn settle(world: &World) -> Result<(), HpcError> {
    let (mut quiet, mut last) = (0, None);
    for _ in 0..ROUNDS_MAX {
        let report = world.reconcile().await?;
        let replaced = world.replace().await?;
        let draining = |lease: &LeaseRecord| lease.state == LeaseState::Draining;
        let draining = world.broker.open_leases().await?.iter().filter(|lease| draining(lease)).count();
        let busy =
            report.audited + report.adopted + report.closed + report.ended + report.reaped + report.pending;
        let busy =
            busy + replaced.replaced + replaced.refused + replaced.given_up + replaced.waiting + draining;
        quiet = if busy == 0 && report.problems.is_empty() { quiet + 1 } else { 0 };
        if quiet == 2 {
            return Ok(());
        }
        last = Some((report, replaced, draining));
        world.pass(BETWEEN_ROUNDS)?;
    }
    panic!("did not come into step: {last:?}");
}

fn one_final_state(leases: &[LeaseRecord], intents: &[IntentRecord]) {
    for lease in leases {
        assert!(lease.state.is_final() || lease.state == LeaseState::Active, "{lease:?}");
    }
    for intent in intents {
        assert!(intent.state.is_final() || intent.state == IntentState::Acknowledged, "{intent:?}");
    }
}

fn instances_are_leases(world: &World, leases: &[LeaseRecord], intents: &[IntentRecord]) {
    let live = world.sim.live_instances();
    let leases: BTreeMap<&str, &LeaseRecord> =
        leases.iter().map(|lease| (lease.id.as_str(), lease)).collect();
    let mut owners = BTreeMap::new();
    for intent in intents {
        for instance in &intent.instances {
            let twice = owners.insert(&instance.handle, intent);
            assert!(twice.is_none(), "two intents have {:?}", instance.handle);
        }
    }
    let mut have: BTreeMap<&str, u32> = BTreeMap::new();
    for instance in &live {
        let owner = owners.get(&instance.handle).unwrap_or_else(|| {
            let tag = instance.tags.get(hpc_provider::TAG_INTENT);
            let intent = intents.iter().find(|intent| Some(&intent.spec.intent.to_string()) == tag);
            panic!("an orphan: {instance:?} of {intent:#?}")
        });
        assert_eq!(owner.state, IntentState::Acknowledged, "{owner:?}");
        let lease = leases[owner.spec.lease.as_str()];
        assert_eq!(lease.state, LeaseState::Active, "{lease:?}");
        *have.entry(lease.id.as_str()).or_default() += 1;
    }
    // Of two tries at once one is kept: the one that the lease says.
    for intent in intents.iter().filter(|intent| intent.state == IntentState::Acknowledged) {
        let lease = leases[intent.spec.lease.as_str()];
        assert_eq!(
            lease.offer.as_ref().map(Offer::key),
            Some(intent.spec.offer.key()),
            "{lease:?} {intent:?}"
        );
        let kept = HedgeEnd::Won { intent: intent.spec.intent.clone() };
        let is_told = lease.hedges.iter().all(|hedge| match &hedge.end {
            Some(HedgeEnd::Failed { intent: failed }) => *failed != intent.spec.intent,
            end => *end == Some(kept.clone()),
        });
        assert!(is_told, "{lease:?} {intent:?}");
    }
    for lease in leases.values().filter(|lease| lease.state == LeaseState::Active) {
        assert_eq!(have.get(lease.id.as_str()).copied().unwrap_or(0), lease.instances, "{lease:?}");
    }
}

/// What was replaced was replaced once, by the lease that it names; both say so.
fn one_replacement_each(leases: &[LeaseRecord]) {
    let by_id: BTreeMap<&LeaseId, &LeaseRecord> = leases.iter().map(|lease| (&lease.id, lease)).collect();
    let mut had = BTreeMap::new();
    for new in leases.iter().filter(|lease| lease.active_at.is_some()) {
        let Some(old) = &new.replaces else { continue };
        let twice = had.insert(old, &new.id);
        assert!(twice.is_none(), "{old} was replaced by {} and by {twice:?}", new.id);
        let old = by_id[old];
        let record = old.replacement.as_ref().unwrap();
        assert_eq!(
            (record.state, record.by.as_ref()),
            (ReplacementState::Replaced, Some(&new.id)),
            "{old:?}"
        );
        assert_eq!((new.generation, &new.request), (old.generation + 1, &old.request), "{new:?}");
    }
    for old in leases {
        let Some(record) = &old.replacement else { continue };
        assert!(record.state.is_final(), "{old:?}");
        let replaced = record.state == ReplacementState::Replaced;
        assert_eq!(had.contains_key(&old.id), replaced, "{old:?}");
    }
}

fn total(amounts: impl IntoIterator<Item = Money>) -> Money {
    amounts.into_iter().fold(Money::ZERO_USD, |sum, amount| sum.checked_add(amount).unwrap())
}

async fn ledger_is_bill(
    world: &World,
    leases: &[LeaseRecord],
    intents: &[IntentRecord],
    orphans: &[OrphanRecord],
) {
    let now = world.now();
    let orphans = orphans.iter().map(|orphan| &orphan.instance);
    let ours = intents.iter().flat_map(|intent| &intent.instances).chain(orphans);
    let ours: BTreeMap<_, _> = ours.map(|instance| (&instance.handle, instance)).collect();
    let bill = world.sim.bill();
    for line in &bill {
        let have =
            ours.get(&line.handle).unwrap_or_else(|| panic!("nothing in the ledger explains {line:?}"));
        assert_eq!(have.cost(now).unwrap(), line.amount, "the ledger is the bill: {have:#?} {line:#?}");
    }
    assert_eq!(
        (ours.len(), world.sim.forgotten().instances),
        (bill.len(), 0),
        "the ledger has what nobody bills"
    );
    let team = "team:ml".parse().unwrap();
    let budget = world.broker.budgets_of(&team).into_iter().next().unwrap();
    let spent = total(leases.iter().filter_map(|lease| lease.cost));
    assert_eq!(budget.spent, spent, "what is spent is what ended leases cost");
    let open = leases.iter().filter(|lease| lease.state == LeaseState::Active);
    assert_eq!(budget.held, total(open.map(|lease| lease.hold)), "what is held is held for open leases");
}

async fn answers_stand(world: &World, leases: &[LeaseRecord], acknowledged: &Acknowledged) {
    for plan in &acknowledged.planned {
        world.broker.plan_by_id(plan).await.unwrap();
    }
    let leases: BTreeMap<&LeaseId, &LeaseRecord> = leases.iter().map(|lease| (&lease.id, lease)).collect();
    for id in &acknowledged.active {
        let lease = leases.get(id).unwrap_or_else(|| panic!("{id} was acknowledged and is lost"));
        assert!(matches!(lease.state, LeaseState::Active | LeaseState::Released), "{lease:?}");
    }
    for id in &acknowledged.released {
        let lease = leases[id];
        assert!(lease.state == LeaseState::Released && lease.cost.is_some(), "{lease:?}");
    }
}

/// Every lease is in the log, and the log tells of no lease that the ledger does not have.
async fn audit_tells_all(world: &World, leases: &[LeaseRecord]) {
    let mut told = BTreeSet::new();
    let mut next = 0;
    while next < world.audit.size() {
        let page = world.audit.entries(next, ENTRIES_LIMIT_MAX).await.unwrap();
        next += page.len() as u64;
        told.extend(page.into_iter().filter_map(|recorded| recorded.entry.subjects.get("lease").cloned()));
    }
    let have: BTreeSet<String> = leases.iter().map(|lease| lease.id.to_string()).collect();
    assert_eq!(told, have, "the log and the ledger tell of the same leases");
}

/// Every receipt is provable; the new ones after each kill, all of them at the end.
async fn proofs_hold(world: &World, acknowledged: &mut Acknowledged, all_receipts: bool) {
    let fresh = std::mem::take(&mut acknowledged.fresh);
    acknowledged.receipts.extend(fresh.clone());
    let wanted = if all_receipts { &acknowledged.receipts } else { &fresh };
    let bundle =
        export(world.audit.as_ref(), Selection::Indices(wanted.keys().copied().collect())).await.unwrap();
    let verified = verify_bundle(&bundle, Some(&world.audit.verifier_key())).unwrap();
    let proven = verified.entries.iter().map(|recorded| (recorded.index, recorded.leaf_hash.to_base64()));
    assert!(
        proven.eq(wanted.iter().map(|(index, hash)| (*index, hash.clone()))),
        "a receipt is not what the log holds"
    );
}
