//! Groups of principals and roles that include roles: closed when a set is loaded, so that a decision never walks them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::condition::Condition;
use crate::decode::{Field, Fields, invalid};
use crate::document;
use crate::error::PolicyError;
use crate::identifier::name_problem;
use crate::limits::{GROUP_MEMBERS_MAX, GROUPS_MAX, ROLE_INCLUDES_MAX, SCOPE_ITEMS_MAX};
use crate::path::Source;
use crate::policy;
use crate::rule::{Holders, PrincipalMatch, Rule, Text};
use crate::yaml::Pos;

/// What one `kind: PolicyGroups` document says.
pub(crate) struct GroupsDocument {
    groups: Vec<(String, Pos, Vec<PrincipalMatch>)>,
    /// A role, where it stands, and the roles that it includes.
    roles: Vec<(String, Pos, Vec<String>)>,
}

/// The groups and roles of a set, with everything they include.
#[derive(Default)]
pub(crate) struct Groups {
    groups: BTreeMap<String, (Pos, Arc<str>, Vec<PrincipalMatch>)>,
    roles: BTreeMap<String, (Pos, Arc<str>, Vec<String>)>,
}

/// The fields below the head of a `PolicyGroups` document.
pub(crate) fn read(root: &mut Fields) -> Result<GroupsDocument, PolicyError> {
    document::read_name(root)?;
    let spec = root.require("spec", "add `spec:` with `groups:` or `roles:`")?;
    let mut spec = Fields::of(spec.node, "spec", &["groups", "roles"])?;
    let (mut groups, mut roles) = (Vec::new(), Vec::new());
    if let Some(list) = spec.take("groups") {
        for item in list.list(GROUPS_MAX, "the number of groups")? {
            let mut fields = Fields::of(item.node, "a group", &["name", "members"])?;
            let (name, pos) = named(&mut fields)?;
            let members = fields
                .require("members", "say who is in it, such as `- {type: user, value: alice}`")?
                .list(SCOPE_ITEMS_MAX, "the number of members")?
                .into_iter()
                .map(policy::principal)
                .collect::<Result<_, _>>()?;
            groups.push((name, pos, members));
        }
    }
    if let Some(list) = spec.take("roles") {
        for item in list.list(GROUPS_MAX, "the number of roles")? {
            let mut fields = Fields::of(item.node, "a role", &["name", "includes"])?;
            let (name, pos) = named(&mut fields)?;
            let includes = fields
                .require("includes", "list the roles whose holders' rights this one has too")?
                .list(ROLE_INCLUDES_MAX, "the number of roles that a role includes")?
                .iter()
                .map(|field| field.checked(name_problem))
                .collect::<Result<_, _>>()?;
            roles.push((name, pos, includes));
        }
    }
    Ok(GroupsDocument { groups, roles })
}

fn named(fields: &mut Fields) -> Result<(String, Pos), PolicyError> {
    let field: Field = fields.require("name", "give it a name; principals refer to it")?;
    Ok((field.checked(name_problem)?, field.pos()))
}

impl Groups {
    /// Adds one document's.
    pub(crate) fn add(&mut self, document: &Arc<str>, read: GroupsDocument) -> Result<(), PolicyError> {
        let twice = |pos: Pos, what, name| PolicyError::DuplicateName { at: pos.at(), what, name };
        let limit = |pos: Pos, what| PolicyError::Limit { at: pos.at(), what, max: GROUPS_MAX };
        for (name, pos, members) in read.groups {
            if self.groups.len() == GROUPS_MAX {
                return Err(limit(pos, "the number of groups"));
            }
            let before = self.groups.insert(name.clone(), (pos, Arc::clone(document), members));
            if before.is_some() {
                return Err(twice(pos, "group", name));
            }
        }
        for (name, pos, includes) in read.roles {
            if self.roles.len() == GROUPS_MAX {
                return Err(limit(pos, "the number of roles"));
            }
            if self.roles.insert(name.clone(), (pos, Arc::clone(document), includes)).is_some() {
                return Err(twice(pos, "role", name));
            }
        }
        Ok(())
    }

    /// Everything that each group and role includes.
    ///
    /// # Errors
    /// A group or role that includes itself, a group that is not defined, or one with too many members; the error names its
    /// document.
    pub(crate) fn close(&self) -> Result<Closed, PolicyError> {
        let mut closed = Closed::default();
        for name in self.roles.keys() {
            let mut reached = BTreeSet::new();
            self.role(name, &mut Vec::new(), &mut reached)?;
            for included in reached {
                closed.held_by.entry(included).or_default().insert(name.clone());
            }
        }
        for name in self.groups.keys() {
            let mut members = Vec::new();
            self.group(name, &mut Vec::new(), &mut BTreeSet::new(), &mut members)?;
            members.iter_mut().for_each(|member| closed.put_holders(member));
            closed.groups.insert(name.clone(), members.into());
        }
        Ok(closed)
    }

    fn group<'a>(
        &'a self,
        name: &'a str,
        path: &mut Vec<&'a str>,
        seen: &mut BTreeSet<&'a str>,
        members: &mut Vec<PrincipalMatch>,
    ) -> Result<(), PolicyError> {
        let Some((pos, document, own)) = self.groups.get(name) else { return Ok(()) };
        if path.contains(&name) {
            return Err(cycle("group", name, path, *pos).in_document(document));
        }
        if !seen.insert(name) {
            return Ok(());
        }
        path.push(name);
        for member in own {
            match member {
                PrincipalMatch::Group { name: inner, at, .. } => {
                    if !self.groups.contains_key(&**inner) {
                        return Err(unknown(inner, *at).in_document(document));
                    }
                    self.group(inner, path, seen, members)?;
                }
                other => members.push(other.clone()),
            }
            if members.len() > GROUP_MEMBERS_MAX {
                let what = "the number of members, those of its groups included,";
                let limit = PolicyError::Limit { at: pos.at(), what, max: GROUP_MEMBERS_MAX };
                return Err(limit.in_document(document));
            }
        }
        path.pop();
        Ok(())
    }

    fn role<'a>(
        &'a self,
        name: &'a str,
        path: &mut Vec<&'a str>,
        reached: &mut BTreeSet<String>,
    ) -> Result<(), PolicyError> {
        let Some((pos, document, includes)) = self.roles.get(name) else { return Ok(()) };
        if path.contains(&name) {
            return Err(cycle("role", name, path, *pos).in_document(document));
        }
        path.push(name);
        for included in includes {
            // A role that was reached before was walked before, cycles and all; one on the path is walked to find them.
            if reached.insert(included.clone()) || path.contains(&included.as_str()) {
                self.role(included, path, reached)?;
            }
        }
        path.pop();
        Ok(())
    }
}

/// Groups with all their members, and for each role the roles whose holders hold it too. Rules share what is in here: a
/// large group costs its size once, however many rules name it.
#[derive(Default)]
pub(crate) struct Closed {
    groups: BTreeMap<String, Arc<[PrincipalMatch]>>,
    held_by: BTreeMap<String, BTreeSet<String>>,
    /// The holders of each role or pattern that was asked for, by its text and whether it is a pattern.
    holders: BTreeMap<(bool, String), Option<Holders>>,
}

impl Closed {
    /// Puts members and holders into a rule's principals.
    ///
    /// # Errors
    /// A group that is not defined; a condition on `principal.roles` in a set whose roles include others.
    pub(crate) fn resolve(&mut self, rule: &mut Rule) -> Result<(), PolicyError> {
        for principal in &mut rule.principals {
            match principal {
                PrincipalMatch::Group { name, at, members } => {
                    *members = Arc::clone(self.groups.get(&**name).ok_or_else(|| unknown(name, *at))?);
                }
                other => self.put_holders(other),
            }
        }
        if !self.held_by.is_empty()
            && let Some(at) = rule.conditions.iter().find_map(asks_for_roles)
        {
            return Err(PolicyError::Invalid {
                at: at.at(),
                field: "attribute".to_owned(),
                found: "`principal.roles`, which does not hold the roles that a role includes".to_owned(),
                expected: "the role among the rule's `principals`, where inclusion counts".to_owned(),
            });
        }
        Ok(())
    }

    /// Gives a role the roles that include it.
    fn put_holders(&mut self, principal: &mut PrincipalMatch) {
        let PrincipalMatch::Role(text, holders) = principal else { return };
        if self.held_by.is_empty() {
            return;
        }
        let key = (matches!(text, Text::Glob(_)), text.to_string());
        let held_by = &self.held_by;
        let found = self.holders.entry(key).or_insert_with(|| {
            let names: BTreeSet<&String> =
                held_by.iter().filter(|(role, _)| text.matches(role)).flat_map(|(_, by)| by).collect();
            (!names.is_empty()).then(|| names.into_iter().map(|name| name.as_str().into()).collect())
        });
        holders.clone_from(found);
    }
}

fn asks_for_roles(condition: &Condition) -> Option<Pos> {
    match condition {
        Condition::All(inner) | Condition::Any(inner) => inner.iter().find_map(asks_for_roles),
        Condition::Not(inner) => asks_for_roles(inner),
        Condition::Leaf(leaf) => {
            let mut paths = std::iter::once(&leaf.path).chain(leaf.operand_path());
            paths.any(|path| *path.source() == Source::PrincipalRoles).then_some(leaf.at.attribute)
        }
    }
}

/// A group that nothing defines.
pub(crate) fn unknown(name: &str, at: Pos) -> PolicyError {
    let expected = "a group that a `kind: PolicyGroups` document of the same set defines".to_owned();
    invalid(at, "value", format!("the group `{name}`, which nothing defines"), expected)
}

fn cycle(what: &str, name: &str, path: &[&str], at: Pos) -> PolicyError {
    let from = path.iter().position(|step| *step == name).unwrap_or(0);
    let steps: Vec<&str> = path.iter().skip(from).copied().take(8).chain([name]).collect();
    let found = format!("a {what} that includes itself: {}", steps.join(" -> "));
    invalid(at, "name", found, format!("a {what} that does not lead back to itself"))
}
