//! Resource ids and patterns by their segments, so that one id meets only the rules that can match it.

use std::ops::ControlFlow;

use crate::narrow::Names;
use crate::rule::Text;

/// Rules by the segments of the ids and patterns they name.
///
/// A segment with `*` stands for any one segment here, and from a segment with `**` on anything may follow: what the
/// trie finds is asked again with the whole pattern.
#[derive(Debug, Default)]
pub(crate) struct SegmentTrie {
    children: Names<SegmentTrie>,
    any_one: Option<Box<SegmentTrie>>,
    /// Rules whose pattern has `**` in its next segment.
    open: Vec<u32>,
    /// Rules whose id or pattern ends here.
    end: Vec<u32>,
}

impl SegmentTrie {
    /// The list of rules with this id or pattern.
    pub(crate) fn list(&mut self, id: &Text) -> &mut Vec<u32> {
        let text = match id {
            Text::Exact(text) => text,
            Text::Glob(glob) => glob.source(),
        };
        let mut node = self;
        for segment in text.split('/') {
            if segment.contains("**") {
                return &mut node.open;
            }
            node = if segment.contains('*') {
                node.any_one.get_or_insert_default()
            } else {
                node.children.entry(segment.into()).or_default()
            };
        }
        &mut node.end
    }

    /// Calls `visit` with the lists of all rules that can match `id`, until it breaks.
    pub(crate) fn visit(
        &self,
        id: &str,
        visit: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        visit(&self.open)?;
        let (segment, rest) = match id.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (id, None),
        };
        // As deep as the pattern with the most segments, which has at most 256 bytes, or an id, which has at most 512.
        for node in self.children.get(segment).into_iter().chain(self.any_one.as_deref()) {
            match rest {
                Some(rest) => node.visit(rest, visit)?,
                None => {
                    visit(&node.end)?;
                    // `a/b**` also stands for nothing after `b`; a pattern that goes on past here does not match.
                    visit(&node.open)?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::glob::Glob;

    proptest! {
        #[test]
        fn no_pattern_that_matches_is_left_out(
            patterns in prop::collection::vec("[ab*]{1,3}(/[ab*]{1,3}){0,3}", 1..12),
            id in "[ab]{1,3}(/[ab]{1,3}){0,4}",
        ) {
            let mut trie = SegmentTrie::default();
            let mut globs = Vec::new();
            for pattern in &patterns {
                let Ok(glob) = Glob::compile(pattern, b'/') else { continue };
                trie.list(&Text::Glob(glob.clone())).push(u32::try_from(globs.len()).unwrap());
                globs.push(glob);
            }
            let mut found = Vec::new();
            let _ = trie.visit(&id, &mut |list| {
                found.extend_from_slice(list);
                ControlFlow::Continue(())
            });
            for (position, glob) in globs.iter().enumerate() {
                let position = u32::try_from(position).unwrap();
                prop_assert!(!glob.matches(&id) || found.contains(&position), "{} {id}", glob.source());
            }
        }
    }
}
