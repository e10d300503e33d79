//! Pieces of a result.

use std::borrow::Cow;

use base64::Engine as _;
use serde_json::Value;

/// One piece of what a tool answers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// Text for the model.
    Text(String),
    /// An image.
    Image {
        /// The bytes in standard base64.
        base64: String,
        /// Such as `image/png`.
        mime_type: String,
    },
    /// A sound.
    Audio {
        /// The bytes in standard base64.
        base64: String,
        /// Such as `audio/wav`.
        mime_type: String,
    },
    /// A block of another type, as the protocol writes it: a resource, or a link to one.
    Other(Value),
}

impl Content {
    /// Text; JSON values are written compactly, and a JSON string as its own text.
    #[must_use]
    pub fn text(text: impl IntoText) -> Self {
        Self::Text(text.into_text())
    }

    /// An image from its bytes.
    #[must_use]
    pub fn image(bytes: &[u8], mime_type: impl Into<String>) -> Self {
        Self::Image { base64: encode(bytes), mime_type: mime_type.into() }
    }

    /// A sound from its bytes.
    #[must_use]
    pub fn audio(bytes: &[u8], mime_type: impl Into<String>) -> Self {
        Self::Audio { base64: encode(bytes), mime_type: mime_type.into() }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Bytes it takes in a message, without escapes.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Image { base64, mime_type } | Self::Audio { base64, mime_type } => {
                base64.len() + mime_type.len()
            }
            Self::Other(value) => crate::schema::measure(value).bytes,
        }
    }
}

fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What [`Content::text`] takes.
pub trait IntoText {
    /// The text.
    fn into_text(self) -> String;
}

impl IntoText for String {
    fn into_text(self) -> String {
        self
    }
}

impl IntoText for &String {
    fn into_text(self) -> String {
        self.clone()
    }
}

impl IntoText for &str {
    fn into_text(self) -> String {
        self.to_owned()
    }
}

impl IntoText for Cow<'_, str> {
    fn into_text(self) -> String {
        self.into_owned()
    }
}

impl IntoText for Value {
    fn into_text(self) -> String {
        match self {
            Self::String(text) => text,
            other => other.to_string(),
        }
    }
}

impl IntoText for &Value {
    fn into_text(self) -> String {
        match self {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_made_from_strings_and_json() {
        assert_eq!(Content::text("a").as_text(), Some("a"));
        let (owned, value) = ("a".to_owned(), json!({"a": [1, null]}));
        assert_eq!(Content::text(&owned).as_text(), Some("a"));
        assert_eq!(Content::text(&value).as_text(), Some(r#"{"a":[1,null]}"#));
        assert_eq!(Content::text(json!("plain")).as_text(), Some("plain"));
        assert_eq!(Content::image(b"\x89PNG", "image/png").as_text(), None);
    }
}
