//! Environment variables into a tree of texts. Nothing is guessed: each text becomes what its field asks for.

use std::collections::BTreeMap;
use std::path::Path;

use figment::value::{Dict, Tag, Value};

use crate::error::{ConfigError, Place, Problem};
use crate::file;
use crate::tree::{DEPTH_MAX, Step, render};

/// Most variables that are looked at.
const VARIABLES_MAX: usize = 1024;
const FILE_SUFFIX: &str = "__FILE";

pub(crate) struct Variables {
    pub(crate) root: Dict,
    /// Name of the variable that gave each key.
    pub(crate) names: BTreeMap<Vec<Step>, String>,
}

/// Reads the variables that start with `PREFIX_`.
pub(crate) fn read(prefix: &str, variables: &[(String, String)]) -> Result<Variables, ConfigError> {
    let prefix = format!("{}_", prefix.trim_end_matches('_'));
    let mut names: BTreeMap<Vec<Step>, String> = BTreeMap::new();
    let mut root = Dict::new();
    let mut found: Vec<_> =
        variables.iter().filter_map(|(name, text)| Some((name, name.strip_prefix(&prefix)?, text))).collect();
    found.sort();
    if found.len() > VARIABLES_MAX {
        return Err(ConfigError::of_source("environment", Problem::TooMany));
    }
    for (name, rest, text) in found {
        let fail = |problem| ConfigError::of_source(label(name), problem);
        let (rest, from_file) = match rest.strip_suffix(FILE_SUFFIX) {
            Some(rest) if !rest.is_empty() => (rest, true),
            _ => (rest, false),
        };
        let keys: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        if keys.iter().any(String::is_empty) {
            continue; // `APP___X` is nobody's key
        }
        if keys.len() > DEPTH_MAX {
            return Err(fail(Problem::TooDeep));
        }
        let path: Vec<Step> = keys.iter().cloned().map(Step::Key).collect();
        let clash = names.iter().find(|(other, _)| other.starts_with(&path) || path.starts_with(other));
        if let Some((_, other)) = clash {
            let place = Place { source: label(name), key: render(&path), ..Place::default() };
            return Err(ConfigError::new(place, Problem::Contradiction { other: other.clone() }));
        }
        let text = if from_file {
            file::read_secret(Path::new(text))
                .map_err(|reason| fail(Problem::SecretFile { path: text.clone(), reason }))?
                .to_string()
        } else {
            text.clone()
        };
        insert(&mut root, &keys, text);
        names.insert(path, name.clone());
    }
    Ok(Variables { root, names })
}

pub(crate) fn label(name: &str) -> String {
    format!("environment variable `{name}`")
}

/// Puts a text at a path. A text in the way is replaced by a map; the caller has ruled that out for variables.
pub(crate) fn insert(root: &mut Dict, keys: &[String], text: String) {
    match keys {
        [] => {}
        [last] => {
            root.insert(last.clone(), Value::String(Tag::Default, text));
        }
        [first, rest @ ..] => {
            let entry = root.entry(first.clone()).or_insert_with(|| Value::Dict(Tag::Default, Dict::new()));
            if !matches!(entry, Value::Dict(..)) {
                *entry = Value::Dict(Tag::Default, Dict::new());
            }
            if let Value::Dict(_, dict) = entry {
                insert(dict, rest, text);
            }
        }
    }
}
