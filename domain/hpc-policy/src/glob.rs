//! Anchored globs in time linear in the text.
//!
//! `*` stands for any characters within one segment, `**` for any characters at all, both also for none.
//! Nothing else is special. The whole text must match.

use crate::limits::PATTERN_BYTES_MAX;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    source: Box<str>,
    separator: u8,
    tokens: Box<[Token]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `*`
    Segment,
    /// `**`
    Any,
}

// One bit for each token and one for the end. 256 tokens at most, so five words hold 257 states.
const WORDS: usize = PATTERN_BYTES_MAX / 64 + 1;
type States = [u64; WORDS];

impl Glob {
    /// `Err` says what is wrong and what to write.
    pub(crate) fn compile(source: &str, separator: u8) -> Result<Self, &'static str> {
        if source.is_empty() {
            return Err("empty; write `**` for everything");
        }
        if source.len() > PATTERN_BYTES_MAX {
            return Err("longer than 256 bytes; shorten it");
        }
        if source.contains("***") {
            return Err("ambiguous: `***`; write `*` for one segment or `**` for any");
        }
        if source.bytes().any(|byte| matches!(byte, b'?' | b'[' | b']' | b'{' | b'}' | b'\\')) {
            return Err("using `?`, `[`, `{` or `\\`; only `*` and `**` are special, so write the cases out");
        }
        let mut tokens = Vec::with_capacity(source.len());
        let mut bytes = source.bytes().peekable();
        while let Some(byte) = bytes.next() {
            tokens.push(match byte {
                b'*' if bytes.next_if_eq(&b'*').is_some() => Token::Any,
                b'*' => Token::Segment,
                other => Token::Byte(other),
            });
        }
        Ok(Self { source: source.into(), separator, tokens: tokens.into() })
    }

    pub(crate) fn separator(&self) -> u8 {
        self.separator
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        // Most patterns begin with plain text; compare that without the automaton.
        let mut text = text.as_bytes();
        let mut start = 0;
        while let Some(Token::Byte(byte)) = self.tokens.get(start) {
            match text.split_first() {
                Some((first, rest)) if first == byte => text = rest,
                _ => return false,
            }
            start += 1;
        }
        match self.tokens.get(start..) {
            None | Some([]) => text.is_empty(),
            Some([Token::Any]) => true,
            Some([Token::Segment]) => !text.contains(&self.separator),
            Some(_) => self.simulate(start, text),
        }
    }

    /// Steps all states at once over each byte: no backtracking, so no pattern is slow.
    fn simulate(&self, start: usize, text: &[u8]) -> bool {
        let mut states: States = [0; WORDS];
        self.enter(&mut states, start);
        for &byte in text {
            let mut next: States = [0; WORDS];
            let mut alive = false;
            for (word_index, word) in states.iter().enumerate() {
                let mut word = *word;
                while word != 0 {
                    #[cfg(test)]
                    tests::STEPS.set(tests::STEPS.get() + 1);
                    let state = word_index * 64 + word.trailing_zeros() as usize;
                    word &= word - 1;
                    let target = match self.tokens.get(state) {
                        Some(Token::Byte(expected)) if *expected == byte => state + 1,
                        Some(Token::Any) => state,
                        Some(Token::Segment) if byte != self.separator => state,
                        _ => continue,
                    };
                    alive = true;
                    self.enter(&mut next, target);
                }
            }
            if !alive {
                return false;
            }
            states = next;
        }
        bit(&states, self.tokens.len())
    }

    /// Marks `state`, and what follows it when it may stand for nothing.
    fn enter(&self, states: &mut States, mut state: usize) {
        loop {
            if let Some(word) = states.get_mut(state / 64) {
                *word |= 1 << (state % 64);
            }
            match self.tokens.get(state) {
                Some(Token::Segment | Token::Any) => state += 1,
                _ => return,
            }
        }
    }
}

fn bit(states: &States, state: usize) -> bool {
    states.get(state / 64).is_some_and(|word| word & (1 << (state % 64)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::compile(pattern, b'/').unwrap().matches(text)
    }

    #[test]
    fn star_stays_within_a_segment() {
        for (pattern, text, expected) in [
            ("jobs/*", "jobs/train-1", true),
            ("jobs/*", "jobs/a/b", false),
            ("jobs/*", "jobs", false),
            ("jobs/*", "xjobs/a", false),
            ("jobs/**", "jobs/a/b", true),
            ("jobs/**", "jobs", false),
            ("**", "anything/at/all", true),
            ("*/h100", "gpu/h100", true),
            ("**/h100", "a/b/h100", true),
            ("**/h100", "h100", false),
            ("gpu/*-80gb", "gpu/h100-80gb", true),
            ("gpu/*-80gb", "gpu/h100-80gbx", false),
            ("a/*/c/**/e", "a/b/c/d/d/e", true),
            ("a/*/c/**/e", "a/b/b/c/d/e", false),
            ("jobs/a", "jobs/a", true),
            ("jobs/a", "jobs/A", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn hard_patterns_take_linear_time() {
        let text = "a".repeat(100_000);
        assert!(!matches("*a*a*a*b", &text));
        assert!(!matches("**a*a**a*b", &text));
        assert!(matches("*a*a*a*", &text));
        let pattern = "*a".repeat(128);
        assert!(!matches(&format!("{}b", &pattern[..255]), &text));
    }

    std::thread_local! {
        /// Steps of the automaton on this thread.
        pub(super) static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    #[test]
    fn steps_grow_with_the_text_and_are_at_most_one_a_state_and_byte() {
        let wide = "*a".repeat(127) + "*b";
        for pattern in ["*a*a*a*b", "**a**a**a**b", "*/**/*/**b", wide.as_str()] {
            let steps = |bytes: usize| {
                STEPS.set(0);
                assert!(!matches(pattern, &"a".repeat(bytes)), "{pattern:.20}");
                STEPS.get()
            };
            let (once, twice) = (steps(10_000), steps(20_000));
            assert!(twice <= 20_000 * (pattern.len() + 1), "{pattern:.20}: {twice}");
            assert!(twice <= once * 2 + pattern.len() * pattern.len(), "{pattern:.20}: {once}, {twice}");
        }
    }

    #[test]
    fn odd_patterns_are_refused() {
        for pattern in
            ["", "a***", "a?", "a[b]", "{a,b}", "a\\b", &"a".repeat(257), &"*a*a*a*b".repeat(12_500)]
        {
            assert!(Glob::compile(pattern, b'/').is_err(), "{pattern:.20}");
        }
    }

    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
            [b'*', rest @ ..] => (0..=text.len())
                .take_while(|&skip| !text[..skip].contains(&b'/'))
                .any(|skip| slow(rest, &text[skip..])),
            [byte, rest @ ..] => text.first() == Some(byte) && slow(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_recursive_definition(pattern in "[ab/*]{1,10}", text in "[ab/]{0,12}") {
            if let Ok(glob) = Glob::compile(&pattern, b'/') {
                prop_assert_eq!(glob.matches(&text), slow(pattern.as_bytes(), text.as_bytes()));
            }
        }
    }
}
