//! JSON Schemas: checked once, compiled once, never fetched.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Largest schema, in bytes of JSON.
pub const SCHEMA_BYTES_MAX: usize = 64 << 10;

/// Deepest schema.
pub const SCHEMA_DEPTH_MAX: usize = 32;

/// Deepest arguments of a call.
pub const ARGUMENTS_DEPTH_MAX: usize = 32;

/// Violations named in one answer.
const VIOLATIONS_MAX: usize = 8;

/// Characters of one violation.
const VIOLATION_CHARS_MAX: usize = 300;

/// A schema ready for use.
pub(crate) struct Compiled {
    pub(crate) schema: Value,
    validator: Validator,
}

impl Compiled {
    /// Checks and compiles a schema for an object.
    pub(crate) fn new(schema: Value) -> Result<Self, String> {
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err("its schema has not `\"type\": \"object\"`".into());
        }
        let size = measure(&schema);
        if size.bytes > SCHEMA_BYTES_MAX || size.depth > SCHEMA_DEPTH_MAX {
            return Err(format!(
                "its schema has {} bytes and {} levels, above the limit of {SCHEMA_BYTES_MAX} and {SCHEMA_DEPTH_MAX}",
                size.bytes, size.depth
            ));
        }
        if let Some(reference) = remote_reference(&schema) {
            let reference = crate::error::shorten(reference, 100);
            return Err(format!(
                "its schema refers to `{reference}`; only references within it (`#...`) are followed"
            ));
        }
        // The linear-time engine: arguments come from a model, and must not be able to stall a pattern.
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map_err(|error| {
                format!("its schema is invalid: {}", crate::error::shorten(&error.to_string(), 300))
            })?;
        Ok(Self { schema, validator })
    }

    /// What is wrong with `value`, without repeating its content.
    pub(crate) fn violations(&self, value: &Value) -> Vec<String> {
        self.validator
            .iter_errors(value)
            .take(VIOLATIONS_MAX)
            .map(|error| {
                let path = error.instance_path().to_string();
                let at = if path.is_empty() { "/" } else { &path };
                crate::error::shorten(&format!("`{at}`: {}", error.masked()), VIOLATION_CHARS_MAX)
            })
            .collect()
    }
}

/// A `$ref` or `$dynamicRef` that leaves the schema.
fn remote_reference(schema: &Value) -> Option<&str> {
    match schema {
        Value::Object(members) => members.iter().find_map(|(name, value)| match value {
            Value::String(target) if name == "$ref" || name == "$dynamicRef" => {
                (!target.starts_with('#')).then_some(target.as_str())
            }
            other => remote_reference(other),
        }),
        Value::Array(items) => items.iter().find_map(remote_reference),
        _ => None,
    }
}

/// Size of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Bytes of its text; escapes are not counted.
    pub(crate) bytes: usize,
    /// Levels of objects and arrays.
    pub(crate) depth: usize,
}

/// Measures a value. Recursion is bounded by the parser, which refuses more than 128 levels.
pub(crate) fn measure(value: &Value) -> Size {
    let list = |sizes: &mut dyn Iterator<Item = Size>| {
        sizes.fold(Size { bytes: 2, depth: 1 }, |sum, size| Size {
            bytes: sum.bytes.saturating_add(size.bytes).saturating_add(1),
            depth: sum.depth.max(size.depth.saturating_add(1)),
        })
    };
    match value {
        Value::Null => Size { bytes: 4, depth: 0 },
        Value::Bool(_) => Size { bytes: 5, depth: 0 },
        Value::Number(number) => Size { bytes: number.to_string().len(), depth: 0 },
        Value::String(text) => Size { bytes: text.len() + 2, depth: 0 },
        Value::Array(items) => list(&mut items.iter().map(measure)),
        Value::Object(members) => list(&mut members.iter().map(|(name, value)| {
            let size = measure(value);
            Size { bytes: size.bytes + name.len() + 3, depth: size.depth }
        })),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refusal(schema: Value) -> String {
        Compiled::new(schema).err().unwrap()
    }

    #[test]
    fn schemas_that_cannot_be_used_are_refused() {
        assert!(refusal(json!({})).contains("object"));
        assert!(refusal(json!({"type": "string"})).contains("object"));
        assert!(refusal(json!(true)).contains("object"));
        assert!(refusal(json!({"type": "object", "properties": 7})).contains("invalid"));
        assert!(
            refusal(json!({"type": "object", "properties": {"a": {"pattern": "("}}})).contains("invalid")
        );
        assert!(
            refusal(json!({"type": "object", "description": "x".repeat(SCHEMA_BYTES_MAX)})).contains("bytes")
        );
        let mut deep = json!({});
        for _ in 0..SCHEMA_DEPTH_MAX {
            deep = json!({ "not": deep });
        }
        deep["type"] = json!("object");
        assert!(refusal(deep).contains("levels"));
    }

    #[test]
    fn no_reference_leaves_the_schema() {
        for target in ["http://example.com/x.json", "file:///etc/passwd", "other.json", "//host/x"] {
            for nested in [
                json!({"type": "object", "properties": {"a": {"$ref": target}}}),
                json!({"type": "object", "allOf": [{"$dynamicRef": target}]}),
            ] {
                assert!(refusal(nested).contains("refers to"), "{target}");
            }
        }
        let local = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}});
        let compiled = Compiled::new(local).unwrap();
        assert!(compiled.violations(&json!({"a": 1})).is_empty());
        assert_eq!(compiled.violations(&json!({"a": "x"})).len(), 1);
    }

    #[test]
    fn violations_name_the_place_and_not_the_value() {
        let schema = json!({"type": "object", "properties": {"gpus": {"type": "integer", "minimum": 1}}, "required": ["gpus"], "additionalProperties": false});
        let compiled = Compiled::new(schema).unwrap();
        let violations = compiled.violations(&json!({"gpus": "s3cr3t"}));
        assert!(violations[0].contains("`/gpus`") && !violations[0].contains("s3cr3t"), "{violations:?}");
        assert!(compiled.violations(&json!({}))[0].contains("gpus"));
        let many: serde_json::Map<String, Value> = (0..100).map(|n| (format!("x{n}"), json!(1))).collect();
        assert!(compiled.violations(&Value::Object(many)).len() <= VIOLATIONS_MAX);
    }

    proptest! {
        #[test]
        fn plain_values_are_measured_as_they_are_written(texts in prop::collection::vec("[a-z]{0,20}", 0..10), number in any::<i64>()) {
            let value = json!({"texts": texts, "number": number});
            let written = value.to_string().len();
            let measured = measure(&value);
            prop_assert!(measured.bytes.abs_diff(written) <= 4, "{} {}", measured.bytes, written);
            prop_assert_eq!(measured.depth, 2);
        }
    }
}
