//! What every document begins with, and which kinds of document a set may hold.

use crate::decode::{Fields, shown};
use crate::entities::{self, EntitiesDocument};
use crate::error::PolicyError;
use crate::groups::{self, GroupsDocument};
use crate::identifier::name_problem;
use crate::policy::{self, API_VERSION, Policy};
use crate::schema_read::{self, SchemaDocument};
use crate::yaml;

/// One document of a set, by its `kind`.
pub(crate) enum Document {
    /// `kind: Policy`: rules.
    Policy(Policy),
    /// `kind: PolicyEntities`: who and what there is.
    Entities(EntitiesDocument),
    /// `kind: PolicyGroups`: groups of principals, and roles that include roles.
    Groups(GroupsDocument),
    /// `kind: PolicySchema`: what requests can hold.
    Schema(SchemaDocument),
}

/// Reads one document of a set.
pub(crate) fn parse(text: &str) -> Result<Document, PolicyError> {
    let (mut root, kind) = open(text, &["Policy", "PolicyEntities", "PolicyGroups", "PolicySchema"])?;
    Ok(match kind {
        "PolicyEntities" => Document::Entities(entities::read(&mut root)?),
        "PolicyGroups" => Document::Groups(groups::read(&mut root)?),
        "PolicySchema" => Document::Schema(schema_read::read(&mut root)?),
        _ => Document::Policy(policy::read(&mut root, text)?),
    })
}

/// Reads `metadata`, whose name nothing refers to.
pub(crate) fn read_name(root: &mut Fields) -> Result<(), PolicyError> {
    let metadata = root.require("metadata", "add `metadata:` with a `name:`")?;
    let mut metadata = Fields::of(metadata.node, "metadata", &["name", "description", "owner"])?;
    metadata.require("name", "name the document")?.checked(name_problem)?;
    metadata.text("description")?;
    metadata.text("owner")?;
    Ok(())
}

/// The fields below a checked `apiVersion` and a `kind` that is one of `kinds`.
pub(crate) fn open<'a>(text: &str, kinds: &[&'a str]) -> Result<(Fields, &'a str), PolicyError> {
    let known = &["apiVersion", "kind", "metadata", "spec", "cases"];
    let mut root = Fields::of(yaml::parse(text)?, "the document", known)?;
    let version = root.require("apiVersion", "write `apiVersion: policy.horizon.dev/v1`")?;
    if version.text()? != API_VERSION {
        return Err(version.invalid(format!("`{}`", shown(&version.text()?)), format!("`{API_VERSION}`")));
    }
    let field = root.require("kind", "write `kind: Policy`, or `kind: PolicyTest` for a table of cases")?;
    let text = field.text()?;
    let Some(kind) = kinds.iter().find(|kind| **kind == text) else {
        let names: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
        return Err(field.invalid(format!("`{}`", shown(&text)), names.join(" or ")));
    };
    // A table of cases has `cases` where every other document has `spec`.
    let foreign = if *kind == "PolicyTest" { "spec" } else { "cases" };
    if root.has(foreign) {
        return Err(PolicyError::UnknownField {
            at: root.position(foreign).at(),
            field: foreign.to_owned(),
            expected: format!("`apiVersion`, `kind`, `metadata` and what a `{kind}` holds"),
        });
    }
    Ok((root, kind))
}
