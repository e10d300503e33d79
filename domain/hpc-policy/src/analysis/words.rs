//! One word for each way in which words can match a list of patterns.
//!
//! The patterns are followed side by side, as one automaton whose states are sets of places in them. Each state is
//! visited once, so every combination of matches that any word has is found, with a short word that has it. Words
//! outside the patterns' own letters are written with one letter that none of them uses.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::limits::{ANALYSIS_STATES_MAX, IDENTIFIER_BYTES_MAX};
use crate::rule::Text;

/// What a word must look like to be one at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A name of printable characters.
    Name,
    /// Segments between `/`, none empty, `.` or `..`.
    Path,
    /// A path behind `spiffe://`.
    Spiffe,
    /// Any text.
    Any,
}

/// An anchored pattern: a glob, or a text that must begin, end or be inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    separator: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Byte(u8),
    Segment,
    Many,
}

impl Pattern {
    /// A glob as policies write it.
    pub(crate) fn glob(source: &str, separator: u8) -> Self {
        let mut tokens = Vec::with_capacity(source.len());
        let mut bytes = source.bytes().peekable();
        while let Some(byte) = bytes.next() {
            tokens.push(match byte {
                b'*' if bytes.next_if_eq(&b'*').is_some() => Token::Many,
                b'*' => Token::Segment,
                other => Token::Byte(other),
            });
        }
        Self { tokens, separator }
    }

    /// Any number of characters where `before` and `after` say so, around `text`.
    pub(crate) fn around(before: bool, text: &str, after: bool) -> Self {
        let many = |wanted: bool| wanted.then_some(Token::Many);
        let tokens = many(before).into_iter().chain(text.bytes().map(Token::Byte)).chain(many(after));
        Self { tokens: tokens.collect(), separator: b'/' }
    }

    /// A literal or a glob of a rule.
    pub(crate) fn of(text: &Text, separator: u8) -> Self {
        match text {
            Text::Exact(exact) => Self::around(false, exact, false),
            Text::Glob(glob) => Self::glob(glob.source(), separator),
        }
    }

    /// Whether some word of this shape matches both.
    pub(crate) fn meets(&self, other: &Self, shape: Shape) -> bool {
        if self.prefix().zip(other.prefix()).any(|(left, right)| left != right) {
            return false;
        }
        let both = [self.clone(), other.clone()];
        let found = explore(&both, &[0, 1], &BTreeSet::new(), shape);
        // What was not searched to the end may be there.
        !found.words.is_empty() || !found.complete
    }

    fn prefix(&self) -> impl Iterator<Item = u8> {
        self.tokens.iter().map_while(|token| match token {
            Token::Byte(byte) => Some(*byte),
            _ => None,
        })
    }

    /// Adds a place, and those after it that are reached without a character.
    fn enter(&self, number: u32, mut place: u16, into: &mut BTreeSet<(u32, u16)>) {
        loop {
            into.insert((number, place));
            match self.tokens.get(usize::from(place)) {
                Some(Token::Segment | Token::Many) => place += 1,
                _ => return,
            }
        }
    }

    /// The character that place asks for, if it asks for one.
    fn wanted(&self, place: u16) -> Option<char> {
        let mut bytes = Vec::new();
        for token in self.tokens.get(usize::from(place)..)? {
            let Token::Byte(byte) = token else { return None };
            bytes.push(*byte);
            if let Ok(text) = std::str::from_utf8(&bytes) {
                return text.chars().next();
            }
            if bytes.len() == 4 {
                return None;
            }
        }
        None
    }
}

/// What [`explore`] found.
#[derive(Debug, Default)]
pub(crate) struct Explored {
    /// Words, each with the patterns that it matches, ascending; one word for each combination.
    pub(crate) words: Vec<(String, Vec<u32>)>,
    /// The letter that no pattern and no literal uses.
    pub(crate) fresh: Option<char>,
    /// Whether there are no other combinations.
    pub(crate) complete: bool,
}

/// Most words of one search that are made readable.
const READABLE_MAX: usize = 64;
/// Letters that stand for "any other", the first that nobody uses.
const FRESH: &str = "xzqwvyjkbumgopfhdsnlctirea0123456789-_~+=@!^&,;$";

/// How well a word stands for the words that rules do not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A rule names it.
    Named,
    Plain,
    /// It has the letter that nobody uses, so that it can be varied.
    Fresh,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    places: Vec<(u32, u16)>,
    shape: u8,
    fresh: bool,
}

/// For each combination of matches that a word outside `literals` can have, all of `required` among them, one word.
pub(crate) fn explore(
    patterns: &[Pattern],
    required: &[u32],
    literals: &BTreeSet<String>,
    shape: Shape,
) -> Explored {
    let used = |letter: char| {
        let in_patterns = patterns.iter().flat_map(|pattern| &pattern.tokens);
        in_patterns.clone().any(|token| matches!(token, Token::Byte(byte) if char::from(*byte) == letter))
            || literals.iter().any(|literal| literal.contains(letter))
    };
    let fresh = FRESH.chars().find(|letter| !used(*letter));
    let mut found: BTreeMap<Vec<u32>, (String, Rank)> = BTreeMap::new();
    let mut complete = fresh.is_some();
    let mut places = BTreeSet::new();
    for (number, pattern) in (0_u32..).zip(patterns) {
        pattern.enter(number, 0, &mut places);
    }
    let mut start = State { places: places.into_iter().collect(), shape: 0, fresh: false };
    let mut text = String::new();
    if shape == Shape::Spiffe {
        for letter in "spiffe://".chars() {
            start.places = step(patterns, &start.places, letter);
            text.push(letter);
        }
    }
    let mut seen = BTreeSet::from([start.clone()]);
    let mut queue = VecDeque::from([(start, text)]);
    while let Some((state, text)) = queue.pop_front() {
        if accepts(shape, state.shape) {
            let matched = matched(patterns, &state.places);
            let rank = match (state.fresh, literals.contains(&text)) {
                (true, _) => Rank::Fresh,
                (false, false) => Rank::Plain,
                (false, true) => Rank::Named,
            };
            if required.iter().all(|number| matched.binary_search(number).is_ok())
                && found.get(&matched).is_none_or(|(_, known)| *known < rank)
            {
                found.insert(matched, (text.clone(), rank));
            }
        }
        if text.len() >= IDENTIFIER_BYTES_MAX - 8 {
            complete = false;
            continue;
        }
        let mut letters: Vec<char> = fresh.into_iter().collect();
        for (number, place) in &state.places {
            let pattern = patterns.get(*number as usize);
            letters.extend(pattern.and_then(|pattern| pattern.wanted(*place)));
        }
        letters.extend(patterns.iter().map(|pattern| char::from(pattern.separator)));
        let mut tried = BTreeSet::new();
        for letter in letters {
            if !tried.insert(letter) {
                continue;
            }
            let Some(next_shape) = advance(shape, state.shape, letter) else { continue };
            let places = step(patterns, &state.places, letter);
            // A required pattern that has no place left cannot match any more.
            if !required.iter().all(|number| places.iter().any(|(own, _)| own == number)) {
                continue;
            }
            let next = State {
                places,
                shape: next_shape,
                fresh: state.fresh || fresh.is_some_and(|one| one == letter),
            };
            if seen.contains(&next) {
                continue;
            }
            if seen.len() >= ANALYSIS_STATES_MAX {
                complete = false;
                continue;
            }
            seen.insert(next.clone());
            let mut text = text.clone();
            text.push(letter);
            queue.push_back((next, text));
        }
    }
    let mut words = Vec::with_capacity(found.len());
    let nicer = found.len() <= READABLE_MAX;
    for (matched, (text, rank)) in found {
        if rank == Rank::Named {
            // Only a word that rules name was met in this combination; are there others?
            match beside(patterns, literals, shape, &matched) {
                Ok(Some(text)) => words.push((text, matched)),
                Ok(None) => {}
                Err(Unsure) => complete = false,
            }
            continue;
        }
        let text = if nicer { readable(patterns, literals, shape, fresh, text, &matched) } else { text };
        words.push((text, matched));
    }
    words.sort_by(|left, right| (left.1.len(), &left.1).cmp(&(right.1.len(), &right.1)));
    Explored { words, fresh, complete }
}

/// The search was not complete.
struct Unsure;

/// A word with exactly these matches that is not among `literals`, if there is one.
fn beside(
    patterns: &[Pattern],
    literals: &BTreeSet<String>,
    shape: Shape,
    matched: &[u32],
) -> Result<Option<String>, Unsure> {
    let named = literals.iter().filter(|literal| matches_of(patterns, literal) == matched);
    let avoided: Vec<Pattern> = named.map(|literal| Pattern::around(false, literal, false)).collect();
    let all = [patterns, &avoided].concat();
    let found = explore(&all, matched, &BTreeSet::new(), shape);
    match found.words.into_iter().find(|(_, own)| own == matched) {
        Some((text, _)) => Ok(Some(text)),
        None if found.complete => Ok(None),
        None => Err(Unsure),
    }
}

/// Other words that match what `text` matches: its letter that nobody uses, repeated.
pub(crate) fn variants(text: &str, fresh: Option<char>, count: usize) -> Vec<String> {
    let Some(fresh) = fresh.filter(|letter| text.contains(*letter)) else { return Vec::new() };
    let grown = |times: usize| text.replacen(fresh, &fresh.to_string().repeat(times), 1);
    (2..count.saturating_add(2)).map(grown).collect()
}

/// The same word with `other` for the letter, where that matches the same.
fn readable(
    patterns: &[Pattern],
    literals: &BTreeSet<String>,
    shape: Shape,
    fresh: Option<char>,
    text: String,
    expected: &[u32],
) -> String {
    let Some(fresh) = fresh else { return text };
    if shape == Shape::Any || !text.contains(fresh) {
        return text;
    }
    let nicer = text.replace(fresh, "other");
    if literals.contains(&nicer) || matches_of(patterns, &nicer) != expected { text } else { nicer }
}

/// The patterns that `text` matches, ascending.
pub(crate) fn matches_of(patterns: &[Pattern], text: &str) -> Vec<u32> {
    let mut places = BTreeSet::new();
    for (number, pattern) in (0_u32..).zip(patterns) {
        pattern.enter(number, 0, &mut places);
    }
    let mut places: Vec<(u32, u16)> = places.into_iter().collect();
    for letter in text.chars() {
        places = step(patterns, &places, letter);
    }
    matched(patterns, &places)
}

fn matched(patterns: &[Pattern], places: &[(u32, u16)]) -> Vec<u32> {
    let end = |number: u32| patterns.get(number as usize).map_or(0, |pattern| pattern.tokens.len());
    places
        .iter()
        .filter(|(number, place)| usize::from(*place) == end(*number))
        .map(|(number, _)| *number)
        .collect()
}

fn step(patterns: &[Pattern], places: &[(u32, u16)], letter: char) -> Vec<(u32, u16)> {
    let mut buffer = [0_u8; 4];
    let mut places = places.to_vec();
    for &byte in letter.encode_utf8(&mut buffer).as_bytes() {
        let mut next = BTreeSet::new();
        for (number, place) in places {
            let Some(pattern) = patterns.get(number as usize) else { continue };
            match pattern.tokens.get(usize::from(place)) {
                Some(Token::Byte(wanted)) if *wanted == byte => pattern.enter(number, place + 1, &mut next),
                Some(Token::Many) => pattern.enter(number, place, &mut next),
                Some(Token::Segment) if byte != pattern.separator => pattern.enter(number, place, &mut next),
                _ => {}
            }
        }
        places = next.into_iter().collect();
    }
    places
}

// A path's shape: 0 at the beginning of a segment, 1 after `.`, 2 after `..`, 3 in a segment.
fn advance(shape: Shape, state: u8, letter: char) -> Option<u8> {
    if shape == Shape::Any {
        return Some(3);
    }
    if !letter.is_ascii_graphic() || letter == '%' || letter == '\\' {
        return None;
    }
    match (shape, state, letter) {
        (Shape::Name, ..) => Some(3),
        (_, 3, '/') => Some(0),
        (_, _, '/') => None,
        (_, 0, '.') => Some(1),
        (_, 1, '.') => Some(2),
        _ => Some(3),
    }
}

fn accepts(shape: Shape, state: u8) -> bool {
    shape == Shape::Any || state == 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glob::Glob;
    use crate::identifier::path_problem;
    use proptest::prelude::*;

    fn globs(sources: &[&str]) -> Vec<Pattern> {
        sources.iter().map(|source| Pattern::glob(source, b'/')).collect()
    }

    #[test]
    fn every_combination_has_a_word() {
        let patterns = globs(&["gpu/*", "gpu/h*", "**/h100"]);
        let found = explore(&patterns, &[0], &BTreeSet::from(["gpu/h100".to_owned()]), Shape::Path);
        assert!(found.complete);
        let combinations: Vec<&[u32]> = found.words.iter().map(|(_, matched)| matched.as_slice()).collect();
        assert_eq!(combinations, [&[0][..], &[0, 1]]);
        assert_eq!(found.words[0].0, "gpu/other");
    }

    #[test]
    fn patterns_meet_where_a_word_matches_both() {
        for (left, right, meets) in [
            ("gpu/*", "gpu/h100", true),
            ("gpu/*", "*/h100", true),
            ("gpu/*", "job/*", false),
            ("gpu/*", "gpu/*/a", false),
            ("**/a", "b/**", true),
            ("*", "a/b", false),
        ] {
            let (left, right) = (Pattern::glob(left, b'/'), Pattern::glob(right, b'/'));
            assert_eq!(left.meets(&right, Shape::Path), meets);
        }
    }

    #[test]
    fn too_many_states_are_admitted() {
        let sources: Vec<String> =
            (0..14).map(|n| format!("**{}**{}**", char::from(b'a' + n), char::from(b'b' + n))).collect();
        let patterns: Vec<Pattern> = sources.iter().map(|source| Pattern::glob(source, b'/')).collect();
        let found = explore(&patterns, &[], &BTreeSet::new(), Shape::Path);
        assert!(!found.complete && !found.words.is_empty());
    }

    proptest! {
        /// Whatever a random word matches, some word that was found matches exactly the same.
        #[test]
        fn no_combination_is_missed(
            sources in prop::collection::vec("[ab/*]{1,6}", 1..4),
            texts in prop::collection::vec("[abc/]{1,8}", 8),
        ) {
            let compiled: Vec<Glob> = sources.iter().filter_map(|source| Glob::compile(source, b'/').ok()).collect();
            let patterns: Vec<Pattern> = compiled.iter().map(|glob| Pattern::glob(glob.source(), b'/')).collect();
            let found = explore(&patterns, &[], &BTreeSet::new(), Shape::Path);
            for (text, matched) in &found.words {
                let direct: Vec<u32> = (0_u32..).zip(&compiled).filter(|(_, glob)| glob.matches(text)).map(|(number, _)| number).collect();
                prop_assert_eq!(&direct, matched);
                prop_assert!(path_problem(text).is_none());
            }
            for text in texts.iter().filter(|text| path_problem(text).is_none()) {
                let direct: Vec<u32> = (0_u32..).zip(&compiled).filter(|(_, glob)| glob.matches(text)).map(|(number, _)| number).collect();
                prop_assert!(!found.complete || found.words.iter().any(|(_, matched)| *matched == direct), "{text} {found:?}");
            }
        }
    }
}
