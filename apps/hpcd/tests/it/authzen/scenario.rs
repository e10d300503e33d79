//! The certification scenario and its schemas, read from the files as they were published.

use std::path::PathBuf;

use serde_json::Value;

use super::root;

/// What one section of the scenario sends, and what it shows as the answer.
pub struct Section {
    pub requests: Vec<Value>,
    pub expected: Option<Value>,
}

impl Section {
    /// The only request.
    pub fn request(&self) -> &Value {
        assert_eq!(self.requests.len(), 1);
        &self.requests[0]
    }
}

fn data(name: &str) -> String {
    let path: PathBuf = root().join("../shared/data/authzen").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The section with this anchor, such as `c-2-2-1`.
pub fn section(anchor: &str) -> Section {
    let text = data("authorization-api-1_0-scenario.md");
    let end_of_heading = format!("{{#{anchor}}}");
    let mut lines =
        text.lines().skip_while(|line| !(line.starts_with('#') && line.ends_with(&end_of_heading)));
    lines.next().unwrap_or_else(|| panic!("no section {anchor}"));
    let (mut requests, mut expected, mut label) = (Vec::new(), None, "");
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            break;
        }
        if line.starts_with("**") {
            label = line;
        }
        if line.starts_with("~~~") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "~~~").collect();
            // Other blocks are sketches with placeholders.
            if line == "~~~ json" {
                let value = serde_json::from_str(&block.join("\n")).unwrap();
                if label.starts_with("**Expected") {
                    assert!(expected.replace(value).is_none(), "{anchor} expects twice");
                } else {
                    requests.push(value);
                }
            }
        }
    }
    Section { requests, expected }
}

/// Whether `value` is what the schema `<name>.schema.json` describes. `Err` says where it is not.
pub fn conforms(name: &str, value: &Value) -> Result<(), String> {
    let schema: Value = serde_json::from_str(&data(&format!("{name}.schema.json"))).unwrap();
    check(&schema, value, "$")
}

/// Knows the keywords that these schemas use: `type`, `required` and `properties`.
fn check(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let right = match schema["type"].as_str().unwrap() {
        "object" => value.is_object(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        other => panic!("the schema has a type `{other}` that this check does not know"),
    };
    if !right {
        return Err(format!("{place} is not of type {}", schema["type"]));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            return Err(format!("{place} lacks {name}"));
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            check(schema, value, &format!("{place}.{name}"))?;
        }
    }
    Ok(())
}

#[test]
fn the_check_tells_what_conforms() {
    let request = section("c-2-2-1").request().clone();
    assert_eq!(conforms("evaluation-request", &request), Ok(()));
    for (name, place) in [("c-2-4-1", "$ lacks"), ("c-2-4-2", " lacks "), ("c-2-4-6", "is not of type")] {
        for request in section(name).requests {
            let why = conforms("evaluation-request", &request).unwrap_err();
            assert!(why.contains(place), "{why}");
        }
    }
    assert!(conforms("evaluation-response", &serde_json::json!({"decision": "true"})).is_err());
    assert!(conforms("evaluation-response", &serde_json::json!({"decision": true, "context": []})).is_err());
}
