//! What is taken of one provider's offers: its own, and not so many that the others have no room.

use hpc_resources::{Offer, ProviderId};

/// Most offers of one provider that a plan looks at: four such providers fill a catalog.
pub(crate) const OFFERS_OF_ONE_MAX: usize = hpc_resources::OFFERS_MAX / 4;

/// The offers of a provider that are looked at, at most `max` of them, and what is said of the others. Those that it gives
/// in somebody else's name are not believed.
pub(crate) fn of_one(
    provider: &ProviderId,
    mut offers: Vec<Offer>,
    cut_there: bool,
    max: usize,
) -> (Vec<Offer>, Option<String>) {
    offers.retain(|offer| offer.provider == *provider);
    let told = offers.len();
    offers.truncate(max);
    let said = if told > max {
        Some(format!("it told {told} offers, the first {max} were looked at; ask for a region or a model"))
    } else {
        cut_there.then(|| {
            "it left out some of its offers: a part of it did not answer, or there are too many".to_owned()
        })
    };
    (offers, said)
}

#[cfg(test)]
mod tests {
    use hpc_resources::{Bytes, InstanceType, MilliCpu, OfferKind, Region, StockHint, ZoneId};
    use jiff::Timestamp;

    use super::*;

    fn id(text: &str) -> ProviderId {
        ProviderId::parse(text).unwrap()
    }

    fn offers(provider: &str, count: usize) -> Vec<Offer> {
        let offer = Offer {
            provider: id(provider),
            region: Region::parse("r").unwrap(),
            zone: ZoneId::parse("z").unwrap(),
            instance_type: InstanceType::parse("t").unwrap(),
            kind: OfferKind::OnDemand,
            accelerators: None,
            cpu: MilliCpu::whole(1),
            memory: Bytes::from_mib(1),
            price: None,
            as_of: Timestamp::UNIX_EPOCH,
            snapshot: "s".to_owned(),
            stock: StockHint::Likely,
            quota: None,
            start_delay_s: 0,
            reclaim_bp_per_hour: 0,
            simulated: true,
            reservation: None,
            run_max_s: None,
        };
        vec![offer; count]
    }

    #[test]
    fn one_provider_leaves_room_for_the_others_and_names_its_own_alone() {
        let mut mixed = offers("a", 3);
        mixed.extend(offers("b", 2));
        let (taken, said) = of_one(&id("a"), mixed.clone(), false, 3);
        assert_eq!((taken.len(), said), (3, None), "at the limit nothing is left out");
        let (taken, said) = of_one(&id("a"), mixed.clone(), false, 2);
        assert_eq!(taken.len(), 2);
        assert!(said.unwrap().contains("it told 3 offers, the first 2"));
        let (taken, said) = of_one(&id("b"), mixed, true, 3);
        assert!(taken.len() == 2 && said.unwrap().contains("it left out some"));
    }
}
