//! The port on a Slurm cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_provider::{
    CapacityProvider, Certainty, Description, INSTANCES_MAX, InstanceHandle, InstanceState, InterruptionPage,
    Observe, OwnedPage, ProviderError, ProvisionResult, ProvisionSpec, Quote, QuoteRequest, Released, Result,
    SpotPrices, Supports, TAG_OWNER,
};
use hpc_resources::{Offer, OfferKind, PerInstanceHour, ProviderId, StockHint};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::cluster::{Cluster, INSTANCES_PER_JOB_MAX, Shape};
use crate::commands::{Call, Commands, Program};
use crate::error;
use crate::interruption;
use crate::job::{self, JOBS_MAX, Job, JobState, Jobs};
use crate::nodes;
use crate::note::{Note, fingerprint};
use crate::submit;
use crate::turns::Turns;

/// Most handles in one `observe`.
pub const OBSERVE_MAX: usize = 4_096;
/// How often it is asked whether a job has started.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a job that did not start is cancelled and looked at.
const CANCELS_MAX: u32 = 10;
/// Slurm tells whole seconds, of another machine's clock.
const CLOCK_SKEW_MS: u64 = 2_000;

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A Slurm cluster. All state is in Slurm: several processes may use one cluster under one user and one id.
pub struct SlurmProvider {
    id: ProviderId,
    cluster: Cluster,
    commands: Arc<dyn Commands>,
    clock: Clock,
    /// Of two releases in one job the second must see what the first wrote into its comment.
    turns: Turns,
}

impl fmt::Debug for SlurmProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlurmProvider").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SlurmProvider {
    /// A provider called `id` of the shapes in `cluster`. The id is in every job's name: two providers never see each
    /// other's jobs.
    #[must_use]
    pub fn new(id: ProviderId, cluster: Cluster, commands: Arc<dyn Commands>, clock: Clock) -> Self {
        Self { id, cluster, commands, clock, turns: Turns::default() }
    }

    /// Runs a command; what it printed, or why not.
    async fn run(&self, call: Call) -> Result<String> {
        let answer = self.commands.run(&call).await;
        let output = answer.map_err(|failure| error::failed(call.program, &failure))?;
        if output.status == 0 { Ok(output.stdout) } else { Err(error::refused(call.program, &output)) }
    }

    /// Cancels; a job that is already ending is cancelled. Whoever calls this looks at the job afterwards.
    async fn cancel(&self, call: Call) -> Result<()> {
        match self.run(call).await {
            Err(error) if error.code != error::GONE => Err(error),
            _ => Ok(()),
        }
    }

    async fn jobs(&self) -> Result<Jobs> {
        let call = job::list();
        let program = call.program;
        let text = self.run(call).await?;
        let jobs = job::read(&text, &job::name_prefix(&self.id));
        jobs.ok_or_else(|| error::unreadable(program, &format!("more than {JOBS_MAX} jobs of ours")))
    }

    /// All jobs of ours, unless one that matters cannot be read: somebody wrote over its comment, and it is neither ours
    /// for certain nor gone.
    async fn readable(&self, matters: impl Fn(u64, &str) -> bool) -> Result<Vec<Job>> {
        let jobs = self.jobs().await?;
        match jobs.unreadable.iter().find(|(number, name)| matters(*number, name)) {
            Some((number, _)) => {
                let what =
                    format!("the comment of job {number} is not ours any more: cancel it, or put it back");
                Err(unsure(error::unreadable(Program::Squeue, &what)))
            }
            None => Ok(jobs.ours),
        }
    }

    /// The job that stands for a name: of live ones the first, else the last that ran.
    async fn named(&self, name: &str) -> Result<Option<Job>> {
        let jobs = self.readable(|_, other| other == name).await?;
        let jobs = jobs.into_iter().filter(|job| job.name == name && job.exists());
        let (ended, live): (Vec<Job>, Vec<Job>) = jobs.partition(|job| job.state.has_ended());
        Ok(live.into_iter().next().or(ended.into_iter().next_back()))
    }

    /// Checks what can be checked without Slurm; the shape, and what one instance costs.
    fn check(&self, spec: &ProvisionSpec) -> Result<(&Shape, PerInstanceHour)> {
        let offer = &spec.offer;
        if offer.provider != self.id {
            return Err(error::config("OtherProvider", &format!("the offer is of {}", offer.provider)));
        }
        if spec.instances == 0 || spec.instances > INSTANCES_MAX.min(INSTANCES_PER_JOB_MAX) {
            let what = format!("{} instances; allowed are 1 to {INSTANCES_PER_JOB_MAX}", spec.instances);
            return Err(error::config("Count", &what));
        }
        if spec.tags.len() > hpc_provider::TAGS_MAX || spec.tags.keys().any(String::is_empty) {
            let most = hpc_provider::TAGS_MAX;
            return Err(error::config("Tags", &format!("at most {most} tags, each with a name")));
        }
        if spec.user_data_ref.is_some() {
            let what = "a placeholder runs nothing; leave the user data out";
            return Err(error::config("UserData", what));
        }
        let known = self.cluster.shape(&offer.zone, &offer.instance_type);
        let here = offer.kind == OfferKind::Owned && offer.region == *self.cluster.region();
        let Some(shape) = known.filter(|_| here) else {
            return Err(error::config("NotInCluster", &format!("{} is not in the settings", offer.key())));
        };
        let Some(price) = shape.price.to_offer() else {
            return Err(error::config("PriceUnknown", "the settings say that its price is unknown"));
        };
        if let Some(ceiling) = spec.price_ceiling.filter(|ceiling| price.0.exceeds(*ceiling)) {
            let what = format!("it costs {} an hour, over the ceiling of {ceiling}", price.0);
            return Err(error::config("PriceAboveCeiling", &what));
        }
        Ok((shape, price))
    }

    fn result(&self, job: &Job, replayed: bool) -> ProvisionResult {
        let handles = job.handles(&self.id, self.cluster.region());
        ProvisionResult { handles, replayed, simulated: false }
    }

    /// Waits until the job of this name holds its nodes, and gives it up when that takes too long.
    ///
    /// `submitted` is the number of our own submission; another process may have been first with the same name.
    async fn started(&self, name: &str, submitted: Option<u64>) -> Result<Job> {
        let begun = Instant::now();
        loop {
            let Some(job) = self.named(name).await.map_err(unsure)? else {
                return Err(error::not_started("Cancelled", begun.elapsed().as_secs()));
            };
            if let Some(second) = submitted.filter(|number| *number > job.number) {
                self.cancel(submit::cancel_waiting(second, name)).await.map_err(unsure)?;
            }
            if job.state != JobState::Pending {
                return Ok(job);
            }
            if error::hopeless(&job.reason).is_some() || begun.elapsed() >= self.cluster.start_within() {
                return self.give_up(name, job, begun.elapsed().as_secs()).await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Cancels a job that waits. It may start at the same moment: then it has started after all.
    async fn give_up(&self, name: &str, job: Job, seconds: u64) -> Result<Job> {
        for _ in 0..CANCELS_MAX {
            self.cancel(submit::cancel_waiting(job.number, name)).await.map_err(unsure)?;
            match self.named(name).await.map_err(unsure)? {
                None => return Err(error::not_started(&job.reason, seconds)),
                Some(now) if now.number == job.number && now.state == JobState::Pending => {}
                // Another process submitted the same name later; its job waits for ours and is not ours to judge.
                Some(now) if now.number != job.number && now.state == JobState::Pending => {
                    return Err(unsure(error::not_started(&job.reason, seconds)));
                }
                Some(now) => return Ok(now),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(unsure(error::not_started(&job.reason, seconds)))
    }

    /// Releases one instance of a job: its mark first, so that everybody can see who ended the job.
    async fn end(&self, mut job: Job, index: usize) -> Result<Released> {
        if !job.note.released.has(index) {
            job.note.released.set(index);
            if let Err(error) = self.run(submit::comment(job.number, &job.note)).await {
                return match self.find(&job.name, job.number).await? {
                    Some(now) if !now.state.has_ended() => Err(error),
                    _ => Ok(Released::AlreadyGone),
                };
            }
        }
        // A job ends as a whole: not before its last instance is given back.
        if !job.note.released.all() {
            return Ok(Released::InProgress);
        }
        self.cancel(submit::cancel(job.number, &job.name)).await?;
        match self.find(&job.name, job.number).await? {
            Some(now) if !now.state.has_ended() => Ok(Released::InProgress),
            _ => Ok(Released::Released),
        }
    }

    async fn find(&self, name: &str, number: u64) -> Result<Option<Job>> {
        let jobs = self.jobs().await?.ours;
        Ok(jobs.into_iter().find(|job| job.number == number && job.name == name))
    }

    fn states(&self, jobs: &[Job]) -> Vec<InstanceState> {
        let jobs = jobs.iter().filter(|job| job.exists());
        jobs.flat_map(|job| job.states(&self.id, self.cluster.region())).collect()
    }
}

/// A read that fails, or a job that is not gone, leaves open what happened.
fn unsure(mut error: ProviderError) -> ProviderError {
    error.certainty = Certainty::Unknown;
    error
}

#[async_trait]
impl CapacityProvider for SlurmProvider {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        let partitions = nodes::read(&self.run(nodes::list(&self.cluster.partitions())).await?);
        let (wanted, region) = (&request.request, self.cluster.region());
        let model = wanted.accelerators().map(|(model, _)| model);
        let ours = (wanted.providers().is_empty() || wanted.providers().contains(&self.id))
            && (wanted.kinds().is_empty() || wanted.kinds().contains(&OfferKind::Owned))
            && (wanted.regions().is_empty() || wanted.regions().contains(region));
        let offer = |shape: &Shape| {
            let partition = partitions.get(shape.zone.as_str()).filter(|partition| partition.up)?;
            let own_limit_s = shape.time_limit_min.map(|minutes| u64::from(minutes) * 60);
            let limit_s = [own_limit_s, partition.limit_s].into_iter().flatten().min();
            // A job that must end before the lease does is no offer for it.
            let long_enough = limit_s.is_none_or(|limit| limit >= wanted.duration_s());
            let same = shape.accelerators.map(|have| have.model) == model;
            (ours && same && long_enough && partition.could(shape)).then(|| Offer {
                provider: self.id.clone(),
                region: region.clone(),
                zone: shape.zone.clone(),
                instance_type: shape.instance_type.clone(),
                kind: OfferKind::Owned,
                accelerators: shape.accelerators,
                cpu: shape.cpu(),
                memory: shape.memory,
                price: shape.price.to_offer(),
                // What the settings say is true until they say something else.
                as_of: request.now,
                snapshot: self.cluster.snapshot().to_owned(),
                stock: if partition.can(shape) { StockHint::Likely } else { StockHint::Unlikely },
                quota: None,
                start_delay_s: 0,
                reclaim_bp_per_hour: 0,
                simulated: false,
                reservation: None,
                run_max_s: None,
            })
        };
        Ok(Quote {
            provider: self.id.clone(),
            snapshot: self.cluster.snapshot().to_owned(),
            as_of: request.now,
            offers: self.cluster.shapes().filter_map(offer).collect(),
            truncated: false,
        })
    }

    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        let name = format!("{}{}", job::name_prefix(&self.id), spec.token.as_str());
        // A read that fails says nothing about an earlier try with this token.
        if let Some(before) = self.named(&name).await.map_err(unsure)? {
            if before.note.fingerprint != fingerprint(spec) {
                return Err(error::conflict());
            }
            return Ok(self.result(&self.started(&name, None).await?, true));
        }
        let (shape, price) = self.check(spec)?;
        let note = Note::new(spec, price);
        let call = submit::call(spec, shape, &name, &note)?;
        let program = call.program;
        let answer = self.run(call).await?;
        let Some(number) = submit::number(&answer) else {
            return Err(error::unreadable(program, "sbatch printed no number"));
        };
        let job = self.started(&name, Some(number)).await?;
        if job.note.fingerprint != note.fingerprint {
            return Err(error::conflict());
        }
        Ok(self.result(&job, job.number != number))
    }

    async fn check_spot_prices(&self, _instance_type: &str, _region: &str) -> Result<SpotPrices> {
        Err(ProviderError::unsupported("check_spot_prices"))
    }

    fn describe(&self) -> Description {
        Description {
            provider: self.id.clone(),
            supports: Supports {
                quote: true,
                provision: true,
                idempotent_create: true,
                observe: true,
                release: true,
                list_owned: true,
                spot_prices: false,
                quotas: false,
                interruptions: true,
                user_data: false,
            },
            consistency_ms: 0,
            clock_skew_ms: CLOCK_SKEW_MS,
            simulated: false,
        }
    }

    async fn observe(&self, what: &Observe) -> Result<Vec<InstanceState>> {
        match what {
            Observe::Handles(handles) if handles.len() > OBSERVE_MAX => {
                let what = format!("at most {OBSERVE_MAX} handles in one call, not {}", handles.len());
                Err(error::config("TooManyHandles", &what))
            }
            Observe::Handles(handles) => {
                let wanted: std::collections::BTreeSet<&InstanceHandle> = handles.iter().collect();
                let matters = |number, _: &str| handles.iter().any(|handle| job::is_of(number, &handle.id));
                let mut states = self.states(&self.readable(matters).await?);
                states.retain(|state| wanted.contains(&state.handle));
                Ok(states)
            }
            Observe::Tag { key, value } => {
                // It may carry any tag.
                let mut states = self.states(&self.readable(|_, _| true).await?);
                states.retain(|state| state.tags.get(key) == Some(value));
                Ok(states)
            }
        }
    }

    async fn release(&self, handle: &InstanceHandle) -> Result<Released> {
        if handle.provider != self.id {
            let what = format!("`{}` belongs to {}", handle.id, handle.provider);
            return Err(error::config("OtherProvider", &what));
        }
        let _turn = self.turns.of(&handle.id).await;
        let jobs = self.readable(|number, _| job::is_of(number, &handle.id)).await?;
        let found = jobs.into_iter().find_map(|job| job.index_of(&handle.id).map(|index| (job, index)));
        match found {
            Some((job, index)) if !job.state.has_ended() => self.end(job, index).await,
            _ => Ok(Released::AlreadyGone),
        }
    }

    async fn list_owned(&self, owner: &str, page: Option<String>) -> Result<OwnedPage> {
        if page.is_some() {
            return Err(error::config("Page", "there is one page only; this token is not one of ours"));
        }
        let jobs = self.jobs().await?;
        let mut instances = self.states(&jobs.ours);
        instances.retain(|state| {
            state.phase.is_live() && state.tags.get(TAG_OWNER).is_some_and(|have| have == owner)
        });
        // A job of ours whose comment somebody changed may be anybody's.
        Ok(OwnedPage { instances, next: None, complete: jobs.unreadable.is_empty() })
    }

    async fn interruptions(&self, cursor: Option<String>) -> Result<InterruptionPage> {
        let jobs = self.jobs().await?.ours;
        let now = (self.clock)();
        Ok(interruption::page(&jobs, cursor.as_deref(), now, &self.id, self.cluster.region()))
    }
}
