//! Records as a daemon would send them. All of it is invented.

use std::collections::BTreeMap;

use hpc_broker::{
    Cost, DecisionRecord, EndReason, LeaseRecord, LeaseState, PlanRecord, PlanState, RequestRecord, RuleLine,
};
use hpc_resources::{
    AcceleratorModel, Accelerators, Attempt, Bytes, DecisionId, Excluded, Exclusion, InstanceType, LeaseId,
    MilliCpu, Money, Offer, OfferKind, PerInstanceHour, Plan, PlanId, ProviderId, QuotaFamily, Region,
    RequestId, ResourceRequest, Score, StockHint, TeamId, ZoneId,
};
use jiff::{SignedDuration, Timestamp};

pub fn now() -> Timestamp {
    "2026-11-23T20:41:10Z".parse().unwrap()
}

pub fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub fn usd(text: &str) -> Money {
    text.parse().unwrap()
}

pub fn plan_id() -> PlanId {
    PlanId::parse("pln_7qk4").unwrap()
}

pub fn lease_id() -> LeaseId {
    LeaseId::parse("lse_3vx9").unwrap()
}

pub fn request() -> ResourceRequest {
    ResourceRequest::new("finetune").add_gpu_nvidia_h100(8).with_duration_s(7_200).build().unwrap()
}

pub fn offer(provider: &str, zone: &str, kind: OfferKind, hourly: &str) -> Offer {
    Offer {
        provider: ProviderId::parse(provider).unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        zone: ZoneId::parse(zone).unwrap(),
        instance_type: InstanceType::parse("p5.48xlarge").unwrap(),
        kind,
        accelerators: Some(Accelerators {
            model: AcceleratorModel::parse("h100").unwrap(),
            count: 8,
            memory_each: Bytes::from_mib(81_920),
        }),
        cpu: MilliCpu(192_000),
        memory: Bytes::from_mib(2_097_152),
        price: Some(PerInstanceHour(usd(hourly))),
        as_of: later(-3),
        snapshot: "00".to_owned(),
        stock: StockHint::Likely,
        quota: None,
        start_delay_s: 120,
        reclaim_bp_per_hour: 0,
        simulated: true,
        reservation: None,
        run_max_s: None,
    }
}

pub fn attempt(provider: &str, zone: &str, kind: OfferKind, hourly: &str) -> Attempt {
    let offer = offer(provider, zone, kind, hourly);
    let hourly = usd(hourly);
    let score = Score {
        total_nanos: hourly.nanos() + 1_000_000_000,
        price_nanos: hourly.nanos(),
        wait_nanos: 1_000_000_000,
        reclaim_nanos: 0,
        stock_nanos: 0,
    };
    Attempt {
        price: PerInstanceHour(hourly),
        instances: 1,
        hourly,
        total: hourly.checked_mul(2).unwrap(),
        score,
        offer,
    }
}

pub fn excluded(offer: &str, why: Exclusion) -> Excluded {
    Excluded { offer: offer.to_owned(), included_by: why.knob(), why }
}

fn rule(rule: &str, effect: &str, result: &str, detail: &str) -> RuleLine {
    let own = str::to_owned;
    RuleLine { rule: own(rule), effect: own(effect), result: own(result), detail: own(detail) }
}

/// A plan that can be applied: two offers, and every common reason to be left out.
pub fn plan() -> PlanRecord {
    let quota =
        Exclusion::Quota { family: QuotaFamily::parse("P-spot").unwrap(), need: 192, free: 0, limit: 384 };
    let price = Exclusion::Price { hourly: usd("31.40"), limit: usd("30") };
    let counts = [("quota", 1), ("price", 1), ("rank", 4), ("other-accelerator", 118)];
    PlanRecord {
        plan: Plan {
            id: plan_id(),
            request_id: RequestId::parse("req_01").unwrap(),
            created_at: now(),
            expires_at: later(300),
            duration_s: 7_200,
            attempts: vec![
                attempt("sim-gcp", "us-central1-a", OfferKind::Spot, "21.60"),
                attempt("sim-aws", "use1-az2", OfferKind::Spot, "24.10"),
            ],
            excluded_counts: counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
            excluded: vec![
                excluded("sim-aws/us-west-2/usw2-az1/p5.48xlarge/spot", quota),
                excluded("sim-gcp/europe-west4/europe-west4-a/a3-highgpu-8g/spot", price),
                excluded("sim-onprem/lab/rack-07/hgx-h100/owned", Exclusion::Rank),
            ],
            worst_case: Some(usd("48.20")),
            simulated: true,
        },
        request: request(),
        principal: "spiffe://hpc.internal/user/you".to_owned(),
        team: TeamId::parse("ml").unwrap(),
        decision: DecisionRecord {
            id: DecisionId::parse("dec_1").unwrap(),
            allowed: true,
            policy_digest: "9f2c1d00aa11bb22".to_owned(),
            rules: vec![
                rule(
                    "starter/spend.gpu-users",
                    "allow",
                    "matched",
                    "context.max_hourly_microusd <= 250000000 (is 24100000)",
                ),
                rule(
                    "starter/spend.hourly-cap",
                    "deny",
                    "condition-not-met",
                    "context.max_hourly_microusd > 1000000000 (is 24100000)",
                ),
                rule("access/own-leases", "allow", "not-applicable", "lease/*"),
            ],
            reasons: Vec::new(),
            allowed_if: Vec::new(),
            obligations: BTreeMap::from([("idle_release_minutes".to_owned(), "15".to_owned())]),
        },
        team_left: Some(usd("412")),
        budgets: Vec::new(),
        hold: Some(usd("60")),
        state: PlanState::Open,
        hash: "ab".repeat(32),
        idle_release_s: Some(900),
        price_sources: Vec::new(),
    }
}

/// The same, denied by two rules.
pub fn denied() -> PlanRecord {
    let mut record = plan();
    record.state = PlanState::Denied;
    record.decision.allowed = false;
    record.decision.rules = vec![
        rule("starter/time.max-lease", "deny", "matched", "context.hours > 8 (is 12)"),
        rule("starter/gpu.team-quota", "deny", "matched", "context.team_gpus_after > 64 (is 72)"),
    ];
    record.decision.obligations.clear();
    record.decision.reasons = vec![
        "denied by starter/time.max-lease: at most 8 hours".to_owned(),
        "denied by starter/gpu.team-quota".to_owned(),
    ];
    record.decision.allowed_if = vec!["context.hours <= 8 and context.team_gpus_after <= 64".to_owned()];
    record
}

/// The same with nothing to offer.
pub fn no_offer() -> PlanRecord {
    let mut record = plan();
    record.state = PlanState::NoOffer;
    record.plan.attempts.clear();
    record.plan.worst_case = None;
    record.hold = None;
    record.plan.simulated = false;
    record
}

/// The same, waiting for a person.
pub fn awaiting() -> PlanRecord {
    let mut record = plan();
    record.state = PlanState::AwaitingApproval { by: "role:gpu-approver".to_owned() };
    record
}

pub fn lease(state: LeaseState) -> LeaseRecord {
    let ended = state.is_final();
    LeaseRecord {
        id: lease_id(),
        plan: plan_id(),
        request: RequestId::parse("req_01").unwrap(),
        principal: "spiffe://hpc.internal/user/you".to_owned(),
        team: TeamId::parse("ml").unwrap(),
        state,
        offer: Some(offer("sim-aws", "use1-az2", OfferKind::Spot, "24.10")),
        instances: 1,
        intents: Vec::new(),
        hold: usd("48.20"),
        payers: Vec::new(),
        hourly: Some(usd("24.10")),
        created_at: now(),
        active_at: Some(later(38)),
        ends_at: Some(later(7_238)),
        duration_s: 7_200,
        ended_at: ended.then(|| later(600)),
        end_reason: ended.then_some(EndReason::Asked),
        cost: ended.then(|| usd("4.02")),
        idle_release_s: Some(900),
        replaces: None,
        generation: 0,
        replacement: None,
        drain: None,
        renewals: Vec::new(),
        hedges: Vec::new(),
        failures: vec!["sim-gcp/us-central1/us-central1-a/a3-highgpu-8g/spot: no capacity".to_owned()],
        simulated: true,
    }
}

pub fn cost() -> Cost {
    Cost {
        lease: lease_id(),
        team: TeamId::parse("ml").unwrap(),
        state: LeaseState::Active,
        accrued: usd("4.820000001"),
        hourly: usd("24.10"),
        projected: usd("48.20"),
        hold: usd("48.20"),
        as_of: later(758),
        since: Some(later(38)),
        instances: Vec::new(),
        simulated: true,
    }
}

/// A row of `request list`: the record and the state of its plan in one object.
pub fn request_row() -> serde_json::Value {
    let record = RequestRecord {
        id: RequestId::parse("req_01").unwrap(),
        principal: "spiffe://hpc.internal/user/you".to_owned(),
        request: request(),
        created_at: now(),
        plan: plan_id(),
    };
    let mut row = serde_json::to_value(record).unwrap();
    let state = serde_json::to_value(PlanState::Applied { lease: lease_id() }).unwrap();
    row.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
    row
}

pub fn info() -> serde_json::Value {
    serde_json::json!({
        "version": "0.1.0", "dev": true, "simulated": true, "now": now(), "you": "spiffe://hpc.internal/user/you",
        "providers": ["sim-aws"], "a_field_of_a_newer_daemon": 7,
    })
}
