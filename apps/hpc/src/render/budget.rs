//! Budgets: limits, and where their payers stand.

use hpc_resources::{BudgetStanding, BudgetWindow, Money};

use crate::table::Table;
use crate::text;

/// One row for each limit.
pub(crate) fn table(budgets: &[BudgetStanding]) -> Table {
    let mut table = Table::new(&["payer", "window", ">limit", ">spent", ">held", ">left", ">used", "resets"]);
    for budget in budgets {
        let hourly = budget.window == BudgetWindow::Hourly;
        let amount = |amount: Money| {
            if hourly { format!("{}/h", text::money(amount)) } else { text::money(amount) }
        };
        table.row([
            budget.payer.to_string(),
            budget.window.as_str().to_owned(),
            amount(budget.limit),
            if hourly { "-".to_owned() } else { amount(budget.spent) },
            amount(budget.held),
            amount(budget.left),
            format!("{} %", budget.used_bp() / 100),
            resets(budget),
        ]);
    }
    table
}

fn resets(budget: &BudgetStanding) -> String {
    match (budget.window, budget.resets_at) {
        (_, Some(at)) => text::moment(at),
        (BudgetWindow::Hourly, None) => "as leases end".to_owned(),
        (_, None) => "never".to_owned(),
    }
}
