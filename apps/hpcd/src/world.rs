//! The world of a development daemon: every port with its embedded default, and simulated clouds.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hpc_audit::AuditLog;
use hpc_audit_file::{Config as AuditConfig, DirError, FileAuditLog};
use hpc_broker::{Broker, Environment, Reconciled, Replacements, Settings};
use hpc_crypto::signing::KeyPair;
use hpc_error::codes::ErrorCode;
use hpc_error::{HpcError, codes};
use hpc_provider::CapacityProvider;
use hpc_provider_sim::{CatalogReport, CatalogSource, Persistence, SimConfig, SimError, SimWorld};
use hpc_resources::{Money, Payer, ProviderId, TeamId};
use hpc_timeseries::{TimeSeriesError, TimeSeriesStore};
use hpc_tsdb::{EmbeddedConfig, EmbeddedTsdb};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::clock::{HostEnvironment, Pace, wall_now};
use crate::data::DataDir;
use crate::first_boot::FirstBoot;
use crate::identity::HostIdentity;
use crate::limits;
use crate::nodes::Nodes;
use crate::owner::owner_of;
use crate::people::Directory;
use crate::policies::keeper::{Keeper, Start};
use crate::policies::kept::Kept;
use crate::policies::{Loaded, Source};
use crate::problems::in_short;
use crate::provider_calls::ProviderCalls;
use crate::providers::{self, Around};
use crate::reserve::Reserve;
use crate::stores::Stores;

/// Seed of a world that names none.
pub const SEED_DEFAULT: u64 = 42;
/// What the team of the development world may spend.
const BUDGET_USD: i64 = 100_000;
/// How far a directory's clock may be ahead of this machine's where real machines are asked.
const AHEAD_MAX: SignedDuration = SignedDuration::from_secs(5);
/// Name of the audit log in its checkpoints.
const AUDIT_ORIGIN: &str = "hpcd-dev.audit";

/// How a world is made.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Where state is kept; `None` for a temporary directory that is deleted at exit.
    pub data: Option<PathBuf>,
    /// Seed of the simulated clouds; that of the data directory if `None`.
    pub seed: Option<u64>,
    /// Directory of policies, or a signed bundle; the starter set if `None`.
    pub policies: Option<PathBuf>,
    /// Public keys of policy authors, in a file; with it only bundles signed by one of them are taken.
    pub policy_key: Option<PathBuf>,
    /// Catalog of `sim-aws`; the built-in one if `None`.
    pub catalog: Option<PathBuf>,
    /// Which providers there are, in a file; all simulated clouds if `None`.
    pub providers: Option<PathBuf>,
    /// The story that the simulated clouds tell, one of `hpc_provider_sim::STORIES`, or a file of rules and recordings.
    pub story: String,
    /// How time passes.
    pub pace: Pace,
    /// Where virtual time begins in a new data directory.
    pub start: Timestamp,
}

/// Everything a daemon is made of.
pub struct World {
    /// The use cases.
    pub broker: Arc<Broker>,
    /// The simulated clouds.
    pub sim: Arc<SimWorld>,
    /// The audit log.
    pub audit: Arc<FileAuditLog>,
    /// Telemetry.
    pub telemetry: Arc<dyn TimeSeriesStore>,
    /// Who the daemon is.
    pub identity: Arc<HostIdentity>,
    /// Nodes and their invitations.
    pub nodes: Arc<Nodes>,
    /// Tokens for the first boots of instances.
    pub first_boot: Arc<FirstBoot>,
    /// The policies: in force, tried, and how to change them.
    pub policies: Keeper,
    /// What the catalogs held, and which rows were refused.
    pub catalog: Vec<(ProviderId, CatalogReport)>,
    /// The data directory. Last, so that a temporary one is deleted when all else is closed.
    pub data: DataDir,
    reserve: Arc<Reserve>,
    environment: Arc<HostEnvironment>,
    telemetry_addr: OnceLock<String>,
    trouble: Mutex<Option<String>>,
}

/// What a daemon says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// The program's version.
    pub version: &'static str,
    /// Whether it is a development daemon.
    pub dev: bool,
    /// Whether its clouds are simulated.
    pub simulated: bool,
    /// Its time.
    pub now: Timestamp,
    /// Who asked, as the daemon sees them.
    pub you: String,
    /// Its providers.
    pub providers: Vec<String>,
    /// The digest of the policies in force.
    pub policy_digest: String,
    /// How many audit entries there are.
    pub audit_size: u64,
    /// The key the audit log is signed with.
    pub audit_key: String,
    /// Where state is kept; `None` when it is lost at exit, and towards those whom it does not concern.
    pub data: Option<String>,
    /// The seed of the simulated clouds; `None` towards those whom it does not concern.
    pub seed: Option<u64>,
}

impl World {
    /// Opens every part, checks what is there, and brings it into step: after this, instances = leases.
    ///
    /// # Errors
    /// The first part that cannot be opened, with its code: `HPC-DAT-*`, `HPC-AUD-*`, `HPC-POL-0004`, `HPC-USG-*`.
    pub async fn open(options: WorldOptions) -> Result<Arc<Self>, HpcError> {
        let (source, found) = policies(&options)?;
        let data = DataDir::open(options.data.as_deref(), options.seed, SEED_DEFAULT)?;
        let stores = Stores::open(&data).await?;
        let ledger = Arc::clone(&stores.ledger);
        let owner = owner_of(ledger.as_ref()).await?;
        let audit_key = KeyPair::from_seed(stores.seed_of("audit/log").await?);
        let ids = stores.seed_of("ids/stream").await?;
        let audit = FileAuditLog::open(&data.at("audit"), audit_key, AuditConfig::new(AUDIT_ORIGIN))
            .map_err(|error| audited(&data, error))?;
        let audit = Arc::new(audit);
        let sim = SimWorld::open(SimConfig {
            persistence: Persistence::File(data.at("cloud.sim")),
            catalog: options.catalog.clone().map_or(CatalogSource::BuiltIn, CatalogSource::File),
            script: crate::trouble::script(&options.story)?,
            ..SimConfig::new(data.seed(), options.start)
        })
        .map_err(|error| no_catalog(options.catalog.as_deref(), error))?;
        let sim = Arc::new(sim);
        let clock: hpc_timeseries::Clock = Arc::new(wall_now);
        let telemetry = EmbeddedTsdb::open(data.at("telemetry.redb"), EmbeddedConfig::default(), clock)
            .map_err(series)?;
        // After the lock on the directory, before anything is decided.
        let kept = Kept::read(&data.at("policies.json"))?;
        let fingerprint = found.fingerprint.clone();
        let (loaded, promoted) = kept.choose(found, &source)?;
        let stream = run_stream(&ids, data.seed(), data.run(), options.pace);
        let environment = Arc::new(HostEnvironment::new(Arc::clone(&sim), options.pace, stream));
        let told = Arc::clone(&environment);
        let told: hpc_provider_static::Clock = Arc::new(move || told.now());
        let shared_audit: Arc<dyn AuditLog> = audit.clone();
        let identity = Arc::new(HostIdentity::throwaway(wall_now())?);
        let nodes = Arc::new(Nodes::new(Arc::clone(&ledger), shared_audit.clone(), Arc::clone(&identity)));
        let boot_key = stores.seed_of("nodes/first-boot").await?;
        let first_boot = Arc::new(FirstBoot::new(Arc::clone(&nodes), boot_key));
        let around = Around { sim: &sim, stores: &stores, clock: &told, first_boot: &first_boot };
        let providers = providers::compose(options.providers.as_deref(), &around).await?;
        keep_time(options.pace, sim.now(), &providers)?;
        let broker = Broker::builder(
            ledger.clone(),
            shared_audit.clone(),
            Arc::new(loaded.set.clone()),
            environment.clone(),
        )
        .callers(Arc::new(Directory(identity.trust_domain().clone())))
        .providers(limits::bounded(providers, &ProviderCalls::registered()?))
        .settings(Settings { owner, dev: true, ..Settings::default() })
        .build()
        .await?;
        let broker = Arc::new(broker);
        nodes.ask(&broker);
        let start = Start {
            source,
            file: data.at("policies.json"),
            kept,
            loaded,
            found: fingerprint,
            promoted,
            run: data.run(),
        };
        let clock = Arc::clone(&environment);
        let policies =
            Keeper::start(start, Arc::clone(&broker), shared_audit.clone(), Box::new(move || clock.now()))
                .await?;
        let world = Arc::new(Self {
            broker,
            catalog: sim.catalog_report(),
            sim,
            audit,
            telemetry: Arc::new(telemetry),
            nodes,
            first_boot,
            identity,
            policies,
            data,
            reserve: stores.reserve,
            environment,
            telemetry_addr: OnceLock::new(),
            trouble: Mutex::default(),
        });
        world.give_budget().await?;
        world.reconcile().await?;
        Ok(world)
    }

    /// The team of the development world gets its budget once; what was set later stays.
    async fn give_budget(&self) -> Result<(), HpcError> {
        let team =
            TeamId::parse("ml").map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?;
        if !self.broker.budgets_of(&Payer::team(&team)).is_empty() {
            return Ok(());
        }
        let limit = Money::from_nanos(
            BUDGET_USD.saturating_mul(hpc_resources::NANOS_PER_UNIT),
            hpc_resources::Currency::USD,
        );
        self.broker.set_budget(&team, limit).await?;
        Ok(())
    }

    /// One round of reconciling; what it could not do is the daemon's trouble.
    ///
    /// # Errors
    /// A ledger failure.
    pub async fn reconcile(&self) -> Result<Reconciled, HpcError> {
        self.keep_room().await;
        let report = self.broker.reconcile().await;
        let trouble = match &report {
            Ok(report) if report.problems.is_empty() => None,
            Ok(report) => Some(in_short(&report.problems)),
            Err(error) => Some(error.to_string()),
        };
        let trouble = trouble.or_else(|| self.room().err().map(|full| full.to_string()));
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        report
    }

    /// Whether there is room on the disk for more than ending what there is.
    ///
    /// # Errors
    /// `HPC-DAT-0005` while there is not.
    pub fn room(&self) -> Result<(), HpcError> {
        self.reserve.ask()
    }

    /// Takes the room for ending leases again, if there is enough of it.
    async fn keep_room(&self) {
        if !self.reserve.is_held() {
            let reserve = Arc::clone(&self.reserve);
            // A panic there is a bug that costs the room alone.
            drop(tokio::task::spawn_blocking(move || reserve.take()).await);
        }
    }

    /// One round of replacing what providers took back. Nothing is begun while the disk has no room.
    ///
    /// # Errors
    /// A ledger failure.
    pub async fn replace(&self) -> Result<Replacements, HpcError> {
        if self.reserve.ask().is_err() {
            return Ok(Replacements::default());
        }
        self.broker.replace_interrupted().await
    }

    /// What the last round of reconciling could not do.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bits for the id of a decision that no other has: the time in milliseconds, then chance.
    pub(crate) fn fresh_decision(&self) -> u128 {
        self.broker.fresh_bits()
    }

    /// The world's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.environment.now()
    }

    /// How time passes here.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.environment.pace()
    }

    /// Lets virtual time pass.
    ///
    /// # Errors
    /// `HPC-DAT-*` when the simulated cloud cannot be written.
    pub fn pass(&self, time: Duration) -> Result<(), HpcError> {
        self.sim.advance(time).map_err(simulated)?;
        self.environment.time_has_passed();
        Ok(())
    }

    /// Says where nodes send their telemetry; the first call counts.
    pub fn set_telemetry_addr(&self, address: String) {
        drop(self.telemetry_addr.set(address));
    }

    /// Where nodes send their telemetry; empty before the server listens.
    #[must_use]
    pub fn telemetry_addr(&self) -> String {
        self.telemetry_addr.get().cloned().unwrap_or_default()
    }

    /// What the daemon says of itself to `you`.
    #[must_use]
    pub fn info(&self, you: &str) -> Info {
        Info {
            version: env!("CARGO_PKG_VERSION"),
            dev: true,
            simulated: self.broker.all_simulated(),
            now: self.now(),
            you: you.to_owned(),
            providers: self.broker.providers().map(ToString::to_string).collect(),
            policy_digest: self.broker.policies().digest().to_owned(),
            audit_size: self.audit.size(),
            audit_key: self.audit.verifier_key().to_string(),
            data: (!self.data.is_temporary()).then(|| self.data.path().display().to_string()),
            seed: Some(self.data.seed()),
        }
    }
}

/// Real machines are paid for by real hours.
fn keep_time(pace: Pace, now: Timestamp, providers: &[Arc<dyn CapacityProvider>]) -> Result<(), HpcError> {
    let real =
        providers.iter().map(|provider| provider.describe()).find(|description| !description.simulated);
    match (pace, real) {
        (Pace::Times(_), Some(real)) => {
            let message =
                format!("time cannot pass faster while `{}` is asked, which is not simulated", real.provider);
            Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message))
        }
        (_, Some(real)) if now.duration_since(wall_now()) > AHEAD_MAX => {
            let message = format!(
                "the clock of this directory is ahead, at {now}, and `{}` is not simulated: its machines would be charged \
                 for that time; use a directory where time did not pass faster",
                real.provider
            );
            Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message))
        }
        _ => Ok(()),
    }
}

/// Where policies come from, and what is there.
fn policies(options: &WorldOptions) -> Result<(Source, Loaded), HpcError> {
    let keys = options.policy_key.as_deref().map(hpc::policy_keys::read_public).transpose()?;
    let source = Source::new(options.policies.as_deref(), keys.unwrap_or_default())?;
    let found = source.load()?;
    Ok((source, found))
}

/// A world that is told when time passes tells the same story every time, ids included; one that follows the clock does not.
fn run_stream(ids: &[u8; 32], seed: u64, run: u64, pace: Pace) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("hpcd 2026-11 id stream v1");
    if pace.passes() {
        hasher.update(ids);
    }
    hasher.update(&seed.to_le_bytes()).update(&run.to_le_bytes());
    *hasher.finalize().as_bytes()
}

fn audited(data: &DataDir, error: DirError) -> HpcError {
    let code: &'static ErrorCode = match &error {
        DirError::InUse => &codes::DAT_LOCKED,
        DirError::Io { .. } => &codes::AUD_NOT_WRITABLE,
        _ => &codes::AUD_VERIFICATION_FAILED,
    };
    HpcError::coded(
        code,
        format!("the audit log in `{}` cannot be opened: {error}", data.at("audit").display()),
    )
}

fn series(error: TimeSeriesError) -> HpcError {
    let code: &'static ErrorCode = match &error {
        TimeSeriesError::Corrupt { .. } => &codes::DAT_CORRUPT,
        _ => &codes::DAT_NOT_WRITABLE,
    };
    HpcError::coded(code, format!("the telemetry store cannot be opened: {error}"))
}

/// A catalog that cannot be read was named wrongly; any other file of the simulated clouds is the daemon's own.
fn no_catalog(catalog: Option<&Path>, error: SimError) -> HpcError {
    match &error {
        SimError::Io { path, source, .. } if Some(path.as_path()) == catalog => {
            let code: &'static ErrorCode = match source.kind() {
                ErrorKind::PermissionDenied => &codes::USG_FILE_PERMISSION,
                _ => &codes::USG_FILE_MISSING,
            };
            HpcError::coded(code, error.to_string())
        }
        _ => simulated(error),
    }
}

fn simulated(error: SimError) -> HpcError {
    let code: &'static ErrorCode = match &error {
        SimError::CatalogTooLarge { .. } => &codes::USG_TOO_LARGE,
        SimError::CatalogColumns { .. } | SimError::CatalogEmpty { .. } => &codes::USG_MISSING_FIELD,
        SimError::Script { .. } | SimError::Seed { .. } => &codes::USG_UNKNOWN_VALUE,
        SimError::Corrupt { .. } => &codes::DAT_CORRUPT,
        _ => &codes::DAT_NOT_WRITABLE,
    };
    HpcError::coded(code, error.to_string())
}
