//! Which attributes some rules look at, and which of them they compare with each other.

use std::collections::BTreeMap;

use crate::analysis::values::{Compared, Domain};
use crate::condition::{Condition, Leaf, Operand, Test};
use crate::context::EvaluationContext;
use crate::path::{AttributePath, Source};
use crate::value::Value;

/// Calls `visit` with every comparison of the conditions.
pub(crate) fn each_leaf<'a>(conditions: &'a [Condition], visit: &mut impl FnMut(&'a Leaf)) {
    for condition in conditions {
        match condition {
            Condition::Leaf(leaf) => visit(leaf),
            Condition::All(inner) | Condition::Any(inner) => each_leaf(inner, visit),
            Condition::Not(inner) => each_leaf(std::slice::from_ref(inner), visit),
        }
    }
}

/// Whether a caller sets the attribute on its own; the others follow from who asks what of which thing.
pub(crate) fn is_free(path: &AttributePath) -> bool {
    matches!(
        path.source(),
        Source::Now
            | Source::Principal(_)
            | Source::Resource(_)
            | Source::ActionAttribute(_)
            | Source::Context(_)
    )
}

fn is_list(path: &AttributePath) -> bool {
    matches!(path.source(), Source::PrincipalRoles | Source::PrincipalTeams)
}

/// Attributes in families: those that are compared with each other are in one.
#[derive(Debug, Default)]
pub(crate) struct Attributes<'a> {
    families: BTreeMap<&'a AttributePath, usize>,
    compared: Vec<Compared>,
    sizes: Vec<usize>,
    built_in: Vec<usize>,
}

impl<'a> Attributes<'a> {
    /// The attributes of some comparisons. With a `context`, built-in attributes have its values.
    pub(crate) fn of(leaves: &[&'a Leaf], context: Option<&EvaluationContext>) -> Self {
        let mut families: BTreeMap<&AttributePath, usize> = BTreeMap::new();
        for leaf in leaves {
            let next = families.len();
            let family = *families.entry(&leaf.path).or_insert(next);
            if let Some(other) = leaf.operand_path() {
                let next = families.len();
                let joined = *families.entry(other).or_insert(next);
                families.values_mut().filter(|known| **known == joined).for_each(|known| *known = family);
            }
        }
        // Numbers from zero, without holes.
        let mut numbers = BTreeMap::new();
        for family in families.values_mut() {
            let next = numbers.len();
            *family = *numbers.entry(*family).or_insert(next);
        }
        let mut attributes = Self {
            compared: numbers.iter().map(|_| Compared::default()).collect(),
            sizes: vec![0; numbers.len()],
            built_in: vec![0; numbers.len()],
            families,
        };
        for (path, family) in &attributes.families {
            let Some(compared) = attributes.compared.get_mut(*family) else { continue };
            if let Some(size) = attributes.sizes.get_mut(*family) {
                *size += 1;
            }
            if *path.source() == Source::Now {
                compared.time();
            }
            if is_free(path) {
                continue;
            }
            if let Some(count) = attributes.built_in.get_mut(*family) {
                *count += 1;
            }
            if let Some((view, _)) = context.and_then(|context| context.lookup(path)) {
                match view.to_value() {
                    Value::List(items) => items.iter().for_each(|item| compared.value(item)),
                    one => compared.value(&one),
                }
            }
        }
        for leaf in leaves {
            let family = attributes.families.get(&leaf.path);
            let Some(compared) = family.and_then(|family| attributes.compared.get_mut(*family)) else {
                continue;
            };
            match &leaf.test {
                Test::In { operand: Operand::Attribute(list), .. } if is_list(list) => compared.equate(),
                Test::Contains(Operand::Attribute(_)) if is_list(&leaf.path) => compared.equate(),
                Test::Contains(Operand::Literal(value)) if is_list(&leaf.path) => compared.value(value),
                _ => compared.add(leaf),
            }
        }
        attributes
    }

    /// What the built-in attribute from `source` is compared with.
    pub(crate) fn of_source(&self, source: &Source) -> Option<&Compared> {
        let (_, family) = self.families.iter().find(|(path, _)| path.source() == source)?;
        self.compared.get(*family)
    }

    /// The attributes that a caller sets, in order.
    pub(crate) fn free(&self) -> impl Iterator<Item = &'a AttributePath> + '_ {
        self.families.keys().copied().filter(|path| is_free(path))
    }

    /// The values of an attribute that can make a difference; `None` stands for a missing one.
    pub(crate) fn domain(&self, path: &AttributePath) -> Domain {
        let Some(family) = self.families.get(path) else { return Domain { values: Vec::new(), gap: None } };
        let size = self.sizes.get(*family).copied().unwrap_or(1);
        let whole = self.compared.get(*family).map(|compared| compared.domain(size));
        let mut domain = whole.unwrap_or(Domain { values: Vec::new(), gap: None });
        if *path.source() == Source::Now {
            domain.values.retain(|value| matches!(value, Value::Timestamp(_)));
        }
        domain
    }

    /// Why the names and values of requests may not be all, if they may not.
    pub(crate) fn gap(&self) -> Option<&'static str> {
        let several = self.built_in.iter().any(|count| *count > 1);
        let gap = self.compared.iter().find_map(Compared::gap);
        gap.or_else(|| several.then_some("two built-in attributes are compared with each other")).or_else(
            || {
                let lists = self.families.iter().filter(|(path, _)| is_list(path));
                let sizes = lists.filter_map(|(_, family)| self.sizes.get(*family));
                sizes
                    .into_iter()
                    .any(|size| *size > 2)
                    .then_some("several attributes are looked for in the roles or teams")
            },
        )
    }
}
