//! Reading: matching columns, their chunks and heads, folded or as they are.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use hpc_timeseries::evaluate::{Fold, shown_tags};
use hpc_timeseries::{
    Order, SAMPLES_MAX, SERIES_MAX, Sample, Select, Series, SeriesKey, SeriesList, SeriesSet,
    TimeSeriesError, ValueKind,
};
use redb::{ReadOnlyTable, ReadableDatabase};

use crate::chunk::{self, Raw};
use crate::index::from_bits;
use crate::store::Shared;
use crate::tables::CHUNKS;

/// The columns that make one series of the answer, by its tags and field.
type Groups = BTreeMap<(Vec<(String, String)>, String), Vec<Member>>;

struct Member {
    column: u32,
    kind: ValueKind,
    head: Vec<Raw>,
}

/// Answers a query that runs at `now_ns`.
pub(crate) fn query(shared: &Shared, select: &Select, now_ns: i64) -> Result<SeriesSet, TimeSeriesError> {
    let mut scan = Scan::begin(shared, select, now_ns)?;
    let groups = std::mem::take(&mut scan.groups);
    let mut set = SeriesSet::default();
    let mut left = SAMPLES_MAX;
    for ((tags, field), members) in groups {
        let (mut samples, cut) = match select.aggregate() {
            None => scan.stored(select, &members, left)?,
            Some((aggregation, window_ns)) => {
                let mut fold = Fold::new(aggregation, window_ns, scan.start_ns, scan.end_ns);
                for member in &members {
                    scan.each(member, Order::OldestFirst, |(ts_ns, bits)| {
                        fold.push(ts_ns, from_bits(member.kind, bits));
                        ControlFlow::Continue(())
                    })?;
                }
                fold.finish(select.fill(), select.order(), select.limit())
            }
        };
        set.truncated |= cut;
        if samples.is_empty() {
            continue;
        }
        if set.series.len() == SERIES_MAX || left == 0 {
            set.truncated = true;
            break;
        }
        set.truncated |= samples.len() > left;
        samples.truncate(left);
        left -= samples.len();
        set.series.push(Series { measurement: select.measurement().to_owned(), tags, field, samples });
    }
    Ok(set)
}

/// The newest sample of each matching column.
pub(crate) fn latest(shared: &Shared, select: &Select, now_ns: i64) -> Result<SeriesSet, TimeSeriesError> {
    select.require_plain()?;
    let mut scan = Scan::begin(shared, select, now_ns)?;
    let groups = std::mem::take(&mut scan.groups);
    let mut set = SeriesSet::default();
    for ((tags, field), members) in groups {
        let mut newest = None;
        for member in &members {
            scan.each(member, Order::NewestFirst, |(ts_ns, bits)| {
                newest = Some(Sample { ts_ns, value: Some(from_bits(member.kind, bits)) });
                ControlFlow::Break(())
            })?;
        }
        if let Some(newest) = newest {
            if set.series.len() == SERIES_MAX {
                set.truncated = true;
                break;
            }
            let measurement = select.measurement().to_owned();
            set.series.push(Series { measurement, tags, field, samples: vec![newest] });
        }
    }
    Ok(set)
}

/// The matching series.
pub(crate) fn series(shared: &Shared, select: &Select) -> SeriesList {
    let mut series: Vec<SeriesKey> = shared.index().matching(select).map(|entry| entry.key()).collect();
    series.sort();
    let most = select.limit().min(SERIES_MAX);
    let truncated = series.len() > most;
    series.truncate(most);
    SeriesList { series, truncated }
}

/// One consistent view: the heads as they are copied, and the chunks of a transaction begun under the same lock.
struct Scan<'a> {
    shared: &'a Shared,
    chunks: ReadOnlyTable<(u32, i64), &'static [u8]>,
    start_ns: i64,
    end_ns: i64,
    groups: Groups,
    scanned: usize,
}

impl<'a> Scan<'a> {
    fn begin(shared: &'a Shared, select: &Select, now_ns: i64) -> Result<Self, TimeSeriesError> {
        let (start_ns, end_ns) = select.range().resolve(now_ns);
        let start_ns = start_ns.max(shared.retention().start_ns(now_ns));
        let mut groups = Groups::new();
        for entry in shared.index().matching(select) {
            let key = entry.key();
            for column in entry.columns.iter().filter(|column| select.wants_field(&column.field)) {
                let tags = shown_tags(select.grouping(), &key.tags);
                let member = Member { column: column.id, kind: column.kind, head: Vec::new() };
                groups.entry((tags, column.field.to_string())).or_default().push(member);
            }
        }
        // The order matters: heads are emptied only after their chunks were committed,
        // so a transaction begun while they are held sees whatever they no longer have.
        let heads = shared.heads();
        for member in groups.values_mut().flatten() {
            member.head = heads.range(member.column, start_ns, end_ns).to_vec();
        }
        let txn = shared.db.begin_read().map_err(|e| shared.place.redb(e))?;
        drop(heads);
        let chunks = txn.open_table(CHUNKS).map_err(|e| shared.place.redb(e))?;
        Ok(Self { shared, chunks, start_ns, end_ns, groups, scanned: 0 })
    }

    /// Stored samples in the order of the query. Without an aggregation a group has one member.
    fn stored(
        &mut self,
        select: &Select,
        members: &[Member],
        left: usize,
    ) -> Result<(Vec<Sample>, bool), TimeSeriesError> {
        let most = select.limit().min(left);
        let mut samples = Vec::new();
        let mut cut = false;
        for member in members {
            self.each(member, select.order(), |(ts_ns, bits)| {
                if samples.len() == most {
                    cut = true;
                    return ControlFlow::Break(());
                }
                samples.push(Sample { ts_ns, value: Some(from_bits(member.kind, bits)) });
                ControlFlow::Continue(())
            })?;
        }
        Ok((samples, cut))
    }

    /// Calls `visit` with each sample of a column in the range, in order, until it breaks.
    fn each(
        &mut self,
        member: &Member,
        order: Order,
        mut visit: impl FnMut(Raw) -> ControlFlow<()>,
    ) -> Result<(), TimeSeriesError> {
        if self.start_ns >= self.end_ns {
            return Ok(());
        }
        let place = &self.shared.place;
        let mut merger = Merger { head: &member.head, order };
        // The chunk that begins at or before the start may reach into the range.
        let first_key = self
            .chunks
            .range((member.column, i64::MIN)..=(member.column, self.start_ns))
            .map_err(|e| place.redb(e))?
            .next_back()
            .transpose()
            .map_err(|e| place.redb(e))?
            .map_or((member.column, self.start_ns), |(key, _)| key.value());
        let mut chunks =
            self.chunks.range(first_key..(member.column, self.end_ns)).map_err(|e| place.redb(e))?;
        loop {
            let row = match order {
                Order::OldestFirst => chunks.next(),
                Order::NewestFirst => chunks.next_back(),
            };
            let Some(row) = row else { break };
            let (key, bytes) = row.map_err(|e| place.redb(e))?;
            let header = chunk::header(bytes.value());
            if header.is_some_and(|header| header.last_ns < self.start_ns) {
                continue;
            }
            let mut samples = chunk::decode(bytes.value())
                .ok_or_else(|| place.corrupt(format!("chunk {:?} does not read back", key.value())))?;
            self.scanned += samples.len();
            if self.scanned > self.shared.config.scan_samples_max {
                return Err(TimeSeriesError::UnsupportedQuery {
                    why: format!(
                        "it would read more than {} samples: ask for a shorter range or fewer series",
                        self.shared.config.scan_samples_max
                    ),
                });
            }
            samples.retain(|(ts_ns, _)| (self.start_ns..self.end_ns).contains(ts_ns));
            if order == Order::NewestFirst {
                samples.reverse();
            }
            if merger.chunk(&samples, &mut visit).is_break() {
                return Ok(());
            }
        }
        let _ = merger.rest(&mut visit);
        Ok(())
    }
}

/// Weaves the head of a column into its chunks; of two samples at one time the head's is newer and wins.
struct Merger<'a> {
    head: &'a [Raw],
    order: Order,
}

impl Merger<'_> {
    fn chunk(&mut self, samples: &[Raw], visit: &mut impl FnMut(Raw) -> ControlFlow<()>) -> ControlFlow<()> {
        for sample in samples {
            let mut replaced = false;
            while let Some(head) = self.peek().filter(|head| self.not_after(head.0, sample.0)) {
                replaced = head.0 == sample.0;
                self.advance();
                visit(head)?;
            }
            if !replaced {
                visit(*sample)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn rest(&mut self, visit: &mut impl FnMut(Raw) -> ControlFlow<()>) -> ControlFlow<()> {
        while let Some(head) = self.peek() {
            self.advance();
            visit(head)?;
        }
        ControlFlow::Continue(())
    }

    fn not_after(&self, head_ns: i64, sample_ns: i64) -> bool {
        match self.order {
            Order::OldestFirst => head_ns <= sample_ns,
            Order::NewestFirst => head_ns >= sample_ns,
        }
    }

    fn peek(&self) -> Option<Raw> {
        match self.order {
            Order::OldestFirst => self.head.first().copied(),
            Order::NewestFirst => self.head.last().copied(),
        }
    }

    fn advance(&mut self) {
        let rest = match self.order {
            Order::OldestFirst => self.head.split_first().map(|(_, rest)| rest),
            Order::NewestFirst => self.head.split_last().map(|(_, rest)| rest),
        };
        self.head = rest.unwrap_or_default();
    }
}
