//! Whether a rule's conditions keep to a schema: attributes it declares, and comparisons that can hold.

use crate::condition::{Condition, Leaf, Operand, Test, Truth};
use crate::context::{EvaluationContext, Principal, PrincipalKind, Resource};
use crate::error::PolicyError;
use crate::path::{AttributePath, Source};
use crate::rule::Rule;
use crate::schema::{AttributeType, ScalarType, Schema};
use crate::schema_check::{DECLARE, near};
use crate::value::Value;
use crate::yaml::Pos;

/// Every comparison of `rule` that names what the schema does not know, or that can never hold.
pub(crate) fn check(schema: &Schema, rule: &Rule, mistakes: &mut Vec<PolicyError>) {
    let checker = Checker { schema, rule };
    rule.conditions.iter().for_each(|condition| checker.condition(condition, mistakes));
}

struct Checker<'a> {
    schema: &'a Schema,
    rule: &'a Rule,
}

impl<'a> Checker<'a> {
    fn condition(&self, condition: &Condition, mistakes: &mut Vec<PolicyError>) {
        match condition {
            Condition::All(inner) | Condition::Any(inner) => {
                inner.iter().for_each(|condition| self.condition(condition, mistakes));
            }
            Condition::Not(inner) => self.condition(inner, mistakes),
            Condition::Leaf(leaf) => mistakes.extend(self.leaf(leaf).err()),
        }
    }

    fn leaf(&self, leaf: &Leaf) -> Result<(), PolicyError> {
        let Some(kind) = self.declared(&leaf.path, leaf.at.attribute)? else { return Ok(()) };
        let impossible = |at: Pos, problem: String| {
            Err(PolicyError::Impossible { at: at.at(), condition: format!("`{}`", leaf.text), problem })
        };
        if let Some(need) = needed(&leaf.test, kind) {
            let problem = format!("`{}` is for {need}, and `{}` is {kind}", leaf.operator, leaf.path);
            return impossible(leaf.at.operator, problem);
        }
        let literal = match operand(&leaf.test) {
            Some(Operand::Attribute(path)) => {
                let Some(other) = self.declared(path, leaf.at.operand)? else { return Ok(()) };
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

    /// The type of an attribute; `None` where the schema declares no attributes.
    fn declared(&self, path: &AttributePath, at: Pos) -> Result<Option<&'a AttributeType>, PolicyError> {
        let name = path.to_string();
        if !self.schema.knows(&name) {
            let known = self.schema.attributes().map(|(known, _)| known);
            let advice = near(known, &name).unwrap_or_else(|| DECLARE.to_owned());
            return Err(PolicyError::Undeclared { at: at.at(), what: "attribute", name, advice });
        }
        let Some(kind) = self.schema.attribute(&name) else { return Ok(None) };
        let asked = |carrier: &String| self.rule.actions.iter().any(|action| action.matches(carrier));
        if !kind.actions.is_empty() && !kind.actions.iter().any(asked) {
            let carriers: Vec<String> = kind.actions.iter().take(8).map(|name| format!("`{name}`")).collect();
            let problem = format!("only requests for {} hold `{name}`", carriers.join(", "));
            let condition = "a condition of this rule".to_owned();
            return Err(PolicyError::Impossible { at: at.at(), condition, problem });
        }
        Ok(Some(kind))
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
