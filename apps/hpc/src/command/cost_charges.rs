//! `hpc cost list` and `export`: charges as they come, never more than one at a time in memory for an export.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hpc_broker::{Charge, label_filter};
use hpc_error::{HpcError, codes};
use hpc_resources::{LeaseId, Money, Month, Payer, ProviderId};
use hpc_types::control::v1;
use jiff::Timestamp;

use super::audit::moment;
use crate::args::{Bill, Charges, Global};
use crate::command::{checked_id, daemon_now};
use crate::focus;
use crate::output::Screen;
use crate::render::charges::{list as table, row};
use crate::session::{Session, Surroundings, failure, read};
use crate::text;

/// Most charges of one list; an export has no such bound.
const LIST_MAX: usize = 10_000;

pub(super) async fn list(
    args: &Charges,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let session = Session::open(around, global).await?;
    let message = message(args, &session, around).await?;
    let mut charges =
        session.costs().charges(session.long_call(message)).await.map_err(failure)?.into_inner();
    let (mut sums, mut documents, mut rows, mut more) = (Sums::default(), Vec::new(), table(), false);
    while let Some(document) = charges.message().await.map_err(failure)? {
        let charge: Charge = read(&document, "hpc.charge/v1")?;
        if documents.len() >= LIST_MAX {
            more = true;
            break;
        }
        sums.add(&charge)?;
        row(&mut rows, &charge);
        documents.push(document);
    }
    if screen.format.is_json() {
        screen.documents(&documents)?;
    } else if documents.is_empty() {
        screen.say("no charges");
    } else {
        screen.text(&rows.render())?;
        screen.text(&sums.told())?;
    }
    if more {
        screen.say(&format!("only the first {LIST_MAX} are shown: hpc cost export writes all of them"));
    }
    Ok(0)
}

pub(super) async fn export(
    args: &Charges,
    bill: Bill,
    out: Option<&Path>,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let session = Session::open(around, global).await?;
    let message = message(args, &session, around).await?;
    let mut charges =
        session.costs().charges(session.long_call(message)).await.map_err(failure)?.into_inner();
    let mut sink = Sink::open(out)?;
    if bill == Bill::Csv {
        sink.write(&focus::head(), screen)?;
    }
    let mut sums = Sums::default();
    while let Some(document) = charges.message().await.map_err(failure)? {
        let charge: Charge = read(&document, "hpc.charge/v1")?;
        sums.add(&charge)?;
        let line = match bill {
            Bill::Csv => focus::csv(&charge),
            Bill::Jsonl => focus::json(&charge)?,
        };
        sink.write(&line, screen)?;
    }
    sink.finish()?;
    screen.say(sums.told().trim_end());
    Ok(0)
}

/// The question, checked before it is sent.
async fn message(
    args: &Charges,
    session: &Session,
    around: &Surroundings,
) -> Result<v1::ListChargesRequest, HpcError> {
    let (from, to) = match &args.month {
        Some(month) => {
            let month: Month = month.parse().map_err(|error: hpc_resources::MonthError| {
                HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string())
            })?;
            (Some(month.start()), Some(month.end()))
        }
        None => {
            let now = if args.from.is_some() || args.to.is_some() {
                daemon_now(session, around).await
            } else {
                Timestamp::UNIX_EPOCH
            };
            let at = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
            (at(&args.from)?, at(&args.to)?)
        }
    };
    let wire = |at: Option<Timestamp>| {
        at.map(hpc_types::time::to_proto)
            .transpose()
            .map_err(|error| HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string()))
    };
    if let Some(label) = &args.label {
        label_filter(label)?;
    }
    let payer = args.payer.as_deref().map(|payer| checked_id(payer.parse::<Payer>())).transpose()?;
    let lease = args.lease.clone().map(|lease| checked_id(LeaseId::parse(lease))).transpose()?;
    let provider = args.provider.clone().map(|name| checked_id(ProviderId::parse(name))).transpose()?;
    Ok(v1::ListChargesRequest {
        from: wire(from)?,
        to: wire(to)?,
        payer: payer.as_ref().map(ToString::to_string).unwrap_or_default(),
        lease_id: lease.as_ref().map(ToString::to_string).unwrap_or_default(),
        provider: provider.as_ref().map(ToString::to_string).unwrap_or_default(),
        label: args.label.clone().unwrap_or_default(),
    })
}

/// What charges come to, by currency. The one place where cost is rounded: half to even, at the whole.
#[derive(Default)]
struct Sums {
    count: u64,
    open: u64,
    simulated: u64,
    totals: BTreeMap<String, Money>,
}

impl Sums {
    fn add(&mut self, charge: &Charge) -> Result<(), HpcError> {
        self.count += 1;
        self.open += u64::from(!charge.settled);
        self.simulated += u64::from(charge.simulated);
        let currency = charge.cost.currency();
        let total = self.totals.entry(currency.as_str().to_owned()).or_insert(Money::from_nanos(0, currency));
        *total = total
            .checked_add(charge.cost)
            .map_err(|error| HpcError::coded(&codes::USG_BAD_AMOUNT, error.to_string()))?;
        Ok(())
    }

    fn told(&self) -> String {
        let totals: Vec<String> = self
            .totals
            .values()
            .map(|total| format!("{} (exactly {total})", total.cents_half_even()))
            .collect();
        let mut out = text::count(self.count, "charge", "charges");
        if !totals.is_empty() {
            out.push_str(&format!(", {}", totals.join(", ")));
        }
        if self.open > 0 {
            out.push_str(&format!("; {} still running", self.open));
        }
        if self.simulated > 0 {
            out.push_str(&format!("; {} SIMULATED", self.simulated));
        }
        out.push('\n');
        out
    }
}

/// Where an export goes. A file gets its name when it is whole: half a bill looks like one.
enum Sink<'a> {
    Screen,
    File { file: BufWriter<File>, part: PathBuf, path: &'a Path },
}

impl<'a> Sink<'a> {
    fn open(out: Option<&'a Path>) -> Result<Self, HpcError> {
        let Some(path) = out else { return Ok(Self::Screen) };
        if path.exists() {
            return Err(unwritable(path, &ErrorKind::AlreadyExists.into()));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
        let file = BufWriter::new(file.map_err(|error| unwritable(&part, &error))?);
        Ok(Self::File { file, part, path })
    }

    fn write(&mut self, line: &str, screen: &mut Screen<'_>) -> Result<(), HpcError> {
        match self {
            Self::Screen => screen.text(line),
            Self::File { file, part, .. } => {
                file.write_all(line.as_bytes()).map_err(|error| unwritable(part, &error))
            }
        }
    }

    fn finish(self) -> Result<(), HpcError> {
        let Self::File { mut file, part, path } = self else { return Ok(()) };
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(|error| unwritable(&part, &error))?;
        // Unlike a rename this replaces nothing.
        std::fs::hard_link(&part, path).map_err(|error| unwritable(path, &error))?;
        std::fs::remove_file(&part).map_err(|error| unwritable(&part, &error))
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> HpcError {
    let message = match error.kind() {
        ErrorKind::AlreadyExists => format!("`{}` is there already; name another file", path.display()),
        _ => format!("`{}` cannot be written: {error}", path.display()),
    };
    HpcError::coded(&codes::USG_FILE_PERMISSION, message).with("path", path.display())
}
