//! The promises of the design, one module each.

mod apply_journaled;
mod audit_append_durable;
mod audit_memory;
#[cfg(feature = "rivals")]
mod cedar;
mod demo_time;
mod failover_own_time;
mod hpcd_start;
mod inclusion_proof;
mod issue_certificates;
mod merkle_build_1m;
#[cfg(feature = "rivals")]
mod merkle_rivals;
mod month_memory;
mod mtls_handshakes;
mod plan_100k_offers;
mod policy_decision_10k;
mod policy_load_10k;
mod policy_scale;
mod reconcile_10k_leases;
mod seal_open_4k;
mod telemetry_quic;
mod tsdb_bytes_per_point;
mod tsdb_ingest;
mod tsdb_query_1h_1000_series;
mod unary_grpc;
mod verify_batch;

use crate::Result;
use crate::harness::{Bench, Report};

/// One promise: its name, what it says, and how it is measured.
pub struct Promise {
    /// The name on the command line and in the output.
    pub name: &'static str,
    /// What is promised.
    pub about: &'static str,
    /// Measures it.
    pub run: fn(&Bench) -> Result<Report>,
}

/// All of them, in the order of the design.
pub const ALL: &[Promise] = &[
    policy_decision_10k::PROMISE,
    policy_load_10k::PROMISE,
    policy_scale::PROMISE,
    audit_append_durable::PROMISE,
    audit_memory::PROMISE,
    merkle_build_1m::PROMISE,
    inclusion_proof::PROMISE,
    verify_batch::PROMISE,
    seal_open_4k::PROMISE,
    mtls_handshakes::PROMISE,
    issue_certificates::PROMISE,
    unary_grpc::PROMISE,
    telemetry_quic::PROMISE,
    tsdb_ingest::PROMISE,
    tsdb_bytes_per_point::PROMISE,
    tsdb_query_1h_1000_series::PROMISE,
    plan_100k_offers::PROMISE,
    apply_journaled::PROMISE,
    failover_own_time::PROMISE,
    reconcile_10k_leases::PROMISE,
    month_memory::PROMISE,
    hpcd_start::PROMISE,
    demo_time::PROMISE,
];
