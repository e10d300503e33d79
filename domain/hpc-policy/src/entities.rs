//! What a set knows by name: who may ask, what there is, and what can be done.
//!
//! A policy decides about any request; a search needs a list to look through, and an enforcement point that knows
//! only an id needs somebody who knows the rest.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::context::{EvaluationContext, Principal, PrincipalKind, Resource};
use crate::decode::{Field, Fields};
use crate::document;
use crate::error::PolicyError;
use crate::limits::{ENTITIES_MAX, ENTITY_ACTIONS_MAX, SCHEMA_MISTAKES_MAX};
use crate::parties;
use crate::schema::Schema;
use crate::yaml::Pos;

/// The subjects, resources and actions of every `kind: PolicyEntities` in a [`PolicySet`](crate::PolicySet).
///
/// ```
/// use hpc_policy::{PolicySet, PrincipalKind};
///
/// let policy = "
/// apiVersion: policy.horizon.dev/v1
/// kind: Policy
/// metadata: {name: read}
/// spec:
///   principals: [{type: any}]
///   resources: [{type: record, pattern: '**'}]
///   actions: [read]
///   effect: allow
/// ";
/// let entities = "
/// apiVersion: policy.horizon.dev/v1
/// kind: PolicyEntities
/// metadata: {name: records}
/// spec:
///   subjects: [{user: alice, roles: [editor]}]
///   resources: [{type: record, id: record-1, attributes: {status: active}}]
///   actions: [{name: read}]
/// ";
/// let set = PolicySet::parse_documents([("policy.yaml", policy), ("entities.yaml", entities)])
///     .map_err(|errors| errors[0].clone())?;
/// let alice = set.entities().subject(PrincipalKind::User, "alice").expect("listed above");
/// assert_eq!(alice.roles(), ["editor"]);
/// assert_eq!(set.entities().resources_of("record").len(), 1);
/// # Ok::<(), hpc_policy::PolicyError>(())
/// ```
#[derive(Debug, Default, Clone)]
pub struct Entities {
    subjects: BTreeMap<&'static str, Vec<Principal>>,
    resources: BTreeMap<String, Vec<Resource>>,
    actions: Vec<String>,
}

impl Entities {
    /// All known principals of one kind, ordered by id.
    #[must_use]
    pub fn subjects_of(&self, kind: PrincipalKind) -> &[Principal] {
        self.subjects.get(kind.as_str()).map_or(&[], Vec::as_slice)
    }

    /// All known resources of one type, ordered by id.
    #[must_use]
    pub fn resources_of(&self, resource_type: &str) -> &[Resource] {
        self.resources.get(resource_type).map_or(&[], Vec::as_slice)
    }

    /// All known resources, ordered by type and id.
    pub(crate) fn all_resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values().flatten()
    }

    /// All known principals.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = &Principal> {
        self.subjects.values().flatten()
    }

    /// The types of all known resources, ordered.
    pub(crate) fn resource_types(&self) -> impl Iterator<Item = &str> {
        self.resources.keys().map(String::as_str)
    }

    /// All known actions, ordered.
    #[must_use]
    pub fn actions(&self) -> &[String] {
        &self.actions
    }

    /// What is known of one principal.
    #[must_use]
    pub fn subject(&self, kind: PrincipalKind, id: &str) -> Option<&Principal> {
        let subjects = self.subjects_of(kind);
        subjects.get(subjects.binary_search_by(|subject| subject.id().cmp(id)).ok()?)
    }

    /// What is known of one resource.
    #[must_use]
    pub fn resource(&self, resource_type: &str, id: &str) -> Option<&Resource> {
        let resources = self.resources_of(resource_type);
        resources.get(resources.binary_search_by(|resource| resource.id().cmp(id)).ok()?)
    }
}

/// One document: entities with their places.
pub(crate) struct EntitiesDocument {
    subjects: Vec<(Pos, Principal)>,
    resources: Vec<(Pos, Resource)>,
    actions: Vec<(Pos, String)>,
}

impl EntitiesDocument {
    /// What of it the schema does not know, or says cannot be.
    pub(crate) fn check(&self, schema: &Schema, mistakes: &mut Vec<PolicyError>) {
        let subjects = self.subjects.iter().map(|(pos, subject)| (pos, asked_by(subject)));
        let resources = self.resources.iter().map(|(pos, resource)| (pos, asked_about(resource)));
        for (pos, context) in subjects.chain(resources) {
            if mistakes.len() >= SCHEMA_MISTAKES_MAX {
                return;
            }
            if let Err((field, problem)) = schema.check_attributes(&context) {
                let expected = "what the schema of the set declares".to_owned();
                mistakes.push(PolicyError::Invalid { at: pos.at(), field, found: problem, expected });
            }
        }
        let actions = self.actions.iter().filter_map(|(pos, action)| schema.check_action(action, *pos).err());
        mistakes.extend(actions.take(SCHEMA_MISTAKES_MAX));
    }
}

fn asked_by(subject: &Principal) -> EvaluationContext {
    EvaluationContext::new(subject.clone(), Resource::new("any", "any"), "any")
}

fn asked_about(resource: &Resource) -> EvaluationContext {
    EvaluationContext::new(Principal::user("any"), resource.clone(), "any")
}

/// Reads the fields below `kind: PolicyEntities`.
pub(crate) fn read(root: &mut Fields) -> Result<EntitiesDocument, PolicyError> {
    document::read_name(root)?;
    let spec = root.require("spec", "list `subjects`, `resources` or `actions`")?;
    let mut spec = Fields::of(spec.node, "spec", &["subjects", "resources", "actions"])?;
    if !["subjects", "resources", "actions"].iter().any(|name| spec.has(name)) {
        return Err(PolicyError::MissingField {
            at: spec.pos.at(),
            field: "subjects",
            advice: "list at least one of `subjects`, `resources` and `actions`",
        });
    }
    Ok(EntitiesDocument {
        subjects: items(&mut spec, "subjects", SUBJECTS, ENTITIES_MAX, parties::principal, asked_by)?,
        resources: items(&mut spec, "resources", RESOURCES, ENTITIES_MAX, parties::resource, asked_about)?,
        actions: items(&mut spec, "actions", ACTIONS, ENTITY_ACTIONS_MAX, action, |action| {
            EvaluationContext::new(Principal::user("any"), Resource::new("any", "any"), action)
        })?,
    })
}

const SUBJECTS: &str = "the number of subjects";
const RESOURCES: &str = "the number of resources";
const ACTIONS: &str = "the number of actions";

/// The list `name`, each item of which a request could hold.
fn items<T>(
    spec: &mut Fields,
    name: &'static str,
    what: &'static str,
    max: usize,
    read: fn(Field) -> Result<T, PolicyError>,
    asked: fn(&T) -> EvaluationContext,
) -> Result<Vec<(Pos, T)>, PolicyError> {
    let Some(field) = spec.take(name) else { return Ok(Vec::new()) };
    let mut items = Vec::new();
    for field in field.list(max, what)? {
        let pos = field.pos();
        let item = read(field)?;
        if let Err(PolicyError::InvalidRequest { field, problem }) = asked(&item).check() {
            let found = format!("not usable: it {problem}");
            let expected = "a name or value that a request can hold".to_owned();
            return Err(PolicyError::Invalid { at: pos.at(), field, found, expected });
        }
        items.push((pos, item));
    }
    Ok(items)
}

fn action(field: Field) -> Result<String, PolicyError> {
    let mut fields = Fields::of(field.node, "an action", &["name"])?;
    fields.require("name", "name the action")?.text()
}

/// Entities of several documents on their way into one list, each once.
#[derive(Default)]
pub(crate) struct Gathered {
    subjects: BTreeMap<(&'static str, String), Principal>,
    resources: BTreeMap<(String, String), Resource>,
    actions: BTreeMap<String, ()>,
}

impl Gathered {
    /// Adds a document.
    ///
    /// # Errors
    /// [`PolicyError::DuplicateName`] and [`PolicyError::Limit`], at the entity that is one too many.
    pub(crate) fn add(&mut self, document: EntitiesDocument) -> Result<(), PolicyError> {
        for (pos, subject) in document.subjects {
            let name = subject.to_string();
            let key = (subject.kind().as_str(), subject.id().to_owned());
            insert(&mut self.subjects, key, subject, ("subject", name), pos, (SUBJECTS, ENTITIES_MAX))?;
        }
        for (pos, resource) in document.resources {
            let name = format!("{}:{}", resource.resource_type(), resource.id());
            let key = (resource.resource_type().to_owned(), resource.id().to_owned());
            insert(&mut self.resources, key, resource, ("resource", name), pos, (RESOURCES, ENTITIES_MAX))?;
        }
        for (pos, action) in document.actions {
            let name = action.clone();
            insert(&mut self.actions, action, (), ("action", name), pos, (ACTIONS, ENTITY_ACTIONS_MAX))?;
        }
        Ok(())
    }

    pub(crate) fn into_entities(self) -> Entities {
        let mut entities = Entities { actions: self.actions.into_keys().collect(), ..Entities::default() };
        // The maps are ordered by type and id, so each list comes out ordered by id.
        for ((kind, _), subject) in self.subjects {
            entities.subjects.entry(kind).or_default().push(subject);
        }
        for ((kind, _), resource) in self.resources {
            entities.resources.entry(kind).or_default().push(resource);
        }
        entities
    }
}

fn insert<K: Ord, T>(
    known: &mut BTreeMap<K, T>,
    key: K,
    item: T,
    (what, name): (&'static str, String),
    pos: Pos,
    (counted, max): (&'static str, usize),
) -> Result<(), PolicyError> {
    let full = known.len() >= max;
    match known.entry(key) {
        Entry::Occupied(_) => Err(PolicyError::DuplicateName { at: pos.at(), what, name }),
        Entry::Vacant(_) if full => Err(PolicyError::Limit { at: pos.at(), what: counted, max }),
        Entry::Vacant(free) => {
            free.insert(item);
            Ok(())
        }
    }
}
