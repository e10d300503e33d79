//! A plan from a catalog of 100,000 offers, beside a scan and sort of all of them.

use std::time::Duration;

use hpc_resources::{AcceleratorModel, Catalog, Offer, OfferKind, Plan, RankWeights, StockHint, plan};

use super::Promise;
use crate::Result;
use crate::fixtures::{NothingInTheWay, eight_h100, offers, plan_input};
use crate::harness::{Bench, Report, Samples, ratio, sample, show};

pub(super) const PROMISE: Promise =
    Promise { name: "plan_100k_offers", about: "a plan from 100,000 offers: p99 < 2 ms", run };

fn run(bench: &Bench) -> Result<Report> {
    let size = bench.size(100_000, 1_000);
    let mixed = offers(size, None)?;
    let scan = sample(bench.size(50, 2), |_| full_scan(&mixed));
    let best = full_scan(&mixed).first().map(|(score, _)| *score);
    let (samples, plan) = plans(mixed, bench.size(2_000, 5))?;
    let agree = best == plan.attempts.first().map(|a| a.score.total_nanos);
    if !agree || plan.attempts.len() < 16 {
        return Err("the plan and the scan disagree on the best offer".into());
    }
    let (worst, _) = plans(offers(size, Some(AcceleratorModel::H100))?, bench.size(50, 2))?;
    let faster = ratio(scan.p50(), samples.p50());
    Ok(Report::new()
        .measured("p50", show(samples.p50()))
        .measured("p99", show(samples.p99()))
        .rival("scan_and_sort_p50", show(scan.p50()))
        .ratio(faster)
        .goal("p99<2ms", samples.p99() < Duration::from_millis(2))
        .note(format!(
            "offers of {} models; worst case, all of the one model asked for: p50 {}, p99 {}",
            AcceleratorModel::all().count(),
            show(worst.p50()),
            show(worst.p99())
        )))
}

fn plans(offers: Vec<Offer>, calls: usize) -> Result<(Samples, Plan)> {
    let catalog = Catalog::new(offers);
    let request = eight_h100()?;
    let input = plan_input(&request, &catalog, &NothingInTheWay)?;
    let made = plan(&input)?;
    Ok((sample(calls, |_| plan(&input)), made))
}

/// Every offer looked at, those that fit scored as the plan scores them, and all of them sorted.
fn full_scan(offers: &[Offer]) -> Vec<(i64, &Offer)> {
    let weights = RankWeights::default();
    let mut fitting: Vec<(i64, &Offer)> = offers
        .iter()
        .filter(|offer| offer.accelerators.is_some_and(|have| have.model == AcceleratorModel::H100))
        .filter_map(|offer| Some((offer.price?.0.nanos(), offer)))
        .map(|(price, offer)| {
            let share = |bp: u64| price * i64::try_from(bp).unwrap_or(i64::MAX) / 10_000;
            let wait = u64::from(offer.start_delay_s) * u64::from(weights.wait_bp_per_minute) / 60;
            let reclaim = match offer.kind {
                OfferKind::Spot => {
                    u64::from(offer.reclaim_bp_per_hour) * u64::from(weights.reclaim_bp_per_percent) / 100
                }
                _ => 0,
            };
            let stock = if offer.stock == StockHint::Unlikely { weights.unlikely_stock_bp } else { 0 };
            (price + share(wait) + share(reclaim) + share(u64::from(stock)), offer)
        })
        .collect();
    fitting.sort_by(|(a, one), (b, other)| a.cmp(b).then_with(|| one.key().cmp(&other.key())));
    fitting
}
