//! Searches: which of the known subjects, resources or actions a request would be allowed for.
//!
//! A search answers what an evaluation of the same request would say of each known entity, and nothing else.

use hpc_policy::{PolicySet, Principal, Resource};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::limits::SEARCH_LOOKS_MAX;
use super::map::{self, Action, Role, Subject, Surroundings, Thing, required};
use super::page::{Page, Query};
use super::wire::{Object, Problem};

/// What is searched for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Subject,
    Resource,
    Action,
}

impl Target {
    fn field(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Resource => "resource",
            Self::Action => "action",
        }
    }
}

/// Who asks, of what, and when.
pub(super) struct Asked<'a> {
    pub(super) caller: &'a str,
    pub(super) token_key: &'a [u8; 32],
    pub(super) policies: &'a PolicySet,
    pub(super) now: Timestamp,
}

/// Answers `POST /access/v1/search/{subject,resource,action}`.
pub(super) fn search(target: Target, body: &Object, asked: &Asked<'_>) -> Result<Value, Problem> {
    let role = |own: Target| if own == target { Role::SearchedFor } else { Role::Named };
    let subject = required(Subject::read(body, role(Target::Subject))?, "subject")?;
    let action = match target {
        Target::Action => Action::named(""),
        _ => required(Action::read(body)?, "action")?,
    };
    let resource = required(Thing::read(body, role(Target::Resource))?, "resource")?;
    let context = Surroundings::read(body)?.unwrap_or_else(Surroundings::none);
    let page = Page::read(body)?;
    let query = query(target, body, asked);
    let start = page.start(&query)?;

    let entities = asked.policies.entities();
    let allowed = |subject: &Subject, action: &Action, resource: &Thing| {
        map::question(entities, (subject, action, resource), &context, asked.now)
            .is_ok_and(|question| asked.policies.decide(&question).is_allowed())
    };
    let found = match target {
        Target::Subject => {
            let known = subject.kind().map_or(&[][..], |kind| entities.subjects_of(kind));
            look(known, start, page.limit, |known: &Principal| {
                let result = || json!({"type": subject.type_name, "id": known.id()});
                allowed(&subject.with_id(known.id()), &action, &resource).then(result)
            })
        }
        Target::Resource => {
            let known = entities.resources_of(&resource.type_name);
            look(known, start, page.limit, |known: &Resource| {
                let result = || json!({"type": resource.type_name, "id": known.id()});
                allowed(&subject, &action, &resource.with_id(known.id())).then(result)
            })
        }
        Target::Action => look(entities.actions(), start, page.limit, |name: &String| {
            allowed(&subject, &Action::named(name), &resource).then(|| json!({"name": name}))
        }),
    };
    Ok(found.into_json(&query, page.asked))
}

/// One page of results, and where the next begins.
#[derive(Debug, PartialEq)]
struct Found {
    results: Vec<Value>,
    next: Option<usize>,
}

/// Looks from `start` until there is one result more than fits, or enough has been looked at.
fn look<T>(known: &[T], start: usize, limit: usize, mut result: impl FnMut(&T) -> Option<Value>) -> Found {
    let mut results = Vec::new();
    for (looks, (position, entity)) in known.iter().enumerate().skip(start).enumerate() {
        if looks == SEARCH_LOOKS_MAX {
            return Found { results, next: Some(position) };
        }
        if let Some(one) = result(entity) {
            if results.len() == limit {
                return Found { results, next: Some(position) };
            }
            results.push(one);
        }
    }
    Found { results, next: None }
}

impl Found {
    fn into_json(self, query: &Query, page_asked: bool) -> Value {
        let mut answer = Object::new();
        if page_asked || self.next.is_some() {
            let next_token = self.next.map(|position| query.token(position)).unwrap_or_default();
            let page = json!({"next_token": next_token, "count": self.results.len()});
            answer.insert("page".to_owned(), page);
        }
        answer.insert("results".to_owned(), self.results.into());
        Value::Object(answer)
    }
}

/// What a token is good for: everything of the request that decides, so neither the page nor an id that is ignored.
fn query(target: Target, body: &Object, asked: &Asked<'_>) -> Query {
    let mut parts = Object::new();
    for field in ["subject", "action", "resource", "context"] {
        let Some(mut value) = body.get(field).cloned() else { continue };
        if field == target.field() {
            if target == Target::Action {
                continue;
            }
            if let Value::Object(entity) = &mut value {
                entity.remove("id");
            }
        }
        parts.insert(field.to_owned(), value);
    }
    let text = Value::Object(parts).to_string();
    let digest = asked.policies.digest();
    Query::new(
        asked.token_key,
        &[target.field().as_bytes(), asked.caller.as_bytes(), digest.as_bytes(), text.as_bytes()],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_at_its_limit_and_says_whether_there_is_more() {
        let known: Vec<usize> = (0..10).collect();
        let even = |number: &usize| number.is_multiple_of(2).then(|| json!(number));
        let page =
            |results: &[usize], next| Found { results: results.iter().map(|n| json!(n)).collect(), next };
        assert_eq!(look(&known, 0, 2, even), page(&[0, 2], Some(4)));
        assert_eq!(look(&known, 4, 2, even), page(&[4, 6], Some(8)));
        assert_eq!(look(&known, 8, 2, even), page(&[8], None));
        // The last result of all fills the page: nothing more is promised.
        assert_eq!(look(&known, 0, 5, even), page(&[0, 2, 4, 6, 8], None));
        assert_eq!(look(&known, 11, 5, even), page(&[], None));
    }

    #[test]
    fn a_page_looks_at_no_more_than_the_limit() {
        let known = vec![(); SEARCH_LOOKS_MAX + 1];
        let mut looks = 0;
        let found = look(&known, 0, 1, |()| {
            looks += 1;
            None
        });
        assert_eq!(
            (looks, found),
            (SEARCH_LOOKS_MAX, Found { results: Vec::new(), next: Some(SEARCH_LOOKS_MAX) })
        );
        let known = vec![(); SEARCH_LOOKS_MAX];
        assert_eq!(look(&known, 0, 1, |()| None), Found { results: Vec::new(), next: None });
    }
}
