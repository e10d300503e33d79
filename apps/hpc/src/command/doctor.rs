//! `hpc doctor`: every step of the way to the daemon, and the daemon, each with what to do.

use std::fmt::Write as _;

use hpc_error::{HpcError, codes};
use hpc_types::control::v1;
use serde::Serialize;

use super::audit_checkpoint::newest;
use crate::args::Global;
use crate::command::info;
use crate::context::{self, Context};
use crate::output::{BAD, GOOD, Screen, WARN, paint};
use crate::remembered::Memory;
use crate::render::policy::Shown;
use crate::session::{Session, Surroundings, failure, read_with};
use crate::text;

/// Difference of the clocks that is worth a warning, in seconds.
const SKEW_WARN_S: i64 = 30;
/// Difference of the clocks at which fresh certificates are refused, in seconds.
const SKEW_FAIL_S: i64 = 300;
/// A certificate with less than this left is worth a warning, in seconds.
const CERTIFICATE_WARN_S: i64 = 3_600;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    Warn,
    Fail,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    check: &'static str,
    result: Health,
    detail: String,
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(skip)]
    exit_code: u8,
}

impl Check {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, result: Health::Ok, detail: detail.into(), remedy: None, exit_code: 0 }
    }

    fn warn(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { result: Health::Warn, remedy: Some(remedy.into()), ..Self::ok(check, detail) }
    }

    fn fail(check: &'static str, error: &HpcError) -> Self {
        let code = error.code_text().map(|code| format!(" ({code})")).unwrap_or_default();
        let remedy = error.registered().map(|code| code.remedy.to_owned());
        let detail = format!("{}{code}", text::line(error.message()));
        Self { result: Health::Fail, remedy, exit_code: error.exit_code(), ..Self::ok(check, detail) }
    }
}

pub(super) async fn run(
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let mut checks = Vec::new();
    if let Some(context) = local(global, around, &mut checks) {
        remote(&context, global, around, &mut checks).await;
    }
    if screen.format.is_json() {
        screen.values(&checks)?;
    } else {
        screen.text(&render(&checks))?;
    }
    let failed = checks.iter().find(|check| check.result == Health::Fail);
    Ok(failed.map_or(0, |check| check.exit_code))
}

/// What this machine can tell: the context, its key, its certificate.
fn local(global: &Global, around: &Surroundings, checks: &mut Vec<Check>) -> Option<Context> {
    let found = around.context_name(global).and_then(|name| Ok(context::read(around.home()?, &name)?));
    let context = match found {
        Ok(context) => context,
        Err(error) => {
            checks.push(Check::fail("context", &error));
            return None;
        }
    };
    checks.push(Check::ok("context", format!("`{}`, {}", context.name, text::line(&context.endpoint))));
    let identity = around.home().and_then(|home| Ok(context::identity(home, &context.name)?));
    let (svid, bundle) = match identity {
        Ok(identity) => identity,
        Err(error) => {
            checks.push(Check::fail("key", &error));
            return None;
        }
    };
    checks.push(Check::ok("key", "readable by its owner alone"));
    let left = svid.not_after().duration_since((around.now)()).as_secs();
    let detail = format!("{} until {}", svid.id(), text::moment(svid.not_after()));
    let lasting = format!("{} left", text::duration(u64::try_from(left).unwrap_or(0)));
    checks.push(if left <= 0 {
        let message = format!("{detail}: its time is over; a new start of the daemon writes a new one");
        Check::fail("certificate", &HpcError::coded(&codes::AUT_CERTIFICATE_EXPIRED, message))
    } else if left < CERTIFICATE_WARN_S {
        Check::warn(
            "certificate",
            format!("{detail}, {lasting}"),
            "start the daemon again, it writes a new one",
        )
    } else {
        Check::ok("certificate", format!("{detail}, {lasting}"))
    });
    let authorities = text::count(bundle.authorities().len() as u64, "authority", "authorities");
    checks.push(Check::ok("trust", format!("{} of `{}`", authorities, bundle.trust_domain())));
    (left > 0).then_some(context)
}

/// What the daemon tells.
async fn remote(context: &Context, global: &Global, around: &Surroundings, checks: &mut Vec<Check>) {
    let session = match Session::open(around, global).await {
        Ok(session) => session,
        Err(error) => return checks.push(Check::fail("daemon", &error)),
    };
    let server = session.server().unwrap_or_default();
    match info(&session).await {
        Ok(info) => {
            let mode = if info.simulated { ", SIMULATED clouds" } else { "" };
            checks.push(Check::ok("daemon", format!("version {} answers{mode}", info.version)));
            checks.push(Check::ok("server", format!("{server}, as the context expects")));
            checks.push(Check::ok("you", info.you.clone()));
            checks.push(clock(&info, around));
        }
        Err(error) => return checks.push(Check::fail("daemon", &error)),
    }
    match session.system().health(session.call(v1::HealthRequest {})).await.map_err(failure) {
        Ok(answer) => {
            let health = answer.into_inner();
            checks.push(if health.serving {
                Check::ok("health", "takes work")
            } else {
                let reason = text::line(&health.reason);
                Check::fail("health", &HpcError::unavailable(format!("takes no work: {reason}")))
            });
        }
        Err(error) => checks.push(Check::fail("health", &error)),
    }
    checks.extend(policies(&session).await);
    match checkpoint(&session, context, around).await {
        Ok(found) => checks.extend(found),
        Err(error) => checks.push(Check::fail("audit", &error)),
    }
}

/// Whether the policies in force are those at their source. Nothing, where the caller may not know.
async fn policies(session: &Session) -> Option<Check> {
    let message = session.call(v1::ShowPolicyRequest { without_documents: true });
    let document = match session.policy().show(message).await.map_err(failure) {
        Ok(answer) => answer.into_inner(),
        Err(error) if error.registered() == Some(&codes::POL_DENIED) => return None,
        Err(error) if error.registered() == Some(&codes::INT_UNIMPLEMENTED) => return None,
        Err(error) => return Some(Check::fail("policies", &error)),
    };
    Some(match read_with::<Shown>(&document, "hpc.policy/v1", text::block) {
        Ok(shown) => match shown.alarm() {
            Some(alarm) => Check::warn(
                "policies",
                alarm,
                "the last good ones stay in force; repair the source, and try it: hpc policy check",
            ),
            None => {
                let digest: String = shown.digest.chars().take(12).collect();
                Check::ok("policies", format!("{} rules, {digest}", shown.rules))
            }
        },
        Err(error) => Check::fail("policies", &error),
    })
}

fn clock(info: &super::Info, around: &Surroundings) -> Check {
    let skew = info.now.duration_since((around.now)()).as_secs();
    let detail = format!("the daemon's is {skew} s from this machine's");
    if info.simulated {
        return Check::ok("clock", "not compared: a simulated world has its own time");
    }
    match skew.abs() {
        0..=SKEW_WARN_S => Check::ok("clock", detail),
        seconds if seconds < SKEW_FAIL_S => {
            Check::warn("clock", detail, "let both machines ask a time server")
        }
        _ => Check::fail("clock", &HpcError::coded(&codes::AUT_CERTIFICATE_EXPIRED, detail)),
    }
}

/// The newest checkpoint must be signed by the key that the context names, go on from what was seen before, and have its
/// quorum where witnesses are asked.
async fn checkpoint(
    session: &Session,
    context: &Context,
    around: &Surroundings,
) -> Result<Vec<Check>, HpcError> {
    let memory = Memory::new(around.home()?);
    let newest = newest(session, &memory).await?;
    let entries = text::count(newest.signed.checkpoint().size, "entry", "entries");
    let detail =
        format!("{entries} signed by {}; {}", text::line(newest.key.name()), newest.standing.words());
    let mut checks = vec![match context.audit_key {
        Some(_) => Check::ok("audit", detail),
        None => Check::warn(
            "audit",
            detail,
            "the context names no key to compare with; ask an administrator for it",
        ),
    }];
    if let Some(witnessing) = newest.witnessing {
        let missing = text::line(&witnessing.missing.unwrap_or_default());
        checks.push(if witnessing.late {
            Check::warn(
                "witnesses",
                format!("the quorum holds up to {} entries only: {missing}", witnessing.size),
                "see which witness is missing, and why: hpc audit checkpoint",
            )
        } else {
            Check::ok("witnesses", format!("the quorum holds up to {} entries", witnessing.size))
        });
    }
    Ok(checks)
}

fn render(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let mark = match check.result {
            Health::Ok => paint(GOOD, "ok  "),
            Health::Warn => paint(WARN, "warn"),
            Health::Fail => paint(BAD, "FAIL"),
        };
        let _ = writeln!(out, "{mark}  {:width$}  {}", check.check, check.detail);
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(out, "      {:width$}  try: {remedy}", "");
        }
    }
    out
}
