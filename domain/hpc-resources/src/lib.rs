//! What is asked for, what is offered, and the pure plan that joins them.
//!
//! Quantities and money are integers with their unit in the type; accelerators have one canonical name;
//! a request is checked once and trusted afterwards; a plan says what to try, in which order, and why everything else
//! was left out.
//!
//! Never reads a clock, draws chance, or talks to a provider: offers, facts and "now" are arguments.
//!
//! # Example
//! ```
//! use hpc_resources::{RequestPriority, ResourceRequest, ResourceUnit};
//!
//! let request = ResourceRequest::new("gpu-job")
//!     .add_gpu_nvidia_h100(4)
//!     .add_memory(128, ResourceUnit::GB)
//!     .with_priority(RequestPriority::High)
//!     .build()?;
//! assert_eq!(request.duration_s(), 3_600);
//! # Ok::<(), hpc_resources::RequestError>(())
//! ```

mod accelerator;
mod budget;
mod catalog;
mod document;
mod ids;
mod money;
mod offer;
mod plan;
mod pool;
mod quantity;
mod request;
mod reservation;
mod stock;

pub use accelerator::{AcceleratorModel, GpuVendor, ModelError};
pub use budget::account::{
    ACCOUNT_MONTHS_MAX, Account, BudgetStanding, BudgetWindow, Limits, LimitsError, Shortfall, Spent,
};
pub use budget::accounts::{Accounts, Headroom, Hold as BudgetHold, Refused};
pub use budget::month::{MONTHS_MAX, Month, MonthError};
pub use budget::payer::{Payer, PayerError, PayerKind};
pub use budget::span::Span;
pub use catalog::{Catalog, OFFERS_MAX};
pub use document::{GpuDocument, RequestDocument, parse_duration_s};
pub use ids::{
    ApprovalId, DecisionId, ID_BYTES_MAX, IdError, InstanceType, IntentId, LeaseId, PlanId, ProviderId,
    QuotaFamily, Region, RequestId, ReservationId, TeamId, ZoneId,
};
pub use money::{Currency, Money, MoneyError, NANOS_PER_UNIT, PerGpuHour, PerInstanceHour, SECONDS_PER_HOUR};
pub use offer::{Accelerators, Offer, OfferKey, OfferKind, QuotaCost, StockHint};
pub use plan::{
    ATTEMPTS_MAX, Attempt, DEFAULT_DENY, EXCLUSIONS_SHOWN_MAX, Excluded, Exclusion, Facts, Plan, PlanInput,
    RankWeights, Score, plan,
};
pub use pool::{
    AUDIT_KEPT_MAX, AuditPage, AuditRecord, DEVICE_NAME_BYTES_MAX, DEVICES_MAX, Device, DeviceUse, GANG_MAX,
    GangRequest, Hold, Placement, Pool, PoolError, PoolEvent, RESERVATIONS_MAX,
};
pub use quantity::{BYTES_MAX, Bytes, MilliCpu, MilliGpu, QuantityError, ResourceUnit};
pub use request::{
    ACCELERATORS_MAX, CPUS_MAX, DURATION_S_DEFAULT, DURATION_S_MAX, DURATION_S_MIN, FILTER_MAX, HEDGE_S_MAX,
    HEDGE_S_MIN, LABELS_MAX, OnInterruption, RequestError, RequestPriority, ResourceRequest,
    ResourceRequestBuilder, ResourceSpec, TEXT_BYTES_MAX,
};
pub use reservation::Reservation;
pub use stock::{
    Remembered, STOCK_OUTS_MAX, StockMemory, StockOut, StockPlace, StockPolicy, StockReason, StockScope,
};
