//! Budgets: what is spent and held never passes a limit, and months add up to the nano-unit.

use std::collections::BTreeMap;

use hpc_resources::{
    Account, Accounts, BudgetHold, BudgetWindow, Currency, IntentId, LeaseId, Limits, Money, Month, Payer,
    PerInstanceHour, Refused, Span,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn usd(nanos: i64) -> Money {
    Money::from_nanos(nanos, Currency::USD)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn payer(text: &str) -> Payer {
    text.parse().unwrap()
}

proptest! {
    #[test]
    fn months_add_up_to_the_whole(price in 0..500_000_000_000_i64, from in 0..40_000_000_i64, seconds in 0..20_000_000_i64, nanos in 0..1_000_000_000_i32) {
        let price = PerInstanceHour(usd(price));
        let from = at(from) + SignedDuration::new(0, nanos);
        let to = from + SignedDuration::from_secs(seconds);
        let parts = price.cost_by_month(from, to).unwrap();
        let sum: i64 = parts.iter().map(|(_, cost)| cost.nanos()).sum();
        prop_assert_eq!(sum, price.cost_half_even(1, u64::try_from(seconds).unwrap()).unwrap().nanos());
        prop_assert!(parts.iter().all(|(_, cost)| !cost.is_negative()));
        for pair in parts.windows(2) {
            prop_assert_eq!(pair[0].0.next(), Some(pair[1].0));
        }
        if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
            prop_assert_eq!(first.0, Month::of(from));
            prop_assert!(last.0.start() < to && to <= last.0.end());
        }
    }

    #[test]
    fn a_month_never_costs_more_than_it_was_held_for(price in 1..500_000_000_000_i64, from in 0..40_000_000_i64, seconds in 1..6_000_000_u64, slack in 0..10_000_u64, start in 0..10_000_i64, nanos in 0..1_000_000_000_i32, share in 0..=100_u64) {
        let price = PerInstanceHour(usd(price));
        let from = at(from) + SignedDuration::new(0, nanos);
        let span = Span::starting(from, seconds, slack);
        let amount = price.cost_rounded_up(1, seconds).unwrap();
        let begins = from + SignedDuration::from_secs(start.min(i64::try_from(slack).unwrap()));
        let ends = begins + SignedDuration::from_secs(i64::try_from(seconds * share / 100).unwrap());
        for (month, cost) in price.cost_by_month(begins, ends).unwrap() {
            prop_assert!(!cost.exceeds(span.part(amount, month)), "{month}: {cost} of {}", span.part(amount, month));
        }
        // What is known later is held for no more than before.
        let known = Span { from, to: ends, seconds };
        for month in known.months() {
            prop_assert!(known.seconds_in(month) <= span.seconds_in(month));
        }
    }
}

/// One step of a story that several callers tell at once.
#[derive(Clone, Debug)]
enum Step {
    Hold { lease: u8, who: u8, amount: i64, hourly: i64, start: i64, seconds: u64, slack: u64 },
    Settle { lease: u8, cost: i64 },
    SetAside { lease: u8, intent: u8, hourly: i64 },
    EndStray { intent: u8 },
    Limit { who: u8, window: u8, limit: Option<i64> },
}

fn step() -> impl Strategy<Value = Step> {
    let month = 31 * 86_400_i64;
    prop_oneof![
        6 => (0..12_u8, 0..4_u8, 0..60_i64, 0..30_i64, 0..2 * month, 1..5_000_000_u64, 0..4_000_u64).prop_map(
            |(lease, who, amount, hourly, start, seconds, slack)| Step::Hold { lease, who, amount, hourly, start, seconds, slack }
        ),
        3 => (0..12_u8, 0..40_i64).prop_map(|(lease, cost)| Step::Settle { lease, cost }),
        2 => (0..12_u8, 0..6_u8, 0..20_i64).prop_map(|(lease, intent, hourly)| Step::SetAside { lease, intent, hourly }),
        1 => (0..6_u8).prop_map(|intent| Step::EndStray { intent }),
        1 => (0..4_u8, 0..3_u8, proptest::option::of(0..200_i64)).prop_map(|(who, window, limit)| Step::Limit { who, window, limit }),
    ]
}

const WHO: [[&str; 3]; 4] = [
    ["team:ml", "user:alice", "user:alice"],
    ["team:ml", "user:bob", "agent:bot"],
    ["team:vision", "user:alice", "agent:bot"],
    ["team:vision", "user:bob", "user:bob"],
];

fn limits(total: i64, hourly: i64, monthly: i64) -> Limits {
    Limits { total: Some(usd(total)), hourly: Some(usd(hourly)), monthly: Some(usd(monthly)) }
}

/// Everything that is held, counted anew from what was agreed.
#[derive(Default)]
struct Model {
    holds: BTreeMap<LeaseId, (Vec<Payer>, BudgetHold)>,
    strays: BTreeMap<IntentId, (Vec<Payer>, i64)>,
}

impl Model {
    fn check(&self, accounts: &Accounts, payers: &[&str], now: Timestamp) -> Result<(), TestCaseError> {
        for payer in payers.iter().map(|text| text.parse::<Payer>().unwrap()) {
            let of =
                || self.holds.values().filter(|(payers, _)| payers.contains(&payer)).map(|(_, hold)| hold);
            let strays: i64 = self
                .strays
                .values()
                .filter(|(payers, _)| payers.contains(&payer))
                .map(|(_, hourly)| hourly)
                .sum();
            for standing in accounts.standings(&payer, now) {
                let held: i64 = match standing.window {
                    BudgetWindow::Total => of().map(|hold| hold.amount.nanos()).sum(),
                    BudgetWindow::Hourly => of().map(|hold| hold.hourly.nanos()).sum::<i64>() + strays,
                    BudgetWindow::Monthly => {
                        let month = standing.month.unwrap();
                        // Only of months that it may touch.
                        of().filter(|hold| hold.span.months().any(|touched| touched == month))
                            .map(|hold| hold.span.part(hold.amount, month).nanos())
                            .sum()
                    }
                };
                prop_assert_eq!(standing.held, usd(held), "{:?}", standing);
                let left = standing.limit.nanos() - standing.spent.nanos() - held;
                prop_assert_eq!(standing.left, usd(left));
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn at_no_step_is_more_held_than_a_limit_allows(steps in proptest::collection::vec(step(), 1..80)) {
        let mut accounts = Accounts::default();
        let everybody = ["team:ml", "team:vision", "user:alice", "user:bob", "agent:bot"];
        for who in everybody {
            accounts.set(Account { limits: limits(150, 60, 90), ..Account::new(payer(who)) });
        }
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Hold { lease, who, amount, hourly, start, seconds, slack } => {
                    let lease = LeaseId::from_bits(u128::from(lease));
                    let payers: Vec<Payer> = WHO[usize::from(who)].iter().map(|text| payer(text)).collect();
                    let span = Span::starting(at(start), seconds, slack);
                    let hold = BudgetHold { amount: usd(amount), hourly: usd(hourly), span };
                    match accounts.hold(&lease, &payers, hold) {
                        Ok(()) => {
                            drop(model.holds.insert(lease, (payers.clone(), hold)));
                            // Whatever was taken on fits, in every window of every payer, in every month it may touch.
                            for standing in payers.iter().flat_map(|payer| span.months().flat_map(|month| accounts.standings(payer, month.start())).collect::<Vec<_>>()) {
                                let taken = match standing.window {
                                    BudgetWindow::Hourly => hourly,
                                    BudgetWindow::Total => amount,
                                    BudgetWindow::Monthly => span.part(usd(amount), standing.month.unwrap()).nanos(),
                                };
                                prop_assert!(taken == 0 || !standing.left.is_negative(), "{standing:?}");
                            }
                        }
                        Err(Refused::Exceeded(short)) => {
                            prop_assert!(!short.is_empty());
                            prop_assert!(short.iter().all(|short| short.need.nanos() > short.budget.left.nanos()));
                        }
                        Err(other) => prop_assert!(false, "{other}"),
                    }
                }
                Step::Settle { lease, cost } => {
                    let lease = LeaseId::from_bits(u128::from(lease));
                    let ended = accounts.end(&lease);
                    prop_assert_eq!(ended.is_some(), model.holds.remove(&lease).is_some());
                    if let Some((payers, hold)) = ended {
                        let cost = cost.min(hold.amount.nanos());
                        for payer in payers {
                            let mut account = accounts.account(&payer).unwrap().clone();
                            account.spend(&[(Month::of(hold.span.from), usd(cost))]).unwrap();
                            accounts.set(account);
                        }
                    }
                }
                Step::SetAside { lease, intent, hourly } => {
                    let lease = LeaseId::from_bits(u128::from(lease));
                    let intent = IntentId::from_bits(u128::from(intent));
                    let known = model.holds.contains_key(&lease);
                    let fits = accounts.set_aside(&intent, &lease, usd(hourly));
                    if let Some((payers, hold)) = model.holds.get_mut(&lease) {
                        drop(model.strays.insert(intent, (payers.clone(), hourly)));
                        if fits.is_err() {
                            hold.hourly = usd(0);
                        }
                    }
                    prop_assert!(known || fits.is_ok());
                }
                Step::EndStray { intent } => {
                    let intent = IntentId::from_bits(u128::from(intent));
                    accounts.end_stray(&intent);
                    drop(model.strays.remove(&intent));
                }
                Step::Limit { who, window, limit } => {
                    let who = payer(WHO[usize::from(who)][usize::from(window % 2)]);
                    let mut account = accounts.account(&who).unwrap().clone();
                    match window {
                        0 => account.limits.total = limit.map(usd),
                        1 => account.limits.hourly = limit.map(usd),
                        _ => account.limits.monthly = limit.map(usd),
                    }
                    accounts.set(account);
                }
            }
            for second in [0, 31 * 86_400, 62 * 86_400] {
                model.check(&accounts, &everybody, at(second))?;
            }
        }
    }
}

#[test]
fn all_limits_hold_together_and_each_in_the_way_is_named() {
    let mut accounts = Accounts::default();
    let (team, user, agent) = (payer("team:ml"), payer("user:alice"), payer("agent:bot"));
    accounts.set(Account { limits: limits(100, 100, 100), ..Account::new(team.clone()) });
    accounts.set(Account {
        limits: Limits { hourly: Some(usd(5)), ..Limits::default() },
        ..Account::new(user.clone())
    });
    accounts.set(Account {
        limits: Limits { monthly: Some(usd(7)), ..Limits::default() },
        ..Account::new(agent.clone())
    });
    let payers = [team, user, agent];
    let now: Timestamp = "2026-11-30T23:00:00Z".parse().unwrap();
    let span = Span::starting(now, 3_600, 0);
    let hold = BudgetHold { amount: usd(8), hourly: usd(6), span };
    let refused = accounts.hold(&LeaseId::from_bits(1), &payers, hold).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "user:alice has 0.000000005 USD/h of 0.000000005 USD/h left, 0.000000006 USD/h would be needed; it is freed as \
         leases end; agent:bot has 0.000000007 USD of 0.000000007 USD left for 2026-11, 0.000000008 USD would be needed; \
         it resets at 2026-12-01T00:00:00Z"
    );
    assert!(accounts.leases().next().is_none(), "nothing is held of any of them");
    let euros = Money::from_nanos(1, "EUR".parse::<Euro>().unwrap().0);
    let refused =
        accounts.hold(&LeaseId::from_bits(1), &payers, BudgetHold { amount: euros, hourly: euros, span });
    assert!(matches!(refused, Err(Refused::Currency { .. })), "{refused:?}");
}

struct Euro(Currency);

impl std::str::FromStr for Euro {
    type Err = hpc_resources::MoneyError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Currency::parse(text).map(Self)
    }
}

#[test]
fn a_monthly_limit_is_asked_for_every_month_that_a_lease_touches() {
    let mut accounts = Accounts::default();
    let team = payer("team:ml");
    let monthly = |limit| Limits { monthly: Some(usd(limit)), ..Limits::default() };
    accounts.set(Account { limits: monthly(100), ..Account::new(team.clone()) });
    let now: Timestamp = "2026-11-30T23:00:00Z".parse().unwrap();
    // An hour in each month: 70 each, and no room for as much again in either.
    let span = Span::starting(now, 7_200, 0);
    let hold = BudgetHold { amount: usd(140), hourly: usd(70), span };
    accounts.hold(&LeaseId::from_bits(1), std::slice::from_ref(&team), hold).unwrap();
    let refused = accounts.hold(&LeaseId::from_bits(2), std::slice::from_ref(&team), hold).unwrap_err();
    let Refused::Exceeded(short) = refused else { panic!("{refused}") };
    let months: Vec<String> = short.iter().map(|short| short.budget.month.unwrap().to_string()).collect();
    assert_eq!(months, ["2026-11", "2026-12"]);
    // Later, December's part is all that counts there; November is over.
    let december = Span::starting("2026-12-05T00:00:00Z".parse().unwrap(), 3_600, 0);
    let fits = BudgetHold { amount: usd(29), hourly: usd(29), span: december };
    accounts.hold(&LeaseId::from_bits(2), std::slice::from_ref(&team), fits).unwrap();
    let more = BudgetHold { amount: usd(31), ..fits };
    assert!(accounts.hold(&LeaseId::from_bits(2), std::slice::from_ref(&team), more).is_err());
    assert_eq!(accounts.held_for(&LeaseId::from_bits(2)), Some(fits), "what was held stays held");
}

#[test]
fn an_overdrawn_account_lets_nothing_more_through_and_settles_all_the_same() {
    let mut accounts = Accounts::default();
    let team = payer("team:ml");
    accounts.set(Account { limits: limits(10, 10, 10), ..Account::new(team.clone()) });
    let span = Span::starting(at(0), 60, 0);
    let hold = |nanos| BudgetHold { amount: usd(nanos), hourly: usd(0), span };
    accounts.restore(&LeaseId::from_bits(1), std::slice::from_ref(&team), hold(12));
    assert_eq!(accounts.standings(&team, at(0))[0].left, usd(-2));
    assert!(accounts.hold(&LeaseId::from_bits(2), std::slice::from_ref(&team), hold(1)).is_err());
    accounts.hold(&LeaseId::from_bits(2), std::slice::from_ref(&team), hold(0)).unwrap();
    let far = Limits { total: Some(usd(i64::MAX)), ..Limits::default() };
    accounts.set(Account { limits: far, ..Account::new(team.clone()) });
    accounts.restore(&LeaseId::from_bits(3), std::slice::from_ref(&team), hold(i64::MAX));
    let standing = &accounts.standings(&team, at(0))[0];
    assert_eq!(standing.held, usd(i64::MAX), "a sum beyond all money stays at its end");
    assert_eq!(standing.left, usd(-12));
    assert!(accounts.hold(&LeaseId::from_bits(4), std::slice::from_ref(&team), hold(1)).is_err());
}
