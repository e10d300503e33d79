//! A world as Cedar policies and entities, and a request put to them.

use std::collections::BTreeMap;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet,
    Request as Asked, RestrictedExpression,
};

use crate::model::{Condition, Datum, Name, Request, Right, Rule, Test, Who, World};

/// How conditions are translated.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Style {
    /// With `has` before every look, and a deny turned round: it spares what is certainly false.
    Guarded,
    /// Word for word.
    AsItStands,
}

/// A world as Cedar's policies.
pub(crate) struct Cedar<'a> {
    world: &'a World,
    set: PolicySet,
    /// What was parsed.
    pub(crate) text: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    /// Numbers of the rules that Cedar could not evaluate.
    pub(crate) errors: Vec<usize>,
}

impl<'a> Cedar<'a> {
    pub(crate) fn of(world: &'a World, style: Style) -> Self {
        let text: String = world.rules.iter().map(|rule| policy(rule, style)).collect();
        let set = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
        Self { world, set, text }
    }

    pub(crate) fn ask(&self, request: &Request) -> Answer {
        let asked = Asked::new(
            uid("User", &request.id),
            uid("Action", &request.action),
            uid(&request.resource_type, &request.resource_id),
            Context::from_pairs(attributes(request, "context.")).unwrap(),
            None,
        );
        let entities = entities(self.world, request);
        let response = Authorizer::new().is_authorized(&asked.unwrap(), &self.set, &entities);
        let errors = response.diagnostics().errors().map(|error| {
            let AuthorizationError::PolicyEvaluationError(error) = error;
            // Cedar numbers the policies of a text: `policy0`, `policy1`.
            error.policy_id().to_string().trim_start_matches("policy").parse().unwrap()
        });
        Answer { allowed: response.decision() == Decision::Allow, errors: errors.collect() }
    }
}

fn uid(kind: &str, id: &str) -> EntityUid {
    format!("{kind}::{id:?}").parse().unwrap()
}

fn attributes(request: &Request, root: &str) -> BTreeMap<String, RestrictedExpression> {
    let below = request.attributes.iter().filter_map(|(path, datum)| Some((path.strip_prefix(root)?, datum)));
    below.map(|(name, datum)| (name.to_owned(), expression(datum).parse().unwrap())).collect()
}

/// Who is in what: roles in the roles they include, members in their groups.
fn entities(world: &World, request: &Request) -> Entities {
    let mut parents: BTreeMap<EntityUid, Vec<EntityUid>> = BTreeMap::new();
    let user = uid("User", &request.id);
    let own = request.roles.iter().map(|role| uid("Role", role));
    parents
        .entry(user.clone())
        .or_default()
        .extend(own.chain(request.teams.iter().map(|team| uid("Team", team))));
    for (role, included) in &world.roles {
        parents.entry(uid("Role", role)).or_default().extend(included.iter().map(|role| uid("Role", role)));
    }
    for (group, members) in &world.groups {
        for member in members {
            let member = match member {
                Who::Id("user", Name::Exact(id)) => uid("User", id),
                Who::Role(Name::Exact(role)) => uid("Role", role),
                Who::Team(Name::Exact(team)) => uid("Team", team),
                Who::Group(inner) => uid("Group", inner),
                other => unreachable!("not in the common language: {other:?}"),
            };
            parents.entry(member).or_default().push(uid("Group", group));
        }
    }
    let mut thing = attributes(request, "resource.");
    thing.insert("id".to_owned(), RestrictedExpression::new_string(request.resource_id.clone()));
    let thing_uid = uid(&request.resource_type, &request.resource_id);
    let mut all = vec![Entity::new(thing_uid, thing.into_iter().collect(), [].into()).unwrap()];
    for (entity, parents) in parents {
        let own = if entity == user { attributes(request, "principal.") } else { BTreeMap::new() };
        all.push(Entity::new(entity, own.into_iter().collect(), parents.into_iter().collect()).unwrap());
    }
    Entities::from_entities(all, None).unwrap()
}

fn policy(rule: &Rule, style: Style) -> String {
    let effect = if rule.allow { "permit" } else { "forbid" };
    let actions: Vec<String> = rule
        .actions
        .iter()
        .map(|action| match action {
            Name::Exact(action) => format!("Action::{action:?}"),
            Name::Pattern(_) => unreachable!("not in the common language"),
        })
        .collect();
    let principals = any(rule.principals.iter().map(|who| match who {
        Who::Any => "true".to_owned(),
        Who::Id("user", Name::Exact(id)) => format!("principal == User::{id:?}"),
        Who::Role(Name::Exact(role)) => format!("principal in Role::{role:?}"),
        Who::Team(Name::Exact(team)) => format!("principal in Team::{team:?}"),
        Who::Group(group) => format!("principal in Group::{group:?}"),
        other => unreachable!("not in the common language: {other:?}"),
    }));
    let resources = any(rule.resources.iter().map(|(kind, id)| {
        let kind = if kind == "*" { "true".to_owned() } else { format!("resource is {kind}") };
        match id {
            Name::Exact(id) => format!("{kind} && resource.id == {id:?}"),
            Name::Pattern(pattern) => format!("{kind} && resource.id like \"{}\"", like(pattern)),
        }
    }));
    let conditions = Condition::All(rule.conditions.clone());
    let conditions = match (style, rule.allow) {
        (Style::AsItStands, _) => word_for_word(&conditions),
        (Style::Guarded, true) => certainly(&conditions, true),
        (Style::Guarded, false) => format!("!({})", certainly(&conditions, false)),
    };
    let actions = actions.join(", ");
    format!(
        "{effect}(principal, action in [{actions}], resource)\nwhen {{ {principals} && {resources} && ({conditions}) }};\n"
    )
}

fn any(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.map(|part| format!("({part})")).collect();
    if parts.is_empty() { "false".to_owned() } else { format!("({})", parts.join(" || ")) }
}

fn every(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.map(|part| format!("({part})")).collect();
    if parts.is_empty() { "true".to_owned() } else { format!("({})", parts.join(" && ")) }
}

fn word_for_word(condition: &Condition) -> String {
    match condition {
        Condition::All(inner) => every(inner.iter().map(word_for_word)),
        Condition::Any(inner) => any(inner.iter().map(word_for_word)),
        Condition::Not(inner) => format!("!({})", word_for_word(inner)),
        Condition::Leaf(attribute, test) => comparison(attribute, test),
    }
}

/// Holds if the condition certainly has this truth value; never an error, if every value has its usual type.
fn certainly(condition: &Condition, truth: bool) -> String {
    match (condition, truth) {
        (Condition::All(inner), true) | (Condition::Any(inner), false) => {
            every(inner.iter().map(|one| certainly(one, truth)))
        }
        (Condition::All(inner), false) | (Condition::Any(inner), true) => {
            any(inner.iter().map(|one| certainly(one, truth)))
        }
        (Condition::Not(inner), _) => certainly(inner, !truth),
        (Condition::Leaf(attribute, test), _) => {
            let mut parts = Vec::new();
            if !matches!(test, Test::Exists(_)) {
                parts.push(present(attribute));
            }
            if let Test::With(_, Right::Attribute(other)) = test {
                parts.push(present(other));
            }
            let comparison = comparison(attribute, test);
            parts.push(if truth { comparison } else { format!("!({comparison})") });
            every(parts.into_iter())
        }
    }
}

fn present(attribute: &str) -> String {
    let (root, name) = attribute.split_once('.').unwrap();
    format!("{root} has {name}")
}

fn comparison(attribute: &str, test: &Test) -> String {
    match test {
        Test::Exists(true) => present(attribute),
        Test::Exists(false) => format!("!({})", present(attribute)),
        Test::Glob(pattern) => format!("{attribute} like \"{}\"", like(pattern)),
        Test::Cidr(networks) => {
            any(networks.iter().map(|network| format!("{attribute}.isInRange(ip(\"{network}\"))")))
        }
        Test::Range(min, max) => format!("{attribute} >= {min} && {attribute} <= {max}"),
        Test::With(operator, right) => {
            let literal = match right {
                Right::Value(value) => expression(value),
                Right::Attribute(path) => path.clone(),
            };
            let part = match right {
                Right::Value(Datum::Text(text)) => text.replace('*', "\\*"),
                _ => String::new(),
            };
            match *operator {
                "eq" => format!("{attribute} == {literal}"),
                "ne" => format!("{attribute} != {literal}"),
                "gt" => format!("{attribute} > {literal}"),
                "gte" => format!("{attribute} >= {literal}"),
                "lt" => format!("{attribute} < {literal}"),
                "lte" => format!("{attribute} <= {literal}"),
                "in" => format!("{literal}.contains({attribute})"),
                "not_in" => format!("!({literal}.contains({attribute}))"),
                "starts_with" => format!("{attribute} like \"{part}*\""),
                "ends_with" => format!("{attribute} like \"*{part}\""),
                "contains" if attribute == "context.list" => format!("{attribute}.contains({literal})"),
                _ => format!("{attribute} like \"*{part}*\""),
            }
        }
        other => unreachable!("not in the common language: {other:?}"),
    }
}

/// `**` is Cedar's `*`; our `*` stays within a segment, which Cedar cannot say.
fn like(pattern: &str) -> String {
    let like = pattern.replace("**", "\u{0}");
    assert!(!like.contains('*'), "not in the common language: {pattern}");
    like.replace('\u{0}', "*")
}

fn expression(value: &Datum) -> String {
    match value {
        Datum::Text(text) => format!("{text:?}"),
        Datum::Number(number) => number.to_string(),
        Datum::Flag(flag) => flag.to_string(),
        Datum::Address(text) => format!("ip(\"{text}\")"),
        Datum::List(items) => format!("[{}]", items.iter().map(expression).collect::<Vec<_>>().join(", ")),
        other => unreachable!("not in the common language: {other:?}"),
    }
}
