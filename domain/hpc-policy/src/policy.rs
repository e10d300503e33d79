//! One policy document into compiled rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::condition_parse;
use crate::context::{EvaluationContext, PrincipalKind};
use crate::decision::Decision;
use crate::decode::{self, Field, Fields, shown};
use crate::digest;
use crate::document;
use crate::error::PolicyError;
use crate::explain;
use crate::glob::Glob;
use crate::groups::{self, Closed};
use crate::identifier::{name_problem, path_problem, spiffe_problem};
use crate::limits::{OBLIGATIONS_MAX, RULES_MAX, SCOPE_ITEMS_MAX};
use crate::obligation;
use crate::rule::{Effect, PrincipalMatch, ResourceMatch, Rule, Text};
use crate::value::Value;
use crate::yaml;

/// The only `apiVersion` there is.
pub const API_VERSION: &str = "policy.horizon.dev/v1";

const RULE_FIELDS: [&str; 10] = [
    "name",
    "effect",
    "principals",
    "resources",
    "actions",
    "conditions",
    "obligations",
    "advice",
    "owner",
    "message",
];
const SINGLE_FIELDS: [&str; 10] = [
    "rules",
    "effect",
    "principals",
    "resources",
    "actions",
    "conditions",
    "obligations",
    "advice",
    "owner",
    "message",
];

/// A parsed policy document.
#[derive(Debug, Clone)]
pub struct Policy {
    name: Arc<str>,
    name_at: yaml::Pos,
    description: Option<Arc<str>>,
    rules: Arc<[Rule]>,
    digest: Arc<str>,
}

impl Policy {
    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `metadata.description`, if given.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The rules, in the order of the document.
    pub fn rules(&self) -> impl Iterator<Item = RuleSummary<'_>> {
        self.rules.iter().map(RuleSummary)
    }

    /// BLAKE3 of the document's text, 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Tells the rules which document they are in, and puts the members of groups into them.
    pub(crate) fn resolve(&mut self, document: &Arc<str>, groups: &mut Closed) -> Result<(), PolicyError> {
        // Shared by nobody yet: a policy is resolved where it was parsed.
        Arc::get_mut(&mut self.rules).into_iter().flatten().try_for_each(|rule| {
            rule.document = Some(Arc::clone(document));
            groups.resolve(rule)
        })
    }

    pub(crate) fn compiled(&self) -> &Arc<[Rule]> {
        &self.rules
    }

    pub(crate) fn name_at(&self) -> yaml::Pos {
        self.name_at
    }
}

/// A rule's outside, for listings.
#[derive(Debug, Clone, Copy)]
pub struct RuleSummary<'a>(pub(crate) &'a Rule);

impl<'a> RuleSummary<'a> {
    /// The document it is in, by the name given to
    /// [`PolicySet::parse_documents`](crate::PolicySet::parse_documents); `None` for a policy parsed alone.
    #[must_use]
    pub fn document(&self) -> Option<&'a str> {
        self.0.document.as_deref()
    }

    /// The policy it is in.
    #[must_use]
    pub fn policy(&self) -> &'a str {
        &self.0.policy
    }

    /// Its name; the policy's name in the single-rule form.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.0.name
    }

    /// Line of its document where it begins.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.0.line
    }

    /// Allow or deny.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// Whom to ask about it.
    #[must_use]
    pub fn owner(&self) -> Option<&'a str> {
        self.0.owner.as_deref()
    }

    /// What to tell those it concerns.
    #[must_use]
    pub fn message(&self) -> Option<&'a str> {
        self.0.message.as_deref()
    }
}

/// Parses one policy document: the single-rule form of the specification, or `spec.rules`.
///
/// # Errors
/// Every [`PolicyError`] with a location: the text is not YAML, uses a refused feature, passes a limit,
/// or a field is unknown, missing, given twice or of the wrong form.
///
/// # Example
/// ```
/// let policy = hpc_policy::parse_policy("
/// apiVersion: policy.horizon.dev/v1
/// kind: Policy
/// metadata: {name: read-all}
/// spec:
///   principals: [{type: any}]
///   resources: [{type: '*', pattern: '**'}]
///   actions: [read]
///   effect: allow
/// ")?;
/// assert_eq!(policy.name(), "read-all");
/// # Ok::<(), hpc_policy::PolicyError>(())
/// ```
pub fn parse_policy(text: &str) -> Result<Policy, PolicyError> {
    let (mut root, kind) = document::open(text, &["Policy"])?;
    debug_assert_eq!(kind, "Policy");
    let policy = read(&mut root, text)?;
    let mut principals = policy.rules.iter().flat_map(|rule| &rule.principals);
    match principals.find_map(|principal| match principal {
        PrincipalMatch::Group { name, at, .. } => Some((name, *at)),
        _ => None,
    }) {
        // Only a set knows groups.
        Some((name, at)) => Err(groups::unknown(name, at)),
        None => Ok(policy),
    }
}

/// The policy below a header that says `Policy`.
pub(crate) fn read(root: &mut Fields, text: &str) -> Result<Policy, PolicyError> {
    let metadata = root.require("metadata", "add `metadata:` with a `name:`")?;
    let mut metadata = Fields::of(metadata.node, "metadata", &["name", "description", "owner"])?;
    let name = metadata.require("name", "name the policy")?;
    let name_at = name.pos();
    let name: Arc<str> = name.checked(name_problem)?.into();
    let description = metadata.text("description")?.map(Arc::from);
    let owner: Option<Arc<str>> = metadata.text("owner")?.map(Arc::from);

    let spec = root.require(
        "spec",
        "add `spec:` with `rules:`, or with `principals`, `resources`, `actions`, `effect`",
    )?;
    let line = spec.pos().line;
    let mut spec = Fields::of(spec.node, "spec", &SINGLE_FIELDS)?;
    let mut rules = Vec::new();
    if let Some(list) = spec.take("rules") {
        if let Some(beside) = SINGLE_FIELDS.iter().find(|field| spec.has(field)) {
            return Err(PolicyError::UnknownField {
                at: spec.position(beside).at(),
                field: (*beside).to_owned(),
                expected: "nothing beside `rules`; move it into each rule".to_owned(),
            });
        }
        let mut names = BTreeSet::new();
        for item in list.list(RULES_MAX, "the number of rules")? {
            let line = item.pos().line;
            let mut fields = Fields::of(item.node, "a rule", &RULE_FIELDS)?;
            let field = fields.require("name", "name the rule; decisions refer to it")?;
            let rule_name = field.checked(name_problem)?;
            if !names.insert(rule_name.clone()) {
                return Err(PolicyError::DuplicateName {
                    at: field.pos().at(),
                    what: "rule",
                    name: rule_name,
                });
            }
            rules.push(rule(fields, &name, rule_name.into(), line, owner.clone())?);
        }
    } else {
        rules.push(rule(spec, &name, Arc::clone(&name), line, owner)?);
    }
    obligation::check_types(&mut BTreeMap::new(), &rules)?;
    Ok(Policy { name, name_at, description, rules: rules.into(), digest: digest::of_policy(text) })
}

/// Whether `policy` alone allows what `context` asks, and why.
///
/// A rule that cannot be evaluated is a reason inside the decision, not an error.
///
/// # Errors
/// Only [`PolicyError::InvalidRequest`], when the request has no single reading;
/// see [`EvaluationContext::check`]. [`PolicySet::evaluate`](crate::PolicySet::evaluate) turns it into a refusal.
pub fn evaluate(policy: &Policy, context: &EvaluationContext) -> Result<Decision, PolicyError> {
    context.check()?;
    let rules: Vec<&Rule> = policy.rules.iter().collect();
    Ok(explain::explain(&rules, context, &policy.digest))
}

fn rule(
    mut fields: Fields,
    policy: &Arc<str>,
    name: Arc<str>,
    line: u32,
    policy_owner: Option<Arc<str>>,
) -> Result<Rule, PolicyError> {
    let effect = fields.require("effect", "write `effect: allow` or `effect: deny`")?;
    let effect = match effect.text()?.as_str() {
        "allow" => Effect::Allow,
        "deny" => Effect::Deny,
        other => return Err(effect.invalid(format!("`{}`", shown(other)), "`allow` or `deny`")),
    };
    let principals = fields
        .require("principals", "say who; `- type: any` is everybody")?
        .list(SCOPE_ITEMS_MAX, "the number of principals")?
        .into_iter()
        .map(principal)
        .collect::<Result<_, _>>()?;
    let resources = fields
        .require("resources", "say what; `- {type: \"*\", pattern: \"**\"}` is everything")?
        .list(SCOPE_ITEMS_MAX, "the number of resources")?
        .into_iter()
        .map(resource)
        .collect::<Result<_, _>>()?;
    let listed = fields
        .require("actions", "say which; `[\"**\"]` is every action")?
        .list(SCOPE_ITEMS_MAX, "the number of actions")?;
    let actions = listed.iter().map(action).collect::<Result<_, _>>()?;
    let conditions = condition_parse::conditions(fields.take("conditions"))?;
    Ok(Rule {
        document: None,
        policy: Arc::clone(policy),
        name,
        line,
        effect,
        principals,
        resources,
        actions,
        actions_at: listed.iter().map(Field::pos).collect(),
        conditions,
        obligations: duties(fields.take("obligations"), "the number of obligations")?,
        advice: duties(fields.take("advice"), "the number of advice items")?,
        owner: fields.text("owner")?.map(Arc::from).or(policy_owner),
        message: fields.text("message")?.map(Arc::from),
    })
}

pub(crate) fn principal(field: Field) -> Result<PrincipalMatch, PolicyError> {
    let mut fields = Fields::of(field.node, "a principal", &["type", "value", "pattern"])?;
    let kind = fields
        .require("type", "one of `user`, `role`, `team`, `group`, `service`, `agent`, `spiffe`, `any`")?;
    let word = kind.text()?;
    let problem = if word == "spiffe" { spiffe_problem } else { name_problem };
    let text = |fields: &mut Fields| either(fields, "value", problem, b'/');
    Ok(match word.as_str() {
        "any" => {
            if let Some(extra) = fields.take("value").or_else(|| fields.take("pattern")) {
                return Err(extra.invalid("given for type `any`", "no value: `any` is everybody"));
            }
            PrincipalMatch::Any
        }
        "user" => PrincipalMatch::Id(PrincipalKind::User, text(&mut fields)?),
        "service" => PrincipalMatch::Id(PrincipalKind::Service, text(&mut fields)?),
        "agent" => PrincipalMatch::Id(PrincipalKind::Agent, text(&mut fields)?),
        "role" => PrincipalMatch::Role(text(&mut fields)?, None),
        "group" => {
            let value = fields.require("value", "name the group")?;
            let name = value.checked(name_problem)?.into();
            PrincipalMatch::Group { name, at: value.pos(), members: [].into() }
        }
        "team" => PrincipalMatch::Team(text(&mut fields)?),
        "spiffe" => PrincipalMatch::Spiffe(text(&mut fields)?),
        other => {
            let expected = "one of `user`, `role`, `team`, `group`, `service`, `agent`, `spiffe`, `any`";
            return Err(kind.invalid(format!("`{}`", shown(other)), expected));
        }
    })
}

fn resource(field: Field) -> Result<ResourceMatch, PolicyError> {
    let mut fields = Fields::of(field.node, "a resource", &["type", "id", "pattern"])?;
    let kind = fields.require("type", "name the resource type, or `\"*\"` for every type")?;
    let word = kind.checked(name_problem)?;
    let covered = match word.as_str() {
        "*" => None,
        other if other.contains('*') => {
            return Err(kind.invalid(format!("`{}`", shown(other)), "a type without `*`, or `\"*\"` alone"));
        }
        _ => Some(word.into_boxed_str()),
    };
    Ok(ResourceMatch { kind: covered, at: kind.pos(), id: either(&mut fields, "id", path_problem, b'/')? })
}

fn action(field: &Field) -> Result<Text, PolicyError> {
    let text = field.checked(name_problem)?;
    if text.contains('*') { pattern(field, &text, b'.') } else { Ok(Text::Exact(text.into())) }
}

/// Exactly one of a literal and `pattern`.
fn either(
    fields: &mut Fields,
    literal: &'static str,
    problem: fn(&str) -> Option<&'static str>,
    separator: u8,
) -> Result<Text, PolicyError> {
    match (fields.take(literal), fields.take("pattern")) {
        (Some(_), Some(pattern)) => {
            Err(pattern.invalid(format!("given beside `{literal}`"), "one of the two"))
        }
        (None, None) => Err(PolicyError::MissingField {
            at: fields.pos.at(),
            field: literal,
            advice: "name one exactly, or give a `pattern`; `\"**\"` matches everything",
        }),
        (Some(field), None) => {
            let text = field.checked(problem)?;
            if text.contains('*') {
                return Err(field.invalid(format!("`{}`", shown(&text)), "a literal; use `pattern` for `*`"));
            }
            Ok(Text::Exact(text.into()))
        }
        (None, Some(field)) => {
            let text = field.text()?;
            // `**` alone is every id, whatever an id of this kind must begin with.
            let text = if text == "**" { text } else { field.checked(problem)? };
            pattern(&field, &text, separator)
        }
    }
}

fn pattern(field: &Field, text: &str, separator: u8) -> Result<Text, PolicyError> {
    if text == "*" {
        // Read as "everything" by people and as "one segment" by the matcher: a deny would miss, silently.
        return Err(field.invalid("`*`, which stays within one segment", "`**` for everything"));
    }
    let glob = Glob::compile(text, separator).map_err(|problem| field.invalid(problem, "a glob"))?;
    Ok(if text.contains('*') { Text::Glob(glob) } else { Text::Exact(text.into()) })
}

fn duties(field: Option<Field>, what: &'static str) -> Result<BTreeMap<String, Value>, PolicyError> {
    let Some(field) = field else { return Ok(BTreeMap::new()) };
    let mut duties = BTreeMap::new();
    for (key, value) in decode::values(field, OBLIGATIONS_MAX, what)? {
        let usable = match &value {
            Value::Integer(_) | Value::Bool(_) | Value::String(_) => true,
            Value::List(items) => {
                items.iter().all(|item| matches!(item, Value::String(_))) && !items.is_empty()
            }
            _ => false,
        };
        if !usable {
            let expected = "an integer, a boolean, a string or a list of strings".to_owned();
            return Err(decode::invalid(key.pos, &key.text, value.type_name().to_owned(), expected));
        }
        duties.insert(key.text, value);
    }
    Ok(duties)
}
