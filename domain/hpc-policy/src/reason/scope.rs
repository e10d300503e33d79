//! Which requests a rule applies to, and which it does not.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::budget::Budget;
use super::facts::{Facts, KINDS};
use super::words::Words;
use crate::limits::REASON_CASES_MAX;
use crate::path::Source;
use crate::rule::{PrincipalMatch, Rule};

static PRINCIPAL_ID: Source = Source::PrincipalId;
static PRINCIPAL_TYPE: Source = Source::PrincipalType;
static ROLES: Source = Source::PrincipalRoles;
static TEAMS: Source = Source::PrincipalTeams;
static SPIFFE_ID: Source = Source::PrincipalSpiffeId;
static RESOURCE_ID: Source = Source::ResourceId;
static RESOURCE_TYPE: Source = Source::ResourceType;
static ACTION: Source = Source::Action;

/// The principals of a rule by the way they are recognised, groups taken apart.
#[derive(Default)]
struct Who<'a> {
    any: bool,
    ids: BTreeMap<&'static str, Words<'a>>,
    roles: Words<'a>,
    teams: Words<'a>,
    spiffe: Words<'a>,
}

impl<'a> Who<'a> {
    fn of(rule: &'a Rule, budget: &Budget) -> Self {
        let mut who = Self::default();
        rule.principals.iter().for_each(|principal| who.add(principal));
        let names =
            who.ids.values().chain([&who.roles, &who.teams, &who.spiffe]).map(Words::len).sum::<usize>();
        budget.take(names as u64);
        who
    }

    fn add(&mut self, principal: &'a PrincipalMatch) {
        match principal {
            PrincipalMatch::Any => self.any = true,
            PrincipalMatch::Id(kind, text) => self.ids.entry(kind.as_str()).or_default().add(text),
            PrincipalMatch::Role(text, holders) => {
                self.roles.add(text);
                holders.iter().flat_map(|holders| holders.iter()).for_each(|name| self.roles.add_name(name));
            }
            PrincipalMatch::Team(text) => self.teams.add(text),
            PrincipalMatch::Spiffe(text) => self.spiffe.add(text),
            PrincipalMatch::Group { members, .. } => members.iter().for_each(|member| self.add(member)),
        }
    }
}

/// The cases in which `rule` applies, its conditions aside.
pub(crate) fn in_scope<'a>(facts: &Facts<'a>, rule: &'a Rule, budget: &Budget) -> Vec<Facts<'a>> {
    let mut actions = facts.clone();
    actions.domain(&ACTION).keep_text(&Rc::new(Words::of(&rule.actions)), true);
    if !actions.is_possible(&ACTION, budget) {
        return Vec::new();
    }
    let mut cases = Vec::new();
    for facts in resources(&actions, rule, budget) {
        cases.extend(principals(&facts, rule, budget));
    }
    cases
}

fn resources<'a>(facts: &Facts<'a>, rule: &'a Rule, budget: &Budget) -> Vec<Facts<'a>> {
    let mut by_kind: BTreeMap<Option<&'a str>, Words<'a>> = BTreeMap::new();
    for resource in &rule.resources {
        by_kind.entry(resource.kind.as_deref()).or_default().add(&resource.id);
    }
    if by_kind.len() > REASON_CASES_MAX / 4 {
        // Types and ids apart: more requests than the rule is about, and fewer cases.
        let mut wide = facts.clone();
        if !by_kind.contains_key(&None) {
            let mut kinds = Words::default();
            by_kind.keys().flatten().for_each(|kind| kinds.add_name(kind));
            wide.domain(&RESOURCE_TYPE).keep_text(&Rc::new(kinds), true);
        }
        let ids = Words::of(rule.resources.iter().map(|resource| &resource.id));
        wide.domain(&RESOURCE_ID).keep_text(&Rc::new(ids), true);
        return vec![wide];
    }
    let mut cases = Vec::new();
    for (kind, ids) in by_kind {
        let mut case = facts.clone();
        if let Some(kind) = kind {
            case.domain(&RESOURCE_TYPE).keep_text(&Rc::new(Words::one(kind)), true);
        }
        case.domain(&RESOURCE_ID).keep_text(&Rc::new(ids), true);
        if case.is_possible(&RESOURCE_TYPE, budget) && case.is_possible(&RESOURCE_ID, budget) {
            cases.push(case);
        }
    }
    cases
}

fn principals<'a>(facts: &Facts<'a>, rule: &'a Rule, budget: &Budget) -> Vec<Facts<'a>> {
    let who = Who::of(rule, budget);
    let mut cases = Vec::new();
    let mut keep = |mut case: Facts<'a>, touched: &[&'a Source]| {
        if touched.iter().all(|source| case.is_possible(source, budget)) {
            cases.push(case);
        }
    };
    if who.any {
        return vec![facts.clone()];
    }
    for (kind, ids) in who.ids {
        let mut case = facts.clone();
        case.domain(&PRINCIPAL_TYPE).keep_text(&Rc::new(Words::one(kind)), true);
        case.domain(&PRINCIPAL_ID).keep_text(&Rc::new(ids), true);
        keep(case, &[&PRINCIPAL_TYPE, &PRINCIPAL_ID]);
    }
    for (names, source) in [(who.roles, &ROLES), (who.teams, &TEAMS)] {
        if !names.is_empty() {
            let mut case = facts.clone();
            case.domain(source).keep_names(&Rc::new(names), true);
            keep(case, &[source]);
        }
    }
    if !who.spiffe.is_empty() {
        let mut case = facts.clone();
        case.domain(&SPIFFE_ID).require();
        case.domain(&SPIFFE_ID).keep_text(&Rc::new(who.spiffe), true);
        keep(case, &[&SPIFFE_ID]);
    }
    cases
}

/// Whether a request among `facts` may be one that `rule` does not apply to, its conditions aside. `false` is proved.
pub(crate) fn may_be_outside<'a>(facts: &Facts<'a>, rule: &'a Rule, budget: &Budget) -> bool {
    let mut other_action = facts.clone();
    other_action.domain(&ACTION).keep_text(&Rc::new(Words::of(&rule.actions)), false);
    if other_action.is_possible(&ACTION, budget) {
        return true;
    }
    other_resource(facts, rule, budget) || other_principal(facts, rule, budget)
}

fn other_resource<'a>(facts: &Facts<'a>, rule: &'a Rule, budget: &Budget) -> bool {
    let of_kind = |kind: Option<&str>| -> Words<'a> {
        let ids = rule.resources.iter().filter(|entry| match (entry.kind.as_deref(), kind) {
            (None, _) => true,
            (own, kind) => own == kind,
        });
        Words::of(ids.map(|entry| &entry.id))
    };
    let mut facts = facts.clone();
    let listed = facts.domain(&RESOURCE_TYPE).listed_texts();
    let other = |ids: Words<'a>, mut facts: Facts<'a>| {
        facts.domain(&RESOURCE_ID).keep_text(&Rc::new(ids), false);
        facts.is_possible(&RESOURCE_ID, budget)
    };
    match listed {
        Some(kinds) => kinds.into_iter().any(|kind| other(of_kind(Some(kind)), facts.clone())),
        // Whatever the type is, only an entry for all types is sure to cover it.
        None => other(of_kind(None), facts),
    }
}

fn other_principal<'a>(facts: &Facts<'a>, rule: &'a Rule, budget: &Budget) -> bool {
    let who = Who::of(rule, budget);
    if who.any {
        return false;
    }
    let (mut ids, roles, teams) = (who.ids, Rc::new(who.roles), Rc::new(who.teams));
    let mut outside = facts.clone();
    outside.domain(&ROLES).keep_names(&roles, false);
    outside.domain(&TEAMS).keep_names(&teams, false);
    outside.domain(&SPIFFE_ID).keep_text(&Rc::new(who.spiffe), false);
    if ![&ROLES, &TEAMS, &SPIFFE_ID].into_iter().all(|source| outside.is_possible(source, budget)) {
        return false;
    }
    KINDS.into_iter().any(|kind| {
        let mut case = outside.clone();
        case.domain(&PRINCIPAL_TYPE).keep_text(&Rc::new(Words::one(kind.as_str())), true);
        case.domain(&PRINCIPAL_ID).keep_text(&Rc::new(ids.remove(kind.as_str()).unwrap_or_default()), false);
        case.is_possible(&PRINCIPAL_TYPE, budget) && case.is_possible(&PRINCIPAL_ID, budget)
    })
}
