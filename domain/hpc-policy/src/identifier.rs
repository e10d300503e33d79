//! Which names can be matched at all.
//!
//! Names are refused, never normalised: a name with a `%` escape, a `..` segment, an empty segment or a
//! character outside printable ASCII has more than one reading, so no rule may be applied to it.

use crate::limits::IDENTIFIER_BYTES_MAX;

/// What is wrong with a name (principal id, role, team, action, resource type), if anything.
pub(crate) fn name_problem(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("is empty; give a name");
    }
    if text.len() > IDENTIFIER_BYTES_MAX {
        return Some("is longer than 512 bytes; shorten it");
    }
    if text.contains('%') {
        return Some("contains `%`; send the decoded name");
    }
    if text.contains('\\') {
        return Some("contains `\\`; separate segments by `/`");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("contains a character outside printable ASCII; use letters, digits and punctuation");
    }
    None
}

/// What is wrong with a path such as a resource id, if anything.
pub(crate) fn path_problem(text: &str) -> Option<&'static str> {
    name_problem(text).or_else(|| segments_problem(text))
}

/// What is wrong with a SPIFFE ID, if anything.
pub(crate) fn spiffe_problem(text: &str) -> Option<&'static str> {
    let Some(rest) = text.strip_prefix("spiffe://") else {
        return Some("does not begin with `spiffe://`; write the whole SPIFFE ID");
    };
    path_problem(rest)
}

fn segments_problem(text: &str) -> Option<&'static str> {
    for segment in text.split('/') {
        if segment.is_empty() {
            return Some("has an empty segment; leave out leading, trailing and double `/`");
        }
        if segment == "." || segment == ".." {
            return Some("has a `.` or `..` segment; send the resolved path");
        }
    }
    None
}

/// What is wrong with the part of an attribute path after the root, if anything.
pub(crate) fn attribute_problem(text: &str) -> Option<&'static str> {
    let well_formed = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    if text.len() > IDENTIFIER_BYTES_MAX {
        return Some("is longer than 512 bytes; shorten it");
    }
    if !text.split('.').all(well_formed) {
        return Some("is not an attribute name; use letters, digits, `_` and `-`, with `.` between parts");
    }
    None
}
