//! Whether entries of rules exclude, or surely include, each other.

use crate::analysis::sides::texts_meet;
use crate::analysis::words::Shape;
use crate::rule::{PrincipalMatch, ResourceMatch, Text};

/// Whether nobody can be meant by both.
pub(crate) fn excludes(left: &PrincipalMatch, right: &PrincipalMatch) -> bool {
    match (left, right) {
        (PrincipalMatch::Group { members, .. }, other) | (other, PrincipalMatch::Group { members, .. }) => {
            members.iter().all(|member| excludes(member, other))
        }
        (PrincipalMatch::Id(left, own), PrincipalMatch::Id(right, other)) => {
            left != right || !texts_meet(own, other, b'/', Shape::Name)
        }
        (PrincipalMatch::Spiffe(own), PrincipalMatch::Spiffe(other)) => {
            !texts_meet(own, other, b'/', Shape::Spiffe)
        }
        // Roles and teams can be held together, by anybody.
        _ => false,
    }
}

/// Whether everybody meant by `inner` is surely meant by `outer` too. False where it is not known.
pub(crate) fn covers(outer: &PrincipalMatch, inner: &PrincipalMatch) -> bool {
    match (outer, inner) {
        (PrincipalMatch::Any, _) => true,
        (_, PrincipalMatch::Group { members, .. }) => members.iter().all(|member| covers(outer, member)),
        (PrincipalMatch::Group { members, .. }, _) => members.iter().any(|member| covers(member, inner)),
        (PrincipalMatch::Id(left, own), PrincipalMatch::Id(right, other)) => {
            left == right && text_covers(own, other)
        }
        (PrincipalMatch::Role(own, held), PrincipalMatch::Role(other, holders)) => {
            let covered = |name: &str| {
                own.matches(name)
                    || held.as_ref().is_some_and(|held| held.iter().any(|known| **known == *name))
            };
            let by_name = match other {
                Text::Exact(name) => covered(name),
                Text::Glob(_) => text_covers(own, other),
            };
            by_name && holders.as_ref().is_none_or(|holders| holders.iter().all(|name| covered(name)))
        }
        (PrincipalMatch::Team(own), PrincipalMatch::Team(other))
        | (PrincipalMatch::Spiffe(own), PrincipalMatch::Spiffe(other)) => text_covers(own, other),
        _ => false,
    }
}

/// Whether some resource is meant by both.
pub(crate) fn resources_meet(left: &ResourceMatch, right: &ResourceMatch) -> bool {
    let kinds = left.kind.is_none() || right.kind.is_none() || left.kind == right.kind;
    kinds && texts_meet(&left.id, &right.id, b'/', Shape::Path)
}

/// Whether every resource meant by `inner` is surely meant by `outer` too.
pub(crate) fn resource_covers(outer: &ResourceMatch, inner: &ResourceMatch) -> bool {
    (outer.kind.is_none() || outer.kind == inner.kind) && text_covers(&outer.id, &inner.id)
}

/// Whether every name that matches `inner` surely matches `outer` too.
pub(crate) fn text_covers(outer: &Text, inner: &Text) -> bool {
    match (outer, inner) {
        (outer, Text::Exact(name)) => outer.matches(name),
        (Text::Glob(outer), Text::Glob(inner)) => outer.source() == "**" || outer == inner,
        (Text::Exact(_), Text::Glob(_)) => false,
    }
}
