//! `hpc request`: plan, apply, list, show, explain.

use std::path::Path;

use hpc_broker::{LeaseRecord, PlanRecord, PlanState, Progress, RequestRecord};
use hpc_error::{HpcError, codes};
use hpc_resources::{GpuDocument, OnInterruption, PlanId, RequestDocument, RequestPriority};
use hpc_types::control::v1::{self, Document, apply_event::Event};
use serde::Deserialize;

use crate::args::{Global, PlanArgs, Request, RequestArgs};
use crate::command::{checked_id, daemon_now, pages, random_key, receipts};
use crate::context;
use crate::output::Screen;
use crate::render;
use crate::session::{Session, Surroundings, failure, present, read};
use crate::table::Table;
use crate::text;

/// Exit code after Ctrl-C.
const EXIT_INTERRUPTED: u8 = 130;

pub(super) async fn run(
    command: Request,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    match command {
        Request::Plan(args) => plan(&args, global, around, screen).await,
        Request::Apply { plan, yes } => apply(&plan, yes, global, around, screen).await,
        Request::List(page) => {
            let session = Session::open(around, global).await?;
            list(&session, page.limit, screen).await
        }
        Request::Show { id } => {
            let session = Session::open(around, global).await?;
            let document = show(&session, &id).await?;
            print(&document, screen).map(|_| 0)
        }
        Request::Explain { plan, rule } => {
            let plan = checked_id(PlanId::parse(plan))?;
            let session = Session::open(around, global).await?;
            explain(&session, &plan, rule, screen).await
        }
    }
}

/// The request of the command line. What is wrong with it is said here, before a daemon is asked.
pub(super) fn wanted(args: &RequestArgs) -> Result<RequestDocument, HpcError> {
    let wanted = match &args.file {
        Some(file) => from_file(file)?,
        None => from_flags(args)?,
    };
    let checked = wanted.clone().into_request();
    checked.map_err(|error| HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string()))?;
    Ok(wanted)
}

async fn plan(
    args: &PlanArgs,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let wanted = wanted(&args.request)?;
    let idempotency_key = match &args.idempotency_key {
        Some(key) => key.clone(),
        None => random_key()?,
    };
    let session = Session::open(around, global).await?;
    let request = Some(Document::write("hpc.request/v1", &wanted)?);
    let message = v1::PlanRequest { request, idempotency_key };
    let answer = session.requests().plan(session.call(message)).await.map_err(failure)?.into_inner();
    let document = present(answer.plan)?;
    let receipts = receipts::take(&answer.receipts, &session, global, screen);
    let record = print(&document, screen)?;
    if matches!(record.state, PlanState::AwaitingApproval { .. }) && session.context.dev {
        say_other_people(&record, around, &session, screen);
    }
    receipts?;
    Ok(render::plan::exit_code(&record.state))
}

/// In development the one who may approve is a context away.
fn say_other_people(record: &PlanRecord, around: &Surroundings, session: &Session, screen: &mut Screen<'_>) {
    let Ok(home) = around.home() else { return };
    let same_daemon = |name: &String| {
        *name != session.context.name
            && context::read(home, name)
                .is_ok_and(|other| other.dev && other.endpoint == session.context.endpoint)
    };
    for name in context::list(home).unwrap_or_default().iter().filter(|name| same_daemon(name)) {
        screen.say(&format!(
            "in development you can be somebody else: hpc --context {name} approval approve {} --reason ...",
            record.plan.id
        ));
    }
}

/// Writes a plan in the format that was asked for.
fn print(document: &Document, screen: &mut Screen<'_>) -> Result<PlanRecord, HpcError> {
    let record: PlanRecord = read(document, "hpc.plan/v1")?;
    if screen.format.is_json() {
        screen.document(document)?;
    } else {
        screen.text(&render::plan::plan(&record, screen.format.is_wide()))?;
    }
    Ok(record)
}

/// One plan, by its id or that of its request.
pub(super) async fn show(session: &Session, id: &str) -> Result<Document, HpcError> {
    let message = v1::ShowRequest { id: id.to_owned() };
    Ok(session.requests().show(session.call(message)).await.map_err(failure)?.into_inner())
}

async fn apply(
    plan: &str,
    yes: bool,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let plan = checked_id(PlanId::parse(plan))?;
    if !yes {
        screen.needs_person("--yes")?;
    }
    let session = Session::open(around, global).await?;
    if !yes {
        let record: PlanRecord = read(&show(&session, plan.as_str()).await?, "hpc.plan/v1")?;
        let ready = matches!(record.state, PlanState::Open | PlanState::Approved { .. });
        // A plan that was applied before is only looked at, and one that cannot be is refused by the daemon: no question.
        if ready && !screen.confirm(&question(&record), "--yes")? {
            screen.say("nothing was done");
            return Ok(0);
        }
    }
    let message = v1::ApplyRequest { plan_id: plan.to_string(), approval_id: String::new() };
    let mut events =
        session.requests().apply(session.long_call(message)).await.map_err(failure)?.into_inner();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut lease_id: Option<String> = None;
    loop {
        let event = tokio::select! {
            event = events.message() => event.map_err(failure)?,
            _ = &mut interrupted => {
                say_detached(plan.as_str(), lease_id.as_deref(), screen);
                return Ok(EXIT_INTERRUPTED);
            }
        };
        let Some(event) = event else {
            let message = format!("the daemon went away before it was done; see `hpc request show {plan}`");
            return Err(HpcError::coded(&codes::NET_DAEMON_UNREACHABLE, message));
        };
        match event.event {
            Some(Event::Progress(document)) => {
                // A step of a kind that this client does not know is no reason to stop looking.
                let Ok(progress) = read::<Progress>(&document, "hpc.progress/v1") else { continue };
                if let Progress::Held { lease, .. } = &progress {
                    lease_id = Some(lease.to_string());
                }
                screen.say(&render::plan::progress(&progress));
            }
            Some(Event::Lease(document)) => {
                let receipts = receipts::take(&event.receipts, &session, global, screen);
                let code = lease(&document, &session, around, screen).await?;
                return receipts.map(|()| code);
            }
            None => {}
        }
    }
}

async fn lease(
    document: &Document,
    session: &Session,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let record: LeaseRecord = read(document, "hpc.lease/v1")?;
    if screen.format.is_json() {
        screen.document(document)?;
    } else {
        let now = daemon_now(session, around).await;
        screen.text(&render::lease::one(&record, now))?;
    }
    let id = &record.id;
    screen
        .say(&format!("Look: hpc lease show {id}   Cost: hpc cost show {id}   End: hpc lease release {id}"));
    Ok(0)
}

fn question(record: &PlanRecord) -> String {
    let hold = render::plan::hold(record).map_or_else(|| "the money".to_owned(), text::money);
    let simulated = if record.plan.simulated { " (SIMULATED)" } else { "" };
    format!("Hold {hold} and start {}{simulated}?", render::plan::in_short(record))
}

fn say_detached(plan: &str, lease: Option<&str>, screen: &mut Screen<'_>) {
    screen.say("\ndetached: the daemon goes on with it");
    match lease {
        Some(lease) => {
            screen.say(&format!("  look: hpc lease show {lease}   end it: hpc lease release {lease}"))
        }
        None => screen.say(&format!("  look: hpc request show {plan}   and: hpc lease list")),
    }
}

/// A request and what its plan became.
#[derive(Debug, Clone, Deserialize)]
struct RequestRow {
    #[serde(flatten)]
    record: RequestRecord,
    #[serde(flatten)]
    plan: PlanState,
}

async fn list(session: &Session, limit: u32, screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    let mut client = session.requests();
    let (items, _, more) = pages!(session, client, limit, |_: &Document| true);
    if screen.format.is_json() {
        screen.documents(&items)?;
    } else if items.is_empty() {
        screen.say("no requests yet; make one: hpc request plan --gpu h100:8 --for 2h");
    } else {
        let rows: Vec<RequestRow> =
            items.iter().map(|item| read(item, "hpc.request-row/v1")).collect::<Result<_, _>>()?;
        screen.text(&rows_table(&rows, screen.format.is_wide()))?;
    }
    if more {
        screen.say("there are more: --limit N");
    }
    Ok(0)
}

fn rows_table(rows: &[RequestRow], wide: bool) -> String {
    let mut heads = vec!["request", "plan", "state", "name", "gpu", "for", "created"];
    if wide {
        heads.push("principal");
    }
    let mut table = Table::new(&heads);
    for row in rows {
        let (record, request) = (&row.record, &row.record.request);
        let gpu = request
            .accelerators()
            .map_or_else(|| "-".to_owned(), |(model, n)| format!("{}:{n}", model.as_str()));
        let mut cells = vec![
            record.id.to_string(),
            record.plan.to_string(),
            render::plan::state(&row.plan),
            request.name().to_owned(),
            gpu,
            text::duration(request.duration_s()),
            text::moment(record.created_at),
        ];
        if wide {
            cells.push(record.principal.clone());
        }
        table.row(cells);
    }
    table.render()
}

async fn explain(
    session: &Session,
    plan: &PlanId,
    rule: Option<String>,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let message = v1::ExplainRequest { plan_id: plan.to_string(), rule: rule.unwrap_or_default() };
    let document = session.requests().explain(session.call(message)).await.map_err(failure)?.into_inner();
    if screen.format.is_json() {
        screen.document(&document)?;
    } else {
        screen.text(&render::policy::explanation(&read(&document, "hpc.explanation/v1")?))?;
    }
    Ok(0)
}

fn from_file(file: &Path) -> Result<RequestDocument, HpcError> {
    Ok(hpc_config::read_document(file)?)
}

/// The document that the flags stand for.
pub(crate) fn from_flags(args: &RequestArgs) -> Result<RequestDocument, HpcError> {
    let gpu = args.gpu.as_deref().map(gpu).transpose()?;
    let bad =
        |what: &str, error: String| HpcError::coded(&codes::USG_UNKNOWN_VALUE, format!("--{what}: {error}"));
    let mut kinds = Vec::new();
    let words = args.kind.iter().map(String::as_str);
    let short = [(args.spot, "spot"), (args.on_demand, "on-demand")];
    for word in words.chain(short.into_iter().filter_map(|(given, word)| given.then_some(word))) {
        let kind = serde_json::from_value(word.into()).map_err(|error| bad("kind", error.to_string()))?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let priority = match &args.priority {
        Some(word) => serde_json::from_value(word.as_str().into())
            .map_err(|error| bad("priority", error.to_string()))?,
        None => RequestPriority::default(),
    };
    let mut labels = std::collections::BTreeMap::new();
    for label in &args.labels {
        let advice = || bad("label", format!("`{}` is not KEY=VALUE", text::line(label)));
        let (key, value) = label.split_once('=').ok_or_else(advice)?;
        labels.insert(key.to_owned(), value.to_owned());
    }
    let parse = |what: &'static str, error: hpc_resources::IdError| bad(what, error.to_string());
    let name = args.name.clone().unwrap_or_else(|| default_name(gpu.as_ref()));
    Ok(RequestDocument {
        name,
        gpu,
        cpu: args.cpu,
        memory: args.memory.clone(),
        storage: None,
        network_bits_per_s: None,
        kinds,
        regions: ids(&args.regions, hpc_resources::Region::parse).map_err(|error| parse("region", error))?,
        providers: ids(&args.providers, hpc_resources::ProviderId::parse)
            .map_err(|error| parse("provider", error))?,
        duration: args.duration.clone(),
        hedge: args.hedge.clone(),
        max_hourly: args.max_hourly.clone(),
        max_total: args.max_total.clone(),
        instances_max: args.instances_max,
        priority,
        team: args
            .team
            .as_deref()
            .map(hpc_resources::TeamId::parse)
            .transpose()
            .map_err(|error| parse("team", error))?,
        purpose: args.purpose.clone(),
        labels,
        on_interruption: if args.replace { OnInterruption::Replace } else { OnInterruption::End },
    })
}

fn ids<T, E>(texts: &[String], parse: impl Fn(String) -> Result<T, E>) -> Result<Vec<T>, E> {
    texts.iter().map(|text| parse(text.clone())).collect()
}

fn default_name(gpu: Option<&GpuDocument>) -> String {
    gpu.map_or_else(|| "request".to_owned(), |gpu| format!("{}-{}", gpu.model, gpu.count))
}

/// `h100:8`, or `h100` for one.
fn gpu(text: &str) -> Result<GpuDocument, HpcError> {
    let (model, count) = text.rsplit_once(':').unwrap_or((text, "1"));
    let count = count.parse().map_err(|_| {
        let shown = text::line(text);
        HpcError::coded(
            &codes::USG_UNKNOWN_VALUE,
            format!("--gpu: `{shown}` is not MODEL:COUNT, such as `h100:8`"),
        )
    })?;
    Ok(GpuDocument { model: model.to_owned(), count })
}
