//! `hpc orphan`: shown, and ended only after a yes.

use hpc_broker::{NotReaped, OrphanState, OrphanView, OrphanWhy, Orphans, ReapReport, Unlisted};
use hpc_resources::ProviderId;

use crate::fake::{Answers, Daemon};
use crate::fixtures::info;

fn as_of() -> jiff::Timestamp {
    "2026-11-23T15:00:00Z".parse().unwrap()
}

fn orphan() -> OrphanView {
    OrphanView {
        name: "sim-aws.i-0".to_owned(),
        state: OrphanState::Found,
        why: Some(OrphanWhy::UnknownIntent),
        provider: ProviderId::parse("sim-aws").unwrap(),
        instance: "i-0\u{1b}[2J".to_owned(),
        intent: None,
        lease: Some("lse\u{1b}[2J".to_owned()),
        price: None,
        from: as_of(),
        to: None,
        cost: None,
    }
}

fn blind() -> Unlisted {
    Unlisted { provider: ProviderId::parse("sim-gcp").unwrap(), why: "no answer\u{1b}[2J".to_owned() }
}

fn report(not_reaped: Vec<NotReaped>) -> ReapReport {
    let (as_of, orphans) = (as_of(), vec![orphan()]);
    ReapReport { as_of, dry_run: true, orphans, not_reaped, more: 0, unlisted: Vec::new() }
}

fn reaped(daemon: &Daemon) -> Vec<String> {
    daemon.seen().into_iter().filter(|(method, _)| *method == "reap").map(|(_, what)| what).collect()
}

#[test]
fn orphans_are_ended_only_after_a_yes() {
    let daemon = Daemon::start(Answers::default().with("reap", "hpc.reap/v1", &[report(Vec::new())]).with(
        "info",
        "hpc.info/v1",
        &[info()],
    ));
    let nobody = daemon.hpc(&["orphan", "reap", "--all"]);
    assert_eq!((nobody.code, reaped(&daemon).len()), (2, 0), "{}", nobody.err);
    let no = daemon.hpc_answering(&["orphan", "reap", "--all"], "n\n");
    assert!(
        no.code == 0 && no.err.contains("nothing was ended") && no.out.is_empty(),
        "{}{}",
        no.out,
        no.err
    );
    assert!(reaped(&daemon).iter().all(|what| what.contains("dry_run: true")), "{:?}", reaped(&daemon));
    let dry = daemon.hpc(&["orphan", "reap", "--all", "--dry-run", "-o", "json"]);
    assert_eq!(serde_json::from_str::<ReapReport>(&dry.out).unwrap(), report(Vec::new()));
    assert!(dry.err.contains("nothing was ended"));
    assert!(reaped(&daemon).iter().all(|what| what.contains("dry_run: true")), "{:?}", reaped(&daemon));
    let yes = daemon.hpc_answering(&["orphan", "reap", "sim-aws.i-0"], "y\n");
    assert!(yes.code == 0 && yes.err.contains("recorded"), "{}{}", yes.out, yes.err);
    let asked = reaped(&daemon).pop().unwrap();
    assert!(asked.contains("dry_run: false") && asked.contains("sim-aws.i-0"), "{asked}");
    assert_eq!(daemon.hpc(&["orphan", "reap", "--all", "--yes"]).code, 0);
    for wrong in [
        &["orphan", "reap"][..],
        &["orphan", "reap", "--all", "--yes", "--dry-run"],
        &["orphan", "reap", "a.b", "--all"],
    ] {
        assert_eq!(daemon.hpc(wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn what_is_not_known_or_not_done_is_told_and_is_a_failure() {
    let orphans = Orphans { as_of: as_of(), orphans: vec![orphan()], more: 3, unlisted: vec![blind()] };
    let left = NotReaped { name: "sim-aws.i-0".to_owned(), why: "it hangs".to_owned() };
    let daemon = Daemon::start(
        Answers::default()
            .with("orphans", "hpc.orphans/v1", std::slice::from_ref(&orphans))
            .with("reap", "hpc.reap/v1", &[report(vec![left])])
            .with("info", "hpc.info/v1", &[info()]),
    );
    let list = daemon.hpc(&["orphan", "list", "-o", "wide"]);
    assert_eq!(list.code, 1);
    assert!(list.out.contains("unknown") && list.out.contains("its intent is unknown here"), "{}", list.out);
    assert!(!list.out.contains('\u{1b}') && !list.err.contains("\u{1b}[2J"), "{}{}", list.out, list.err);
    assert!(
        list.err.contains("sim-gcp: may have others") && list.err.contains("3 orphans more"),
        "{}",
        list.err
    );
    let json = daemon.hpc(&["orphan", "list", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Orphans>(&json.out).unwrap(), orphans);
    let reap = daemon.hpc(&["orphan", "reap", "--all", "--yes"]);
    assert!(reap.code == 1 && reap.err.contains("sim-aws.i-0: not ended: it hangs"), "{}", reap.err);
}
