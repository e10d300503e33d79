//! Names: of instances, which come from the intent's token, and of places.
//!
//! A name is taken once in a zone, for as long as its instance exists. So a create that is repeated meets its own instances,
//! even after Compute Engine has forgotten the request id.

use hpc_provider::Token;
use hpc_resources::{Region, ZoneId};

/// What the name of every instance of ours begins with.
pub const PREFIX: &str = "hpc-";
/// Characters of the token in a name: 160 bits, which never meet by chance.
const TOKEN_CHARS: usize = 40;
/// Longest name, in bytes: what Compute Engine takes.
pub const NAME_BYTES_MAX: usize = 63;

/// The names of the instances of one create, in order.
///
/// # Example
/// ```
/// use hpc_provider::Token;
/// use hpc_provider_gcp::names;
/// use hpc_resources::{IntentId, ProviderId, Region, ZoneId};
///
/// let (provider, region, zone) =
///     (ProviderId::parse("gcp")?, Region::parse("us-central1")?, ZoneId::parse("us-central1-a")?);
/// let token = Token::derive(&IntentId::from_bits(1), 1, &provider, &region, &zone);
/// let names = names::of_token(&token, 2);
/// assert!(names[1].starts_with("hpc-") && names[1].ends_with("-1"));
/// # Ok::<(), hpc_resources::IdError>(())
/// ```
#[must_use]
pub fn of_token(token: &Token, instances: u32) -> Vec<String> {
    (0..instances).map(|index| format!("{}{index}", stem(token))).collect()
}

/// Whether the name is one that this token gives.
#[must_use]
pub fn is_of_token(token: &Token, name: &str) -> bool {
    let index = name.strip_prefix(stem(token).as_str());
    index.is_some_and(|index| !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()))
}

fn stem(token: &Token) -> String {
    let part: String = token.as_str().chars().take(TOKEN_CHARS).collect();
    format!("{PREFIX}{part}-")
}

/// Whether a name has the form of ours. Another installation in the same project has names of the same form.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    let parts = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(token, index)| {
        token.len() == TOKEN_CHARS
            && token.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !index.is_empty()
            && index.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether the text can be the name of something: 1 to 63 of `a-z`, `0-9` and `-`, a letter first, no `-` last.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= NAME_BYTES_MAX
        && text.bytes().all(fine)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
        && !text.ends_with('-')
}

/// Where an instance is: what a handle's id says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its zone.
    pub zone: String,
    /// Its name.
    pub name: String,
}

impl Place {
    /// The place in a handle's id; `None` for a text that is none of ours.
    ///
    /// Neither part has a dot, so there is one way to read it.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        let (zone, name) = id.split_once('.')?;
        let place = Self { zone: zone.to_owned(), name: name.to_owned() };
        (is_name(zone) && is_name(name)).then_some(place)
    }

    /// The handle's id: `us-central1-a.hpc-...-0`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}.{}", self.zone, self.name)
    }

    /// Its region; `None` for a zone whose name says none.
    #[must_use]
    pub fn region(&self) -> Option<Region> {
        region_of(&self.zone)
    }

    /// The place in a link such as `https://.../projects/p/zones/us-central1-a/instances/x`.
    #[must_use]
    pub fn of_link(link: &str) -> Option<Self> {
        let mut parts = link.rsplit('/');
        let name = parts.next()?;
        (parts.next()? == "instances").then_some(())?;
        let zone = parts.next()?;
        Self::parse(&format!("{zone}.{name}"))
    }
}

/// The region of a zone: its name without the last part.
#[must_use]
pub fn region_of(zone: &str) -> Option<Region> {
    let (region, letter) = zone.rsplit_once('-')?;
    if letter.is_empty() || !is_name(zone) {
        return None;
    }
    Region::parse(region).ok()
}

/// A zone as the domain names it: names are the same in all projects, so the name is the id.
#[must_use]
pub fn zone_id(zone: &str) -> Option<ZoneId> {
    ZoneId::parse(zone).ok().filter(|_| is_name(zone))
}

/// The last part of a link, or the text itself if it is none.
#[must_use]
pub fn last(link: &str) -> &str {
    link.rsplit('/').next().unwrap_or(link)
}

#[cfg(test)]
mod tests {
    use hpc_resources::{IntentId, ProviderId};

    use super::*;

    fn token(number: u128) -> Token {
        let (provider, region) = (ProviderId::parse("gcp").unwrap(), Region::parse("us-central1").unwrap());
        Token::derive(&IntentId::from_bits(number), 1, &provider, &region, &ZoneId::parse("z").unwrap())
    }

    #[test]
    fn names_are_the_tokens_and_fit() {
        let names = of_token(&token(1), 4_096);
        assert!(names.iter().all(|name| is_name(name) && is_ours(name) && is_of_token(&token(1), name)));
        assert!(names.iter().all(|name| !is_of_token(&token(2), name)));
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 4_096);
        assert_eq!(of_token(&token(1), 2), names[..2], "the same every time");
        let stem = &names[0][..names[0].len() - 1];
        for other in [stem.to_owned(), format!("{stem}x"), format!("{stem}0x"), "hpc-".to_owned()] {
            assert!(!is_of_token(&token(1), &other) && !is_ours(&other), "{other}");
        }
    }

    #[test]
    fn the_request_id_is_a_uuid_that_is_not_zero() {
        let id = token(1).as_uuid();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'));
        // Version 8 and variant 1, whatever the token: so never all zero.
        assert_eq!((&id[14..15], &id[19..20]), ("8", "a"));
        assert_ne!(id, token(2).as_uuid());
    }

    #[test]
    fn a_handle_is_read_one_way_or_not_at_all() {
        let place = Place::parse("us-central1-a.hpc-0").unwrap();
        assert_eq!(
            (place.id().as_str(), place.region().unwrap().as_str()),
            ("us-central1-a.hpc-0", "us-central1")
        );
        let long = format!("a.{}", "b".repeat(63));
        assert!(Place::parse(&long).is_some() && Place::parse(&format!("{long}b")).is_none());
        for id in [
            "",
            ".",
            "none-such",
            "a.",
            ".b",
            "a.b.c",
            "A.b",
            "a.b/c",
            "a.-b",
            "a.b-",
            "a.1b",
            "a.../x",
            "🦀.b",
        ] {
            assert_eq!(Place::parse(id), None, "{id}");
        }
    }

    #[test]
    fn links_lead_to_places() {
        let link = "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a/instances/hpc-1";
        assert_eq!(Place::of_link(link).unwrap().id(), "us-central1-a.hpc-1");
        for link in ["", "/", "instances/x", "zones/us-central1-a/disks/x", "zones/US/instances/x"] {
            assert_eq!(Place::of_link(link), None, "{link}");
        }
        assert_eq!((last("a/b/c"), last("c"), last("")), ("c", "c", ""));
        for (zone, region) in [("us-central1-a", Some("us-central1")), ("a", None), ("us-", None), ("", None)]
        {
            assert_eq!(region_of(zone).as_ref().map(Region::as_str), region, "{zone}");
        }
    }
}
