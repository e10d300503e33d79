//! Whether the actions and the types of resources of rules are those that a schema declares.
//!
//! Actions are numbered, and what a type or a pattern stands for is a set of numbers, so a rule costs as much as it names
//! and not as much as that times all that is declared.

use std::collections::BTreeMap;

use crate::decode::shown;
use crate::error::PolicyError;
use crate::explain::listed;
use crate::limits::SCHEMA_ACTIONS_MAX;
use crate::rule::{Rule, Text};
use crate::schema::Schema;
use crate::schema_check::{DECLARE, near};
use crate::yaml::Pos;

/// Most patterns whose actions are kept for the next rule with the same pattern.
const PATTERNS_KEPT_MAX: usize = 4_096;

/// The actions of a schema by number, for questions about many rules.
pub(crate) struct Scopes<'a> {
    numbers: BTreeMap<&'a str, usize>,
    by_type: BTreeMap<&'a str, Actions>,
    /// Actions for any type.
    any_type: Actions,
    all: Actions,
    patterns: BTreeMap<Box<str>, Actions>,
}

/// A set of actions.
#[derive(Debug, Clone, Copy, Default)]
struct Actions([u64; SCHEMA_ACTIONS_MAX.div_ceil(64)]);

impl Actions {
    fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn extend(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(word, other)| word & other != 0)
    }
}

impl<'a> Scopes<'a> {
    pub(crate) fn of(schema: &'a Schema) -> Self {
        let (numbers, by_type, patterns) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut scopes =
            Self { numbers, by_type, any_type: Actions::default(), all: Actions::default(), patterns };
        for (number, (name, types)) in schema.actions().enumerate() {
            scopes.numbers.insert(name, number);
            scopes.all.insert(number);
            if types.is_empty() {
                scopes.any_type.insert(number);
            }
            for kind in types {
                scopes.by_type.entry(kind).or_default().insert(number);
            }
        }
        scopes
    }

    /// Everything in the scope of `rule` that the schema does not know or that no request is about.
    pub(crate) fn check(&mut self, rule: &Rule, mistakes: &mut Vec<PolicyError>) {
        if self.numbers.is_empty() {
            return;
        }
        let before = mistakes.len();
        let mut named = Actions::default();
        let mut each = Vec::with_capacity(rule.actions.len());
        for (action, at) in rule.actions.iter().zip(&rule.actions_at) {
            let matched = self.matched(action);
            if !matched.meets(&self.all) {
                mistakes.push(self.unknown(action, *at));
            }
            named.extend(&matched);
            each.push((action, *at, matched));
        }
        if mistakes.len() > before {
            return;
        }
        // A pair of action and type that is never asked about does no harm as long as each is part of another pair.
        let mut asked = Actions::default();
        for resource in &rule.resources {
            let about = self.about(resource.kind.as_deref());
            if !about.meets(&named) {
                mistakes.push(self.never_asked(rule, resource.kind.as_deref().unwrap_or("*"), resource.at));
            }
            asked.extend(&about);
        }
        if mistakes.len() > before {
            return;
        }
        for (action, at, matched) in each {
            if !matched.meets(&asked) {
                let condition = format!("`{action}` on {}", listed(&rule.resources));
                let problem = "the schema has this action for other types of resources".to_owned();
                mistakes.push(PolicyError::Impossible { at: at.at(), condition, problem });
            }
        }
    }

    /// The declared actions that an action of a rule stands for.
    fn matched(&mut self, action: &Text) -> Actions {
        let mut matched = Actions::default();
        match action {
            Text::Exact(name) => {
                if let Some(number) = self.numbers.get(&**name) {
                    matched.insert(*number);
                }
            }
            Text::Glob(glob) => {
                if let Some(known) = self.patterns.get(glob.source()) {
                    return *known;
                }
                let numbers = self.numbers.iter().filter(|(name, _)| glob.matches(name));
                numbers.for_each(|(_, number)| matched.insert(*number));
                if self.patterns.len() < PATTERNS_KEPT_MAX {
                    self.patterns.insert(glob.source().into(), matched);
                }
            }
        }
        matched
    }

    /// The actions that are asked about resources of a type; `None` stands for every type.
    fn about(&self, kind: Option<&str>) -> Actions {
        let Some(kind) = kind else { return self.all };
        let mut about = self.any_type;
        if let Some(actions) = self.by_type.get(kind) {
            about.extend(actions);
        }
        about
    }

    fn unknown(&self, action: &Text, at: Pos) -> PolicyError {
        match action {
            Text::Exact(name) => unknown_action(self.numbers.keys().copied(), name, at),
            Text::Glob(glob) => {
                let (name, advice) = (glob.source().to_owned(), "no declared action matches it".to_owned());
                PolicyError::Undeclared { at: at.at(), what: "action", name, advice }
            }
        }
    }

    /// None of the rule's actions is about this type of resource.
    fn never_asked(&self, rule: &Rule, kind: &str, at: Pos) -> PolicyError {
        if self.by_type.contains_key(kind) {
            let actions: Vec<String> = rule.actions.iter().map(|action| format!("`{action}`")).collect();
            let condition = format!("{} on type `{kind}`", listed(&actions));
            let problem = "the schema has it for other types of resources".to_owned();
            return PolicyError::Impossible { at: at.at(), condition, problem };
        }
        let otherwise = || "no declared action is about it".to_owned();
        let advice = near(self.by_type.keys().copied(), kind).unwrap_or_else(otherwise);
        PolicyError::Undeclared { at: at.at(), what: "resource type", name: kind.to_owned(), advice }
    }
}

/// An action that none of `known` is.
pub(crate) fn unknown_action<'a>(known: impl Iterator<Item = &'a str>, action: &str, at: Pos) -> PolicyError {
    let advice = near(known, action).unwrap_or_else(|| DECLARE.to_owned());
    PolicyError::Undeclared { at: at.at(), what: "action", name: shown(action), advice }
}
