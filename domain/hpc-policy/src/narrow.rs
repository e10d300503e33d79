//! Which rules can decide a request: by resource type and action, then by who asks or by what is asked about.
//!
//! Each list of rules with one type and action is posted twice: under the names of its principals, and in a trie of
//! the segments of its resource ids and patterns. A request reads the side with fewer postings. Both sides may offer rules
//! that do not apply, and offer one twice; neither leaves out one that does. Lists that stay long are read through the
//! [`Prefilter`].

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::ops::ControlFlow;

use crate::context::{EvaluationContext, Principal, PrincipalKind};
use crate::fixed_hash::FixedHasher;
use crate::prefilter::{Prefilter, Slots};
use crate::rule::{Effect, PrincipalMatch, Rule, Text};
use crate::segment_trie::SegmentTrie;

/// Lists of up to so many rules are read as they are.
const SHORT_LIST: usize = 8;
/// Most places in which one rule is posted; a wider one is looked at for every request.
const POSTINGS_OF_A_RULE_MAX: usize = 1_024;

/// A group with more members, and a role that more roles include, are posted once, as if they were for everybody.
const NAMES_POSTED_MAX: usize = 64;

/// A map from names in policies; only policies put names in, so its hash needs no secret.
pub(crate) type Names<V> = HashMap<Box<str>, V, BuildHasherDefault<FixedHasher>>;

/// Rules of one effect, by what they are about.
#[derive(Debug)]
pub(crate) struct Narrow {
    by_type: Names<Bucket>,
    every_type: Bucket,
    wide: Vec<u32>,
    prefilter: Prefilter,
}

#[derive(Debug, Default)]
struct Bucket {
    exact: Names<List>,
    patterns: List,
}

#[derive(Debug, Default)]
struct List {
    all: Vec<u32>,
    sides: Option<Box<(Who, SegmentTrie)>>,
}

/// Rules by the names of their principals.
#[derive(Debug, Default)]
struct Who {
    /// Rules for everybody, or with a pattern of names.
    open: Vec<u32>,
    users: Names<Vec<u32>>,
    services: Names<Vec<u32>>,
    agents: Names<Vec<u32>>,
    roles: Names<Vec<u32>>,
    teams: Names<Vec<u32>>,
    spiffe: Names<Vec<u32>>,
}

impl Narrow {
    /// `rules` are positions and rules of one effect, positions ascending.
    pub(crate) fn build<'a>(effect: Effect, rules: impl Iterator<Item = (u32, &'a Rule)> + Clone) -> Self {
        let mut narrow = Self {
            by_type: Names::default(),
            every_type: Bucket::default(),
            wide: Vec::new(),
            prefilter: Prefilter::new(effect),
        };
        for (position, rule) in rules.clone() {
            narrow.insert(position, rule);
            narrow.prefilter.add(position, rule);
        }
        narrow.prefilter.finish();
        let of_position: HashMap<u32, &Rule, BuildHasherDefault<FixedHasher>> = rules.collect();
        let buckets = narrow.by_type.iter_mut().map(|(kind, bucket)| (Some(&**kind), bucket));
        for (kind, bucket) in buckets.chain([(None, &mut narrow.every_type)]) {
            for list in bucket.exact.values_mut().chain([&mut bucket.patterns]) {
                list.finish(kind, &of_position);
            }
        }
        narrow
    }

    fn insert(&mut self, position: u32, rule: &Rule) {
        let principals: usize = rule.principals.iter().map(names_of).sum();
        let places = rule.resources.len().saturating_mul(rule.actions.len());
        if places.saturating_mul(principals + rule.resources.len()) > POSTINGS_OF_A_RULE_MAX {
            self.wide.push(position);
            return;
        }
        for resource in &rule.resources {
            let bucket = match &resource.kind {
                Some(kind) => self.by_type.entry(kind.clone()).or_default(),
                None => &mut self.every_type,
            };
            for action in &rule.actions {
                let list = match action {
                    Text::Exact(action) => bucket.exact.entry(action.clone()).or_default(),
                    Text::Glob(_) => &mut bucket.patterns,
                };
                push(&mut list.all, position);
            }
        }
    }

    /// Calls `visit` with positions of rules until it breaks; every rule that applies to `context` is among them, for a deny
    /// those also whose conditions are unknown.
    pub(crate) fn visit(
        &self,
        context: &EvaluationContext,
        visit: &mut impl FnMut(u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.read(context, true, visit)
    }

    /// As [`visit`](Self::visit), whatever the conditions say of the attributes: every rule in scope is among them.
    pub(crate) fn visit_scope(
        &self,
        context: &EvaluationContext,
        visit: &mut impl FnMut(u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.read(context, false, visit)
    }

    fn read(
        &self,
        context: &EvaluationContext,
        filtered: bool,
        visit: &mut impl FnMut(u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let typed = self.by_type.get(context.resource().resource_type());
        let buckets = typed.into_iter().chain([&self.every_type]);
        let mut slots = None;
        let mut each = |list: &[u32]| {
            if !filtered || list.len() <= SHORT_LIST {
                return list.iter().try_for_each(|position| visit(*position));
            }
            let slots = slots.get_or_insert_with(Slots::new);
            list.iter()
                .filter(|position| self.prefilter.passes(**position, context, slots))
                .try_for_each(|position| visit(*position))
        };
        for bucket in buckets {
            if let Some(list) = bucket.exact.get(context.action()) {
                list.visit(context, &mut each)?;
            }
            bucket.patterns.visit(context, &mut each)?;
        }
        each(&self.wide)
    }
}

impl List {
    fn finish(&mut self, kind: Option<&str>, rules: &HashMap<u32, &Rule, BuildHasherDefault<FixedHasher>>) {
        if self.all.len() <= SHORT_LIST {
            return;
        }
        let (mut who, mut what) = (Who::default(), SegmentTrie::default());
        for &position in &self.all {
            let Some(rule) = rules.get(&position) else { continue };
            for principal in &rule.principals {
                who.post(principal, position);
            }
            for resource in rule.resources.iter().filter(|resource| resource.kind.as_deref() == kind) {
                push(what.list(&resource.id), position);
            }
        }
        self.sides = Some(Box::new((who, what)));
    }

    fn visit(
        &self,
        context: &EvaluationContext,
        each: &mut impl FnMut(&[u32]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some(sides) = &self.sides else { return each(&self.all) };
        let (who, what) = &**sides;
        let id = context.resource().id();
        // A request may repeat a role, and a rule may stand in many lists: never read more than all rules once.
        let all = self.all.len();
        let by_name = postings(all, |count| who.visit(context.principal(), count));
        let by_id =
            if by_name > SHORT_LIST { postings(by_name, |count| what.visit(id, count)) } else { by_name };
        if by_id < by_name {
            what.visit(id, each)
        } else if by_name < all {
            who.visit(context.principal(), each)
        } else {
            each(&self.all)
        }
    }
}

/// How many postings a side offers, counted up to `enough`.
fn postings(
    enough: usize,
    side: impl FnOnce(&mut dyn FnMut(&[u32]) -> ControlFlow<()>) -> ControlFlow<()>,
) -> usize {
    let mut count = 0_usize;
    let _ = side(&mut |list| {
        count = count.saturating_add(list.len());
        if count >= enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    count
}

impl Who {
    fn post(&mut self, principal: &PrincipalMatch, position: u32) {
        let (names, text) = match principal {
            PrincipalMatch::Group { members, .. } if members.len() > NAMES_POSTED_MAX => {
                return push(&mut self.open, position);
            }
            PrincipalMatch::Role(_, Some(holders)) if holders.len() > NAMES_POSTED_MAX => {
                return push(&mut self.open, position);
            }
            PrincipalMatch::Group { members, .. } => {
                return members.iter().for_each(|member| self.post(member, position));
            }
            PrincipalMatch::Any => return push(&mut self.open, position),
            PrincipalMatch::Id(PrincipalKind::User, text) => (&mut self.users, text),
            PrincipalMatch::Id(PrincipalKind::Service, text) => (&mut self.services, text),
            PrincipalMatch::Id(PrincipalKind::Agent, text) => (&mut self.agents, text),
            PrincipalMatch::Role(text, holders) => {
                for holder in holders.iter().flat_map(|holders| holders.iter()) {
                    push(self.roles.entry(holder.clone()).or_default(), position);
                }
                (&mut self.roles, text)
            }
            PrincipalMatch::Team(text) => (&mut self.teams, text),
            PrincipalMatch::Spiffe(text) => (&mut self.spiffe, text),
        };
        let list = match text {
            Text::Exact(name) => names.entry(name.clone()).or_default(),
            Text::Glob(_) => &mut self.open,
        };
        push(list, position);
    }

    fn visit(
        &self,
        principal: &Principal,
        visit: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let own = match principal.kind() {
            PrincipalKind::User => &self.users,
            PrincipalKind::Service => &self.services,
            PrincipalKind::Agent => &self.agents,
        };
        let roles = principal.roles().iter().map(|role| self.roles.get(&**role));
        let teams = principal.teams().iter().map(|team| self.teams.get(&**team));
        let spiffe = principal.spiffe_id().map(|id| self.spiffe.get(id));
        for list in std::iter::once(own.get(principal.id())).chain(roles).chain(teams).chain(spiffe).flatten()
        {
            visit(list)?;
        }
        visit(&self.open)
    }
}

/// Under how many names a principal is posted.
fn names_of(principal: &PrincipalMatch) -> usize {
    match principal {
        PrincipalMatch::Group { members, .. } if members.len() <= NAMES_POSTED_MAX => {
            members.iter().map(names_of).sum()
        }
        PrincipalMatch::Role(_, Some(holders)) if holders.len() <= NAMES_POSTED_MAX => 1 + holders.len(),
        _ => 1,
    }
}

/// Positions only grow, so one look at the end keeps each list sorted and without repeats.
fn push(list: &mut Vec<u32>, position: u32) {
    if list.last() != Some(&position) {
        list.push(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Resource;
    use crate::policy::parse_policy;

    #[test]
    fn a_request_that_repeats_itself_reads_no_rule_twice() {
        let mut text =
            "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n"
                .to_owned();
        for n in 0..100 {
            text.push_str(&format!(
                "    - {{name: r{n}, effect: deny, principals: [{{type: role, value: a}}, {{type: role, value: b}}], \
                 resources: [{{type: thing, pattern: \"**\"}}, {{type: thing, pattern: \"things/**\"}}], actions: [use]}}\n"
            ));
        }
        let policy = parse_policy(&text).unwrap();
        let narrow = Narrow::build(Effect::Deny, (0_u32..).zip(policy.compiled().iter()));
        let mut principal = Principal::user("eve");
        for _ in 0..128 {
            principal = principal.with_role("a").with_role("b");
        }
        let context = EvaluationContext::new(principal, Resource::new("thing", "things/a"), "use");
        let mut read = 0;
        let _ = narrow.visit(&context, &mut |_| {
            read += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(read, 100);
    }
}
