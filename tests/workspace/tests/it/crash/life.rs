//! What a child does until it is killed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hpc_audit::Receipt;
use hpc_broker::{Caller, LeaseState, PlanState, Silent};
use hpc_error::HpcError;
use hpc_provider_sim::{Notice, ReclaimRule, STORIES, Script, Where};
use hpc_resources::{LeaseId, OfferKind, OnInterruption, ResourceRequest};
use hpcd::clock::Pace;
use hpcd::people::{PEOPLE, caller};
use hpcd::world::{World, WorldOptions};

use super::Dice;

/// Tasks that live at once.
const TASKS: u64 = 3;
/// Leases that a life leaves standing before it begins to release the oldest.
const STANDING_MAX: usize = 3;

pub fn options(data: PathBuf, story: &str, pace: Pace) -> WorldOptions {
    WorldOptions {
        data: Some(data),
        seed: Some(7),
        policies: None,
        policy_key: None,
        catalog: None,
        providers: None,
        story: story.to_owned(),
        pace,
        start: hpcd::demo::start().unwrap(),
    }
}

/// What goes wrong in the clouds of a life: a story, or spot capacity that is taken back, told before, twice, late or never.
fn trouble(data: &Path, dice: &Dice) -> String {
    if dice.below(2) == 0 {
        return STORIES[dice.below(STORIES.len() as u64) as usize].to_owned();
    }
    let notice = [Notice::Before, Notice::Twice, Notice::Late, Notice::Never][dice.below(4) as usize];
    let after_s = 30 + u32::try_from(dice.below(270)).unwrap();
    let at = Where { kind: Some(OfferKind::Spot), ..Where::default() };
    let reclaims = vec![ReclaimRule { at, after_s, notice, times: None }];
    let script = Script { reclaims, ..Script::named("none").unwrap() };
    let file = data.with_file_name("trouble.json");
    std::fs::write(&file, serde_json::to_vec(&serde_json::json!({ "script": script })).unwrap()).unwrap();
    file.display().to_string()
}

/// One line, in one write, before anything else happens.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// `word id index:hash index:hash ...`
fn answer(word: &str, id: &str, receipts: &[Receipt]) {
    let receipts =
        receipts.iter().map(|receipt| format!(" {}:{}", receipt.index, receipt.leaf_hash.to_base64()));
    say(&format!("{word} {id}{}", receipts.collect::<String>()));
}

/// How much faster time passes where tries are waited for.
const WAITING_PACE: u32 = 100;

/// A story in which the cheapest offer never answers: what it was asked for it creates, or it does not.
fn silent(data: &Path, creates: bool) -> String {
    let file = data.with_file_name("silent.yaml");
    let effect = if creates { "hang-after" } else { "hang-before" };
    // Written anew by each life: one that was killed while it wrote leaves nothing that is read.
    let text = format!(
        "script:\n  rules: [{{call: provision, effect: {effect}, at: {{zone: us-central1-a, kind: spot}}}}]\n  \
         chances: {{stock_out_bp: 500, lost_after_bp: 1000}}\n"
    );
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

pub async fn live(data: PathBuf, seed: u64) {
    let dice = Arc::new(Dice::new(seed));
    let story = trouble(&data, &dice);
    let pace = if dice.below(2) == 0 { Pace::Wall } else { Pace::Told };
    // One life in four tries two offers at once.
    let is_silent = dice.below(4) == 0;
    let (story, pace) =
        if is_silent { (silent(&data, dice.below(4) > 0), Pace::Times(WAITING_PACE)) } else { (story, pace) };
    say("\nopening");
    let world =
        World::open(options(data, &story, pace)).await.unwrap_or_else(|error| panic!("{error} {error:?}"));
    say("opened");
    let [you, lead] =
        PEOPLE.map(|person| caller(&person.spiffe_id(world.identity.trust_domain()).unwrap()).unwrap());
    let standing = world.broker.leases(None, 1_000).await.unwrap().items;
    let standing =
        standing.into_iter().filter(|lease| lease.state == LeaseState::Active).map(|lease| lease.id);
    let standing = Mutex::new(standing.collect());
    let life = Arc::new(Life { world, dice, you, lead, standing, is_silent });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let life = Arc::clone(&life);
        tasks.spawn(async move {
            loop {
                if let Err(error) = life.one_turn().await {
                    // A well-explained no is an answer too; one without a code is a bug.
                    assert!(
                        error.code_text().is_some_and(|code| !code.starts_with("HPC-INT")),
                        "{error} {error:?}"
                    );
                    say(&format!("refused {}", error.code_text().unwrap_or_default()));
                }
            }
        });
    }
    // Only a failure ends a task.
    tasks.join_next().await.unwrap().unwrap();
}

struct Life {
    world: Arc<World>,
    dice: Arc<Dice>,
    you: Caller,
    lead: Caller,
    standing: Mutex<Vec<LeaseId>>,
    /// Whether the first offer never answers.
    is_silent: bool,
}

impl Life {
    async fn one_turn(&self) -> Result<(), HpcError> {
        let broker = &self.world.broker;
        match self.dice.below(8) {
            0 => drop(self.world.reconcile().await?),
            1 => self.world.pass(Duration::from_secs(self.dice.below(90)))?,
            2 => {
                let report = self.world.replace().await?;
                if report.replaced > 0 {
                    say("replaced");
                }
            }
            _ => {}
        }
        let (plan, receipts) = broker.plan(&self.you, self.request()).await?;
        let id = &plan.plan.id;
        answer("planned", id.as_str(), &receipts);
        match plan.state {
            PlanState::Open => {}
            PlanState::AwaitingApproval { .. } => {
                drop(broker.approve(&self.lead, id, &plan.hash, true, "fine").await?);
            }
            _ => return Ok(()),
        }
        let applied = broker.apply(&self.you, id, &Silent).await?;
        answer("active", applied.lease.id.as_str(), &applied.receipts);
        let oldest = {
            let mut standing = self.standing.lock().unwrap();
            standing.push(applied.lease.id);
            (standing.len() > STANDING_MAX || self.dice.below(2) == 0).then(|| standing.remove(0))
        };
        if let Some(lease) = oldest {
            let released = broker.release(&self.you, &lease).await?;
            answer("released", lease.as_str(), &released.receipts);
        }
        Ok(())
    }

    fn request(&self) -> ResourceRequest {
        let mut request = ResourceRequest::new("job")
            .add_gpu_nvidia_h100(8)
            .with_duration_s(3_600 + 60 * self.dice.below(60));
        if self.is_silent {
            request = request.with_hedge_s(1 + self.dice.below(3));
        }
        if self.dice.below(2) == 0 {
            request = request.with_kinds([OfferKind::Spot]);
        }
        if self.dice.below(2) == 0 {
            request = request.with_on_interruption(OnInterruption::Replace);
        }
        request.build().unwrap()
    }
}
