//! Whether a rule's conditions keep to a schema: attributes it declares, and comparisons that can hold.

use crate::condition::{Condition, Leaf, Operand, Test};
use crate::context::{EvaluationContext, Principal, Resource};
use crate::error::PolicyError;
use crate::explain::listed;
use crate::path::AttributePath;
use crate::rule::Rule;
use crate::schema::{AttributeType, ScalarType, Schema};
use crate::schema_check::{DECLARE, near};
use crate::value::Value;
use crate::yaml::Pos;

/// Every comparison of `rule` that names what the schema does not know, or that can never hold.
pub(crate) fn check(schema: &Schema, rule: &Rule, mistakes: &mut Vec<PolicyError>) {
    if rule.conditions.is_empty() {
        return;
    }
    let nobody = EvaluationContext::new(Principal::user("any"), Resource::new("any", "any"), "any");
    let checker = Checker { schema, rule, nobody };
    rule.conditions.iter().for_each(|condition| checker.condition(condition, mistakes));
}

struct Checker<'a> {
    schema: &'a Schema,
    rule: &'a Rule,
    /// Stands beside the values that a comparison is tried with; nothing is looked up in it.
    nobody: EvaluationContext,
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
        let Some(kind) = self.declared(leaf, &leaf.path, leaf.at.attribute)? else { return Ok(()) };
        let impossible = |at: Pos, problem: String| {
            Err(PolicyError::Impossible { at: at.at(), condition: format!("`{}`", leaf.text), problem })
        };
        if let Some(need) = needed(&leaf.test, kind) {
            let problem = format!("`{}` is for {need}, and `{}` is {kind}", leaf.operator, leaf.path);
            return impossible(leaf.at.operator, problem);
        }
        let literal = match leaf.test.operand() {
            Some(Operand::Attribute(path)) => {
                let Some(other) = self.declared(leaf, path, leaf.at.operand)? else { return Ok(()) };
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
            let part = format!("{} {} {item}", leaf.path, if kind.list { "contains" } else { "==" });
            // A list with one wrong item can hold, and `ne` always does; what never holds is the part.
            let condition = match *part == *leaf.text {
                true => format!("`{part}`"),
                false => format!("`{part}`, part of `{}`,", leaf.text),
            };
            let problem = format!("`{}` is {kind}", leaf.path);
            return Err(PolicyError::Impossible { at: leaf.at.operand.at(), condition, problem });
        }
        let other_type =
            whole.is_none() && literal.is_some_and(|value| ScalarType::of(value) != Some(kind.scalar));
        if other_type || !self.possible(leaf, kind) {
            return impossible(leaf.at.operand, format!("`{}` is {kind}", leaf.path));
        }
        Ok(())
    }

    /// Whether the comparison holds for any value of this type, as far as some values stand for all.
    fn possible(&self, leaf: &Leaf, kind: &AttributeType) -> bool {
        let holds = |value: &Value| matches!(leaf.compare(value.view(), &self.nobody), Ok(true));
        if matches!(leaf.test, Test::Exists(_)) || kind.list {
            return true;
        }
        if !kind.values.is_empty() {
            return kind.values.iter().any(holds);
        }
        match kind.scalar {
            ScalarType::Boolean => [true, false].into_iter().any(|flag| holds(&flag.into())),
            // The truth of a comparison of integers only changes at its own limits.
            ScalarType::Integer => {
                let limits = match (&leaf.test, leaf.test.operand()) {
                    (Test::Range { min, max }, _) => vec![*min, *max],
                    (_, Some(Operand::Literal(Value::List(items)))) => {
                        items.iter().filter_map(integer).collect()
                    }
                    (_, Some(Operand::Literal(value))) => integer(value).into_iter().collect(),
                    _ => return true,
                };
                let near = limits
                    .iter()
                    .flat_map(|limit| [limit.saturating_sub(1), *limit, limit.saturating_add(1)]);
                [kind.min, kind.max]
                    .into_iter()
                    .chain(near)
                    .filter(|number| (kind.min..=kind.max).contains(number))
                    .any(|number| holds(&number.into()))
            }
            ScalarType::String | ScalarType::Timestamp | ScalarType::Ip => true,
        }
    }

    /// The type of an attribute of `leaf`; `None` where the schema declares no attributes.
    fn declared(
        &self,
        leaf: &Leaf,
        path: &AttributePath,
        at: Pos,
    ) -> Result<Option<&'a AttributeType>, PolicyError> {
        let name = path.to_string();
        if !self.schema.knows(&name) {
            let known = self.schema.attributes().map(|(known, _)| known);
            let advice = near(known, &name).unwrap_or_else(|| DECLARE.to_owned());
            return Err(PolicyError::Undeclared { at: at.at(), what: "attribute", name, advice });
        }
        let Some(kind) = self.schema.attribute(&name) else { return Ok(None) };
        let asked = |carrier: &String| self.rule.actions.iter().any(|action| action.matches(carrier));
        // That no request holds it is no obstacle to asking for its absence.
        let needed = !matches!(leaf.test, Test::Exists(false));
        if needed && !kind.actions.is_empty() && !kind.actions.iter().any(asked) {
            let carriers: Vec<String> = kind.actions.iter().map(|name| format!("`{name}`")).collect();
            let problem = format!("only requests for {} hold `{name}`", listed(&carriers));
            let condition = format!("`{}`", leaf.text);
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

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}
