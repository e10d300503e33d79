//! The names of one kind that can matter: by what they match, without those that others can replace.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::analysis::words::{Pattern, Shape, explore, matches_of};
use crate::identifier::{name_problem, path_problem, spiffe_problem};
use crate::rule::{Holders, Text};

/// A name, the entries that it matches and the literals and patterns of conditions that it matches.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) scope: Vec<u32>,
    pub(crate) pins: Vec<u32>,
}

/// The names of one kind, by what they match.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) words: Vec<Word>,
    by_text: BTreeMap<String, usize>,
    entries: BTreeMap<EntryKey, u32>,
    /// The only word of an entry that is a literal.
    only: Vec<Option<usize>>,
    pub(crate) complete: bool,
    /// Whether a word that can replace all others is known, even if not all are.
    pub(crate) enough: bool,
    /// How many of the words, which come first, no rule names.
    pub(crate) unnamed: usize,
    cache: RefCell<BTreeMap<Vec<u32>, Rc<[usize]>>>,
}

/// A literal or pattern, and the names that stand for it as well.
type EntryKey = (bool, String, Vec<String>);

fn key(text: &Text, holders: Option<&Holders>) -> EntryKey {
    let holders =
        holders.map(|names| names.iter().map(|name| name.to_string()).collect()).unwrap_or_default();
    (matches!(text, Text::Glob(_)), text.to_string(), holders)
}

/// The entries that match whatever matches one of `required`.
fn entries_covering(entries: &BTreeMap<EntryKey, u32>, required: &[&Text]) -> BTreeSet<EntryKey> {
    let covers = |(is_glob, text, _): &EntryKey| {
        *is_glob && text == "**"
            || required.iter().any(|own| {
                let same = matches!(own, Text::Glob(_)) == *is_glob && own.to_string() == *text;
                same || matches!(own, Text::Exact(_))
            })
    };
    entries.keys().filter(|key| covers(key)).cloned().collect()
}

impl Names {
    pub(crate) fn build<'a>(
        entries: impl Iterator<Item = (&'a Text, Option<&'a Holders>)>,
        (pin_texts, pin_patterns): (&[String], &[Pattern]),
        shape: Shape,
        separator: u8,
        required: &[&Text],
    ) -> Self {
        let mut names = Self::default();
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut entry_of_pattern: Vec<Option<u32>> = Vec::new();
        let mut exact: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (text, holders) in entries {
            let next = u32::try_from(names.entries.len()).unwrap_or(u32::MAX);
            let entry = *names.entries.entry(key(text, holders)).or_insert(next);
            if entry != next {
                continue;
            }
            match text {
                Text::Exact(name) => exact.entry(name.to_string()).or_default().push(entry),
                Text::Glob(_) => {
                    patterns.push(Pattern::of(text, separator));
                    entry_of_pattern.push(Some(entry));
                }
            }
            for holder in holders.into_iter().flat_map(|holders| holders.iter()) {
                exact.entry(holder.to_string()).or_default().push(entry);
            }
        }
        let first_pin = patterns.len();
        patterns.extend_from_slice(pin_patterns);
        entry_of_pattern.resize(patterns.len(), None);
        let mut needed = Vec::new();
        for text in required {
            needed.push(u32::try_from(patterns.len()).unwrap_or(u32::MAX));
            patterns.push(Pattern::of(text, separator));
            entry_of_pattern.push(None);
        }
        let valid = |text: &str| match shape {
            Shape::Name | Shape::Any => name_problem(text).is_none(),
            Shape::Path => path_problem(text).is_none(),
            Shape::Spiffe => spiffe_problem(text).is_none(),
        };
        let mut literals: BTreeSet<String> = exact.keys().chain(pin_texts).cloned().collect();
        literals.retain(|text| valid(text) && required.iter().all(|required| required.matches(text)));
        let explored = explore(&patterns, &needed, &literals, shape);
        names.complete = explored.complete;
        names.unnamed = explored.words.len();
        let of_literals = literals.into_iter().map(|text| {
            let matched = matches_of(&patterns, &text);
            (text, matched)
        });
        for (text, matched) in explored.words.into_iter().chain(of_literals) {
            let mut scope: Vec<u32> = exact.get(&text).cloned().unwrap_or_default();
            let mut pins: Vec<u32> = Vec::new();
            for number in matched {
                match entry_of_pattern.get(number as usize) {
                    Some(Some(entry)) => scope.push(*entry),
                    _ if needed.contains(&number) => {}
                    _ => pins.push(number - u32::try_from(first_pin).unwrap_or(0)),
                }
            }
            let literal_pin = pin_texts.iter().position(|pin| *pin == text);
            // Counted from the other end, so that they are the same whatever patterns there are.
            pins.extend(
                literal_pin.and_then(|place| u32::try_from(place).ok()).map(|place| u32::MAX - place),
            );
            scope.sort_unstable();
            scope.dedup();
            names.by_text.insert(text.clone(), names.words.len());
            names.words.push(Word { text, scope, pins });
        }
        let unavoidable: BTreeSet<EntryKey> = entries_covering(&names.entries, required);
        let least = |word: &Word| {
            word.scope
                .iter()
                .all(|entry| names.entries.iter().any(|(key, own)| own == entry && unavoidable.contains(key)))
        };
        // A word that matches only what every word here matches can replace all of them.
        names.enough = names.complete
            || pin_texts.is_empty() && pin_patterns.is_empty() && names.words.iter().any(least);
        names.only = vec![None; names.entries.len()];
        for ((is_glob, text, holders), entry) in &names.entries {
            if !is_glob
                && holders.is_empty()
                && let Some(only) = names.only.get_mut(*entry as usize)
            {
                *only = names.by_text.get(text).copied();
            }
        }
        names
    }

    pub(crate) fn entry(&self, text: &Text, holders: Option<&Holders>) -> Option<u32> {
        self.entries.get(&key(text, holders)).copied()
    }

    /// Words that match all of `required`, none of which could be replaced by another.
    pub(crate) fn minimal(&self, required: &[u32]) -> Rc<[usize]> {
        if let Some(known) = self.cache.borrow().get(required) {
            return Rc::clone(known);
        }
        let only = required.iter().find_map(|entry| self.only.get(*entry as usize).copied().flatten());
        let fits = |place: &usize| {
            self.words
                .get(*place)
                .is_some_and(|word| required.iter().all(|entry| word.scope.binary_search(entry).is_ok()))
        };
        let mut candidates: Vec<usize> = match only {
            Some(place) => std::iter::once(place).filter(fits).collect(),
            None => (0..self.words.len()).filter(fits).collect(),
        };
        let size = |place: &usize| self.words.get(*place).map_or(0, |word| word.scope.len());
        candidates.sort_by_key(|place| (size(place), *place));
        let mut kept: Vec<usize> = Vec::new();
        for place in candidates {
            let Some(word) = self.words.get(place) else { continue };
            let replaced = kept
                .iter()
                .filter_map(|other| self.words.get(*other))
                .any(|other| other.pins == word.pins && is_subset(&other.scope, &word.scope));
            if !replaced {
                kept.push(place);
            }
        }
        let kept: Rc<[usize]> = kept.into();
        self.cache.borrow_mut().insert(required.to_vec(), Rc::clone(&kept));
        kept
    }

    pub(crate) fn text(&self, place: usize) -> String {
        self.words.get(place).map(|word| word.text.clone()).unwrap_or_default()
    }
}

fn is_subset(left: &[u32], right: &[u32]) -> bool {
    left.iter().all(|item| right.binary_search(item).is_ok())
}
