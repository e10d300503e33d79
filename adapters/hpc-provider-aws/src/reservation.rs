//! Capacity reservations and blocks, in EC2's words and in ours: which can be used, until when, and who pays.
//!
//! Sources, of the EC2 user guide: "Launch instances into an existing Capacity Reservation", "Capacity Reservation pricing
//! and billing", "Billing assignment for shared Capacity Reservations", "Work with Capacity Blocks".

use hpc_resources::{OfferKind, Reservation, ReservationId};
use jiff::{SignedDuration, Timestamp};

/// EC2 begins to end what still runs in a block so long before the block's end.
const BLOCK_ENDS_EARLY: SignedDuration = SignedDuration::from_mins(30);
/// The platform of our images: another would need an image of its own.
const PLATFORM: &str = "Linux/UNIX";

/// A reservation: what `DescribeCapacityReservations` answers, unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReservationFacts {
    /// For example `cr-0123456789abcdef0`.
    pub id: String,
    /// The account that owns it.
    pub owner: String,
    /// `default` or `capacity-block`.
    pub reservation_type: String,
    /// For example `active`.
    pub state: String,
    /// For example `Linux/UNIX`.
    pub platform: String,
    /// `default` or `dedicated`.
    pub tenancy: String,
    /// Instances it has in all.
    pub total: i64,
    /// Instances it has room for.
    pub available: i64,
    /// When it begins.
    pub starts_at: Option<Timestamp>,
    /// When it ends, if it does.
    pub ends_at: Option<Timestamp>,
    /// Whether its owner may take its instances back.
    pub interruptible: bool,
    /// Whether it is on an outpost, or bound to a placement group that an instance would have to name.
    pub elsewhere: bool,
}

/// Why a reservation is no offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A name that is none.
    #[error("its id is no id of a reservation")]
    Id,
    /// It takes no instances, and will not.
    #[error("it is `{0}`")]
    State(String),
    /// A kind that nobody here knows.
    #[error("it is of the type `{0}`")]
    Type(String),
    /// For images of another platform.
    #[error("it is for `{0}`, and images here are {PLATFORM}")]
    Platform(String),
    /// For instances that are bought in another way.
    #[error("it is {0}")]
    Special(&'static str),
    /// A block without an end.
    #[error("it is a block without an end")]
    Endless,
}

/// Reads a reservation, as the account `account` sees it: how it is bought, and what is left of it.
///
/// The owner pays for the whole of it, used or not; another account pays for what it runs in it. A block ends half an hour
/// before its time. After a reservation's end its instances run on at the price of everybody, so that is an end, too.
///
/// # Errors
/// [`Unusable`]: it takes none of our instances, or cannot be what it says.
pub fn reservation(
    facts: &ReservationFacts,
    account: &str,
    now: Timestamp,
) -> Result<(OfferKind, Reservation), Unusable> {
    let clip = |text: &String| text.chars().filter(|c| !c.is_control()).take(40).collect::<String>();
    let id = ReservationId::parse(facts.id.as_str()).ok().filter(|id| id.as_str().starts_with("cr-"));
    let id = id.ok_or(Unusable::Id)?;
    let (kind, ends_at) = match facts.reservation_type.as_str() {
        // Older answers leave the type out.
        "default" | "" => (OfferKind::Reserved, facts.ends_at),
        "capacity-block" => {
            let end = facts.ends_at.ok_or(Unusable::Endless)?;
            (OfferKind::Block, Some(end.saturating_sub(BLOCK_ENDS_EARLY).unwrap_or(end)))
        }
        _ => return Err(Unusable::Type(clip(&facts.reservation_type))),
    };
    let starts_at = facts.starts_at.filter(|start| *start > now);
    let left = match facts.state.as_str() {
        "active" => facts.available,
        // Nothing is available yet of what has not begun; it will be all of it.
        "scheduled" if starts_at.is_some() => facts.total,
        _ => return Err(Unusable::State(clip(&facts.state))),
    };
    if facts.platform != PLATFORM {
        return Err(Unusable::Platform(clip(&facts.platform)));
    }
    if !matches!(facts.tenancy.as_str(), "default" | "") {
        return Err(Unusable::Special("for dedicated instances"));
    }
    if facts.interruptible {
        return Err(Unusable::Special("interruptible"));
    }
    if facts.elsewhere {
        return Err(Unusable::Special("on an outpost or in a placement group"));
    }
    let paid = !account.is_empty() && facts.owner == account;
    let left = u32::try_from(left).unwrap_or(0);
    Ok((kind, Reservation { id, paid, left, starts_at, ends_at }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: &str = "123456789012";

    fn at(text: &str) -> Timestamp {
        format!("2026-11-26T{text}Z").parse().unwrap()
    }

    fn good() -> ReservationFacts {
        ReservationFacts {
            id: "cr-0123456789abcdef0".to_owned(),
            owner: US.to_owned(),
            reservation_type: "default".to_owned(),
            state: "active".to_owned(),
            platform: PLATFORM.to_owned(),
            tenancy: "default".to_owned(),
            total: 4,
            available: 3,
            starts_at: Some(at("00:00:00")),
            ..ReservationFacts::default()
        }
    }

    fn block() -> ReservationFacts {
        let ends_at = Some(at("20:00:00"));
        ReservationFacts { reservation_type: "capacity-block".to_owned(), ends_at, ..good() }
    }

    fn read(facts: &ReservationFacts) -> Result<(OfferKind, Reservation), Unusable> {
        reservation(facts, US, at("12:00:00"))
    }

    #[test]
    fn what_we_own_is_paid_for_and_what_is_shared_with_us_is_not() {
        let (kind, have) = read(&good()).unwrap();
        assert_eq!((kind, have.paid, have.left), (OfferKind::Reserved, true, 3));
        assert_eq!((have.starts_at, have.ends_at), (None, None));
        let shared = ReservationFacts { owner: "999999999999".to_owned(), ..good() };
        assert!(!read(&shared).unwrap().1.paid);
        let nobody = ReservationFacts { owner: String::new(), ..good() };
        assert!(!reservation(&nobody, "", at("12:00:00")).unwrap().1.paid, "nobody is not us");
    }

    #[test]
    fn a_block_ends_half_an_hour_early_and_a_reservation_when_it_says() {
        let (kind, have) = read(&block()).unwrap();
        assert_eq!((kind, have.ends_at), (OfferKind::Block, Some(at("19:30:00"))));
        let limited = ReservationFacts { ends_at: Some(at("20:00:00")), ..good() };
        assert_eq!(read(&limited).unwrap().1.ends_at, Some(at("20:00:00")));
        assert_eq!(read(&ReservationFacts { ends_at: None, ..block() }), Err(Unusable::Endless));
    }

    #[test]
    fn what_has_not_begun_says_when_and_how_much_it_will_be() {
        let starts_at = Some(at("18:00:00"));
        let later = ReservationFacts { state: "scheduled".to_owned(), available: 0, starts_at, ..block() };
        let (_, have) = read(&later).unwrap();
        assert_eq!((have.starts_at, have.left), (starts_at, 4));
        // Late to be active: nobody knows how late.
        let late = ReservationFacts { starts_at: Some(at("11:00:00")), ..later };
        assert_eq!(read(&late), Err(Unusable::State("scheduled".to_owned())));
    }

    #[test]
    fn what_takes_none_of_our_instances_is_no_offer() {
        for state in ["expired", "cancelled", "pending", "payment-pending", "failed", "", "new-word"] {
            let facts = ReservationFacts { state: state.to_owned(), ..good() };
            assert_eq!(read(&facts), Err(Unusable::State(state.to_owned())));
        }
        for id in ["", "i-1", "cr/1", "cr 1"] {
            assert_eq!(read(&ReservationFacts { id: id.to_owned(), ..good() }), Err(Unusable::Id), "{id}");
        }
        for (facts, why) in [
            (ReservationFacts { platform: "Windows".to_owned(), ..good() }, "Windows"),
            (ReservationFacts { platform: "Red Hat Enterprise Linux".to_owned(), ..good() }, "Red Hat"),
            (ReservationFacts { tenancy: "dedicated".to_owned(), ..good() }, "dedicated"),
            (ReservationFacts { interruptible: true, ..good() }, "interruptible"),
            (ReservationFacts { elsewhere: true, ..good() }, "outpost"),
            (ReservationFacts { reservation_type: "new\u{7}".to_owned(), ..good() }, "`new`"),
        ] {
            assert!(read(&facts).unwrap_err().to_string().contains(why), "{why}");
        }
        for available in [-1, i64::MIN, i64::MAX] {
            assert_eq!(read(&ReservationFacts { available, ..good() }).unwrap().1.left, 0, "{available}");
        }
    }
}
