//! What a round of reconciling could not do, in a line: one cause often stops thousands of things.

use std::fmt::Write as _;

/// Most causes told; of each, one thing that it stopped.
const CAUSES_MAX: usize = 4;
/// Most bytes of one cause.
const CAUSE_BYTES_MAX: usize = 300;

/// Each cause once, with the first thing that it stopped and how many there are. A problem reads `thing: cause`, or is a cause
/// alone.
pub(crate) fn in_short(problems: &[String]) -> String {
    let mut causes: Vec<(&str, Option<&str>, usize)> = Vec::new();
    let mut further = 0;
    for problem in problems {
        // Things are ids; a text before a colon that has a space in it is a part of the cause.
        let (thing, cause) = match problem.split_once(": ") {
            Some((thing, cause)) if !thing.contains(' ') => (Some(thing), cause),
            _ => (None, problem.as_str()),
        };
        if let Some((_, first, count)) = causes.iter_mut().find(|(known, ..)| *known == cause) {
            *first = first.or(thing);
            *count += 1;
        } else if causes.len() < CAUSES_MAX {
            causes.push((cause, thing, 1));
        } else {
            further += 1;
        }
    }
    let mut out = String::new();
    for (cause, thing, count) in causes {
        let end = cause.floor_char_boundary(CAUSE_BYTES_MAX);
        let cut = if end < cause.len() { "..." } else { "" };
        let between = if out.is_empty() { "" } else { "; " };
        let _ = write!(out, "{between}{}{cut}", &cause[..end]);
        let _ = match (thing, count) {
            (Some(thing), 1) => write!(out, " ({thing})"),
            (Some(thing), count) => write!(out, " ({thing} and {} more)", count - 1),
            (None, 1) => Ok(()),
            (None, count) => write!(out, " ({count} times)"),
        };
    }
    if further > 0 {
        let _ = write!(out, "; and {further} with other causes");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(problems: &[&str]) -> String {
        in_short(&problems.iter().map(|&problem| problem.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn one_cause_is_told_once() {
        assert_eq!(told(&[]), "");
        assert_eq!(told(&["no space left: free some"]), "no space left: free some");
        let full = ["no room", "lse_1: no room", "lse_2: no room", "aws: it hangs", "it hangs", "it hangs"];
        assert_eq!(told(&full), "no room (lse_1 and 2 more); it hangs (aws and 2 more)");
        assert_eq!(told(&["it hangs", "it hangs"]), "it hangs (2 times)");
    }

    #[test]
    fn it_stays_short_whatever_there_is() {
        let many: Vec<String> =
            (0..10_000).map(|index| format!("lse_{index}: {index}{}", "é".repeat(400))).collect();
        let short = in_short(&many);
        assert!(short.len() < 4 * 400 && short.ends_with("; and 9996 with other causes"), "{short}");
    }
}
