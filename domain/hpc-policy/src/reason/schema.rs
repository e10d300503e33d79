//! What a schema tells of requests that keep to it.

use std::rc::Rc;

use super::domain::Domain;
use super::facts::Knowledge;
use super::words::Words;
use crate::path::Source;
use crate::schema::Schema;

impl Knowledge for Schema {
    fn narrow<'a>(&'a self, source: &Source, domain: &mut Domain<'a>) {
        let path = match source {
            Source::Principal(name) => format!("principal.{name}"),
            Source::Resource(name) => format!("resource.{name}"),
            Source::ActionAttribute(name) => format!("action.{name}"),
            Source::Context(name) => format!("context.{name}"),
            Source::Action if self.actions().next().is_some() => {
                let mut names = Words::default();
                self.actions().for_each(|(name, _)| names.add_name(name));
                return domain.keep_text(&Rc::new(names), true);
            }
            // Every request has these, and their types are known without a schema.
            _ => return,
        };
        if let Some(kind) = self.attribute(&path) {
            // A schema does not say that an attribute is there.
            *domain = Domain::typed(kind);
        }
    }
}
