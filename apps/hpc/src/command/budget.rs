//! `hpc budget`: list, show, set, remove.

use hpc_error::{HpcError, codes};
use hpc_resources::{BudgetStanding, Money, Payer};
use hpc_types::control::v1::{self, Document};
use serde::Deserialize;

use crate::args::{Budget, Global, SetBudget};
use crate::command::{checked_id, receipts};
use crate::output::Screen;
use crate::render::budget::table;
use crate::session::{Session, Surroundings, failure, read};

#[derive(Deserialize)]
struct Budgets {
    budgets: Vec<BudgetStanding>,
    #[serde(default)]
    repeated: bool,
}

pub(super) async fn run(
    command: Budget,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let payer = match command {
        Budget::List => String::new(),
        Budget::Show { payer } => checked(&payer)?,
        Budget::Set(args) => return set(message(&args)?, global, around, screen).await,
        Budget::Remove { payer, windows } => {
            let all = || ["total", "hourly", "monthly"].map(str::to_owned).to_vec();
            let remove = if windows.is_empty() { all() } else { windows };
            let message = v1::SetBudgetRequest { payer: checked(&payer)?, remove, ..Default::default() };
            return set(message, global, around, screen).await;
        }
    };
    let session = Session::open(around, global).await?;
    let message = v1::ListBudgetsRequest { payer };
    let document = session.budgets().list(session.call(message)).await.map_err(failure)?.into_inner();
    show(&document, screen)?;
    Ok(0)
}

async fn set(
    message: v1::SetBudgetRequest,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let session = Session::open(around, global).await?;
    let answer = session.budgets().set(session.call(message)).await.map_err(failure)?.into_inner();
    let (document, recorded) = answer.into_parts();
    let receipts = receipts::take(&recorded, &session, global, screen);
    show(&document, screen)?;
    receipts.map(|()| 0)
}

fn show(document: &Document, screen: &mut Screen<'_>) -> Result<(), HpcError> {
    if screen.format.is_json() {
        return screen.document(document);
    }
    let Budgets { budgets, repeated } = read(document, "hpc.budgets/v1")?;
    if budgets.is_empty() {
        screen.say("no limits; set one: hpc budget set team:NAME --monthly MONEY");
    } else {
        screen.text(&table(&budgets).render())?;
    }
    if repeated {
        screen.say("the limits were so before; nothing was changed");
    }
    Ok(())
}

/// Limits are checked before anything is sent.
fn message(args: &SetBudget) -> Result<v1::SetBudgetRequest, HpcError> {
    let amount = |text: &Option<String>| -> Result<String, HpcError> {
        let Some(text) = text else { return Ok(String::new()) };
        let money: Money = text.parse().map_err(|error: hpc_resources::MoneyError| {
            HpcError::coded(&codes::USG_BAD_AMOUNT, error.to_string())
        })?;
        Ok(money.to_string())
    };
    Ok(v1::SetBudgetRequest {
        payer: checked(&args.payer)?,
        total: amount(&args.total)?,
        hourly: amount(&args.hourly)?,
        monthly: amount(&args.monthly)?,
        remove: Vec::new(),
    })
}

fn checked(payer: &str) -> Result<String, HpcError> {
    checked_id(payer.parse::<Payer>()).map(|payer| payer.to_string())
}
