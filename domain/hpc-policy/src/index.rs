//! Which rules can be about a request, by resource type and action.
//!
//! Four sorted lists hold the candidates of any request: rules with this type and this exact action, this type
//! and an action pattern, and the same two for rules about every type. Ordered maps, because nothing in a
//! domain package may depend on a random hash seed.

use std::collections::BTreeMap;

use crate::rule::{Rule, Text};

#[derive(Debug, Default)]
pub(crate) struct Index {
    by_type: BTreeMap<Box<str>, Bucket>,
    every_type: Bucket,
}

#[derive(Debug, Default)]
struct Bucket {
    exact: BTreeMap<Box<str>, Vec<u32>>,
    patterns: Vec<u32>,
}

impl Index {
    pub(crate) fn build(rules: &[&Rule]) -> Self {
        let mut index = Self::default();
        for (position, rule) in (0_u32..).zip(rules) {
            for resource in &rule.resources {
                let bucket = match &resource.kind {
                    Some(kind) => index.by_type.entry(kind.clone()).or_default(),
                    None => &mut index.every_type,
                };
                for action in &rule.actions {
                    let list = match action {
                        Text::Exact(action) => bucket.exact.entry(action.clone()).or_default(),
                        Text::Glob(_) => &mut bucket.patterns,
                    };
                    // Positions only grow, so one look at the end keeps each list sorted and without repeats.
                    if list.last() != Some(&position) {
                        list.push(position);
                    }
                }
            }
        }
        index
    }

    /// Positions of candidate rules, ascending, each once. Candidates of pattern lists may still not match.
    pub(crate) fn candidates(&self, resource_type: &str, action: &str) -> Candidates<'_> {
        let typed = self.by_type.get(resource_type);
        Candidates {
            lists: [
                typed.and_then(|bucket| bucket.exact.get(action)).map_or(&[], Vec::as_slice),
                typed.map_or(&[], |bucket| bucket.patterns.as_slice()),
                self.every_type.exact.get(action).map_or(&[], Vec::as_slice),
                self.every_type.patterns.as_slice(),
            ],
        }
    }
}

/// Merges four sorted lists without allocating.
pub(crate) struct Candidates<'a> {
    lists: [&'a [u32]; 4],
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let smallest = self.lists.iter().filter_map(|list| list.first().copied()).min()?;
        for list in &mut self.lists {
            if let Some((&first, rest)) = list.split_first()
                && first == smallest
            {
                *list = rest;
            }
        }
        Some(smallest)
    }
}
