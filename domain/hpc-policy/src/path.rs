//! Attribute paths: `principal.*`, `resource.*`, `action`, `action.*`, `context.*`.

use std::fmt;

use crate::identifier::attribute_problem;

/// A checked attribute path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AttributePath {
    text: Box<str>,
    source: Source,
}

/// Where the value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    PrincipalId,
    PrincipalType,
    PrincipalRoles,
    PrincipalTeams,
    PrincipalSpiffeId,
    ResourceId,
    ResourceType,
    Action,
    Now,
    Principal(Box<str>),
    Resource(Box<str>),
    ActionAttribute(Box<str>),
    Context(Box<str>),
}

impl AttributePath {
    /// `Err` says what is expected.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "`action` or a path below `principal.`, `resource.`, `action.` or `context.`";
        let source = if text == "action" {
            Source::Action
        } else {
            let (root, name) = text.split_once('.').ok_or(EXPECTED)?;
            if attribute_problem(name).is_some() {
                return Err(EXPECTED);
            }
            match (root, name) {
                ("principal", "id") => Source::PrincipalId,
                ("principal", "type") => Source::PrincipalType,
                ("principal", "roles") => Source::PrincipalRoles,
                ("principal", "teams") => Source::PrincipalTeams,
                ("principal", "spiffe_id") => Source::PrincipalSpiffeId,
                ("resource", "id") => Source::ResourceId,
                ("resource", "type") => Source::ResourceType,
                ("context", "now") => Source::Now,
                ("principal", _) => Source::Principal(name.into()),
                ("resource", _) => Source::Resource(name.into()),
                ("action", _) => Source::ActionAttribute(name.into()),
                ("context", _) => Source::Context(name.into()),
                _ => return Err(EXPECTED),
            }
        };
        Ok(Self { text: text.into(), source })
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
