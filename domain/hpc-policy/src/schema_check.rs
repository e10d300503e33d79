//! Whether rules, entities and cases keep to a schema: names it declares, and comparisons that can hold.

use crate::condition::{Condition, Leaf, Operand, Test, Truth};
use crate::context::{EvaluationContext, Principal, PrincipalKind, Resource};
use crate::decode::{distance, shown};
use crate::error::PolicyError;
use crate::explain::listed;
use crate::path::{AttributePath, Source};
use crate::rule::{Rule, Text};
use crate::schema::{AttributeType, ScalarType, Schema};
use crate::value::Value;
use crate::yaml::Pos;

impl Schema {
    /// Whether a request keeps to the schema. Decisions do not ask for this; it is for whoever tests what an enforcement
    /// point sends.
    ///
    /// # Errors
    /// Only [`PolicyError::InvalidRequest`]: the action, the type of resource or an attribute is not declared, or a value
    /// is none of those that the schema allows.
    pub fn check(&self, context: &EvaluationContext) -> Result<(), PolicyError> {
        let invalid = |field: String, problem: String| Err(PolicyError::InvalidRequest { field, problem });
        let (action, kind) = (context.action(), context.resource().resource_type());
        if !self.knows_action(action) {
            return invalid("action".to_owned(), format!("`{}` is not in the schema", shown(action)));
        }
        if !self.pairs(action, kind) {
            let problem = format!("`{}` is none that `{action}` is for", shown(kind));
            return invalid("resource.type".to_owned(), problem);
        }
        self.check_attributes(context).or_else(|(field, problem)| invalid(field, format!("is {problem}")))?;
        for (root, attributes) in context.attribute_maps() {
            for name in attributes.keys() {
                let path = format!("{root}.{name}");
                let carriers = self.attribute(&path).map_or(&[][..], |kind| &kind.actions);
                if !carriers.is_empty() && !carriers.iter().any(|carrier| carrier == action) {
                    return invalid(path, format!("is not for requests for `{action}`"));
                }
            }
        }
        Ok(())
    }

    /// Everything in `rule` that the schema does not know or that can never hold.
    pub(crate) fn check_rule(&self, rule: &Rule, mistakes: &mut Vec<PolicyError>) {
        self.check_scope(rule, mistakes);
        rule.conditions.iter().for_each(|condition| self.check_condition(rule, condition, mistakes));
    }

    /// Attributes of a principal, resource or request that the schema does not know or that cannot be so.
    ///
    /// # Errors
    /// The path and the problem in words.
    pub(crate) fn check_attributes(&self, context: &EvaluationContext) -> Result<(), (String, String)> {
        for (root, attributes) in context.attribute_maps() {
            for (name, attribute) in attributes {
                let path = format!("{root}.{name}");
                match self.attribute(&path) {
                    None if self.knows(&path) => {}
                    None => return Err((path.clone(), format!("not in the schema{}", self.near(&path)))),
                    Some(kind) if kind.can_hold(&attribute.value) => {}
                    Some(kind) => return Err((path, format!("something else than {kind}"))),
                }
            }
        }
        Ok(())
    }

    /// The first attribute of a request that the schema does not declare.
    pub(crate) fn undeclared(&self, context: &EvaluationContext) -> Option<String> {
        let maps = context.attribute_maps();
        let mut paths = maps
            .into_iter()
            .flat_map(|(root, attributes)| attributes.keys().map(move |name| format!("{root}.{name}")));
        paths.find(|path| !self.knows(path))
    }

    /// An action that an entities document lists.
    pub(crate) fn check_action(&self, action: &str, at: Pos) -> Result<(), PolicyError> {
        if self.knows_action(action) { Ok(()) } else { Err(self.unknown_action(action, at)) }
    }

    fn check_scope(&self, rule: &Rule, mistakes: &mut Vec<PolicyError>) {
        let before = mistakes.len();
        let declared: Vec<&str> = self.actions().map(|(name, _)| name).collect();
        for (action, at) in rule.actions.iter().zip(&rule.actions_at) {
            match action {
                _ if declared.is_empty() => {}
                Text::Exact(name) if !self.knows_action(name) => {
                    mistakes.push(self.unknown_action(name, *at));
                }
                Text::Exact(_) => {}
                Text::Glob(glob) => {
                    if !declared.iter().any(|name| glob.matches(name)) {
                        let (name, advice) =
                            (glob.source().to_owned(), "no declared action matches it".to_owned());
                        mistakes.push(PolicyError::Undeclared { at: at.at(), what: "action", name, advice });
                    }
                }
            }
        }
        if mistakes.len() > before || declared.is_empty() {
            return;
        }
        // A pair of action and type that is never asked about does no harm as long as each is part of another pair.
        let of = |action: &Text, kind: Option<&str>| {
            let mut named = declared.iter().filter(|name| action.matches(name));
            kind.is_none_or(|kind| named.any(|name| self.pairs(name, kind)))
        };
        for resource in &rule.resources {
            let kind = resource.kind.as_deref();
            if !rule.actions.iter().any(|action| of(action, kind)) {
                mistakes.push(self.never_asked(rule, kind.unwrap_or("*"), resource.at));
            }
        }
        if mistakes.len() > before {
            return;
        }
        for (action, at) in rule.actions.iter().zip(&rule.actions_at) {
            if !rule.resources.iter().any(|resource| of(action, resource.kind.as_deref())) {
                let condition = format!("`{action}` on {}", listed(&rule.resources));
                let problem = "the schema has this action for other types of resources".to_owned();
                mistakes.push(PolicyError::Impossible { at: at.at(), condition, problem });
            }
        }
    }

    /// None of the rule's actions is about this type of resource.
    fn never_asked(&self, rule: &Rule, kind: &str, at: Pos) -> PolicyError {
        let mut types = self.actions().flat_map(|(_, types)| types);
        if types.any(|known| known == kind) {
            let condition = format!("{} on type `{kind}`", listed(&rule.actions));
            let problem = "the schema has it for other types of resources".to_owned();
            return PolicyError::Impossible { at: at.at(), condition, problem };
        }
        let mut types = self.actions().flat_map(|(_, types)| types);
        let advice = match types.find(|known| distance(known, kind) <= 2) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "no declared action is about it".to_owned(),
        };
        PolicyError::Undeclared { at: at.at(), what: "resource type", name: kind.to_owned(), advice }
    }

    fn check_condition(&self, rule: &Rule, condition: &Condition, mistakes: &mut Vec<PolicyError>) {
        match condition {
            Condition::All(inner) | Condition::Any(inner) => {
                inner.iter().for_each(|condition| self.check_condition(rule, condition, mistakes));
            }
            Condition::Not(inner) => self.check_condition(rule, inner, mistakes),
            Condition::Leaf(leaf) => mistakes.extend(self.check_leaf(rule, leaf).err()),
        }
    }

    fn check_leaf(&self, rule: &Rule, leaf: &Leaf) -> Result<(), PolicyError> {
        let Some(kind) = self.declared(rule, &leaf.path, leaf.at.attribute)? else { return Ok(()) };
        let impossible = |at: Pos, problem: String| {
            Err(PolicyError::Impossible { at: at.at(), condition: format!("`{}`", leaf.text), problem })
        };
        if let Some(need) = needed(&leaf.test, kind) {
            let problem = format!("`{}` is for {need}, and `{}` is {kind}", leaf.operator, leaf.path);
            return impossible(leaf.at.operator, problem);
        }
        let literal = match operand(&leaf.test) {
            Some(Operand::Attribute(path)) => {
                let Some(other) = self.declared(rule, path, leaf.at.operand)? else { return Ok(()) };
                let listed = match leaf.test {
                    Test::In { .. } => other.list,
                    _ => !other.list,
                };
                if other.scalar != kind.scalar || !listed {
                    let problem = format!("`{}` is {kind}, and `{path}` is {other}", leaf.path);
                    return impossible(leaf.at.operand, problem);
                }
                return Ok(());
            }
            Some(Operand::Literal(value)) => Some(value),
            None => None,
        };
        // Where whole values are named, each must be one that there is; part of a string is no value.
        let whole = match &leaf.test {
            Test::Equal { .. } | Test::In { .. } => literal,
            Test::Contains(_) if kind.list => literal,
            _ => None,
        };
        let items = match whole {
            Some(Value::List(items)) => items.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        if let Some(item) = items.iter().find(|item| !kind.can_be(item)) {
            let problem = format!("`{}` is {kind}, so never {item}", leaf.path);
            return impossible(leaf.at.operand, problem);
        }
        if literal.is_some_and(|value| whole.is_none() && ScalarType::of(value) != Some(kind.scalar)) {
            return impossible(leaf.at.operand, format!("`{}` is {kind}", leaf.path));
        }
        let possible = representatives(leaf, kind)
            .is_none_or(|values| values.into_iter().any(|value| holds(leaf, value)));
        if possible { Ok(()) } else { impossible(leaf.at.operand, format!("`{}` is {kind}", leaf.path)) }
    }

    /// The type of an attribute that a rule looks at; `None` where the schema declares no attributes.
    fn declared(
        &self,
        rule: &Rule,
        path: &AttributePath,
        at: Pos,
    ) -> Result<Option<&AttributeType>, PolicyError> {
        let name = path.to_string();
        if !self.knows(&name) {
            let near = self.near(&name);
            let advice = match near.strip_prefix("; ") {
                Some(near) => near.to_owned(),
                None => "declare it in a `kind: PolicySchema` document, or use one that is".to_owned(),
            };
            return Err(PolicyError::Undeclared { at: at.at(), what: "attribute", name, advice });
        }
        let Some(kind) = self.attribute(&name) else { return Ok(None) };
        let asked = |carrier: &String| rule.actions.iter().any(|action| action.matches(carrier));
        if !kind.actions.is_empty() && !kind.actions.iter().any(asked) {
            let carriers: Vec<String> = kind.actions.iter().take(8).map(|name| format!("`{name}`")).collect();
            let problem = format!("only requests for {} hold `{name}`", carriers.join(", "));
            let condition = "a condition of this rule".to_owned();
            return Err(PolicyError::Impossible { at: at.at(), condition, problem });
        }
        Ok(Some(kind))
    }

    fn unknown_action(&self, action: &str, at: Pos) -> PolicyError {
        let near = self.actions().map(|(name, _)| name).find(|name| distance(name, action) <= 2);
        let advice = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "declare it in a `kind: PolicySchema` document, or use one that is".to_owned(),
        };
        PolicyError::Undeclared { at: at.at(), what: "action", name: shown(action), advice }
    }

    fn near(&self, path: &str) -> String {
        let near = self.attributes().map(|(name, _)| name).find(|name| distance(name, path) <= 2);
        near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
    }
}

/// What the operator is for, if it is not for values of this type.
fn needed(test: &Test, kind: &AttributeType) -> Option<&'static str> {
    use ScalarType::{Integer, Ip, String, Timestamp};
    let one_of = |scalars: &[ScalarType]| !kind.list && scalars.contains(&kind.scalar);
    let (usable, need) = match test {
        Test::Exists(_) => (true, "anything"),
        Test::Equal { .. } | Test::In { .. } => (!kind.list, "single values"),
        Test::Contains(_) => (kind.list || kind.scalar == String, "lists and strings"),
        Test::Order { .. } => (one_of(&[Integer, Timestamp]), "integers and timestamps"),
        Test::StartsWith(_) | Test::EndsWith(_) | Test::Glob(_) => (one_of(&[String]), "strings"),
        Test::Semver(_) => (one_of(&[String]), "versions in strings"),
        Test::Cidr(_) => (one_of(&[Ip, String]), "addresses"),
        Test::TimeWindow(_) => (one_of(&[Timestamp]), "timestamps"),
        Test::Range { .. } => (one_of(&[Integer]), "integers"),
    };
    (!usable).then_some(need)
}

fn operand(test: &Test) -> Option<&Operand> {
    match test {
        Test::Equal { operand, .. }
        | Test::Order { operand, .. }
        | Test::In { operand, .. }
        | Test::Contains(operand)
        | Test::StartsWith(operand)
        | Test::EndsWith(operand) => Some(operand),
        _ => None,
    }
}

/// Values of this type among which is one for which the comparison holds, if there is any; `None` if that takes more than
/// a list. The truth of a comparison of integers only changes at its own limits.
fn representatives(leaf: &Leaf, kind: &AttributeType) -> Option<Vec<Value>> {
    if matches!(leaf.test, Test::Exists(_)) || kind.list {
        return None;
    }
    if !kind.values.is_empty() {
        return Some(kind.values.clone());
    }
    let limits = match (&leaf.test, operand(&leaf.test)) {
        (Test::Range { min, max }, _) => vec![*min, *max],
        (_, Some(Operand::Literal(Value::Integer(limit)))) => vec![*limit],
        _ => return None,
    };
    let near = limits.iter().flat_map(|limit| [limit.saturating_sub(1), *limit, limit.saturating_add(1)]);
    let within = near.chain([kind.min, kind.max]).filter(|number| (kind.min..=kind.max).contains(number));
    Some(within.map(Value::Integer).collect())
}

fn holds(leaf: &Leaf, value: Value) -> bool {
    let asked = |principal, kind: &str, action: &str| {
        EvaluationContext::new(principal, Resource::new(kind, "any"), action)
    };
    let anybody = || Principal::user("any");
    let context = match (leaf.path.source(), &value) {
        (Source::PrincipalType, Value::String(word)) => {
            let kinds = [PrincipalKind::User, PrincipalKind::Service, PrincipalKind::Agent];
            let kind = kinds.into_iter().find(|kind| kind.as_str() == word).unwrap_or(PrincipalKind::User);
            asked(Principal::new(kind, "any"), "any", "any")
        }
        (Source::ResourceType, Value::String(word)) => asked(anybody(), word, "any"),
        (Source::Action, Value::String(word)) => asked(anybody(), "any", word),
        _ => {
            let mut context = asked(anybody(), "any", "any");
            context.replace(&leaf.path, value);
            context
        }
    };
    leaf.truth(&context) == Truth::True
}
