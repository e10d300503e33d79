//! Whether rules, entities and cases keep to a schema. Scopes are in `schema_scope`, conditions in `schema_condition`.

use crate::context::EvaluationContext;
use crate::decode::{distance, shown};
use crate::error::PolicyError;
use crate::rule::Rule;
use crate::schema::Schema;
use crate::schema_condition;
use crate::schema_scope::{Scopes, unknown_action};
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
    pub(crate) fn check_rule(&self, scopes: &mut Scopes<'_>, rule: &Rule, mistakes: &mut Vec<PolicyError>) {
        scopes.check(rule, mistakes);
        self.check_obligations(rule, mistakes);
        schema_condition::check(self, rule, mistakes);
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
                    None => {
                        let known = self.attributes().map(|(known, _)| known);
                        let advice =
                            near(known, &path).map(|advice| format!("; {advice}")).unwrap_or_default();
                        return Err((path, format!("not in the schema{advice}")));
                    }
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
        if self.knows_action(action) {
            return Ok(());
        }
        Err(unknown_action(self.actions().map(|(known, _)| known), action, at))
    }

    fn check_obligations(&self, rule: &Rule, mistakes: &mut Vec<PolicyError>) {
        let at = || Pos { line: rule.line, column: 1 }.at();
        for (name, value) in rule.obligations.iter().filter(|_| self.obligations().next().is_some()) {
            match self.obligation(name) {
                None => {
                    let known = self.obligations().map(|(known, _)| known);
                    let otherwise = "whoever enforces decisions must refuse what it does not understand";
                    let advice = near(known, name).unwrap_or_else(|| otherwise.to_owned());
                    let (what, name) = ("obligation", name.clone());
                    mistakes.push(PolicyError::Undeclared { at: at(), what, name, advice });
                }
                // Texts are collected into lists, so whoever honours a list honours one text.
                Some(kind) if kind.can_hold(value) || kind.list && kind.can_be(value) => {}
                Some(kind) => {
                    let field = format!("obligations.{name}");
                    let (found, expected) = (value.to_string(), kind.to_string());
                    mistakes.push(PolicyError::Invalid { at: at(), field, found, expected });
                }
            }
        }
    }
}

/// What to do about a name that nothing declares.
pub(crate) const DECLARE: &str = "declare it in a `kind: PolicySchema` document, or use one that is";

/// Most known names that one unknown name is compared with; a schema can declare more types of resources.
const COMPARED_MAX: usize = 2_048;

/// The known name that was probably meant: the nearest, of equally near ones the first.
pub(crate) fn near<'a>(known: impl Iterator<Item = &'a str>, name: &str) -> Option<String> {
    const EDITS_MAX: usize = 2;
    known
        .take(COMPARED_MAX)
        .filter(|known| known.len().abs_diff(name.len()) <= EDITS_MAX)
        .map(|known| (distance(known, name), known))
        .filter(|(edits, _)| *edits <= EDITS_MAX)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, near)| format!("did you mean `{near}`?"))
}
