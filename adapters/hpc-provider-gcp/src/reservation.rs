//! Reservations, in Compute Engine's words and in ours: which can be asked for by name, how much is left, until when.
//!
//! Sources, of the Compute Engine documentation: "Reservations of Compute Engine zonal resources", "Consume reservations",
//! "Prevent compute instances from consuming reservations".

use hpc_resources::{InstanceType, Reservation, ReservationId};
use jiff::Timestamp;

use crate::machine::Machine;
use crate::names::is_name;

/// The label of an instance's affinity that names a reservation.
pub const AFFINITY_KEY: &str = "compute.googleapis.com/reservation-name";

/// A reservation: what `reservations.aggregatedList` answers, unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReservationFacts {
    /// Its name, one of its own in the project and zone.
    pub name: String,
    /// For example `READY`.
    pub status: String,
    /// The machine type.
    pub machine_type: String,
    /// Devices added to it: type and count.
    pub devices: Vec<(String, i64)>,
    /// Instances it has in all.
    pub count: i64,
    /// Instances in it.
    pub in_use: i64,
    /// Whether only an instance that names it gets into it.
    pub by_name_only: bool,
    /// When it is deleted, if that is known.
    pub ends_at: Option<Timestamp>,
    /// Whether an instance would have to have more that is the same: a CPU platform, a placement policy, a dense deployment.
    pub wants_more: bool,
}

/// Why a reservation is no offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A name that is none.
    #[error("its name is no name of a reservation")]
    Name,
    /// It takes no instances now.
    #[error("it is `{0}`")]
    Status(String),
    /// An instance cannot ask for it by name.
    #[error(
        "it is used by whatever fits, and by nothing that names it: an instance could get past it and cost"
    )]
    Open,
    /// An instance would have to have more that is the same.
    #[error("it wants a CPU platform, a placement or a deployment that is not set here")]
    WantsMore,
    /// A machine that has no name here.
    #[error("its machine has no name here")]
    Machine,
}

/// Reads a reservation of the project that rents: the machine it is of, and what is left of it. It is paid for whether or
/// not it is used. What runs in it runs on when it ends, at the price of everybody, so that is an end for us.
///
/// # Errors
/// [`Unusable`]: it takes none of our instances.
pub fn reservation(facts: &ReservationFacts) -> Result<(InstanceType, Reservation), Unusable> {
    let clip = |text: &str| text.chars().filter(|c| !c.is_control()).take(40).collect::<String>();
    let id = ReservationId::parse(facts.name.as_str()).ok().filter(|_| is_name(&facts.name));
    let id = id.ok_or(Unusable::Name)?;
    if facts.status != "READY" {
        return Err(Unusable::Status(clip(&facts.status)));
    }
    if !facts.by_name_only {
        return Err(Unusable::Open);
    }
    if facts.wants_more {
        return Err(Unusable::WantsMore);
    }
    let machine = Machine::instance_type(&facts.machine_type, &facts.devices).ok_or(Unusable::Machine)?;
    let left = u32::try_from(facts.count.saturating_sub(facts.in_use)).unwrap_or(0);
    Ok((machine, Reservation { id, paid: true, left, starts_at: None, ends_at: facts.ends_at }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> ReservationFacts {
        ReservationFacts {
            name: "training".to_owned(),
            status: "READY".to_owned(),
            machine_type: "a2-ultragpu-8g".to_owned(),
            count: 4,
            in_use: 1,
            by_name_only: true,
            ..ReservationFacts::default()
        }
    }

    #[test]
    fn what_can_be_named_is_an_offer_with_what_is_left() {
        let ends_at = Some("2026-12-01T00:00:00Z".parse().unwrap());
        let (machine, have) = reservation(&ReservationFacts { ends_at, ..good() }).unwrap();
        assert_eq!((machine.as_str(), have.id.as_str(), have.left), ("a2-ultragpu-8g", "training", 3));
        assert!(have.paid && have.ends_at == ends_at && have.starts_at.is_none());
        let with = ReservationFacts {
            machine_type: "n1-standard-8".to_owned(),
            devices: vec![("nvidia-tesla-t4".to_owned(), 2)],
            ..good()
        };
        assert_eq!(reservation(&with).unwrap().0.as_str(), "n1-standard-8.nvidia-tesla-t4.2");
        for (count, in_use) in [(1, 1), (1, 2), (0, 0), (i64::MIN, i64::MAX), (i64::MAX, 0)] {
            let facts = ReservationFacts { count, in_use, ..good() };
            assert_eq!(reservation(&facts).unwrap().1.left, 0, "{count} {in_use}");
        }
    }

    #[test]
    fn what_cannot_is_none() {
        for name in ["", "projects/p/reservations/r", "A", "a b", "1a"] {
            let facts = ReservationFacts { name: name.to_owned(), ..good() };
            assert_eq!(reservation(&facts), Err(Unusable::Name), "{name}");
        }
        for status in ["CREATING", "UPDATING", "DELETING", "INVALID", "", "NEW"] {
            let facts = ReservationFacts { status: status.to_owned(), ..good() };
            assert_eq!(reservation(&facts), Err(Unusable::Status(status.to_owned())));
        }
        let open = ReservationFacts { by_name_only: false, ..good() };
        assert_eq!(reservation(&open), Err(Unusable::Open));
        assert_eq!(reservation(&ReservationFacts { wants_more: true, ..good() }), Err(Unusable::WantsMore));
        let nothing = ReservationFacts { machine_type: String::new(), ..good() };
        assert_eq!(reservation(&nothing), Err(Unusable::Machine));
    }
}
