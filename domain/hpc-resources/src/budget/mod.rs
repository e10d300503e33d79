//! Budgets: who pays, which limits hold together, and what a month is.

pub(crate) mod account;
pub(crate) mod accounts;
pub(crate) mod month;
pub(crate) mod payer;
pub(crate) mod span;
