//! An answer of EC2 is taken only when it is whole.
//!
//! The SDK's reader of XML takes a document that ends early for one that says less: a list cut by a proxy that repairs the
//! announced length would be a shorter list, and whoever lists to find orphans would believe it.

use aws_sdk_ec2::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;

/// Refuses an answer that does not end with the end of its first element.
#[derive(Debug)]
pub(crate) struct WholeAnswer;

impl Intercept for WholeAnswer {
    fn name(&self) -> &'static str {
        "WholeAnswer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // An error is judged by its code; without one it is unreadable anyway.
        if context.output_or_error().is_err() {
            return Ok(());
        }
        match context.response().body().bytes() {
            Some(body) if is_whole(body) => Ok(()),
            _ => Err("the answer ends before its end".into()),
        }
    }
}

/// Whether a document ends with the closing tag of its root.
fn is_whole(document: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(document) else { return false };
    let text = text.trim();
    let mut rest = text;
    // Past the declaration and comments, to the root's name.
    let root = loop {
        let Some((_, tag)) = rest.split_once('<') else { return false };
        if !tag.starts_with(['?', '!']) {
            break tag.split(|c: char| c.is_whitespace() || c == '>' || c == '/').next().unwrap_or_default();
        }
        rest = tag;
    };
    !root.is_empty() && text.ends_with(&format!("</{root}>"))
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    const WHOLE: &str =
        "<?xml version=\"1.0\"?>\n<!-- a -->\n<AResponse xmlns=\"x\"><set><item/></set></AResponse>\n";

    #[test]
    fn a_document_is_whole_or_is_not() {
        assert!(is_whole(WHOLE.as_bytes()));
        let end = WHOLE.trim_end().len();
        for cut in 0..end {
            assert!(!is_whole(&WHOLE.as_bytes()[..cut]), "{}", &WHOLE[..cut]);
        }
        for other in ["", "<", "<>", "</>", "plain", "<a>", "<a></b>", "<?xml?>"] {
            assert!(!is_whole(other.as_bytes()), "{other}");
        }
        assert!(!is_whole(b"<a>\xff</a>"));
    }
}
