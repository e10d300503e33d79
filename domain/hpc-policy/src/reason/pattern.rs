//! Patterns as small automata, and many of them walked side by side.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::budget::Budget;
use crate::glob::Glob;
use crate::limits::REASON_STATES_MAX;

/// A pattern is not reasoned about if it has more tokens.
const TOKENS_MAX: usize = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Byte(u8),
    /// Any bytes but this one.
    Without(u8),
    Any,
}

/// Bytes, gaps within a segment, and gaps across.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Rc<[Token]>);

impl Pattern {
    pub(crate) fn glob(glob: &Glob) -> Self {
        let mut tokens = Vec::new();
        let mut bytes = glob.source().bytes().peekable();
        while let Some(byte) = bytes.next() {
            tokens.push(match byte {
                b'*' if bytes.next_if_eq(&b'*').is_some() => Token::Any,
                b'*' => Token::Without(glob.separator()),
                other => Token::Byte(other),
            });
        }
        Self(tokens.into())
    }

    pub(crate) fn literal(text: &str) -> Self {
        Self::around(&[], text, &[])
    }

    pub(crate) fn prefix(text: &str) -> Self {
        Self::around(&[], text, &[Token::Any])
    }

    pub(crate) fn suffix(text: &str) -> Self {
        Self::around(&[Token::Any], text, &[])
    }

    pub(crate) fn part(text: &str) -> Self {
        Self::around(&[Token::Any], text, &[Token::Any])
    }

    fn around(before: &[Token], text: &str, after: &[Token]) -> Self {
        let bytes = text.bytes().map(Token::Byte);
        Self(before.iter().copied().chain(bytes).chain(after.iter().copied()).collect())
    }

    pub(crate) fn is_everything(&self) -> bool {
        *self.0 == [Token::Any]
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut states = vec![0_u64; self.words()];
        self.enter(&mut states, 0);
        for byte in text.bytes() {
            states = self.step(&states, byte);
        }
        self.accepts(&states)
    }

    fn words(&self) -> usize {
        self.0.len() / 64 + 1
    }

    /// Marks `state`, and what follows it when it may stand for nothing.
    fn enter(&self, states: &mut [u64], mut state: usize) {
        loop {
            if let Some(word) = states.get_mut(state / 64) {
                *word |= 1 << (state % 64);
            }
            match self.0.get(state) {
                Some(Token::Without(_) | Token::Any) => state += 1,
                _ => return,
            }
        }
    }

    fn step(&self, states: &[u64], byte: u8) -> Vec<u64> {
        let mut next = vec![0_u64; states.len()];
        for (index, word) in states.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                let state = index * 64 + word.trailing_zeros() as usize;
                word &= word - 1;
                match self.0.get(state) {
                    Some(Token::Byte(own)) if *own == byte => self.enter(&mut next, state + 1),
                    Some(Token::Any) => self.enter(&mut next, state),
                    Some(Token::Without(separator)) if *separator != byte => self.enter(&mut next, state),
                    _ => {}
                }
            }
        }
        next
    }

    fn accepts(&self, states: &[u64]) -> bool {
        let end = self.0.len();
        states.get(end / 64).is_some_and(|word| word & (1 << (end % 64)) != 0)
    }

    /// Whether it matches whatever follows.
    fn accepts_for_ever(&self, states: &[u64]) -> bool {
        matches!(self.0.last(), Some(Token::Any)) && self.accepts(states)
    }
}

/// What every text of a kind keeps to, by its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Any text.
    Free,
    /// What [`name_problem`](crate::identifier::name_problem) lets pass, but for its length.
    Name,
    /// What [`path_problem`](crate::identifier::path_problem) lets pass, but for its length.
    Path,
    /// What [`spiffe_problem`](crate::identifier::spiffe_problem) lets pass, but for its length.
    Spiffe,
}

const SCHEME: &[u8] = b"spiffe://";
/// State of a path: nothing of the segment read yet, `.`, `..`, or more. Before it, bytes of the scheme.
const SEGMENT: u8 = 100;

impl Form {
    fn start(self) -> u8 {
        match self {
            Self::Free | Self::Name | Self::Spiffe => 0,
            Self::Path => SEGMENT,
        }
    }

    fn step(self, state: u8, byte: u8) -> Option<u8> {
        if self == Self::Free {
            return Some(0);
        }
        if !byte.is_ascii_graphic() || byte == b'%' || byte == b'\\' {
            return None;
        }
        match self {
            Self::Free => Some(0),
            Self::Name => Some(1),
            Self::Spiffe if state < SEGMENT => {
                let next = usize::from(state) + 1;
                let fits = SCHEME.get(usize::from(state)) == Some(&byte);
                fits.then(|| if next == SCHEME.len() { SEGMENT } else { state + 1 })
            }
            Self::Path | Self::Spiffe => match (byte, state - SEGMENT) {
                (b'/', 3) => Some(SEGMENT),
                (b'/', _) => None,
                (b'.', dots @ (0 | 1)) => Some(SEGMENT + dots + 1),
                _ => Some(SEGMENT + 3),
            },
        }
    }

    fn accepts(self, state: u8) -> bool {
        match self {
            Self::Free => true,
            Self::Name => state == 1,
            Self::Path | Self::Spiffe => state == SEGMENT + 3,
        }
    }

    pub(crate) fn admits(self, text: &str) -> bool {
        let end = text.bytes().try_fold(self.start(), |state, byte| self.step(state, byte));
        end.is_some_and(|state| self.accepts(state))
    }
}

/// Whether there is a text, and one if it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Proved.
    Nothing,
    /// There is one, or it is not known that there is none.
    Maybe(Option<String>),
}

impl Found {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

/// A text of the form that matches a pattern of each list in `all_of`, and none of `none_of`.
pub(crate) fn search(form: Form, all_of: &[&[Pattern]], none_of: &[&Pattern], budget: &Budget) -> Found {
    let patterns: Vec<&Pattern> =
        all_of.iter().flat_map(|any| any.iter()).chain(none_of.iter().copied()).collect();
    if patterns.iter().any(|pattern| pattern.0.len() > TOKENS_MAX) {
        budget.note_cut();
        return Found::Maybe(None);
    }
    let alphabet = alphabet(form, &patterns);
    let start: Vec<Vec<u64>> = patterns
        .iter()
        .map(|pattern| {
            let mut states = vec![0; pattern.words()];
            pattern.enter(&mut states, 0);
            states
        })
        .collect();
    let mut seen: BTreeSet<(u8, Vec<Vec<u64>>)> = BTreeSet::new();
    // Each place with the byte and the place that led to it, so that a text can be read off.
    let mut places: Vec<(u8, Vec<Vec<u64>>, usize, u8)> = Vec::new();
    if alive(all_of, none_of, &start) {
        places.push((form.start(), start, 0, 0));
    }
    let mut next = 0;
    while let Some((rule, states, ..)) = places.get(next).cloned() {
        if form.accepts(rule) && accepted(all_of, none_of, &states) {
            return Found::Maybe(text(&places, next));
        }
        if places.len() > REASON_STATES_MAX || !budget.take(1 + alphabet.len() as u64 * patterns.len() as u64)
        {
            budget.note_cut();
            return Found::Maybe(None);
        }
        for &byte in &alphabet {
            let Some(rule) = form.step(rule, byte) else { continue };
            let states: Vec<Vec<u64>> =
                patterns.iter().zip(&states).map(|(pattern, states)| pattern.step(states, byte)).collect();
            if alive(all_of, none_of, &states) && seen.insert((rule, states.clone())) {
                places.push((rule, states, next, byte));
            }
        }
        next += 1;
    }
    Found::Nothing
}

/// Every byte that something tells apart, and one that nothing does.
fn alphabet(form: Form, patterns: &[&Pattern]) -> Vec<u8> {
    let mut bytes = BTreeSet::new();
    for pattern in patterns {
        bytes.extend(pattern.0.iter().filter_map(|token| match token {
            Token::Byte(byte) | Token::Without(byte) => Some(*byte),
            Token::Any => None,
        }));
    }
    match form {
        Form::Free | Form::Name => {}
        Form::Path => bytes.extend(b"/."),
        Form::Spiffe => bytes.extend(SCHEME.iter().chain(b"/.")),
    }
    // A letter where that is free, and never one that the form refuses; only for free text may it be anything.
    let letters = (b'a'..=b'z').chain(b'!'..=b'~').filter(|byte| !matches!(byte, b'%' | b'\\'));
    let more = if form == Form::Free { 0..=255 } else { 0..=0 };
    let other = letters.chain(more).find(|byte| !bytes.contains(byte));
    other.into_iter().chain(bytes.iter().copied()).collect()
}

fn alive(all_of: &[&[Pattern]], none_of: &[&Pattern], states: &[Vec<u64>]) -> bool {
    let mut states = states.iter();
    let mut each = all_of.iter();
    // Every list needs a pattern that can still match.
    each.all(|any| {
        let mut one = false;
        for _ in any.iter() {
            one |= states.next().is_some_and(|states| states.iter().any(|word| *word != 0));
        }
        one
    }) && none_of.iter().zip(states).all(|(pattern, states)| !pattern.accepts_for_ever(states))
}

fn accepted(all_of: &[&[Pattern]], none_of: &[&Pattern], states: &[Vec<u64>]) -> bool {
    let mut states = states.iter();
    let mut each = all_of.iter();
    each.all(|any| {
        let mut one = false;
        for pattern in any.iter() {
            one |= states.next().is_some_and(|states| pattern.accepts(states));
        }
        one
    }) && none_of.iter().zip(states).all(|(pattern, states)| !pattern.accepts(states))
}

fn text(places: &[(u8, Vec<Vec<u64>>, usize, u8)], mut place: usize) -> Option<String> {
    let mut bytes = Vec::new();
    while place != 0 {
        let (_, _, before, byte) = places.get(place)?;
        bytes.push(*byte);
        place = *before;
    }
    bytes.reverse();
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::{name_problem, path_problem, spiffe_problem};
    use proptest::prelude::*;

    fn pattern(source: &str) -> Option<Pattern> {
        Some(Pattern::glob(&Glob::compile(source, b'/').ok()?))
    }

    /// Every text of up to `length` of these bytes.
    fn texts(length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..length {
            last = last
                .iter()
                .flat_map(|text| ["a", "b", "/", "."].map(|more| format!("{text}{more}")))
                .collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn nothing_is_found_only_where_there_is_nothing(
            with in prop::collection::vec(prop::collection::vec("[ab./*]{1,4}", 1..3), 0..3),
            without in prop::collection::vec("[ab./*]{1,4}", 0..3),
            form in prop::sample::select(vec![Form::Free, Form::Name, Form::Path]),
        ) {
            let with: Vec<Vec<Pattern>> =
                with.iter().map(|any| any.iter().filter_map(|source| pattern(source)).collect()).collect();
            let without: Vec<Pattern> = without.iter().filter_map(|source| pattern(source)).collect();
            let all_of: Vec<&[Pattern]> = with.iter().map(Vec::as_slice).collect();
            let none_of: Vec<&Pattern> = without.iter().collect();
            let holds = |text: &str| {
                form.admits(text)
                    && with.iter().all(|any| any.iter().any(|pattern| pattern.matches(text)))
                    && !without.iter().any(|pattern| pattern.matches(text))
            };
            let budget = Budget::new(u64::MAX);
            match search(form, &all_of, &none_of, &budget) {
                Found::Nothing => prop_assert_eq!(texts(5).into_iter().find(|text| holds(text)), None),
                Found::Maybe(Some(text)) => prop_assert!(holds(&text), "{:?}", text),
                Found::Maybe(None) => prop_assert!(budget.was_cut()),
            }
        }

        #[test]
        fn forms_are_those_of_names(text in "[a%/. é]{0,6}", scheme in any::<bool>()) {
            prop_assert_eq!(Form::Name.admits(&text), name_problem(&text).is_none());
            prop_assert_eq!(Form::Path.admits(&text), path_problem(&text).is_none());
            let text = if scheme { format!("spiffe://{text}") } else { text };
            prop_assert_eq!(Form::Spiffe.admits(&text), spiffe_problem(&text).is_none());
        }

        #[test]
        fn a_pattern_matches_what_its_glob_matches(source in "[ab/*]{1,8}", text in "[ab/]{0,8}") {
            if let Ok(glob) = Glob::compile(&source, b'/') {
                prop_assert_eq!(Pattern::glob(&glob).matches(&text), glob.matches(&text));
            }
        }
    }

    #[test]
    fn bytes_that_no_pattern_names_are_not_forgotten() {
        let (everything, ends) = (pattern("**").unwrap(), pattern("**a").unwrap());
        let budget = Budget::new(u64::MAX);
        let found = search(Form::Free, &[std::slice::from_ref(&everything)], &[&ends], &budget);
        assert_eq!(found, Found::Maybe(Some(String::new())));
        let found = search(Form::Name, &[std::slice::from_ref(&everything)], &[&ends], &budget);
        assert_eq!(found, Found::Maybe(Some("b".to_owned())));
        assert_eq!(search(Form::Path, &[&[ends]], &[&everything], &budget), Found::Nothing);
    }

    #[test]
    fn work_that_runs_out_claims_nothing() {
        let (left, right) = (pattern("**a**").unwrap(), pattern("**b").unwrap());
        let budget = Budget::new(3);
        assert_eq!(search(Form::Free, &[&[left], &[right]], &[], &budget), Found::Maybe(None));
        assert!(budget.was_cut());
    }

    #[test]
    fn as_many_steps_as_the_limit_says() {
        let sources =
            ["**a**b**c**d**", "**e**f**g**h**", "**i**j**k**l**", "**m**n**o**p**", "**q**r**s**t**"];
        let patterns: Vec<Pattern> = sources.iter().map(|source| pattern(source).unwrap()).collect();
        let each: Vec<&[Pattern]> = patterns.iter().map(std::slice::from_ref).collect();
        let budget = Budget::new(u64::MAX);
        // Five places in each pattern: 625 steps of four side by side, and 3,125 of five.
        let found = search(Form::Free, &each[..4], &[], &budget);
        assert_eq!(found, Found::Maybe(Some("abcdefghijklmnop".to_owned())));
        assert!(!budget.was_cut());
        assert_eq!(search(Form::Free, &each, &[], &budget), Found::Maybe(None));
        assert!(budget.was_cut());
        // A longer pattern is not walked at all.
        let long = "x".repeat(TOKENS_MAX + 1);
        assert_eq!(search(Form::Free, &[&[Pattern::literal(&long)]], &[], &budget), Found::Maybe(None));
    }
}
