//! Sets of texts: names and patterns, and what is left when several must match and others must not.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::budget::Budget;
use super::pattern::{Form, Found, Pattern, search};
use crate::rule::Text;

/// What a search costs, beside the names it looks at and what [`search`] takes.
const FIND_STEPS: u64 = 5;

/// Texts of which none may be met count in a search up to so many; further ones are left out, which claims less.
const EXCLUDED_MAX: usize = 32;

/// The texts that are one of the names or match one of the patterns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words<'a> {
    names: BTreeSet<&'a str>,
    patterns: Vec<Pattern>,
}

impl<'a> Words<'a> {
    pub(crate) fn one(name: &'a str) -> Self {
        Self { names: BTreeSet::from([name]), patterns: Vec::new() }
    }

    pub(crate) fn pattern(pattern: Pattern) -> Self {
        Self { names: BTreeSet::new(), patterns: vec![pattern] }
    }

    pub(crate) fn of<'t>(texts: impl IntoIterator<Item = &'t Text>) -> Words<'t> {
        let mut words = Words::default();
        texts.into_iter().for_each(|text| words.add(text));
        words
    }

    pub(crate) fn add(&mut self, text: &'a Text) {
        match text {
            Text::Exact(name) => {
                self.names.insert(name);
            }
            Text::Glob(glob) => {
                let pattern = Pattern::glob(glob);
                if !self.patterns.contains(&pattern) {
                    self.patterns.push(pattern);
                }
            }
        }
    }

    pub(crate) fn add_name(&mut self, name: &'a str) {
        self.names.insert(name);
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.names.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len() + self.patterns.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty()
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        self.names.contains(text) || self.patterns.iter().any(|pattern| pattern.matches(text))
    }

    fn is_everything(&self) -> bool {
        self.patterns.iter().any(Pattern::is_everything)
    }

    /// Every text in `self` is in `other`, as far as a look shows.
    fn is_plainly_within(&self, other: &Self) -> bool {
        self.names.iter().all(|name| other.contains(name))
            && self.patterns.iter().all(|pattern| other.patterns.contains(pattern))
    }
}

/// Texts of a form that are in each of some sets and in none of others.
#[derive(Debug, Clone)]
pub(crate) struct Language<'a> {
    form: Form,
    within: Vec<Rc<Words<'a>>>,
    without: Vec<Rc<Words<'a>>>,
}

impl<'a> Language<'a> {
    pub(crate) fn all(form: Form) -> Self {
        Self { form, within: Vec::new(), without: Vec::new() }
    }

    /// Keeps what is in `words`, or what is not.
    pub(crate) fn keep(&mut self, words: &Rc<Words<'a>>, inside: bool) {
        if inside { &mut self.within } else { &mut self.without }.push(Rc::clone(words));
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        self.form.admits(text)
            && self.within.iter().all(|words| words.contains(text))
            && !self.without.iter().any(|words| words.contains(text))
    }

    /// The texts, if they are known to be few: those of the shortest list of names that all must be in.
    pub(crate) fn listed(&self) -> Option<Vec<&'a str>> {
        let lists = self.within.iter().filter(|words| words.patterns.is_empty());
        let shortest = lists.min_by_key(|words| words.names.len())?;
        Some(shortest.names().filter(|name| self.contains(name)).collect())
    }

    /// Some text for which `also` holds. `also` is asked only where single texts are at hand.
    pub(crate) fn find(&self, also: impl Fn(&str) -> bool, budget: &Budget) -> Found {
        if self.within.iter().any(|words| self.without.iter().any(|out| words.is_plainly_within(out))) {
            return Found::Nothing;
        }
        budget.take(FIND_STEPS + self.within.iter().map(|words| words.names.len() as u64).sum::<u64>());
        if let Some(listed) = self.listed() {
            let mut fitting = listed.into_iter().filter(|text| also(text));
            return fitting.next().map_or(Found::Nothing, |text| Found::Maybe(Some(text.to_owned())));
        }
        // A text that every set must hold is a name of one of them, or matches a pattern of each.
        for words in &self.within {
            if let Some(name) = words.names().find(|name| self.contains(name) && also(name)) {
                return Found::Maybe(Some(name.to_owned()));
            }
        }
        let all_of: Vec<&[Pattern]> = self
            .within
            .iter()
            .filter(|words| !words.is_everything())
            .map(|words| words.patterns.as_slice())
            .collect();
        let excluded: Vec<Pattern> = self
            .without
            .iter()
            .flat_map(|words| words.names())
            .take(EXCLUDED_MAX)
            .map(Pattern::literal)
            .collect();
        let none_of: Vec<&Pattern> =
            self.without.iter().flat_map(|words| &words.patterns).chain(&excluded).collect();
        match search(self.form, &all_of, &none_of, budget) {
            Found::Maybe(Some(text)) if !self.contains(&text) || !also(&text) => Found::Maybe(None),
            found => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glob::Glob;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_not_found_is_not_there(
            sets in prop::collection::vec((prop::collection::vec("[ab/*]{1,3}", 1..4), any::<bool>()), 1..4),
            text in "[ab/]{0,4}",
        ) {
            let globs: Vec<(Vec<Glob>, bool)> = sets
                .iter()
                .map(|(sources, inside)| {
                    (sources.iter().filter_map(|source| Glob::compile(source, b'/').ok()).collect(), *inside)
                })
                .collect();
            let mut language = Language::all(Form::Free);
            for (globs, inside) in &globs {
                let mut words = Words::default();
                for glob in globs {
                    match glob.source().contains('*') {
                        true => words.patterns.push(Pattern::glob(glob)),
                        false => words.add_name(glob.source()),
                    }
                }
                language.keep(&Rc::new(words), *inside);
            }
            let holds = globs.iter().all(|(globs, inside)| globs.iter().any(|glob| glob.matches(&text)) == *inside);
            prop_assert_eq!(language.contains(&text), holds);
            match language.find(|_| true, &Budget::new(u64::MAX)) {
                Found::Nothing => prop_assert!(!holds, "{:?} {}", sets, text),
                Found::Maybe(Some(found)) => prop_assert!(language.contains(&found)),
                Found::Maybe(None) => {}
            }
        }
    }
}
