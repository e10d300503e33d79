//! Who asks what of which thing: the combinations that can matter around one rule.
//!
//! Of all names that match the same entries of rules one is enough, and of two names, of which one matches only entries that
//! the other matches too, the one that matches fewer: it brings fewer other rules into scope, and those that are wanted are
//! asked for by name. Where conditions look at a name, only names that these conditions see alike replace each other.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::analysis::attributes::Attributes;
use crate::analysis::names::{Names, Word};
use crate::analysis::sides::texts_meet;
use crate::analysis::words::{Shape, explore};
use crate::context::{EvaluationContext, Principal, PrincipalKind, Resource};
use crate::identifier::name_problem;
use crate::path::Source;
use crate::rule::{PrincipalMatch, ResourceMatch, Rule, Text};

/// Most roles, and most teams, of which every selection is tried where conditions look at them.
const POOL_MAX: usize = 4;

/// One way in which a principal can be meant by a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Want {
    Anybody,
    Id(usize, u32),
    Role(u32),
    Team(u32),
    Spiffe(u32),
}

const KINDS: [PrincipalKind; 3] = [PrincipalKind::User, PrincipalKind::Service, PrincipalKind::Agent];

/// Which of the seed's resources, of which type, and under which other id.
type ResourceKey = (usize, String, Option<String>);

/// The names around one rule.
pub(crate) struct Space<'a> {
    seed: &'a Rule,
    rules: &'a [&'a Rule],
    attributes: Attributes<'a>,
    ids: [Names; 3],
    roles: Names,
    teams: Names,
    spiffe: Names,
    actions: Vec<Names>,
    resources: RefCell<BTreeMap<ResourceKey, Rc<Names>>>,
    /// The entries for resources by type and by what their ids begin with.
    by_type: BTreeMap<Option<&'a str>, BTreeMap<&'a str, Vec<&'a ResourceMatch>>>,
    role_pool: Option<Vec<Vec<String>>>,
    team_pool: Option<Vec<Vec<String>>>,
    fresh_type: String,
    gaps: RefCell<BTreeSet<&'static str>>,
}

/// A question without attributes, in words that can be ordered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Base {
    kind: usize,
    id: String,
    roles: Vec<String>,
    teams: Vec<String>,
    spiffe_id: Option<String>,
    resource_type: String,
    resource_id: String,
    action: String,
}

impl Base {
    /// The question.
    pub(crate) fn context(&self) -> EvaluationContext {
        let kind = KINDS.get(self.kind).copied().unwrap_or(PrincipalKind::User);
        let mut principal = Principal::new(kind, self.id.clone())
            .with_roles(self.roles.iter().cloned())
            .with_teams(self.teams.iter().cloned());
        if let Some(spiffe_id) = &self.spiffe_id {
            principal = principal.with_spiffe_id(spiffe_id.clone());
        }
        let resource = Resource::new(self.resource_type.clone(), self.resource_id.clone());
        EvaluationContext::new(principal, resource, self.action.clone())
    }
}

const PATTERNS: &str = "the patterns of names around a rule are too many to combine";
const POOL: &str = "conditions look at so many roles or teams that not every selection of them was tried";

impl<'a> Space<'a> {
    /// The names that matter to `seed` and to `rules`, which can be in scope together with it.
    pub(crate) fn new(seed: &'a Rule, rules: &'a [&'a Rule], attributes: Attributes<'a>) -> Self {
        let mut gaps = BTreeSet::new();
        gaps.extend(attributes.gap());
        let mut members: Vec<&PrincipalMatch> = Vec::new();
        for rule in std::iter::once(&seed).chain(rules) {
            for principal in &rule.principals {
                match principal {
                    PrincipalMatch::Group { members: inner, .. } => members.extend(inner.iter()),
                    other => members.push(other),
                }
            }
        }
        let pins =
            |source: &Source| attributes.of_source(source).map_or((&[][..], &[][..]), |one| one.words());
        let ids = KINDS.map(|kind| {
            let entries = members.iter().filter_map(|member| match member {
                PrincipalMatch::Id(own, text) if *own == kind => Some((text, None)),
                _ => None,
            });
            Names::build(entries, pins(&Source::PrincipalId), Shape::Name, b'/', &[])
        });
        let roles = members.iter().filter_map(|member| match member {
            PrincipalMatch::Role(text, holders) => Some((text, holders.as_ref())),
            _ => None,
        });
        let roles = Names::build(roles, pins(&Source::PrincipalRoles), Shape::Name, b'/', &[]);
        let teams = members.iter().filter_map(|member| match member {
            PrincipalMatch::Team(text) => Some((text, None)),
            _ => None,
        });
        let teams = Names::build(teams, pins(&Source::PrincipalTeams), Shape::Name, b'/', &[]);
        let spiffe = members.iter().filter_map(|member| match member {
            PrincipalMatch::Spiffe(text) => Some((text, None)),
            _ => None,
        });
        let spiffe = Names::build(spiffe, pins(&Source::PrincipalSpiffeId), Shape::Spiffe, b'/', &[]);
        let texts: Vec<&Text> = rules.iter().flat_map(|rule| &rule.actions).collect();
        let actions: Vec<Names> = seed
            .actions
            .iter()
            .map(|own| {
                let entries = texts.iter().copied().chain(&seed.actions).map(|text| (text, None));
                Names::build(entries, pins(&Source::Action), Shape::Name, b'.', &[own])
            })
            .collect();
        let complete = |names: &Names| names.complete;
        if ![&roles, &teams, &spiffe].into_iter().chain(&ids).chain(&actions).all(complete) {
            gaps.insert(PATTERNS);
        }
        let mut pool = |source: Source, names: &Names| {
            attributes.of_source(&source).map(|compared| {
                let texts = compared.words().0;
                let mut words: Vec<String> = texts.to_vec();
                words.extend(names.words.iter().take(names.unnamed).map(|word| word.text.clone()));
                words.sort();
                words.dedup();
                if words.len() > POOL_MAX {
                    gaps.insert(POOL);
                    words.truncate(POOL_MAX);
                }
                selections(&words)
            })
        };
        let role_pool = pool(Source::PrincipalRoles, &roles);
        let team_pool = pool(Source::PrincipalTeams, &teams);
        let types: BTreeSet<&str> = std::iter::once(&seed)
            .chain(rules)
            .flat_map(|rule| &rule.resources)
            .filter_map(|resource| resource.kind.as_deref())
            .collect();
        let mut by_type: BTreeMap<Option<&str>, BTreeMap<&str, Vec<&ResourceMatch>>> = BTreeMap::new();
        for entry in std::iter::once(&seed).chain(rules).flat_map(|rule| &rule.resources) {
            let text = match &entry.id {
                Text::Exact(exact) => exact,
                Text::Glob(glob) => beginning(glob.source()),
            };
            by_type.entry(entry.kind.as_deref()).or_default().entry(text).or_default().push(entry);
        }
        let type_words = pins(&Source::ResourceType).0;
        let unused = |word: &String| !types.contains(word.as_str()) && !type_words.contains(word);
        let fresh_type = (0..=types.len() + type_words.len())
            .map(|number| if number == 0 { "other".to_owned() } else { format!("other-{number}") })
            .find(unused)
            .unwrap_or_default();
        Self {
            seed,
            rules,
            ids,
            roles,
            teams,
            spiffe,
            actions,
            resources: RefCell::default(),
            by_type,
            role_pool,
            team_pool,
            fresh_type,
            gaps: RefCell::new(gaps),
            attributes,
        }
    }

    /// Why there may be combinations that are not among the bases.
    pub(crate) fn gaps(&self) -> Vec<&'static str> {
        self.gaps.borrow().iter().copied().collect()
    }

    /// The combinations in the scope of the seed, and of `partner` if there is one; false if there are more than fit.
    pub(crate) fn bases(&self, partner: Option<&Rule>, into: &mut BTreeMap<Base, usize>, max: usize) -> bool {
        let actions = self.actions_with(partner);
        let resources = self.resources_with(partner);
        if actions.is_empty() || resources.is_empty() {
            return true;
        }
        let mine = self.wants(self.seed);
        let theirs = partner.map_or_else(|| vec![Want::Anybody], |rule| self.wants(rule));
        for own in &mine {
            for other in &theirs {
                for who in self.principals(own, other) {
                    for (resource_type, resource_id) in &resources {
                        for action in &actions {
                            let base = Base {
                                resource_type: resource_type.clone(),
                                resource_id: resource_id.clone(),
                                action: action.clone(),
                                ..who.clone()
                            };
                            if into.len() >= max && !into.contains_key(&base) {
                                return false;
                            }
                            let next = into.len();
                            into.entry(base).or_insert(next);
                        }
                    }
                }
            }
        }
        true
    }

    fn wants(&self, rule: &Rule) -> Vec<Want> {
        let mut wants = BTreeSet::new();
        let mut add = |member: &PrincipalMatch| {
            let want = match member {
                PrincipalMatch::Any => Some(Want::Anybody),
                PrincipalMatch::Id(kind, text) => KINDS
                    .iter()
                    .position(|own| own == kind)
                    .and_then(|place| Some(Want::Id(place, self.ids.get(place)?.entry(text, None)?))),
                PrincipalMatch::Role(text, holders) => {
                    self.roles.entry(text, holders.as_ref()).map(Want::Role)
                }
                PrincipalMatch::Team(text) => self.teams.entry(text, None).map(Want::Team),
                PrincipalMatch::Spiffe(text) => self.spiffe.entry(text, None).map(Want::Spiffe),
                PrincipalMatch::Group { .. } => None,
            };
            wants.extend(want);
        };
        for principal in &rule.principals {
            match principal {
                PrincipalMatch::Group { members, .. } => members.iter().for_each(&mut add),
                other => add(other),
            }
        }
        wants.into_iter().collect()
    }

    /// Principals that both want, without resource and action.
    fn principals(&self, own: &Want, other: &Want) -> Vec<Base> {
        let both = [own, other];
        let mut ids: Vec<(usize, String)> = Vec::new();
        let mut seen: Vec<(usize, &Word)> = Vec::new();
        for (place, names) in self.ids.iter().enumerate() {
            let mut required = Vec::new();
            let fits = both.iter().all(|want| match want {
                Want::Id(kind, entry) => {
                    required.push(*entry);
                    *kind == place
                }
                _ => true,
            });
            if !fits {
                continue;
            }
            required.sort_unstable();
            required.dedup();
            for word in names.minimal(&required).iter().filter_map(|word| names.words.get(*word)) {
                // Names of different kinds replace each other only where nothing but conditions could tell them apart.
                let kind_matters = self.attributes.of_source(&Source::PrincipalType).is_some();
                let replaced = seen.iter().any(|(kind, known)| {
                    (*kind == place || !kind_matters) && known.scope.is_empty() && known.pins == word.pins
                });
                if !replaced {
                    seen.push((place, word));
                    ids.push((place, word.text.clone()));
                }
            }
        }
        let entries = |pick: fn(&Want) -> Option<u32>| {
            let mut found: Vec<u32> = both.iter().filter_map(|want| pick(want)).collect();
            found.dedup();
            found
        };
        let role = entries(|want| if let Want::Role(entry) = want { Some(*entry) } else { None });
        let team = entries(|want| if let Want::Team(entry) = want { Some(*entry) } else { None });
        let mut spiffe = entries(|want| if let Want::Spiffe(entry) = want { Some(*entry) } else { None });
        spiffe.sort_unstable();
        let roles = memberships(&self.roles, &role, self.role_pool.as_deref());
        let teams = memberships(&self.teams, &team, self.team_pool.as_deref());
        let mut spiffe_ids: Vec<Option<String>> = Vec::new();
        let asked = self.attributes.of_source(&Source::PrincipalSpiffeId).is_some();
        if spiffe.is_empty() {
            spiffe_ids.push(None);
        }
        if !spiffe.is_empty() || asked {
            let words = self.spiffe.minimal(&spiffe);
            spiffe_ids.extend(words.iter().map(|place| Some(self.spiffe.text(*place))));
        }
        let mut found = Vec::new();
        for (kind, id) in &ids {
            for roles in &roles {
                for teams in &teams {
                    for spiffe_id in &spiffe_ids {
                        found.push(Base {
                            kind: *kind,
                            id: id.clone(),
                            roles: roles.clone(),
                            teams: teams.clone(),
                            spiffe_id: spiffe_id.clone(),
                            resource_type: String::new(),
                            resource_id: String::new(),
                            action: String::new(),
                        });
                    }
                }
            }
        }
        found
    }

    fn actions_with(&self, partner: Option<&Rule>) -> Vec<String> {
        let mut found = BTreeSet::new();
        for names in &self.actions {
            let wanted: Vec<Vec<u32>> = match partner {
                None => vec![Vec::new()],
                Some(rule) => rule
                    .actions
                    .iter()
                    .filter_map(|text| names.entry(text, None))
                    .map(|one| vec![one])
                    .collect(),
            };
            for required in wanted {
                found.extend(names.minimal(&required).iter().map(|place| names.text(*place)));
            }
        }
        found.into_iter().collect()
    }

    fn resources_with(&self, partner: Option<&Rule>) -> Vec<(String, String)> {
        let mut found = BTreeSet::new();
        for (place, own) in self.seed.resources.iter().enumerate() {
            let partners: Vec<Option<&ResourceMatch>> =
                partner.map_or_else(|| vec![None], |rule| rule.resources.iter().map(Some).collect());
            for other in partners {
                let other_kind = other.and_then(|other| other.kind.as_deref());
                let types: Vec<String> = match (own.kind.as_deref(), other_kind) {
                    (Some(left), Some(right)) if left != right => continue,
                    (Some(kind), _) | (None, Some(kind)) => vec![kind.to_owned()],
                    (None, None) => self.types(),
                };
                for kind in types {
                    let mut names = self.names_of(place, own, &kind, None);
                    let is_known = match other {
                        None => names.enough,
                        Some(ResourceMatch { id: Text::Exact(_), .. }) => true,
                        Some(_) => names.complete,
                    };
                    if let (false, Some(other)) = (is_known, other) {
                        // Too much to see at once: only what is under both.
                        names = self.names_of(place, own, &kind, Some(&other.id));
                    }
                    if !is_known && !names.enough {
                        self.gaps.borrow_mut().insert(PATTERNS);
                    }
                    let required: Vec<u32> = match other {
                        None => Vec::new(),
                        Some(other) => match names.entry(&other.id, None) {
                            Some(entry) => vec![entry],
                            None => continue,
                        },
                    };
                    for word in names.minimal(&required).iter() {
                        found.insert((kind.clone(), names.text(*word)));
                    }
                }
            }
        }
        found.into_iter().collect()
    }

    /// The types that no entry tells apart: one for all that nobody names, and those that conditions name.
    fn types(&self) -> Vec<String> {
        let mut types = vec![self.fresh_type.clone()];
        if let Some(compared) = self.attributes.of_source(&Source::ResourceType) {
            let (texts, patterns) = compared.words();
            types.extend(texts.iter().filter(|text| name_problem(text).is_none()).cloned());
            let literals: BTreeSet<String> = texts.iter().cloned().collect();
            types.extend(
                explore(patterns, &[], &literals, Shape::Name).words.into_iter().map(|(text, _)| text),
            );
            // A type that conditions name may be one that entries name as well.
            types.extend(
                self.rules
                    .iter()
                    .flat_map(|rule| &rule.resources)
                    .filter_map(|one| Some(one.kind.as_deref()?.to_owned())),
            );
        }
        types.sort();
        types.dedup();
        types
    }

    /// The ids under `own` for resources of one type, and under `other` as well if it is given.
    fn names_of(&self, place: usize, own: &ResourceMatch, kind: &str, other: Option<&Text>) -> Rc<Names> {
        let key = (place, kind.to_owned(), other.map(ToString::to_string));
        if let Some(known) = self.resources.borrow().get(&key) {
            return Rc::clone(known);
        }
        let pins =
            self.attributes.of_source(&Source::ResourceId).map_or((&[][..], &[][..]), |one| one.words());
        let lists = [None, Some(kind)].into_iter().filter_map(|kind| self.by_type.get(&kind));
        let found: Vec<&ResourceMatch> = match other {
            None => lists.flat_map(|list| list.values().flatten()).copied().collect(),
            Some(other) => {
                // Two patterns can only meet if what one begins with is the beginning of the other.
                let other_text = other.to_string();
                let begins = beginning(&other_text);
                let near = lists.flat_map(|list| {
                    let shorter = begins.char_indices().map(|(end, _)| end);
                    let shorter = shorter.filter_map(move |end| list.get(begins.get(..end)?));
                    let longer = list.range(begins..).take_while(|(text, _)| text.starts_with(begins));
                    shorter.chain(longer.map(|(_, entries)| entries)).flatten()
                });
                near.copied().filter(|entry| texts_meet(&entry.id, other, b'/', Shape::Path)).collect()
            }
        };
        let entries = found.iter().map(|entry| (&entry.id, None));
        let required: Vec<&Text> = std::iter::once(&own.id).chain(other).collect();
        let names = Rc::new(Names::build(entries, pins, Shape::Path, b'/', &required));
        self.resources.borrow_mut().insert(key, Rc::clone(&names));
        names
    }
}

/// What every name begins with that a pattern matches; of a literal all of it.
fn beginning(text: &str) -> &str {
    text.split('*').next().unwrap_or_default()
}

/// Roles or teams that match each of `required` by a name; where conditions look at them, with others from a pool.
fn memberships(names: &Names, required: &[u32], pool: Option<&[Vec<String>]>) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = vec![Vec::new()];
    for entry in required {
        let words = names.minimal(&[*entry]);
        found = found
            .iter()
            .flat_map(|so_far| {
                words.iter().map(|place| {
                    let mut with = so_far.clone();
                    with.push(names.text(*place));
                    with
                })
            })
            .collect();
    }
    if let Some(pool) = pool {
        found = found
            .iter()
            .flat_map(|own| pool.iter().map(|more| [own.clone(), more.clone()].concat()))
            .collect();
    }
    for list in &mut found {
        list.sort();
        list.dedup();
    }
    found.sort();
    found.dedup();
    found
}

fn selections(words: &[String]) -> Vec<Vec<String>> {
    (0_u32..1 << words.len())
        .map(|chosen| {
            let picked = words.iter().enumerate().filter(|(place, _)| chosen & (1 << place) != 0);
            picked.map(|(_, word)| word.clone()).collect()
        })
        .collect()
}
