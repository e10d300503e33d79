//! What a tool answers.

use hpc_error::HpcError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Content, IntoText};

/// The answer to a call: content for the model, structured data for programs, and whether it is a failure.
///
/// A failure is an answer too: the model reads it and may correct itself.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ToolResult {
    /// What the model reads.
    pub content: Vec<Content>,
    /// What a program reads.
    pub structured: Option<Value>,
    /// Whether the tool failed.
    pub is_error: bool,
}

impl ToolResult {
    /// A success with this content.
    #[must_use]
    pub fn success(content: Vec<Content>) -> Self {
        Self { content, structured: None, is_error: false }
    }

    /// A failure that the model reads.
    #[must_use]
    pub fn error(message: impl IntoText) -> Self {
        Self { content: vec![Content::text(message)], structured: None, is_error: true }
    }

    /// A success with structured data, and the same as text for clients that read only that.
    ///
    /// # Errors
    /// [`HpcError::Internal`] if `data` has no JSON form, such as a map whose keys are no strings.
    pub fn structured<T: Serialize>(data: &T) -> crate::Result<Self> {
        let structured = serde_json::to_value(data)
            .map_err(|error| HpcError::internal(format!("the result has no JSON form: {error}")))?;
        Ok(Self { content: vec![Content::text(&structured)], structured: Some(structured), is_error: false })
    }

    /// A failure with the error's message as text, and as `structured.error` its kind, code, context and retry class.
    #[must_use]
    pub fn failure(error: &HpcError) -> Self {
        let report = serde_json::to_value(error).unwrap_or(Value::Null);
        Self {
            content: vec![Content::Text(format!("{}: {}", error.kind().name(), error.message()))],
            structured: Some(json!({ "error": report })),
            is_error: true,
        }
    }

    /// All text pieces, one a line.
    #[must_use]
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.content.iter().filter_map(Content::as_text).collect();
        texts.join("\n")
    }

    /// The structured data as `T`.
    ///
    /// # Errors
    /// [`HpcError::InvalidInput`] if there is none or it is no `T`.
    pub fn structured_as<T: DeserializeOwned>(&self) -> crate::Result<T> {
        let data =
            self.structured.clone().ok_or_else(|| HpcError::invalid_input("the result has no data"))?;
        serde_json::from_value(data)
            .map_err(|error| HpcError::invalid_input(format!("the result has another form: {error}")))
    }

    pub(crate) fn size_bytes(&self) -> usize {
        let content: usize = self.content.iter().map(Content::size_bytes).sum();
        content.saturating_add(self.structured.as_ref().map_or(0, |data| crate::schema::measure(data).bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn structured_data_has_a_text_copy() {
        let result = ToolResult::structured(&json!({"gpus": 8})).unwrap();
        assert_eq!(result.text(), r#"{"gpus":8}"#);
        assert_eq!(result.structured_as::<Value>().unwrap(), json!({"gpus": 8}));
        assert!(
            result.structured_as::<u8>().is_err() && ToolResult::error("no").structured_as::<u8>().is_err()
        );
    }

    #[test]
    fn a_failure_says_what_the_caller_can_do() {
        let error =
            HpcError::unavailable("zone is draining").with("zone", "a").retry_after(Duration::from_secs(3));
        let result = ToolResult::failure(&error);
        let data = result.structured.unwrap();
        assert!(result.is_error);
        assert_eq!(data["error"]["kind"], "unavailable");
        assert_eq!(data["error"]["retry_after_ms"], 3000);
        assert_eq!(data["error"]["context"]["zone"], "a");
    }
}
