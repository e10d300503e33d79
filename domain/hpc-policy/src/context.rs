//! The question: who wants to do what to which thing, and what is known about it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::error::PolicyError;
use crate::identifier::{attribute_problem, name_problem, path_problem, spiffe_problem};
use crate::limits::{ATTRIBUTES_MAX, MEMBERSHIPS_MAX, REQUEST_BYTES_MAX};
use crate::path::{AttributePath, Source};
use crate::value::{Attribute, Value, View};

pub(crate) type Attributes = BTreeMap<String, Attribute>;

/// What kind of actor a [`Principal`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program run by the operator.
    Service,
    /// A program acting on somebody's behalf, such as an AI agent.
    Agent,
}

impl PrincipalKind {
    /// The word used in policies: `user`, `service` or `agent`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Agent => "agent",
        }
    }
}

/// Who asks. The caller has authenticated them; roles and teams are complete, inheritance included.
///
/// ```
/// use hpc_policy::Principal;
/// let alice = Principal::user("alice").with_role("gpu-user").with_team("ml").with_attribute("cost_centre", "c-17");
/// assert_eq!(alice.id(), "alice");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    kind: PrincipalKind,
    id: String,
    roles: Vec<String>,
    teams: Vec<String>,
    spiffe_id: Option<String>,
    attributes: Attributes,
}

impl Principal {
    /// A person.
    #[must_use]
    pub fn user(id: impl Into<String>) -> Self {
        Self::new(PrincipalKind::User, id)
    }

    /// A program run by the operator.
    #[must_use]
    pub fn service(id: impl Into<String>) -> Self {
        Self::new(PrincipalKind::Service, id)
    }

    /// A program acting on somebody's behalf.
    #[must_use]
    pub fn agent(id: impl Into<String>) -> Self {
        Self::new(PrincipalKind::Agent, id)
    }

    /// A principal of the given kind.
    #[must_use]
    pub fn new(kind: PrincipalKind, id: impl Into<String>) -> Self {
        Self {
            kind,
            id: id.into(),
            roles: Vec::new(),
            teams: Vec::new(),
            spiffe_id: None,
            attributes: Attributes::new(),
        }
    }

    /// Adds a role.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Adds a team.
    #[must_use]
    pub fn with_team(mut self, team: impl Into<String>) -> Self {
        self.teams.push(team.into());
        self
    }

    /// Replaces all roles.
    #[must_use]
    pub fn with_roles(mut self, roles: impl IntoIterator<Item = String>) -> Self {
        self.roles = roles.into_iter().collect();
        self
    }

    /// Replaces all teams.
    #[must_use]
    pub fn with_teams(mut self, teams: impl IntoIterator<Item = String>) -> Self {
        self.teams = teams.into_iter().collect();
        self
    }

    /// Sets the SPIFFE ID, such as `spiffe://example.org/agent/trainer`.
    #[must_use]
    pub fn with_spiffe_id(mut self, spiffe_id: impl Into<String>) -> Self {
        self.spiffe_id = Some(spiffe_id.into());
        self
    }

    /// Sets `principal.<name>`.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        set(&mut self.attributes, "principal.", name.into(), value.into(), false);
        self
    }

    /// Sets `principal.<name>`, usable in conditions but never shown in an explanation.
    #[must_use]
    pub fn with_secret_attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        set(&mut self.attributes, "principal.", name.into(), value.into(), true);
        self
    }

    /// The id, unique within its kind.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same under another kind and id.
    pub(crate) fn renamed(mut self, kind: PrincipalKind, id: &str) -> Self {
        (self.kind, self.id) = (kind, id.to_owned());
        self
    }

    /// The same without a SPIFFE ID.
    pub(crate) fn without_spiffe_id(mut self) -> Self {
        self.spiffe_id = None;
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// The roles, in the order they were added.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The teams, in the order they were added.
    #[must_use]
    pub fn teams(&self) -> &[String] {
        &self.teams
    }

    /// `principal.<name>`, if it is set and no secret.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.get(name).filter(|attribute| !attribute.secret).map(|attribute| &attribute.value)
    }

    /// The SPIFFE ID, if there is one.
    #[must_use]
    pub fn spiffe_id(&self) -> Option<&str> {
        self.spiffe_id.as_deref()
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.id)
    }
}

/// The thing asked about: a type and an id whose segments are separated by `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    kind: String,
    id: String,
    attributes: Attributes,
}

impl Resource {
    /// A resource, such as `Resource::new("job", "jobs/train-1")`.
    #[must_use]
    pub fn new(resource_type: impl Into<String>, id: impl Into<String>) -> Self {
        Self { kind: resource_type.into(), id: id.into(), attributes: Attributes::new() }
    }

    /// Sets `resource.<name>`.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        set(&mut self.attributes, "resource.", name.into(), value.into(), false);
        self
    }

    /// Sets `resource.<name>`, usable in conditions but never shown in an explanation.
    #[must_use]
    pub fn with_secret_attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        set(&mut self.attributes, "resource.", name.into(), value.into(), true);
        self
    }

    /// The same with the attributes of `other`, which stand before its own.
    pub(crate) fn with_attributes_of(mut self, other: &Self) -> Self {
        self.attributes.extend(other.attributes.clone());
        self
    }

    /// The type, such as `gpu`.
    #[must_use]
    pub fn resource_type(&self) -> &str {
        &self.kind
    }

    /// The id, such as `gpu/h100`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// One question to a policy.
///
/// Attributes are a snapshot: two evaluations of one context give one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationContext {
    principal: Principal,
    resource: Resource,
    action: String,
    action_attributes: Attributes,
    attributes: Attributes,
    now: Option<Timestamp>,
}

impl EvaluationContext {
    /// May `principal` do `action` to `resource`?
    #[must_use]
    pub fn new(principal: Principal, resource: Resource, action: impl Into<String>) -> Self {
        Self {
            principal,
            resource,
            action: action.into(),
            action_attributes: Attributes::new(),
            attributes: Attributes::new(),
            now: None,
        }
    }

    /// Sets `context.<name>`; the name may be given with or without `context.`.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        set(&mut self.attributes, "context.", name.into(), value.into(), false);
        self
    }

    /// Sets `context.<name>`, usable in conditions but never shown in an explanation.
    #[must_use]
    pub fn with_secret_attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        set(&mut self.attributes, "context.", name.into(), value.into(), true);
        self
    }

    /// Sets `action.<name>`, such as `soft` for a deletion.
    #[must_use]
    pub fn with_action_attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        set(&mut self.action_attributes, "action.", name.into(), value.into(), false);
        self
    }

    /// Sets `context.now`. Without it, conditions on the time meet a missing attribute.
    #[must_use]
    pub fn with_now(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// Who asks.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The thing asked about.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// What they want to do.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// `context.now`, if it was set.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// The attributes by the root of their paths, in a fixed order.
    pub(crate) fn attribute_maps(&self) -> [(&'static str, &Attributes); 4] {
        [
            ("principal", &self.principal.attributes),
            ("resource", &self.resource.attributes),
            ("action", &self.action_attributes),
            ("context", &self.attributes),
        ]
    }

    /// The same question without its secret attributes.
    pub(crate) fn without_secrets(&self) -> Self {
        let mut open = self.clone();
        for map in [
            &mut open.principal.attributes,
            &mut open.resource.attributes,
            &mut open.action_attributes,
            &mut open.attributes,
        ] {
            map.retain(|_, attribute| !attribute.secret);
        }
        open
    }

    /// Whether this can be judged at all: names have one reading, values have one type, limits hold.
    ///
    /// # Errors
    /// Only [`PolicyError::InvalidRequest`].
    pub fn check(&self) -> Result<(), PolicyError> {
        let principal = &self.principal;
        field("principal.id", name_problem(&principal.id))?;
        if principal.roles.len() > MEMBERSHIPS_MAX || principal.teams.len() > MEMBERSHIPS_MAX {
            return Err(invalid("principal", "has more than 256 roles or teams; send fewer"));
        }
        for role in &principal.roles {
            field("principal.roles", name_problem(role))?;
        }
        for team in &principal.teams {
            field("principal.teams", name_problem(team))?;
        }
        if let Some(spiffe_id) = &principal.spiffe_id {
            field("principal.spiffe_id", spiffe_problem(spiffe_id))?;
        }
        field("resource.type", name_problem(&self.resource.kind))?;
        field("resource.id", path_problem(&self.resource.id))?;
        field("action", name_problem(&self.action))?;
        attributes("principal", &principal.attributes, &["id", "type", "roles", "teams", "spiffe_id"])?;
        attributes("resource", &self.resource.attributes, &["id", "type"])?;
        attributes("action", &self.action_attributes, &[])?;
        attributes("context", &self.attributes, &["now"])?;
        let maps =
            [&principal.attributes, &self.resource.attributes, &self.action_attributes, &self.attributes];
        let bytes: usize =
            maps.iter().flat_map(|map| map.values()).map(|attribute| attribute.value.bytes()).sum();
        let problem = "has more than 256 KiB of attribute values; send less";
        field("the request", (bytes > REQUEST_BYTES_MAX).then_some(problem))
    }

    /// The value at `path` and whether it is secret.
    pub(crate) fn lookup(&self, path: &AttributePath) -> Option<(View<'_>, bool)> {
        self.lookup_source(path.source())
    }

    pub(crate) fn lookup_source(&self, source: &Source) -> Option<(View<'_>, bool)> {
        let principal = &self.principal;
        let attribute = match source {
            Source::PrincipalId => return Some((View::Str(&principal.id), false)),
            Source::PrincipalType => return Some((View::Str(principal.kind.as_str()), false)),
            Source::PrincipalRoles => return Some((View::Strs(&principal.roles), false)),
            Source::PrincipalTeams => return Some((View::Strs(&principal.teams), false)),
            Source::PrincipalSpiffeId => {
                return principal.spiffe_id.as_deref().map(|id| (View::Str(id), false));
            }
            Source::ResourceId => return Some((View::Str(&self.resource.id), false)),
            Source::ResourceType => return Some((View::Str(&self.resource.kind), false)),
            Source::Action => return Some((View::Str(&self.action), false)),
            Source::Now => return self.now.map(|now| (View::Time(now), false)),
            Source::Principal(name) => principal.attributes.get(&**name),
            Source::Resource(name) => self.resource.attributes.get(&**name),
            Source::ActionAttribute(name) => self.action_attributes.get(&**name),
            Source::Context(name) => self.attributes.get(&**name),
        };
        attribute.map(|attribute| (attribute.value.view(), attribute.secret))
    }

    /// Sets or, with `None`, takes away what is at `path`, the time included. Other built-in attributes stay.
    pub(crate) fn put(&mut self, path: &AttributePath, value: Option<Value>) {
        match (path.source(), value) {
            (Source::Now, Some(Value::Timestamp(now))) => self.now = Some(now),
            (Source::Now, _) => self.now = None,
            (_, Some(value)) => {
                self.replace(path, value);
            }
            (source, None) => {
                let (map, name) = match source {
                    Source::Principal(name) => (&mut self.principal.attributes, name),
                    Source::Resource(name) => (&mut self.resource.attributes, name),
                    Source::ActionAttribute(name) => (&mut self.action_attributes, name),
                    Source::Context(name) => (&mut self.attributes, name),
                    _ => return,
                };
                map.remove(&**name);
            }
        }
    }

    /// The same question asked by somebody else.
    pub(crate) fn asked_by(mut self, principal: Principal) -> Self {
        self.principal = principal;
        self
    }

    /// Sets the attribute at `path`; false if it is built in and so belongs to the question itself.
    pub(crate) fn replace(&mut self, path: &AttributePath, value: Value) -> bool {
        self.replace_source(path.source(), value)
    }

    pub(crate) fn replace_source(&mut self, source: &Source, value: Value) -> bool {
        let (map, name) = match source {
            Source::Principal(name) => (&mut self.principal.attributes, name),
            Source::Resource(name) => (&mut self.resource.attributes, name),
            Source::ActionAttribute(name) => (&mut self.action_attributes, name),
            Source::Context(name) => (&mut self.attributes, name),
            _ => return false,
        };
        map.insert(name.to_string(), Attribute { value, secret: false });
        true
    }
}

fn set(attributes: &mut Attributes, root: &str, name: String, value: Value, secret: bool) {
    let name = match name.strip_prefix(root) {
        Some(rest) => rest.to_owned(),
        None => name,
    };
    attributes.insert(name, Attribute { value, secret });
}

fn attributes(root: &str, attributes: &Attributes, built_in: &[&str]) -> Result<(), PolicyError> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(invalid(root, "has more than 256 attributes; send fewer"));
    }
    for (name, attribute) in attributes {
        let problem = attribute_problem(name).or_else(|| attribute.value.problem()).or_else(|| {
            built_in.contains(&name.as_str()).then_some("is built in; use its own setter, or another name")
        });
        if let Some(problem) = problem {
            // The name may be long or odd: it is caller's text, shown escaped and cut.
            let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(invalid(&format!("{root}.{shown}"), problem));
        }
    }
    Ok(())
}

fn field(name: &str, problem: Option<&'static str>) -> Result<(), PolicyError> {
    problem.map_or(Ok(()), |problem| Err(invalid(name, problem)))
}

fn invalid(field: &str, problem: &str) -> PolicyError {
    PolicyError::InvalidRequest { field: field.to_owned(), problem: problem.to_owned() }
}
