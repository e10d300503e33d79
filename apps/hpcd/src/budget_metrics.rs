//! What `/metrics` says of budgets: by kind of payer and limit, never by name, so that the labels stay few.

use hpc_broker::Broker;
use hpc_error::{HpcError, codes};
use hpc_resources::{BudgetStanding, BudgetWindow, Currency, Money, NANOS_PER_UNIT, PayerKind};
use hpc_tracing::metrics::{CounterFamily, GaugeFamily, Label, MetricsError, registry};

const LABELS: [Label; 2] = [
    Label { name: "payer", values: &["team", "user", "agent", "service"] },
    Label { name: "window", values: &["total", "hourly", "monthly"] },
];
const KINDS: [PayerKind; 4] = [PayerKind::Team, PayerKind::User, PayerKind::Agent, PayerKind::Service];

/// Gauges and counters of budgets.
pub(crate) struct BudgetMetrics {
    spent: GaugeFamily,
    held: GaugeFamily,
    used: GaugeFamily,
    refusals: CounterFamily,
}

impl BudgetMetrics {
    /// Registers them with the process's registry, or finds them there.
    pub(crate) fn registered() -> Result<Self, HpcError> {
        let bug = |error: MetricsError| HpcError::coded(&codes::INT_BUG, error.to_string());
        let gauge = |name, help| registry().gauge_with(name, help, &LABELS).map_err(bug);
        Ok(Self {
            spent: gauge("hpc_budget_spent_usd", "Spent under limits in US dollars, in whole dollars")?,
            held: gauge(
                "hpc_budget_held_usd",
                "Held under limits in US dollars, in whole dollars; hourly: per hour",
            )?,
            used: gauge("hpc_budget_used_ratio_max", "The largest used share of any limit of its kind")?,
            refusals: registry()
                .counter_with("hpc_budget_refusals", "How often a limit stood in the way", &LABELS)
                .map_err(bug)?,
        })
    }

    /// Takes one look.
    pub(crate) fn observe(&self, broker: &Broker) {
        let budgets = broker.budgets();
        let refusals = broker.budget_refusals();
        for kind in KINDS {
            for window in BudgetWindow::ALL {
                let labels = [kind.as_str(), window.as_str()];
                let of =
                    || budgets.iter().filter(|budget| budget.payer.kind() == kind && budget.window == window);
                self.spent.with(&labels).set(dollars(of().map(|budget| budget.spent)));
                self.held.with(&labels).set(dollars(of().map(|budget| budget.held)));
                let used = of().map(BudgetStanding::used_bp).max().unwrap_or(0);
                self.used.with(&labels).set(u32::try_from(used).map_or(f64::INFINITY, f64::from) / 10_000.0);
                let counter = self.refusals.with(&labels);
                let refused = refusals.get(&(kind, window)).copied().unwrap_or(0);
                counter.add(refused.saturating_sub(counter.value()));
            }
        }
    }
}

/// A gauge need not be exact: whole dollars, rounded down.
fn dollars(amounts: impl Iterator<Item = Money>) -> f64 {
    let usd = amounts.filter(|amount| amount.currency() == Currency::USD);
    let sum = usd.fold(0_i128, |sum, amount| sum + i128::from(amount.nanos())) / i128::from(NANOS_PER_UNIT);
    i32::try_from(sum).map_or(f64::from(i32::MAX), f64::from)
}
