//! What a development daemon says when it begins to serve.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::context::Contexts;
use crate::daemon::Daemon;
use crate::policies::Origin;

/// The banner: what this is, where everything is, and what to type next.
#[must_use]
pub fn text(daemon: &Daemon, contexts: &Contexts, metrics: Option<SocketAddr>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    write(&mut out, daemon, contexts, metrics).unwrap_or_default();
    out
}

fn write(
    out: &mut String,
    daemon: &Daemon,
    contexts: &Contexts,
    metrics: Option<SocketAddr>,
) -> std::fmt::Result {
    let world = &daemon.world;
    let info = world.info("");
    writeln!(
        out,
        "hpcd dev {}          DEVELOPMENT MODE, NOT FOR PRODUCTION; the clouds are SIMULATED",
        info.version
    )?;
    match &info.data {
        Some(data) => {
            writeln!(out, "  data        {data}   (run {}, seed {})", world.data.run(), world.data.seed())?
        }
        None => writeln!(out, "  data        temporary, lost on exit          keep it: --data ./hpc-dev")?,
    }
    writeln!(out, "  providers   {}", info.providers.join("  "))?;
    writeln!(
        out,
        "  identity    throwaway CA (24 h); contexts `dev` and `dev-lead` in {}",
        contexts.home().display()
    )?;
    let status = world.policies.status();
    let kind = match (&status.promoted, &status.source) {
        (Some(_), _) => "promoted".to_owned(),
        (None, Origin::BuiltIn) => "starter".to_owned(),
        (None, Origin::Documents) => "yours".to_owned(),
        (None, Origin::Bundle { name, sequence, .. }) => format!("bundle {name} {sequence}, signed"),
    };
    let (rules, digest) =
        (world.broker.policies().rule_count(), info.policy_digest.chars().take(12).collect::<String>());
    writeln!(out, "  policy      {kind}, {rules} rules, {digest}         read it: hpc policy show")?;
    writeln!(out, "  api         {}   gRPC, mutual TLS", daemon.endpoint())?;
    writeln!(out, "  telemetry   {}/udp   QUIC, mutual TLS", daemon.telemetry)?;
    match metrics {
        Some(address) => writeln!(out, "  metrics     http://{address}/metrics")?,
        None => writeln!(out, "  metrics     off")?,
    }
    writeln!(out, "  audit       {}", info.audit_key)?;
    if let Some(address) = daemon.audit {
        writeln!(
            out,
            "  tiles       http://{address}{}   plain HTTP, for ANYBODY who can connect",
            crate::tiles::PREFIX
        )?;
    }
    for (provider, report) in &world.catalog {
        if report.rows_refused > 0 {
            writeln!(
                out,
                "  catalog     {provider}: {} rows refused; the first: {}",
                report.rows_refused,
                report
                    .refused
                    .first()
                    .map(|row| format!("line {}: {}", row.line, row.why))
                    .unwrap_or_default()
            )?;
        }
    }
    writeln!(out, "\nNext:  hpc request plan --gpu h100:8 --for 2h --max-hourly 60")
}
