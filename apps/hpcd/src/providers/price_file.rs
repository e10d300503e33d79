//! Prices from a catalog: a file that somebody else keeps fresh, read again when it changes, and believed for a while.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hpc_catalog::{BYTES_MAX, CatalogError, Freshness, Import, Snapshot, Staleness, ZoneNames, import};
use hpc_error::{HpcError, codes};
use hpc_provider::PriceSource;
use hpc_resources::{ProviderId, Region};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// Oldest catalog that can be asked to be believed, in hours: a year.
pub const MAX_AGE_HOURS_MAX: u32 = 365 * 24;
/// Without a word: a fortnight, as `hpc-catalog` has it.
const MAX_AGE_HOURS_DEFAULT: u32 = 14 * 24;
/// How often the file is looked at, at most.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// A file of prices, with the columns that `hpc catalog check` reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogFile {
    /// The file; a relative path begins where the file of providers is. It is read again when it changes.
    pub file: PathBuf,
    /// The region, for a list without that column.
    #[serde(default)]
    pub region: Option<String>,
    /// When its prices were true. Without: when the file was last written.
    #[serde(default)]
    pub as_of: Option<Timestamp>,
    /// How old it may be, in hours, 1 to [`MAX_AGE_HOURS_MAX`]; 336 without. Prices of an older one are unknown.
    #[serde(default)]
    pub max_age_hours: Option<u32>,
}

/// The prices of a catalog's file.
#[derive(Debug)]
pub(crate) struct PriceFile {
    path: PathBuf,
    provider: ProviderId,
    region: Option<Region>,
    zones: ZoneNames,
    as_of: Option<Timestamp>,
    policy: Staleness,
    edition: Mutex<Edition>,
    /// Held by the one who reads.
    reading: tokio::sync::Mutex<()>,
}

/// What was read last.
#[derive(Debug)]
struct Edition {
    snapshot: Arc<Snapshot>,
    refused: u64,
    stamp: Stamp,
    looked_at: Timestamp,
    trouble: Option<String>,
}

/// When a file was written, and how long it is: another one is another edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    written_at: Timestamp,
    bytes: u64,
}

impl PriceFile {
    /// Reads the file.
    ///
    /// # Errors
    /// `HPC-USG-*` for a file that cannot be read or settings that cannot be meant; `HPC-PRC-0002` for one that is older than
    /// it may be.
    pub(crate) async fn open(
        settings: &CatalogFile,
        below: &Path,
        provider: &ProviderId,
        zones: ZoneNames,
        now: Timestamp,
    ) -> Result<Self, HpcError> {
        let hours = settings.max_age_hours.unwrap_or(MAX_AGE_HOURS_DEFAULT);
        if !(1..=MAX_AGE_HOURS_MAX).contains(&hours) {
            let message = format!("`max_age_hours` is {hours}, allowed is 1 to {MAX_AGE_HOURS_MAX}");
            return Err(HpcError::coded(&codes::USG_OUT_OF_RANGE, message));
        }
        let region = settings.region.as_deref().map(Region::parse).transpose();
        let region = region.map_err(|error| HpcError::coded(&codes::USG_UNKNOWN_VALUE, error.to_string()))?;
        let unknown_after = SignedDuration::from_hours(i64::from(hours));
        let usual = Staleness::default();
        let policy = Staleness { stale_after: usual.stale_after.min(unknown_after), unknown_after };
        let (path, as_of) = (below.join(&settings.file), settings.as_of);
        let how = how(&path, provider, region.clone(), zones.clone());
        let (snapshot, refused, stamp) = read(path.clone(), how, as_of).await?;
        let edition = Edition { snapshot: Arc::new(snapshot), refused, stamp, looked_at: now, trouble: None };
        let file = Self {
            path,
            provider: provider.clone(),
            region,
            zones,
            as_of,
            policy,
            edition: Mutex::new(edition),
            reading: tokio::sync::Mutex::default(),
        };
        file.check(now, hours)?;
        Ok(file)
    }

    /// Refuses a catalog that nothing could be bought at, and says when one is getting old.
    fn check(&self, now: Timestamp, hours: u32) -> Result<(), HpcError> {
        let snapshot = self.kept();
        let (name, as_of) = (self.path.display(), snapshot.as_of());
        match snapshot.freshness(now, &self.policy) {
            Freshness::Fresh => Ok(()),
            Freshness::Stale => {
                tracing::warn!(catalog = %name, %as_of, "the prices of this catalog are more than a day old");
                Ok(())
            }
            Freshness::Unknown => {
                let message = format!(
                    "the prices in `{name}` are of {as_of}, and may be {hours} h old and not of the future; get a newer list, or \
                     set `max_age_hours`"
                );
                Err(HpcError::coded(&codes::PRC_STALE, message).with("path", name))
            }
        }
    }

    /// The prices that may be believed now; `None` when they are too old.
    pub(crate) async fn prices(&self, now: Timestamp) -> Option<Arc<Snapshot>> {
        self.look(now).await;
        let snapshot = self.kept();
        (snapshot.freshness(now, &self.policy) != Freshness::Unknown).then_some(snapshot)
    }

    /// What it is, how old, and what of it is used.
    pub(crate) fn source(&self) -> PriceSource {
        let edition = self.edition();
        let as_of = edition.snapshot.as_of();
        PriceSource {
            // Its folder is the machine's own business.
            name: self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            hash: edition.snapshot.hash().to_owned(),
            as_of,
            unknown_from: as_of.checked_add(self.policy.unknown_after).ok(),
            priced: u64::try_from(edition.snapshot.priced()).unwrap_or(u64::MAX),
            refused: edition.refused,
            trouble: edition.trouble.clone(),
        }
    }

    fn edition(&self) -> std::sync::MutexGuard<'_, Edition> {
        self.edition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> Arc<Snapshot> {
        Arc::clone(&self.edition().snapshot)
    }

    /// Reads the file again if it changed. What is there already is used while another caller reads, and when it cannot be read.
    async fn look(&self, now: Timestamp) {
        let Ok(_one) = self.reading.try_lock() else { return };
        let (before, due) = {
            let edition = self.edition();
            (edition.stamp, now.duration_since(edition.looked_at).abs() >= LOOK_EVERY)
        };
        if !due {
            return;
        }
        self.edition().looked_at = now;
        let path = self.path.clone();
        let found = tokio::task::spawn_blocking(move || stamp(&File::open(&path)?)).await;
        if found.as_ref().is_ok_and(|found| found.as_ref().is_ok_and(|found| *found == before)) {
            self.edition().trouble = None;
            return;
        }
        let how = how(&self.path, &self.provider, self.region.clone(), self.zones.clone());
        match read(self.path.clone(), how, self.as_of).await {
            Ok((snapshot, refused, stamp)) => {
                tracing::info!(catalog = %self.path.display(), hash = snapshot.hash(), "a new edition of a catalog is used");
                let mut edition = self.edition();
                (edition.snapshot, edition.refused) = (Arc::new(snapshot), refused);
                (edition.stamp, edition.trouble) = (stamp, None);
            }
            Err(error) => {
                tracing::warn!(catalog = %self.path.display(), %error, "the catalog cannot be read; the edition before is used");
                self.edition().trouble = Some(error.to_string());
            }
        }
    }
}

/// Refuses prices that are neither a catalog nor a table with its time, or both.
#[cfg(any(feature = "aws", feature = "gcp"))]
pub(crate) fn either() -> HpcError {
    let message = "`prices` is a `catalog`, or `as_of` and the prices themselves; not both";
    HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)
}

fn how(path: &Path, provider: &ProviderId, region: Option<Region>, zones: ZoneNames) -> Import {
    // When it was true is known once it is open.
    let usual = Import::new(provider.clone(), path.display().to_string(), Timestamp::UNIX_EPOCH);
    Import { region, zones, ..usual }
}

fn stamp(file: &File) -> std::io::Result<Stamp> {
    let found = file.metadata()?;
    let written_at = Timestamp::try_from(found.modified()?).map_err(std::io::Error::other)?;
    Ok(Stamp { written_at, bytes: found.len() })
}

/// Reads on a thread that may wait for a disk.
async fn read(
    path: PathBuf,
    how: Import,
    as_of: Option<Timestamp>,
) -> Result<(Snapshot, u64, Stamp), HpcError> {
    let reads = tokio::task::spawn_blocking(move || read_now(&path, how, as_of));
    reads.await.map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?
}

fn read_now(path: &Path, how: Import, as_of: Option<Timestamp>) -> Result<(Snapshot, u64, Stamp), HpcError> {
    let unreadable = |error: std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => &codes::USG_FILE_MISSING,
            _ => &codes::USG_FILE_PERMISSION,
        };
        HpcError::coded(code, format!("`{}`: {error}", path.display())).with("path", path.display())
    };
    let file = File::open(path).map_err(unreadable)?;
    // Before its content: what is written meanwhile has another stamp, and is read next time.
    let stamp = stamp(&file).map_err(unreadable)?;
    // One byte more than is taken, so that the importer can tell.
    let most = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    let how = Import { as_of: as_of.unwrap_or(stamp.written_at), ..how };
    let (snapshot, report) = import(&bytes, &how).map_err(|error| {
        let code = match error {
            CatalogError::TooLarge { .. } => &codes::USG_TOO_LARGE,
            _ => &codes::USG_UNKNOWN_VALUE,
        };
        HpcError::coded(code, format!("`{}`: {error}", path.display())).with("path", path.display())
    })?;
    Ok((snapshot, u64::try_from(report.refused).unwrap_or(u64::MAX), stamp))
}

#[cfg(test)]
mod tests {
    use hpc_resources::InstanceType;

    use super::*;

    const HEAD: &str = "InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Price,SpotPrice,Region,\
                        AvailabilityZone\n";
    const DAY: i64 = 86_400;

    fn settings(more: &str) -> CatalogFile {
        serde_json::from_str(&format!("{{\"file\": \"prices.csv\"{more}}}")).unwrap()
    }

    async fn open(dir: &Path, more: &str, now: Timestamp) -> Result<PriceFile, HpcError> {
        let provider = ProviderId::parse("aws").unwrap();
        PriceFile::open(&settings(more), dir, &provider, ZoneNames::Global, now).await
    }

    fn write(dir: &Path, rows: &str) -> Timestamp {
        std::fs::write(dir.join("prices.csv"), format!("{HEAD}{rows}")).unwrap();
        stamp(&File::open(dir.join("prices.csv")).unwrap()).unwrap().written_at
    }

    fn after(at: Timestamp, seconds: i64) -> Timestamp {
        at.checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    fn price(snapshot: &Snapshot, name: &str) -> Option<String> {
        let region = Region::parse("us-east-1").unwrap();
        let price = snapshot.on_demand(&InstanceType::parse(name).unwrap(), &region);
        price.map(|price| price.0.to_string())
    }

    #[tokio::test]
    async fn a_catalog_is_as_old_as_its_file_and_is_believed_for_as_long_as_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let written = write(dir.path(), "m,2,8,,,,0.5,,us-east-1,\nfree,2,8,,,,0.0,,us-east-1,\nbroken\n");
        let file = open(dir.path(), "", after(written, DAY)).await.unwrap();
        let prices = file.prices(after(written, 14 * DAY - 1)).await.unwrap();
        assert_eq!(price(&prices, "m").as_deref(), Some("0.50 USD"));
        assert_eq!(price(&prices, "free"), None, "zero is unknown");
        assert_eq!(file.prices(after(written, 14 * DAY)).await, None, "too old");
        let source = file.source();
        assert_eq!((source.as_of, source.unknown_from), (written, Some(after(written, 14 * DAY))));
        assert_eq!((source.priced, source.refused, source.hash.as_str()), (1, 1, prices.hash()));
        for (more, now, code) in [
            ("", after(written, 14 * DAY), "HPC-PRC-0002"),
            (", \"max_age_hours\": 1", after(written, 3_600), "HPC-PRC-0002"),
            ("", after(written, -3_600), "HPC-PRC-0002"),
            (", \"as_of\": \"2020-01-01T00:00:00Z\"", written, "HPC-PRC-0002"),
            (", \"max_age_hours\": 0", written, "HPC-USG-0011"),
            (", \"max_age_hours\": 8761", written, "HPC-USG-0011"),
            (", \"region\": \"\"", written, "HPC-USG-0012"),
        ] {
            let error = open(dir.path(), more, now).await.unwrap_err();
            assert_eq!(error.code_text(), Some(code), "{more}: {error}");
        }
        let said = open(dir.path(), "", after(written, 14 * DAY)).await.unwrap_err().to_string();
        assert!(
            said.contains("prices.csv") && said.contains("336 h") && said.contains("max_age_hours"),
            "{said}"
        );
        assert!(open(dir.path(), ", \"max_age_hours\": 8760", after(written, 300 * DAY)).await.is_ok());
    }

    #[tokio::test]
    async fn a_new_edition_is_used_and_one_that_cannot_be_read_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let written = write(dir.path(), "m,2,8,,,,0.5,,us-east-1,\n");
        let file = open(dir.path(), "", written).await.unwrap();
        write(dir.path(), "m,2,8,,,,0.75,,us-east-1,\n");
        async fn prices_of(file: &PriceFile, now: Timestamp) -> Option<String> {
            price(&file.prices(now).await.unwrap(), "m")
        }
        assert_eq!(
            prices_of(&file, after(written, 59)).await.as_deref(),
            Some("0.50 USD"),
            "looked at once a minute"
        );
        assert_eq!(prices_of(&file, after(written, 60)).await.as_deref(), Some("0.75 USD"));
        std::fs::write(dir.path().join("prices.csv"), "not a list").unwrap();
        assert_eq!(prices_of(&file, after(written, 120)).await.as_deref(), Some("0.75 USD"));
        assert!(file.source().trouble.unwrap().contains("prices.csv"));
        std::fs::remove_file(dir.path().join("prices.csv")).unwrap();
        assert_eq!(prices_of(&file, after(written, 180)).await.as_deref(), Some("0.75 USD"));
        write(dir.path(), "m,2,8,,,,1.25,,us-east-1,\n");
        assert_eq!(prices_of(&file, after(written, 240)).await.as_deref(), Some("1.25 USD"));
        assert_eq!(file.source().trouble, None);
    }

    #[tokio::test]
    async fn what_is_no_catalog_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_second(1_795_000_000).unwrap();
        let error = open(dir.path(), "", now).await.unwrap_err();
        assert_eq!(error.code_text(), Some("HPC-USG-0005"), "{error}");
        let written = write(dir.path(), "");
        let error = open(dir.path(), "", written).await.unwrap_err();
        assert_eq!(error.code_text(), Some("HPC-USG-0012"), "{error}");
        assert!(error.to_string().contains("prices.csv"), "{error}");
    }

    /// The real list of EC2's accelerated types, where the data folder is.
    #[tokio::test]
    async fn the_real_list_prices_what_it_prices_and_nothing_at_zero() {
        let path = "../../../shared/data/prices";
        if !Path::new(path).is_dir() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{path} is missing");
            eprintln!("skipped: {path} is not there");
            return;
        }
        let settings = CatalogFile {
            file: "aws-accelerated-us-east-1.csv".into(),
            region: Some("us-east-1".to_owned()),
            as_of: Some("2026-07-20T00:00:00Z".parse().unwrap()),
            max_age_hours: None,
        };
        let provider = ProviderId::parse("aws").unwrap();
        let open = |now: &str| {
            let (settings, now) = (settings.clone(), now.parse().unwrap());
            let provider = &provider;
            async move { PriceFile::open(&settings, Path::new(path), provider, ZoneNames::Global, now).await }
        };
        let file = open("2026-08-02T23:59:59Z").await.unwrap();
        let prices = file.prices("2026-08-02T23:59:59Z".parse().unwrap()).await.unwrap();
        assert_eq!(price(&prices, "p5.48xlarge").as_deref(), Some("55.04 USD"));
        // Without a price in the list, or a row of another quantity: unknown.
        for name in ["p5e.48xlarge", "dl2q.24xlarge", "trn2.48xlarge", "g6f.large"] {
            assert_eq!(price(&prices, name), None, "{name}");
        }
        assert!(prices.entries().iter().filter_map(|entry| entry.on_demand).all(|price| price.0.nanos() > 0));
        assert_eq!((file.source().priced, file.source().refused), (64, 13));
        assert_eq!(open("2026-08-03T00:00:00Z").await.unwrap_err().code_text(), Some("HPC-PRC-0002"));
    }
}
