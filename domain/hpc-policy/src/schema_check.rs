//! Whether rules, entities and cases keep to a schema. What conditions say is in `schema_condition`.

use crate::context::EvaluationContext;
use crate::decode::{distance, shown};
use crate::error::PolicyError;
use crate::explain::listed;
use crate::rule::{Rule, Text};
use crate::schema::Schema;
use crate::schema_condition;
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
        if self.knows_action(action) { Ok(()) } else { Err(self.unknown_action(action, at)) }
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
                Some(kind) if kind.can_hold(value) => {}
                Some(kind) => {
                    let field = format!("obligations.{name}");
                    let (found, expected) = (value.to_string(), kind.to_string());
                    mistakes.push(PolicyError::Invalid { at: at(), field, found, expected });
                }
            }
        }
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
        let types = || self.actions().flat_map(|(_, types)| types).map(String::as_str);
        if types().any(|known| known == kind) {
            let condition = format!("{} on type `{kind}`", listed(&rule.actions));
            let problem = "the schema has it for other types of resources".to_owned();
            return PolicyError::Impossible { at: at.at(), condition, problem };
        }
        let otherwise = || "no declared action is about it".to_owned();
        let advice = near(types(), kind).unwrap_or_else(otherwise);
        PolicyError::Undeclared { at: at.at(), what: "resource type", name: kind.to_owned(), advice }
    }

    fn unknown_action(&self, action: &str, at: Pos) -> PolicyError {
        let known = self.actions().map(|(known, _)| known);
        let advice = near(known, action).unwrap_or_else(|| DECLARE.to_owned());
        PolicyError::Undeclared { at: at.at(), what: "action", name: shown(action), advice }
    }
}

/// What to do about a name that nothing declares.
pub(crate) const DECLARE: &str = "declare it in a `kind: PolicySchema` document, or use one that is";

/// The known name that was probably meant.
pub(crate) fn near<'a>(mut known: impl Iterator<Item = &'a str>, name: &str) -> Option<String> {
    known.find(|known| distance(known, name) <= 2).map(|near| format!("did you mean `{near}`?"))
}
