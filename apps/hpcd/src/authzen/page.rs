//! Pages of a search, and the tokens that lead from one to the next.

use blake3::Hash;
use serde_json::Value;

use super::limits::PAGE_RESULTS_MAX;
use super::wire::{Object, Problem};

/// What a request says of the page it wants.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    /// Whether it says anything.
    pub(super) asked: bool,
    /// Most results.
    pub(super) limit: usize,
    token: Option<String>,
}

impl Page {
    /// The field `page`, if it is there.
    pub(super) fn read(root: &Object) -> Result<Self, Problem> {
        let page = match root.get("page") {
            None => return Ok(Self { asked: false, limit: PAGE_RESULTS_MAX, token: None }),
            Some(Value::Object(page)) => page,
            Some(_) => return Err(Problem::bad("`page` is not an object; send `{\"limit\": 100}`")),
        };
        let limit = match page.get("limit") {
            None => PAGE_RESULTS_MAX,
            Some(limit) => match limit.as_u64() {
                Some(limit @ 1..) => usize::try_from(limit).unwrap_or(usize::MAX).min(PAGE_RESULTS_MAX),
                _ => {
                    return Err(Problem::bad(
                        "`page.limit` is not a count; send a whole number of 1 or more",
                    ));
                }
            },
        };
        let token = match page.get("token") {
            None => None,
            Some(Value::String(token)) if token.is_empty() => None,
            Some(Value::String(token)) => Some(token.clone()),
            Some(_) => return Err(Problem::bad("`page.token` is not a string; send the last `next_token`")),
        };
        Ok(Self { asked: true, limit, token })
    }

    /// Where the page begins, if its token was made for `query`.
    pub(super) fn start(&self, query: &Query) -> Result<usize, Problem> {
        let Some(token) = &self.token else { return Ok(0) };
        let read = || {
            let (position, proof) = token.split_at_checked(POSITION_DIGITS)?;
            let position = u64::from_str_radix(position, 16).ok()?;
            let genuine = query.proof(position) == Hash::from_hex(proof).ok()?;
            genuine.then(|| usize::try_from(position).ok()).flatten()
        };
        read().ok_or_else(|| {
            let message =
                "`page.token` is not for this query and the policies now in force; begin again without it";
            Problem::bad(message)
        })
    }
}

const POSITION_DIGITS: usize = 16;

/// A search as it is bound to its tokens: who asks what of which policies.
pub(super) struct Query(blake3::Hasher);

impl Query {
    /// `key` is the daemon's own, drawn anew at every start.
    pub(super) fn new(key: &[u8; 32], parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        for part in parts {
            // The length keeps ("a", "bc") and ("ab", "c") apart.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(hasher)
    }

    fn proof(&self, position: u64) -> Hash {
        let mut hasher = self.0.clone();
        hasher.update(&position.to_le_bytes());
        hasher.finalize()
    }

    /// The token for the page that begins at `position`.
    pub(super) fn token(&self, position: usize) -> String {
        let position = position as u64;
        format!("{position:0width$x}{}", self.proof(position).to_hex(), width = POSITION_DIGITS)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(page: Value) -> Result<Page, Problem> {
        let Value::Object(root) = json!({"page": page}) else { panic!("an object") };
        Page::read(&root)
    }

    #[test]
    fn a_token_leads_on_in_its_own_query_only() {
        let query = Query::new(&[1; 32], &[b"subject", b"{}"]);
        let token = query.token(258);
        let asked = page(json!({"token": token})).unwrap();
        assert_eq!(asked.start(&query), Ok(258));
        for other in [
            Query::new(&[2; 32], &[b"subject", b"{}"]),
            Query::new(&[1; 32], &[b"subject", b"{ }"]),
            Query::new(&[1; 32], &[b"subject{}"]),
        ] {
            assert!(asked.start(&other).is_err());
        }
        for position in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[position] = if changed[position] == b'0' { b'1' } else { b'0' };
            let changed = page(json!({"token": String::from_utf8(changed).unwrap()})).unwrap();
            assert!(changed.start(&query).is_err(), "digit {position}");
        }
        for token in
            ["x", "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}", &token[1..], &format!("{token}0")]
        {
            assert!(page(json!({"token": token})).unwrap().start(&query).is_err(), "{token}");
        }
    }

    #[test]
    fn limits_are_counts() {
        assert_eq!(page(json!({})).unwrap().limit, PAGE_RESULTS_MAX);
        assert_eq!(
            page(json!({"limit": 1, "token": ""})).unwrap(),
            Page { asked: true, limit: 1, token: None }
        );
        assert_eq!(page(json!({"limit": PAGE_RESULTS_MAX + 1})).unwrap().limit, PAGE_RESULTS_MAX);
        assert_eq!(page(json!({"limit": u64::MAX})).unwrap().limit, PAGE_RESULTS_MAX);
        for wrong in [json!(0), json!(-1), json!(1.5), json!("1"), json!(null)] {
            assert!(page(json!({"limit": wrong})).is_err(), "{wrong}");
        }
        for wrong in [json!([]), json!("x"), json!({"token": 1}), json!(null)] {
            assert!(page(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
