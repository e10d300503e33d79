//! A try beside another: what both may cost at once, and whether that fits.

use hpc_error::HpcError;
use hpc_resources::{Money, ResourceRequest};

use crate::broker::Broker;
use crate::fail;
use crate::records::{HedgeEnd, HedgeRecord, HedgeTry, IntentRecord, LeaseRecord};
use crate::tolerance::with_tolerance;

impl LeaseRecord {
    /// Ends the hedge that is open, if one is. What was held on top goes back where what failed created nothing.
    pub(crate) fn end_hedge(&mut self, end: HedgeEnd, give_back: bool) -> Result<(), HpcError> {
        let Some(hedge) = self.hedges.last_mut().filter(|hedge| hedge.end.is_none()) else { return Ok(()) };
        hedge.end = Some(end);
        let hourly = self.hourly.map(|hourly| hourly.checked_sub(hedge.hourly));
        self.hourly = hourly.transpose().map_err(fail::money)?;
        if give_back {
            self.hold = self.hold.checked_sub(hedge.held).map_err(fail::money)?;
            hedge.held = Money::from_nanos(0, hedge.held.currency());
        }
        Ok(())
    }
}

impl Broker {
    /// Holds what the second try may cost beside the first, and answers the lease as it is then.
    ///
    /// # Errors
    /// Why both do not fit, in words.
    pub(super) fn hedge(
        &self,
        request: &ResourceRequest,
        lease: &LeaseRecord,
        (first, second): (&IntentRecord, &IntentRecord),
        after_s: u64,
    ) -> Result<LeaseRecord, String> {
        let says = |error: HpcError| error.to_string();
        let money = |error| fail::money(error).to_string();
        let both =
            first.hourly().map_err(says)?.checked_add(second.hourly().map_err(says)?).map_err(money)?;
        if let Some(limit) = request.max_hourly().filter(|limit| both.exceeds(*limit)) {
            return Err(format!("both cost {both} per hour, the request allows {limit}"));
        }
        // Whichever of the two is released: it has cost this by the time that it is found and ended.
        let seconds = self.loser_s(first)?.max(self.loser_s(second)?);
        let (mut held, mut hourly) = (Money::ZERO_USD, Money::ZERO_USD);
        let mut total = Money::ZERO_USD;
        for (position, intent) in [first, second].into_iter().enumerate() {
            let price = intent.spec.price;
            let cost = |seconds| price.cost_rounded_up(intent.spec.instances, seconds).map_err(money);
            let dearer = |so_far: Money, cost: Money| {
                if position == 0 || cost.nanos() > so_far.nanos() { cost } else { so_far }
            };
            held = dearer(held, cost(seconds)?);
            hourly = dearer(hourly, intent.hourly().map_err(says)?);
            total = dearer(total, cost(lease.duration_s)?);
        }
        let tolerant = |amount| with_tolerance(amount, self.settings.price_tolerance_bp).map_err(money);
        let (held, hourly) = (tolerant(held)?, tolerant(hourly)?);
        let total = total.checked_add(held).map_err(money)?;
        if let Some(limit) = request.max_total().filter(|limit| total.exceeds(*limit)) {
            return Err(format!("with it the lease may cost {total} in all, the request allows {limit}"));
        }
        let mut raised = lease.clone();
        raised.hold = lease.hold.checked_add(held).map_err(money)?;
        raised.hourly = lease.hourly.map(|one| one.checked_add(hourly)).transpose().map_err(money)?;
        raised.hedges.push(HedgeRecord {
            at: self.environment.now(),
            after_s,
            first: one_of_two(first),
            second: one_of_two(second),
            held,
            hourly,
            end: None,
        });
        self.take_hold(&raised).map_err(says)?;
        Ok(raised)
    }

    /// For how long a try that is overtaken may cost money, in seconds: as long as it may be without an answer, and until
    /// its provider shows what it created.
    fn loser_s(&self, intent: &IntentRecord) -> Result<u64, String> {
        let port = self.provider(&intent.spec.offer.provider).map_err(|error| error.to_string())?;
        let settling_s = u64::try_from(self.settling_s(port.as_ref())).unwrap_or(u64::MAX);
        Ok(self.settings.try_s().saturating_add(settling_s))
    }
}

fn one_of_two(intent: &IntentRecord) -> HedgeTry {
    HedgeTry { intent: intent.spec.intent.clone(), offer: intent.spec.offer.key() }
}
