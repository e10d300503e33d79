//! The port.

use async_trait::async_trait;
use hpc_timeseries::{
    BATCH_POINTS_MAX, Description, Durability, Point, Query, Rejected, SAMPLES_MAX, SERIES_MAX, Select,
    SeriesList, SeriesSet, TimeSeriesError, TimeSeriesStore, ValueKind, WriteReport,
};

use crate::client::InfluxDbClient;
use crate::{influxql, line, map};

/// Most bytes of lines in one request; servers take 25 MB unless told otherwise.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

#[async_trait]
impl TimeSeriesStore for InfluxDbClient {
    /// A batch over 8 MiB of lines goes in several requests; if one fails, those before it have been stored.
    async fn write(&self, batch: Vec<Point>, _: Durability) -> Result<WriteReport, TimeSeriesError> {
        if batch.len() > BATCH_POINTS_MAX {
            return Err(TimeSeriesError::BatchTooLarge { points: batch.len(), limit: BATCH_POINTS_MAX });
        }
        let mut report = WriteReport::default();
        let mut lines = String::new();
        for (index, point) in batch.iter().enumerate() {
            match line::encode(&mut lines, point) {
                Ok(()) => report.accepted += 1,
                Err(why) => report.rejected.push(Rejected { index, why }),
            }
            if lines.len() >= BODY_BYTES_MAX {
                self.send(std::mem::take(&mut lines)).await?;
            }
        }
        if !lines.is_empty() {
            self.send(lines).await?;
        }
        Ok(report)
    }

    async fn query(&self, query: Query) -> Result<SeriesSet, TimeSeriesError> {
        let select = query.into_select()?;
        self.gather(&select, influxql::field).await
    }

    async fn latest(&self, query: Query) -> Result<SeriesSet, TimeSeriesError> {
        let select = query.into_select()?;
        select.require_plain()?;
        self.gather(&select, influxql::last).await
    }

    async fn series(&self, query: Query) -> Result<SeriesList, TimeSeriesError> {
        let select = query.into_select()?;
        let statement = self.ask(&[influxql::series(&select, SERIES_MAX)]).await?.into_iter().next();
        let (mut series, cut) = statement.map(map::series_keys).transpose()?.unwrap_or_default();
        let most = select.limit().min(SERIES_MAX);
        let truncated = cut || series.len() > most;
        series.truncate(most);
        Ok(SeriesList { series, truncated })
    }

    fn describe(&self) -> Description {
        Description::new("influxdb", self.place())
    }
}

impl InfluxDbClient {
    /// Asks for the kinds of the fields, then for each field, and puts the series in order.
    ///
    /// One statement per field, because rows of several fields would mix their limits, and because the text of a
    /// number does not tell its kind.
    async fn gather(
        &self,
        select: &Select,
        text: impl Fn(&Select, &str) -> String + Send,
    ) -> Result<SeriesSet, TimeSeriesError> {
        let keys = self.ask(&[influxql::field_keys(select)]).await?.into_iter().next();
        let kinds = keys.map(map::field_kinds).unwrap_or_default();
        let fields: Vec<(String, ValueKind)> =
            kinds.into_iter().filter(|(field, _)| select.wants_field(field)).collect();
        let mut set = SeriesSet::default();
        for fields in fields.chunks(hpc_timeseries::FIELDS_MAX) {
            let texts: Vec<String> = fields.iter().map(|(field, _)| text(select, field)).collect();
            let statements = self.ask(&texts).await?;
            for (statement, (field, kind)) in statements.into_iter().zip(fields) {
                let (series, cut) = map::series(statement, select, field, *kind)?;
                set.truncated |= cut;
                set.series.extend(series);
            }
        }
        set.series.sort_by(|a, b| (&a.tags, &a.field).cmp(&(&b.tags, &b.field)));
        cut_to_limits(&mut set);
        Ok(set)
    }
}

fn cut_to_limits(set: &mut SeriesSet) {
    if set.series.len() > SERIES_MAX {
        set.truncated = true;
        set.series.truncate(SERIES_MAX);
    }
    let mut left = SAMPLES_MAX;
    for series in &mut set.series {
        set.truncated |= series.samples.len() > left;
        series.samples.truncate(left);
        left -= series.samples.len();
    }
    set.series.retain(|series| !series.samples.is_empty());
}
