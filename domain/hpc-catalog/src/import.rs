//! Reading a list: bounded, row by row; what is broken is named, the rest is used.

use std::collections::BTreeMap;

use hpc_resources::{Currency, ProviderId, Region, ZoneId};
use jiff::Timestamp;
use serde::Serialize;

use crate::columns::Columns;
use crate::entry::Entry;
use crate::line;
use crate::rows::{self, Row};
use crate::snapshot::Snapshot;

/// Most rows in a list.
pub const ROWS_MAX: usize = 1_000_000;
/// Largest list, in bytes: 256 MiB.
pub const BYTES_MAX: usize = 256 << 20;
/// Longest line, in bytes; a longer one is a broken row.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// Most problems that a report spells out; all are counted.
pub const PROBLEMS_SHOWN_MAX: usize = 100;

/// How to read a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Whose machines they are.
    pub provider: ProviderId,
    /// Where the list comes from, for people.
    pub source: String,
    /// When it was true.
    pub as_of: Timestamp,
    /// What its prices are in; lists do not say, and the columns of [`Columns::Ec2Types`] are in US dollars.
    pub currency: Currency,
    /// The region, for lists without that column.
    pub region: Option<Region>,
    /// What its names of zones mean.
    pub zones: ZoneNames,
    /// Less than what is read at most.
    pub limits: Limits,
}

impl Import {
    /// Reads a list in US dollars with region and no zones that everybody calls the same.
    #[must_use]
    pub fn new(provider: ProviderId, source: impl Into<String>, as_of: Timestamp) -> Self {
        Self {
            provider,
            source: source.into(),
            as_of,
            currency: Currency::USD,
            region: None,
            zones: ZoneNames::PerAccount(BTreeMap::new()),
            limits: Limits::default(),
        }
    }
}

/// What names of zones mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneNames {
    /// The same for everybody (`us-central1-a`).
    Global,
    /// Another zone in each account (`us-east-1a`): by their account-independent ids, as far as they are known. A name that
    /// is not here leaves the zone open.
    PerAccount(BTreeMap<String, ZoneId>),
}

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most rows, up to [`ROWS_MAX`].
    pub rows: usize,
    /// Most bytes, up to [`BYTES_MAX`].
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: ROWS_MAX, bytes: BYTES_MAX }
    }
}

/// A row that was not used, or used with less than it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong, or doubtful.
    pub why: String,
    /// Whether the row is used all the same.
    pub used: bool,
}

/// What became of a list's rows.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Rows that were used.
    pub used: usize,
    /// Rows that were refused.
    pub refused: usize,
    /// Rows of which something was doubtful; they are used unless they are there twice.
    pub doubtful: usize,
    /// Entries without any price.
    pub unpriced: usize,
    /// Problems by line, at most [`PROBLEMS_SHOWN_MAX`]; rows that are there twice come after all others.
    pub problems: Vec<Problem>,
}

impl Report {
    /// A doubt about a row that is used; a row counts as doubtful once.
    fn doubt(&mut self, line: usize, why: String, doubted: bool) {
        self.problem(line, why, true);
        self.doubtful -= usize::from(doubted);
    }

    fn problem(&mut self, line: usize, why: String, used: bool) {
        *(if used { &mut self.doubtful } else { &mut self.refused }) += 1;
        if self.problems.len() < PROBLEMS_SHOWN_MAX {
            self.problems.push(Problem { line, why, used });
        }
    }
}

/// Why a list was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// More than is read.
    #[error("the list has more than {limit} {what}; divide it, for example by region")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Not the columns of any kind of list.
    #[error("the first line has none of the known sets of columns; nearest is {nearest:?}, which also wants {}", missing.join(", "))]
    Columns {
        /// The kind that lacks least.
        nearest: Columns,
        /// What it lacks.
        missing: Vec<&'static str>,
    },
    /// A currency that its columns contradict.
    #[error("the prices of this list are in USD by the name of their column, not in {0}")]
    Currency(Currency),
    /// No row could be used.
    #[error("none of {refused} rows can be used; the first: {first}")]
    Empty {
        /// How many were refused.
        refused: usize,
        /// Why the first was.
        first: String,
    },
}

/// Reads a list of any of the known [`Columns`].
///
/// Takes the memory of the entries beside that of the list; the README has figures.
///
/// # Errors
/// [`CatalogError`] for a list of which nothing can be used. Broken rows are in the [`Report`].
pub fn import(list: &[u8], how: &Import) -> Result<(Snapshot, Report), CatalogError> {
    let (rows_max, bytes_max) = (how.limits.rows.min(ROWS_MAX), how.limits.bytes.min(BYTES_MAX));
    if list.len() > bytes_max {
        return Err(CatalogError::TooLarge { what: "bytes", limit: bytes_max });
    }
    let list = list.strip_prefix(b"\xef\xbb\xbf").unwrap_or(list);
    let mut lines = list.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().filter(|line| line.len() <= LINE_BYTES_MAX).unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let headers = line::fields(&first).unwrap_or_default();
    let (columns, places) = Columns::find(&headers).ok_or_else(|| unknown(&headers))?;
    if columns == Columns::Ec2Types && how.currency != Currency::USD {
        return Err(CatalogError::Currency(how.currency));
    }
    let mut report = Report::default();
    let mut read: Vec<Read> = Vec::new();
    let mut rows = 0;
    for (number, line) in (2..).zip(lines).filter(|(_, line)| !line.is_empty()) {
        rows += 1;
        if rows > rows_max {
            return Err(CatalogError::TooLarge { what: "rows", limit: rows_max });
        }
        let mut doubts = Vec::new();
        let entry = read_line(line, headers.len(), &places).and_then(|fields| {
            let row = Row::new(columns, &fields);
            rows::entry(&row, how, &mut doubts)
        });
        match entry {
            Ok((entry, open_zone)) => {
                let doubted = !doubts.is_empty();
                if doubted {
                    report.problem(number, doubts.join("; "), true);
                }
                read.push(Read { line: number, entry, open_zone, doubted });
            }
            Err(why) => report.problem(number, why, false),
        }
    }
    let entries = fold(read, &mut report);
    report.problems.sort_by_key(|problem| problem.line);
    if entries.is_empty() {
        let first =
            report.problems.first().map_or("there are no rows", |problem| problem.why.as_str()).to_owned();
        return Err(CatalogError::Empty { refused: report.refused, first });
    }
    report.unpriced =
        entries.iter().filter(|entry| entry.on_demand.is_none() && entry.spot.is_none()).count();
    Ok((Snapshot::new(how.provider.clone(), &how.source, how.as_of, entries), report))
}

/// The wanted fields of a line, in the order of [`Columns::wanted`].
fn read_line<'a>(
    line: &'a [u8],
    count: usize,
    places: &[usize],
) -> Result<Vec<std::borrow::Cow<'a, str>>, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("longer than {LINE_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8 text".to_owned())?;
    let mut fields = line::fields(text).ok_or("its quotes do not match")?;
    if fields.len() != count {
        return Err(format!("{} fields, the first line has {count}", fields.len()));
    }
    Ok(places.iter().map(|place| fields.get_mut(*place).map(std::mem::take).unwrap_or_default()).collect())
}

/// One row that was read.
struct Read {
    line: usize,
    entry: Entry,
    /// What the account calls the zone, where it is left open.
    open_zone: Option<String>,
    /// Whether the report has a doubt about it.
    doubted: bool,
}

/// One entry for each machine and place: rows of one zone are joined first, then zones that are left open.
fn fold(mut read: Vec<Read>, report: &mut Report) -> Vec<Entry> {
    // Stable: of several rows of one machine in one place the first stays first.
    read.sort_by(|one, other| (&one.entry.key, &one.open_zone).cmp(&(&other.entry.key, &other.open_zone)));
    let mut places: Vec<Read> = Vec::with_capacity(read.len());
    for row in read {
        report.used += 1;
        let before = places
            .last_mut()
            .filter(|before| before.entry.key == row.entry.key && before.open_zone == row.open_zone);
        match before.map(|before| merge(&mut before.entry, &row.entry)) {
            None => places.push(row),
            Some(Ok(())) => {}
            Some(Err(why)) => {
                report.used -= 1;
                report.problem(row.line, why, false);
            }
        }
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(places.len());
    let mut differs = Differs::default();
    for row in places {
        let Some(before) = entries.last_mut().filter(|before| before.key == row.entry.key) else {
            differs = Differs::default();
            entries.push(row.entry);
            continue;
        };
        match join_zones(before, &row.entry, &mut differs) {
            Ok(None) => {}
            Ok(Some(doubt)) => report.doubt(row.line, doubt, row.doubted),
            Err(why) => {
                report.used -= 1;
                report.problem(row.line, why, false);
            }
        }
    }
    entries
}

/// Which prices of one machine differ between zones that are left open.
#[derive(Default)]
struct Differs {
    on_demand: bool,
    spot: bool,
}

/// Zones that are left open are one place. A price on which they differ is unknown there, whichever comes first.
fn join_zones(before: &mut Entry, entry: &Entry, differs: &mut Differs) -> Result<Option<String>, String> {
    let name = &entry.key.instance_type;
    if !before.same_shape(entry) {
        return Err(format!("`{name}` is another machine in another zone; the first row counts"));
    }
    let mut said = Vec::new();
    for (price, other, differs, what) in [
        (&mut before.on_demand, entry.on_demand, &mut differs.on_demand, "full"),
        (&mut before.spot, entry.spot, &mut differs.spot, "spot"),
    ] {
        let Some(other) = other else { continue };
        if !*differs && price.is_none_or(|price| price == other) {
            *price = Some(other);
        } else {
            (*price, *differs) = (None, true);
            said.push(format!(
                "the {what} price of `{name}` differs between zones that are left open, so it is unknown"
            ));
        }
    }
    Ok((!said.is_empty()).then(|| said.join("; ")))
}

/// Lists with a row each for spot and on-demand tell one machine in two rows; anything else that comes twice is a mistake.
fn merge(before: &mut Entry, entry: &Entry) -> Result<(), String> {
    let both = |one: bool, other: bool| one && other;
    let twice = both(before.on_demand.is_some(), entry.on_demand.is_some())
        || both(before.spot.is_some(), entry.spot.is_some());
    let adds = entry.on_demand.is_some() || entry.spot.is_some();
    if twice || !adds || !before.same_shape(entry) {
        let place = entry.key.zone.as_ref().map_or(entry.key.region.as_str(), ZoneId::as_str);
        return Err(format!("`{}` is there twice in {place}; the first row counts", entry.key.instance_type));
    }
    before.on_demand = before.on_demand.or(entry.on_demand);
    before.spot = before.spot.or(entry.spot);
    Ok(())
}

fn unknown(headers: &[std::borrow::Cow<'_, str>]) -> CatalogError {
    let missing = |columns: &Columns| -> Vec<&'static str> {
        let has = |wanted: &str| headers.iter().any(|header| header.trim() == wanted);
        columns.wanted().iter().copied().filter(|wanted| !has(wanted)).collect()
    };
    let nearest =
        Columns::ALL.into_iter().min_by_key(|columns| missing(columns).len()).unwrap_or(Columns::SkyPilot);
    CatalogError::Columns { nearest, missing: missing(&nearest) }
}
