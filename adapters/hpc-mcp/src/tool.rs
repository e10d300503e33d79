//! What is offered.

use std::time::Duration;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::annotations::Annotations;
use crate::caller::is_capability;
use crate::error::shorten;
use crate::{CAPABILITY_BYTES_MAX, McpError};

/// Longest name of a tool, in bytes.
pub const TOOL_NAME_BYTES_MAX: usize = 128;

/// Longest description or title of a tool, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 4096;

/// Time a call may take if the tool does not say: clients give up after 30 s to 60 s.
pub const TOOL_TIMEOUT_DEFAULT: Duration = Duration::from_secs(25);

/// Longest time a tool may ask for.
pub const TOOL_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// The description of a tool: name, purpose, schemas, effects, and the capability it needs.
///
/// Nothing is checked before [`build`](crate::McpServerBuilder::build).
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) description: String,
    pub(crate) input: Value,
    pub(crate) output: Option<Value>,
    pub(crate) annotations: Option<Annotations>,
    pub(crate) requires: Option<String>,
    pub(crate) timeout: Duration,
}

impl Tool {
    /// A tool that takes any object.
    ///
    /// The name has 1 to 128 letters, digits, `_`, `-` and `.`.
    #[must_use]
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: description.into(),
            input: json!({"type": "object"}),
            output: None,
            annotations: None,
            requires: None,
            timeout: TOOL_TIMEOUT_DEFAULT,
        }
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Takes what `T` describes, which must be an object.
    #[must_use]
    pub fn input<T: JsonSchema>(self) -> Self {
        self.input_schema(schema_of::<T>())
    }

    /// Takes what this JSON Schema (2020-12) describes, which must say `"type": "object"`.
    #[must_use]
    pub fn input_schema(mut self, schema: Value) -> Self {
        self.input = schema;
        self
    }

    /// Answers with structured data that `T` describes; an answer that is none is a failure.
    #[must_use]
    pub fn output<T: JsonSchema>(self) -> Self {
        self.output_schema(schema_of::<T>())
    }

    /// Answers with structured data that this JSON Schema describes, which must say `"type": "object"`.
    #[must_use]
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output = Some(schema);
        self
    }

    /// What it does to the world.
    #[must_use]
    pub fn annotations(mut self, annotations: Annotations) -> Self {
        self.annotations = Some(annotations);
        self
    }

    /// Only callers that hold `capability` see it and may call it.
    #[must_use]
    pub fn requires(mut self, capability: impl Into<String>) -> Self {
        self.requires = Some(capability.into());
        self
    }

    /// Time a call may take: above zero and up to [`TOOL_TIMEOUT_MAX`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks everything but the schemas.
    pub(crate) fn check(&self) -> Result<(), McpError> {
        let refuse = |reason: String| Err(self.refusal(reason));
        if !is_tool_name(&self.name) {
            return refuse(format!(
                "a name has 1 to {TOOL_NAME_BYTES_MAX} letters, digits, `_`, `-` and `.`"
            ));
        }
        let texts = [Some(&self.description), self.title.as_ref()];
        if texts.into_iter().flatten().any(|text| text.len() > DESCRIPTION_BYTES_MAX) {
            return refuse(format!("its description or title has more than {DESCRIPTION_BYTES_MAX} bytes"));
        }
        if self.description.trim().is_empty() {
            return refuse("it has no description, and a model chooses by it".into());
        }
        if self.timeout.is_zero() || self.timeout > TOOL_TIMEOUT_MAX {
            return refuse(format!("its timeout is not above 0 and up to {} s", TOOL_TIMEOUT_MAX.as_secs()));
        }
        if self.requires.as_deref().is_some_and(|capability| !is_capability(capability)) {
            return refuse(format!(
                "a capability has 1 to {CAPABILITY_BYTES_MAX} letters, digits, `-`, `_`, `.` and `:`"
            ));
        }
        if self.requires.is_none() && self.annotations.is_some_and(|annotations| annotations.destructive) {
            return refuse("it is destructive and requires no capability; add `.requires(..)`".into());
        }
        Ok(())
    }

    pub(crate) fn refusal(&self, reason: String) -> McpError {
        McpError::InvalidTool { name: shorten(&self.name, TOOL_NAME_BYTES_MAX), reason }
    }
}

pub(crate) fn is_tool_name(name: &str) -> bool {
    (1..=TOOL_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}
