//! One line of CSV. A quote that is never closed spoils its line, not the rest of the file.

use std::borrow::Cow;

/// The fields of a line; `None` when its quotes do not match.
pub(crate) fn fields(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => match rest.split_once(',') {
                Some((field, after)) => (Cow::Borrowed(field), Some(after)),
                None => (Cow::Borrowed(rest), None),
            },
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Some(fields),
        }
    }
}

fn quoted_field(text: &str) -> Option<(Cow<'_, str>, Option<&str>)> {
    let mut whole = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        if let Some(more) = after.strip_prefix('"') {
            whole.push_str(part);
            whole.push('"');
            rest = more;
            continue;
        }
        let field = if whole.is_empty() { Cow::Borrowed(part) } else { Cow::Owned(whole + part) };
        return match after.strip_prefix(',') {
            Some(next) => Some((field, Some(next))),
            None if after.is_empty() => Some((field, None)),
            None => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_read_and_broken_ones_are_seen() {
        let read =
            |line| fields(line).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("|"));
        assert_eq!(read("a,,b").unwrap(), "a||b");
        assert_eq!(read("").unwrap(), "");
        assert_eq!(read("\"a,b\",\"\",c").unwrap(), "a,b||c");
        assert_eq!(read("\"say \"\"so\"\"\",x").unwrap(), "say \"so\"|x");
        assert_eq!(read("a\"b,c").unwrap(), "a\"b|c");
        for broken in ["\"a", "\"a\"b,c", "x,\"", "\"\"\""] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }
}
