//! Records as text for people. Pure: same record, same text.

pub(crate) mod audit;
pub(crate) mod budget;
pub(crate) mod charges;
pub(crate) mod cost;
pub(crate) mod lease;
pub(crate) mod lint;
pub(crate) mod offers;
pub(crate) mod orphan;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod policy_diff;
pub(crate) mod policy_ways;
pub(crate) mod provider;
pub(crate) mod replay;
pub(crate) mod shadow;
