//! A compiled rule and what it covers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::condition::{self, Condition, Truth};
use crate::context::{EvaluationContext, PrincipalKind};
use crate::glob::Glob;
use crate::value::Value;
use crate::yaml::Pos;

/// What a rule does when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Effect {
    /// Lets the request through, unless any rule denies it.
    Allow,
    /// Refuses the request, whatever any other rule says.
    Deny,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

#[derive(Debug)]
pub(crate) struct Rule {
    /// The document of the set that it is in; `None` for a policy parsed alone.
    pub(crate) document: Option<Arc<str>>,
    pub(crate) policy: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) line: u32,
    pub(crate) effect: Effect,
    pub(crate) principals: Vec<PrincipalMatch>,
    pub(crate) resources: Vec<ResourceMatch>,
    pub(crate) actions: Vec<Text>,
    /// Where each of the actions stands.
    pub(crate) actions_at: Box<[Pos]>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) obligations: BTreeMap<String, Value>,
    pub(crate) advice: BTreeMap<String, Value>,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) message: Option<Arc<str>>,
}

/// A literal or a pattern.
#[derive(Debug, Clone)]
pub(crate) enum Text {
    Exact(Box<str>),
    Glob(Glob),
}

impl Text {
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Glob(glob) => glob.matches(text),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Glob(glob) => f.write_str(glob.source()),
        }
    }
}

/// Names of roles in order, shared by the rules that need them.
pub(crate) type Holders = Arc<[Box<str>]>;

#[derive(Debug, Clone)]
pub(crate) enum PrincipalMatch {
    Any,
    Id(PrincipalKind, Text),
    /// A role; and the roles that include one that matches, in order, where a set's roles include others.
    Role(Text, Option<Holders>),
    Team(Text),
    Spiffe(Text),
    /// Its members are known once the set is; until then it matches nobody, and no rule with it is let out.
    Group {
        name: Box<str>,
        at: Pos,
        members: Arc<[PrincipalMatch]>,
    },
}

#[derive(Debug)]
pub(crate) struct ResourceMatch {
    /// `None` stands for every type.
    pub(crate) kind: Option<Box<str>>,
    pub(crate) id: Text,
    pub(crate) at: Pos,
}

impl Rule {
    /// Action and resource type match: the rule is about this kind of question.
    pub(crate) fn is_about(&self, context: &EvaluationContext) -> bool {
        self.actions.iter().any(|action| action.matches(context.action()))
            && self.resources.iter().any(|resource| resource.covers_type(context.resource().resource_type()))
    }

    pub(crate) fn covers_principal(&self, context: &EvaluationContext) -> bool {
        self.principals.iter().any(|principal| principal.matches(context))
    }

    pub(crate) fn covers_resource(&self, context: &EvaluationContext) -> bool {
        let resource = context.resource();
        self.resources
            .iter()
            .any(|entry| entry.covers_type(resource.resource_type()) && entry.id.matches(resource.id()))
    }

    /// Action, resource and principal all match; only the conditions are left to ask.
    pub(crate) fn is_in_scope(&self, context: &EvaluationContext) -> bool {
        self.is_about(context) && self.covers_resource(context) && self.covers_principal(context)
    }

    pub(crate) fn truth(&self, context: &EvaluationContext) -> Truth {
        condition::all(&self.conditions, context)
    }
}

impl ResourceMatch {
    fn covers_type(&self, kind: &str) -> bool {
        self.kind.as_deref().is_none_or(|own| own == kind)
    }
}

impl PrincipalMatch {
    fn matches(&self, context: &EvaluationContext) -> bool {
        let principal = context.principal();
        match self {
            Self::Any => true,
            Self::Id(kind, id) => principal.kind() == *kind && id.matches(principal.id()),
            Self::Role(role, holders) => principal.roles().iter().any(|own| {
                let held =
                    |holders: &Arc<[Box<str>]>| holders.binary_search_by(|name| (**name).cmp(own)).is_ok();
                role.matches(own) || holders.as_ref().is_some_and(held)
            }),
            Self::Team(team) => principal.teams().iter().any(|own| team.matches(own)),
            Self::Group { members, .. } => members.iter().any(|member| member.matches(context)),
            Self::Spiffe(pattern) => principal.spiffe_id().is_some_and(|id| pattern.matches(id)),
        }
    }
}

impl fmt::Display for PrincipalMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any principal"),
            Self::Id(kind, id) => write!(f, "{} `{id}`", kind.as_str()),
            Self::Role(role, _) => write!(f, "role `{role}`"),
            Self::Team(team) => write!(f, "team `{team}`"),
            Self::Group { name, .. } => write!(f, "group `{name}`"),
            Self::Spiffe(pattern) => write!(f, "SPIFFE ID `{pattern}`"),
        }
    }
}

impl fmt::Display for ResourceMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind.as_deref().unwrap_or("any type"), self.id)
    }
}
