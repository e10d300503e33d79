//! What was just created: EC2's lists know it only after a while.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use hpc_provider::Token;
use jiff::Timestamp;

/// Most creates that are remembered.
const RECENT_MAX: usize = 4_096;

#[derive(Debug)]
struct Created {
    token: Token,
    ids: Vec<String>,
    at: Timestamp,
}

/// The last creates of this process, by token and by instance.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Created>>);

impl Recent {
    pub(crate) fn created(&self, token: &Token, ids: Vec<String>, at: Timestamp) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(Created { token: token.clone(), ids, at });
    }

    /// Whether the token has created before.
    pub(crate) fn knows(&self, token: &Token) -> bool {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().any(|created| created.token == *token)
    }

    /// Whether the instance is younger than this.
    pub(crate) fn is_younger(&self, id: &str, now: Timestamp, age_ms: u64) -> bool {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let created = recent.iter().rev().find(|created| created.ids.iter().any(|have| have == id));
        created.is_some_and(|created| {
            now.as_millisecond().saturating_sub(created.at.as_millisecond())
                < i64::try_from(age_ms).unwrap_or(i64::MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use hpc_resources::{IntentId, ProviderId, Region, ZoneId};

    use super::*;

    fn token(number: u128) -> Token {
        let (provider, region) = (ProviderId::parse("aws").unwrap(), Region::parse("us-east-1").unwrap());
        Token::derive(
            &IntentId::from_bits(number),
            0,
            &provider,
            &region,
            &ZoneId::parse("use1-az1").unwrap(),
        )
    }

    #[test]
    fn the_oldest_is_forgotten_and_age_ends_at_the_bound() {
        let recent = Recent::default();
        let at = Timestamp::from_second(1_795_000_000).unwrap();
        for number in 0..=RECENT_MAX as u128 {
            recent.created(&token(number), vec![format!("i-{number}")], at);
        }
        assert!(!recent.knows(&token(0)) && recent.knows(&token(1)));
        let later = |ms: i64| Timestamp::from_millisecond(at.as_millisecond() + ms).unwrap();
        assert!(
            recent.is_younger("i-1", later(1_999), 2_000) && !recent.is_younger("i-1", later(2_000), 2_000)
        );
        assert!(!recent.is_younger("i-0", at, 2_000) && !recent.is_younger("i-none", at, 2_000));
    }
}
